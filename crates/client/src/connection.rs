//! One connection: a reader task that pairs answers with their callers, a writer task that sends what is queued, and the
//! state that both share. When either ends, every caller learns it at once.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use orx_protocol::error::{ErrorKind, RpcError};
use orx_protocol::frame::FrameDecoder;
use orx_protocol::limits::IN_FLIGHT_PER_CONNECTION;
use orx_protocol::rpc::{self, CallId, Incoming};
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::ClientError;
use crate::outbox::Outbox;
use crate::worker::Desk;

/// Room that is kept free in the buffer before each read, in bytes.
const READ_CHUNK: usize = 16 * 1024;

/// How long a closing connection waits for the daemon to take what is queued.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// A notification of the daemon.
#[derive(Debug, Clone)]
pub struct Notification {
    /// What it is about, such as `event`.
    pub method: String,
    /// Its particulars as they came; `None` when absent.
    pub params: Option<Box<RawValue>>,
}

/// What becomes of calls that the daemon sends on its own.
pub(crate) enum Delivery {
    /// Notifications go to whoever listens; a slow listener loses some and is told how many.
    Broadcast(broadcast::Sender<Notification>),
    /// Notifications are queued and reading stops while the queue is full, so that none is lost.
    Queue(mpsc::Sender<Notification>),
    /// Requests are worked on.
    Worker(Desk),
}

/// Why a connection ended.
#[derive(Debug, Clone)]
enum CloseReason {
    Closed,
    /// The daemon said, to no request in particular, why it ends the connection.
    Refused(RpcError),
    Protocol(String),
}

impl From<CloseReason> for ClientError {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Closed => Self::Closed,
            CloseReason::Refused(error) => Self::Rpc(error),
            CloseReason::Protocol(what) => Self::Protocol(what),
        }
    }
}

type Outcome = Result<Box<RawValue>, ClientError>;

#[derive(Default)]
struct Pending {
    waiting: HashMap<i64, oneshot::Sender<Outcome>>,
    ended: Option<CloseReason>,
}

/// What the tasks and the callers of one connection share.
pub(crate) struct Shared {
    pub(crate) outbox: Outbox,
    pub(crate) ended: CancellationToken,
    pub(crate) in_flight: Semaphore,
    pending: Mutex<Pending>,
    next_id: AtomicI64,
}

/// A connection with its tasks; they end with it.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

/// A caller's place among those that wait for an answer; it is given up when dropped.
pub(crate) struct Ticket<'a> {
    shared: &'a Shared,
    pub(crate) id: i64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.shared.pending().waiting.remove(&self.id);
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place among those that wait for an answer.
    pub(crate) fn enrol(&self) -> Result<(Ticket<'_>, oneshot::Receiver<Outcome>), ClientError> {
        let (sender, receiver) = oneshot::channel();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut pending = self.pending();
        if let Some(reason) = &pending.ended {
            return Err(reason.clone().into());
        }
        pending.waiting.insert(id, sender);
        drop(pending);
        Ok((Ticket { shared: self, id }, receiver))
    }

    /// Why the connection ended, once it has.
    pub(crate) fn end_reason(&self) -> Option<ClientError> {
        self.pending().ended.clone().map(ClientError::from)
    }

    fn settle(&self, id: &CallId, outcome: Result<&RawValue, RpcError>) {
        let CallId::Number(number) = id else {
            tracing::warn!(?id, "an answer came for a request that was never sent");
            return;
        };
        // Absent when the caller gave up in the meantime.
        if let Some(waiting) = self.pending().waiting.remove(number) {
            let _ = waiting.send(outcome.map(ToOwned::to_owned).map_err(ClientError::Rpc));
        }
    }

    fn end(&self, reason: &CloseReason) {
        self.outbox.close();
        let waiting = {
            let mut pending = self.pending();
            if pending.ended.is_none() {
                pending.ended = Some(reason.clone());
            }
            std::mem::take(&mut pending.waiting)
        };
        for (_, caller) in waiting {
            let _ = caller.send(Err(reason.clone().into()));
        }
        self.ended.cancel();
    }
}

