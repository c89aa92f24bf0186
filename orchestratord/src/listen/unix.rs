//! The Unix socket: bound privately from the first instant, one daemon at a time, only the own user's processes served.

use bytes::BytesMut;
use orx_protocol::frame::{FrameDecoder, FrameError};
use orx_protocol::limits::SOCKET_PATH;
use orx_protocol::{ErrorKind, RpcError, rpc};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Next};
use super::outbox::{Outbox, Touched};
use crate::access::{Caller, peer, rights};
use crate::api::session::{ATTACH, AttachRequest};
use crate::daemon::Daemon;

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path does not fit into a socket address.
    #[error(
        "the socket path {path} has {length} bytes, the system takes at most {limit}; set ORX_SOCKET to a shorter one"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest that fits, less the room for the holders' sockets.
        limit: usize,
    },
    /// What is at the path, or its directory, is not safe.
    #[error("the socket {path} cannot be opened: {why}")]
    Unsafe {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another daemon serves it.
    #[error("another orchestratord serves {path} ({owner}); `orxctl down` ends it")]
    InUse {
        /// The path.
        path: PathBuf,
        /// What is known of it.
        owner: String,
    },
    /// The system refused.
    #[error("the socket {path} cannot be opened: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Bytes that a holder's socket path has beyond the daemon's socket directory: `/s/ses_<26>.sock`.
const HOLDER_SOCKET_ROOM: usize = "/s/ses_01ARZ3NDEKTSV4RRFFQ69G5FAV.sock".len();

/// A listening socket and the lock that keeps other daemons from it.
pub struct Bound {
    /// The listener.
    pub listener: UnixListener,
    path: PathBuf,
    /// Held for the daemon's life; the kernel releases it with the process.
    _lock: nix::fcntl::Flock<File>,
    /// A socket that systemd gave stays systemd's.
    inherited: bool,
}

impl Bound {
    /// Removes the socket file, so that a client sees at once that nobody is there.
    pub fn remove(&self) {
        if !self.inherited {
            // A file that is gone already is what was wanted.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn unsafe_path(path: &Path, why: impl Into<String>) -> BindError {
    BindError::Unsafe { path: path.to_owned(), why: why.into() }
}

/// Checks the length of the path and its directory, and takes the lock that makes one daemon the winner.
fn claim(path: &Path) -> Result<nix::fcntl::Flock<File>, BindError> {
    let io = |source| BindError::Io { path: path.to_owned(), source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let length = path.as_os_str().len().max(directory.as_os_str().len() + HOLDER_SOCKET_ROOM);
    if length > SOCKET_PATH {
        return Err(BindError::TooLong { path: path.to_owned(), length, limit: SOCKET_PATH });
    }
    let existed = directory.exists();
    if existed {
        let metadata = std::fs::metadata(directory).map_err(io)?;
        if metadata.permissions().mode() & 0o022 != 0 {
            return Err(unsafe_path(
                path,
                format!("its directory {} can be written by other users", directory.display()),
            ));
        }
        if metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(unsafe_path(path, format!("its directory {} belongs to another user", directory.display())));
        }
    }
    orx_sandbox::file::private_directory(directory).map_err(|error| unsafe_path(path, error.to_string()))?;
    let lock_path = path.with_extension("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&lock_path)
        .map_err(|source| BindError::Io { path: lock_path.clone(), source })?;
    match lock_file(file, &lock_path) {
        Ok(mut lock) => {
            use std::io::Write;
            let written = lock.set_len(0).and_then(|()| write!(&mut *lock, "{}", std::process::id()));
            written.map_err(|source| BindError::Io { path: lock_path, source })?;
            Ok(lock)
        }
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            let pid = std::fs::read_to_string(&lock_path).unwrap_or_default();
            let owner = if pid.is_empty() { "process unknown".to_owned() } else { format!("process {pid}") };
            Err(BindError::InUse { path: path.to_owned(), owner })
        }
        Err((_, errno)) => Err(BindError::Io { path: lock_path, source: errno.into() }),
    }
}

/// How long the lock of a daemon that is dead may still be held: by a child that it had forked and that has not yet become
/// another program.
const DEAD_HOLDER: Duration = Duration::from_secs(2);

/// Takes the lock; a holder that is dead is waited for.
fn lock_file(mut file: File, path: &Path) -> Result<nix::fcntl::Flock<File>, (File, nix::errno::Errno)> {
    let deadline = std::time::Instant::now() + DEAD_HOLDER;
    loop {
        match nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock) {
            Err((given_back, nix::errno::Errno::EWOULDBLOCK)) if std::time::Instant::now() < deadline => {
                let holder = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
                if holder.is_some_and(|pid: i32| orx_sandbox::identity::of(pid).is_some()) {
                    return Err((given_back, nix::errno::Errno::EWOULDBLOCK));
                }
                file = given_back;
                std::thread::yield_now();
            }
            other => return other,
        }
    }
}

/// Opens the socket: 0600 in a 0700 directory from the first instant; a stale socket file is replaced, anything else at
/// the path is refused.
///
/// # Errors
/// [`BindError`].
pub fn bind(path: &Path) -> Result<Bound, BindError> {
    let io = |source| BindError::Io { path: path.to_owned(), source };
    let lock = claim(path)?;
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
        Ok(metadata) if metadata.file_type().is_symlink() => return Err(unsafe_path(path, "a symbolic link is there")),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(unsafe_path(path, "a file that is no socket is there"));
        }
        Ok(metadata) if metadata.uid() != nix::unistd::geteuid().as_raw() => {
            return Err(unsafe_path(path, "a socket of another user is there"));
        }
        // The lock is ours, so whoever made this socket is gone.
        Ok(_) => std::fs::remove_file(path).map_err(io)?,
    }
    // The mask is the process's, and no other thread makes files while the daemon starts.
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let bound = std::os::unix::net::UnixListener::bind(path);
    nix::sys::stat::umask(mask);
    let listener = bound.map_err(io)?;
    from_std(listener, path, lock, false)
}

