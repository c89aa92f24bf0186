//! The channel of one session: from its launcher's word that the server answers to the channel's end.

use orx_channels::opencode::Server;
use orx_channels::{ChannelCommand, ChannelEvent, PromptOutcome, Target};
use orx_engines::channel::ChannelKind;
use orx_protocol::activity::Source;
use orx_protocol::api::delivery::{SendParams, When};
use orx_protocol::api::session::Session;
use orx_protocol::launch::{Served, file};
use orx_protocol::{ErrorKind, RpcError, clock};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Channels;
use super::ask::Asks;
use super::choose::{PASSWORD, USERNAME};
use super::meter::Meter;
use crate::daemon::VERSION;
use crate::sessions::channel::{Kept, place, socket};

/// What stands before the path of a socket in an address.
const UNIX: &str = "unix://";
/// How often the launcher's word is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// A minute.
const MINUTE_MS: u64 = 60_000;
/// How long the launcher may take; it gives its server up earlier and says so.
const LAUNCH: Duration = Duration::from_secs(90);
/// Pause before a channel is opened again whose other end was gone.
const AGAIN: Duration = Duration::from_secs(10);

/// A session's place in the list of channels.
pub(super) struct Link {
    /// Which process of the session it belongs to.
    pub(super) generation: u32,
    /// Ends it.
    pub(super) stop: CancellationToken,
    /// How it stands.
    pub(super) standing: watch::Receiver<Standing>,
}

/// How a channel stands.
#[derive(Clone)]
pub(super) enum Standing {
    /// Its engine is starting.
    Opening,
    /// It takes prompts.
    Open(Prompts),
    /// It is over, or gone until it can be opened again, for this reason.
    Lost(String),
}

/// Why a channel is lost.
struct Loss {
    why: String,
    /// Whether it is worth while to open it again.
    may_come_back: bool,
}

impl Loss {
    fn for_good(why: String) -> Self {
        Self { why, may_come_back: false }
    }
}

type Waiting = HashMap<u64, oneshot::Sender<Result<(), RpcError>>>;

