//! `session.pause`, `continue`, `finish`, `cancel`, `retry`, `resume` and the checkpoints: the life cycle of a session.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::id::SessionId;
use crate::life::Outcome;

/// Parameters of `session.finish`: what the session, or who looks after it, says of its work. It counts when the process
/// ends by itself or is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishParams {
    /// Which.
    pub session: SessionId,
    /// How it went.
    pub outcome: Outcome,
}

/// Parameters of `session.resume` and `session.retry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgainParams {
    /// Which.
    pub session: SessionId,
    /// The variables with which it was made; they are kept by name only, so that no secret is on disk.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether a new conversation may begin where the old one cannot be taken up.
    #[serde(default)]
    pub fresh: bool,
}

/// How a session was taken up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// Which.
    pub session: SessionId,
    /// Its process; `None` while it waits for a place.
    pub pid: Option<i32>,
    /// Which process of the session this is, from 1.
    pub generation: u32,
    /// The conversation that goes on; `None`: it has none, or a new one began.
    pub conversation: Option<String>,
    /// The checkpoint to which its files were set back before that.
    pub checkpoint: Option<u64>,
    /// What became of the conversation where something was set back to a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewound: Option<Rewound>,
}

/// Whether a conversation was set back with the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewound {
    /// Whether it ends where it ended at the checkpoint.
    pub done: bool,
    /// How, or why not, for a person.
    pub how: String,
}

/// Parameters of `session.checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointParams {
    /// Which.
    pub session: SessionId,
    /// A line for a person, at most 200 characters.
    #[serde(default)]
    pub label: Option<String>,
    /// What the caller wants to find again, an object of at most 64 KiB.
    #[serde(default)]
    pub data: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A state of a session to which it can be set back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// From 1; goes on counting when old ones are dropped.
    pub sequence: u64,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// A line for a person.
    pub label: Option<String>,
    /// What the caller keeps with it.
    pub data: Option<serde_json::Map<String, serde_json::Value>>,
    /// The files, as a commit in the daemon's git directory of the worktree; `None` for a session in a directory of the
    /// person's own, whose files are never set back.
    pub commit: Option<String>,
    /// The conversation at that time.
    pub conversation: Option<String>,
    /// How far the engine's own record of the conversation went, in bytes; `None` where it cannot be set back to that.
    #[serde(default)]
    pub conversation_bytes: Option<u64>,
    /// How much the process had written, in bytes: where the recording stood.
    pub output_bytes: u64,
    /// Whether orx took it by itself, before it set the files back.
    #[serde(default)]
    pub automatic: bool,
}

/// Result of `session.checkpoints`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// Oldest first; the last 100 are kept.
    pub checkpoints: Vec<Checkpoint>,
}

/// Parameters of `session.restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreParams {
    /// Which.
    pub session: SessionId,
    /// To which checkpoint; the last when absent.
    #[serde(default)]
    pub sequence: Option<u64>,
    /// Whether the conversation is set back too; refused, before anything is done, where the engine cannot.
    #[serde(default, skip_serializing_if = "is_not")]
    pub rewind: bool,
    /// The variables with which the session was made.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference.
const fn is_not(flag: &bool) -> bool {
    !*flag
}
