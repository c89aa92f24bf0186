//! `notification.*`: what a person was told, by which roads, and whether it arrived.

use serde::{Deserialize, Serialize};

use crate::id::{NotificationId, SessionId};

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// An agent asks for a permission.
    Approval,
    /// An agent asks something else.
    Question,
    /// An agent, its process or a run failed.
    Failed,
    /// An agent finished what it was told, or a run is done.
    Done,
    /// An agent's provider refuses calls until a time.
    RateLimited,
    /// A cap on what calls of models cost is near its end, or reached.
    Budget,
    /// A person asked for a trial.
    Test,
}

impl Topic {
    /// Every topic that happens by itself.
    pub const ALL: [Self; 6] =
        [Self::Approval, Self::Question, Self::Failed, Self::Done, Self::RateLimited, Self::Budget];

    /// The word in settings and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Question => "question",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::RateLimited => "rate_limited",
            Self::Budget => "budget",
            Self::Test => "test",
        }
    }
}

/// By which road somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Road {
    /// The desktop's notifications, over D-Bus.
    Desktop,
    /// OSC 9 and 777 on the terminals that are attached to any session.
    Terminal,
    /// A command of the operator's.
    Command,
}

/// What became of it on a road.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It arrived; by whose word, or where.
    Delivered(String),
    /// It did not, and why.
    Failed(String),
    /// There was nobody to tell on this road.
    Nobody,
}

/// A road, and what became of the notification there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The road.
    pub road: Road,
    /// What became of it.
    pub status: Status,
}

/// Something that a person was told, or would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Its name.
    pub notification: NotificationId,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What it is about.
    pub topic: Topic,
    /// The session, where it is about one.
    pub session: Option<SessionId>,
    /// One line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// What became of it, road by road; empty when it was held back.
    pub attempts: Vec<Attempt>,
    /// Why nobody was told, where that is so.
    pub held_back: Option<String>,
}

/// Parameters of `notification.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// At most so many (1 to 1,000; 100 when absent).
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Result of `notification.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifications {
    /// The newest, oldest of them first.
    pub notifications: Vec<Notification>,
}
