//! The process at the other end of a Unix socket. Its number, as the kernel told it when the connection was made, may be
//! another process's by the time that it is looked at; so the kernel's own handle of the process is asked too.

use std::os::fd::AsFd;

use orx_protocol::process::ProcessIdentity;

use crate::identity;

/// The process that made the connection, whose number the kernel told as `pid`; `None` when it has ended. Where the kernel
/// gives no handle (before Linux 6.5) the number alone is believed.
#[must_use]
pub fn process(stream: impl AsFd, pid: i32) -> Option<ProcessIdentity> {
    let handle = handle::of(&stream);
    let process = identity::of(pid)?;
    // Looked at last: while the process lives, its number is nobody else's.
    (!handle.has_ended()).then_some(process)
}

#[cfg(target_os = "linux")]
mod handle {
    use std::os::fd::{AsFd, OwnedFd};

    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::socket::{getsockopt, sockopt};

    pub(super) enum Handle {
        /// The kernel's.
        Known(OwnedFd),
        /// It has no handle of a process that is gone.
        Ended,
        /// This kernel gives none.
        Untold,
    }

    /// `SO_PEERPIDFD`, see socket(7).
    pub(super) fn of(stream: &impl AsFd) -> Handle {
        match getsockopt(stream, sockopt::PeerPidfd) {
            Ok(handle) => Handle::Known(handle),
            Err(Errno::ENOPROTOOPT) => Handle::Untold,
            Err(_) => Handle::Ended,
        }
    }

    impl Handle {
        pub(super) fn has_ended(&self) -> bool {
            match self {
                Self::Untold => false,
                Self::Ended => true,
                // It can be read once the process has ended; see pidfd_open(2). An error is no sign of life.
                Self::Known(handle) => {
                    let mut descriptors = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
                    poll(&mut descriptors, PollTimeout::ZERO) != Ok(0)
                }
            }
        }
    }
}

/// Other systems have no such handle.
#[cfg(not(target_os = "linux"))]
mod handle {
    pub(super) struct Handle;

    pub(super) const fn of<T>(_stream: &T) -> Handle {
        Handle
    }

    impl Handle {
        pub(super) const fn has_ended(&self) -> bool {
            false
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::{Child, Command};

    use nix::sys::socket::{getsockopt, sockopt};

    /// A connection that a process made which has ended and was reaped, and that process's number.
    fn of_the_dead(listener: &UnixListener, path: &std::path::Path) -> (UnixStream, i32) {
        let code = format!("import socket; socket.socket(socket.AF_UNIX).connect({:?})", path.to_str().unwrap());
        #[allow(clippy::disallowed_methods)] // This crate is where spawning lives.
        let mut child = Command::new("python3").args(["-c", &code]).spawn().unwrap();
        assert!(child.wait().unwrap().success());
        let (stream, _) = listener.accept().unwrap();
        let pid = getsockopt(&stream, sockopt::PeerCredentials).unwrap().pid();
        (stream, pid)
    }

    /// Makes the next process of this machine have `pid`, where this user may say so and nobody is faster.
    fn with_number(pid: i32) -> Option<Child> {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        #[allow(clippy::disallowed_methods)] // This crate is where spawning lives.
        let mut child = Command::new("sleep").arg("600").spawn().ok()?;
        if child.id() == u32::try_from(pid).ok()? {
            return Some(child);
        }
        let _ = (child.kill(), child.wait());
        None
    }

    #[test]
    fn the_process_at_the_other_end_is_told_and_one_that_took_its_number_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let own = identity::own().unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        let (stream, _) = listener.accept().unwrap();
        assert_eq!(process(&stream, own.pid), Some(own));
        let is_root = nix::unistd::geteuid().is_root();
        for _ in 0..100 {
            let (stream, pid) = of_the_dead(&listener, &path);
            assert_eq!(process(&stream, pid), None);
            if !is_root {
                return;
            }
            if let Some(mut later) = with_number(pid) {
                let told = process(&stream, pid);
                let _ = (later.kill(), later.wait());
                assert_eq!(told, None, "a later process has the number");
                return;
            }
        }
        panic!("no process could be given the number of another");
    }
}
