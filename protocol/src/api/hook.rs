//! `hook.*`: what an engine's hook tells, and what it is told back. `orxctl hook <engine>` is the caller; it runs
//! inside the session, and the session is known by who calls, never by what the call claims.

use serde::{Deserialize, Serialize};

use crate::id::{ApprovalId, SessionId};

/// Parameters of `hook.report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportParams {
    /// The engine whose hook it is, by name.
    pub engine: String,
    /// What the engine handed to its hook, as it came.
    pub payload: serde_json::Value,
    /// A name of this one run of the hook, the same when it asks again after the daemon was away, so that it finds the
    /// question that it asked before.
    #[serde(default)]
    pub call: Option<String>,
    /// The session in which the hook believes to run. A report that comes from elsewhere is refused.
    #[serde(default)]
    pub session: Option<SessionId>,
}

/// Result of `hook.report`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// What the hook prints on its standard output; `None`: nothing.
    pub output: Option<String>,
    /// The approval that the output decides; the hook tells by `hook.delivered` that it printed it.
    #[serde(default)]
    pub approval: Option<ApprovalId>,
}

/// Parameters of `hook.delivered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveredParams {
    /// The approval whose decision was handed to the engine.
    pub approval: ApprovalId,
}
