//! `approval.*`.

use orx_protocol::RpcError;
use orx_protocol::api::approval::{Approval, ApprovalParams, Approvals, DecideParams, Decided, ListParams};
use std::sync::Arc;

use crate::access::{Caller, standing};
use crate::approvals::Decider;
use crate::daemon::Daemon;

pub(super) async fn list(daemon: Arc<Daemon>, params: ListParams) -> Result<Approvals, RpcError> {
    Ok(Approvals { approvals: daemon.approvals.list(params.all, params.session).await? })
}

pub(super) async fn get(daemon: Arc<Daemon>, params: ApprovalParams) -> Result<Approval, RpcError> {
    daemon.approvals.get(params.approval).await
}

pub(super) async fn decide(daemon: Arc<Daemon>, caller: Caller, params: DecideParams) -> Result<Decided, RpcError> {
    standing::person(&daemon, &caller, "approval.decide").await?;
    daemon.approvals.decide(params, &Decider::caller(&caller)).await
}
