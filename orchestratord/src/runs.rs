//! Which runs are at work: the pipeline drives them, this decides when, and takes them up again after a restart.

use orx_engines::{Context, EngineKind};
use orx_pipeline::{Parts, Pipeline};
use orx_protocol::api::run::{Artifact, Cleaned, ListParams, Run, StartParams, Started};
use orx_protocol::places::Places;
use orx_protocol::{RpcError, RunId, SessionId};
use orx_store::{Store, runs as table};
use orx_workspace::{Git, Repository, Worktree};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sessions::Sessions;
use crate::sessions::host::Host;

/// Rules that keep a run's files out of the user's status, in `.git/info/exclude`.
const EXCLUDED: [&str; 2] = ["/runs/", "/.worktrees/"];
/// How long to wait before a run is driven again whose state could not be read or saved.
const AGAIN: Duration = Duration::from_secs(5);

/// All runs of the daemon. Clones serve the same ones.
#[derive(Clone)]
pub struct Runs(Arc<Inner>);

struct Inner {
    store: Store,
    host: Host,
    engines: RwLock<Context>,
    repositories: PathBuf,
    /// Made when the first run needs it, so that a machine without git has a daemon too.
    pipeline: OnceCell<Pipeline<Host>>,
    permits: Arc<Semaphore>,
    draining: CancellationToken,
    tasks: TaskTracker,
}

