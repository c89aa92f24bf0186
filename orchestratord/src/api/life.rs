//! `session.pause`, `continue`, `finish`, `cancel`, `retry`, `resume` and the checkpoints.

use orx_protocol::RpcError;
use orx_protocol::activity::AgentState;
use orx_protocol::api::life::{
    Again, AgainParams, Checkpoint, CheckpointParams, Checkpoints, FinishParams, RestoreParams,
};
use orx_protocol::api::session::{Session, SessionParams};
use std::sync::Arc;

use crate::daemon::Daemon;

pub(super) async fn pause(daemon: Arc<Daemon>, params: SessionParams) -> Result<Session, RpcError> {
    daemon.sessions.pause(params.session).await
}

pub(super) async fn go_on(daemon: Arc<Daemon>, params: SessionParams) -> Result<Session, RpcError> {
    daemon.sessions.go_on(params.session).await
}

pub(super) async fn finish(daemon: Arc<Daemon>, params: FinishParams) -> Result<Session, RpcError> {
    daemon.sessions.finish(params.session, params.outcome).await
}

pub(super) async fn cancel(daemon: Arc<Daemon>, params: SessionParams) -> Result<Session, RpcError> {
    daemon.sessions.cancel(params.session).await
}

pub(super) async fn retry(daemon: Arc<Daemon>, params: AgainParams) -> Result<Again, RpcError> {
    daemon.refuse_when_draining()?;
    let again = daemon.sessions.retry(params, &daemon.engines(), &daemon.runs).await?;
    daemon.sessions.learn_conversation(again.session, daemon.engines());
    Ok(again)
}

pub(super) async fn resume(daemon: Arc<Daemon>, params: AgainParams) -> Result<Again, RpcError> {
    daemon.refuse_when_draining()?;
    let again = daemon.sessions.resume(params, &daemon.engines()).await?;
    daemon.sessions.learn_conversation(again.session, daemon.engines());
    Ok(again)
}

pub(super) async fn checkpoint(daemon: Arc<Daemon>, params: CheckpointParams) -> Result<Checkpoint, RpcError> {
    let activity = daemon.activities.of(params.session);
    let idle_since_ms = activity.filter(|activity| activity.state == AgentState::Idle).map(|idle| idle.since_ms);
    daemon.sessions.checkpoint(params, idle_since_ms, &daemon.runs, &daemon.engines()).await
}

pub(super) async fn checkpoints(daemon: Arc<Daemon>, params: SessionParams) -> Result<Checkpoints, RpcError> {
    daemon.sessions.checkpoints(params.session).await
}

pub(super) async fn restore(daemon: Arc<Daemon>, params: RestoreParams) -> Result<Again, RpcError> {
    daemon.refuse_when_draining()?;
    let again = daemon.sessions.restore(params, &daemon.runs, &daemon.engines()).await?;
    daemon.sessions.learn_conversation(again.session, daemon.engines());
    Ok(again)
}