/// Prompts on their way over one channel.
#[derive(Clone)]
pub(super) struct Prompts {
    commands: mpsc::Sender<ChannelCommand>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Prompts {
    /// Hands over a prompt and waits until the engine has it.
    pub(super) async fn hand_over(&self, id: u64, text: String) -> Result<(), RpcError> {
        let (taken, taking) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, taken);
        let closed = || {
            RpcError::new(ErrorKind::Unavailable, "the session's channel was closed before the engine took the text")
        };
        self.commands.send(ChannelCommand::Prompt { id, text }).await.map_err(|_| closed())?;
        taking.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Asks for the end of the turn.
    pub(super) async fn interrupt(&self) -> bool {
        self.commands.send(ChannelCommand::Interrupt).await.is_ok()
    }

    fn settle(&self, id: u64, outcome: Result<(), RpcError>) {
        let waiter = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(waiter) = waiter {
            // Whoever waited may have gone.
            let _ = waiter.send(outcome);
        }
    }

    fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Keeps a session's channel to its end. One whose other end is gone is said to be lost, and opened again when it is back.
pub(super) async fn keep(
    channels: Channels,
    session: Session,
    standing: watch::Sender<Standing>,
    stop: CancellationToken,
) {
    let name = session.session;
    let asks = Asks::new(&channels, &session);
    let mut session = session;
    loop {
        let mut meter = Meter::new(channels.0.sessions.clone(), &session);
        let lost = tokio::select! {
            lost = carry(&channels, &session, &standing, &asks, &mut meter, &stop) => lost,
            () = stop.cancelled() => None,
        };
        meter.flush().await;
        let Some(Loss { why, may_come_back }) = lost else { return };
        tracing::warn!(session = %name, why, may_come_back, "A session's channel is lost.");
        channels.0.activities.closed(name, Source::Protocol);
        asks.withdraw_all("the channel to the agent is lost; answer at its terminal").await;
        standing.send_replace(Standing::Lost(why.clone()));
        channels.0.sessions.record_channel_lost(name, why).await;
        if !may_come_back {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => return,
        }
        // Its conversation may be another by now.
        match channels.0.sessions.find(name).await {
            Ok(Some(row)) => session = row.session,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(session = %name, %error, "A session cannot be read; its channel is tried as it was.")
            }
        }
    }
}

/// Opens and drives the channel; gives why it was lost, or nothing when it was stopped.
async fn carry(
    channels: &Channels,
    session: &Session,
    standing: &watch::Sender<Standing>,
    asks: &Asks,
    meter: &mut Meter,
    stop: &CancellationToken,
) -> Option<Loss> {
    let directory = channels.0.sessions.directory(session.session);
    let kept = Kept::load(&directory)?;
    until_apart(channels, session, &kept).await;
    let target = match target(channels, session, &directory, &kept).await {
        Ok(target) => target,
        Err(why) => return Some(Loss::for_good(why)),
    };
    let (mut channel, carrying) = orx_channels::open(target, VERSION, stop.clone());
    channels.0.tasks.spawn(carrying);
    let prompts = Prompts { commands: channel.commands.clone(), waiting: Arc::default() };
    let mut first = kept.first_prompt;
    let mut last_said_ms = 0;
    loop {
        let due = meter.due();
        let event = tokio::select! {
            event = channel.events.recv() => event,
            () = tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {
                meter.flush().await;
                continue;
            }
        };
        let Some(event) = event else { break };
        match event {
            ChannelEvent::Observed(mut observation) => {
                // An engine changes its state twice within a millisecond; what it said last is the newer word.
                observation.at_ms = observation.at_ms.max(last_said_ms + 1);
                last_said_ms = observation.at_ms;
                channels.0.activities.observe(session.session, observation);
            }
            ChannelEvent::Conversation(conversation) => {
                meter.turn_to(&conversation).await;
                // The channel says it again when it is opened again.
                if let Err(error) = channels.0.sessions.record_conversation(session.session, conversation).await {
                    tracing::error!(session = %session.session, %error, "The name of a conversation cannot be recorded.");
                }
            }
            ChannelEvent::Asked(ask) => asks.ask(*ask, &channel.commands).await,
            ChannelEvent::Answered { key } => asks.answered(&key).await,
            ChannelEvent::Delivered { key, outcome } => asks.delivered(&key, outcome).await,
            ChannelEvent::InStep => {
                asks.in_step().await;
                channels.0.sessions.record_channel_back(session.session).await;
                standing.send_replace(Standing::Open(prompts.clone()));
                if let Some(text) = first.take() {
                    send_first(channels, session, text);
                }
            }
            ChannelEvent::PromptAccepted { id } => prompts.settle(id, Ok(())),
            ChannelEvent::PromptEnded { id, outcome } => prompts.settle(id, taken(outcome)),
            ChannelEvent::Usage(usage) => meter.note(usage),
            ChannelEvent::Closed { why, may_come_back } => {
                prompts.close();
                return Some(Loss { why, may_come_back });
            }
        }
    }
    prompts.close();
    None
}

/// Whether the engine took a prompt whose end is told.
fn taken(outcome: PromptOutcome) -> Result<(), RpcError> {
    match outcome {
        PromptOutcome::Refused(why) => {
            Err(RpcError::new(ErrorKind::FailedPrecondition, format!("the engine did not take the text: {why}")))
        }
        PromptOutcome::Done | PromptOutcome::Interrupted | PromptOutcome::Failed(_) => Ok(()),
    }
}

/// Sends what the session was started with. It is sent once, whichever daemon comes to it: its key says that it was.
fn send_first(channels: &Channels, session: &Session, text: String) {
    let key = Some(format!("first-prompt-{}", session.generation));
    let session = session.session;
    let sending =
        channels.0.deliveries.send(SendParams { session, text, submit: true, when: When::Now, force: false, key });
    channels.0.tasks.spawn(async move {
        if let Err(error) = sending.await {
            tracing::error!(%session, %error, "A session's first prompt was not taken.");
        }
    });
}

/// Waits until the conversation that is taken up can be told from what its engine writes while it takes it up.
async fn until_apart(channels: &Channels, session: &Session, kept: &Kept) {
    let by_minute = session.engine.parse().is_ok_and(orx_engines::keeps_by_minute);
    let is_acp = session.channel.as_deref() == Some(ChannelKind::Acp.name());
    let Some(conversation) = kept.resumed.as_deref().filter(|_| by_minute && is_acp) else { return };
    match channels.0.sessions.conversation_began_ms(session.session, conversation).await {
        Ok(began_ms) => tokio::time::sleep(rest_of_minute(began_ms, clock::now_ms())).await,
        Err(error) => tracing::warn!(session = %session.session, %error, "When a conversation began cannot be read."),
    }
}

/// How long the minute still lasts in which something began; nothing once it is over, or where that is not known.
fn rest_of_minute(began_ms: Option<u64>, now_ms: u64) -> Duration {
    let same = began_ms.is_some_and(|began_ms| began_ms / MINUTE_MS == now_ms / MINUTE_MS);
    if same { Duration::from_millis(MINUTE_MS - now_ms % MINUTE_MS) } else { Duration::ZERO }
}

/// Where the channel of a session leads, once its launcher says so.
async fn target(channels: &Channels, session: &Session, directory: &Path, kept: &Kept) -> Result<Target, String> {
    let kind: ChannelKind =
        session.channel.as_deref().unwrap_or_default().parse().map_err(|()| {
            format!("`{}` is no channel of this version", session.channel.as_deref().unwrap_or_default())
        })?;
    let conversation = session.conversation.clone();
    if let Some(address) = &kept.joined {
        return joined(channels, session, kind, address);
    }
    Ok(match kind {
        ChannelKind::Acp => Target::Acp {
            socket: socket(directory),
            exchange: place(directory).join(file::EXCHANGE),
            cwd: session.cwd.clone(),
            conversation: kept.resumed.clone(),
        },
        ChannelKind::AppServer => {
            // Where it is reached is known; what the session's own files say of that is not believed.
            served(directory).await?;
            Target::AppServer { socket: socket(directory), conversation }
        }
        ChannelKind::Serve => Target::Opencode {
            server: Server {
                url: served(directory).await?,
                password: Some(kept.password.clone().ok_or("the password of its server is not kept")?),
                ..Server::default()
            },
            conversation,
        },
    })
}

/// Where the channel of a session leads whose agent runs outside of orx.
fn joined(channels: &Channels, session: &Session, kind: ChannelKind, address: &str) -> Result<Target, String> {
    let conversation = session.conversation.clone();
    let operators = |name: &str| channels.0.sessions.operators_variable(name);
    match kind {
        ChannelKind::Serve => Ok(Target::Opencode {
            server: Server {
                url: address.to_owned(),
                user: operators(USERNAME),
                password: operators(PASSWORD),
                directory: Some(session.cwd.clone()),
            },
            conversation,
        }),
        ChannelKind::AppServer => {
            let socket = address.strip_prefix(UNIX).unwrap_or(address).into();
            Ok(Target::AppServer { socket, conversation })
        }
        ChannelKind::Acp => Err("an agent on pipes cannot be joined".to_owned()),
    }
}

/// The address of the server, once the launcher wrote it.
async fn served(directory: &Path) -> Result<String, String> {
    let path = place(directory).join(file::SERVED);
    let started = Instant::now();
    loop {
        let said = orx_sandbox::file::open_plain(&path).and_then(std::io::read_to_string);
        if let Some(served) = said.ok().and_then(|text| serde_json::from_str::<Served>(&text).ok()) {
            return served
                .address
                .ok_or_else(|| served.failure.unwrap_or_else(|| "its server did not come up".to_owned()));
        }
        if started.elapsed() > LAUNCH {
            return Err(format!("its server did not come up within {} s", LAUNCH.as_secs()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_taken_up_at_once_or_with_the_next_minute() {
        let minute = 29_000_000 * MINUTE_MS;
        for (began_ms, now_ms, rest) in [
            (None, minute + 1, 0),
            (Some(minute - 1), minute, 0),
            (Some(minute), minute, 60_000),
            (Some(minute + 10_000), minute + 25_000, 35_000),
            (Some(minute + 59_999), minute + 59_999, 1),
            (Some(minute + 59_999), minute + 60_000, 0),
        ] {
            assert_eq!(rest_of_minute(began_ms, now_ms), Duration::from_millis(rest), "{began_ms:?} {now_ms}");
        }
    }
}
