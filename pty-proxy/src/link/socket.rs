//! The listening socket: private from its first instant, in a private directory, for this user alone; and reading from
//! a connection together with the descriptors that come along.

use std::fs::FileType;
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::stat::{Mode, umask};
use orx_protocol::limits::SOCKET_PATH;
#[cfg(target_os = "linux")]
use orx_sandbox::descent;

/// The socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The path does not fit a socket's address.
    #[error(
        "the socket path {path} has {length} bytes, the kernel takes at most {SOCKET_PATH}; use a shorter directory"
    )]
    TooLong {
        /// The path.
        path: String,
        /// Its length.
        length: usize,
    },
    /// The directory is open to others.
    #[error("the directory of the socket, {path}, {why}; make it a directory of this user with mode 0700")]
    Directory {
        /// The directory.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something else is at the path.
    #[error("{path} is there already and is {what}; it was left as it is")]
    Occupied {
        /// The path.
        path: String,
        /// What is there.
        what: &'static str,
    },
    /// The kernel refused.
    #[error("the socket {path} could not be made: {source}")]
    Refused {
        /// The path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The socket of a holder; its file goes with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    identity: Option<(u64, u64)>,
    /// Who of the session's own processes may connect.
    own: Own,
}

/// Which processes belong to the session, for whom its sockets are closed, and which of them are let in all the same. Who
/// connects is judged by the nearest of these that it is or descends from; by none of them, it comes from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Refused with what descends from them.
    pub refused: Vec<i32>,
    /// Let in with what descends from them.
    pub admitted: Vec<i32>,
}

impl Listener {
    /// Binds the socket. A socket that nobody listens on any more is replaced; nothing else is.
    ///
    /// # Errors
    /// [`SocketError`] when the path is too long, its directory open to others, or something is there.
    pub fn bind(path: &Path) -> std::result::Result<Self, SocketError> {
        let shown = || path.display().to_string();
        let length = path.as_os_str().len();
        if length > SOCKET_PATH {
            return Err(SocketError::TooLong { path: shown(), length });
        }
        let directory = path.parent().unwrap_or(Path::new("/"));
        check_directory(directory)?;
        remove_stale(path)?;
        let refused = |source| SocketError::Refused { path: shown(), source };
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        Ok(Self { listener, path: path.to_owned(), identity: file_identity(path), own: Own::default() })
    }

    /// Goes on with the socket of another holder, bound to `path`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn go_on(listener: OwnedFd, path: &Path) -> Result<Self> {
        let listener = UnixListener::from(listener);
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: path.to_owned(), identity: file_identity(path), own: Own::default() })
    }

    /// Closes from now on connections of processes that descend from one of `roots`: the session's own.
    pub fn refuse_descendants_of(&mut self, roots: Vec<i32>) {
        self.own = Own { refused: roots, admitted: Vec::new() };
    }

    /// Says which of the session's own processes may connect from now on.
    pub fn admit(&mut self, own: Own) {
        self.own = own;
    }

    /// The next connection. One of another user is closed at once.
    ///
    /// # Errors
    /// When the kernel cannot give one, for instance because no descriptor is left.
    pub fn accept(&self) -> Result<Accepted> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                Ok(refusal(&stream, &self.own).map_or(Accepted::Own(stream), Accepted::Refused))
            }
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::ConnectionAborted) =>
            {
                Ok(Accepted::None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the socket's file away: nobody can connect any more, who has connected can be accepted.
    pub fn unlink(&mut self) {
        if self.identity.take().is_some_and(|identity| file_identity(&self.path) == Some(identity)) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What [`Listener::accept`] gives.
#[derive(Debug)]
pub enum Accepted {
    /// A connection of this user.
    Own(UnixStream),
    /// A connection came and was closed, for this reason.
    Refused(&'static str),
    /// None waits.
    None,
}

impl AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.unlink();
    }
}

fn file_identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn check_directory(directory: &Path) -> std::result::Result<(), SocketError> {
    let wrong = |why: String| SocketError::Directory { path: directory.display().to_string(), why };
    if !directory.exists() {
        orx_sandbox::file::private_directory(directory).map_err(|error| wrong(format!("cannot be made: {error}")))?;
    }
    let metadata =
        std::fs::symlink_metadata(directory).map_err(|error| wrong(format!("cannot be looked at: {error}")))?;
    if !metadata.is_dir() {
        return Err(wrong("is not a directory".to_owned()));
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(wrong("belongs to another user".to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(wrong(format!("is open to other users (mode {:04o})", metadata.mode() & 0o7777)));
    }
    Ok(())
}

fn remove_stale(path: &Path) -> std::result::Result<(), SocketError> {
    let shown = || path.display().to_string();
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::Occupied { path: shown(), what: kind_name(metadata.file_type()) });
    }
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::Occupied { path: shown(), what: "a socket that somebody listens on" });
    }
    std::fs::remove_file(path).map_err(|source| SocketError::Refused { path: shown(), source })
}

