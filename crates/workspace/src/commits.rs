//! The commits that orx made in a worktree since its base.

use crate::error::{Result, WorkspaceError};
use crate::names::CommitId;
use crate::worktree::Worktree;

/// A commit on the run's branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its identifier.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: String,
    /// Its trailers (`Orx-Run`, `Orx-Item`) in order.
    pub trailers: Vec<(String, String)>,
}

impl CommitInfo {
    /// The value of the first trailer of this name.
    #[must_use]
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Worktree {
    /// The commits since the base, oldest first.
    ///
    /// # Errors
    /// How git failed.
    pub async fn commits(&self) -> Result<Vec<CommitInfo>> {
        let output = self
            .in_git_dir("listing commits")
            .arguments(&["log", "-z", "--reverse", "--first-parent", "--no-mailmap", "--no-color"])
            .argument("--format=%H%n%s%n%(trailers:only=true,unfold=true)")
            .argument(format!("{}..HEAD", self.base()))
            .argument("--")
            .bytes()
            .await?;
        let parsed: Option<Vec<CommitInfo>> = crate::lines::zero_ended(&output).map(parse).collect();
        parsed.ok_or_else(|| WorkspaceError::Malformed {
            what: "listing commits",
            path: self.path().to_owned(),
            detail: String::from_utf8_lossy(&output).chars().take(200).collect(),
        })
    }

    /// Whether a commit is the base or one that orx made here and still counts.
    pub(crate) async fn check_ours(&self, commit: &CommitId) -> Result<()> {
        let is_ours = commit == self.base() || self.commits().await?.iter().any(|info| info.commit == *commit);
        let refused = || WorkspaceError::NotOurs { commit: commit.to_string(), worktree: self.path().to_owned() };
        is_ours.then_some(()).ok_or_else(refused)
    }
}

fn parse(record: &[u8]) -> Option<CommitInfo> {
    let text = String::from_utf8_lossy(record);
    let mut lines = text.lines();
    let commit = lines.next()?.parse().ok()?;
    let subject = lines.next().unwrap_or_default().to_owned();
    let trailer =
        |line: &str| line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    Some(CommitInfo { commit, subject, trailers: lines.filter_map(trailer).collect() })
}
