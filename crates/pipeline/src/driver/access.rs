//! Looking at runs, ending them, taking them up again, removing what they left, reading their files.

use std::io::Read;
use std::path::{Component, Path};

use orx_engines::remove_private_home;
use orx_protocol::RunId;
use orx_protocol::api::run::{Artifact, Cleaned, ListParams, Run};
use orx_store::runs;
use orx_workspace::{Removal, Worktree};

use super::effects::Performed;
use super::{Loaded, Pipeline, Place};
use crate::error::PipelineError;
use crate::files::RunFiles;
use crate::machine::{Input, Stage};
use crate::port::SessionHost;
use crate::record::Record;

/// Bytes of a file that one answer carries: escaped, it still fits a frame.
const ARTIFACT: u64 = 128 * 1024;
/// Runs that are listed where nobody says how many.
const LISTED: u32 = 50;
/// Most runs that are listed.
const LISTED_MOST: u32 = 1000;

impl<H: SessionHost> Pipeline<H> {
    /// A run as it is now.
    ///
    /// # Errors
    /// [`PipelineError::NoRun`], or as the store cannot be read.
    pub async fn get(&self, run: RunId) -> Result<Run, PipelineError> {
        Ok(self.load(run).await?.record.shown())
    }

    /// Runs, newest first, in brief: the task is cut, and of stages and gates only the last stage and the verification of
    /// the whole are told. [`Pipeline::get`] tells all.
    ///
    /// # Errors
    /// [`PipelineError::Invalid`] for a limit out of bounds, or as the store cannot be read.
    pub async fn list(&self, params: ListParams) -> Result<Vec<Run>, PipelineError> {
        let limit = params.limit.unwrap_or(LISTED);
        if !(1..=LISTED_MOST).contains(&limit) {
            return Err(PipelineError::invalid(
                format!("the limit {limit} is out of bounds"),
                format!("give 1 to {LISTED_MOST}"),
            ));
        }
        // The same repository may be named by any directory in it, also when it is gone by now.
        let repository = match params.repository {
            Some(directory) => Some(match self.repository(&directory).await {
                Ok(repository) => repository.root().to_string_lossy().into_owned(),
                Err(error @ PipelineError::Invalid { .. }) => return Err(error),
                Err(_) => directory,
            }),
            None => None,
        };
        let rows = self.parts().store.read(move |reader| runs::list(reader, repository.as_deref(), limit)).await?;
        rows.iter().map(|row| Record::read(row.run, &row.body).map(|record| record.brief())).collect()
    }

