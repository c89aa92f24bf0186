//! `worker.*`.

use orx_protocol::RpcError;
use orx_protocol::api::Empty;
use orx_protocol::api::worker::{DrainParams, RegisterParams, Workers};
use std::sync::Arc;

use crate::daemon::Daemon;
use crate::listen::connection::Connection;
use crate::reply::ReplyTo;

pub(super) fn register(connection: &Arc<Connection>, params: RegisterParams, reply: ReplyTo) {
    connection.register(&params, reply);
}

pub(super) fn list(daemon: &Arc<Daemon>, _: Empty) -> Result<Workers, RpcError> {
    let supervised = daemon.supervisor().map(|supervisor| supervisor.list()).unwrap_or_default();
    Ok(Workers { workers: daemon.dispatcher.list(), supervised })
}

pub(super) fn drain(daemon: &Arc<Daemon>, params: DrainParams) -> Result<Empty, RpcError> {
    daemon.dispatcher.drain(params.worker)?;
    Ok(Empty {})
}
