//! Runs (interim).
use orx_engines::Context;
use orx_protocol::api::run::*;
use orx_protocol::places::Places;
use orx_protocol::*;
use orx_sandbox::environment::Environment;
use orx_store::Store;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use crate::sessions::Sessions;
#[derive(Clone)]
pub struct Runs;
fn no<T>() -> Result<T, RpcError> { Err(RpcError::new(ErrorKind::Unavailable, "soon")) }
impl Runs {
    pub fn new(_: Store, _: Sessions, _: Context, _: &Places, _: &Environment, _: usize, _: TaskTracker) -> Self { Self }
    pub fn reload(&self, _: Context, _: usize) {}
    pub async fn take_up(&self) -> usize { 0 }
    pub async fn unfinished(&self) -> Result<usize, RpcError> { Ok(0) }
    pub async fn settings_template(&self, _: &str, _: Option<&str>) -> Result<(String, String), RpcError> { no() }
    pub async fn session_worktree(&self, _: &str) -> Result<String, RpcError> { no() }
    pub async fn start(&self, _: StartParams) -> Result<Started, RpcError> { no() }
    pub async fn list(&self, _: ListParams) -> Result<Vec<Run>, RpcError> { no() }
    pub async fn get(&self, _: RunId) -> Result<Run, RpcError> { no() }
    pub async fn wait(&self, _: RunId, _: Duration) -> Result<Run, RpcError> { no() }
    pub async fn cancel(&self, _: RunId) -> Result<Run, RpcError> { no() }
    pub async fn resume(&self, _: RunId) -> Result<Run, RpcError> { no() }
    pub async fn clean(&self, _: RunId, _: bool) -> Result<Cleaned, RpcError> { no() }
    pub async fn artifact(&self, _: RunId, _: &str) -> Result<Artifact, RpcError> { no() }
}
