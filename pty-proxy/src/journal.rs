//! The holder's own log: lines on standard error, which is `holder.log` once it is detached.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use orx_protocol::clock::now_ms;

/// Most lines: whoever connects and misbehaves must not fill the disk.
const LINES: u32 = 2000;

static WRITTEN: AtomicU32 = AtomicU32::new(0);

/// Writes a line with the time.
pub fn note(text: &str) {
    if WRITTEN.fetch_add(1, Ordering::Relaxed) < LINES {
        // There is nowhere to say that the log itself fails.
        let _ = writeln!(std::io::stderr(), "{} {text}", now_ms());
    }
}
