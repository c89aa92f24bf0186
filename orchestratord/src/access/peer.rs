//! The peer of a Unix socket: only the daemon's own user may speak.

use orx_protocol::process::ProcessIdentity;
use std::io;
use tokio::net::UnixStream;

/// Who is at the other end, as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Number of its process, where the system tells.
    pub pid: Option<u32>,
    /// The process itself; `None` when it has ended, or is not of this process's own view of the machine.
    pub process: Option<ProcessIdentity>,
}

/// Reads the peer's credentials (`SO_PEERCRED` on Linux, `getpeereid` on macOS).
///
/// # Errors
/// When the kernel does not tell; the peer must then be refused.
pub fn of(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = stream.peer_cred()?;
    let process = credentials.pid().and_then(|pid| orx_sandbox::peer::process(stream, pid));
    Ok(Peer { uid: credentials.uid(), pid: credentials.pid().and_then(|pid| u32::try_from(pid).ok()), process })
}

/// Whether this peer is the daemon's own user.
#[must_use]
pub fn is_allowed(peer: Peer) -> bool {
    peer.uid == nix::unistd::geteuid().as_raw()
}
