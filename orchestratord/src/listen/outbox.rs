//! What waits to be written to one connection: bounded in bytes, written at once where the socket takes it, and cut
//! when the peer does not read. Whoever has something to say pushes; nobody ever waits for a slow peer.

use bytes::{Buf, Bytes, BytesMut};
use orx_protocol::frame::HEADER;
use orx_protocol::limits::IN_FLIGHT_PER_CONNECTION;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// The writing side of a connection. Clones write to the same connection.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    sink: Sink,
    /// Cancelled when the connection must end: the peer left, fell too far behind, or broke the protocol.
    ended: CancellationToken,
    /// Answers that are still owed to the peer.
    owed: AtomicUsize,
    /// Wakes who waits for the last answer.
    settled: Notify,
}

enum Sink {
    Socket(SocketSink),
    /// One message a body: WebSocket. The queue's bound and the byte bound together limit what waits.
    Messages {
        sender: mpsc::Sender<Bytes>,
    },
}

struct SocketSink {
    stream: Arc<UnixStream>,
    waiting: Mutex<BytesMut>,
    /// Largest number of bytes that may wait.
    limit: usize,
    /// Wakes the writer task when the socket did not take everything at once.
    blocked: Notify,
    /// Set while the writer task owns the rest, so that nothing overtakes it.
    draining: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outbox {
    /// The outbox of a Unix socket; [`Outbox::drain`] must run as a task beside it.
    #[must_use]
    pub fn socket(stream: Arc<UnixStream>, limit: usize) -> Self {
        Self(Arc::new(Inner {
            sink: Sink::Socket(SocketSink {
                stream,
                waiting: Mutex::new(BytesMut::new()),
                limit,
                blocked: Notify::new(),
                draining: AtomicBool::new(false),
            }),
            ended: CancellationToken::new(),
            owed: AtomicUsize::new(0),
            settled: Notify::new(),
        }))
    }

    /// The outbox of a connection that carries one message a body.
    #[must_use]
    pub fn messages(sender: mpsc::Sender<Bytes>) -> Self {
        Self(Arc::new(Inner {
            sink: Sink::Messages { sender },
            ended: CancellationToken::new(),
            owed: AtomicUsize::new(0),
            settled: Notify::new(),
        }))
    }

    /// Whether two outboxes write to the same connection.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Ends when the connection must end.
    #[must_use]
    pub fn ended(&self) -> &CancellationToken {
        &self.0.ended
    }

    /// Counts an answer as owed; gives how many are.
    pub fn owe(&self) -> usize {
        self.0.owed.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts an answer as given.
    pub fn settle(&self) {
        let owed = self.0.owed.fetch_sub(1, Ordering::AcqRel) - 1;
        if owed == 0 || owed == IN_FLIGHT_PER_CONNECTION - 1 {
            self.0.settled.notify_waiters();
        }
    }

    /// Whether as many answers are owed as a connection may have requests in flight.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.owed.load(Ordering::Acquire) >= IN_FLIGHT_PER_CONNECTION
    }

    /// Waits until a further request may be taken.
    pub async fn room(&self) {
        self.when(|owed| owed < IN_FLIGHT_PER_CONNECTION).await;
    }

    /// Whether an answer is owed.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.0.owed.load(Ordering::Acquire) > 0
    }

    /// Waits until no answer is owed.
    pub async fn settled(&self) {
        self.when(|owed| owed == 0).await;
    }

    async fn when(&self, wanted: impl Fn(usize) -> bool) {
        loop {
            let settled = self.0.settled.notified();
            tokio::pin!(settled);
            // Before the look, so that a change between the look and the wait is not missed.
            settled.as_mut().enable();
            if wanted(self.0.owed.load(Ordering::Acquire)) {
                return;
            }
            settled.await;
        }
    }

    /// Queues a body without writing it yet; [`Outbox::flush`] must follow. A body for a connection that has ended is
    /// dropped; a peer that lets too much wait is cut.
    pub fn push(&self, body: &[u8]) {
        self.push_parts(&[body]);
    }

    /// As [`Outbox::push`], for a body in pieces.
    pub fn push_parts(&self, parts: &[&[u8]]) {
        if self.0.ended.is_cancelled() {
            return;
        }
        match &self.0.sink {
            Sink::Socket(socket) => {
                let length: usize = parts.iter().map(|part| part.len()).sum();
                let Ok(announced) = u32::try_from(length) else { return self.cut("an answer is above 4 GiB") };
                let mut waiting = lock(&socket.waiting);
                if waiting.len() + HEADER + length > socket.limit.max(HEADER + length) {
                    drop(waiting);
                    return self.cut("it does not read what it asked for");
                }
                waiting.reserve(HEADER + length);
                waiting.extend_from_slice(&announced.to_be_bytes());
                for part in parts {
                    waiting.extend_from_slice(part);
                }
            }
            Sink::Messages { sender } => {
                let body = Bytes::from(parts.concat());
                if let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(body) {
                    self.cut("it does not read what it asked for");
                }
            }
        }
    }

