//! Giving the user's repository the run's branch. The one thing that is written there.
//!
//! The objects are packed in the daemon's git directory and copied; git itself does not run with the user's object store
//! or network settings, so a rewritten address, an upload command or a helper named in them is never looked at. Then one
//! reference is moved, with hooks off.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Result, WorkspaceError};
use crate::git::LONG;
use crate::lines;
use crate::names::{BranchName, CommitId, Identity};
use crate::repository::{Repository, blocking};
use crate::worktree::Worktree;

/// What publishing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The branch is new.
    Created,
    /// The branch moved forward.
    Advanced,
    /// The branch was there already.
    Unchanged,
}

/// How long a push may take: it is the network's.
const PUSH: Duration = Duration::from_secs(600);

impl Repository {
    /// Brings `commit`, one of the worktree's, into this repository as `branch`: made, or moved forward. Nothing else
    /// changes. A repeated call is harmless.
    ///
    /// # Errors
    /// [`WorkspaceError::BadBranch`], `BranchExists` when the branch has other commits, `BranchCheckedOut` when moving it
    /// would disturb a checkout, `BranchBlocked`, `NotOurs`, `ObjectsMissing` when the base is no longer in the repository.
    pub async fn publish(&self, worktree: &Worktree, branch: &str, commit: &CommitId) -> Result<Published> {
        let branch: BranchName = branch.parse()?;
        if self.resolve(worktree.base().as_str()).await?.is_none() {
            let commit = worktree.base().to_string();
            return Err(WorkspaceError::ObjectsMissing { commit, repository: self.root().to_owned() });
        }
        worktree.check_ours(commit).await?;
        let found = self.resolve(&branch.reference()).await?;
        match &found {
            Some(found) if found == commit => return Ok(Published::Unchanged),
            Some(found) => self.check_forward(worktree, &branch, found, commit).await?,
            None => self.check_free(&branch).await?,
        }
        self.import(worktree, commit).await?;
        self.check_connected(worktree, commit).await?;
        let before = found.as_ref().map_or_else(|| commit.zero(), ToString::to_string);
        let Identity { name, email } = self.identity().await?;
        self.invoke("moving the branch")
            .variable("GIT_COMMITTER_NAME", name)
            .variable("GIT_COMMITTER_EMAIL", email)
            .arguments(&["update-ref", "-m", "orx: publish", &branch.reference(), commit.as_str(), &before])
            .effect()
            .await?;
        Ok(if found.is_some() { Published::Advanced } else { Published::Created })
    }

    /// Moving or deleting a branch that is checked out somewhere would make that checkout look changed.
    async fn check_not_checked_out(&self, branch: &BranchName) -> Result<()> {
        let listing = self
            .invoke("looking for checkouts of the branch")
            .arguments(&["for-each-ref", "--format=%(worktreepath)", &branch.reference()])
            .bytes()
            .await?;
        let at = lines::only_path(&listing);
        if at == Path::new("") {
            Ok(())
        } else {
            Err(WorkspaceError::BranchCheckedOut { branch: branch.to_string(), at })
        }
    }

    async fn check_forward(
        &self,
        worktree: &Worktree,
        branch: &BranchName,
        found: &CommitId,
        commit: &CommitId,
    ) -> Result<()> {
        self.check_not_checked_out(branch).await?;
        let forward = worktree
            .in_git_dir("comparing the branch")
            .arguments(&["merge-base", "--is-ancestor", found.as_str(), commit.as_str()])
            .run()
            .await?;
        // A commit that the daemon's side has not is none of the run's either.
        forward.is_success().then_some(()).ok_or_else(|| WorkspaceError::BranchExists {
            branch: branch.to_string(),
            repository: self.root().to_owned(),
            found: found.to_string(),
            commit: commit.to_string(),
        })
    }

