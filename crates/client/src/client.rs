//! The client: any number of concurrent calls over one connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use orx_protocol::api::event::SubscribeParams;
use orx_protocol::limits::FRAME_KNOWN;
use orx_protocol::rpc::{self, CallId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::broadcast;

use crate::connection::{Connection, Delivery, Notification, Shared, open};
use crate::error::ClientError;
use crate::events::EventStream;

/// How a connection behaves.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// How long a call may take that names no deadline of its own (75 s: above the daemon's own limit for a dispatched
    /// request, so that the daemon's answer, which says more, comes first).
    pub deadline: Duration,
    /// How long to wait for a listener whose backlog is full (5 s).
    pub connect_patience: Duration,
    /// Largest body that is sent, in bytes (the daemon's default limit, 1 MiB).
    pub send_limit: usize,
    /// Largest body that is accepted, in bytes (64 MiB: a daemon may be configured to send more than the default).
    pub receive_limit: usize,
    /// Notifications that are kept for a slow reader.
    pub notification_backlog: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(75),
            connect_patience: Duration::from_secs(5),
            send_limit: FRAME_KNOWN,
            receive_limit: 64 * FRAME_KNOWN,
            notification_backlog: 1024,
        }
    }
}

/// A connection to the daemon. Clones share it; it closes with the last of them.
#[derive(Clone)]
pub struct Client {
    pub(crate) connection: Arc<Connection>,
    context: Arc<Context>,
}

/// What the clones of a client share beside the connection.
pub(crate) struct Context {
    path: PathBuf,
    pub(crate) options: ConnectOptions,
    notifications: Option<broadcast::Sender<Notification>>,
}

impl Context {
    pub(crate) fn new(path: &Path, options: ConnectOptions) -> Self {
        Self { path: path.to_owned(), options, notifications: None }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("path", &self.context.path).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects with the default options.
    ///
    /// # Errors
    /// `NotReachable` when nothing listens at `path`.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::connect_with(path, ConnectOptions::default()).await
    }

    /// Connects.
    ///
    /// # Errors
    /// `NotReachable` when nothing listens at `path`.
    pub async fn connect_with(path: &Path, options: ConnectOptions) -> Result<Self, ClientError> {
        let stream = open(path, options.connect_patience).await?;
        let (sender, _) = broadcast::channel(options.notification_backlog.max(1));
        let listeners = sender.clone();
        let connection = Connection::start(stream, options.receive_limit, |_| Delivery::Broadcast(listeners));
        let context = Context { notifications: Some(sender), ..Context::new(path, options) };
        Ok(Self::assemble(connection, Arc::new(context)))
    }

    pub(crate) const fn assemble(connection: Arc<Connection>, context: Arc<Context>) -> Self {
        Self { connection, context }
    }

