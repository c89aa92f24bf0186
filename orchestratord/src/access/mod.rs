//! Who asks: peer credentials on the Unix socket, the token and the browser checks on HTTP, and whether it is an agent.

pub mod origin;
pub mod peer;
pub mod rights;
pub mod standing;
pub mod tcp;
pub mod token;

use orx_protocol::process::ProcessIdentity;

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
}

impl Caller {
    /// A caller on the Unix socket.
    #[must_use]
    pub fn on_socket(pid: Option<u32>) -> Self {
        let process = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(orx_sandbox::identity::of);
        Self { door: Door::Unix, pid, process, ends: None }
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
