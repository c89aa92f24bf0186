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
use orx_protocol::hold::{self, RowText, ScreenText, method};
use orx_protocol::life::Life;
use orx_protocol::{ErrorKind, MessageId, RpcError, SessionId, clock};
use orx_session::delivery::{Delivery, Seen, Step};
use orx_store::{Store, StoreError, events, messages as table};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::turns::{Place, Turns};
use super::{Sessions, holder, ready, submit};
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
/// After this time an agent that took a text and works on it is recorded as working.
const SEEN: Duration = Duration::from_secs(1);
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
    /// One text at a time is kept for a session, in the order in which they came.
    keeping: Turns,
    /// One text at a time goes into a session, in the same order.
    delivering: Turns,
    /// Told when those that wait are to be looked at although no record changed.
    again: Notify,
    road: OnceLock<Arc<dyn PromptRoad>>,
    parked: OnceLock<Parked>,
}

/// Gives how a session is parked, in words; `None` when it is not.
type Parked = Box<dyn Fn(SessionId) -> Option<String> + Send + Sync>;

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
            keeping: Turns::default(),
            delivering: Turns::default(),
            again: Notify::new(),
            road: OnceLock::new(),
            parked: OnceLock::new(),
        }))
    }

    /// Sets the road that is tried before the terminal.
    pub fn set_road(&self, road: Arc<dyn PromptRoad>) {
        // It is set once, when the daemon is put together.
        let _ = self.0.road.set(road);
    }

    /// Says how it is known that a session is parked: texts for it wait.
    pub fn set_parked(&self, parked: impl Fn(SessionId) -> Option<String> + Send + Sync + 'static) {
        // It is set once, when the daemon is put together.
        let _ = self.0.parked.set(Box::new(parked));
    }

    fn parked(&self, session: SessionId, force: bool) -> Option<String> {
        if force { None } else { self.0.parked.get().and_then(|parked| parked(session)) }
    }

    /// Sessions are parked no more: what waits for them is looked at.
    pub fn look_again(&self) {
        self.0.again.notify_one();
    }

    /// An agent says that it took a prompt.
    pub fn taken(&self, session: SessionId, text: Option<String>, by: impl Into<String>) {
        // Nobody may be waiting for it.
        let _ = self.0.words.send(Word { session, text, by: by.into(), at: Instant::now() });
    }

    /// Sends a text and answers with how far it came, or keeps it for later. Texts for one session keep the order of the
    /// calls of this function, in whatever order what it gives is waited for.
    ///
    /// # Errors
    /// `InvalidParams`; `FailedPrecondition` with the reason when the session cannot take it, and nothing was typed then.
    pub fn send(&self, params: SendParams) -> impl Future<Output = Result<Sent, RpcError>> + Send + use<> {
        let (keep, deliver) = (self.0.keeping.take(params.session), self.0.delivering.take(params.session));
        let deliveries = self.clone();
        async move { deliveries.send_in_turn(params, keep, deliver).await }
    }

    async fn send_in_turn(&self, params: SendParams, keep: Place, deliver: Place) -> Result<Sent, RpcError> {
        check(&params)?;
        let keeping = keep.come().await;
        let session = params.session;
        let row = self.0.sessions.row(session).await?;
        if let Some(key) = params.key.clone() {
            let known = self.0.store.read(move |reader| table::by_key(reader, session, &key)).await?;
            if let Some(message) = known {
                drop(keeping);
                return self.told(message, &params, deliver).await;
            }
        }
        let parked = self.parked(session, params.force);
        let waits = parked.is_some()
            || row.session.life == Life::Queued
            || (params.when == When::Idle && row.session.activity.state != AgentState::Idle);
        if row.session.state.is_final() {
            self.0.sessions.running(session).await?;
        }
        let mut why = waits.then(|| why_it_waits(&row.session, parked));
        if why.is_none() {
            self.guard(&row.session, params.force)?;
            if !params.force && self.has_waiting(session).await? {
                why = Some("texts that came before it are on their way".to_owned());
            }
        }
        let waits = why.is_some();
        let message = Message {
            message: MessageId::generate(),
            session,
            at_ms: clock::now_ms(),
            text: params.text,
            submit: params.submit,
            when: params.when,
            force: params.force,
            receipt: waits.then_some(Receipt::Queued),
            evidence: why.unwrap_or_default(),
            repaired: false,
        };
        let (kept, key) = (message.clone(), params.key);
        self.0.store.write(move |tx| table::insert(tx, &kept, key.as_deref())).await?;
        if waits {
            let sent = sent(&message, Receipt::Queued);
            self.announce(&message).await?;
            // What it waits for may have come while it was kept.
            self.0.again.notify_one();
            return Ok(sent);
        }
        drop(keeping);
        // A task of its own, so that a caller who goes away does not leave a text half typed.
        let deliveries = self.clone();
        let delivering = self.0.tasks.spawn(async move { deliveries.deliver(message, deliver).await });
        delivering
            .await
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("sending a text failed: {error}")))?
    }

    /// Whether texts wait that are to be delivered as soon as a session can take any.
    async fn has_waiting(&self, session: SessionId) -> Result<bool, StoreError> {
        let pending = self.0.store.read(table::pending).await?;
        let waits = |message: &Message| {
            message.session == session && message.when == When::Now && message.receipt == Some(Receipt::Queued)
        };
        Ok(pending.iter().any(waits))
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
    async fn told(&self, message: Message, params: &SendParams, place: Place) -> Result<Sent, RpcError> {
        if message.text != params.text || message.submit != params.submit {
            let why = "`session.send`: another text was sent with this `key` before";
            return Err(RpcError::new(ErrorKind::Conflict, why));
        }
        // The first request may be under way: its turn is over when it is known.
        let _over = place.come().await;
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
        let inbox = "`orxctl inbox` shows what it asks; `force` (`orxctl send --force`) types all the same";
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

    /// Delivers a text in its turn, and keeps what became of it before it is told.
    async fn deliver(&self, mut message: Message, place: Place) -> Result<Sent, RpcError> {
        let _mine = place.come().await;
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
        let in_two_steps = message.submit && orx_engines::submits_otherwise(kind);
        let request = hold::SendParams { text: message.text.clone(), submit: message.submit && !in_two_steps };
        let began = Instant::now();
        let Empty {} = holder::ask(&socket, method::SEND, &request, TYPING).await?;
        if in_two_steps {
            submit::typed(kind, &socket, &message.text).await?;
        }
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
        let drawn = self.drawn(session.session).await;
        let mut entered = Entered { session, socket, message, began, at_ms: clock::now_ms(), drawn };
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
                    let drawn = self.drawn(session.session).await;
                    // Where it is refused, the screen is another by now, and is looked at again.
                    match submit::again(kind_of(session), socket, rows).await {
                        Ok(()) => {
                            delivery.repaired(now_ms());
                            entered.drawn = drawn;
                        }
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

    /// How much the program of a session has drawn, in bytes.
    async fn drawn(&self, session: SessionId) -> u64 {
        let output = self.0.sessions.directory(session).join(hold::file::OUTPUT);
        tokio::fs::metadata(output).await.map_or(0, |output| output.len())
    }

    /// One look: at what the agent said, at what it does, and at the place where the text was typed.
    async fn see(
        &self,
        entered: &Entered<'_>,
        words: &mut broadcast::Receiver<Word>,
    ) -> Result<(Seen, Vec<RowText>), RpcError> {
        let Entered { session, socket, message, began, at_ms, drawn } = *entered;
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
        // What it does that it can only do because of a prompt.
        let at_work = |state| match state {
            AgentState::Working => Some("works"),
            AgentState::Blocked | AgentState::WaitingInput => Some("asks"),
            _ => None,
        };
        let does = at_work(now.activity.state).filter(|_| now.activity.since_ms >= at_ms);
        let screen: ScreenText = holder::ask_now(socket, method::SCREEN, &Empty {}).await?;
        let seen = match submit::standing(kind, &screen, &message.text) {
            Draft::Present => Seen::Standing { drawn: self.drawn(session.session).await != drawn },
            // Work that began with the Enter is the agent's word, unless it was at work before.
            left => match does.filter(|_| at_work(session.activity.state).is_none()) {
                Some(what) => Seen::Taken(format!("it {what}: {}", now.activity.reason)),
                None if left == Draft::Absent => Seen::Gone,
                None => Seen::Hidden,
            },
        };
        Ok((seen, submit::place(kind, &screen.lines)))
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
                () = self.0.again.notified() => {}
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
            let is_parked = self.parked(message.session, message.force).is_some();
            if takes_it && !is_parked && self.guard(&session, message.force).is_ok() {
                message.receipt = None;
                let kept = message.clone();
                self.0.store.write(move |tx| table::update(tx, &kept)).await?;
                let place = self.0.delivering.take(message.session);
                let deliveries = self.clone();
                self.0.tasks.spawn(async move {
                    if let Err(error) = deliveries.deliver(message, place).await {
                        tracing::warn!(%error, "A text that had waited was not delivered.");
                    }
                    // A turn may be over before anybody saw that it began, and then nothing else says that the next text's
                    // time has come.
                    tokio::select! {
                        () = tokio::time::sleep(SEEN) => deliveries.0.again.notify_one(),
                        () = deliveries.0.draining.cancelled() => {}
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
    /// How much the program had drawn by the last Enter.
    drawn: u64,
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

fn why_it_waits(session: &Session, parked: Option<String>) -> String {
    if let Some(parked) = parked {
        return format!("it is delivered when the session is parked no more: {parked}");
    }
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
        if submit::standing(kind, &screen, text) == Draft::Present {
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