    /// A reference is a file, so `orx` and `orx/1` cannot both be there.
    async fn check_free(&self, branch: &BranchName) -> Result<()> {
        let listing = self
            .invoke("listing branches")
            .arguments(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"])
            .text()
            .await?;
        let beneath = format!("{branch}/");
        let in_the_way =
            |other: &&str| other.starts_with(&beneath) || branch.as_str().starts_with(&format!("{other}/"));
        match listing.lines().find(in_the_way) {
            None => Ok(()),
            Some(other) => Err(WorkspaceError::BranchBlocked {
                branch: branch.to_string(),
                other: other.to_owned(),
                repository: self.root().to_owned(),
            }),
        }
    }

    /// Puts the run's objects into the object store.
    async fn import(&self, worktree: &Worktree, commit: &CommitId) -> Result<()> {
        let out = worktree.git_dir.join("outgoing");
        let failed = |error| WorkspaceError::file("preparing", &out)(error);
        crate::remove::remove_tree(&out).map_err(failed)?;
        fs::create_dir(&out).map_err(failed)?;
        worktree
            .in_git_dir("packing the commits")
            .arguments(&["pack-objects", "--revs", "--quiet", "outgoing/pack"])
            .input(format!("{commit}\n^{}\n", worktree.base()).into_bytes())
            .deadline(LONG)
            .effect()
            .await?;
        let store = self.common_dir().join("objects/pack");
        let failed = WorkspaceError::file("copying the commits to", &store);
        blocking("copying the commits", move || {
            copy_packs(&out, &store).and_then(|()| crate::remove::remove_tree(&out))
        })
        .await
        .map_err(failed)
    }

    /// Everything the commit needs must be readable here before a reference names it.
    async fn check_connected(&self, worktree: &Worktree, commit: &CommitId) -> Result<()> {
        let walked = self
            .invoke("checking the commits")
            .arguments(&["rev-list", "--objects", "--quiet", "--end-of-options", commit.as_str()])
            .argument(format!("^{}", worktree.base()))
            .deadline(LONG)
            .run()
            .await?;
        walked.is_success().then_some(()).ok_or_else(|| WorkspaceError::ObjectsMissing {
            commit: commit.to_string(),
            repository: self.root().to_owned(),
        })
    }

    /// Whether some reference of the repository has this commit in its history.
    pub(crate) async fn has_on_a_reference(&self, commit: &CommitId) -> Result<bool> {
        if self.resolve(commit.as_str()).await?.is_none() {
            return Ok(false);
        }
        let listing = self
            .invoke("looking for the commits")
            .arguments(&["for-each-ref", "--count=1", "--contains", commit.as_str()])
            .arguments(&["refs/heads", "refs/remotes", "refs/tags"])
            .deadline(LONG)
            .bytes()
            .await?;
        Ok(!listing.is_empty())
    }

    /// Deletes a branch if it is still at `commit`.
    ///
    /// # Errors
    /// [`WorkspaceError::BranchExists`] when it has moved, `BranchCheckedOut`, or how git failed.
    pub async fn delete_branch(&self, branch: &str, commit: &CommitId) -> Result<()> {
        let branch: BranchName = branch.parse()?;
        match self.resolve(&branch.reference()).await? {
            None => return Ok(()),
            Some(found) if found == *commit => {}
            Some(found) => {
                return Err(WorkspaceError::BranchExists {
                    branch: branch.to_string(),
                    repository: self.root().to_owned(),
                    found: found.to_string(),
                    commit: commit.to_string(),
                });
            }
        }
        self.check_not_checked_out(&branch).await?;
        self.invoke("deleting the branch")
            .arguments(&["update-ref", "-d", &branch.reference(), commit.as_str()])
            .effect()
            .await
    }

    /// Checks that the repository has a remote of that name; it is not called.
    ///
    /// # Errors
    /// [`WorkspaceError::RemoteMissing`] with those there are.
    pub async fn check_remote(&self, remote: &str) -> Result<()> {
        let settings = self.settings().await?;
        let mut available = settings.subsections("remote", "url");
        available.extend(settings.subsections("remote", "pushurl"));
        available.sort();
        available.dedup();
        if available.iter().any(|name| name == remote) && !remote.starts_with('-') {
            return Ok(());
        }
        Err(WorkspaceError::RemoteMissing { name: remote.to_owned(), repository: self.root().to_owned(), available })
    }

    /// Pushes a branch to a remote, as the user: with the user's settings, credentials and environment, but no hook. Only
    /// on the user's explicit wish, since those settings may name programs.
    ///
    /// # Errors
    /// [`WorkspaceError::RemoteMissing`], `BaseMissing`, or what git and the remote said.
    pub async fn push(&self, remote: &str, branch: &str) -> Result<()> {
        let branch: BranchName = branch.parse()?;
        self.check_remote(remote).await?;
        if self.resolve(&branch.reference()).await?.is_none() {
            self.branch(branch.as_str()).await?;
        }
        self.git
            .as_user("pushing the branch", self.git_dir(), &[""])
            .shown_as(self.root())
            .setting("core.hooksPath", "/dev/null")
            .arguments(&["--git-dir=.", "push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed"])
            .arguments(&["--recurse-submodules=no", "--end-of-options", remote])
            .argument(format!("{0}:{0}", branch.reference()))
            .deadline(PUSH)
            .effect()
            .await
    }
}

/// Copies packs in git's own order: the index last, since that is what makes a pack seen.
fn copy_packs(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(from)? {
        files.push(entry?.path());
    }
    files.sort_by_key(|path| path.extension().is_some_and(|extension| extension == "idx"));
    for file in files {
        let Some(name) = file.file_name() else { continue };
        let target = to.join(name);
        if target.exists() {
            continue;
        }
        // Git's own name for files in the making: its housekeeping removes what a crash leaves.
        let temporary = to.join(format!("tmp_pack_{}", orx_protocol::id::ulid_text()));
        let copied = (|| {
            let mut new = File::options().write(true).create_new(true).open(&temporary)?;
            std::io::copy(&mut File::open(&file)?, &mut new)?;
            new.set_permissions(fs::Permissions::from_mode(0o444))?;
            new.sync_all()?;
            fs::rename(&temporary, &target)
        })();
        if copied.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        copied?;
    }
    File::open(to)?.sync_all()
}
