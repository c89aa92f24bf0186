//! A running channel: a protocol's translation, driven over a connection that is made again when it breaks.

use orx_protocol::clock::now_ms;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::ChannelError;
use crate::event::{ChannelCommand, ChannelEvent};
use crate::{acp, app_server, opencode};

/// What follows from an input of a protocol whose messages are `M`.
#[derive(Debug)]
pub enum Step<M> {
    /// A message for the other end.
    Send(M),
    /// An event for the channel's holder.
    Tell(ChannelEvent),
    /// The channel cannot go on.
    Close(ChannelError),
}

/// A translation: a function of its state, an input and the time.
pub trait Protocol: Send {
    /// What comes from the other end.
    type In: Send;
    /// What goes to it.
    type Out: Send;

    /// A connection stands; the other end remembers nothing of one before it.
    fn connected(&mut self, now_ms: u64) -> Vec<Step<Self::Out>>;
    /// A message came.
    fn received(&mut self, message: Self::In, now_ms: u64) -> Vec<Step<Self::Out>>;
    /// The channel's holder wants something.
    fn command(&mut self, command: ChannelCommand, now_ms: u64) -> Vec<Step<Self::Out>>;
    /// The time has come that [`Self::wakes_at_ms`] named.
    fn tick(&mut self, now_ms: u64) -> Vec<Step<Self::Out>>;
    /// When something is due, in milliseconds since the epoch.
    fn wakes_at_ms(&self) -> Option<u64>;
}

/// One connection.
pub(crate) trait Connection: Send {
    /// What comes in.
    type In: Send;
    /// What goes out.
    type Out: Send;

    /// The next message. Nothing is lost when the wait is given up.
    fn next(&mut self) -> impl Future<Output = Result<Self::In, ChannelError>> + Send;
    /// Hands over a message, within a deadline.
    fn send(&mut self, message: Self::Out) -> impl Future<Output = Result<(), ChannelError>> + Send;
}

/// Where a channel leads.
#[derive(Clone)]
pub enum Target {
    /// Codex's app-server.
    AppServer {
        /// Its Unix socket.
        socket: PathBuf,
        /// The conversation that the session was last in.
        conversation: Option<String>,
    },
    /// opencode's server.
    Opencode {
        /// Where it is, and as whom it is spoken to.
        server: opencode::Server,
        /// The conversation that the session was last in.
        conversation: Option<String>,
    },
    /// An agent behind a relay, which speaks ACP.
    Acp {
        /// The relay's socket.
        socket: PathBuf,
        /// The record that it keeps.
        exchange: PathBuf,
        /// The agent's working directory.
        cwd: String,
        /// The conversation to take up again.
        conversation: Option<String>,
    },
}

impl std::fmt::Debug for Target {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AppServer { socket, .. } => f.debug_struct("AppServer").field("socket", socket).finish(),
            Self::Opencode { server, .. } => f.debug_struct("Opencode").field("server", server).finish_non_exhaustive(),
            Self::Acp { socket, .. } => f.debug_struct("Acp").field("socket", socket).finish_non_exhaustive(),
        }
    }
}

/// The ends of a channel for its holder.
#[derive(Debug)]
pub struct Channel {
    /// What it reports. [`ChannelEvent::Closed`] is the last.
    pub events: mpsc::Receiver<ChannelEvent>,
    /// What it is told; taken once the connection stands.
    pub commands: mpsc::Sender<ChannelCommand>,
}

/// Events that wait for their reader; then the other end waits.
const EVENTS: usize = 256;
/// Commands that wait for a connection.
const COMMANDS: usize = 64;
/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the other end may be gone before the channel is given up.
const GONE: Duration = Duration::from_secs(20);
/// A connection that stood this long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// Pauses between attempts.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];
/// Longest wait for a time that a protocol named: the wall clock may be set.
const SLEEP: Duration = Duration::from_secs(10);

