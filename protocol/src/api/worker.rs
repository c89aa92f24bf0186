//! `worker.register`, `worker.list`, `worker.drain`.

use serde::{Deserialize, Serialize};

use crate::id::WorkerId;

/// The roles that the daemon supervises itself.
pub const SUPERVISED_ROLES: [&str; 4] = ["naming", "structure", "semantic", "manager"];

/// Method of the request by which the daemon asks a worker whether it is well; it answers `{}`.
pub const PING: &str = "worker.ping";

/// Method of the notification by which the daemon tells a worker to finish what it has and leave.
pub const DRAIN: &str = "worker.drain";

/// Parameters of `worker.register`. The connection then carries requests to the worker: JSON-RPC requests whose method
/// is the caller's, whose `params` are the caller's untouched, and whose `id` is a text unique to the dispatch and the
/// same when the request is dispatched again (an idempotency key).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterParams {
    /// The noun whose methods it serves: lower-case letters, digits, `_`, `-`.
    pub role: String,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// Requests that it works on at once (1 to 1024).
    #[serde(default = "one")]
    pub capacity: u32,
    /// Version of the worker.
    #[serde(default)]
    pub version: String,
    /// Its process id, where it wants to be known by one the kernel does not report.
    #[serde(default)]
    pub pid: Option<u32>,
}

const fn one() -> u32 {
    1
}

/// One action of a worker: a bare text names an action that is not idempotent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Capability {
    /// The action's name; a request for it is dispatched once.
    Name(String),
    /// The action with its particulars.
    Action {
        /// The action's name.
        action: String,
        /// Whether a request may be dispatched again when the worker dies with it.
        idempotent: bool,
    },
}

impl Capability {
    /// The action's name.
    #[must_use]
    pub fn action(&self) -> &str {
        match self {
            Self::Name(action) | Self::Action { action, .. } => action,
        }
    }

    /// Whether a request for it may be dispatched again.
    #[must_use]
    pub fn idempotent(&self) -> bool {
        matches!(self, Self::Action { idempotent: true, .. })
    }
}

/// Result of `worker.register`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The worker's name for as long as its connection lives.
    pub worker: WorkerId,
}

/// State of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Takes requests.
    Ready,
    /// Finishes what it has, takes nothing new.
    Draining,
    /// Did not answer the last health check in time; takes nothing new until it does.
    Unresponsive,
}

/// A worker, as `worker.list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its name.
    pub worker: WorkerId,
    /// Its role.
    pub role: String,
    /// Its state.
    pub state: WorkerState,
    /// Its process id; `None` where it is not known.
    pub pid: Option<u32>,
    /// Requests that it works on at once.
    pub capacity: u32,
    /// Requests that it has now.
    pub in_flight: u32,
    /// Actions that it serves.
    pub capabilities: Vec<String>,
    /// Its version.
    pub version: String,
    /// Requests that it has answered.
    pub answered: u64,
    /// Whether the daemon started it.
    pub supervised: bool,
}

/// Result of `worker.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// By role, then by age.
    pub workers: Vec<Worker>,
    /// Supervised processes, also those that are not registered at the moment.
    pub supervised: Vec<Supervised>,
}

/// A worker process that the daemon keeps alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervised {
    /// Its role.
    pub role: String,
    /// Which of the role's instances, from 0.
    pub instance: u32,
    /// Its process id while it runs.
    pub pid: Option<u32>,
    /// Times that it was started again.
    pub restarts: u64,
    /// Milliseconds until it is started again, while it waits.
    pub retry_in_ms: Option<u64>,
    /// How it last ended.
    pub last_exit: Option<String>,
}

/// Parameters of `worker.drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainParams {
    /// Which.
    pub worker: WorkerId,
}
