//! A run's worktree: the agent's files with a `.git` of its own, and the daemon's git directory beside them.
//!
//! The daemon never reads the agent's `.git`. It knows the files through its own git directory, which only it writes to.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orx_protocol::process::Exit;

use crate::create::Places;
use crate::error::{Result, WorkspaceError};
use crate::git::{Git, Invocation, LONG, MARK};
use crate::layout::{Layout, object_directories};
use crate::lines;
use crate::names::CommitId;
use crate::record::{DirectoryMark, Record};
use crate::repository::{Repository, blocking};

/// A worktree that is there.
#[derive(Debug, Clone)]
pub struct Worktree {
    pub(crate) git: Git,
    pub(crate) record: Record,
    pub(crate) git_dir: PathBuf,
    /// The same as text, for arguments.
    pub(crate) git_dir_text: String,
}

/// The right to work in a worktree's git directory, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
}

/// Files that a git which was killed may leave behind, each the lock of one of its files.
const LOCKS: [&str; 6] =
    ["index.lock", "staging.lock", "HEAD.lock", "refs/heads/work.lock", "packed-refs.lock", "config.lock"];
/// How long another operation, or a git that is being killed, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

impl Worktree {
    /// Makes a worktree of `base` at `path` and the daemon's git directory for it at `git_dir`, both absolute. Called
    /// again after a crash half way it finishes what was begun; where both are there already it opens them. A `path` is
    /// made by one caller at a time.
    ///
    /// Submodules stay empty directories and large-file pointers stay pointers: filling them would run what a
    /// configuration names, and use the network.
    ///
    /// # Errors
    /// [`WorkspaceError::WorktreeExists`] or `Foreign` when something else is there, `ObjectsMissing` when the commit is
    /// not whole in the repository, `BadPlace`, or what could not be written.
    pub async fn create(
        git: &Git,
        repository: &Repository,
        base: &CommitId,
        path: &Path,
        git_dir: &Path,
    ) -> Result<Self> {
        let places = Places::of(path, git_dir)?;
        if let Some(found) = places.resume(git, base).await? {
            return Ok(found);
        }
        if repository.resolve(base.as_str()).await?.is_none() {
            return Err(WorkspaceError::ObjectsMissing {
                commit: base.to_string(),
                repository: repository.root().to_owned(),
            });
        }
        let settings = repository.settings().await?;
        let mut ignore_rules = settings.ignore_rules(git, repository.git_dir());
        ignore_rules.push(b'\n');
        let common = repository.common_dir().to_owned();
        let own = crate::beneath::regular_file(&common.join("info/exclude"), 1024 * 1024);
        ignore_rules.extend(own.map(|content| content.bytes).unwrap_or_default());
        let objects = common.join("objects");
        let layout = Layout {
            object_format: repository.object_format().to_owned(),
            alternates: object_directories(&objects).map_err(WorkspaceError::file("reading", &objects))?,
            commit: base.clone(),
            exact_bytes: true,
            ignore_rules,
            shallow: std::fs::read(common.join("shallow")).ok(),
            identity: None,
        };
        let agents = Layout { identity: Some(settings.identity(git)), ..layout.clone() };
        places.prepare(layout).await?;
        let half_made = Self {
            git: git.clone(),
            record: Record {
                base: base.clone(),
                worktree: path.to_owned(),
                repository: repository.root().to_owned(),
                token: orx_protocol::id::ulid_text(),
                directory: DirectoryMark { inode: 0, born_ns: 0 },
                submodules: Vec::new(),
            },
            git_dir: places.new_git_dir.clone(),
            git_dir_text: text(&places.new_git_dir)?,
        };
        half_made.check_out(&places.new_path, repository).await?;
        let submodules = half_made.find_submodules(&places.new_path).await?;
        let record = Record { submodules, ..half_made.record };
        places.finish(record, agents).await?;
        Self::open(git, path, git_dir).await
    }