fn kind_name(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else {
        "no socket"
    }
}

/// Why the process at the other end may not speak to this holder: it is another user's, or it belongs to the held
/// session, which must not type into its own terminal.
#[cfg(target_os = "linux")]
fn refusal(stream: &UnixStream, own: &Own) -> Option<&'static str> {
    let Ok(peer) = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials) else {
        return Some("a connection of an unknown process was closed");
    };
    if peer.uid() != nix::unistd::geteuid().as_raw() {
        return Some("a connection of another user was closed");
    }
    // A process that this one cannot see is outside the sandbox that both of a session's sides are in.
    if peer.pid() == 0 {
        return None;
    }
    // One that is gone cannot be told from one of the session: it may have written before it ended.
    let Some(process) = orx_sandbox::peer::process(stream, peer.pid()) else {
        return Some("a connection of a process that has ended was closed");
    };
    let chain: Vec<i32> = descent::chain(process.pid).iter().map(|process| process.pid).collect();
    is_refused(&chain, own).then_some("a connection of the held session itself was closed")
}

/// As on Linux, but for the session's own processes, which macOS does not name. Written for macOS and not tested there.
#[cfg(not(target_os = "linux"))]
fn refusal(stream: &UnixStream, _own: &Own) -> Option<&'static str> {
    let own = nix::unistd::getpeereid(stream).is_ok_and(|(uid, _)| uid == nix::unistd::geteuid());
    (!own).then_some("a connection of another user was closed")
}

/// Whether a process is the session's own and not let in, by itself and its ancestors, itself first. A process of which
/// nothing is known is not let in.
#[cfg(target_os = "linux")]
fn is_refused(chain: &[i32], own: &Own) -> bool {
    let nearest = chain.iter().find_map(|pid| match (own.refused.contains(pid), own.admitted.contains(pid)) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    });
    // A longer chain is cut, and what was cut off may be the session.
    nearest.unwrap_or(chain.is_empty() || chain.len() >= descent::GENERATIONS)
}

/// Most descriptors that the kernel passes with one message.
const DESCRIPTORS: usize = 253;

