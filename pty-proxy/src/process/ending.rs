//! How a session ends: by itself, on request, at its deadline; politely first, by force after a grace, and never with a
//! process of its tree left.
//!
//! It decides; signals and looking for processes are the holder's.

use std::time::{Duration, Instant};

use orx_protocol::process::EndReason;

/// What the program started and left behind may go on for this long after it.
const LEFTOVER_LINGER: Duration = Duration::from_millis(200);
/// Grace of processes that the program left behind.
const LEFTOVER_GRACE: Duration = Duration::from_secs(1);
/// Grace of a tree whose deadline passed.
const DEADLINE_GRACE: Duration = Duration::from_secs(2);
/// How often a dying tree is looked at.
const POLL: Duration = Duration::from_millis(20);
/// Processes that survive SIGKILL for this long (in an uninterruptible sleep) are reported and left.
const FORCE_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// The program is gone, others of its tree are not.
    Lingering {
        ask_at: Instant,
    },
    /// The tree was asked to end.
    Asked {
        force_at: Instant,
    },
    /// The tree is killed again and again, since a dying tree may still fork.
    Forced {
        until: Instant,
    },
}

/// What the holder is to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Wait,
    /// Ask every process of the tree to end.
    Ask,
    /// Kill every process of the tree.
    Kill,
    /// The session is over; `complete` says whether every process is gone.
    Finish {
        /// No process is left.
        complete: bool,
    },
}

/// The end of a session.
#[derive(Debug)]
pub struct Ending {
    phase: Phase,
    reason: EndReason,
    deadline: Option<Instant>,
    /// Since when the tree is held still; that time does not count.
    paused_at: Option<Instant>,
    left_behind: usize,
}

impl Ending {
    /// A session that runs, until `deadline` at the longest.
    #[must_use]
    pub fn new(deadline: Option<Instant>) -> Self {
        Self { phase: Phase::Running, reason: EndReason::Exited, deadline, paused_at: None, left_behind: 0 }
    }

    /// The tree is held still from now on; gives whether it was not before. One that ends already goes on ending.
    pub fn pause(&mut self, now: Instant) -> bool {
        let pauses = self.phase == Phase::Running && self.paused_at.is_none();
        if pauses {
            self.paused_at = Some(now);
        }
        pauses
    }

