//! Telling people: reads the journal from a cursor of its own, so that nothing is missed while the daemon is away, and
//! tells by every road that is on. What is news to whom is decided by `orx_session::notify`; that and how it was told is
//! recorded with what became of it on each road.

mod command;
mod desktop;
pub mod settings;
mod terminal;

use orx_protocol::activity::AgentState;
use orx_protocol::api::approval::ApprovalState;
use orx_protocol::api::notification::{Attempt, ListParams, Notification, Notifications, Road, Topic};
use orx_protocol::api::session::Session;
use orx_protocol::event::kind;
use orx_protocol::hold::NoticeForm;
use orx_protocol::{ErrorKind, Event, NotificationId, RpcError, SessionId, clock};
use orx_sandbox::environment::Environment;
use orx_session::notify::{Moment, News, Told, news};
use orx_store::{Store, StoreError, approvals, cursors, events, notifications as table, parkings};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sessions::Sessions;

/// The cursor's name.
const CURSOR: &str = "notify";
/// Events read at once.
const PAGE: u32 = 256;
/// Pause before a store that failed is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest title and body, in characters.
const TITLE: usize = 120;
const BODY: usize = 400;
/// Notifications of a listing where no limit is named.
const LISTED: u32 = 100;

/// How people are told, as `orchestratord.yaml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roads {
    /// Whether the desktop is told.
    pub desktop: bool,
    /// How attached terminals are told; `None`: not at all.
    pub terminal: Option<NoticeForm>,
    /// A command of the operator's; it gets the notification as JSON on standard input.
    pub command: Vec<String>,
    /// What is told.
    pub topics: BTreeSet<Topic>,
}

impl Default for Roads {
    fn default() -> Self {
        Self {
            desktop: true,
            terminal: Some(NoticeForm::default()),
            command: Vec::new(),
            topics: Topic::ALL.into_iter().collect(),
        }
    }
}

/// Tells people. Clones do it together.
#[derive(Clone)]
pub struct Notifier(Arc<Inner>);

struct Inner {
    store: Store,
    sessions: Sessions,
    environment: Environment,
    roads: Mutex<Roads>,
    told: Mutex<Told>,
    tasks: TaskTracker,
    draining: CancellationToken,
}

/// What a notification is about, in names that a person knows.
struct About {
    session: Option<Session>,
    name: String,
    /// What is remembered as told.
    key: String,
}

