//! The life cycle of a session: which step may follow which, what an end makes of it, and what can be taken up again.
//! The states and steps are those of S2, mended where they had no way on: what is queued can start, what was stopped
//! can be taken up again, and a session that lost its holder is `orphaned` until it is found or given up.

pub mod health;
pub mod missing;
pub mod queue;

use orx_protocol::life::{Life, Outcome};
use orx_protocol::process::{EndReason, Exit};

/// Most times that a session is taken up again after a bad end.
pub const RETRIES: u32 = 3;

/// A step that the life cycle does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session that is {from} cannot become {to}: {}", listed(*from))]
pub struct Refused {
    /// Where it is.
    pub from: Life,
    /// Where it was to go.
    pub to: Life,
}

fn listed(from: Life) -> String {
    match next(from) {
        [] => "it stays as it is".to_owned(),
        next => format!("it can become {}", next.iter().map(|life| life.as_str()).collect::<Vec<_>>().join(", ")),
    }
}

/// What may follow a state.
#[must_use]
pub const fn next(from: Life) -> &'static [Life] {
    use Life::{
        Cancelled, Completed, Degraded, Failed, Orphaned, PartiallyCompleted, Paused, Pending, Queued, Running,
        Stopped, Timeout,
    };
    match from {
        Pending => &[Queued, Running, Cancelled, Failed],
        Queued => &[Running, Cancelled, Failed, Stopped],
        Running => &[Completed, PartiallyCompleted, Failed, Timeout, Paused, Stopped, Degraded, Orphaned],
        Paused => &[Running, Stopped, Cancelled, Failed, Timeout, Orphaned],
        Degraded => &[Running, Paused, Completed, PartiallyCompleted, Failed, Timeout, Stopped, Orphaned],
        Orphaned => &[Running, Pending, Failed, Stopped, Cancelled],
        Failed | Timeout | Stopped => &[Pending, Cancelled],
        // What did part of its work may be asked for the rest.
        PartiallyCompleted => &[Pending],
        // A conversation that ended well can be gone on with by a person.
        Completed => &[Pending],
        Cancelled => &[],
    }
}

/// Checks a step.
///
/// # Errors
/// [`Refused`] with what may follow.
pub fn check(from: Life, to: Life) -> Result<(), Refused> {
    if next(from).contains(&to) { Ok(()) } else { Err(Refused { from, to }) }
}

/// What the end of the process makes of the session. What the session said of its own work stands, unless it was ended
/// from outside.
#[must_use]
pub fn at_end(reason: EndReason, exit: Option<Exit>, said: Option<Outcome>) -> Life {
    match (reason, said) {
        (EndReason::Lost, _) => Life::Orphaned,
        (EndReason::SpawnFailed, _) => Life::Failed,
        (EndReason::Deadline, _) => Life::Timeout,
        (_, Some(Outcome::Completed)) => Life::Completed,
        (_, Some(Outcome::PartiallyCompleted)) => Life::PartiallyCompleted,
        (_, Some(Outcome::Failed)) => Life::Failed,
        (EndReason::Stopped, None) => Life::Stopped,
        (EndReason::Exited, None) => match exit {
            Some(Exit::Code(0)) => Life::Completed,
            _ => Life::Failed,
        },
    }
}

/// Why a session is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRetried {
    /// It is not in a state from which it is tried again.
    #[error("only a session that failed, ran out of time, was stopped or was orphaned is tried again; this one is {}", .0.as_str())]
    State(Life),
    /// It was tried often enough.
    #[error("it was tried again {0} times already")]
    Often(u32),
}

