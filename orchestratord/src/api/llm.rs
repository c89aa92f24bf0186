//! `llm.*`.

use orx_protocol::RpcError;
use orx_protocol::api::Empty;
use orx_protocol::api::llm::{Budget, MarkParams, Providers, Usage, UsageParams};
use orx_router::compat::s1;
use std::sync::Arc;

use crate::daemon::Daemon;
use crate::llm::{report, route};

pub(super) async fn usage(daemon: Arc<Daemon>, params: UsageParams) -> Result<Usage, RpcError> {
    report::usage(daemon.gateway(), params).await
}

pub(super) fn budget(daemon: &Arc<Daemon>, _: Empty) -> Result<Budget, RpcError> {
    Ok(report::budget(daemon.gateway()))
}

pub(super) fn providers(daemon: &Arc<Daemon>, _: Empty) -> Result<Providers, RpcError> {
    Ok(report::providers(daemon.gateway()))
}

#[allow(clippy::needless_pass_by_value)] // The table's functions take their parameters.
pub(super) fn mark(daemon: &Arc<Daemon>, params: MarkParams) -> Result<Providers, RpcError> {
    report::mark(daemon.gateway(), &params)
}

#[allow(clippy::needless_pass_by_value)] // The table's functions take their parameters.
pub(super) fn route(daemon: &Arc<Daemon>, params: s1::Request) -> Result<s1::Reply, RpcError> {
    route::s1(daemon.gateway(), &params)
}