impl Notifier {
    /// Tells of what is in `store`, with the operator's `environment`.
    #[must_use]
    pub fn new(
        store: Store,
        sessions: Sessions,
        environment: Environment,
        roads: Roads,
        tasks: TaskTracker,
        draining: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            sessions,
            environment,
            roads: Mutex::new(roads),
            told: Mutex::default(),
            tasks,
            draining,
        }))
    }

    /// Takes other settings over.
    pub fn set_roads(&self, roads: Roads) {
        *self.0.roads.lock().unwrap_or_else(PoisonError::into_inner) = roads;
    }

    fn roads(&self) -> Roads {
        self.0.roads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows the journal, as a task of the daemon, until that begins to end.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let mut head = self.0.store.head();
        let newest = *head.borrow_and_update();
        // Of what was before the first start nobody is told.
        let mut seen = match self.0.store.read(|reader| cursors::get(reader, CURSOR)).await? {
            Some(seen) => seen,
            None => self.0.store.write(move |tx| cursors::set(tx, CURSOR, newest)).await?,
        };
        let notifier = self.clone();
        self.0.tasks.spawn(async move {
            loop {
                match notifier.read_on(seen).await {
                    Ok(now) if now > seen => {
                        seen = now;
                        continue;
                    }
                    Ok(_) => {}
                    Err(StoreError::Closed) => return,
                    Err(error) => {
                        tracing::error!(%error, "The journal cannot be read for notifications.");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
                tokio::select! {
                    () = notifier.0.draining.cancelled() => return,
                    changed = head.changed() => if changed.is_err() { return },
                }
            }
        });
        Ok(())
    }

    /// Deals with a page of events; gives the last that was dealt with.
    async fn read_on(&self, seen: u64) -> Result<u64, StoreError> {
        let kinds = [
            kind::APPROVAL_REQUESTED,
            kind::SESSION_ACTIVITY,
            kind::SESSION_ENDED,
            kind::SESSION_LOST,
            kind::RUN_ENDED,
            kind::BUDGET_ALERT,
            kind::BUDGET_REACHED,
            kind::SESSION_PARKED,
        ]
        .map(str::to_owned);
        let newest = *self.0.store.head().borrow();
        let page = self.0.store.read(move |reader| events::after(reader, seen, &kinds, None, PAGE)).await?;
        let full = page.len() >= PAGE as usize;
        let last = page.last().map_or(seen, |event| event.seq);
        let mut was_told = false;
        for event in page {
            let data: Value = serde_json::from_str(event.data.get()).unwrap_or_default();
            if let Some(news) = news(&event.kind, &data) {
                self.consider(&event, &data, news).await?;
                was_told = true;
            }
        }
        let now = if full { last } else { newest.max(last) };
        // Events that tell nobody anything are passed over again after a restart, at no cost.
        if was_told {
            self.0.store.write(move |tx| cursors::set(tx, CURSOR, now)).await?;
        }
        Ok(now)
    }

    async fn consider(&self, event: &Event, data: &Value, news: News) -> Result<(), StoreError> {
        let about = self.about(&event.subject, data).await?;
        // Sessions of a pipeline's stages are the run's business, which tells for itself.
        if about.session.as_ref().is_some_and(|session| session.owner.is_some()) {
            return Ok(());
        }
        // The end of a process tells for itself.
        let has_ended = about.session.as_ref().is_some_and(|session| session.state.is_final());
        if has_ended && event.kind == kind::SESSION_ACTIVITY {
            return Ok(());
        }
        if self.is_in_the_inbox(event, data, about.session.as_ref()).await?
            || self.is_told_as_parked(event, data, about.session.as_ref()).await?
        {
            return Ok(());
        }
        let roads = self.roads();
        let moment = Moment {
            now_ms: clock::now_ms(),
            at_ms: event.at_ms,
            is_looked_at: self.is_looked_at(about.session.as_ref()).await,
            still_holds: self.still_holds(event, data, about.session.as_ref()).await?,
            is_wanted: roads.topics.contains(&news.topic),
        };
        let held_back = self
            .0
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .held_back(&about.key, news.topic, moment)
            .map(str::to_owned);
        if held_back.is_some() && !moment.is_wanted {
            return Ok(());
        }
        let notification = Notification {
            notification: NotificationId::generate(),
            at_ms: moment.now_ms,
            topic: news.topic,
            session: about.session.as_ref().map(|session| session.session),
            title: shortened(&about.name, TITLE),
            body: shortened(&news.what, BODY),
            attempts: Vec::new(),
            held_back,
        };
        self.tell(notification, &roads).await.map(drop)
    }

    /// Tells by every road that is on, and records what became of it.
    async fn tell(&self, mut notification: Notification, roads: &Roads) -> Result<Notification, StoreError> {
        if notification.held_back.is_none() {
            let desktop = async {
                if roads.desktop { Some(desktop::tell(&notification, &self.0.environment).await) } else { None }
            };
            let terminals = async {
                match roads.terminal {
                    Some(form) => Some(terminal::tell(&notification, form, &self.0.sessions).await),
                    None => None,
                }
            };
            let command = async {
                match roads.command.is_empty() {
                    true => None,
                    false => Some(command::tell(&notification, &roads.command, &self.0.environment).await),
                }
            };
            let (desktop, terminals, command) = tokio::join!(desktop, terminals, command);
            let told = [(Road::Desktop, desktop), (Road::Terminal, terminals), (Road::Command, command)];
            notification.attempts =
                told.into_iter().filter_map(|(road, status)| Some(Attempt { road, status: status? })).collect();
        }
        let kept = notification.clone();
        self.0
            .store
            .write(move |tx| {
                table::add(tx, &kept)?;
                let data = serde_json::json!({
                    "session": kept.session, "topic": kept.topic, "attempts": kept.attempts, "held_back": kept.held_back,
                });
                events::append(tx, kind::NOTIFICATION_SENT, &kept.notification.to_string(), &data).map(drop)
            })
            .await?;
        Ok(notification)
    }

    async fn about(&self, subject: &str, data: &Value) -> Result<About, StoreError> {
        let named = data.get("session").and_then(Value::as_str).unwrap_or(subject);
        let session = match named.parse::<SessionId>() {
            Ok(session) => self.0.sessions.find(session).await?.map(|row| row.session),
            Err(_) => None,
        };
        let name = session.as_ref().map_or_else(|| subject.to_owned(), name_of);
        let key = session.as_ref().map_or_else(|| subject.to_owned(), |session| session.session.to_string());
        Ok(About { session, name, key })
    }

    async fn is_looked_at(&self, session: Option<&Session>) -> bool {
        let Some(session) = session.filter(|session| !session.state.is_final()) else { return false };
        self.0.sessions.is_looked_at(session.session).await
    }

    /// Whether an event says that an agent waits for what is in the inbox: that tells for itself, with what exactly is asked.
    async fn is_in_the_inbox(
        &self,
        event: &Event,
        data: &Value,
        session: Option<&Session>,
    ) -> Result<bool, StoreError> {
        let is_blocked = data.get("state").and_then(Value::as_str) == Some(AgentState::Blocked.as_str());
        let (kind::SESSION_ACTIVITY, true, Some(session)) = (event.kind.as_str(), is_blocked, session) else {
            return Ok(false);
        };
        let session = session.session;
        let asked = self.0.store.read(move |reader| approvals::list(reader, false, Some(session), 1)).await?;
        Ok(!asked.is_empty())
    }

    /// Whether an event says that an agent is refused by its provider whose session is parked: that tells for itself.
    async fn is_told_as_parked(
        &self,
        event: &Event,
        data: &Value,
        session: Option<&Session>,
    ) -> Result<bool, StoreError> {
        let is_limited = data.get("state").and_then(Value::as_str) == Some(AgentState::RateLimited.as_str());
        let (kind::SESSION_ACTIVITY, true, Some(session)) = (event.kind.as_str(), is_limited, session) else {
            return Ok(false);
        };
        let session = session.session.to_string();
        self.0.store.read(move |reader| parkings::is_there(reader, &session)).await
    }

    /// Whether what an event says is still so.
    async fn still_holds(&self, event: &Event, data: &Value, session: Option<&Session>) -> Result<bool, StoreError> {
        match event.kind.as_str() {
            kind::APPROVAL_REQUESTED => {
                let Ok(approval) = event.subject.parse() else { return Ok(false) };
                match self.0.store.read(move |reader| approvals::get(reader, approval)).await {
                    Ok(approval) => Ok(approval.state == ApprovalState::Pending),
                    Err(StoreError::NotFound(_)) => Ok(false),
                    Err(error) => Err(error),
                }
            }
            kind::SESSION_PARKED => {
                let session = event.subject.clone();
                self.0.store.read(move |reader| parkings::is_there(reader, &session)).await
            }
            kind::SESSION_ACTIVITY => {
                let said: Option<AgentState> =
                    data.get("state").and_then(|state| serde_json::from_value(state.clone()).ok());
                let Some(session) = session else { return Ok(false) };
                Ok(said == Some(session.activity.state))
            }
            _ => Ok(true),
        }
    }

    /// The newest notifications.
    ///
    /// # Errors
    /// `InvalidParams`; as the store cannot be read.
    pub async fn list(&self, params: ListParams) -> Result<Notifications, RpcError> {
        let limit = params.limit.unwrap_or(LISTED);
        if limit == 0 || limit > table::KEPT {
            let why = format!("`notification.list`: `limit` is {limit}, it must be 1 to {}", table::KEPT);
            return Err(RpcError::new(ErrorKind::InvalidParams, why));
        }
        Ok(Notifications { notifications: self.0.store.read(move |reader| table::newest(reader, limit)).await? })
    }

    /// Tells by every road that is on that this is a trial.
    ///
    /// # Errors
    /// As the record cannot be written.
    pub async fn try_out(&self) -> Result<Notification, RpcError> {
        let notification = Notification {
            notification: NotificationId::generate(),
            at_ms: clock::now_ms(),
            topic: Topic::Test,
            session: None,
            title: "orx".to_owned(),
            body: "this is how you are told that an agent needs you".to_owned(),
            attempts: Vec::new(),
            held_back: None,
        };
        Ok(self.tell(notification, &self.roads()).await?)
    }
}

/// A session as a person knows it.
fn name_of(session: &Session) -> String {
    let place = Path::new(&session.cwd).file_name().map(|name| name.to_string_lossy().into_owned());
    match (&session.title, place) {
        (Some(title), _) => format!("{}: {title}", session.engine),
        (None, Some(place)) => format!("{} in {place}", session.engine),
        (None, None) => format!("{} {}", session.engine, session.session),
    }
}

/// A text on one line, with at most so many characters: what agents say is data, also on a desktop.
fn shortened(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
