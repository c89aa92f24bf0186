//! An answer as it is kept: its bytes as its caller got them, and what it was by.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was given, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The provider that gave it.
    pub provider: String,
    /// The model there.
    pub model: String,
    /// The type of its body.
    pub content_type: String,
    /// What it cost in micro-dollars, where that is known.
    pub cost_microusd: Option<u64>,
    /// Its body.
    #[serde(skip)]
    pub body: Bytes,
}

impl Entry {
    /// The form in which it leaves the process: a line of JSON, and the body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = serde_json::to_vec(self).unwrap_or_default();
        out.push(b'\n');
        out.extend_from_slice(&self.body);
        out
    }

    /// Reads that form; `None` where it is another's.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = memchr::memchr(b'\n', bytes)?;
        let entry: Self = serde_json::from_slice(bytes.get(..end)?).ok()?;
        Some(Self { body: Bytes::copy_from_slice(bytes.get(end + 1..)?), ..entry })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let entry = Entry {
            at_ms: 7,
            provider: "p".to_owned(),
            model: "m\n\"".to_owned(),
            content_type: "application/json".to_owned(),
            cost_microusd: Some(3),
            body: Bytes::from_static(b"{\n}\n"),
        };
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
        for other in [&b""[..], b"x", b"x\ny", b"{}\n"] {
            assert_eq!(Entry::from_bytes(other), None);
        }
    }
}
