//! Asking workers whether they are well, and ending supervised ones that are stuck.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Dispatcher;

/// Pause between health checks.
const EVERY: Duration = Duration::from_secs(10);
/// A worker that has not answered for this long gets nothing new.
const LIMIT: Duration = Duration::from_secs(10);
/// A supervised worker that has not answered for this long is ended, to be started again.
const KILL_AFTER: Duration = Duration::from_secs(30);

/// Checks workers until the task is dropped.
pub async fn keep(dispatcher: Arc<Dispatcher>) {
    loop {
        tokio::time::sleep(EVERY).await;
        for pid in dispatcher.check_health(Instant::now(), LIMIT, KILL_AFTER) {
            if let Some(process) = i32::try_from(pid).ok().and_then(orx_sandbox::identity::of) {
                tracing::error!(pid, "A worker is stuck and is ended; its supervisor starts another.");
                orx_sandbox::tree::signal(process, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}
