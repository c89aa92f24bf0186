//! Who asks: peer credentials on the Unix socket, the token and the browser checks on HTTP, and whether it is an agent.

pub mod origin;
pub mod peer;
pub mod rights;
pub mod standing;
pub mod tcp;
pub mod token;

use orx_protocol::process::ProcessIdentity;
use std::sync::{Arc, OnceLock};

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// How it came.
    pub door: Door,
    /// Its process id, where the kernel told it.
    pub pid: Option<u32>,
    /// The same with its start time, as it was when the connection was taken: a later process with its number is another.
    pub process: Option<ProcessIdentity>,
    /// Both ends of its connection, where that is TCP.
    pub ends: Option<tcp::Ends>,
    /// Whether an agent may be at the other end of that, once it was looked for.
    pub in_question: Arc<OnceLock<bool>>,
}

impl Caller {
    /// A caller on the Unix socket.
    #[must_use]
    pub fn on_socket(peer: peer::Peer) -> Self {
        Self { door: Door::Unix, pid: peer.pid, process: peer.process, ends: None, in_question: Arc::default() }
    }

    /// A caller over TCP who has the token.
    #[must_use]
    pub fn over_tcp(ends: Option<tcp::Ends>) -> Self {
        Self { door: Door::Http, pid: None, process: None, ends, in_question: Arc::default() }
    }
}

/// How a caller came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The Unix socket, as the daemon's own user.
    Unix,
    /// HTTP with the local user's token.
    Http,
    /// WebSocket with the local user's token.
    WebSocket,
}
