//! A run's own copy of a repository: made, looked at, committed, published and removed. The one place that runs git.
//!
//! An agent may write anything into its worktree and, unsandboxed, into the user's repository configuration. So git is
//! never run here with a configuration, hook, filter or attribute that an agent could have written: each run has a git
//! directory of the daemon's own, out of the agent's tree, and the user's repository is only read, and given one branch.
//! The reasons are in `docs/adr/0004-worktree-or-clone.md`.
//!
//! What is worth committing, and when, is decided in `orx-pipeline`; spawning itself lives in `orx-sandbox`.

mod beneath;
mod changes;
mod commits;
mod create;
mod error;
mod fingerprint;
mod git;
mod layout;
mod lines;
mod names;
mod publish;
mod record;
mod remove;
mod repository;
mod reset;
mod settings;
mod stage;
mod uncommitted;
mod worktree;

pub use beneath::Content;
pub use changes::{Change, ChangeKind};
pub use commits::CommitInfo;
pub use error::{Result, WorkspaceError};
pub use fingerprint::Fingerprint;
pub use git::Git;
pub use names::{BranchName, CommitId, Identity};
pub use publish::Published;
pub use remove::{KeptReason, Removal};
pub use repository::{Base, Head, Repository};
pub use stage::{Diff, DiffStats, FileStats};
pub use uncommitted::Uncommitted;
pub use worktree::Worktree;
