//! `session.send` and its receipts: how far a text is known to have come, by evidence.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::id::{MessageId, SessionId};

/// How far a text is known to have come. Each holds what those before it say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    /// It is kept, and is delivered when the session can take it.
    Queued,
    /// It was written to the session's terminal.
    Typed,
    /// It left the place where it was typed after Enter.
    Submitted,
    /// The agent said that it took it.
    Accepted,
    /// It still stands where it was typed, although Enter was pressed twice.
    DraftStuck,
    /// It was being typed when the daemon ended; the session's screen shows whether it arrived.
    Unknown,
    /// It was given up: `evidence` says why, and how much of it was typed is said there.
    Failed,
}

impl Receipt {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Typed => "typed",
            Self::Submitted => "submitted",
            Self::Accepted => "accepted",
            Self::DraftStuck => "draft_stuck",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a text is delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Now: a session that cannot take it refuses it.
    #[default]
    Now,
    /// As soon as the agent is idle; until then it is kept, also over a restart.
    Idle,
}

impl When {
    /// Whether it is the usual time.
    #[must_use]
    pub fn is_now(&self) -> bool {
        *self == Self::Now
    }
}

/// Parameters of `session.send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendParams {
    /// Which.
    pub session: SessionId,
    /// The text, sent as one paste where the program supports that.
    pub text: String,
    /// Whether Enter follows (yes when absent).
    #[serde(default = "yes")]
    pub submit: bool,
    /// When.
    #[serde(default, skip_serializing_if = "When::is_now")]
    pub when: When,
    /// A key of the caller's own: a request that is repeated with it is answered with what became of the first one, and
    /// types nothing again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Send it also where orx would refuse: into a dialog, or a shell that took the agent's place.
    #[serde(default, skip_serializing_if = "is_not")]
    pub force: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference.
const fn is_not(flag: &bool) -> bool {
    !*flag
}

const fn yes() -> bool {
    true
}

/// What became of a text: the result of `session.send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The text's own name.
    pub message: MessageId,
    /// How far it is known to have come.
    pub receipt: Receipt,
    /// By what that is known, for a person.
    pub evidence: String,
    /// Whether Enter had to be pressed a second time.
    #[serde(default)]
    pub repaired: bool,
}

/// A text that was sent, as `session.messages` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The text's own name.
    pub message: MessageId,
    /// To which session.
    pub session: SessionId,
    /// When it came, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The text.
    pub text: String,
    /// Whether Enter follows.
    pub submit: bool,
    /// When it is delivered.
    pub when: When,
    /// Whether it goes also where orx would refuse.
    #[serde(default)]
    pub force: bool,
    /// How far it is known to have come; `None` while it is under way.
    pub receipt: Option<Receipt>,
    /// By what that is known.
    pub evidence: String,
    /// Whether Enter had to be pressed a second time.
    pub repaired: bool,
}

/// Result of `session.messages`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// The newest 1,000, oldest first.
    pub messages: Vec<Message>,
}
