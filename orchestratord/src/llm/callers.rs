//! Which session a key is of, and what there is to know of it for whoever pays. What was looked up is kept until any session's record
//! changes: a session's key is void from the moment at which its end is recorded.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use orx_gateway::caller::{Asked, Callers, Who};
use orx_protocol::SessionId;
use orx_protocol::api::session::{Session, SessionState};
use tokio::sync::watch;

use crate::sessions::Sessions;

/// Where the clones of runs are, below their repository.
const WORKTREES: &str = ".worktrees";

/// The sessions, as the gateway asks for them.
pub struct SessionCallers {
    sessions: Sessions,
    changes: watch::Receiver<u64>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The count of changes at which these were looked up.
    at: u64,
    sessions: HashMap<SessionId, Option<Who>>,
}

impl SessionCallers {
    /// Over the daemon's sessions.
    #[must_use]
    pub fn new(sessions: Sessions) -> Self {
        Self { changes: sessions.changes(), sessions, known: Mutex::default() }
    }
}

impl Callers for SessionCallers {
    fn session(&self, session: SessionId) -> Asked<'_> {
        let at = *self.changes.borrow();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.at == at
                && let Some(who) = known.sessions.get(&session)
            {
                let who = who.clone();
                return Box::pin(async move { who });
            }
        }
        Box::pin(async move {
            let who = self.sessions.get(session).await.ok().map(|session| who(&session));
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.at != at {
                *known = Known { at, sessions: HashMap::new() };
            }
            known.sessions.insert(session, who.clone());
            who
        })
    }
}

fn who(session: &Session) -> Who {
    // A run's sessions are owned by `<run>/<stage>`.
    let (run, stage) = match session.owner.as_deref().and_then(|owner| owner.split_once('/')) {
        Some((run, stage)) => (Some(run), Some(stage)),
        None => (session.owner.as_deref(), None),
    };
    Who {
        is_running: matches!(session.state, SessionState::Starting | SessionState::Running),
        run: run.map(Arc::from),
        stage: stage.map(Arc::from),
        project: Some(project(&session.cwd).into()),
        user: Some(session.engine.as_str().into()),
    }
}

/// The repository of a worktree of orx, or the directory itself.
fn project(cwd: &str) -> String {
    let path = Path::new(cwd);
    let worktrees = path.ancestors().find(|ancestor| ancestor.file_name().is_some_and(|name| name == WORKTREES));
    worktrees.and_then(Path::parent).unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_session_is_of_its_run_its_stage_and_its_repository() {
        let mut session = Session::starting(SessionId::generate(), "claude", "/src/app/.worktrees/run_1/web", 0);
        session.owner = Some("run_1/implement".to_owned());
        let of_run = who(&session);
        assert_eq!(
            (of_run.run.as_deref(), of_run.stage.as_deref(), of_run.project.as_deref(), of_run.is_running),
            (Some("run_1"), Some("implement"), Some("/src/app"), true)
        );
        session.owner = None;
        session.cwd = "/src/app".to_owned();
        session.state = SessionState::Ended;
        let of_person = who(&session);
        assert_eq!(
            (of_person.run, of_person.project.as_deref(), of_person.is_running),
            (None, Some("/src/app"), false)
        );
    }
}
