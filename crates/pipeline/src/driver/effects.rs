//! From an effect that the machine asks for to the input that answers it.

use tokio::sync::OnceCell;

use orx_workspace::{CommitId, WorkspaceError, Worktree};

use super::Pipeline;
use crate::machine::{Effect, Input};
use crate::port::{HostError, SessionHost};
use crate::record::{Facts, Record};

/// What an effect came to.
#[derive(Debug)]
pub(super) struct Performed {
    /// The input that answers it.
    pub(super) input: Input,
    /// Things a person should know.
    pub(super) warnings: Vec<String>,
    /// What changed beside the machine.
    pub(super) updates: Vec<Update>,
}

/// What changed beside the machine.
#[derive(Debug)]
pub(super) enum Update {
    /// The worktree is there, and was looked at.
    Prepared(Facts),
    /// The branch is in the user's repository.
    Published,
}

impl Performed {
    pub(super) const fn of(input: Input) -> Self {
        Self { input, warnings: Vec::new(), updates: Vec::new() }
    }
}

/// Why an effect came to nothing.
#[derive(Debug)]
pub(super) enum Halt {
    /// The host goes away; the run is driven again later.
    Draining,
    /// It cannot be done; a sentence for a person.
    Broke(String),
}

impl From<WorkspaceError> for Halt {
    fn from(error: WorkspaceError) -> Self {
        Self::Broke(error.to_string())
    }
}

impl From<HostError> for Halt {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Draining => Self::Draining,
            HostError::Unknown(_) | HostError::Failed(_) => Self::Broke(error.to_string()),
        }
    }
}

impl Halt {
    pub(super) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |error| Self::Broke(format!("{path}: {error}"))
    }
}

/// The run's worktree, opened once a drive.
pub(super) type Tree = OnceCell<Worktree>;

impl<H: SessionHost> Pipeline<H> {
    /// Does what the machine asks for. It may be done again after a crash at any moment.
    pub(super) async fn perform(&self, record: &Record, effect: &Effect, tree: &Tree) -> Result<Performed, Halt> {
        match effect {
            Effect::Prepare => self.prepare(record).await,
            Effect::Reset { keep } => self.reset(record, tree, keep).await,
            Effect::Engine { stage, session, fallback, form } => {
                self.engine(record, tree, *stage, *session, fallback.as_ref(), form.as_deref()).await
            }
            Effect::Wait { until_ms } => {
                let left = until_ms.saturating_sub(orx_protocol::clock::now_ms());
                tokio::time::sleep(std::time::Duration::from_millis(left)).await;
                Ok(Performed::of(Input::WaitOver))
            }
            Effect::Capture => self.capture(record, tree).await,
            Effect::Gate { gate, step, full, session } => self.gate(record, tree, *gate, *step, *full, *session).await,
            Effect::Commit => self.commit(record, tree).await,
            Effect::Ship => self.ship(record, tree).await,
            Effect::Notes => self.notes(record, tree).await,
        }
    }

    pub(super) async fn tree<'a>(&self, record: &Record, tree: &'a Tree) -> Result<&'a Worktree, Halt> {
        let open = || async {
            Worktree::open(&self.parts().git, &record.worktree(), &self.git_directory(record)).await.map_err(Halt::from)
        };
        tree.get_or_try_init(open).await
    }

    /// The run's own git directory.
    pub(super) fn git_directory(&self, record: &Record) -> std::path::PathBuf {
        self.parts().repositories.join(record.run.to_string())
    }
}

/// A commit's name as the workspace knows it.
pub(super) fn commit_id(name: &str) -> Result<CommitId, Halt> {
    name.parse().map_err(Halt::from)
}
