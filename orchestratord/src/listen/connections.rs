//! How many connections are open, over all doors, and the bound on it: a listener takes a permit before it accepts, so that
//! clients beyond the bound wait in the kernel's queue.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The bound and the count.
#[derive(Clone)]
pub struct Connections {
    permits: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
}

/// Room for one connection; given back when dropped.
pub struct Permit {
    /// `None` only if the semaphore were closed, which nobody does.
    _permit: Option<OwnedSemaphorePermit>,
    open: Arc<AtomicUsize>,
    counted: bool,
}

impl Connections {
    /// Room for `limit` connections.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(limit)), open: Arc::default() }
    }

    async fn permit(&self) -> Permit {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        Permit { _permit: permit, open: Arc::clone(&self.open), counted: false }
    }

    /// The next connection of a listener, once there is room for it; `None` when `stop` comes first. A failed accept, whose
    /// usual reason is that all descriptors are in use, is tried again shortly.
    pub async fn next<S, F>(&self, stop: &CancellationToken, accept: impl Fn() -> F) -> Option<(S, Permit)>
    where
        F: Future<Output = io::Result<S>>,
    {
        let mut permit = tokio::select! {
            () = stop.cancelled() => return None,
            permit = self.permit() => permit,
        };
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return None,
                accepted = accept() => accepted,
            };
            match accepted {
                Ok(stream) => {
                    permit.open();
                    return Some((stream, permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "A connection could not be accepted; trying again shortly.");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Permit {
    fn open(&mut self) {
        if !self.counted {
            self.counted = true;
            self.open.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.counted {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
