//! What a session that runs lacks of what it was made with, and the steps to `degraded` and back that follow from it. Both
//! follow from the record alone, so that whoever changes it need not think of them.

use orx_protocol::api::session::{Session, SessionState};
use orx_protocol::life::Life;

/// A step between `running` and `degraded`, or a change of what a degraded session lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Where it was.
    pub from: Life,
    /// Where it is.
    pub to: Life,
    /// What it lacks now.
    pub missing: Option<String>,
}

/// What a session lacks, for a person; `None` when it has all that it was made with.
#[must_use]
pub fn missing(session: &Session) -> Option<String> {
    let channel = session.channel_lost.as_ref().map(|why| format!("its channel is lost: {why}"));
    let limits = session.limits.as_ref().and_then(|limits| limits.why.as_ref());
    let limits = limits.map(|why| format!("not all of its limits hold: {why}"));
    let all: Vec<String> = channel.into_iter().chain(limits).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Brings a record's place in its life in line with what the session lacks; gives the step where there is one. A session
/// that is paused keeps its place, and is settled when it goes on; one that does not run lacks nothing.
pub fn settle(session: &mut Session) -> Option<Settled> {
    if session.state != SessionState::Running {
        session.terms.missing = None;
        return None;
    }
    let from = session.life;
    let missing = missing(session);
    session.life = match (from, &missing) {
        (Life::Running, Some(_)) => Life::Degraded,
        (Life::Degraded, None) => Life::Running,
        _ => from,
    };
    let changed = session.life != from || (from == Life::Degraded && session.terms.missing != missing);
    session.terms.missing.clone_from(&missing);
    changed.then_some(Settled { from, to: session.life, missing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::SessionId;
    use orx_protocol::api::confinement::{Enforcer, Limits};
    use proptest::prelude::*;

    fn session(life: Life) -> Session {
        Session { state: SessionState::Running, life, ..Session::starting(SessionId::generate(), "codex", "/", 0) }
    }

    fn unenforced() -> Limits {
        Limits {
            memory_bytes: Some(1),
            cpu_percent: None,
            processes: None,
            enforced_by: Enforcer::None,
            why: Some("no cgroup can be made".to_owned()),
        }
    }

    #[test]
    fn a_lost_channel_degrades_and_its_return_mends() {
        let mut session = session(Life::Running);
        assert_eq!(settle(&mut session), None);
        session.channel_lost = Some("it broke".to_owned());
        let lost = settle(&mut session).unwrap();
        assert_eq!((lost.from, lost.to), (Life::Running, Life::Degraded));
        assert_eq!(lost.missing.as_deref(), Some("its channel is lost: it broke"));
        assert_eq!(session.terms.missing, lost.missing);
        assert_eq!(settle(&mut session), None, "it is told once");
        session.limits = Some(unenforced());
        let more = settle(&mut session).unwrap();
        assert_eq!((more.from, more.to), (Life::Degraded, Life::Degraded));
        assert!(more.missing.unwrap().ends_with("; not all of its limits hold: no cgroup can be made"));
        (session.channel_lost, session.limits) = (None, None);
        let back = settle(&mut session).unwrap();
        assert_eq!((back.from, back.to, back.missing), (Life::Degraded, Life::Running, None));
        assert_eq!(session.terms.missing, None);
    }

    #[test]
    fn what_is_paused_is_settled_when_it_goes_on_and_what_ended_lacks_nothing() {
        let mut session = session(Life::Paused);
        session.channel_lost = Some("it broke".to_owned());
        assert_eq!(settle(&mut session), None);
        assert_eq!(session.life, Life::Paused);
        assert!(session.terms.missing.is_some());
        session.life = Life::Running;
        assert_eq!(settle(&mut session).map(|settled| settled.to), Some(Life::Degraded));
        (session.state, session.life) = (SessionState::Ended, Life::Completed);
        assert_eq!(settle(&mut session), None);
        assert_eq!((session.life, session.terms.missing), (Life::Completed, None));
    }

    proptest! {
        #[test]
        fn a_session_that_runs_is_degraded_exactly_when_something_is_missing(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..30)
        ) {
            let mut session = session(Life::Running);
            for (lost, unlimited, paused) in steps {
                session.channel_lost = lost.then(|| "x".to_owned());
                session.limits = unlimited.then(unenforced);
                session.life = if paused { Life::Paused } else { Life::Running };
                settle(&mut session);
                let is_missing = lost || unlimited;
                prop_assert_eq!(session.terms.missing.is_some(), is_missing);
                prop_assert_eq!(session.life == Life::Degraded, is_missing && !paused);
                prop_assert_eq!(settle(&mut session), None);
            }
        }
    }
}
