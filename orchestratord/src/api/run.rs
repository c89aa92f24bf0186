//! `run.*`.

use orx_protocol::RpcError;
use orx_protocol::api::run::{
    Artifact, ArtifactParams, CleanParams, Cleaned, ListParams, Run, RunParams, Runs, StartParams, Started, WaitParams,
};
use std::sync::Arc;
use std::time::Duration;

use crate::daemon::Daemon;

/// Longest wait, in milliseconds.
const WAIT_MAX_MS: u64 = 24 * 3600 * 1000;

pub(super) async fn start(daemon: Arc<Daemon>, params: StartParams) -> Result<Started, RpcError> {
    daemon.refuse_when_draining()?;
    daemon.runs.start(params).await
}

pub(super) async fn list(daemon: Arc<Daemon>, params: ListParams) -> Result<Runs, RpcError> {
    Ok(Runs { runs: daemon.runs.list(params).await? })
}

pub(super) async fn get(daemon: Arc<Daemon>, params: RunParams) -> Result<Run, RpcError> {
    daemon.runs.get(params.run).await
}

pub(super) async fn wait(daemon: Arc<Daemon>, params: WaitParams) -> Result<Run, RpcError> {
    daemon.runs.wait(params.run, Duration::from_millis(params.timeout_ms.min(WAIT_MAX_MS))).await
}

pub(super) async fn cancel(daemon: Arc<Daemon>, params: RunParams) -> Result<Run, RpcError> {
    daemon.runs.cancel(params.run).await
}

pub(super) async fn resume(daemon: Arc<Daemon>, params: RunParams) -> Result<Run, RpcError> {
    daemon.refuse_when_draining()?;
    daemon.runs.resume(params.run).await
}

pub(super) async fn clean(daemon: Arc<Daemon>, params: CleanParams) -> Result<Cleaned, RpcError> {
    daemon.runs.clean(params.run, params.force).await
}

pub(super) async fn artifact(daemon: Arc<Daemon>, params: ArtifactParams) -> Result<Artifact, RpcError> {
    daemon.runs.artifact(params.run, &params.path).await
}
