//! The one place that reads the wall clock. Durations are measured with `std::time::Instant`, which does not jump.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch.
#[must_use]
#[allow(clippy::disallowed_methods)] // This is the one place that the lint points to.
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
