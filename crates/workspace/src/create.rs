//! The places of a worktree that is being made, and what a crash half way may have left there.
//!
//! Both parts are made under other names and then renamed: the daemon's git directory first, so that a worktree in its
//! place always has a record.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, WorkspaceError};
use crate::git::Git;
use crate::layout::Layout;
use crate::names::CommitId;
use crate::record::{self, DirectoryMark, Record};
use crate::remove::remove_tree;
use crate::repository::blocking;
use crate::worktree::Worktree;

/// Where the parts of one worktree are, and where they are made.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    path: PathBuf,
    git_dir: PathBuf,
    pub(crate) new_path: PathBuf,
    pub(crate) new_git_dir: PathBuf,
}

/// `.<name><suffix>` beside `path`.
pub(crate) fn beside(path: &Path, suffix: &str) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name()?);
    name.push(suffix);
    Some(path.parent()?.join(name))
}

impl Places {
    pub(crate) fn of(path: &Path, git_dir: &Path) -> Result<Self> {
        let making = |path: &Path| {
            let refused = || WorkspaceError::BadPlace { path: path.to_owned() };
            if path.is_absolute() { beside(path, ".orx-creating").ok_or_else(refused) } else { Err(refused()) }
        };
        Ok(Self {
            path: path.to_owned(),
            git_dir: git_dir.to_owned(),
            new_path: making(path)?,
            new_git_dir: making(git_dir)?,
        })
    }

    /// Finishes or opens what an earlier call made; `None` when all is to be made.
    pub(crate) async fn resume(&self, git: &Git, base: &CommitId) -> Result<Option<Worktree>> {
        let failed = |error| WorkspaceError::file("looking at", &self.git_dir)(error);
        let Some(record) = Record::load(&self.git_dir).map_err(failed)? else {
            for place in [&self.path, &self.git_dir] {
                if fs::symlink_metadata(place).is_ok() {
                    return Err(WorkspaceError::WorktreeExists { path: place.clone() });
                }
            }
            return Ok(None);
        };
        if record.base != *base || record.worktree != self.path {
            return Err(WorkspaceError::WorktreeExists { path: self.git_dir.clone() });
        }
        let failed = |error| WorkspaceError::file("looking at", &self.path)(error);
        if fs::symlink_metadata(&self.path).is_err() {
            if record.matches(&self.new_path).map_err(failed)? {
                fs::rename(&self.new_path, &self.path).map_err(WorkspaceError::file("putting in place", &self.path))?;
            } else {
                let reference = self.git_dir.join("refs/heads").join(crate::layout::BRANCH);
                let tip = fs::read_to_string(&reference).map_err(WorkspaceError::file("reading", &reference))?;
                if tip.trim() != base.as_str() {
                    return Err(WorkspaceError::WorktreeMissing {
                        path: self.path.clone(),
                        missing: self.path.clone(),
                    });
                }
                // Somebody deleted a worktree that nothing was committed from: it is made again.
                let git_dir = self.git_dir.clone();
                blocking("removing", move || remove_tree(&git_dir)).await.map_err(failed)?;
                return Ok(None);
            }
        }
        Worktree::open(git, &self.path, &self.git_dir).await.map(Some)
    }

    /// Clears what a crash left and makes the new git directory and an empty new worktree.
    pub(crate) async fn prepare(&self, layout: Layout) -> Result<()> {
        let places = self.clone();
        let failed = WorkspaceError::file("preparing the worktree", &self.path);
        blocking("preparing the worktree", move || {
            for (place, new) in [(&places.git_dir, &places.new_git_dir), (&places.path, &places.new_path)] {
                let parent = place.parent().unwrap_or(Path::new("/"));
                fs::create_dir_all(parent)?;
                // A link in its place would put the worktree wherever it points.
                if !fs::symlink_metadata(parent)?.is_dir() {
                    return Err(std::io::Error::other(format!("{} is not a directory of its own", parent.display())));
                }
                remove_tree(new)?;
            }
            layout.write(&places.new_git_dir)?;
            fs::set_permissions(&places.new_git_dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
            fs::create_dir(&places.new_path)
        })
        .await
        .map_err(failed)
    }

    /// Gives the agent its `.git`, writes the record, and puts both parts in their places.
    pub(crate) async fn finish(&self, record: Record, agents: Layout) -> Result<()> {
        let places = self.clone();
        let failed = WorkspaceError::file("putting in place", &self.path);
        blocking("putting the worktree in place", move || {
            let agents_git = places.new_path.join(".git");
            agents.write(&agents_git)?;
            // The files are known to both indexes by the same facts of the file system.
            fs::copy(places.new_git_dir.join("index"), agents_git.join("index"))?;
            fs::write(agents_git.join(record::TOKEN_FILE), &record.token)?;
            let directory = DirectoryMark::of(&places.new_path)?
                .ok_or_else(|| std::io::Error::other("the new worktree was taken away"))?;
            let record = Record { directory, ..record };
            orx_sandbox::file::replace(&places.new_git_dir.join(record::FILE), &record.to_bytes())?;
            for (new, place) in [(&places.new_git_dir, &places.git_dir), (&places.new_path, &places.path)] {
                fs::rename(new, place)?;
                fs::File::open(place.parent().unwrap_or(Path::new("/")))?.sync_all()?;
            }
            Ok(())
        })
        .await
        .map_err(failed)
    }
}
