//! A session's place in its life cycle, as people and pipelines steer it. What its process does is
//! [`crate::api::session::SessionState`], what its agent does is [`crate::activity`]; the transitions belong to
//! `orx-session`.

use serde::{Deserialize, Serialize};

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Recorded, nothing is asked of it yet.
    Pending,
    /// It waits for a place among the sessions that run.
    Queued,
    /// It runs.
    #[default]
    Running,
    /// It runs and is held still; it goes on when it is told to.
    Paused,
    /// It did what it was for.
    Completed,
    /// It did part of it.
    PartiallyCompleted,
    /// It ended badly.
    Failed,
    /// It ran longer than it may.
    Timeout,
    /// A person ended it; it can be taken up again.
    Stopped,
    /// A person gave it up.
    Cancelled,
    /// Its process lives or lived without anybody who knows about it.
    Orphaned,
    /// It runs with something of it missing: its holder's record, its channel, its limits.
    Degraded,
}

impl Life {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::PartiallyCompleted => "partially_completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::Orphaned => "orphaned",
            Self::Degraded => "degraded",
        }
    }
}
