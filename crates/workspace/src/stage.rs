//! Staging, diffs and commits. What is staged goes to a second index, which takes the first one's place only after the
//! commit: the first is always that of the last commit, so nothing half done is ever taken for done.

use std::path::PathBuf;

use crate::changes::{Change, ChangeKind, GITLINK, parse_raw};
use crate::error::{Result, WorkspaceError};
use crate::git::Invocation;
use crate::layout::BRANCH;
use crate::lines;
use crate::names::{CommitId, Identity};
use crate::repository::blocking;
use crate::worktree::{Held, Worktree};

/// A textual difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Unified diff; bytes that are not UTF-8 are replaced, binary files are only named.
    pub text: String,
    /// Whether there is more than `text`, which then ends at a line's end.
    pub truncated: bool,
}

/// How much changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiffStats {
    /// Each changed file.
    pub files: Vec<FileStats>,
    /// Lines added over all text files.
    pub insertions: u64,
    /// Lines deleted over all text files.
    pub deletions: u64,
}

/// How much changed in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStats {
    /// Relative to the worktree.
    pub path: PathBuf,
    /// Lines added and deleted; `None` for a binary file.
    pub lines: Option<(u64, u64)>,
}

/// The index that is staged into, in the daemon's git directory.
const STAGING: &str = "staging";

impl Worktree {
    /// The difference between a commit of this worktree and its files as they are, new files included and ignored ones
    /// not. Repositories inside the worktree are left out: [`Worktree::changes`] names them.
    ///
    /// # Errors
    /// [`WorkspaceError::NotOurs`], or how git failed.
    pub async fn diff(&self, from: &CommitId, limit_bytes: usize) -> Result<Diff> {
        self.check_ours(from).await?;
        let held = self.begin().await?;
        self.stage(&held).await?;
        let ended = self
            .staged("writing the diff")
            .output_limit(limit_bytes)
            .arguments(&["diff-index", "--cached", "--patch", "--no-ext-diff", "--no-textconv", "--no-color"])
            .arguments(&["--find-renames", "--full-index", "--submodule=short"])
            .arguments(&[from.as_str(), "--"])
            .run()
            .await?
            .checked()?;
        let truncated = ended.captured.truncated;
        let mut bytes = ended.captured.stdout;
        if truncated {
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            bytes.truncate(end);
        }
        Ok(Diff { text: String::from_utf8_lossy(&bytes).into_owned(), truncated })
    }

    /// How much differs between a commit of this worktree and its files as they are.
    ///
    /// # Errors
    /// [`WorkspaceError::NotOurs`], or how git failed.
    pub async fn diff_stats(&self, from: &CommitId) -> Result<DiffStats> {
        self.check_ours(from).await?;
        let held = self.begin().await?;
        self.stage(&held).await?;
        let output = self
            .staged("counting changed lines")
            .arguments(&["diff-index", "--cached", "--numstat", "-z", "--no-ext-diff", "--no-textconv", "--no-renames"])
            .arguments(&[from.as_str(), "--"])
            .bytes()
            .await?;
        parse_numstat(&output).ok_or_else(|| WorkspaceError::Malformed {
            what: "counting changed lines",
            path: self.path().to_owned(),
            detail: String::from_utf8_lossy(&output).chars().take(200).collect(),
        })
    }

    /// Commits everything that [`Worktree::changes`] lists on the run's branch, which only the daemon has. `None` when
    /// nothing changed. After a kill at any point a repeated call leaves exactly one commit with the changes; when the
    /// first call had come that far the second finds nothing to do, and [`Worktree::commits`] has the commit.
    ///
    /// # Errors
    /// [`WorkspaceError::NestedRepositories`] when files would be left out, `BadMessage`, or how git failed.
    pub async fn commit(&self, message: &str, author: &Identity) -> Result<Option<CommitId>> {
        if message.trim().is_empty() {
            return Err(WorkspaceError::BadMessage { why: "it is empty" });
        }
        if message.contains('\0') {
            return Err(WorkspaceError::BadMessage { why: "it holds a zero byte" });
        }
        let held = self.begin().await?;
        let changes = self.stage(&held).await?;
        let nested = |change: &Change| (change.kind == ChangeKind::Submodule).then(|| change.path.clone());
        let paths: Vec<PathBuf> = changes.iter().filter_map(nested).collect();
        if !paths.is_empty() {
            return Err(WorkspaceError::NestedRepositories { worktree: self.path().to_owned(), paths });
        }
        self.refuse_new_gitlinks().await?;
        let parent = self.tip().await?;
        let tree: CommitId = self.staged("writing the tree").argument("write-tree").text().await?.trim().parse()?;
        let before =
            self.in_git_dir("reading the tree").arguments(&["rev-parse", "--verify", "HEAD^{tree}"]).text().await?;
        if before.trim() == tree.as_str() {
            return Ok(None);
        }
        let commit: CommitId = self.write_commit(&tree, &parent, message, author).await?;
        self.in_git_dir("moving the run's branch")
            .arguments(&["update-ref", "-m", "commit"])
            .argument(format!("refs/heads/{BRANCH}"))
            .arguments(&[commit.as_str(), parent.as_str()])
            .effect()
            .await?;
        let (staging, index) = (self.git_dir.join(STAGING), self.git_dir.join("index"));
        std::fs::rename(&staging, &index).map_err(WorkspaceError::file("putting in place", &index))?;
        Ok(Some(commit))
    }

