//! Texts on their way into sessions: kept before anything is typed, typed once, followed until it is known how far they
//! came, and answered with that. What is concluded from what is seen is decided by `orx_session::delivery`; how a
//! composer looks is known to `orx_engines`.

use orx_engines::hooks::{Heard, Meaning};
use orx_engines::{Draft, EngineKind};
use orx_protocol::activity::AgentState;
use orx_protocol::api::Empty;
use orx_protocol::api::delivery::{Message, Messages, Receipt, SendParams, Sent, When};
use orx_protocol::api::session::Session;
use orx_protocol::event::kind;
use orx_protocol::hold::{self, KeysParams, RowText, ScreenText, method};
use orx_protocol::life::Life;
use orx_protocol::{ErrorKind, MessageId, RpcError, SessionId, clock};
use orx_session::delivery::{Delivery, Seen, Step};
use orx_store::{Store, StoreError, events, messages as table};
use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Sessions, holder, ready};
use crate::hooks::Witness;

/// Longest text, in bytes: a request with it fits into a frame of the usual limit.
const TEXT: usize = 768 * 1024;
/// Longest key, in characters.
const KEY: usize = 200;
/// How long the holder may take to type a text: it waits for the echo before it presses Enter.
const TYPING: Duration = Duration::from_secs(60);
/// How often a screen is looked at while a text is followed.
const LOOK: Duration = Duration::from_millis(100);
/// How long a text that is not submitted is looked for on the screen.
const SHOWN: Duration = Duration::from_secs(2);
/// What agents say that nobody waits for is dropped beyond this.
const WORDS: usize = 1024;

/// An agent's word that it took a prompt.
#[derive(Debug, Clone)]
struct Word {
    session: SessionId,
    /// The prompt, where it was told.
    text: Option<String>,
    by: String,
    at: Instant,
}

/// What a road other than the terminal makes of a prompt: the evidence that the agent took it.
pub type Prompted = Pin<Box<dyn Future<Output = Option<Result<String, RpcError>>> + Send>>;

/// A road to an agent other than its terminal.
pub trait PromptRoad: Send + Sync {
    /// Hands a prompt to the agent; `None` when there is no such road to this session.
    fn prompt(&self, session: SessionId, text: String) -> Prompted;
}

/// The texts of the daemon. Clones serve the same ones.
#[derive(Clone)]
pub struct Deliveries(Arc<Inner>);

struct Inner {
    store: Store,
    sessions: Sessions,
    tasks: TaskTracker,
    draining: CancellationToken,
    words: broadcast::Sender<Word>,
    /// One text at a time goes into a session, in the order in which they came.
    turns: Mutex<HashMap<SessionId, Arc<tokio::sync::Mutex<()>>>>,
    road: OnceLock<Arc<dyn PromptRoad>>,
}

fn refused(session: SessionId, why: impl std::fmt::Display) -> RpcError {
    RpcError::new(ErrorKind::FailedPrecondition, format!("session {session}: {why}; nothing was typed"))
}