/// Opens a channel. The future carries it and is to be run as a task; it ends when the channel is over, `stop` is
/// cancelled, or nobody reads the events any more. `version` is this program's.
pub fn open(
    target: Target,
    version: &str,
    stop: CancellationToken,
) -> (Channel, impl Future<Output = ()> + Send + 'static) {
    let (events, from) = mpsc::channel(EVENTS);
    let (commands, to) = mpsc::channel(COMMANDS);
    let version = version.to_owned();
    let carrying = async move {
        let ends = Ends { events, commands: to, stop };
        match target {
            Target::AppServer { socket, conversation } => {
                let protocol = app_server::Translator::new(&version, conversation);
                carry(protocol, || app_server::Connection::open(&socket), ends).await;
            }
            Target::Opencode { server, conversation } => {
                let protocol = opencode::Translator::new(conversation);
                carry(protocol, || opencode::Connection::open(&server), ends).await;
            }
            Target::Acp { socket, exchange, cwd, conversation } => {
                let protocol = acp::Translator::new(&version, &cwd, conversation);
                carry(protocol, || acp::Connection::open(&socket, &exchange), ends).await;
            }
        }
    };
    (Channel { events: from, commands }, carrying)
}

struct Ends {
    events: mpsc::Sender<ChannelEvent>,
    commands: mpsc::Receiver<ChannelCommand>,
    stop: CancellationToken,
}

/// How driving a connection ended.
enum End {
    /// Its holder wants no more of it.
    Dropped,
    /// It went wrong.
    Failed(ChannelError),
}

async fn carry<P, C, F>(mut protocol: P, connect: impl Fn() -> F, mut ends: Ends)
where
    P: Protocol,
    C: Connection<In = P::In, Out = P::Out>,
    F: Future<Output = Result<C, ChannelError>>,
{
    let mut gone_since = Instant::now();
    let mut attempt = 0;
    loop {
        let connecting = tokio::time::timeout(CONNECT, connect());
        let connected = tokio::select! {
            connected = connecting => connected
                .unwrap_or(Err(ChannelError::Late { peer: "the engine's channel", what: "accept a connection", limit: CONNECT })),
            () = ends.stop.cancelled() => return,
        };
        let error = match connected {
            Ok(mut connection) => {
                let stands_since = Instant::now();
                let end = drive(&mut protocol, &mut connection, &mut ends).await;
                if stands_since.elapsed() > GOOD {
                    (gone_since, attempt) = (Instant::now(), 0);
                }
                match end {
                    End::Dropped => return,
                    End::Failed(error) => error,
                }
            }
            Err(error) => error,
        };
        if !error.is_retryable() || gone_since.elapsed() > GONE {
            // Nobody may be there to hear it.
            let (why, may_come_back) = (error.to_string(), error.is_retryable());
            let _ = ends.events.send(ChannelEvent::Closed { why, may_come_back }).await;
            return;
        }
        tracing::debug!(%error, "A channel is connected again.");
        let pause = PAUSES.get(attempt).or(PAUSES.last()).copied().unwrap_or(SLEEP);
        attempt += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ends.stop.cancelled() => return,
        }
    }
}

async fn drive<P, C>(protocol: &mut P, connection: &mut C, ends: &mut Ends) -> End
where
    P: Protocol,
    C: Connection<In = P::In, Out = P::Out>,
{
    let mut steps = protocol.connected(now_ms());
    loop {
        for step in steps {
            match step {
                Step::Send(message) => {
                    if let Err(error) = connection.send(message).await {
                        return End::Failed(error);
                    }
                }
                Step::Tell(event) => {
                    if ends.events.send(event).await.is_err() {
                        return End::Dropped;
                    }
                }
                Step::Close(error) => return End::Failed(error),
            }
        }
        let now = now_ms();
        let wait = protocol.wakes_at_ms().map_or(SLEEP, |at| Duration::from_millis(at.saturating_sub(now)).min(SLEEP));
        steps = tokio::select! {
            biased;
            () = ends.stop.cancelled() => return End::Dropped,
            command = ends.commands.recv() => match command {
                Some(command) => protocol.command(command, now_ms()),
                None => return End::Dropped,
            },
            message = connection.next() => match message {
                Ok(message) => protocol.received(message, now_ms()),
                Err(error) => return End::Failed(error),
            },
            () = tokio::time::sleep(wait) => protocol.tick(now_ms()),
        };
    }
}
