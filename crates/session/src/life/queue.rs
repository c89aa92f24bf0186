//! Who starts next when there are fewer places than sessions: the more urgent first, among equals the older, and nobody
//! waits for ever, since waiting makes urgent.

use orx_protocol::SessionId;
use orx_protocol::life::Priority;

/// After this time, in milliseconds, a session that waits counts as one step more urgent.
pub const STEP_MS: u64 = 10 * 60 * 1000;

/// A session that waits for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub session: SessionId,
    /// How urgent it was when it came.
    pub priority: Priority,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
}

impl Waiting {
    /// How urgent it is now: 0 is the most urgent, and waiting makes it smaller, also below 0.
    fn rank(self, now_ms: u64) -> i64 {
        let steps = now_ms.saturating_sub(self.since_ms) / STEP_MS;
        i64::from(self.priority.number()).saturating_sub(i64::try_from(steps).unwrap_or(i64::MAX))
    }
}

/// The sessions that may start now, most urgent first, when `running` run and at most `places` may (`None`: any number).
#[must_use]
pub fn admitted(mut waiting: Vec<Waiting>, running: usize, places: Option<usize>, now_ms: u64) -> Vec<SessionId> {
    waiting.sort_by_key(|one| (one.rank(now_ms), one.since_ms, one.session));
    let free = places.map_or(usize::MAX, |places| places.saturating_sub(running));
    waiting.into_iter().take(free).map(|one| one.session).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(priority: Priority, since_ms: u64) -> Waiting {
        Waiting { session: SessionId::generate(), priority, since_ms }
    }

    #[test]
    fn the_urgent_go_first_and_among_equals_the_older() {
        let (low, young, old) = (waiting(Priority::Low, 0), waiting(Priority::High, 20), waiting(Priority::High, 10));
        let order = admitted(vec![low, young, old], 1, Some(3), 100);
        assert_eq!(order, [old.session, young.session]);
        assert_eq!(admitted(vec![low], 3, Some(3), 100), []);
        assert_eq!(admitted(vec![low], 4, Some(3), 100), []);
        assert_eq!(admitted(vec![low], 500, None, 100), [low.session]);
    }

    #[test]
    fn nobody_waits_for_ever() {
        let patient = waiting(Priority::Deferred, 0);
        let urgent = |now| waiting(Priority::Critical, now);
        let early = STEP_MS;
        assert_ne!(admitted(vec![patient, urgent(early)], 0, Some(1), early), [patient.session]);
        let late = 5 * STEP_MS;
        assert_eq!(admitted(vec![patient, urgent(late)], 0, Some(1), late), [patient.session]);
    }
}