impl Deliveries {
    /// The texts kept in `store` for `sessions`.
    #[must_use]
    pub fn new(store: Store, sessions: Sessions, tasks: TaskTracker, draining: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            store,
            sessions,
            tasks,
            draining,
            words: broadcast::Sender::new(WORDS),
            turns: Mutex::default(),
            road: OnceLock::new(),
        }))
    }

    /// Sets the road that is tried before the terminal.
    pub fn set_road(&self, road: Arc<dyn PromptRoad>) {
        // It is set once, when the daemon is put together.
        let _ = self.0.road.set(road);
    }

    /// An agent says that it took a prompt.
    pub fn taken(&self, session: SessionId, text: Option<String>, by: impl Into<String>) {
        // Nobody may be waiting for it.
        let _ = self.0.words.send(Word { session, text, by: by.into(), at: Instant::now() });
    }

    /// Sends a text and answers with how far it came, or keeps it for later.
    ///
    /// # Errors
    /// `InvalidParams`; `FailedPrecondition` with the reason when the session cannot take it, and nothing was typed then.
    pub async fn send(&self, params: SendParams) -> Result<Sent, RpcError> {
        check(&params)?;
        let session = params.session;
        let row = self.0.sessions.row(session).await?;
        if let Some(key) = params.key.clone() {
            let known = self.0.store.read(move |reader| table::by_key(reader, session, &key)).await?;
            if let Some(message) = known {
                return self.told(message, &params).await;
            }
        }
        let waits = row.session.life == Life::Queued
            || (params.when == When::Idle && row.session.activity.state != AgentState::Idle);
        if row.session.state.is_final() {
            self.0.sessions.running(session).await?;
        }
        if !waits {
            self.guard(&row.session, params.force)?;
        }
        let message = Message {
            message: MessageId::generate(),
            session,
            at_ms: clock::now_ms(),
            text: params.text,
            submit: params.submit,
            when: params.when,
            force: params.force,
            receipt: waits.then_some(Receipt::Queued),
            evidence: if waits { why_it_waits(&row.session) } else { String::new() },
            repaired: false,
        };
        let (kept, key) = (message.clone(), params.key);
        self.0.store.write(move |tx| table::insert(tx, &kept, key.as_deref())).await?;
        if waits {
            let sent = sent(&message, Receipt::Queued);
            self.announce(&message).await?;
            return Ok(sent);
        }
        // A task of its own, so that a caller who goes away does not leave a text half typed.
        let deliveries = self.clone();
        let delivering = self.0.tasks.spawn(async move { deliveries.deliver(message).await });
        delivering
            .await
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("sending a text failed: {error}")))?
    }

    /// What became of the texts that were sent to a session.
    ///
    /// # Errors
    /// `NotFound`; as the store cannot be read.
    pub async fn messages(&self, session: SessionId) -> Result<Messages, RpcError> {
        self.0.sessions.row(session).await?;
        Ok(Messages { messages: self.0.store.read(move |reader| table::of_session(reader, session)).await? })
    }

    /// The answer to a request that came before.
    async fn told(&self, message: Message, params: &SendParams) -> Result<Sent, RpcError> {
        if message.text != params.text || message.submit != params.submit {
            let why = "`session.send`: another text was sent with this `key` before";
            return Err(RpcError::new(ErrorKind::Conflict, why));
        }
        // The first request may be under way: its turn is over when it is known.
        let turn = self.turn(message.session);
        let _over = turn.lock().await;
        let name = message.message;
        let message = self.0.store.read(move |reader| table::get(reader, name)).await?.unwrap_or(message);
        Ok(sent(&message, message.receipt.unwrap_or(Receipt::Unknown)))
    }

    /// Whether a session can take a text now.
    fn guard(&self, session: &Session, force: bool) -> Result<(), RpcError> {
        if force {
            return Ok(());
        }
        if session.life == Life::Paused {
            return Err(refused(session.session, "it is paused").with_hint("`session.continue` lets it go on"));
        }
        if kind_of(session) == EngineKind::Command {
            return Ok(());
        }
        let inbox = "`orxctl inbox` shows what it asks; `force` types all the same";
        match session.activity.state {
            AgentState::Blocked => Err(refused(
                session.session,
                format!("it waits for a permission ({}), which a text would answer", session.activity.reason),
            )
            .with_hint(inbox)),
            AgentState::WaitingInput => Err(refused(
                session.session,
                format!("it asks something ({}), which a text would answer", session.activity.reason),
            )
            .with_hint(inbox)),
            _ => Ok(()),
        }
    }

    fn turn(&self, session: SessionId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits for any more are forgotten.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(session).or_default())
    }

    /// Delivers a text in its turn, and keeps what became of it before it is told.
    async fn deliver(&self, mut message: Message) -> Result<Sent, RpcError> {
        let turn = self.turn(message.session);
        let _mine = turn.lock().await;
        let delivered = self.hand_over(&message).await;
        match &delivered {
            Ok(outcome) => {
                message.receipt = Some(outcome.receipt);
                message.evidence.clone_from(&outcome.evidence);
                message.repaired = outcome.repaired;
            }
            Err(error) => {
                message.receipt = Some(Receipt::Failed);
                message.evidence = error.to_string();
            }
        }
        self.announce(&message).await?;
        delivered.map(|outcome| Sent {
            message: message.message,
            receipt: outcome.receipt,
            evidence: outcome.evidence,
            repaired: outcome.repaired,
        })
    }

    /// Keeps what became of a text, with its event.
    async fn announce(&self, message: &Message) -> Result<(), StoreError> {
        let message = message.clone();
        let data = serde_json::json!({
            "message": message.message, "receipt": message.receipt, "evidence": message.evidence,
            "repaired": message.repaired, "bytes": message.text.len(),
        });
        self.0
            .store
            .write(move |tx| {
                table::update(tx, &message)?;
                events::append(tx, kind::SESSION_SENT, &message.session.to_string(), &data).map(drop)
            })
            .await
    }

    async fn hand_over(&self, message: &Message) -> Result<Outcome, RpcError> {
        let session = message.session;
        let row = self.0.sessions.running(session).await?;
        self.guard(&row.session, message.force)?;
        if message.submit
            && let Some(road) = self.0.road.get()
            && let Some(prompted) = road.prompt(session, message.text.clone()).await
        {
            return prompted.map(|evidence| Outcome::new(Receipt::Accepted, evidence));
        }
        let kind = kind_of(&row.session);
        let socket = PathBuf::from(&row.socket);
        if !message.force {
            let started_at_ms = row.holder.as_ref().map_or(row.session.created_at_ms, |holder| holder.started_at_ms);
            ready::until_composer(&row.session, started_at_ms, &socket).await?;
        }
        let mut words = self.0.words.subscribe();
        let request = hold::SendParams { text: message.text.clone(), submit: message.submit };
        let began = Instant::now();
        let Empty {} = holder::ask(&socket, method::SEND, &request, TYPING).await?;
        if kind == EngineKind::Command {
            return Ok(if message.submit {
                Outcome::new(Receipt::Submitted, "Enter was pressed after the text")
            } else {
                Outcome::new(Receipt::Typed, "it was written to the terminal")
            });
        }
        if message.submit {
            self.follow(&row.session, &socket, message, began, &mut words).await
        } else {
            shown(kind, &socket, &message.text).await
        }
    }

    /// Follows a text after its Enter until it is known how far it came.
    async fn follow(
        &self,
        session: &Session,
        socket: &Path,
        message: &Message,
        began: Instant,
        words: &mut broadcast::Receiver<Word>,
    ) -> Result<Outcome, RpcError> {
        let entered = Entered { session, socket, message, began, at_ms: clock::now_ms() };
        let started = Instant::now();
        let now_ms = || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut delivery = Delivery::entered(0);
        loop {
            let (seen, rows) = self.see(&entered, words).await?;
            match delivery.step(&seen, now_ms()) {
                Step::Wait { until_ms } => {
                    let pause = LOOK.min(Duration::from_millis(until_ms.saturating_sub(now_ms()).max(1)));
                    tokio::time::sleep(pause).await;
                }
                Step::PressEnter => {
                    let press = KeysParams { keys: vec!["enter".to_owned()], while_rows: rows };
                    // Where it is refused, the screen is another by now, and is looked at again.
                    let pressed: Result<Empty, RpcError> = holder::ask_now(socket, method::KEYS, &press).await;
                    match pressed {
                        Ok(Empty {}) => delivery.repaired(now_ms()),
                        Err(error) if error.kind() == ErrorKind::FailedPrecondition => tokio::time::sleep(LOOK).await,
                        Err(error) => return Err(error),
                    }
                }
                Step::Done { receipt, evidence } => {
                    return Ok(Outcome { receipt, evidence, repaired: delivery.is_repaired() });
                }
            }
        }
    }

    /// One look: at what the agent said, at what it does, and at the place where the text was typed.
    async fn see(
        &self,
        entered: &Entered<'_>,
        words: &mut broadcast::Receiver<Word>,
    ) -> Result<(Seen, Vec<RowText>), RpcError> {
        let Entered { session, socket, message, began, at_ms } = *entered;
        while let Some(word) = next_word(words) {
            let same_text = word.text.as_ref().is_none_or(|text| text.trim() == message.text.trim());
            if word.session == session.session && word.at >= began && same_text {
                return Ok((Seen::Taken(word.by), Vec::new()));
            }
        }
        let now = self.0.sessions.row(session.session).await?.session;
        if now.state.is_final() {
            return Ok((Seen::Ended, Vec::new()));
        }
        let kind = kind_of(session);
        let was_at_work = session.activity.state == AgentState::Working;
        let began_to_work = now.activity.state == AgentState::Working && now.activity.since_ms >= at_ms;
        let screen: ScreenText = holder::ask_now(socket, method::SCREEN, &Empty {}).await?;
        let place = orx_engines::composer_rows(kind, None, &screen.lines).unwrap_or_default();
        let seen = match orx_engines::draft(kind, None, &screen.lines, &message.text) {
            Draft::Present => Seen::Standing,
            // Work that began with the Enter is the agent's word, unless it was at work before.
            _ if began_to_work && !was_at_work => Seen::Taken(format!("it works: {}", now.activity.reason)),
            Draft::Absent => Seen::Gone,
            Draft::Unknown => Seen::Hidden,
        };
        let rows = place.into_iter().filter_map(|index| {
            let text = screen.lines.get(index)?.clone();
            Some(RowText { row: u16::try_from(index).ok()?, text })
        });
        Ok((seen, rows.collect()))
    }

    /// After a start of the daemon: what was being typed when the last one died is said to be unknown, and what waits is
    /// delivered in its time.
    ///
    /// # Errors
    /// As the store cannot be read or written.
    pub async fn take_up(&self) -> Result<(), StoreError> {
        for mut message in self.0.store.read(table::pending).await? {
            if message.receipt.is_none() {
                message.receipt = Some(Receipt::Unknown);
                message.evidence =
                    "the daemon ended while it was typed; the session's screen shows whether it arrived".to_owned();
                self.announce(&message).await?;
            }
        }
        let deliveries = self.clone();
        self.0.tasks.spawn(async move { deliveries.deliver_what_waits().await });
        Ok(())
    }

    async fn deliver_what_waits(&self) {
        let mut changed = self.0.sessions.changes();
        loop {
            if let Err(error) = self.look_after_queue().await {
                tracing::error!(%error, "Texts that wait for their session cannot be looked after.");
            }
            tokio::select! {
                () = self.0.draining.cancelled() => return,
                change = changed.changed() => if change.is_err() { return },
            }
        }
    }

    async fn look_after_queue(&self) -> Result<(), RpcError> {
        let waiting = self.0.store.read(table::pending).await?;
        let mut seen: Vec<SessionId> = Vec::new();
        for mut message in waiting {
            // One a session at a time: an idle agent is at work after the first.
            if message.receipt != Some(Receipt::Queued) || seen.contains(&message.session) {
                continue;
            }
            seen.push(message.session);
            let session = self.0.sessions.row(message.session).await?.session;
            if session.state.is_final() {
                message.receipt = Some(Receipt::Failed);
                message.evidence = "the session ended before it could take it; nothing was typed".to_owned();
                self.announce(&message).await?;
                continue;
            }
            let takes_it = match message.when {
                When::Now => session.state == orx_protocol::api::session::SessionState::Running,
                When::Idle => session.activity.state == AgentState::Idle,
            };
            if takes_it && self.guard(&session, message.force).is_ok() {
                message.receipt = None;
                let kept = message.clone();
                self.0.store.write(move |tx| table::update(tx, &kept)).await?;
                let deliveries = self.clone();
                self.0.tasks.spawn(async move {
                    if let Err(error) = deliveries.deliver(message).await {
                        tracing::warn!(%error, "A text that had waited was not delivered.");
                    }
                });
            }
        }
        Ok(())
    }
}

