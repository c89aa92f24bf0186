//! `rule.*`.

use orx_protocol::RpcError;
use orx_protocol::api::Empty;
use orx_protocol::api::approval::{AddRuleParams, Rule, RuleParams, Rules};
use std::sync::Arc;

use crate::access::{Caller, standing};
use crate::approvals::Decider;
use crate::daemon::Daemon;

pub(super) async fn list(daemon: Arc<Daemon>, _: Empty) -> Result<Rules, RpcError> {
    Ok(Rules { rules: daemon.approvals.rules().await? })
}

pub(super) async fn add(daemon: Arc<Daemon>, caller: Caller, params: AddRuleParams) -> Result<Rule, RpcError> {
    standing::person(&daemon, &caller, "rule.add").await?;
    daemon.approvals.add_rule(params, &Decider::caller(&caller)).await
}

pub(super) async fn remove(daemon: Arc<Daemon>, caller: Caller, params: RuleParams) -> Result<Rule, RpcError> {
    standing::person(&daemon, &caller, "rule.remove").await?;
    daemon.approvals.remove_rule(params.rule, &Decider::caller(&caller)).await
}