impl Connection {
    /// Takes over a stream. `delivery` is made with a handle to the connection, for those who answer on it.
    pub(crate) fn start(
        stream: UnixStream,
        receive_limit: usize,
        delivery: impl FnOnce(Weak<Self>) -> Delivery,
    ) -> Arc<Self> {
        let (read_half, write_half) = stream.into_split();
        let shared = Arc::new(Shared {
            outbox: Outbox::default(),
            ended: CancellationToken::new(),
            in_flight: Semaphore::new(IN_FLIGHT_PER_CONNECTION),
            pending: Mutex::default(),
            next_id: AtomicI64::new(1),
        });
        Arc::new_cyclic(|connection| {
            let delivery = delivery(Weak::clone(connection));
            let mut tasks = JoinSet::new();
            tasks.spawn(read(read_half, Arc::clone(&shared), delivery, receive_limit));
            tasks.spawn(write(write_half, Arc::clone(&shared)));
            Self { shared, tasks: Mutex::new(tasks) }
        })
    }

    /// Sends what is queued and closes the connection.
    pub(crate) async fn close(&self) {
        self.shared.outbox.close();
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        // The writer ends the connection once all is sent; a daemon that does not read cannot hold the caller up.
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.shared.ended.cancelled()).await;
        tasks.shutdown().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The tasks are aborted with the set, so this is the last chance to tell those who still listen.
        self.shared.end(&CloseReason::Closed);
    }
}

/// Opens the socket, waiting out a full backlog of the listener until `patience` is over.
pub(crate) async fn open(path: &Path, patience: Duration) -> Result<UnixStream, ClientError> {
    let started = Instant::now();
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Ok(stream),
            // The kernel answers so when the listener's backlog is full, not when nobody listens.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && started.elapsed() < patience => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(source) => return Err(ClientError::NotReachable { path: path.to_owned(), source }),
        }
    }
}

async fn write(mut half: OwnedWriteHalf, shared: Arc<Shared>) {
    let mut batch = BytesMut::new();
    while shared.outbox.take(&mut batch).await {
        if let Err(error) = half.write_all(&batch).await {
            tracing::debug!(%error, "the connection could not be written");
            break;
        }
        batch.clear();
    }
    let _ = half.shutdown().await;
    shared.end(&CloseReason::Closed);
}

async fn read(half: OwnedReadHalf, shared: Arc<Shared>, delivery: Delivery, limit: usize) {
    let reason = read_frames(half, &shared, delivery, limit).await;
    shared.end(&reason);
}

async fn read_frames(mut half: OwnedReadHalf, shared: &Shared, mut delivery: Delivery, limit: usize) -> CloseReason {
    let mut decoder = FrameDecoder::new(limit);
    loop {
        loop {
            match decoder.next() {
                Ok(Some(body)) => match Incoming::parse(&body) {
                    Ok(Incoming::Answer { id, outcome }) => shared.settle(&id, outcome),
                    Ok(Incoming::Call { id, method, params }) => {
                        deliver(&mut delivery, shared, id, &method, params).await;
                    }
                    Ok(Incoming::Legacy(_)) => {
                        return CloseReason::Protocol("it sent an envelope of the former protocol".to_owned());
                    }
                    Err(bad) => {
                        return refusal(&body).map_or(CloseReason::Protocol(bad.error.message), CloseReason::Refused);
                    }
                },
                Ok(None) => break,
                Err(error) => return CloseReason::Protocol(error.to_string()),
            }
        }
        let buffer = decoder.buffer();
        buffer.reserve(READ_CHUNK);
        match half.read_buf(buffer).await {
            Ok(0) => {
                if let Err(error) = decoder.finish() {
                    tracing::debug!(%error, "the connection ended inside a frame");
                }
                return CloseReason::Closed;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "the connection could not be read");
                return CloseReason::Closed;
            }
        }
    }
}

/// The error that answers no request in particular (`id` null), by which the daemon says why it cuts a connection.
pub(crate) fn refusal(body: &[u8]) -> Option<RpcError> {
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: RpcError,
    }
    serde_json::from_slice::<Refusal>(body).ok().map(|refusal| refusal.error)
}

async fn deliver(
    delivery: &mut Delivery,
    shared: &Shared,
    id: Option<CallId>,
    method: &str,
    params: Option<&RawValue>,
) {
    if let Delivery::Worker(desk) = delivery {
        desk.accept(shared, id, method, params).await;
        return;
    }
    if let Some(id) = id {
        let error =
            RpcError::new(ErrorKind::MethodNotFound, format!("this client serves no methods; `{method}` was asked"));
        let _ = shared.outbox.push(&rpc::failure(Some(&id), &error)).await;
        return;
    }
    let notification = Notification { method: method.to_owned(), params: params.map(ToOwned::to_owned) };
    match delivery {
        Delivery::Broadcast(listeners) => {
            // Nobody listening is no fault.
            let _ = listeners.send(notification);
        }
        Delivery::Queue(queue) => {
            let _ = queue.send(notification).await;
        }
        Delivery::Worker(_) => {}
    }
}
