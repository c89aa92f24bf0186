//! Taking a worktree back to a commit, and reading single files of it.

use std::path::{Path, PathBuf};

use crate::beneath::{self, Content, Entry};
use crate::error::{Result, WorkspaceError};
use crate::names::{CommitId, Identity};
use crate::remove::remove_tree;
use crate::repository::blocking;
use crate::worktree::Worktree;

impl Worktree {
    /// Makes the files those of `commit` (the base or a commit of this worktree) and the run's branch end there. New files
    /// are removed, nested repositories too; ignored files (`node_modules`, `.venv`) stay. Links are removed, never
    /// followed. The agent must not be running: what it writes meanwhile may survive.
    ///
    /// # Errors
    /// [`WorkspaceError::NotOurs`], or how git failed; a repeated call then goes on.
    pub async fn reset(&self, commit: &CommitId) -> Result<()> {
        self.check_ours(commit).await?;
        let _held = self.begin().await?;
        self.invoke("restoring the files").arguments(&["reset", "--hard", "--quiet", commit.as_str()]).effect().await?;
        self.remove_new_files().await
    }

    /// Makes the files those of `commit` as [`Self::reset`] does, and goes on from the last commit: what came after
    /// `commit` stays a commit of this worktree. Gives the commit that holds the files now.
    ///
    /// # Errors
    /// As [`Self::reset`].
    pub async fn restore(&self, commit: &CommitId, message: &str, author: &Identity) -> Result<CommitId> {
        self.check_ours(commit).await?;
        let held = self.begin().await?;
        let read_tree = ["read-tree", "--reset", "-u", commit.as_str()];
        self.invoke("restoring the files").arguments(&read_tree).effect().await?;
        self.remove_new_files().await?;
        drop(held);
        match self.commit(message, author).await? {
            Some(made) => Ok(made),
            None => self.tip().await,
        }
    }

    async fn remove_new_files(&self) -> Result<()> {
        self.invoke("removing new files").arguments(&["clean", "-f", "-f", "-d", "--quiet"]).effect().await?;
        let root = self.path().to_owned();
        let submodules = self.record.submodules.clone();
        blocking("emptying submodules", move || empty(&root, &submodules))
            .await
            .map_err(WorkspaceError::file("emptying the submodules of", self.path()))
    }

    /// The first `limit` bytes of a file of the worktree, as it is now. Neither the file nor a directory above it may be a
    /// link.
    ///
    /// # Errors
    /// [`WorkspaceError::PathRefused`] for a path that leads out or is no regular file, [`WorkspaceError::File`].
    pub async fn content(&self, path: &Path, limit: usize) -> Result<Content> {
        self.verify()?;
        let (root, relative) = (self.path().to_owned(), path.to_owned());
        let read = blocking("reading a file", move || beneath::content(&root, &relative, limit)).await;
        read.map_err(|error| match error.raw_os_error() {
            Some(nix::libc::ELOOP | nix::libc::ENOTDIR | nix::libc::EMLINK) => {
                WorkspaceError::PathRefused { path: path.to_owned(), why: "a symbolic link is on the way" }
            }
            None if error.kind() == std::io::ErrorKind::InvalidInput => WorkspaceError::PathRefused {
                path: path.to_owned(),
                why: "it leads out of the worktree or is no regular file",
            },
            _ => WorkspaceError::file("reading", path)(error),
        })
    }
}

/// Empties the directories of submodules, which git neither restores nor cleans.
fn empty(root: &Path, submodules: &[PathBuf]) -> std::io::Result<()> {
    for submodule in submodules {
        if !beneath::is_hollow(root, submodule)? && beneath::entry(root, submodule)? == Entry::Directory {
            let path = root.join(submodule);
            remove_tree(&path)?;
            std::fs::create_dir(&path)?;
        }
    }
    Ok(())
}
