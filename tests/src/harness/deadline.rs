//! Waiting for what will be true soon: poll with a deadline, never a blind sleep.

use std::future::Future;
use std::time::{Duration, Instant};

/// How often a condition is looked at. Short against what is waited for, long against the look itself.
const POLL: Duration = Duration::from_millis(5);

/// Asks `condition` until it gives a value, and gives that.
///
/// # Panics
/// When the deadline passes first; the message names `what`.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, condition: impl FnMut() -> Option<T>) -> T {
    eventually_or(what, deadline, condition).unwrap_or_else(|late| panic!("{late}"))
}

/// The same for a caller that has more to say when the deadline passes.
///
/// # Errors
/// When the deadline passes first; the message names `what`.
pub fn eventually_or<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Result<T, String> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if started.elapsed() >= deadline {
            return Err(format!("{what}: not within {} ms", deadline.as_millis()));
        }
        std::thread::sleep(POLL);
    }
}

/// The same for a condition that has to wait itself.
///
/// # Panics
/// When the deadline passes first; the message names `what`.
pub async fn eventually_async<T, F>(what: &str, deadline: Duration, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < deadline, "{what}: not within {} ms", deadline.as_millis());
        tokio::time::sleep(POLL).await;
    }
}
