//! The shell around the machine: it does what the machine asks for and saves every state before the next step.
//!
//! The state is in the store before an effect begins and after it ended; the files below `runs/` follow. So whatever dies
//! at whatever moment, [`Pipeline::drive`] goes on from the last state, and every effect bears being done again.

mod access;
mod answer;
mod effects;
mod engine;
mod gate;
mod run;
mod ship;
mod start;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use orx_engines::Context;
use orx_protocol::RunId;
use orx_store::{RunRow, Store};
use orx_workspace::Git;
use tokio_util::sync::CancellationToken;

use crate::error::PipelineError;
use crate::port::SessionHost;
use crate::record::Record;

/// What a pipeline is made of.
#[derive(Debug)]
pub struct Parts<H> {
    /// The store, which holds the truth.
    pub store: Store,
    /// Git, in the operator's name.
    pub git: Git,
    /// What engines are given at first, see [`Pipeline::set_engines`]; its environment is the operator's.
    pub engines: Context,
    /// Directory below which the runs' own git directories are kept, out of the agents' reach.
    pub repositories: PathBuf,
    /// Holds processes.
    pub host: H,
}

/// Runs: started, driven, looked at, ended. Clones are handles to the same one.
#[derive(Debug)]
pub struct Pipeline<H> {
    inner: Arc<Inner<H>>,
}

impl<H> Clone for Pipeline<H> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

#[derive(Debug)]
struct Inner<H> {
    parts: Parts<H>,
    /// What engines are given now; the operator may change it while runs are at work.
    engines: RwLock<Arc<Context>>,
    /// The runs that are driven in this process.
    active: Mutex<HashMap<RunId, Active>>,
    /// Boundaries between effects that may still be passed, for tests of crashes.
    #[cfg(test)]
    crash_after: std::sync::atomic::AtomicI64,
}

/// A run that is driven.
#[derive(Debug, Clone)]
struct Active {
    /// Somebody wants it ended.
    cancel: CancellationToken,
    /// Its driver is gone.
    gone: CancellationToken,
}

/// A run with the row that it was read from.
#[derive(Debug, Clone)]
struct Loaded {
    row: RunRow,
    record: Record,
}

/// A driver's place among the active ones; given back when dropped.
struct Place<H: SessionHost> {
    pipeline: Pipeline<H>,
    run: RunId,
    active: Active,
}

impl<H: SessionHost> Drop for Place<H> {
    fn drop(&mut self) {
        self.pipeline.active().remove(&self.run);
        self.active.gone.cancel();
    }
}

impl<H: SessionHost> Pipeline<H> {
    /// A pipeline over these parts.
    #[must_use]
    pub fn new(parts: Parts<H>) -> Self {
        Self {
            inner: Arc::new(Inner {
                engines: RwLock::new(Arc::new(parts.engines.clone())),
                parts,
                active: Mutex::default(),
                #[cfg(test)]
                crash_after: std::sync::atomic::AtomicI64::new(i64::MAX),
            }),
        }
    }

    /// Gives engines something else from now on; stages that run keep what they have.
    pub fn set_engines(&self, engines: Context) {
        *self.inner.engines.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(engines);
    }

    fn engines(&self) -> Arc<Context> {
        Arc::clone(&self.inner.engines.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn parts(&self) -> &Parts<H> {
        &self.inner.parts
    }

    /// The operator's `PATH`.
    fn search_path(&self) -> Option<String> {
        self.engines().environment.get("PATH").cloned()
    }

    fn active(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Active>> {
        // What is in the map is whole after a panic elsewhere.
        self.inner.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of a run's driver; `None` when it has one.
    fn take_place(&self, run: RunId) -> Option<Place<H>> {
        let mut places = self.active();
        if places.contains_key(&run) {
            return None;
        }
        let active = Active { cancel: CancellationToken::new(), gone: CancellationToken::new() };
        places.insert(run, active.clone());
        Some(Place { pipeline: self.clone(), run, active })
    }

    async fn load(&self, run: RunId) -> Result<Loaded, PipelineError> {
        let row = self.parts().store.read(move |reader| orx_store::runs::get(reader, run)).await?;
        let row = row.ok_or(PipelineError::NoRun(run))?;
        let record = Record::read(run, &row.body)?;
        Ok(Loaded { row, record })
    }
}
