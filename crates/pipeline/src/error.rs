//! What the pipeline's operations can fail with. What goes wrong in a run is in the run.

use orx_engines::EngineError;
use orx_protocol::{ErrorKind, RpcError, RunId};
use orx_store::StoreError;
use orx_workspace::WorkspaceError;

use crate::machine::InvalidTransition;
use crate::settings::load::SettingsError;

/// Why an operation was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The request itself is wrong.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The repository cannot be used.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// An engine cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such run.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// There is no such file of a run.
    #[error("{0}")]
    NoArtifact(String),
    /// The run is not in a state that allows this.
    #[error("{message}")]
    State {
        /// What is in the way.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The run's files cannot be used.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The run's record cannot be read: it is of another version, or damaged.
    #[error("the record of run {run} cannot be read: {reason}")]
    Record {
        /// The run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// A defect in orx.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
}

impl PipelineError {
    pub(crate) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), hint: hint.into() }
    }

    pub(crate) fn state(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::State { message: message.into(), hint: hint.into() }
    }

    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        |source| Self::File { path, source }
    }
}

impl From<PipelineError> for RpcError {
    fn from(error: PipelineError) -> Self {
        let message = error.to_string();
        match error {
            PipelineError::Invalid { hint, .. } => Self::new(ErrorKind::InvalidParams, message).with_hint(hint),
            PipelineError::Settings(_) => {
                Self::new(ErrorKind::Configuration, message).with_hint("correct the named place and start again")
            }
            PipelineError::Workspace(error) => error.into(),
            PipelineError::Engine(error) => error.into(),
            PipelineError::Store(error) => error.into(),
            PipelineError::NoRun(_) => {
                Self::new(ErrorKind::NotFound, message).with_hint("`run.list` shows the runs there are")
            }
            PipelineError::NoArtifact(_) => Self::new(ErrorKind::NotFound, message)
                .with_hint("paths are below the run's directory, such as artifacts/patch.diff"),
            PipelineError::State { hint, .. } => Self::new(ErrorKind::FailedPrecondition, message).with_hint(hint),
            PipelineError::File { path, .. } => Self::new(ErrorKind::Storage, message)
                .with_hint(format!("check the disk and the permissions of {path}")),
            PipelineError::Record { .. } | PipelineError::Transition(_) => Self::new(ErrorKind::Internal, message)
                .with_hint("this is a defect in orx: report it with the daemon's log"),
        }
    }
}