    /// Writes what waits, as far as the socket takes it now; the rest goes to the writer task.
    pub fn flush(&self) {
        let Sink::Socket(socket) = &self.0.sink else { return };
        if socket.draining.load(Ordering::Acquire) {
            return;
        }
        let mut waiting = lock(&socket.waiting);
        match write_some(&socket.stream, &mut waiting) {
            Ok(()) if waiting.is_empty() => {}
            Ok(()) => {
                socket.draining.store(true, Ordering::Release);
                socket.blocked.notify_one();
            }
            Err(_) => self.0.ended.cancel(),
        }
    }

    /// Queues and writes one body.
    pub fn send(&self, body: &[u8]) {
        self.push(body);
        self.flush();
    }

    /// Bytes that wait.
    #[must_use]
    pub fn backlog(&self) -> usize {
        match &self.0.sink {
            Sink::Socket(socket) => lock(&socket.waiting).len(),
            Sink::Messages { sender } => (sender.max_capacity() - sender.capacity()) * 1024,
        }
    }

    /// Ends the connection and drops what waits.
    pub fn cut(&self, why: &str) {
        if !self.0.ended.is_cancelled() {
            tracing::warn!(why, "A client is cut off.");
            self.0.ended.cancel();
        }
    }

    /// The writer task of a socket: writes what [`Outbox::flush`] could not, until the connection ends.
    pub async fn drain(self) {
        let Sink::Socket(socket) = &self.0.sink else { return };
        loop {
            tokio::select! {
                () = self.0.ended.cancelled() => return,
                () = socket.blocked.notified() => {}
            }
            loop {
                let writable = tokio::select! {
                    () = self.0.ended.cancelled() => return,
                    writable = socket.stream.writable() => writable,
                };
                let mut waiting = lock(&socket.waiting);
                if writable.is_err() || write_some(&socket.stream, &mut waiting).is_err() {
                    self.0.ended.cancel();
                    return;
                }
                if waiting.is_empty() {
                    // Under the lock: a flush that waits for it sees the flag cleared and writes for itself.
                    socket.draining.store(false, Ordering::Release);
                    break;
                }
            }
        }
    }

    /// Writes what waits within `limit`, at the end of a connection whose peer still reads.
    pub async fn finish(&self, limit: std::time::Duration) {
        let Sink::Socket(socket) = &self.0.sink else { return };
        let writing = async {
            loop {
                {
                    let mut waiting = lock(&socket.waiting);
                    if write_some(&socket.stream, &mut waiting).is_err() || waiting.is_empty() {
                        return;
                    }
                }
                if socket.stream.writable().await.is_err() {
                    return;
                }
            }
        };
        // What could not be written in time is lost with its reader.
        let _ = tokio::time::timeout(limit, writing).await;
    }

    /// Shuts both directions of a socket, so that its reader ends.
    pub fn shutdown(&self) {
        if let Sink::Socket(socket) = &self.0.sink {
            let _ = nix::sys::socket::shutdown(
                std::os::fd::AsRawFd::as_raw_fd(&socket.stream.as_fd()),
                nix::sys::socket::Shutdown::Both,
            );
        }
    }
}

fn write_some(stream: &UnixStream, waiting: &mut BytesMut) -> std::io::Result<()> {
    while !waiting.is_empty() {
        match stream.try_write(waiting) {
            Ok(count) => waiting.advance(count),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    if waiting.capacity() > 64 * 1024 {
        // One large answer must not keep its buffer for the connection's life.
        *waiting = BytesMut::new();
    }
    Ok(())
}

/// Outboxes with something queued, flushed together once a batch of requests is dealt with.
#[derive(Default)]
pub struct Touched(Vec<Outbox>);

impl Touched {
    /// Remembers an outbox.
    pub fn add(&mut self, outbox: &Outbox) {
        if !self.0.iter().any(|known| known.is_same(outbox)) {
            self.0.push(outbox.clone());
        }
    }

    /// Writes all.
    pub fn flush(&mut self) {
        for outbox in self.0.drain(..) {
            outbox.flush();
        }
    }
}
