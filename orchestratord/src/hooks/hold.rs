//! Questions that stay with a hook while their engine shows no dialog: nobody at the terminal could answer there. So a question
//! stays with its hook only while nobody looks at the terminal and while the engine waits, and until then the session is
//! known to be blocked, whatever its screen shows.

use orx_protocol::SessionId;
use orx_protocol::activity::{AgentState, Observation, Source};
use orx_protocol::clock;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::sessions::Sessions;

/// How often it is asked whether somebody looks.
const LOOK: Duration = Duration::from_millis(500);
/// How sure it is that an engine waits whose hook waits, in percent.
const CONFIDENCE: u8 = 99;

/// How many questions of each session are with hooks.
#[derive(Default)]
pub struct Holds(Mutex<HashMap<SessionId, usize>>);

impl Holds {
    fn counts(&self) -> MutexGuard<'_, HashMap<SessionId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is with its hook, for as long as it lives.
pub(super) struct Hold<'a> {
    daemon: &'a Daemon,
    session: SessionId,
}

impl<'a> Hold<'a> {
    /// Begins it.
    pub(super) fn begin(daemon: &'a Daemon, session: SessionId, title: &str) -> Self {
        *daemon.holds.counts().entry(session).or_default() += 1;
        let said = Observation {
            source: Source::Protocol,
            state: AgentState::Blocked,
            reason: format!("a hook of its waits for an answer: {title}"),
            confidence: CONFIDENCE,
            at_ms: clock::now_ms(),
            until_ms: None,
        };
        daemon.activities.observe(session, said);
        Self { daemon, session }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut counts = self.daemon.holds.counts();
        let left = counts.get_mut(&self.session).map_or(0, |count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == 0 {
            counts.remove(&self.session);
            self.daemon.activities.closed(self.session, Source::Protocol);
        }
    }
}

/// Waits until a question is to be asked at the terminal after all.
pub(super) async fn until_dialog(sessions: &Sessions, session: SessionId, patience: Duration) {
    let started = Instant::now();
    while !sessions.is_looked_at(session).await {
        let left = patience.saturating_sub(started.elapsed());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(LOOK.min(left)).await;
    }
}
