//! What is measured: one file a measure.

pub mod attach;
pub mod echo;
pub mod line;
pub mod memory;
pub mod modes;
pub mod queries;
pub mod recording;
pub mod stuck;
pub mod survival;
pub mod throughput;
pub mod upgrade;

use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::control::{Control, Program};
use super::peers::Peer;
use super::viewer::{Viewer, contains};

/// A viewer shows nothing for this long: it has shown all.
pub const SETTLED: Duration = Duration::from_millis(250);

/// Starts a program as a session.
pub fn start(peer: &mut dyn Peer, session: &str) -> Result<Program> {
    let control = Control::open()?;
    peer.start(session, &control.argv()?)?;
    control.accept()
}

/// A viewer that is read by a thread of its own.
pub struct Drained {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Box<dyn Viewer>, u64)>,
}

impl Drained {
    /// Reads on until it is told to stop, or once `end` was shown.
    pub fn begin(mut viewer: Box<dyn Viewer>, end: Option<&'static str>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut out = Vec::new();
            let mut shown = 0;
            while !told.load(Ordering::Relaxed) {
                // What cannot be read any more shows nothing more.
                let Ok(count) = viewer.read(&mut out, Duration::from_millis(20)) else { break };
                shown += count as u64;
                if let Some(end) = end {
                    if contains(&out, end.as_bytes()) {
                        break;
                    }
                    let keep = out.len().saturating_sub(end.len());
                    out.drain(..keep);
                } else {
                    out.clear();
                }
            }
            (viewer, shown)
        });
        Self { stop, thread }
    }

    /// Waits until the end was shown, no longer than `limit`; gives the viewer and the bytes that it showed.
    pub fn finish(self, limit: Duration) -> Result<(Box<dyn Viewer>, u64)> {
        let deadline = std::time::Instant::now() + limit;
        while !self.thread.is_finished() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("a viewer's thread failed"))
    }
}