/// Serves a socket that systemd opened.
///
/// # Errors
/// [`BindError`] when another daemon serves it.
pub fn inherit(listener: std::os::unix::net::UnixListener, path: &Path) -> Result<Bound, BindError> {
    let lock = claim(path)?;
    from_std(listener, path, lock, true)
}

fn from_std(
    listener: std::os::unix::net::UnixListener,
    path: &Path,
    lock: nix::fcntl::Flock<File>,
    inherited: bool,
) -> Result<Bound, BindError> {
    let io = |source| BindError::Io { path: path.to_owned(), source };
    listener.set_nonblocking(true).map_err(io)?;
    let listener = UnixListener::from_std(listener).map_err(io)?;
    Ok(Bound { listener, path: path.to_owned(), _lock: lock, inherited })
}

/// How long a started frame may take to arrive: a peer that dribbles holds a connection for nothing.
const FRAME_DEADLINE: Duration = Duration::from_secs(10);
/// How long the last answers may take to be written when the peer has finished speaking.
const FINISH: Duration = Duration::from_secs(5);
/// How often a half-closed connection is looked at for the end of its other half.
const HUNG_UP: Duration = Duration::from_millis(250);
/// How long an answered half-closed connection waits for what is still being worked on.
const HALF_CLOSED: Duration = Duration::from_secs(60);

/// Accepts until `stop`, then lets the connections end by themselves.
pub async fn serve(daemon: Arc<Daemon>, bound: Bound, stop: CancellationToken) {
    while let Some(((stream, _), permit)) = daemon.connections.next(&stop, || bound.listener.accept()).await {
        let credentials = peer::of(&stream);
        match credentials {
            Ok(credentials) if peer::is_allowed(credentials) => {
                let caller = Caller::on_socket(credentials);
                let daemon = Arc::clone(&daemon);
                let tasks = daemon.tasks.clone();
                tasks.spawn(async move {
                    converse(daemon, caller, stream).await;
                    drop(permit);
                });
            }
            refused => daemon.refused_peer(refused.ok()),
        }
    }
    bound.remove();
}

/// Serves one connection to its end.
async fn converse(daemon: Arc<Daemon>, caller: Caller, stream: UnixStream) {
    let stream = Arc::new(stream);
    let outbox = Outbox::socket(Arc::clone(&stream), daemon.limits().client_backlog);
    let connection = Connection::new(Arc::clone(&daemon), caller, outbox.clone());
    let writer = daemon.tasks.spawn(outbox.clone().drain());
    // The kernel vouched for the peer before its first byte, so the limit of known peers holds from the start.
    let mut decoder = FrameDecoder::new(daemon.limits().frame);
    let handed_over = loop {
        match read(&connection, &stream, &mut decoder).await {
            End::Attach(request) => match hand_over(&connection, &request, &outbox, &stream, decoder.buffer()).await {
                Ok(()) => break true,
                Err(error) => outbox.send(&rpc::failure(Some(&request.id), &error)),
            },
            End::Finished => {
                // The peer may have closed its sending side alone: what it asked for is still answered.
                tokio::select! {
                    _ = tokio::time::timeout(HALF_CLOSED, outbox.settled()) => {}
                    () = hung_up(&stream) => {}
                }
                outbox.finish(FINISH).await;
                break false;
            }
            End::Broken(error) => {
                outbox.push(&rpc::failure(None, &error));
                outbox.finish(FINISH).await;
                break false;
            }
            End::Cut => break false,
        }
    };
    connection.close();
    if !handed_over {
        outbox.shutdown();
    }
    // The writer task sees the end that `close` announced; its result carries nothing.
    let _ = writer.await;
}

