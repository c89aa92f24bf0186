//! Why a channel cannot be used.

use orx_protocol::{ErrorKind, RpcError};
use std::time::Duration;

/// What went wrong with a channel.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Nobody answers where the engine's channel should be.
    #[error("{peer} cannot be reached: {source}")]
    Unreachable {
        /// Who was looked for.
        peer: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It took too long.
    #[error("{peer} did not {what} within {} s", limit.as_secs())]
    Late {
        /// Who was waited for.
        peer: &'static str,
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The connection broke.
    #[error("the connection to {peer} broke: {why}")]
    Broken {
        /// The other end.
        peer: &'static str,
        /// How.
        why: String,
    },
    /// What came is not of the protocol.
    #[error("{peer} does not speak its protocol: {why}")]
    Protocol {
        /// The other end.
        peer: &'static str,
        /// What came.
        why: String,
    },
    /// More came than is read.
    #[error("{peer} sent {what}, more than the {limit} that are taken")]
    Flood {
        /// The other end.
        peer: &'static str,
        /// What it sent.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The engine wants its user to log in first.
    #[error("the engine wants a login first: {0}")]
    Login(String),
    /// The engine refused what every channel begins with.
    #[error("the engine refused `{what}`: {why}")]
    Refused {
        /// The request.
        what: String,
        /// Its reason.
        why: String,
    },
    /// The address is no place on this machine.
    #[error("`{0}` is no address on this machine; a channel never leaves it")]
    Address(String),
}

impl ChannelError {
    /// Whether another connection may mend it.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Late { .. } | Self::Broken { .. })
    }
}

impl From<ChannelError> for RpcError {
    fn from(error: ChannelError) -> Self {
        let (kind, hint) = match &error {
            ChannelError::Login(_) => (ErrorKind::EngineLogin, "log in with the engine's own program, then try again"),
            ChannelError::Unreachable { .. } | ChannelError::Late { .. } | ChannelError::Broken { .. } => {
                (ErrorKind::Unavailable, "`session.get` shows whether the session still runs")
            }
            _ => (ErrorKind::Upstream, "see the session's directory for what the engine wrote"),
        };
        Self::new(kind, error.to_string()).with_hint(hint)
    }
}
