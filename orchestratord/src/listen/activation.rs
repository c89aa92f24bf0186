//! What systemd hands over (sd_listen_fds(3)): the socket that it opened, and descriptors that it stored.

use nix::sys::socket::{AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

/// What systemd handed over cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the socket that systemd handed over cannot be used: {0}")]
pub struct ActivationError(String);

/// First descriptor that systemd hands over.
const FIRST: i32 = 3;

/// What systemd handed over.
#[derive(Debug, Default)]
pub struct Inherited {
    /// The listening socket; `None` when the daemon is to open its own.
    pub listener: Option<UnixListener>,
    /// Descriptors that an earlier daemon stored there, by name.
    pub stored: Vec<(String, OwnedFd)>,
}

/// What systemd handed over: at most one listening Unix socket, and whatever `is_stored` knows by its name.
///
/// # Errors
/// [`ActivationError`] when the variables are wrong, or something else was handed over.
pub fn inherited(
    lookup: &dyn Fn(&str) -> Option<String>,
    own_pid: u32,
    is_stored: impl Fn(&str) -> bool,
) -> Result<Inherited, ActivationError> {
    let Some(count) = announced(lookup, own_pid)? else { return Ok(Inherited::default()) };
    let names = lookup("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut found = Inherited::default();
    // Looked at before any is taken: a number that was announced and not handed over may be a file of this process's own.
    let stored = names.clone().filter(|name| is_stored(name)).count();
    if usize::try_from(count).is_ok_and(|count| count > stored + 1) {
        return Err(ActivationError(format!(
            "LISTEN_FDS is {count}, and more than one of them is a socket: orchestratord takes exactly one"
        )));
    }
    for offset in 0..count {
        let name = names.next().unwrap_or_default();
        let number = i32::try_from(offset).ok().and_then(|offset| FIRST.checked_add(offset));
        let number = number.ok_or_else(|| ActivationError(format!("LISTEN_FDS is {count}")))?;
        let descriptor = orx_sandbox::descriptors::inherited(number)
            .map_err(|error| ActivationError(format!("LISTEN_FDS is {count}, and {error}")))?;
        if is_stored(name) {
            found.stored.push((name.to_owned(), descriptor));
            continue;
        }
        check(number, &descriptor)?;
        if found.listener.replace(UnixListener::from(descriptor)).is_some() {
            return Err(ActivationError(format!(
                "LISTEN_FDS is {count}, and more than one of them is a socket: orchestratord takes exactly one"
            )));
        }
    }
    Ok(found)
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
    match count.parse() {
        Ok(0) => Err(ActivationError("LISTEN_FDS is 0: nothing was handed over".to_owned())),
        Ok(count) => Ok(Some(count)),
        Err(_) => Err(ActivationError(format!("LISTEN_FDS is `{count}`, which is no number"))),
    }
}

fn check(number: i32, descriptor: &OwnedFd) -> Result<(), ActivationError> {
    let wrong = |why: &str| {
        Err(ActivationError(format!("descriptor {number} {why}, a listening Unix stream socket is wanted")))
    };
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
        assert!(announce(&[("LISTEN_FDS", "0"), ("LISTEN_PID", "7")]).is_err());
        assert!(announce(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "x")]).is_err());
        assert!(announce(&[("LISTEN_FDS", "1")]).is_err());
    }

    #[test]
    fn only_a_listening_unix_stream_socket_passes() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        assert_eq!(check(3, &OwnedFd::from(listener)), Ok(()));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(check(3, &OwnedFd::from(tcp)).is_err());
        let (stream, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(check(3, &OwnedFd::from(stream)).is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(check(3, &OwnedFd::from(file)).is_err());
    }
}
