//! What the pipeline needs of the daemon: processes that are held by something which outlives it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use orx_protocol::SessionId;
use orx_protocol::hold::Ended;

/// A process that is to be held on pipes.
#[derive(Clone, PartialEq, Eq)]
pub struct HeldRequest {
    /// Its session: chosen by the pipeline and saved before it is asked for.
    pub session: SessionId,
    /// What it serves, `<run>/<stage>`.
    pub owner: String,
    /// The engine, or `gate`.
    pub engine: String,
    /// A line for a person.
    pub title: String,
    /// Program and arguments; the program is an absolute path.
    pub argv: Vec<String>,
    /// The same where the host's own sandbox holds around it, if that makes a difference.
    pub confined_argv: Option<Vec<String>>,
    /// Whether it may write in its working directory; a sandbox keeps it from that otherwise.
    pub writes: bool,
    /// Working directory.
    pub cwd: PathBuf,
    /// The exact environment.
    pub environment: BTreeMap<String, String>,
    /// What is fed to standard input; it is empty when absent.
    pub input: Option<String>,
    /// The tree is ended after this many milliseconds.
    pub deadline_ms: u64,
}

impl std::fmt::Debug for HeldRequest {
    /// The environment by name only: the values may hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldRequest")
            .field("session", &self.session)
            .field("owner", &self.owner)
            .field("engine", &self.engine)
            .field("argv", &self.argv)
            .field("confined_argv", &self.confined_argv)
            .field("writes", &self.writes)
            .field("cwd", &self.cwd)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("input_bytes", &self.input.as_ref().map(String::len))
            .field("deadline_ms", &self.deadline_ms)
            .finish_non_exhaustive()
    }
}

/// How a held process ended, and where what it wrote is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOutcome {
    /// How it ended.
    pub ended: Ended,
    /// The session's directory, with the files of [`orx_protocol::hold::file`].
    pub directory: PathBuf,
}

/// Why the host cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No session of that name was ever started.
    #[error("no session {0} was started")]
    Unknown(SessionId),
    /// The host is going away; the session lives on and is found by the next one.
    #[error("the daemon is going away")]
    Draining,
    /// It could not be started, or not be looked at.
    #[error("{0}")]
    Failed(String),
}

/// Holds processes.
pub trait SessionHost: Send + Sync + 'static {
    /// Starts a process and returns once it runs. A session of that name that was started or has ended is left as it is,
    /// so the call may be repeated.
    ///
    /// # Errors
    /// [`HostError`] when it could not be started.
    fn start(&self, request: HeldRequest) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Waits for the end of a session's process tree; answers at once when it has ended.
    ///
    /// # Errors
    /// [`HostError::Unknown`] when it was never started.
    fn wait(&self, session: SessionId) -> impl Future<Output = Result<HeldOutcome, HostError>> + Send;

    /// Ends a session's process tree: politely, after `grace` by force. One that has ended is left as it is.
    ///
    /// # Errors
    /// [`HostError::Unknown`] when it was never started.
    fn stop(&self, session: SessionId, grace: Duration) -> impl Future<Output = Result<(), HostError>> + Send;
}
