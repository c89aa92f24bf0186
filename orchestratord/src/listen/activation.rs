//! A socket that systemd opened and hands over (sd_listen_fds(3)).

use nix::sys::socket::{AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

/// What systemd handed over cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the socket that systemd handed over cannot be used: {0}")]
pub struct ActivationError(String);

/// First descriptor that systemd hands over.
const FIRST: i32 = 3;

/// The listening Unix socket from systemd, or `None` when the daemon was not started that way.
///
/// # Errors
/// [`ActivationError`] when the variables are wrong, or there is not exactly one listening Unix stream socket.
pub fn inherited(
    lookup: &dyn Fn(&str) -> Option<String>,
    own_pid: u32,
) -> Result<Option<UnixListener>, ActivationError> {
    let Some(count) = announced(lookup, own_pid)? else { return Ok(None) };
    if count != 1 {
        return Err(ActivationError(format!(
            "LISTEN_FDS is {count}, orchestratord takes exactly one: the Unix socket"
        )));
    }
    // SAFETY: systemd handed over descriptor 3 to this very process (LISTEN_PID was checked) and nothing else owns it.
    #[allow(unsafe_code)]
    let descriptor = unsafe {
        if nix::fcntl::fcntl(BorrowedFd::borrow_raw(FIRST), nix::fcntl::FcntlArg::F_GETFD).is_err() {
            return Err(ActivationError("LISTEN_FDS is 1 and descriptor 3 is not open".to_owned()));
        }
        OwnedFd::from_raw_fd(FIRST)
    };
    check(&descriptor)?;
    nix::fcntl::fcntl(&descriptor, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
        .map_err(|errno| ActivationError(errno.to_string()))?;
    Ok(Some(UnixListener::from(descriptor)))
}

/// How many descriptors were announced to this process.
fn announced(lookup: &dyn Fn(&str) -> Option<String>, own_pid: u32) -> Result<Option<u32>, ActivationError> {
    let Some(count) = lookup("LISTEN_FDS") else { return Ok(None) };
    if let Some(pid) = lookup("LISTEN_PID") {
        let pid: u32 =
            pid.parse().map_err(|_| ActivationError(format!("LISTEN_PID is `{pid}`, which is no process id")))?;
        if pid != own_pid {
            // The variables were meant for another process and were inherited by accident.
            return Ok(None);
        }
    } else {
        return Err(ActivationError("LISTEN_FDS is set and LISTEN_PID is not".to_owned()));
    }
    count.parse().map(Some).map_err(|_| ActivationError(format!("LISTEN_FDS is `{count}`, which is no number")))
}

fn check(descriptor: &OwnedFd) -> Result<(), ActivationError> {
    let wrong =
        |why: &str| Err(ActivationError(format!("descriptor 3 {why}, a listening Unix stream socket is wanted")));
    let Ok(address) = getsockname::<SockaddrStorage>(descriptor.as_raw_fd()) else { return wrong("is no socket") };
    if address.family() != Some(AddressFamily::Unix) {
        return wrong("is a socket of another family");
    }
    if getsockopt(&descriptor.as_fd(), sockopt::SockType) != Ok(SockType::Stream) {
        return wrong("is no stream socket");
    }
    if getsockopt(&descriptor.as_fd(), sockopt::AcceptConn) != Ok(true) {
        return wrong("does not listen");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announce(set: &[(&str, &str)]) -> Result<Option<u32>, ActivationError> {
        announced(&|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()), 7)
    }

    #[test]
    fn variables_are_taken_when_they_are_meant_for_this_process() {
        assert_eq!(announce(&[]), Ok(None));
        assert_eq!(announce(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "7")]), Ok(Some(1)));
        assert_eq!(announce(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "8")]), Ok(None));
        assert!(announce(&[("LISTEN_FDS", "x"), ("LISTEN_PID", "7")]).is_err());
        assert!(announce(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "x")]).is_err());
        assert!(announce(&[("LISTEN_FDS", "1")]).is_err());
    }

    #[test]
    fn only_a_listening_unix_stream_socket_passes() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        assert_eq!(check(&OwnedFd::from(listener)), Ok(()));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(check(&OwnedFd::from(tcp)).is_err());
        let (stream, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(check(&OwnedFd::from(stream)).is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(check(&OwnedFd::from(file)).is_err());
    }
}
