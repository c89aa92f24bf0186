//! How many connections are open, over all doors, and the bound on it: a listener takes a permit before it accepts, so that
//! clients beyond the bound wait in the kernel's queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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

    /// Waits for room.
    pub async fn permit(&self) -> Permit {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        Permit { _permit: permit, open: Arc::clone(&self.open), counted: false }
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// Counts the connection as open.
    pub fn open(&mut self) {
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
