//! Who asks: peer credentials on the Unix socket, the token and the browser checks on HTTP.

pub mod origin;
pub mod peer;
pub mod token;

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// How it came.
    pub door: Door,
    /// Its process id, where the kernel told it.
    pub pid: Option<u32>,
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