/// Whether a session may be tried again after `retries` earlier tries.
///
/// # Errors
/// [`NotRetried`].
pub fn check_retry(life: Life, retries: u32) -> Result<(), NotRetried> {
    match life {
        Life::Failed | Life::Timeout | Life::Stopped | Life::Orphaned if retries >= RETRIES => {
            Err(NotRetried::Often(retries))
        }
        Life::Failed | Life::Timeout | Life::Stopped | Life::Orphaned => Ok(()),
        other => Err(NotRetried::State(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The steps of S2 as its users know them.
    const S2: &[(Life, &[Life])] = &[
        (Life::Pending, &[Life::Queued, Life::Running, Life::Cancelled, Life::Failed]),
        (Life::Queued, &[Life::Running, Life::Cancelled, Life::Failed]),
        (
            Life::Running,
            &[
                Life::Completed,
                Life::PartiallyCompleted,
                Life::Failed,
                Life::Timeout,
                Life::Paused,
                Life::Stopped,
                Life::Degraded,
            ],
        ),
        (Life::Paused, &[Life::Running, Life::Stopped, Life::Cancelled]),
        (Life::Degraded, &[Life::Running, Life::Failed, Life::Completed, Life::Stopped]),
        (Life::Failed, &[Life::Pending]),
        (Life::Timeout, &[Life::Pending]),
    ];

    #[test]
    fn every_step_of_s2_is_there() {
        for (from, steps) in S2 {
            for to in *steps {
                assert_eq!(check(*from, *to), Ok(()), "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn the_steps_that_s2_lacked_are_there() {
        for (from, to) in [
            (Life::Stopped, Life::Pending),
            (Life::Running, Life::Orphaned),
            (Life::Orphaned, Life::Running),
            (Life::Orphaned, Life::Pending),
            (Life::Paused, Life::Failed),
        ] {
            assert_eq!(check(from, to), Ok(()), "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn a_step_that_is_not_there_is_refused_with_those_that_are() {
        let refused = check(Life::Queued, Life::Paused).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a session that is queued cannot become paused: it can become running, cancelled, failed, stopped"
        );
        let refused = check(Life::Cancelled, Life::Pending).unwrap_err();
        assert_eq!(refused.to_string(), "a session that is cancelled cannot become pending: it stays as it is");
    }

    #[test]
    fn an_end_says_what_became_of_the_session() {
        use EndReason::{Deadline, Exited, Lost, SpawnFailed, Stopped};
        let code = |code| Some(Exit::Code(code));
        for (reason, exit, said, life) in [
            (Exited, code(0), None, Life::Completed),
            (Exited, code(2), None, Life::Failed),
            (Exited, Some(Exit::Signal(9)), None, Life::Failed),
            (Exited, None, None, Life::Failed),
            (Exited, code(1), Some(Outcome::PartiallyCompleted), Life::PartiallyCompleted),
            (Exited, code(0), Some(Outcome::Failed), Life::Failed),
            (Stopped, Some(Exit::Signal(15)), None, Life::Stopped),
            (Stopped, code(0), Some(Outcome::Completed), Life::Completed),
            (Deadline, Some(Exit::Signal(9)), Some(Outcome::Completed), Life::Timeout),
            (Lost, None, Some(Outcome::Completed), Life::Orphaned),
            (SpawnFailed, None, None, Life::Failed),
        ] {
            assert_eq!(at_end(reason, exit, said), life, "{reason:?} {exit:?} {said:?}");
        }
    }

    #[test]
    fn it_is_tried_again_three_times_and_only_after_a_bad_end() {
        assert_eq!(check_retry(Life::Stopped, 2), Ok(()));
        assert_eq!(check_retry(Life::Failed, 3), Err(NotRetried::Often(3)));
        assert_eq!(check_retry(Life::Completed, 0), Err(NotRetried::State(Life::Completed)));
    }

    proptest! {
        #[test]
        fn whatever_is_done_a_session_never_leaves_cancelled_and_every_other_state_has_a_way_on(
            steps in prop::collection::vec(0_usize..12, 0..40)
        ) {
            let mut life = Life::Pending;
            for step in steps {
                if let Some(to) = Life::ALL.get(step) && check(life, *to).is_ok() {
                    prop_assert_ne!(life, Life::Cancelled);
                    prop_assert_ne!(life, *to);
                    life = *to;
                }
                prop_assert_eq!(next(life).is_empty(), life == Life::Cancelled);
            }
        }
    }
}