    /// Opens a worktree after a restart: both parts must be there and belong together.
    ///
    /// # Errors
    /// [`WorkspaceError::WorktreeMissing`], [`WorkspaceError::Foreign`], [`WorkspaceError::Busy`] while a git of an
    /// earlier daemon still works there.
    pub async fn open(git: &Git, path: &Path, git_dir: &Path) -> Result<Self> {
        let missing = || WorkspaceError::WorktreeMissing { path: path.to_owned(), missing: git_dir.to_owned() };
        let worktree = Self::load(git, path, git_dir)?.ok_or_else(missing)?;
        worktree.verify()?;
        let held = worktree.hold().await?;
        worktree.wait_for_strays().await?;
        worktree.settle(&held).await?;
        Ok(worktree)
    }

    /// What is left of a worktree, for [`Worktree::remove`]: its directory may be gone, or another may be in its place.
    /// `None` when the daemon's side is gone.
    ///
    /// # Errors
    /// [`WorkspaceError::Foreign`] when the git directory belongs to another worktree, [`WorkspaceError::Busy`].
    pub async fn open_remains(git: &Git, path: &Path, git_dir: &Path) -> Result<Option<Self>> {
        let Some(worktree) = Self::load(git, path, git_dir)? else { return Ok(None) };
        let held = worktree.hold().await?;
        worktree.wait_for_strays().await?;
        drop(held);
        Ok(Some(worktree))
    }

    fn load(git: &Git, path: &Path, git_dir: &Path) -> Result<Option<Self>> {
        let git_dir_text = text(git_dir)?;
        let Some(record) = Record::load(git_dir).map_err(WorkspaceError::file("reading", git_dir))? else {
            return Ok(None);
        };
        if record.worktree != path {
            return Err(WorkspaceError::Foreign { path: git_dir.to_owned(), why: "it belongs to another worktree" });
        }
        Ok(Some(Self { git: git.clone(), record, git_dir: git_dir.to_owned(), git_dir_text }))
    }

