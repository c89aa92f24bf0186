//! What the agents in sessions do: every part of the daemon that hears something of a session tells it here, each
//! terminal is watched through its holder, and what follows is recorded with its event. How it is concluded is
//! `orx-session`'s.

mod detect;
mod follow;
mod record;
mod tail;
mod transcript;
mod version;

use orx_engines::{Context, EngineKind};
use orx_protocol::activity::{Activity, AgentState, Observation, Source};
use orx_protocol::api::explain::{Explanation, ListedRule, RulesListed, RulesParams};
use orx_protocol::api::session::Session;
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use orx_session::activity::{Fusion, Observer};
use orx_session::screen::Rules;
use orx_store::sessions as table;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Sessions;
use crate::hooks::Witness;
use crate::screens;

/// Changes of records that follow each other faster than this are looked at together.
const TOGETHER: Duration = Duration::from_millis(20);
/// Pause before the sessions are listed again that could not be.
const LIST_AGAIN: Duration = Duration::from_secs(1);

/// What all agents do. Clones serve the same ones.
#[derive(Clone)]
pub struct Activities(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    tasks: TaskTracker,
    draining: CancellationToken,
    /// The `pty-proxy` program, which replays recordings.
    program: PathBuf,
    live: Mutex<HashMap<SessionId, Live>>,
    /// Grows whenever an activity changed.
    changed: watch::Sender<u64>,
    /// What engines need to know of the operator, as it is now.
    engines: OnceLock<Engines>,
    /// What is known of a session beside what is told of it: how it is parked.
    standing: OnceLock<Standing>,
}

/// Gives what is to be said of a session from its beginning.
type Standing = Box<dyn Fn(SessionId) -> Option<Observation> + Send + Sync>;

/// Gives what engines need to know of the operator: where they keep their files.
type Engines = Box<dyn Fn() -> Context + Send + Sync>;

/// A session that has not ended.
struct Live {
    observer: Observer,
    /// Which process of the session is observed.
    generation: u32,
    /// Whether its terminal is being looked at.
    watched: bool,
    version: Option<semver::Version>,
    /// Somebody told something.
    told: Arc<Notify>,
    /// Its engine did something, and may have written it down.
    drawn: Arc<Notify>,
}

