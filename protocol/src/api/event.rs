//! `event.subscribe`, `event.list`.

use serde::{Deserialize, Serialize};

use crate::event::Event;

/// Method of the notification that carries one [`Event`].
pub const NOTIFICATION: &str = "event";

/// Parameters of `event.subscribe`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeParams {
    /// Events with a greater sequence number are sent; absent: only those that come from now on.
    #[serde(default)]
    pub since: Option<u64>,
    /// Kinds to send, a trailing `*` matches any rest; absent or empty: all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Only events about this subject.
    #[serde(default)]
    pub subject: Option<String>,
    /// A name under which the daemon keeps how far this reader has come; with it and without `since`, reading goes on there.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// Result of `event.subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// Sequence number of the first event that may be sent.
    pub next: u64,
}

/// Parameters of `event.acknowledge`: moves a named cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeParams {
    /// The cursor's name.
    pub cursor: String,
    /// The last event that was dealt with.
    pub seq: u64,
}

/// Parameters of `event.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Events with a greater sequence number; absent: from the beginning.
    #[serde(default)]
    pub since: Option<u64>,
    /// As in `event.subscribe`.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// As in `event.subscribe`.
    #[serde(default)]
    pub subject: Option<String>,
    /// At most this many (1 to 1000; 100 when absent).
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Result of `event.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Events {
    /// In journal order.
    pub events: Vec<Event>,
    /// `since` for the next page.
    pub next: u64,
}

/// Whether an event of `kind` is wanted by `kinds`.
#[must_use]
pub fn wants(kinds: &[String], kind: &str) -> bool {
    kinds.is_empty()
        || kinds.iter().any(|wanted| wanted.strip_suffix('*').map_or(wanted == kind, |prefix| kind.starts_with(prefix)))
}
