//! `sequence.next`, `record.*`: durable truth for workers, which keep none themselves.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Parameters of `sequence.next`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceParams {
    /// The counter's name; counters start at 1 and have no gaps.
    pub name: String,
    /// Idempotency key: the same key gets the same number again, over restarts.
    #[serde(default)]
    pub key: Option<String>,
}

/// Result of `sequence.next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceValue {
    /// The number.
    pub value: u64,
    /// Whether the key had been given this number before.
    pub repeated: bool,
}

/// Parameters of `sequence.allocate`: the next number and the record that it names, in one transaction, so that a death
/// between the two leaves no gap.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllocateParams {
    /// The counter's name.
    pub name: String,
    /// Idempotency key: the same key gets the same record again.
    #[serde(default)]
    pub key: Option<String>,
    /// Collection of the record.
    pub collection: String,
    /// Key of the record; `{n}` stands for the number.
    pub record_key: String,
    /// The record, an object; `{n}` within its texts stands for the number, and a member whose text is exactly `{n}`
    /// becomes the number itself.
    pub record: Box<RawValue>,
}

/// Result of `sequence.allocate`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Allocated {
    /// The number.
    pub value: u64,
    /// The record as it is kept.
    pub record: Box<RawValue>,
    /// Whether the key had been served before.
    pub repeated: bool,
}

/// Parameters of `record.put` and `record.create`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutParams {
    /// The collection.
    pub collection: String,
    /// The key within it.
    pub key: String,
    /// Any JSON value.
    pub value: Box<RawValue>,
}

/// Result of `record.put`, `record.create` and `record.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The key.
    pub key: String,
    /// The value that is kept now.
    pub value: Box<RawValue>,
    /// Grows by one with each write, from 1.
    pub version: u64,
    /// `record.create` only: whether this call made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
}

/// Parameters of `record.get` and `record.delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyParams {
    /// The collection.
    pub collection: String,
    /// The key within it.
    pub key: String,
}

/// Parameters of `record.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// The collection.
    pub collection: String,
    /// Only keys with this prefix.
    #[serde(default)]
    pub prefix: String,
    /// Only keys greater than this one.
    #[serde(default)]
    pub after: Option<String>,
    /// At most this many (1 to 1000; 100 when absent).
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Result of `record.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Records {
    /// In key order.
    pub records: Vec<Record>,
}