impl Runs {
    /// The runs recorded in `store`; at most `concurrent` are at work at once.
    #[must_use]
    pub fn new(
        store: Store,
        sessions: Sessions,
        engines: Context,
        places: &Places,
        concurrent: usize,
        draining: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            host: Host::new(sessions, draining.clone()),
            engines: RwLock::new(engines),
            repositories: places.repositories(),
            pipeline: OnceCell::new(),
            permits: Arc::new(Semaphore::new(concurrent)),
            draining,
            tasks,
        }))
    }

    fn engines(&self) -> Context {
        self.0.engines.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other engine settings in force, for stages that start from now on.
    pub fn reload(&self, engines: Context) {
        if let Some(pipeline) = self.0.pipeline.get() {
            pipeline.set_engines(engines.clone());
        }
        *self.0.engines.write().unwrap_or_else(PoisonError::into_inner) = engines;
    }

    async fn git(&self) -> Result<Git, RpcError> {
        Ok(Git::locate(&self.engines().environment).await?)
    }

    async fn pipeline(&self) -> Result<&Pipeline<Host>, RpcError> {
        let make = || async {
            let parts = Parts {
                store: self.0.store.clone(),
                git: self.git().await?,
                engines: self.engines(),
                repositories: self.0.repositories.clone(),
                host: self.0.host.clone(),
            };
            Ok(Pipeline::new(parts))
        };
        self.0.pipeline.get_or_try_init(make).await
    }

    /// Drives a run to its end, as a task of the daemon, once there is room for it.
    fn drive(&self, run: RunId) {
        let runs = self.clone();
        self.0.tasks.spawn(async move {
            let draining = runs.0.draining.clone();
            let permit = tokio::select! {
                () = draining.cancelled() => return,
                permit = Arc::clone(&runs.0.permits).acquire_owned() => permit,
            };
            loop {
                match runs.drive_once(run).await {
                    Ok(()) => break,
                    Err(error) => tracing::error!(%run, %error, "A run cannot go on; it is tried again shortly."),
                }
                tokio::select! {
                    () = draining.cancelled() => break,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
            drop(permit);
        });
    }

    async fn drive_once(&self, run: RunId) -> Result<(), RpcError> {
        let state = self.pipeline().await?.drive(run, self.0.draining.clone()).await?;
        tracing::info!(%run, state = state.as_str(), "A run stands still.");
        Ok(())
    }

    /// Takes up every run that was at work when the last daemon ended; gives how many. The files of runs that ended at that
    /// very moment are brought in line beside it.
    pub async fn take_up(&self) -> usize {
        let runs = self.clone();
        self.0.tasks.spawn(async move {
            let mended = async { runs.pipeline().await?.mend().await.map_err(RpcError::from) };
            if let Err(error) = mended.await {
                tracing::warn!(%error, "The files of ended runs could not be brought in line with their records.");
            }
        });
        match self.0.store.read(table::unfinished).await {
            Ok(rows) => {
                rows.iter().for_each(|row| self.drive(row.run));
                rows.len()
            }
            Err(error) => {
                tracing::error!(%error, "The runs that were at work cannot be read.");
                0
            }
        }
    }

    /// How many runs are at work.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn unfinished(&self) -> Result<usize, RpcError> {
        Ok(self.0.store.read(table::unfinished).await?.len())
    }

    /// Where the settings of a repository belong, and a commented text for them. Without an engine the first that is
    /// installed is named.
    ///
    /// # Errors
    /// As the repository cannot be opened; `InvalidParams` for an engine that does not exist.
    pub async fn settings_template(&self, directory: &str, engine: Option<&str>) -> Result<(String, String), RpcError> {
        let repository = Repository::open(&self.git().await?, Path::new(directory)).await?;
        let engines = self.engines();
        let kind = match engine {
            Some(name) => name.parse::<EngineKind>()?,
            None => EngineKind::ALL
                .into_iter()
                .find(|kind| kind.program().is_some() && orx_engines::locate(*kind, &engines).is_ok())
                .unwrap_or(EngineKind::Claude),
        };
        let root = repository.root();
        let text = orx_pipeline::init_file(kind, root, engines.environment.get("PATH").map(String::as_str));
        Ok((root.join("orx.yaml").to_string_lossy().into_owned(), text))
    }

    /// Makes a worktree of the repository around `directory` for a session; gives the same directory within it.
    ///
    /// # Errors
    /// As the repository cannot be opened or the worktree not be made.
    pub async fn session_worktree(&self, directory: &str) -> Result<String, RpcError> {
        let git = self.git().await?;
        let repository = Repository::open(&git, Path::new(directory)).await?;
        let head = repository.head().await?;
        repository.exclude(&EXCLUDED).await?;
        let name = SessionId::generate().to_string();
        let path = repository.root().join(".worktrees").join(&name);
        let worktree =
            Worktree::create(&git, &repository, &head.commit, &path, &self.0.repositories.join(format!("{name}.git")))
                .await?;
        // The repository's own path has no symbolic link and no `..`, this one may.
        let directory = tokio::fs::canonicalize(directory).await.unwrap_or_else(|_| directory.into());
        let below = directory.strip_prefix(repository.root()).unwrap_or_else(|_| Path::new(""));
        // A directory that no commit holds is not there; the nearest one that is serves.
        let wanted = worktree.path().join(below);
        let there = wanted.ancestors().find(|path| path.is_dir()).unwrap_or(worktree.path());
        Ok(there.to_string_lossy().into_owned())
    }

    /// Worktrees of the repository around a directory: path and branch. None where there is no repository.
    ///
    /// # Errors
    /// When git fails.
    pub async fn worktrees_of(&self, directory: &str) -> Result<Vec<(String, Option<String>)>, RpcError> {
        let Ok(repository) = Repository::open(&self.git().await?, Path::new(directory)).await else {
            return Ok(Vec::new());
        };
        let found = repository.worktrees().await?;
        Ok(found.into_iter().map(|(path, branch)| (path.to_string_lossy().into_owned(), branch)).collect())
    }

    /// The worktree of orx's own that a directory is in; `None` for a directory of a person's own.
    ///
    /// # Errors
    /// When it is there and cannot be used.
    pub async fn worktree_around(&self, directory: &str) -> Result<Option<Worktree>, RpcError> {
        for path in Path::new(directory).ancestors() {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let git_dir = self.0.repositories.join(format!("{}.git", name.to_string_lossy()));
            if parent.ends_with(".worktrees") && git_dir.is_dir() {
                return Ok(Some(Worktree::open(&self.git().await?, path, &git_dir).await?));
            }
        }
        Ok(None)
    }

    /// Accepts a run and puts it to work.
    ///
    /// # Errors
    /// As the pipeline refuses it; nothing was made then.
    pub async fn start(&self, params: StartParams) -> Result<Started, RpcError> {
        let started = self.pipeline().await?.start(params).await?;
        self.drive(started.run);
        Ok(started)
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn list(&self, params: ListParams) -> Result<Vec<Run>, RpcError> {
        Ok(self.pipeline().await?.list(params).await?)
    }

    /// One run.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, run: RunId) -> Result<Run, RpcError> {
        Ok(self.pipeline().await?.get(run).await?)
    }

    /// Waits until a run stands still, at most `limit`; gives it as it is then.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn wait(&self, run: RunId, limit: Duration) -> Result<Run, RpcError> {
        let mut head = self.0.store.head();
        let waiting = async {
            loop {
                head.mark_unchanged();
                let now = self.get(run).await?;
                if now.state.is_final() || head.changed().await.is_err() {
                    return Ok(now);
                }
            }
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(outcome) => outcome,
            Err(_) => self.get(run).await,
        }
    }

    /// Ends a run and what it has under way.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it stands still already.
    pub async fn cancel(&self, run: RunId) -> Result<Run, RpcError> {
        Ok(self.pipeline().await?.cancel(run).await?)
    }

    /// Takes a run up where it stopped.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it is done, at work, or its worktree was removed.
    pub async fn resume(&self, run: RunId) -> Result<Run, RpcError> {
        let resumed = self.pipeline().await?.resume(run).await?;
        self.drive(run);
        Ok(resumed)
    }

    /// Removes a run's worktree and files.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it is at work.
    pub async fn clean(&self, run: RunId, force: bool) -> Result<Cleaned, RpcError> {
        Ok(self.pipeline().await?.clean(run, force).await?)
    }

    /// Reads a file of a run.
    ///
    /// # Errors
    /// `NotFound`; `InvalidParams` for a path that leaves the run's directory.
    pub async fn artifact(&self, run: RunId, path: &str) -> Result<Artifact, RpcError> {
        Ok(self.pipeline().await?.artifact(run, path).await?)
    }
}
