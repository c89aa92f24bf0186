//! What can go wrong with a repository or a worktree: what, where, and what to do about it.

use orx_protocol::error::{ErrorKind, RpcError};
use orx_protocol::process::Exit;
use std::path::{Path, PathBuf};

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, WorkspaceError>;

/// A repository or worktree cannot be used as asked. Unless a variant says otherwise nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// No git on the given `PATH`.
    #[error("git is not installed: {0}")]
    GitMissing(#[from] orx_sandbox::NotFound),
    /// The git there is cannot do what is needed.
    #[error("git {found} is too old: {needed} or newer is needed")]
    GitTooOld {
        /// What it says it is.
        found: String,
        /// The oldest that works.
        needed: String,
    },
    /// The directory is in no repository.
    #[error("{path} is not in a git repository")]
    NotARepository {
        /// The directory.
        path: PathBuf,
    },
    /// The repository has no checkout.
    #[error("{path} is a bare repository: it has no checkout to work beside")]
    Bare {
        /// The directory.
        path: PathBuf,
    },
    /// The repository has no commit.
    #[error("{path} has no commit yet")]
    Unborn {
        /// The repository.
        path: PathBuf,
    },
    /// Git's `safe.directory` rule refuses the repository.
    #[error("{path} belongs to another user, and git's safe.directory does not list it")]
    NotTrusted {
        /// The directory.
        path: PathBuf,
    },
    /// No branch has this name.
    #[error("no branch `{name}` in {repository}{}", listed(available))]
    BaseMissing {
        /// What was asked for.
        name: String,
        /// The repository.
        repository: PathBuf,
        /// Branches there are, the most similar first; at most ten.
        available: Vec<String>,
    },
    /// The text is no branch name.
    #[error("`{name}` is not a branch name: {why}")]
    BadBranch {
        /// What was given.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The text is no commit identifier.
    #[error("`{text}` is not a full commit identifier (40 or 64 hexadecimal digits)")]
    BadCommit {
        /// What was given.
        text: String,
    },
    /// The branch is there with commits that are not this run's.
    #[error("branch `{branch}` of {repository} is at {found}, which {commit} does not continue")]
    BranchExists {
        /// The branch.
        branch: String,
        /// The repository.
        repository: PathBuf,
        /// Where the branch is.
        found: String,
        /// Where it was to be.
        commit: String,
    },
    /// The branch is somebody's checkout: moving it would make that checkout look changed.
    #[error("branch `{branch}` is checked out in {at}, so it is not moved")]
    BranchCheckedOut {
        /// The branch.
        branch: String,
        /// The checkout.
        at: PathBuf,
    },
    /// A branch of this name cannot be beside one that is there.
    #[error("branch `{branch}` cannot be made in {repository}: branch `{other}` is in its way")]
    BranchBlocked {
        /// The branch.
        branch: String,
        /// The one in its way.
        other: String,
        /// The repository.
        repository: PathBuf,
    },
    /// Something else is at the place of the worktree.
    #[error("{path} exists and is not a worktree of orx")]
    WorktreeExists {
        /// The place.
        path: PathBuf,
    },
    /// The worktree or the daemon's side of it is gone.
    #[error("the worktree {path} is incomplete: {missing} is gone")]
    WorktreeMissing {
        /// The worktree.
        path: PathBuf,
        /// Which part.
        missing: PathBuf,
    },
    /// The directory at the worktree's place is not the one that was made.
    #[error("{path} is not the directory that orx made there: {why}")]
    Foreign {
        /// The place.
        path: PathBuf,
        /// How it is known.
        why: &'static str,
    },
    /// Repositories inside the worktree whose files a commit would leave out.
    #[error("the worktree {worktree} holds repositories of its own whose files cannot be committed: {}", joined(paths))]
    NestedRepositories {
        /// The worktree.
        worktree: PathBuf,
        /// Relative paths.
        paths: Vec<PathBuf>,
    },
    /// The commit is not one of the worktree's.
    #[error("{commit} is not a commit of the worktree {worktree}")]
    NotOurs {
        /// The commit.
        commit: String,
        /// The worktree.
        worktree: PathBuf,
    },
    /// Objects that are needed are not in the repository.
    #[error("objects of {commit} are missing in {repository}")]
    ObjectsMissing {
        /// The commit.
        commit: String,
        /// The repository.
        repository: PathBuf,
    },
    /// No remote has this name.
    #[error("no remote `{name}` in {repository}{}", listed(available))]
    RemoteMissing {
        /// What was asked for.
        name: String,
        /// The repository.
        repository: PathBuf,
        /// Remotes there are.
        available: Vec<String>,
    },
    /// A path leads out of the worktree, is no regular file, or has a name that git does not take.
    #[error("{path} is refused: {why}")]
    PathRefused {
        /// The path.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// A place of orx's own has a name that is not UTF-8 or has a line end in it.
    #[error("the path {path} cannot be used by orx: it must be absolute, UTF-8 and of one line")]
    BadPlace {
        /// The path.
        path: PathBuf,
    },
    /// A commit message that git cannot keep.
    #[error("the commit message is refused: {why}")]
    BadMessage {
        /// Why.
        why: &'static str,
    },
    /// A git of an earlier daemon still works in the worktree's git directory.
    #[error("an earlier git still works in {git_dir}")]
    Busy {
        /// The git directory.
        git_dir: PathBuf,
    },
    /// Git did not end in time.
    #[error("{what} in {path} did not end within {seconds} s")]
    TimedOut {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The deadline.
        seconds: u64,
    },
    /// Git refused.
    #[error("{what} in {path} failed ({exit}): {}", last_lines(stderr))]
    Failed {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// How git ended.
        exit: Exit,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// Git wrote more than is kept.
    #[error("{what} in {path} gave more than {limit} bytes")]
    TooLarge {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// Git wrote something of another shape than documented.
    #[error("{what} in {path} gave an answer that could not be read: {detail}")]
    Malformed {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What was there.
        detail: String,
    },
    /// Git could not be started.
    #[error("{what} could not be started: {source}")]
    Spawn {
        /// What was being done.
        what: &'static str,
        /// Why.
        source: orx_sandbox::SpawnError,
    },
    /// A file or directory could not be used.
    #[error("{what} {path}: {source}")]
    File {
        /// What was being done.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

const SHOWN: usize = 10;

fn listed(available: &[String]) -> String {
    if available.is_empty() { String::new() } else { format!("; there are: {}", available.join(", ")) }
}

fn joined(paths: &[PathBuf]) -> String {
    let shown: Vec<_> = paths.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    let more = paths.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// The end of what git wrote, where it says what went wrong.
fn last_lines(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(SHOWN);
    lines.get(from..).unwrap_or_default().join("; ")
}

impl WorkspaceError {
    /// For [`Result::map_err`]: a file that could not be used.
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }

    /// What to do about it; empty where there is nothing to say.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::GitMissing(_) => "install git and see that it is on the daemon's PATH".to_owned(),
            Self::GitTooOld { needed, .. } => format!("install git {needed} or newer"),
            Self::NotARepository { path } => {
                format!("name a directory of a repository, or make one: git init {}", path.display())
            }
            Self::Bare { .. } => "clone it and name the clone".to_owned(),
            Self::Unborn { path } => {
                format!("make a first commit: git -C {} commit --allow-empty -m 'Start'", path.display())
            }
            Self::NotTrusted { path } => {
                format!("if you trust it: git config --global --add safe.directory {}", path.display())
            }
            Self::BaseMissing { .. } => "name one of the branches that are there".to_owned(),
            Self::BadBranch { .. } | Self::BadCommit { .. } | Self::BadMessage { .. } => String::new(),
            Self::BranchExists { branch, .. } => {
                format!("publish under another name, or move it away: git branch -m {branch} {branch}-old")
            }
            Self::BranchCheckedOut { at, .. } => format!("switch {} to another branch", at.display()),
            Self::BranchBlocked { other, .. } => format!("publish under another name, or rename `{other}`"),
            Self::WorktreeExists { path } => format!("move {} away", path.display()),
            Self::WorktreeMissing { .. } => {
                "if it was moved, move it back; if it was deleted, clean the run with force".to_owned()
            }
            Self::Foreign { path, .. } => format!("look at {} and move it away", path.display()),
            Self::NestedRepositories { .. } => {
                "delete the inner .git directories to commit the files, or ignore the directories".to_owned()
            }
            Self::NotOurs { .. } => "name a commit that the worktree lists".to_owned(),
            Self::ObjectsMissing { .. } => {
                "fetch them (git fetch), or restore them from a clone: a partial clone or a pruned branch lacks them"
                    .to_owned()
            }
            Self::RemoteMissing { .. } => "add it: git remote add <name> <address>".to_owned(),
            Self::PathRefused { .. } => String::new(),
            Self::BadPlace { .. } => "set ORX_HOME to a directory with a plain name".to_owned(),
            Self::Busy { .. } => "try again in a moment".to_owned(),
            Self::TimedOut { .. } => "see whether the disk is slow or the repository very large".to_owned(),
            Self::Failed { .. } | Self::Malformed { .. } | Self::Spawn { .. } | Self::File { .. } => String::new(),
            Self::TooLarge { .. } => "ask for less, or see what fills the worktree".to_owned(),
        }
    }

    /// The kind of this error on the wire.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::GitMissing(_) | Self::GitTooOld { .. } => ErrorKind::FailedPrecondition,
            Self::NotARepository { .. } | Self::BaseMissing { .. } | Self::RemoteMissing { .. } => ErrorKind::NotFound,
            Self::WorktreeMissing { .. } => ErrorKind::NotFound,
            Self::Bare { .. } | Self::Unborn { .. } | Self::ObjectsMissing { .. } => ErrorKind::FailedPrecondition,
            Self::NestedRepositories { .. } => ErrorKind::FailedPrecondition,
            Self::NotTrusted { .. } => ErrorKind::PermissionDenied,
            Self::BadBranch { .. } | Self::BadCommit { .. } | Self::BadMessage { .. } => ErrorKind::InvalidParams,
            Self::NotOurs { .. } | Self::PathRefused { .. } => ErrorKind::InvalidParams,
            Self::BranchExists { .. } | Self::BranchCheckedOut { .. } | Self::BranchBlocked { .. } => {
                ErrorKind::Conflict
            }
            Self::WorktreeExists { .. } | Self::Foreign { .. } => ErrorKind::Conflict,
            Self::BadPlace { .. } => ErrorKind::Configuration,
            Self::Busy { .. } => ErrorKind::Unavailable,
            Self::TimedOut { .. } => ErrorKind::DeadlineExceeded,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Failed { .. } | Self::Malformed { .. } | Self::Spawn { .. } => ErrorKind::Upstream,
            Self::File { .. } => ErrorKind::Storage,
        }
    }
}

impl From<WorkspaceError> for RpcError {
    fn from(error: WorkspaceError) -> Self {
        Self::new(error.kind(), error.to_string()).with_hint(error.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_what_to_do() {
        let error = WorkspaceError::BaseMissing {
            name: "mian".into(),
            repository: "/r".into(),
            available: vec!["main".into(), "dev".into()],
        };
        assert_eq!(error.to_string(), "no branch `mian` in /r; there are: main, dev");
        let wire = RpcError::from(error);
        assert_eq!(wire.kind(), ErrorKind::NotFound);
        assert!(!wire.data.hint.is_empty());
    }
}
