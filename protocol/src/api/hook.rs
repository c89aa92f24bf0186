//! `hook.report`: what an engine's hook tells, and what it is told back. `orxctl hook <engine>` is the caller; it runs
//! inside the session, and the session is known by who calls, never by what the call claims.

use serde::{Deserialize, Serialize};

/// Parameters of `hook.report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportParams {
    /// The engine whose hook it is, by name.
    pub engine: String,
    /// What the engine handed to its hook, as it came.
    pub payload: serde_json::Value,
}

/// Result of `hook.report`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// What the hook prints on its standard output; `None`: nothing.
    pub output: Option<String>,
}
