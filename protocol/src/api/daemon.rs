//! `health`, `status`, `hello`.

use serde::{Deserialize, Serialize};

/// Whether the daemon is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Every supervised role has a worker.
    Healthy,
    /// A supervised role has none, or the store does not take writes.
    Degraded,
    /// The daemon is ending.
    Draining,
}

/// Result of `health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Overall state.
    pub status: HealthStatus,
    /// Version of the daemon.
    pub version: String,
    /// Workers that are registered and alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<u32>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// The listeners that are open: `unix-sockets`, `http`, `websocket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<String>>,
    /// Spend and budget; `null` while no budget is kept.
    #[serde(default)]
    pub llm_router: Option<serde_json::Value>,
}

/// Result of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// As in `health`.
    pub health: Health,
    /// The daemon's process id.
    pub pid: u32,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// `ORX_HOME`.
    pub home: String,
    /// The settings file, whether or not it exists.
    pub config: String,
    /// The Unix socket.
    pub socket: String,
    /// The HTTP address; `None` when it is closed.
    pub http: Option<String>,
    /// Sessions that run.
    pub sessions: u32,
    /// Sessions of engines among them that run without a sandbox.
    #[serde(default)]
    pub unconfined: u32,
    /// Sessions among them that lack something of what they were made with, such as their channel.
    #[serde(default)]
    pub degraded: u32,
    /// Runs that are not ended.
    pub runs: u32,
    /// Sequence number of the journal's newest event.
    pub journal_seq: u64,
    /// Workers, as in `worker.list`.
    pub workers: Vec<crate::api::worker::Worker>,
    /// Connections that are open.
    pub connections: u32,
}

/// Parameters of `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelloParams {
    /// The protocol version that the client speaks.
    pub protocol: u32,
    /// Name and version of the client, for logs.
    #[serde(default)]
    pub client: String,
}

/// Result of `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version that the daemon speaks.
    pub protocol: u32,
    /// Version of the daemon.
    pub version: String,
    /// Codecs of the terminal link.
    pub codecs: Vec<String>,
}