    /// The agent's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.record.worktree
    }

    /// The daemon's git directory.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The commit that the worktree began from.
    #[must_use]
    pub fn base(&self) -> &CommitId {
        &self.record.base
    }

    /// Submodules of the base commit; their directories are left empty.
    #[must_use]
    pub fn submodules(&self) -> &[PathBuf] {
        &self.record.submodules
    }

    /// The last commit that orx made here, or the base.
    ///
    /// # Errors
    /// How git failed.
    pub async fn tip(&self) -> Result<CommitId> {
        self.in_git_dir("reading the last commit")
            .arguments(&["rev-parse", "--verify", "HEAD^{commit}"])
            .text()
            .await?
            .trim()
            .parse()
    }

    /// A hardened git on the daemon's git directory and the agent's files.
    pub(crate) fn invoke(&self, what: &'static str) -> Invocation {
        self.in_tree(what, self.path())
    }

    fn in_tree(&self, what: &'static str, tree: &Path) -> Invocation {
        self.git
            .hardened(what, tree)
            .shown_as(self.path())
            .variable(MARK, &self.git_dir_text)
            .argument(format!("--git-dir={}", self.git_dir_text))
            .argument("--work-tree=.")
            .deadline(LONG)
    }

    /// A hardened git on the daemon's git directory alone.
    pub(crate) fn in_git_dir(&self, what: &'static str) -> Invocation {
        self.git
            .hardened(what, &self.git_dir)
            .shown_as(self.path())
            .variable(MARK, &self.git_dir_text)
            .argument("--git-dir=.")
    }

    /// Whether the directory at the worktree's place is the one that was made.
    pub(crate) fn verify(&self) -> Result<()> {
        let path = self.path();
        let failed = |error| WorkspaceError::file("looking at", path)(error);
        if self.record.matches(path).map_err(failed)? {
            return Ok(());
        }
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => {
                Err(WorkspaceError::Foreign { path: path.to_owned(), why: "a symbolic link is in its place" })
            }
            Ok(_) => Err(WorkspaceError::Foreign { path: path.to_owned(), why: "another directory is in its place" }),
            Err(_) => Err(WorkspaceError::WorktreeMissing { path: path.to_owned(), missing: path.to_owned() }),
        }
    }

    /// Begins an operation: alone, on the right directory, with no lock of a dead git, and an index of the last commit.
    pub(crate) async fn begin(&self) -> Result<Held> {
        let held = self.hold().await?;
        self.verify()?;
        self.settle(&held).await?;
        Ok(held)
    }

    /// Takes the git directory for one operation. The kernel lets the lock go with the process, however it ends.
    pub(crate) async fn hold(&self) -> Result<Held> {
        let path = self.git_dir.join("orx.lock");
        let failed = |error| WorkspaceError::file("locking", &path)(error);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                Err(TryLockError::WouldBlock) => return Err(WorkspaceError::Busy { git_dir: self.git_dir.clone() }),
            }
        }
        self.remove_stale_locks().await?;
        Ok(Held { _lock: file })
    }

    async fn remove_stale_locks(&self) -> Result<()> {
        let stale: Vec<PathBuf> =
            LOCKS.iter().map(|name| self.git_dir.join(name)).filter(|path| path.exists()).collect();
        if stale.is_empty() {
            return Ok(());
        }
        self.wait_for_strays().await?;
        for path in stale {
            tracing::warn!(path = %path.display(), "removing the lock of a git that was killed");
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(WorkspaceError::file("removing", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits for a git that a killed daemon left at work in this git directory.
    async fn wait_for_strays(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mark = self.git_dir_text.clone();
            let strays = blocking("looking for processes", move || {
                Ok(orx_sandbox::tree::marked(MARK).remove(&mark).unwrap_or_default())
            })
            .await
            .map_err(WorkspaceError::file("looking for processes of", &self.git_dir))?;
            if strays.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(WorkspaceError::Busy { git_dir: self.git_dir.clone() });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Makes the index that of the last commit, which it is not when a commit or reset was cut short.
    async fn settle(&self, _held: &Held) -> Result<()> {
        let same = self
            .in_git_dir("reading the index")
            .arguments(&["diff-index", "--cached", "--quiet", "HEAD", "--"])
            .run()
            .await?;
        match same.captured.exit {
            Exit::Code(0) => return Ok(()),
            Exit::Code(1) => {}
            Exit::Code(_) | Exit::Signal(_) => {
                let index = self.git_dir.join("index");
                tracing::warn!(index = %index.display(), reason = same.captured.stderr_text(), "the index is made anew");
                match std::fs::remove_file(&index) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(WorkspaceError::file("removing", &index)(error));
                    }
                    _ => {}
                }
            }
        }
        self.invoke("restoring the index").arguments(&["read-tree", "-i", "-m", "HEAD"]).effect().await
    }

    async fn check_out(&self, tree: &Path, repository: &Repository) -> Result<()> {
        let ended = self
            .in_tree("checking out the base commit", tree)
            .arguments(&["reset", "--hard", "--quiet"])
            .argument(self.record.base.as_str())
            .run()
            .await?;
        let stderr = ended.captured.stderr_text();
        let lacks_objects = ["unable to read", "missing blob", "missing tree", "promisor", "bad object"];
        if !ended.is_success() && lacks_objects.iter().any(|sign| stderr.contains(sign)) {
            let commit = self.record.base.to_string();
            return Err(WorkspaceError::ObjectsMissing { commit, repository: repository.root().to_owned() });
        }
        ended.checked().map(drop)
    }

    async fn find_submodules(&self, tree: &Path) -> Result<Vec<PathBuf>> {
        let listing =
            self.in_tree("listing submodules", tree).arguments(&["ls-files", "--stage", "-z"]).bytes().await?;
        let path = |record: &[u8]| {
            let tab = record.iter().position(|byte| *byte == b'\t')?;
            record.starts_with(b"160000 ").then(|| lines::path(record.get(tab + 1..).unwrap_or_default()))
        };
        Ok(lines::zero_ended(&listing).filter_map(path).collect())
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| path.is_absolute() && !text.contains(['\n', '\0']));
    text.map(str::to_owned).ok_or_else(|| WorkspaceError::BadPlace { path: path.to_owned() })
}
