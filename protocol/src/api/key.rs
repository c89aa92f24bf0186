//! `key.*`: keys with names, with which programs call models through the gateway.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::KeyId;

/// How long the cap of a key counts before it begins anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A day of the operator's time zone.
    #[default]
    Day,
    /// A month of it.
    Month,
    /// As long as there is the key.
    Ever,
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Ever => "ever",
        })
    }
}

/// What a key may spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCap {
    /// The most, in micro-dollars.
    pub micro_dollars: u64,
    /// How long it counts; a day when absent.
    #[serde(default)]
    pub per: Per,
}

/// Parameters of `key.add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddParams {
    /// Its name: 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit.
    pub name: String,
    /// What it may spend; as the caps of the settings say when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<KeyCap>,
}

/// A key with a name, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its identifier.
    pub key: KeyId,
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// When it was revoked; `None` while it is in force.
    pub revoked_ms: Option<u64>,
    /// When it was used last, to the minute; `None` when it never was.
    pub last_used_ms: Option<u64>,
    /// What it may spend; `None` where only the settings say.
    pub cap: Option<KeyCap>,
}

/// Result of `key.add`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Its record.
    #[serde(flatten)]
    pub key: Key,
    /// The key itself. It is told this once, and kept nowhere.
    pub secret: String,
}

impl fmt::Debug for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Added").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Parameters of `key.revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeParams {
    /// The key's name.
    pub name: String,
}

/// Result of `key.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// All of them, revoked ones too, oldest first.
    pub keys: Vec<Key>,
}