/// A text whose Enter was pressed.
#[derive(Clone, Copy)]
struct Entered<'a> {
    session: &'a Session,
    socket: &'a Path,
    message: &'a Message,
    /// When it began to be typed.
    began: Instant,
    /// When Enter was pressed, in milliseconds since the epoch.
    at_ms: u64,
}

/// How far a text came.
struct Outcome {
    receipt: Receipt,
    evidence: String,
    repaired: bool,
}

impl Outcome {
    fn new(receipt: Receipt, evidence: impl Into<String>) -> Self {
        Self { receipt, evidence: evidence.into(), repaired: false }
    }
}

fn next_word(words: &mut broadcast::Receiver<Word>) -> Option<Word> {
    loop {
        match words.try_recv() {
            Ok(word) => return Some(word),
            Err(broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => return None,
        }
    }
}

fn kind_of(session: &Session) -> EngineKind {
    session.engine.parse().unwrap_or(EngineKind::Command)
}

fn why_it_waits(session: &Session) -> String {
    if session.life == Life::Queued {
        return "the session waits for a place".to_owned();
    }
    format!("it is delivered when the agent is idle; it is {} now", session.activity.state.as_str())
}

fn sent(message: &Message, receipt: Receipt) -> Sent {
    Sent { message: message.message, receipt, evidence: message.evidence.clone(), repaired: message.repaired }
}

fn check(params: &SendParams) -> Result<(), RpcError> {
    let invalid = |why: String| Err(RpcError::new(ErrorKind::InvalidParams, format!("`session.send`: {why}")));
    if params.text.len() > TEXT {
        let why = format!("`session.send`: `text` has {} bytes, at most {TEXT} are taken", params.text.len());
        return Err(RpcError::new(ErrorKind::TooLarge, why).with_hint("put it into a file and name the file"));
    }
    if let Some(key) = &params.key
        && (key.is_empty() || key.chars().count() > KEY || key.contains(char::is_control))
    {
        return invalid(format!("`key` has 1 to {KEY} characters and no control characters"));
    }
    if params.when == When::Idle && params.force {
        return invalid(
            "`when: idle` and `force` exclude each other: an agent that is idle takes it anyway".to_owned(),
        );
    }
    Ok(())
}

/// Looks for a text that was typed and not submitted.
async fn shown(kind: EngineKind, socket: &Path, text: &str) -> Result<Outcome, RpcError> {
    let started = Instant::now();
    loop {
        let screen: ScreenText = holder::ask_now(socket, method::SCREEN, &Empty {}).await?;
        if orx_engines::draft(kind, None, &screen.lines, text) == Draft::Present {
            return Ok(Outcome::new(Receipt::Typed, "it stands where prompts are typed"));
        }
        if started.elapsed() > SHOWN {
            return Ok(Outcome::new(Receipt::Typed, "it was written to the terminal and is not seen on its screen"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Witness for Deliveries {
    fn heard(&self, session: SessionId, _: &serde_json::Value, heard: &Heard) {
        if let Meaning::Prompted(text) = &heard.meaning {
            self.taken(session, Some(text.clone()), "its hook for a submitted prompt was called");
        }
    }
}
