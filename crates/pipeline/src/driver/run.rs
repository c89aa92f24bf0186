//! Driving a run: one effect after another, each state saved before the next.

use std::time::Duration;

use orx_protocol::api::run::RunState;
use orx_protocol::event::kind;
use orx_protocol::{RunId, SessionId, clock};
use orx_store::{RunRow, StoreError, events, runs};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::effects::{Halt, Performed, Update};
use super::{Loaded, Pipeline};
use crate::error::PipelineError;
use crate::files::RunFiles;
use crate::machine::{self, Happening, Input, Moment};
use crate::port::{HostError, SessionHost};
use crate::record::Record;

/// How long a session that is to end may take before it is forced.
const GRACE: Duration = Duration::from_secs(5);
/// Ended runs whose files are looked at after a restart.
const MENDED: u32 = 50;
/// Events that are read at once.
const PAGE: u32 = 1000;

impl<H: SessionHost> Pipeline<H> {
    /// Drives a run to its end and returns its state. Safe to call again after any crash: it goes on where the run is,
    /// and sessions that lived on are found again. Returns `running` when `let_go` is cancelled or the host drains: the
    /// run is then to be driven again later, its sessions live on.
    ///
    /// # Errors
    /// [`PipelineError`] when the state cannot be read or saved, or the run is driven already.
    pub async fn drive(&self, run: RunId, let_go: CancellationToken) -> Result<RunState, PipelineError> {
        let Some(place) = self.take_place(run) else {
            return Err(PipelineError::state(format!("run {run} is driven already"), "wait for it with `run.wait`"));
        };
        let mut loaded = self.load(run).await?;
        let mut files = self.open_files(&loaded).await?;
        if loaded.row.state.is_final() {
            // The last life may have ended between the store and the files.
            self.mirror(&loaded, Vec::new(), &mut files).await;
            return Ok(loaded.row.state);
        }
        // The first version is the acceptance itself; whoever finds another one takes the run up again.
        if loaded.row.version > 1 {
            let data = json!({ "stage": loaded.record.machine.stage.as_str(), "by": "restart" });
            let happened = vec![Happening { kind: kind::RUN_RESUMED, data }];
            self.save(&mut loaded, happened, &mut files).await?;
        }
        let tree = tokio::sync::OnceCell::new();
        while let Some(effect) = machine::recover(&loaded.record.machine) {
            self.boundary()?;
            tracing::debug!(%run, stage = loaded.record.machine.stage.as_str(), ?effect, "doing");
            let performed = tokio::select! {
                biased;
                () = let_go.cancelled() => return Ok(RunState::Running),
                () = place.active.cancel.cancelled() => self.ended_by_request(&loaded).await,
                performed = self.perform(&loaded.record, &effect, &tree) => performed,
            };
            let performed = match performed {
                Ok(performed) => performed,
                Err(Halt::Draining) => return Ok(RunState::Running),
                Err(Halt::Broke(message)) => Performed::of(Input::Broke { message }),
            };
            self.boundary()?;
            self.advance(&mut loaded, performed, &mut files).await?;
        }
        drop(place);
        Ok(loaded.row.state)
    }

