//! Everything that can go wrong between a caller and the daemon.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use orx_protocol::error::{ErrorKind, RpcError};

/// Why a call, a stream or a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens at the path, or it may not be opened.
    #[error("the daemon is not reachable at {}: {source}; start it with `orxctl up`", path.display())]
    NotReachable {
        /// The socket that was tried.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The connection ended; whether a request under way was carried out is not known.
    #[error("the daemon closed the connection")]
    Closed,
    /// The answer did not come in time; whether the request was carried out is not known.
    #[error("`{method}` was not answered within {} ms", after.as_millis())]
    Timeout {
        /// The method that was called.
        method: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// The daemon answered with an error.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The request is larger than the daemon accepts; nothing was sent.
    #[error("the request to `{method}` has {size} bytes, the limit is {limit}; nothing was sent")]
    TooLarge {
        /// The method that was to be called.
        method: String,
        /// Size of the body in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The receiver read too slowly and this many notifications were dropped.
    #[error("{0} notifications were dropped because they were not read in time")]
    Lagged(u64),
    /// What arrived is not what the protocol says.
    #[error("the daemon does not speak this protocol: {0}")]
    Protocol(String),
}

impl ClientError {
    /// What the caller can do about it; empty where there is nothing to say.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::NotReachable { .. } => "start the daemon with `orxctl up`, or point ORX_SOCKET at a running one",
            Self::Closed => "the daemon stopped or cut this connection; see `orxctl status` and its log",
            Self::Timeout { .. } => "ask again with a longer deadline, or see `orxctl status` for a busy worker",
            Self::TooLarge { .. } => "send less in one request",
            Self::Lagged(_) => "read faster, or read the journal, which drops nothing",
            Self::Protocol(_) => "client and daemon may be of different versions: compare `orxctl status`",
            Self::Rpc(error) => &error.data.hint,
        }
    }

    /// Whether the daemon is gone or was never there, as opposed to having refused or failed the request.
    #[must_use]
    pub const fn is_disconnect(&self) -> bool {
        matches!(self, Self::NotReachable { .. } | Self::Closed)
    }

    /// Whether a request that carries its own idempotency key may succeed when it is repeated.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::NotReachable { .. } | Self::Closed | Self::Timeout { .. } => true,
            Self::Rpc(error) => error.data.retryable || error.kind() == ErrorKind::WorkerLost,
            Self::TooLarge { .. } | Self::Lagged(_) | Self::Protocol(_) => false,
        }
    }
}
