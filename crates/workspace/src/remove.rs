//! Removing a worktree: only what orx made, and only when nothing is lost by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::create::beside;
use crate::error::{Result, WorkspaceError};
use crate::repository::{Repository, blocking};
use crate::worktree::Worktree;

/// What became of a worktree that was to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// The daemon's side is gone; there was no directory at the worktree's place any more.
    WasMissing,
    /// It is as it was.
    Kept(KeptReason),
}

/// Why a worktree was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptReason {
    /// It holds changes that are in no commit.
    Uncommitted {
        /// How many paths.
        paths: usize,
    },
    /// It holds commits that no branch of the user's repository has.
    Unpublished {
        /// How many.
        commits: usize,
    },
    /// The directory at its place is not the one that orx made.
    Foreign,
    /// The user's repository could not be asked whether it has the commits.
    RepositoryUnreadable {
        /// Why.
        why: String,
    },
}

impl std::fmt::Display for KeptReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uncommitted { paths: 1 } => write!(f, "one changed file is in no commit"),
            Self::Uncommitted { paths } => write!(f, "{paths} changed files are in no commit"),
            Self::Unpublished { commits: 1 } => write!(f, "one commit is on no branch of the repository"),
            Self::Unpublished { commits } => write!(f, "{commits} commits are on no branch of the repository"),
            Self::Foreign => write!(f, "the directory there is not the one that orx made"),
            Self::RepositoryUnreadable { why } => write!(f, "the repository could not be asked for the commits: {why}"),
        }
    }
}

impl Worktree {
    /// Removes the worktree and the daemon's git directory for it. Without `force` it is kept when that would lose
    /// changes or commits. A directory that orx did not make is kept in either case. A repeated call finishes what a
    /// crash cut short.
    ///
    /// # Errors
    /// What could not be read or removed.
    pub async fn remove(&self, force: bool) -> Result<Removal> {
        let path = self.path().to_owned();
        let going = beside(&path, ".orx-removing").ok_or_else(|| WorkspaceError::BadPlace { path: path.clone() })?;
        let failed = |error| WorkspaceError::file("removing", &path)(error);
        if !self.git_dir.exists() {
            return Ok(Removal::WasMissing);
        }
        let is_going = self.record.matches(&going).map_err(failed)?;
        let is_there = fs::symlink_metadata(&path).is_ok();
        if is_there && !self.record.matches(&path).map_err(failed)? {
            return Ok(Removal::Kept(KeptReason::Foreign));
        }
        if !force
            && !is_going
            && let Some(reason) = self.would_lose(is_there).await?
        {
            return Ok(Removal::Kept(reason));
        }
        let held = self.hold().await?;
        if is_there {
            // Under another name first: a removal that is cut short leaves nothing that looks like a worktree.
            fs::rename(&path, &going).map_err(failed)?;
        }
        let git_dir = self.git_dir.clone();
        let git_dir_going =
            beside(&git_dir, ".orx-removing").ok_or_else(|| WorkspaceError::BadPlace { path: git_dir.clone() })?;
        let remove_going = is_there || is_going;
        blocking("removing the worktree", move || {
            if remove_going {
                remove_tree(&going)?;
            }
            // A record is there whole or not at all.
            remove_tree(&git_dir_going)?;
            fs::rename(&git_dir, &git_dir_going)?;
            remove_tree(&git_dir_going)
        })
        .await
        .map_err(failed)?;
        drop(held);
        Ok(if remove_going { Removal::Removed } else { Removal::WasMissing })
    }

    async fn would_lose(&self, is_there: bool) -> Result<Option<KeptReason>> {
        // The base commit's objects are the repository's: without it, not even the worktree's own can be told apart.
        let repository = match Repository::open(&self.git, &self.record.repository).await {
            Ok(repository) => repository,
            Err(error) => return Ok(Some(KeptReason::RepositoryUnreadable { why: error.to_string() })),
        };
        if is_there {
            let paths = self.changes().await?.len();
            if paths > 0 {
                return Ok(Some(KeptReason::Uncommitted { paths }));
            }
        }
        let commits = self.commits().await?;
        match commits.last() {
            Some(last) if !repository.has_on_a_reference(&last.commit).await? => {
                Ok(Some(KeptReason::Unpublished { commits: commits.len() }))
            }
            Some(_) | None => Ok(None),
        }
    }
}

/// Removes a tree without following links; what is not there counts as removed. Directories that their owner may not
/// write to, as some package caches are, are opened up first.
pub(crate) fn remove_tree(path: &Path) -> std::io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn open_up(path: &Path) -> std::io::Result<()> {
    let mut next: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(directory) = next.pop() {
        if !fs::symlink_metadata(&directory)?.is_dir() {
            continue;
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                next.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_directories_are_opened_and_links_are_not_gone_through() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree/a/b");
        let outside = scratch.path().join("outside");
        fs::create_dir_all(&tree).unwrap();
        fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
        for closed in [&tree, &outside] {
            fs::set_permissions(closed, fs::Permissions::from_mode(0o555)).unwrap();
        }
        open_up(&scratch.path().join("tree")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&tree), mode(&outside)), (0o700, 0o555));
        remove_tree(&scratch.path().join("tree")).unwrap();
        remove_tree(&scratch.path().join("tree")).unwrap();
        assert!(outside.exists());
    }
}