    /// The socket that this client is connected to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.context.path
    }

    /// The options that it was connected with.
    #[must_use]
    pub fn options(&self) -> &ConnectOptions {
        &self.context.options
    }

    /// Calls a method with the default deadline and reads its result.
    ///
    /// # Errors
    /// `Rpc` as the daemon answered; `Timeout`, `Closed`, `TooLarge`; `Protocol` when the result has another shape.
    pub async fn call<P, R>(&self, method: &str, params: &P) -> Result<R, ClientError>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.call_with_deadline(method, params, self.context.options.deadline).await
    }

    /// Calls a method that must answer within `deadline` (`Duration::MAX`: whenever it likes).
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_with_deadline<P, R>(&self, method: &str, params: &P, deadline: Duration) -> Result<R, ClientError>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let raw = self.call_raw_with_deadline(method, params, deadline).await?;
        serde_json::from_str(raw.get())
            .map_err(|error| ClientError::Protocol(format!("the result of `{method}` has another shape: {error}")))
    }

    /// Calls a method with the default deadline and gives its result unread.
    ///
    /// # Errors
    /// As [`Client::call`], but for the shape of the result.
    pub async fn call_raw<P>(&self, method: &str, params: &P) -> Result<Box<RawValue>, ClientError>
    where
        P: Serialize + ?Sized,
    {
        self.call_raw_with_deadline(method, params, self.context.options.deadline).await
    }

    /// As [`Client::call_raw`], with a deadline.
    ///
    /// # Errors
    /// As [`Client::call_raw`].
    pub async fn call_raw_with_deadline<P>(
        &self,
        method: &str,
        params: &P,
        deadline: Duration,
    ) -> Result<Box<RawValue>, ClientError>
    where
        P: Serialize + ?Sized,
    {
        tokio::time::timeout(deadline, self.exchange(method, params))
            .await
            .unwrap_or_else(|_| Err(ClientError::Timeout { method: method.to_owned(), after: deadline }))
    }

    async fn exchange<P: Serialize + ?Sized>(&self, method: &str, params: &P) -> Result<Box<RawValue>, ClientError> {
        let shared = &self.connection.shared;
        let _place = shared.in_flight.acquire().await.map_err(|_| ClientError::Closed)?;
        let (ticket, answer) = shared.enrol()?;
        let body = rpc::call(Some(&CallId::Number(ticket.id)), method, params)?;
        self.send(method, &body).await?;
        answer.await.unwrap_or(Err(ClientError::Closed))
    }

    /// Sends a notification, which is not answered.
    ///
    /// # Errors
    /// `Closed`, `TooLarge`; `Rpc` when `params` cannot be written as JSON.
    pub async fn notify<P: Serialize + ?Sized>(&self, method: &str, params: &P) -> Result<(), ClientError> {
        let body = rpc::call(None, method, params)?;
        self.send(method, &body).await
    }

    async fn send(&self, method: &str, body: &[u8]) -> Result<(), ClientError> {
        let limit = self.context.options.send_limit;
        if body.len() > limit {
            return Err(ClientError::TooLarge { method: method.to_owned(), size: body.len(), limit });
        }
        let shared = &self.connection.shared;
        shared.outbox.push(body).await.map_err(|_| shared.end_reason().unwrap_or(ClientError::Closed))
    }

    /// Listens to the notifications that come on this connection from now on. The queue is bounded
    /// ([`ConnectOptions::notification_backlog`]): a reader that falls behind is told how many it lost. For events use
    /// [`Client::events`], which loses none. A worker's connection gives none: its notifications are the link's own.
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        Notifications {
            receiver: self.context.notifications.as_ref().map(broadcast::Sender::subscribe),
            shared: Arc::clone(&self.connection.shared),
        }
    }

    /// Subscribes to events, on a connection of its own so that a slow reader holds up nothing else.
    ///
    /// # Errors
    /// `NotReachable`, and what `event.subscribe` answers.
    pub async fn events(&self, params: SubscribeParams) -> Result<EventStream, ClientError> {
        EventStream::open(self.path(), params, self.context.options.clone()).await
    }

    /// Waits until the connection has ended, and says why.
    pub async fn closed(&self) -> ClientError {
        let shared = &self.connection.shared;
        shared.ended.cancelled().await;
        shared.end_reason().unwrap_or(ClientError::Closed)
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.shared.ended.is_cancelled()
    }

    /// Sends what is queued and closes the connection, for all clones.
    pub async fn close(&self) {
        self.connection.close().await;
    }
}

/// Notifications of one connection.
pub struct Notifications {
    receiver: Option<broadcast::Receiver<Notification>>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Notifications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifications").finish_non_exhaustive()
    }
}

impl Notifications {
    /// The next notification.
    ///
    /// # Errors
    /// `Lagged` once after notifications were dropped (reading goes on with the oldest that is kept); after all that
    /// came has been read, the connection's end as `Closed`, `Rpc` or `Protocol`.
    pub async fn recv(&mut self) -> Result<Notification, ClientError> {
        let ended = || self.shared.end_reason().unwrap_or(ClientError::Closed);
        let Some(receiver) = &mut self.receiver else { return Err(ended()) };
        tokio::select! {
            biased;
            received = receiver.recv() => match received {
                Ok(notification) => Ok(notification),
                Err(broadcast::error::RecvError::Lagged(dropped)) => Err(ClientError::Lagged(dropped)),
                Err(broadcast::error::RecvError::Closed) => Err(ended()),
            },
            () = self.shared.ended.cancelled() => Err(ended()),
        }
    }
}