    /// The tree goes on; its deadline moves by the time that it was held still.
    pub fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.paused_at.take() {
            self.deadline =
                self.deadline.and_then(|deadline| deadline.checked_add(now.saturating_duration_since(since)));
        }
    }

    /// Goes on after another version of this holder, until `deadline` at the longest.
    pub fn go_on_with(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// How long the tree may still run; `None` when there is no end to that.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let now = self.paused_at.unwrap_or(now);
        self.deadline.map(|deadline| deadline.saturating_duration_since(now))
    }

    /// Whether the tree is held still.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// Somebody asks for the end: force follows `grace` later, or sooner when that was asked for before.
    pub fn stop(&mut self, grace: Duration, now: Instant) -> Action {
        let force_at = now.checked_add(grace).unwrap_or(now + FORCE_LIMIT);
        match self.phase {
            Phase::Running => {
                self.reason = EndReason::Stopped;
                self.phase = Phase::Asked { force_at };
                Action::Ask
            }
            Phase::Lingering { .. } => {
                self.phase = Phase::Asked { force_at };
                Action::Ask
            }
            Phase::Asked { force_at: before } => {
                self.phase = Phase::Asked { force_at: before.min(force_at) };
                Action::Wait
            }
            Phase::Forced { .. } => Action::Wait,
        }
    }

    /// What to do at `now`; `exited` says whether the program is gone, `alive` counts the processes of its tree (asked
    /// for only when it matters).
    pub fn step(&mut self, now: Instant, exited: bool, alive: impl FnOnce() -> usize) -> Action {
        match self.phase {
            Phase::Running if exited => {
                self.left_behind = alive();
                if self.left_behind == 0 {
                    return Action::Finish { complete: true };
                }
                self.phase = Phase::Lingering { ask_at: now + LEFTOVER_LINGER };
                Action::Wait
            }
            Phase::Running if self.paused_at.is_none() && self.deadline.is_some_and(|deadline| deadline <= now) => {
                self.reason = EndReason::Deadline;
                self.phase = Phase::Asked { force_at: now + DEADLINE_GRACE };
                Action::Ask
            }
            Phase::Running => Action::Wait,
            _ if exited && alive() == 0 => Action::Finish { complete: true },
            Phase::Lingering { ask_at } if ask_at <= now => {
                self.phase = Phase::Asked { force_at: now + LEFTOVER_GRACE };
                Action::Ask
            }
            Phase::Asked { force_at } if force_at <= now => {
                self.phase = Phase::Forced { until: now + FORCE_LIMIT };
                Action::Kill
            }
            Phase::Forced { until } if until <= now => Action::Finish { complete: false },
            Phase::Forced { .. } => Action::Kill,
            Phase::Lingering { .. } | Phase::Asked { .. } => Action::Wait,
        }
    }

    /// When to ask [`Self::step`] again although nothing happened.
    #[must_use]
    pub fn wakes_at(&self, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Running if self.paused_at.is_some() => None,
            Phase::Running => self.deadline,
            Phase::Lingering { .. } | Phase::Asked { .. } | Phase::Forced { .. } => Some(now + POLL),
        }
    }

    /// Why the session ends.
    #[must_use]
    pub fn reason(&self) -> EndReason {
        self.reason
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.phase != Phase::Running
    }

    /// Processes that the program left behind when it ended by itself.
    #[must_use]
    pub fn left_behind(&self) -> usize {
        self.left_behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_program_that_leaves_nothing_behind_is_over_at_once() {
        let now = Instant::now();
        let mut ending = Ending::new(None);
        assert_eq!(ending.step(now, false, || unreachable!()), Action::Wait);
        assert_eq!(ending.step(now, true, || 0), Action::Finish { complete: true });
        assert_eq!(ending.reason(), EndReason::Exited);
    }

    #[test]
    fn what_is_left_behind_is_asked_and_then_killed() {
        let now = Instant::now();
        let mut ending = Ending::new(None);
        assert_eq!(ending.step(now, true, || 2), Action::Wait);
        assert_eq!(ending.step(now + ms(199), true, || 2), Action::Wait);
        assert_eq!(ending.step(now + ms(200), true, || 2), Action::Ask);
        assert_eq!(ending.step(now + ms(1199), true, || 1), Action::Wait);
        assert_eq!(ending.step(now + ms(1200), true, || 1), Action::Kill);
        assert_eq!(ending.step(now + ms(1220), true, || 1), Action::Kill);
        assert_eq!(ending.step(now + ms(1240), true, || 0), Action::Finish { complete: true });
        assert_eq!((ending.reason(), ending.left_behind()), (EndReason::Exited, 2));
    }

    #[test]
    fn a_stop_takes_the_shortest_grace_that_was_asked_for() {
        let now = Instant::now();
        let mut ending = Ending::new(None);
        assert_eq!(ending.stop(ms(5000), now), Action::Ask);
        assert_eq!(ending.stop(ms(100), now), Action::Wait);
        assert_eq!(ending.step(now + ms(100), false, || 1), Action::Kill);
        assert_eq!(ending.reason(), EndReason::Stopped);
        assert_eq!(ending.step(now + ms(100) + FORCE_LIMIT, false, || 1), Action::Finish { complete: false });
    }

    #[test]
    fn the_deadline_ends_the_tree() {
        let now = Instant::now();
        let mut ending = Ending::new(Some(now + ms(10)));
        assert_eq!(ending.wakes_at(now), Some(now + ms(10)));
        assert_eq!(ending.step(now + ms(9), false, || 1), Action::Wait);
        assert_eq!(ending.step(now + ms(10), false, || 1), Action::Ask);
        assert_eq!(ending.reason(), EndReason::Deadline);
        assert_eq!(ending.step(now + ms(2010), false, || 1), Action::Kill);
    }

    #[test]
    fn the_time_that_it_is_held_still_does_not_count() {
        let now = Instant::now();
        let mut ending = Ending::new(Some(now + ms(10)));
        assert!(ending.pause(now + ms(5)));
        assert!(!ending.pause(now + ms(6)));
        assert_eq!(ending.wakes_at(now), None);
        assert_eq!(ending.step(now + ms(1000), false, || 1), Action::Wait);
        ending.go_on(now + ms(1005));
        assert_eq!(ending.wakes_at(now), Some(now + ms(1010)));
        assert_eq!(ending.step(now + ms(1009), false, || 1), Action::Wait);
        assert_eq!(ending.step(now + ms(1010), false, || 1), Action::Ask);
    }

    #[test]
    fn one_that_is_held_still_can_be_ended_and_one_that_ends_is_not_held_still() {
        let now = Instant::now();
        let mut ending = Ending::new(None);
        assert!(ending.pause(now));
        assert_eq!(ending.stop(ms(100), now), Action::Ask);
        assert!(!ending.pause(now + ms(1)));
        assert_eq!(ending.step(now + ms(100), false, || 1), Action::Kill);
    }
}
