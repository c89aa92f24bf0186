//! The channel of one session: from its launcher's word that the server answers to the channel's end.

use orx_channels::{ChannelCommand, ChannelEvent, PromptOutcome, Target};
use orx_engines::channel::ChannelKind;
use orx_protocol::activity::Source;
use orx_protocol::api::delivery::{SendParams, When};
use orx_protocol::api::session::Session;
use orx_protocol::launch::{Served, file};
use orx_protocol::{ErrorKind, RpcError};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Channels;
use super::ask::Asks;
use crate::daemon::VERSION;
use crate::sessions::channel::{Kept, socket};

/// How often the launcher's word is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long the launcher may take; it gives its server up earlier and says so.
const LAUNCH: Duration = Duration::from_secs(90);

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
    /// It is over, for this reason.
    Lost(String),
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

/// Keeps a session's channel to its end.
pub(super) async fn keep(
    channels: Channels,
    session: Session,
    standing: watch::Sender<Standing>,
    stop: CancellationToken,
) {
    let name = session.session;
    let asks = Asks::new(&channels, &session);
    let ended = tokio::select! {
        ended = carry(&channels, &session, &standing, &asks, &stop) => ended,
        () = stop.cancelled() => None,
    };
    if let Some(why) = ended {
        tracing::warn!(session = %name, why, "A session's channel is lost.");
        channels.0.activities.closed(name, Source::Protocol);
        asks.withdraw_all("the channel to the agent is lost; answer at its terminal").await;
        standing.send_replace(Standing::Lost(why.clone()));
        channels.0.sessions.record_channel_lost(name, why).await;
    }
}

/// Opens and drives the channel; gives why it was lost, or nothing when it was stopped.
async fn carry(
    channels: &Channels,
    session: &Session,
    standing: &watch::Sender<Standing>,
    asks: &Asks,
    stop: &CancellationToken,
) -> Option<String> {
    let directory = channels.0.sessions.directory(session.session);
    let kept = Kept::load(&directory)?;
    let target = match target(session, &directory, &kept).await {
        Ok(target) => target,
        Err(why) => return Some(why),
    };
    let (mut channel, carrying) = orx_channels::open(target, VERSION, stop.clone());
    channels.0.tasks.spawn(carrying);
    let prompts = Prompts { commands: channel.commands.clone(), waiting: Arc::default() };
    let mut first = kept.first_prompt;
    let mut last_said_ms = 0;
    while let Some(event) = channel.events.recv().await {
        match event {
            ChannelEvent::Observed(mut observation) => {
                // An engine changes its state twice within a millisecond; what it said last is the newer word.
                observation.at_ms = observation.at_ms.max(last_said_ms + 1);
                last_said_ms = observation.at_ms;
                channels.0.activities.observe(session.session, observation);
            }
            ChannelEvent::Conversation(conversation) => {
                // The channel says it again when it is opened again.
                if let Err(error) = channels.0.sessions.record_conversation(session.session, conversation).await {
                    tracing::error!(session = %session.session, %error, "The name of a conversation cannot be recorded.");
                }
            }
            ChannelEvent::Asked(ask) => asks.ask(ask, &channel.commands).await,
            ChannelEvent::Answered { key } => asks.answered(&key).await,
            ChannelEvent::Delivered { key, outcome } => asks.delivered(&key, outcome).await,
            ChannelEvent::InStep => {
                asks.in_step().await;
                standing.send_replace(Standing::Open(prompts.clone()));
                if let Some(text) = first.take() {
                    send_first(channels, session, text);
                }
            }
            ChannelEvent::PromptAccepted { id } => prompts.settle(id, Ok(())),
            ChannelEvent::PromptEnded { id, outcome } => prompts.settle(id, taken(outcome)),
            ChannelEvent::Usage(usage) => tracing::debug!(session = %session.session, ?usage, "Tokens of a session."),
            ChannelEvent::Closed { why } => {
                prompts.close();
                return Some(why);
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
    let (deliveries, session, generation) = (channels.0.deliveries.clone(), session.session, session.generation);
    channels.0.tasks.spawn(async move {
        let key = Some(format!("first-prompt-{generation}"));
        let params = SendParams { session, text, submit: true, when: When::Now, force: false, key };
        if let Err(error) = deliveries.send(params).await {
            tracing::error!(%session, %error, "A session's first prompt was not taken.");
        }
    });
}

/// Where the channel of a session leads, once its launcher says so.
async fn target(session: &Session, directory: &Path, kept: &Kept) -> Result<Target, String> {
    let kind: ChannelKind =
        session.channel.as_deref().unwrap_or_default().parse().map_err(|()| {
            format!("`{}` is no channel of this version", session.channel.as_deref().unwrap_or_default())
        })?;
    let conversation = session.conversation.clone();
    Ok(match kind {
        ChannelKind::Acp => Target::Acp {
            socket: socket(directory),
            exchange: directory.join(file::EXCHANGE),
            cwd: session.cwd.clone(),
            conversation: kept.resumed.clone(),
        },
        ChannelKind::AppServer => {
            let address = served(directory).await?;
            let path = address.strip_prefix("unix://").ok_or_else(|| format!("{address} is no Unix socket"))?;
            Target::AppServer { socket: PathBuf::from(path), conversation }
        }
        ChannelKind::Serve => Target::Opencode {
            url: served(directory).await?,
            password: kept.password.clone().ok_or("the password of its server is not kept")?,
            conversation,
        },
    })
}

/// The address of the server, once the launcher wrote it.
async fn served(directory: &Path) -> Result<String, String> {
    let path = directory.join(file::SERVED);
    let started = Instant::now();
    loop {
        if let Some(served) = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Served>(&text).ok()) {
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