    /// Writes the files of ended runs anew where the daemon died between its last write to the store and the files.
    /// Called once at its start; looks at the newest runs.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn mend(&self) -> Result<(), PipelineError> {
        let rows = self.parts().store.read(|reader| runs::list(reader, None, MENDED)).await?;
        for row in rows.into_iter().filter(|row| row.state.is_final()) {
            let Ok(record) = Record::read(row.run, &row.body) else { continue };
            let state = record.directory().join("state.json");
            let told = tokio::fs::read(&state).await.ok();
            let told = told.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
            let stage = told.as_ref().and_then(|told| told.get("current_stage")).and_then(serde_json::Value::as_str);
            if !record.is_cleaned && stage.is_some_and(|stage| stage != record.machine.stage.as_str()) {
                self.drive(row.run, CancellationToken::new()).await?;
            }
        }
        Ok(())
    }

    /// Ends what is under way because somebody cancelled the run.
    async fn ended_by_request(&self, loaded: &Loaded) -> Result<Performed, Halt> {
        let mut performed = Performed::of(Input::Cancel);
        if let Some(session) = loaded.record.machine.session() {
            performed.warnings.extend(self.end_session(session).await);
        }
        Ok(performed)
    }

    /// Ends a session; a sentence when that did not succeed.
    pub(super) async fn end_session(&self, session: SessionId) -> Option<String> {
        match self.parts().host.stop(session, GRACE).await {
            Ok(()) | Err(HostError::Unknown(_)) => None,
            Err(error @ (HostError::Draining | HostError::Failed(_))) => {
                Some(format!("the session {session} could not be ended: {error}"))
            }
        }
    }

    /// Takes what an effect came to into the state, and saves it.
    pub(super) async fn advance(
        &self,
        loaded: &mut Loaded,
        performed: Performed,
        files: &mut RunFiles,
    ) -> Result<(), PipelineError> {
        let mut happened = Vec::new();
        let mut machine = loaded.record.machine.clone();
        let warnings = performed.warnings.into_iter().map(Input::Warned);
        for input in warnings.chain([performed.input]) {
            let moment = Moment { now_ms: clock::now_ms(), fresh: SessionId::generate() };
            let step = machine::step(&machine, input, moment)?;
            machine = step.machine;
            happened.extend(step.events);
        }
        loaded.record.machine = machine;
        for update in performed.updates {
            match update {
                Update::Prepared(facts) => {
                    loaded.record.facts = facts;
                    loaded.record.has_worktree = true;
                }
                Update::Published => loaded.record.is_published = true,
            }
        }
        let is_final = loaded.record.machine.stage.is_final();
        loaded.record.ended_at_ms = is_final.then(|| loaded.record.ended_at_ms.unwrap_or_else(clock::now_ms));
        self.save(loaded, happened, files).await
    }

    /// Saves the record with its events in one transaction, then mirrors it.
    pub(super) async fn save(
        &self,
        loaded: &mut Loaded,
        happened: Vec<Happening>,
        files: &mut RunFiles,
    ) -> Result<(), PipelineError> {
        let row = RunRow {
            state: machine::run_state(&loaded.record.machine),
            body: loaded.record.write()?,
            ..loaded.row.clone()
        };
        let subject = loaded.record.run.to_string();
        let (row, happened) = self
            .parts()
            .store
            .write(move |tx| {
                let row = runs::save(tx, &row)?;
                let mut numbered = Vec::with_capacity(happened.len());
                for event in happened {
                    let seq = events::append(tx, event.kind, &subject, &event.data)?;
                    numbered.push((seq, event));
                }
                Ok((row, numbered))
            })
            .await?;
        loaded.row = row;
        self.boundary()?;
        self.mirror(loaded, happened, files).await;
        Ok(())
    }

    /// Writes the files. The run does not depend on them: what fails is logged, and made good when it is taken up again.
    async fn mirror(&self, loaded: &Loaded, happened: Vec<(u64, Happening)>, files: &mut RunFiles) {
        let record = loaded.record.clone();
        let now_ms = clock::now_ms();
        let mut taken = std::mem::replace(files, RunFiles::new(record.directory()));
        let written = tokio::task::spawn_blocking(move || {
            let outcome = (|| {
                if record.is_cleaned {
                    return Ok(());
                }
                taken.prepare()?;
                for (seq, event) in &happened {
                    taken.add_event(*seq, now_ms, event.kind, &event.data)?;
                }
                taken.mirror(&record, now_ms)
            })();
            (taken, outcome)
        })
        .await;
        match written {
            Ok((taken, outcome)) => {
                *files = taken;
                if let Err(error) = outcome {
                    tracing::warn!(run = %loaded.record.run, %error, "the run's files could not be written");
                }
            }
            Err(error) => tracing::warn!(run = %loaded.record.run, %error, "the run's files could not be written"),
        }
    }

    /// The files of a run, with its journal written anew.
    pub(super) async fn open_files(&self, loaded: &Loaded) -> Result<RunFiles, PipelineError> {
        let subject = loaded.record.run.to_string();
        let journal = self
            .parts()
            .store
            .read(move |reader| {
                let mut all = Vec::new();
                let mut since = 0;
                loop {
                    let page = events::after(reader, since, &[], Some(&subject), PAGE)?;
                    let Some(last) = page.last() else { return Ok::<_, StoreError>(all) };
                    since = last.seq;
                    all.extend(page);
                }
            })
            .await?;
        let files = RunFiles::new(loaded.record.directory());
        if loaded.record.is_cleaned {
            return Ok(files);
        }
        let written = tokio::task::spawn_blocking(move || {
            let outcome = files.prepare().and_then(|()| files.events(&journal));
            (files, outcome)
        })
        .await;
        match written {
            Ok((files, outcome)) => {
                if let Err(error) = outcome {
                    tracing::warn!(run = %loaded.record.run, %error, "the run's files could not be written");
                }
                Ok(files)
            }
            Err(error) => {
                tracing::warn!(run = %loaded.record.run, %error, "the run's files could not be written");
                Ok(RunFiles::new(loaded.record.directory()))
            }
        }
    }

    /// A point where a crash is simulated.
    #[cfg(test)]
    fn boundary(&self) -> Result<(), PipelineError> {
        let left = self.inner.crash_after.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        if left <= 0 { Err(PipelineError::state("crashed", "")) } else { Ok(()) }
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // Tests simulate a crash here.
    const fn boundary(&self) -> Result<(), PipelineError> {
        Ok(())
    }
}