    async fn write_commit(
        &self,
        tree: &CommitId,
        parent: &CommitId,
        message: &str,
        author: &Identity,
    ) -> Result<CommitId> {
        let Identity { name, email } = author.cleaned();
        let mut message = message.trim_end().to_owned();
        message.push('\n');
        self.in_git_dir("writing the commit")
            .variable("GIT_AUTHOR_NAME", name.clone())
            .variable("GIT_AUTHOR_EMAIL", email.clone())
            .variable("GIT_COMMITTER_NAME", name)
            .variable("GIT_COMMITTER_EMAIL", email)
            .arguments(&["commit-tree", tree.as_str(), "-p", parent.as_str(), "-F", "-"])
            .input(message.into_bytes())
            .text()
            .await?
            .trim()
            .parse()
    }

    /// A git whose index is the one that is staged into.
    fn staged(&self, what: &'static str) -> Invocation {
        self.invoke(what).variable("GIT_INDEX_FILE", format!("{}/{STAGING}", self.git_dir_text))
    }

    /// Stages what differs from the last commit, and says what that is.
    async fn stage(&self, held: &Held) -> Result<Vec<Change>> {
        let changes = self.list_changes(held).await?;
        let (index, staging) = (self.git_dir.join("index"), self.git_dir.join(STAGING));
        let failed = WorkspaceError::file("copying the index to", &staging);
        blocking("copying the index", move || std::fs::copy(index, staging)).await.map_err(failed)?;
        let listed = |wanted: fn(&Change) -> bool| {
            let mut paths = Vec::new();
            for change in changes.iter().filter(|change| wanted(change)) {
                paths.extend_from_slice(lines::bytes(&change.path));
                paths.push(0);
            }
            paths
        };
        // Deletions come first: a file may now stand where a directory was.
        let deleted = listed(|change| change.kind == ChangeKind::Deleted);
        let written = listed(|change| {
            !matches!(change.kind, ChangeKind::Deleted | ChangeKind::Submodule) && change.new_mode != 0
        });
        for (options, paths) in [
            (["--force-remove", "-z", "--stdin"].as_slice(), deleted),
            (&["--add", "--replace", "--remove", "-z", "--stdin"], written),
        ] {
            if paths.is_empty() {
                continue;
            }
            let ended = self
                .staged("staging files")
                .argument("update-index")
                .arguments(options)
                .input(paths)
                .run()
                .await?
                .checked()?;
            // Git passes over names that would be a git directory on another file system, and goes on.
            let stderr = ended.captured.stderr_text();
            if let Some(path) = stderr.lines().find_map(|line| line.strip_prefix("Ignoring path ")) {
                return Err(WorkspaceError::PathRefused { path: path.into(), why: "git refuses a file of this name" });
            }
        }
        Ok(changes)
    }

    /// A file that became a repository after the listing must not be stored as a pointer.
    async fn refuse_new_gitlinks(&self) -> Result<()> {
        let output = self
            .staged("checking what is staged")
            .arguments(&["diff-index", "--cached", "--raw", "-z", "--no-renames", "HEAD", "--"])
            .bytes()
            .await?;
        let staged = parse_raw(&output).ok_or_else(|| WorkspaceError::Malformed {
            what: "checking what is staged",
            path: self.path().to_owned(),
            detail: String::from_utf8_lossy(&output).chars().take(200).collect(),
        })?;
        let paths: Vec<PathBuf> =
            staged.into_iter().filter(|raw| raw.new_mode == GITLINK).map(|raw| raw.path).collect();
        if paths.is_empty() {
            Ok(())
        } else {
            Err(WorkspaceError::NestedRepositories { worktree: self.path().to_owned(), paths })
        }
    }
}

/// Reads `<added>\t<deleted>\t<path>\0...`, with dashes for binary files.
fn parse_numstat(output: &[u8]) -> Option<DiffStats> {
    let mut stats = DiffStats::default();
    for record in lines::zero_ended(output) {
        let mut fields = record.splitn(3, |byte| *byte == b'\t');
        let mut count = || std::str::from_utf8(fields.next()?).ok();
        let (added, deleted) = (count()?, count()?);
        let path = lines::path(fields.next()?);
        let lines = if added == "-" { None } else { Some((added.parse().ok()?, deleted.parse().ok()?)) };
        let (insertions, deletions) = lines.unwrap_or((0, 0));
        stats.insertions += insertions;
        stats.deletions += deletions;
        stats.files.push(FileStats { path, lines });
    }
    Some(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_and_binary_files_have_none() {
        let stats = parse_numstat(b"3\t1\ta\tb\0-\t-\tx.png\0").unwrap();
        assert_eq!((stats.insertions, stats.deletions), (3, 1));
        assert_eq!(stats.files[0], FileStats { path: "a\tb".into(), lines: Some((3, 1)) });
        assert_eq!(stats.files[1].lines, None);
        assert_eq!(parse_numstat(b"x\0"), None);
    }
}