/// Reads what is there into `buffer`; gives how much that was, and the first descriptor that came along. Further ones
/// are closed.
///
/// # Errors
/// As `recvmsg(2)`.
#[allow(unsafe_code)] // The safe wrapper does not tell the descriptors of a truncated message, which then stay open.
pub fn receive(stream: &UnixStream, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // Of words, so that it is aligned as a control header must be.
    let mut control = [0usize; 16 + DESCRIPTORS.div_ceil(2)];
    // SAFETY: all zeros is a valid empty header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = std::mem::size_of_val(&control) as _;
    #[cfg(target_os = "linux")]
    let flags = libc::MSG_CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = 0;
    // SAFETY: the header points to `part` and `control`, which outlive the call and are as long as it says.
    let count = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut header, flags) };
    let count = usize::try_from(count).map_err(|_| std::io::Error::last_os_error())?;
    let mut first = None;
    // SAFETY: the kernel filled `control` and set its length in `header`; the macros stay within that.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !next.is_null() {
        // SAFETY: `next` is not null and within `control`, which is aligned for it.
        let message = unsafe { &*next };
        if message.cmsg_level == libc::SOL_SOCKET && message.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: the data of the message begins here and ends at its length.
            let (data, head) = unsafe { (libc::CMSG_DATA(next), libc::CMSG_LEN(0) as usize) };
            let passed = (message.cmsg_len as usize).saturating_sub(head) / std::mem::size_of::<libc::c_int>();
            for index in 0..passed {
                // SAFETY: `index` is within the data; the kernel installed the descriptor and nothing else owns it.
                let owned = unsafe { OwnedFd::from_raw_fd(data.cast::<libc::c_int>().add(index).read_unaligned()) };
                first.get_or_insert(owned);
            }
        }
        // SAFETY: as for the first.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
    }
    Ok((count, first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn private() -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        scratch
    }

    #[test]
    fn the_socket_is_private_and_goes_with_its_holder() {
        let scratch = private();
        let path = scratch.path().join("s");
        let listener = Listener::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Listener::bind(&path), Err(SocketError::Occupied { .. })));
        drop(listener);
        assert!(!path.exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_connects_is_judged_by_its_nearest_relation() {
        let own = Own { refused: vec![7, 3], admitted: vec![5] };
        for (chain, refused) in [
            (&[9, 8][..], false),
            (&[9, 7, 5, 3], true),
            (&[9, 5, 3], false),
            (&[5, 3], false),
            (&[9, 3], true),
            (&[7], true),
            (&[], true),
        ] {
            assert_eq!(is_refused(chain, &own), refused, "{chain:?}");
        }
        assert!(!is_refused(&[9], &Own::default()));
        assert!(is_refused(&vec![9; descent::GENERATIONS], &Own::default()), "what was cut off may be the session");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_connects_writes_and_ends_is_not_served() {
        let scratch = private();
        let path = scratch.path().join("s");
        let listener = Listener::bind(&path).unwrap();
        let code = format!(
            "import socket; s = socket.socket(socket.AF_UNIX); s.connect({:?}); s.sendall(b'typed')",
            path.to_str().unwrap()
        );
        let streams = [std::process::Stdio::null(), std::process::Stdio::null(), std::process::Stdio::inherit()];
        let argv = ["python3".to_owned(), "-c".to_owned(), code];
        let environment = orx_sandbox::environment::own();
        let mut child = orx_sandbox::spawn::on_streams(&argv, Path::new("/"), &environment, streams).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(matches!(listener.accept().unwrap(), Accepted::Refused(_)));
        let _own = UnixStream::connect(&path).unwrap();
        assert!(matches!(listener.accept().unwrap(), Accepted::Own(_)));
    }

    #[test]
    fn what_is_no_stale_socket_is_left_alone() {
        let scratch = private();
        let path = scratch.path().join("s");
        std::fs::write(&path, "mine").unwrap();
        assert!(Listener::bind(&path).unwrap_err().to_string().contains("no socket"));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nonexistent", &path).unwrap();
        assert!(Listener::bind(&path).unwrap_err().to_string().contains("symbolic link"));
        std::fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Listener::bind(&path).unwrap();
    }

    #[test]
    fn an_open_directory_and_a_long_path_are_refused_by_name() {
        let scratch = private();
        let open = scratch.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = Listener::bind(&open.join("s")).unwrap_err();
        assert!(error.to_string().contains("mode 0755"), "{error}");
        let long = scratch.path().join("x".repeat(120));
        assert!(matches!(Listener::bind(&long), Err(SocketError::TooLong { .. })));
    }
}
