//! Stands before the socket of a server that cannot tell its clients apart. The server's own socket is taken out of the
//! file system once it listens, so that nobody but this process can connect to it any more, and this one lets in the
//! session's interface and whoever comes from outside the session: not the commands that the server's agent runs, which
//! would answer their own questions.
//!
//! What goes over a connection is not looked at.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{getpid, getppid};
use orx_sandbox::hardening;

use super::around;
use crate::journal::note;
use crate::link::socket::{Accepted, Listener, Own, SocketError};

/// Most connections at a time: the interface, the daemon, and one that takes over from it, with room for reconnections.
const CONNECTIONS: usize = 32;
/// What is carried at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Why nobody stands before the server.
#[derive(Debug, thiserror::Error)]
enum GuardError {
    #[error("the server's socket {path} cannot be taken over: {source}")]
    Server { path: String, source: io::Error },
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("{what}: {source}")]
    System { what: &'static str, source: io::Error },
}

/// Guards the server whose process is `process` and whose socket is at `server`, on a socket at `listen`, for the interface
/// that this process's starter becomes. Returns only when that cannot be done.
#[must_use]
pub fn guard(server: &Path, process: i32, listen: &Path) -> ExitCode {
    match stand(server, process, listen) {
        Ok(never) => match never {},
        Err(error) => {
            note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn stand(server: &Path, process: i32, listen: &Path) -> Result<Infallible, GuardError> {
    // Whoever could look into this process would have the way to the server.
    hardening::close_to_others().map_err(|source| GuardError::System { what: "closing itself to others", source })?;
    let server = take(server).map_err(|source| GuardError::Server { path: server.display().to_string(), source })?;
    let mut listener = Listener::bind(listen)?;
    let interface = getppid().as_raw();
    let mut refused = vec![process, getpid().as_raw()];
    refused.extend(around(interface));
    listener.admit(Own { refused, admitted: vec![interface] });
    let server = Arc::new(server);
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let mut descriptors = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        if poll(&mut descriptors, PollTimeout::NONE).is_err() {
            continue;
        }
        match listener.accept() {
            Ok(Accepted::Own(client)) => {
                if let Err(error) = carry(client, &server, &open) {
                    note(&format!("a connection to the server was closed: {error}"));
                }
            }
            Ok(Accepted::Refused(why)) => note(why),
            Ok(Accepted::None) => {}
            Err(error) => note(&format!("no connection to the server could be accepted: {error}")),
        }
    }
}

/// Takes the server's socket out of the file system, wherever the path leads; it is reached through what is given back.
fn take(path: &Path) -> io::Result<File> {
    let real = path.canonicalize()?;
    let socket = File::options().read(true).custom_flags(nix::libc::O_PATH | nix::libc::O_NOFOLLOW).open(&real)?;
    if !socket.metadata()?.file_type().is_socket() {
        return Err(io::Error::other(format!("{} is no socket", real.display())));
    }
    std::fs::remove_file(&real)?;
    match std::fs::remove_file(path) {
        // It was no link.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(socket),
    }
}

/// Connects a client with the server, both ways, until either closes.
fn carry(client: UnixStream, server: &File, open: &Arc<AtomicUsize>) -> io::Result<()> {
    if open.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
        open.fetch_sub(1, Ordering::AcqRel);
        return Err(io::Error::other("there are too many already"));
    }
    let begun = begin(client, server, open);
    if begun.is_err() {
        open.fetch_sub(1, Ordering::AcqRel);
    }
    begun
}

fn begin(client: UnixStream, server: &File, open: &Arc<AtomicUsize>) -> io::Result<()> {
    client.set_nonblocking(false)?;
    // The file has no name any more; its descriptor has.
    let server = UnixStream::connect(format!("/proc/self/fd/{}", server.as_raw_fd()))?;
    let (client_in, server_out) = (client.try_clone()?, server.try_clone()?);
    let open = Arc::clone(open);
    let asking = thread::Builder::new().name("ask".to_owned()).spawn(move || pass(client_in, server_out))?;
    thread::Builder::new().name("answer".to_owned()).spawn(move || {
        pass(server, client);
        // A panic there has closed the connection too.
        let _ = asking.join();
        open.fetch_sub(1, Ordering::AcqRel);
    })?;
    Ok(())
}

/// Carries what comes from one end to the other; the end of either is the end of both.
fn pass(mut from: UnixStream, mut to: UnixStream) {
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if piece.get(..count).is_none_or(|bytes| to.write_all(bytes).is_err()) {
            break;
        }
    }
    // They may be closed already.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_server_whose_socket_was_taken_is_reached_by_nobody_else() {
        let scratch = tempfile::tempdir().unwrap();
        let (real, link) = (scratch.path().join("real"), scratch.path().join("link"));
        let listener = UnixListener::bind(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let taken = take(&link).unwrap();
        assert!(!real.exists() && link.symlink_metadata().is_err());
        assert!(UnixStream::connect(&real).is_err() && UnixStream::connect(&link).is_err());
        let (client, mut near) = UnixStream::pair().unwrap();
        carry(client, &taken, &Arc::default()).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        near.write_all(b"question").unwrap();
        let mut question = [0; 8];
        served.read_exact(&mut question).unwrap();
        served.write_all(b"answer").unwrap();
        drop(served);
        let mut answer = String::new();
        near.read_to_string(&mut answer).unwrap();
        assert_eq!((&question, answer.as_str()), (b"question", "answer"));
    }

    #[test]
    fn what_is_no_socket_is_left_where_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        std::fs::write(&file, "mine").unwrap();
        assert!(take(&file).unwrap_err().to_string().contains("no socket"));
        assert!(file.exists() && take(&scratch.path().join("nothing")).is_err());
    }

    #[test]
    fn connections_are_bounded() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        let taken = take(&path).unwrap();
        let open = Arc::new(AtomicUsize::new(CONNECTIONS));
        let (client, _near) = UnixStream::pair().unwrap();
        assert!(carry(client, &taken, &open).is_err());
        assert_eq!(open.load(Ordering::Acquire), CONNECTIONS);
    }
}