/// Gives the connection to a session's holder; on an error it is still ours, with what was read beyond the request.
async fn hand_over(
    connection: &Connection,
    request: &AttachRequest,
    outbox: &Outbox,
    stream: &UnixStream,
    beyond: &mut BytesMut,
) -> Result<(), RpcError> {
    let daemon = &connection.daemon;
    rights::check(daemon, &connection.caller, ATTACH, None).await?;
    if outbox.owes() {
        return Err(RpcError::new(
            ErrorKind::FailedPrecondition,
            "other requests on this connection are not answered yet",
        )
        .with_hint("attach on a connection of its own"));
    }
    outbox.finish(FINISH).await;
    let viewer = stream.as_fd().try_clone_to_owned().map_err(|error| {
        RpcError::new(ErrorKind::Overloaded, format!("no descriptor is free to hand over: {error}"))
    })?;
    let rest = beyond.split();
    let handed = daemon.sessions.hand_over(request, viewer, &rest).await;
    if handed.is_err() {
        beyond.unsplit(rest);
    }
    handed
}

/// Waits until the peer has closed both directions: nobody is left to answer.
async fn hung_up(stream: &UnixStream) {
    // A socket at its end is always ready, so readiness cannot be waited for, only looked at.
    while !stream.ready(Interest::READABLE | Interest::WRITABLE).await.is_ok_and(|ready| ready.is_write_closed()) {
        tokio::time::sleep(HUNG_UP).await;
    }
}

enum End {
    /// The peer closed.
    Finished,
    /// The peer broke the protocol.
    Broken(RpcError),
    /// The daemon ended the connection, or it failed.
    Cut,
    /// The connection goes to a session's holder.
    Attach(Box<AttachRequest>),
}

async fn read(connection: &Arc<Connection>, stream: &UnixStream, decoder: &mut FrameDecoder) -> End {
    let mut touched = Touched::default();
    // When the frame that is not whole yet was begun: its deadline is not put off by a peer that dribbles.
    let mut begun: Option<Instant> = None;
    loop {
        while !connection.outbox.is_full() {
            match decoder.next() {
                Ok(Some(body)) => {
                    begun = None;
                    if let Next::Attach(request) = connection.receive(&body, &mut touched) {
                        touched.flush();
                        return End::Attach(request);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    touched.flush();
                    return End::Broken(frame_error(&error));
                }
            }
        }
        touched.flush();
        if connection.outbox.is_full() {
            // Nothing more is read until something was answered: the peer's own socket fills then.
            tokio::select! {
                () = connection.outbox.ended().cancelled() => return End::Cut,
                () = connection.outbox.room() => continue,
            }
        }
        let partial = !decoder.buffer().is_empty();
        if !partial {
            begun = None;
        }
        let due = if partial { *begun.get_or_insert_with(Instant::now) + FRAME_DEADLINE } else { Instant::now() };
        let readable = tokio::select! {
            () = connection.outbox.ended().cancelled() => return End::Cut,
            readable = stream.readable() => readable,
            () = tokio::time::sleep_until(due), if partial => {
                return End::Broken(RpcError::new(
                    ErrorKind::DeadlineExceeded,
                    format!("a frame was begun and not finished within {} s", FRAME_DEADLINE.as_secs()),
                ));
            }
        };
        if readable.is_err() {
            return End::Cut;
        }
        match read_some(stream, decoder.buffer()) {
            Ok(0) => {
                return match decoder.finish() {
                    Ok(()) => End::Finished,
                    Err(error) => End::Broken(frame_error(&error)),
                };
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return End::Cut,
        }
    }
}

/// Reads what is there, growing the buffer with what comes and not with what was announced.
fn read_some(stream: &UnixStream, buffer: &mut BytesMut) -> io::Result<usize> {
    buffer.reserve(8 * 1024);
    stream.try_read_buf(buffer)
}

fn frame_error(error: &FrameError) -> RpcError {
    let kind = match error {
        FrameError::TooLarge { .. } => ErrorKind::TooLarge,
        FrameError::Empty | FrameError::Truncated { .. } => ErrorKind::InvalidRequest,
    };
    RpcError::new(kind, error.to_string()).with_hint(
        "a frame is an unsigned 32-bit big-endian length and that many bytes of JSON; this connection is closed",
    )
}
