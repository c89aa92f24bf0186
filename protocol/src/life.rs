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
    /// It runs with something of it missing: its channel, its limits.
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

impl Life {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::Pending,
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::Completed,
        Self::PartiallyCompleted,
        Self::Failed,
        Self::Timeout,
        Self::Stopped,
        Self::Cancelled,
        Self::Orphaned,
        Self::Degraded,
    ];
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How urgent a session is when there are fewer places than sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all others.
    Critical,
    /// Before most.
    High,
    /// As most.
    #[default]
    Medium,
    /// After most.
    Low,
    /// When nobody else waits.
    Deferred,
}

impl Priority {
    /// Its number, 0 for the most urgent.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What a session says of its own work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of it is done.
    Completed,
    /// Part of it is done.
    PartiallyCompleted,
    /// It is not done.
    Failed,
}

/// What was agreed about a session when it was made, and how that went so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How urgent it is.
    #[serde(default)]
    pub priority: Priority,
    /// How long each of its processes may run, in milliseconds, without the time that it was paused; `None`: any time.
    #[serde(default)]
    pub max_duration_ms: Option<u64>,
    /// How often it was tried again after a bad end.
    #[serde(default)]
    pub retries: u32,
    /// What it said of its own work.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Since when it waits for a place, in milliseconds since the epoch.
    #[serde(default)]
    pub queued_at_ms: Option<u64>,
    /// When it was last taken up again, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_up_at_ms: Option<u64>,
    /// What is missing, where it is degraded.
    #[serde(default)]
    pub missing: Option<String>,
}