    /// Runs that are at work: what a restarted daemon drives again.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<RunId>, PipelineError> {
        let rows = self.parts().store.read(runs::unfinished).await?;
        Ok(rows.into_iter().map(|row| row.run).collect())
    }

    /// Ends a run and what it has under way. Returns it as it is then.
    ///
    /// # Errors
    /// [`PipelineError::State`] when it stands still already.
    pub async fn cancel(&self, run: RunId) -> Result<Run, PipelineError> {
        loop {
            let loaded = self.load(run).await?;
            refuse_ended(&loaded)?;
            let driven = self.active().get(&run).cloned();
            if let Some(driven) = driven {
                driven.cancel.cancel();
                driven.gone.cancelled().await;
                let now = self.load(run).await?;
                // A driver that was let go at this very moment leaves the run as it is: then it is ended here.
                if now.row.state.is_final() {
                    return Ok(now.record.shown());
                }
                continue;
            }
            let Some(_place) = self.take_place(run) else { continue };
            let mut loaded = self.load(run).await?;
            refuse_ended(&loaded)?;
            let mut performed = Performed::of(Input::Cancel);
            if let Some(session) = loaded.record.machine.session() {
                performed.warnings.extend(self.end_session(session).await);
            }
            let mut files = self.open_files(&loaded).await?;
            self.advance(&mut loaded, performed, &mut files).await?;
            return Ok(loaded.record.shown());
        }
    }

    /// The place of a run's driver, `None` when the run is at work. Who has just been told of a run's end finds its driver
    /// still there, about to leave: that is waited for.
    async fn place_of_ended(&self, run: RunId) -> Result<Option<Place<H>>, PipelineError> {
        loop {
            if let Some(place) = self.take_place(run) {
                return Ok(Some(place));
            }
            if !self.load(run).await?.row.state.is_final() {
                return Ok(None);
            }
            let driven = self.active().get(&run).cloned();
            if let Some(driven) = driven {
                driven.gone.cancelled().await;
            }
        }
    }

    /// Takes up a run that failed or was cancelled; one that was interrupted needs nothing but to be driven. The caller
    /// drives it then.
    ///
    /// # Errors
    /// [`PipelineError::State`] when it is done, or its worktree was removed.
    pub async fn resume(&self, run: RunId) -> Result<Run, PipelineError> {
        let Some(_place) = self.place_of_ended(run).await? else {
            return Err(PipelineError::state(format!("run {run} is at work"), "wait for it with `run.wait`"));
        };
        let mut loaded = self.load(run).await?;
        if !loaded.row.state.is_final() {
            return Ok(loaded.record.shown());
        }
        if loaded.record.machine.stage == Stage::Done {
            return Err(PipelineError::state(format!("run {run} is done"), "start another run"));
        }
        if loaded.record.is_cleaned {
            return Err(PipelineError::state(format!("the worktree of run {run} was removed"), "start another run"));
        }
        let mut files = self.open_files(&loaded).await?;
        self.advance(&mut loaded, Performed::of(Input::Resume), &mut files).await?;
        Ok(loaded.record.shown())
    }

    /// Removes the worktree and the files of a run that stands still. Its record and its branch stay. What holds work
    /// that is on no branch is kept, unless `force`.
    ///
    /// # Errors
    /// [`PipelineError::State`] when it is at work, or what could not be removed.
    pub async fn clean(&self, run: RunId, force: bool) -> Result<Cleaned, PipelineError> {
        let at_work = || PipelineError::state(format!("run {run} is at work"), "end it with `run.cancel` first");
        let Some(_place) = self.place_of_ended(run).await? else { return Err(at_work()) };
        let mut loaded = self.load(run).await?;
        if !loaded.row.state.is_final() {
            return Err(at_work());
        }
        let branch = self.published(&loaded.record).await;
        let mut cleaned = Cleaned { removed: Vec::new(), kept: Vec::new(), branch };
        if loaded.record.has_worktree
            && !loaded.record.is_cleaned
            && !self.remove_tree(&loaded.record, force, &mut cleaned).await?
        {
            return Ok(cleaned);
        }
        let directory = loaded.record.directory();
        let removing = directory.clone();
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(&removing)).await;
        match removed.map_err(std::io::Error::other).and_then(|outcome| outcome) {
            Ok(()) => cleaned.removed.push(directory.to_string_lossy().into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(PipelineError::file(&directory)(error)),
        }
        if !loaded.record.is_cleaned {
            loaded.record.is_cleaned = true;
            let mut files = RunFiles::new(directory);
            self.save(&mut loaded, Vec::new(), &mut files).await?;
        }
        Ok(cleaned)
    }

    /// The run's branch, if it was published and is still there.
    async fn published(&self, record: &Record) -> Option<String> {
        if !record.is_published {
            return None;
        }
        let repository = self.open_repository(record).await.ok()?;
        repository.branch(&record.branch()).await.ok().map(|found| found.branch)
    }

    /// Removes a worktree; whether it is gone.
    async fn remove_tree(&self, record: &Record, force: bool, cleaned: &mut Cleaned) -> Result<bool, PipelineError> {
        let path = record.worktree();
        let shown = path.to_string_lossy().into_owned();
        let remains = Worktree::open_remains(&self.parts().git, &path, &self.git_directory(record)).await?;
        let removal = match remains {
            Some(worktree) => worktree.remove(force).await?,
            None => Removal::WasMissing,
        };
        match removal {
            Removal::Removed => cleaned.removed.push(shown.clone()),
            Removal::WasMissing => {}
            Removal::Kept(reason) => {
                let cure = if force { "" } else { "; `force` removes it all the same" };
                cleaned.kept.push(format!("{shown}: {reason}{cure}"));
                cleaned.kept.push(record.directory().to_string_lossy().into_owned());
                return Ok(false);
            }
        }
        let context = self.context(&record.programs);
        for stage in record.machine.rules.pipeline.engines() {
            let kind = record.settings.choose(*stage).ok().and_then(|chosen| chosen.engine.served());
            if let Some(kind) = kind
                && context.endpoint.is_some()
                && let Err(error) = remove_private_home(kind, &context, &shown)
            {
                cleaned.kept.push(error.to_string());
            }
        }
        Ok(true)
    }

    /// The beginning of a file below the run's directory.
    ///
    /// # Errors
    /// [`PipelineError::Invalid`] for a path that leads out, [`PipelineError::NoArtifact`] when there is no such file.
    pub async fn artifact(&self, run: RunId, path: &str) -> Result<Artifact, PipelineError> {
        let loaded = self.load(run).await?;
        let relative = Path::new(path);
        let is_plain = !path.is_empty()
            && !path.contains('\0')
            && relative.components().all(|component| matches!(component, Component::Normal(_)));
        if !is_plain {
            return Err(PipelineError::invalid(
                format!("`{}` is no path below a run's directory", path.escape_debug()),
                "give a relative path without `..`, such as artifacts/patch.diff",
            ));
        }
        let root = loaded.record.directory();
        let wanted = root.join(relative);
        let missing = PipelineError::NoArtifact(format!("run {run} has no file {path}"));
        let read = tokio::task::spawn_blocking(move || {
            let root = root.canonicalize()?;
            // A link is no file of the run, wherever it points.
            if std::fs::symlink_metadata(&wanted)?.is_symlink() || !wanted.canonicalize()?.starts_with(&root) {
                return Err(std::io::Error::from(std::io::ErrorKind::NotFound));
            }
            let file = std::fs::File::open(&wanted)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(std::io::Error::from(std::io::ErrorKind::NotFound));
            }
            let mut bytes = Vec::new();
            file.take(ARTIFACT).read_to_end(&mut bytes)?;
            Ok((bytes, metadata.len()))
        });
        match read.await.map_err(std::io::Error::other).and_then(|outcome| outcome) {
            Ok((bytes, size)) => {
                let truncated = u64::try_from(bytes.len()).unwrap_or(u64::MAX) < size;
                Ok(Artifact { text: text(bytes, truncated), size, truncated })
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                Err(missing)
            }
            Err(error) => Err(PipelineError::file(&loaded.record.directory().join(path))(error)),
        }
    }
}

/// Bytes as text; a character that was cut in two at the end is left out.
fn text(mut bytes: Vec<u8>, truncated: bool) -> String {
    if truncated
        && let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn refuse_ended(loaded: &Loaded) -> Result<(), PipelineError> {
    if loaded.row.state.is_final() {
        let (run, state) = (loaded.record.run, loaded.row.state.as_str());
        return Err(PipelineError::state(
            format!("run {run} stands still already: it is {state}"),
            "there is nothing to end",
        ));
    }
    Ok(())
}
