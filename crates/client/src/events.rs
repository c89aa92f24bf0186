//! The event journal as a typed stream: one subscription, or a follower that outlives restarts of the daemon.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orx_protocol::api::event::{NOTIFICATION, SubscribeParams, Subscribed};
use orx_protocol::event::Event;
use tokio::sync::mpsc;

use crate::backoff::Backoff;
use crate::client::{Client, ConnectOptions, Context};
use crate::connection::{Connection, Delivery, Notification, open};
use crate::error::ClientError;

/// Events that are kept for a slow reader before reading from the socket stops.
const QUEUE: usize = 256;

/// Events of one subscription, on a connection of its own.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    queue: mpsc::Receiver<Notification>,
    next: u64,
}

impl EventStream {
    pub(crate) async fn open(
        path: &Path,
        params: SubscribeParams,
        options: ConnectOptions,
    ) -> Result<Self, ClientError> {
        let stream = open(path, options.connect_patience).await?;
        let (sender, queue) = mpsc::channel(QUEUE);
        let connection = Connection::start(stream, options.receive_limit, |_| Delivery::Queue(sender));
        let client = Client::assemble(connection, Arc::new(Context::new(path, options)));
        // Read while the answer is awaited, so that a burst of events cannot fill the queue before it.
        let subscribed: Subscribed = client.call("event.subscribe", &params).await?;
        Ok(Self { client, queue, next: subscribed.next })
    }

    /// Sequence number of the first event that may come, as the subscription was answered.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.next
    }

    /// The next event. It may be dropped while it waits without losing one.
    ///
    /// # Errors
    /// The connection's end (`Closed`, `Rpc`, `Protocol`), after all events that came before it.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            let Some(notification) = self.queue.recv().await else { return Err(self.client.closed().await) };
            if notification.method != NOTIFICATION {
                continue;
            }
            let text = notification.params.as_deref().map_or("null", |params| params.get());
            return serde_json::from_str(text)
                .map_err(|error| ClientError::Protocol(format!("an event has another shape: {error}")));
        }
    }
}

/// Events over any number of connections: nothing missed, nothing repeated.
#[derive(Debug)]
pub struct EventFollower {
    path: PathBuf,
    options: ConnectOptions,
    filter: SubscribeParams,
    stream: Option<EventStream>,
    last: u64,
    backoff: Backoff,
}

/// Follows the journal of the daemon at `path` over its restarts. The first connection must succeed; later ones are
/// sought until they do. `since` absent: events from now on.
///
/// # Errors
/// `NotReachable`, and what `event.subscribe` answers.
pub async fn follow_events(
    path: &Path,
    since: Option<u64>,
    kinds: Vec<String>,
    subject: Option<String>,
) -> Result<EventFollower, ClientError> {
    let options = ConnectOptions::default();
    let filter = SubscribeParams { since, kinds, subject, cursor: None };
    let stream = EventStream::open(path, filter.clone(), options.clone()).await?;
    let last = since.unwrap_or_else(|| stream.first().saturating_sub(1));
    Ok(EventFollower {
        path: path.to_owned(),
        options,
        filter,
        stream: Some(stream),
        last,
        backoff: Backoff::reconnect(),
    })
}

impl EventFollower {
    /// Sequence number of the last event that was given, or after which this follower began.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The next event, waiting for the daemon to come back where it is away. It may be dropped while it waits without
    /// losing an event.
    ///
    /// # Errors
    /// Only what does not pass by waiting: the daemon refuses the subscription, speaks another protocol, or its journal
    /// ends before what was already read.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => self.resume().await?,
            };
            match stream.next().await {
                // A subscription may start with events that an earlier one gave just before it was cut.
                Ok(event) if event.seq <= self.last => {}
                Ok(event) => {
                    self.last = event.seq;
                    self.backoff.reset();
                    return Ok(event);
                }
                Err(error) => {
                    self.stream = None;
                    if !error.is_repeatable() {
                        return Err(error);
                    }
                    tracing::debug!(%error, last = self.last, "the event stream ended; it is taken up again");
                }
            }
        }
    }

    async fn resume(&mut self) -> Result<&mut EventStream, ClientError> {
        loop {
            self.backoff.pause().await;
            let filter = SubscribeParams { since: Some(self.last), ..self.filter.clone() };
            match EventStream::open(&self.path, filter, self.options.clone()).await {
                Ok(stream) if stream.first() <= self.last => {
                    return Err(ClientError::Protocol(format!(
                        "the journal goes on at event {}, but event {} was already read: the daemon's store was replaced",
                        stream.first(),
                        self.last
                    )));
                }
                Ok(stream) => return Ok(self.stream.insert(stream)),
                Err(error) if error.is_repeatable() => {}
                Err(error) => return Err(error),
            }
        }
    }
}
