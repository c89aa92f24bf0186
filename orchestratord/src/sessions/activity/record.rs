//! When a change is written: a new state at once, but no more often than a person could follow; a new reason alone when
//! there is time.

use orx_protocol::activity::{Activity, AgentState};
use orx_protocol::event::kind;
use orx_store::StoreError;
use std::time::{Duration, Instant};

use super::Activities;
use orx_protocol::SessionId;

/// States that follow each other faster are not all written.
const STATE_PAUSE: Duration = Duration::from_millis(100);
/// The same for reasons and ends of one state.
const REASON_PAUSE: Duration = Duration::from_secs(2);
/// Pause before something is written again that the store did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// What is recorded of one session.
#[derive(Debug)]
pub(super) struct Recorded {
    written: Activity,
    at: Option<Instant>,
    failed: Option<Instant>,
}

impl Recorded {
    /// A session of which this is recorded.
    pub(super) fn new(written: Activity) -> Self {
        Self { written, at: None, failed: None }
    }

    /// When `activity` is to be written; `None` when it is written.
    pub(super) fn due(&self, activity: &Activity) -> Option<Instant> {
        let written = &self.written;
        if written.state == AgentState::Unknown && activity.state == AgentState::Unknown {
            return None;
        }
        let pause = if written.state != activity.state {
            STATE_PAUSE
        } else if written.reason != activity.reason || written.until_ms != activity.until_ms {
            REASON_PAUSE
        } else {
            return None;
        };
        let paced = self.at.map(|at| at + pause);
        let again = self.failed.map(|failed| failed + AGAIN);
        Some(paced.into_iter().chain(again).max().unwrap_or_else(Instant::now))
    }

    /// The activity was written, or was not.
    pub(super) fn note(&mut self, activity: Activity, written: bool, now: Instant) {
        if written {
            (self.written, self.at, self.failed) = (activity, Some(now), None);
        } else {
            self.failed = Some(now);
        }
    }
}

impl Activities {
    /// Writes an activity with its event, in one transaction; gives whether that was possible.
    pub(super) async fn write(&self, session: SessionId, activity: Activity) -> bool {
        let written = self
            .0
            .sessions
            .update(session, move |row| {
                let data = serde_json::json!({
                    "state": activity.state,
                    "reason": activity.reason,
                    "confidence": activity.confidence,
                    "until_ms": activity.until_ms,
                    "before": row.session.activity.state,
                    "lasted_ms": activity.since_ms.saturating_sub(row.session.activity.since_ms),
                });
                row.session.activity = activity;
                Some((kind::SESSION_ACTIVITY, data))
            })
            .await;
        match written {
            Ok(()) => true,
            // Nobody asks any more for what such a session did.
            Err(StoreError::NotFound(_) | StoreError::Closed) => true,
            Err(error) => {
                tracing::warn!(%session, %error, "What a session does cannot be recorded; it is tried again.");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(state: AgentState, reason: &str) -> Activity {
        Activity { state, reason: reason.to_owned(), ..Activity::default() }
    }

    #[test]
    fn what_is_not_known_is_not_written_as_news() {
        let recorded = Recorded::new(Activity::default());
        assert_eq!(recorded.due(&activity(AgentState::Unknown, "no source says what it does")), None);
    }

    #[test]
    fn a_flickering_session_is_not_written_at_every_flicker() {
        let start = Instant::now();
        let mut recorded = Recorded::new(activity(AgentState::Idle, "a"));
        assert_eq!(recorded.due(&activity(AgentState::Idle, "a")), None);
        assert!(recorded.due(&activity(AgentState::Working, "b")).unwrap() <= Instant::now());
        recorded.note(activity(AgentState::Working, "b"), true, start);
        assert_eq!(recorded.due(&activity(AgentState::Idle, "a")), Some(start + STATE_PAUSE));
        assert_eq!(recorded.due(&activity(AgentState::Working, "c")), Some(start + REASON_PAUSE));
        recorded.note(activity(AgentState::Idle, "a"), false, start + REASON_PAUSE);
        assert_eq!(recorded.due(&activity(AgentState::Idle, "a")), Some(start + REASON_PAUSE + AGAIN));
    }
}
