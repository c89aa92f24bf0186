//! Identifiers: ULIDs with a prefix that says what they name. They are made by orx alone, never from a user's text, so
//! they are safe in paths and commands.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use ulid::Ulid;

/// A text that is not an identifier of the wanted sort.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an identifier of the form {prefix}<26 characters of a ULID>")]
pub struct BadId {
    /// What was given.
    pub text: String,
    /// The prefix that was wanted.
    pub prefix: &'static str,
}

fn parse(text: &str, prefix: &'static str) -> Result<Ulid, BadId> {
    text.strip_prefix(prefix)
        .filter(|rest| rest.len() == 26)
        .and_then(|rest| Ulid::from_string(rest).ok())
        .ok_or_else(|| BadId { text: text.chars().take(64).collect(), prefix })
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// The prefix of these identifiers.
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier of this moment.
            #[must_use]
            pub fn generate() -> Self {
                Self(Ulid::generate())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                parse(text, $prefix).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

identifier!(
    /// Names a session: one process tree held by one `pty-proxy`.
    SessionId,
    "ses_"
);
identifier!(
    /// Names a call of a model through the gateway.
    CallId,
    "req_"
);
identifier!(
    /// Names a key with which models are called through the gateway.
    KeyId,
    "key_"
);
identifier!(
    /// Names a run of a pipeline.
    RunId,
    "run_"
);
identifier!(
    /// Names a registered worker for as long as its connection lives.
    WorkerId,
    "wrk_"
);
identifier!(
    /// Names one dispatched request, the same over every redispatch: a worker's idempotency key.
    DispatchId,
    "dsp_"
);

identifier!(
    /// Names a permission or an answer that an agent asks for.
    ApprovalId,
    "apr_"
);
identifier!(
    /// Names a standing decision about approvals.
    RuleId,
    "rul_"
);
identifier!(
    /// Names a text that was sent to a session.
    MessageId,
    "msg_"
);
identifier!(
    /// Names a message to a person.
    NotificationId,
    "ntf_"
);

/// A fresh ULID in its canonical 26 characters, for names that carry one (a capability's `cid`).
#[must_use]
pub fn ulid_text() -> String {
    Ulid::generate().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_round_trip_and_refuse_other_text() {
        let id = SessionId::generate();
        assert_eq!(id.to_string().parse::<SessionId>(), Ok(id));
        for bad in [
            "",
            "ses_",
            "run_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "ses_../../etc/passwd-aaaaaaaaa",
            "ses_01ARZ3NDEKTSV4RRFFQ69G5FAU!",
        ] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
    }
}
