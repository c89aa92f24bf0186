//! How a call of a provider can fail, and what may follow: another try, another provider, a mark in a breaker, or nothing but
//! the error itself to the caller.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::breaker::Outcome;
use crate::breaker::board::Concerns;

/// Whose key a call was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    /// The operator's: the provider's refusal of it is no fault of the caller.
    Operator,
    /// The caller's own login, which was passed through.
    Caller,
}

/// How far a call had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The caller has not had a byte of an answer.
    Nothing,
    /// The caller has had the beginning of an answer.
    Begun,
}

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "failure")]
pub enum Failure {
    /// No connection.
    Connect,
    /// No secure connection.
    Tls,
    /// No answer within the time there was for its beginning.
    TimeoutBeforeHeaders,
    /// The answer stopped.
    TimeoutInStream,
    /// The answer ended before its end.
    Cut,
    /// What was answered is no answer: not in the protocol, or an error inside a success.
    Malformed,
    /// The provider is overloaded or asks to be left alone (429, 529).
    Throttled {
        /// 429 or 529.
        status: u16,
        /// What `Retry-After` said, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider failed (408, 5xx).
    Server {
        /// The status.
        status: u16,
        /// What `Retry-After` said, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider does not accept the operator's key, or does not serve it (401, 402, 403).
    ProviderKey {
        /// The status.
        status: u16,
    },
    /// The request is wrong (the other 4xx): no other provider makes it right.
    Caller {
        /// The status.
        status: u16,
    },
    /// The caller has gone.
    Gone,
}

impl Failure {
    /// The failure that a status of an answer is; `None` for a success.
    #[must_use]
    pub const fn of_status(status: u16, retry_after_ms: Option<u64>, key: KeyOwner) -> Option<Self> {
        match status {
            200..=299 => None,
            429 | 529 => Some(Self::Throttled { status, retry_after_ms }),
            408 | 500..=599 => Some(Self::Server { status, retry_after_ms }),
            401..=403 => Some(match key {
                KeyOwner::Operator => Self::ProviderKey { status },
                KeyOwner::Caller => Self::Caller { status },
            }),
            400..=499 => Some(Self::Caller { status }),
            // No redirection is followed: it could lead a key anywhere.
            _ => Some(Self::Malformed),
        }
    }

    /// Whether the same provider may be asked again.
    #[must_use]
    pub const fn may_retry(self, progress: Progress) -> bool {
        matches!(progress, Progress::Nothing)
            && matches!(
                self,
                Self::Connect | Self::TimeoutBeforeHeaders | Self::Cut | Self::Throttled { .. } | Self::Server { .. }
            )
    }

    /// Whether another provider may be asked.
    #[must_use]
    pub const fn may_fall_back(self, progress: Progress) -> bool {
        matches!(progress, Progress::Nothing) && !matches!(self, Self::Caller { .. } | Self::Gone)
    }

    /// What `Retry-After` said, in milliseconds.
    #[must_use]
    pub const fn retry_after_ms(self) -> Option<u64> {
        match self {
            Self::Throttled { retry_after_ms, .. } | Self::Server { retry_after_ms, .. } => retry_after_ms,
            _ => None,
        }
    }

    /// What it says to the breakers, and to which.
    #[must_use]
    pub const fn outcome(self) -> (Outcome, Concerns) {
        match self {
            Self::Connect | Self::Tls | Self::ProviderKey { .. } => (Outcome::Failure, Concerns::Provider),
            Self::Throttled { status: 429, retry_after_ms } => (Outcome::Throttled { retry_after_ms }, Concerns::Model),
            Self::TimeoutBeforeHeaders
            | Self::TimeoutInStream
            | Self::Cut
            | Self::Malformed
            | Self::Throttled { .. }
            | Self::Server { .. } => (Outcome::Failure, Concerns::Model),
            // Whoever finds a fault in a request is well.
            Self::Caller { .. } => (Outcome::Success, Concerns::Model),
            Self::Gone => (Outcome::Neutral, Concerns::Model),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("no connection"),
            Self::Tls => f.write_str("no secure connection"),
            Self::TimeoutBeforeHeaders => f.write_str("no answer in time"),
            Self::TimeoutInStream => f.write_str("the answer stopped"),
            Self::Cut => f.write_str("the answer was cut"),
            Self::Malformed => f.write_str("the answer is malformed"),
            Self::Throttled { status, retry_after_ms: Some(wait) } => {
                write!(f, "status {status}, come again in {} s", wait.div_ceil(1000))
            }
            Self::Throttled { status, .. } | Self::Server { status, .. } => write!(f, "status {status}"),
            Self::ProviderKey { status } => write!(f, "the provider refuses orx's key (status {status})"),
            Self::Caller { status } => write!(f, "the request is refused (status {status})"),
            Self::Gone => f.write_str("the caller has gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_decides_what_follows() {
        use Progress::{Begun, Nothing};
        let of = |status| Failure::of_status(status, None, KeyOwner::Operator).unwrap();
        // Failure, may be retried, may fall back.
        for (failure, retry, fall_back) in [
            (Failure::Connect, true, true),
            (Failure::Tls, false, true),
            (Failure::TimeoutBeforeHeaders, true, true),
            (Failure::TimeoutInStream, false, true),
            (Failure::Cut, true, true),
            (Failure::Malformed, false, true),
            (of(408), true, true),
            (of(429), true, true),
            (of(500), true, true),
            (of(503), true, true),
            (of(529), true, true),
            (of(401), false, true),
            (of(403), false, true),
            (of(400), false, false),
            (of(404), false, false),
            (of(413), false, false),
            (of(422), false, false),
            (Failure::Gone, false, false),
            (of(302), false, true),
        ] {
            assert_eq!(failure.may_retry(Nothing), retry, "{failure}");
            assert_eq!(failure.may_fall_back(Nothing), fall_back, "{failure}");
            assert!(!failure.may_retry(Begun) && !failure.may_fall_back(Begun), "{failure}: a byte went out");
        }
        assert_eq!(Failure::of_status(200, None, KeyOwner::Operator), None);
    }

    #[test]
    fn a_callers_own_login_is_the_callers_matter() {
        let refused = Failure::of_status(401, None, KeyOwner::Caller).unwrap();
        assert!(!refused.may_fall_back(Progress::Nothing));
        assert_eq!(refused.outcome(), (Outcome::Success, Concerns::Model));
        let ours = Failure::of_status(401, None, KeyOwner::Operator).unwrap();
        assert_eq!(ours.outcome(), (Outcome::Failure, Concerns::Provider));
    }

    #[test]
    fn only_429_speaks_of_the_caller_of_the_provider() {
        let wait = Some(5);
        for (status, outcome) in
            [(429, Outcome::Throttled { retry_after_ms: wait }), (529, Outcome::Failure), (503, Outcome::Failure)]
        {
            let failure = Failure::of_status(status, wait, KeyOwner::Operator).unwrap();
            assert_eq!((failure.outcome(), failure.retry_after_ms()), ((outcome, Concerns::Model), wait));
        }
    }
}
