//! The error that crosses the wire: a JSON-RPC error whose data says who is at fault, whether to retry and what to do.

use serde::{Deserialize, Serialize};

/// What went wrong, as a word that programs may match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The body is not JSON.
    Parse,
    /// The body is JSON but not a request.
    InvalidRequest,
    /// No method has this name.
    MethodNotFound,
    /// The parameters do not fit the method.
    InvalidParams,
    /// A defect in orx.
    Internal,
    /// The named thing does not exist.
    NotFound,
    /// The thing exists already, or somebody else holds it.
    Conflict,
    /// The thing is not in a state that allows this.
    FailedPrecondition,
    /// No worker or engine is there to do it.
    Unavailable,
    /// A queue is full; try again after a pause.
    Overloaded,
    /// It was not done in time.
    DeadlineExceeded,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// The caller did not prove who it is.
    Unauthenticated,
    /// The worker died with the request in its hands and it is not known whether the work was done.
    WorkerLost,
    /// The frame, body or text is larger than the limit.
    TooLarge,
    /// The daemon is shutting down.
    Draining,
    /// The disk is full or failing: nothing was acknowledged.
    Storage,
    /// The two sides speak different protocol versions.
    UnsupportedVersion,
    /// A settings file is wrong.
    Configuration,
    /// The coding CLI is not installed.
    EngineMissing,
    /// The coding CLI is not logged in.
    EngineLogin,
    /// Something that orx called (a CLI, git, a provider) failed.
    Upstream,
}

impl ErrorKind {
    /// The JSON-RPC code of this kind.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Parse => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::NotFound => -32001,
            Self::Conflict => -32002,
            Self::FailedPrecondition => -32003,
            Self::Unavailable => -32004,
            Self::Overloaded => -32005,
            Self::DeadlineExceeded => -32006,
            Self::PermissionDenied => -32007,
            Self::Unauthenticated => -32008,
            Self::WorkerLost => -32009,
            Self::TooLarge => -32010,
            Self::Draining => -32011,
            Self::Storage => -32012,
            Self::UnsupportedVersion => -32013,
            Self::Configuration => -32014,
            Self::EngineMissing => -32015,
            Self::EngineLogin => -32016,
            Self::Upstream => -32017,
        }
    }

    /// The HTTP status that carries this kind on REST routes.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Parse
            | Self::InvalidRequest
            | Self::InvalidParams
            | Self::UnsupportedVersion
            | Self::Configuration => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound | Self::MethodNotFound => 404,
            Self::Conflict => 409,
            Self::FailedPrecondition | Self::EngineMissing | Self::EngineLogin => 412,
            Self::TooLarge => 413,
            Self::Overloaded => 429,
            Self::Internal => 500,
            Self::Upstream | Self::WorkerLost => 502,
            Self::Unavailable | Self::Draining => 503,
            Self::DeadlineExceeded => 504,
            Self::Storage => 507,
        }
    }

    /// Who is at fault unless the place that raised the error knows better.
    #[must_use]
    pub const fn source(self) -> ErrorSource {
        match self {
            Self::Internal | Self::Storage | Self::Draining | Self::Overloaded => ErrorSource::Internal,
            Self::Unavailable | Self::WorkerLost | Self::DeadlineExceeded | Self::Upstream => ErrorSource::Upstream,
            Self::Parse
            | Self::InvalidRequest
            | Self::MethodNotFound
            | Self::InvalidParams
            | Self::NotFound
            | Self::Conflict
            | Self::FailedPrecondition
            | Self::PermissionDenied
            | Self::Unauthenticated
            | Self::TooLarge
            | Self::UnsupportedVersion
            | Self::Configuration
            | Self::EngineMissing
            | Self::EngineLogin => ErrorSource::Caller,
        }
    }

    /// Whether the same request may succeed later without a change.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Overloaded | Self::DeadlineExceeded | Self::Draining | Self::Storage)
    }
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorSource {
    /// The request was wrong.
    Caller,
    /// Something that orx called was wrong.
    Upstream,
    /// orx was wrong, or is short of something.
    Internal,
}

/// The `data` member of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorData {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Whose fault it is.
    pub source: ErrorSource,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What the caller can do about it; empty where there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// A JSON-RPC error object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// JSON-RPC code; [`ErrorKind::code`].
    pub code: i32,
    /// One sentence: what, where.
    pub message: String,
    /// Kind, fault, retry, hint. Boxed so that `Result`s stay small.
    pub data: Box<ErrorData>,
}

impl RpcError {
    /// An error of `kind` with that kind's usual source and retryability.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            code: kind.code(),
            message: message.into(),
            data: Box::new(ErrorData { kind, source: kind.source(), retryable: kind.retryable(), hint: String::new() }),
        }
    }

    /// The same error with a next step for the caller.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = hint.into();
        self
    }

    /// The error's kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.data.kind
    }
}