impl Activities {
    /// The activities of these sessions. Nothing is looked at before [`Self::begin`].
    #[must_use]
    pub fn new(sessions: Sessions, program: PathBuf, tasks: TaskTracker, draining: CancellationToken) -> Self {
        let (live, changed) = (Mutex::default(), watch::Sender::new(0));
        let (engines, standing) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(Inner { sessions, tasks, draining, program, live, changed, engines, standing }))
    }

    /// Says what is known of sessions beside what is told of them.
    pub fn set_standing(&self, standing: impl Fn(SessionId) -> Option<Observation> + Send + Sync + 'static) {
        // It is set once, at the start.
        let _ = self.0.standing.set(Box::new(standing));
    }

    /// Lets a new observer of a session hear what was said before there was one.
    fn tell_standing(&self, session: SessionId) {
        if let Some(said) = self.0.standing.get().and_then(|standing| standing(session)) {
            self.observe(session, said);
        }
    }

    /// Takes up what the records say of sessions that run, and follows every session from now on, as a task of the
    /// daemon. `engines` says where engines keep their files.
    pub fn begin(&self, engines: impl Fn() -> Context + Send + Sync + 'static) {
        // It begins once, at the start.
        let _ = self.0.engines.set(Box::new(engines));
        let activities = self.clone();
        self.0.tasks.spawn(async move {
            let draining = activities.0.draining.clone();
            tokio::select! {
                () = draining.cancelled() => {}
                () = activities.follow_all() => {}
            }
        });
    }

    /// Follows each session that is not followed yet, whenever a record changed.
    async fn follow_all(&self) {
        let mut changes = self.0.sessions.changes();
        let mut followed: HashSet<SessionId> = HashSet::new();
        let mut first = true;
        loop {
            changes.mark_unchanged();
            match self.0.sessions.store().read(table::unfinished).await {
                Ok(rows) => {
                    followed.retain(|session| self.live().contains_key(session));
                    for session in rows.into_iter().map(|row| row.session) {
                        if followed.insert(session.session) {
                            self.follow(session, first);
                        }
                    }
                    first = false;
                }
                Err(error) => {
                    tracing::warn!(%error, "Sessions cannot be listed; it is tried again.");
                    tokio::time::sleep(LIST_AGAIN).await;
                    continue;
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
            tokio::time::sleep(TOGETHER).await;
        }
    }

    fn engines(&self) -> Context {
        self.0.engines.get().map(|engines| engines()).unwrap_or_default()
    }

    fn live(&self) -> MutexGuard<'_, HashMap<SessionId, Live>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self, engine: &str) -> Arc<Rules> {
        screens::rules(engine).unwrap_or_else(|| Arc::new(Rules::none(engine)))
    }

    /// Begins to observe a session, and follows it as a task. With `restored` its record is from another daemon.
    fn follow(&self, session: Session, restored: bool) {
        let now = clock::now_ms();
        let rules = self.rules(&session.engine);
        let fusion = if restored && session.activity.since_ms > 0 {
            Fusion::restored(session.activity.clone(), now)
        } else if rules.rules.is_empty() {
            // Of a program that nothing is known of it is not known when it has started.
            Fusion::restored(Activity::default(), now)
        } else {
            Fusion::starting(now)
        };
        let version = version::of(&session);
        let live = Live {
            observer: Observer::new(rules, version.clone(), fusion),
            generation: session.generation,
            watched: false,
            version,
            told: Arc::new(Notify::new()),
            drawn: Arc::new(Notify::new()),
        };
        let (told, drawn) = (Arc::clone(&live.told), Arc::clone(&live.drawn));
        let (id, reads) = (session.session, self.clone());
        self.live().insert(session.session, live);
        self.tell_standing(id);
        self.announce();
        let activities = self.clone();
        self.0.tasks.spawn(async move { follow::follow(&activities, session, told).await });
        self.0.tasks.spawn(async move { transcript::follow(reads, id, drawn).await });
    }

    fn announce(&self) {
        self.0.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Lets the observer of a session hear something; a session that has ended, or is not known, hears nothing.
    fn tell(&self, session: SessionId, tell: impl FnOnce(&mut Observer)) {
        if let Some(live) = self.live().get_mut(&session) {
            tell(&mut live.observer);
            live.told.notify_one();
        }
    }

    /// Some source says something of a session.
    pub fn observe(&self, session: SessionId, said: Observation) {
        self.tell(session, |observer| observer.observe(said));
    }

    /// A source of a session says nothing any more: its channel was closed.
    pub fn closed(&self, session: SessionId, source: Source) {
        self.tell(session, |observer| observer.closed(source, clock::now_ms()));
    }

    /// What a session does, as it was concluded last; `None` for one that has ended or is not known.
    #[must_use]
    pub fn of(&self, session: SessionId) -> Option<Activity> {
        self.live().get(&session).map(|live| live.observer.activity().clone())
    }

    /// Waits until a session does one of these things, or can do nothing more; at most `limit`. Gives what it does then.
    ///
    /// # Errors
    /// `NotFound`; as the store cannot be read.
    pub async fn wait_for(
        &self,
        session: SessionId,
        states: &[AgentState],
        limit: Duration,
    ) -> Result<Activity, RpcError> {
        let deadline = tokio::time::Instant::now() + limit;
        let mut changed = self.0.changed.subscribe();
        let mut records = self.0.sessions.changes();
        loop {
            let row = self.0.sessions.row(session).await?.session;
            let activity = self.of(session).filter(|_| !row.state.is_final()).unwrap_or(row.activity);
            if states.contains(&activity.state) || row.state.is_final() {
                return Ok(activity);
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(activity),
                _ = changed.changed() => {}
                _ = records.changed() => {}
            }
        }
    }

    /// By what a session's activity is concluded.
    ///
    /// # Errors
    /// `NotFound`; as the store cannot be read.
    pub async fn explain(&self, session: SessionId) -> Result<Explanation, RpcError> {
        let row = self.0.sessions.row(session).await?.session;
        let now = clock::now_ms();
        let live = self.live();
        let Some(live) = live.get(&session) else {
            return Ok(Explanation {
                session,
                engine: row.engine,
                version: None,
                activity: row.activity,
                votes: Vec::new(),
                watched: false,
                title: String::new(),
                quiet_ms: None,
                reading: None,
                processes: None,
            });
        };
        let observer = &live.observer;
        let (quiet_ms, reader, processes) = observer.terminal();
        Ok(Explanation {
            session,
            engine: row.engine,
            version: live.version.as_ref().map(ToString::to_string),
            activity: observer.activity().clone(),
            votes: observer.votes(now),
            watched: live.watched,
            title: observer.title().to_owned(),
            quiet_ms,
            reading: reader.map(|reader| reader != orx_protocol::watch::Reader::Nobody),
            processes,
        })
    }

    /// The rules over screens, of all engines or of one.
    ///
    /// # Errors
    /// `InvalidParams` when there is no such engine.
    pub fn listed(&self, params: &RulesParams) -> Result<RulesListed, RpcError> {
        let wanted = params.engine.as_deref().map(engine).transpose()?;
        let rules = EngineKind::ALL
            .into_iter()
            .filter(|kind| wanted.is_none_or(|wanted| wanted == *kind))
            .filter_map(|kind| screens::rules(kind.name()))
            .flat_map(|rules| {
                let listed = rules.rules.iter().map(|rule| ListedRule {
                    engine: rules.engine.clone(),
                    name: rule.name.clone(),
                    state: rule.state,
                    source: rule.source(),
                    reason: rule.reason.clone(),
                    confidence: rule.confidence,
                    priority: rule.priority,
                    versions: rule.versions.as_ref().map(ToString::to_string),
                    tested: rules.tested.iter().map(ToString::to_string).collect(),
                });
                listed.collect::<Vec<_>>()
            })
            .collect();
        Ok(RulesListed { rules })
    }
}

/// An engine by its name.
fn engine(name: &str) -> Result<EngineKind, RpcError> {
    name.parse().map_err(|error: orx_engines::EngineError| RpcError::new(ErrorKind::InvalidParams, error.to_string()))
}

/// Hooks are heard as they come.
impl Witness for Activities {
    fn heard(&self, session: SessionId, payload: &Value, _heard: &orx_engines::hooks::Heard) {
        self.tell(session, |observer| observer.hook(payload, clock::now_ms()));
        if let Some(live) = self.live().get(&session) {
            live.drawn.notify_one();
        }
    }
}

/// What a session does whose process ended so.
pub(super) fn of_end(ended: &orx_protocol::hold::Ended) -> Activity {
    let said = orx_session::activity::ended(ended.reason, ended.exit, ended.ended_at_ms);
    Activity {
        state: said.state,
        reason: said.reason,
        confidence: said.confidence,
        since_ms: said.at_ms,
        until_ms: None,
    }
}
