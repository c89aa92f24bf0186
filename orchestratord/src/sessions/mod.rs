//! Sessions: recorded before they are started, held by a `pty-proxy` each, watched to their end, found again after a
//! restart. The daemon keeps the record; terminals and processes are the holders' business.

pub mod activity;
pub mod again;
pub mod attach;
mod attention;
pub mod channel;
pub mod checkpoints;
pub mod confine;
pub mod conversation;
pub mod create;
pub mod delivery;
pub mod holder;
pub mod host;
pub mod keeper;
pub mod life;
pub mod log;
pub mod look;
pub mod outside;
pub mod places;
pub mod ready;
pub mod reconcile;
mod rewinding;
mod submit;
pub mod turns;
pub mod upgrade;
pub mod wish;

use orx_protocol::api::session::{CreateParams, Session, SessionState, Until};
use orx_protocol::event::kind;
use orx_protocol::hold::{Ended, Holder, TerminalSize};
use orx_protocol::life::Life;
use orx_protocol::process::EndReason;
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use orx_session::life::at_end as life_at_end;
use orx_session::life::missing::{Settled, settle};
use orx_store::{SessionRow, Store, StoreError, events, sessions as table};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use holder::Outcome;

use crate::channels::settings::ChannelDefaults;
use crate::hooks::install::Place;

/// Most sessions that one listing gives.
const LIST_LIMIT: u32 = 10_000;
/// Pause before a record that the store did not take is written again.
const RECORD_AGAIN: Duration = Duration::from_secs(1);
/// How long a holder may take beyond a stop's grace before its answer is given up.
const STOP_SLACK: Duration = Duration::from_secs(15);

/// Pause before a stop that a holder did not answer is asked again.
const STOP_AGAIN: Duration = Duration::from_millis(100);

/// All sessions of the daemon. Clones serve the same ones.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    store: Store,
    directory: PathBuf,
    sockets: PathBuf,
    /// The `pty-proxy` program.
    program: PathBuf,
    tasks: TaskTracker,
    /// Grows whenever a session's record changed.
    changed: watch::Sender<u64>,
    /// Who may run, and who waits.
    places: places::Places,
    /// What the hooks of engines call.
    hooks: OnceLock<Place>,
    /// Whether sessions get a structured channel where their caller says nothing.
    channels: RwLock<ChannelDefaults>,
    /// How sessions are confined.
    confining: confine::Confining,
    /// Cancelled when the daemon begins to end.
    stopping: CancellationToken,
    /// Duplicates of the sessions' terminals.
    kept: keeper::Kept,
    /// One session is taken up again at a time.
    taking_up: tokio::sync::Mutex<()>,
    keys: OnceLock<SessionKeys>,
}

/// Makes the key with which a session calls models.
pub type SessionKeys = Box<dyn Fn(SessionId) -> String + Send + Sync>;

impl Sessions {
    /// The sessions recorded in `store`, kept below `directory`, with their holders' sockets below `sockets`, until
    /// `stopping` is cancelled. `stored` are terminals that an earlier daemon stored with systemd, by name.
    #[must_use]
    pub fn new(
        store: Store,
        directory: PathBuf,
        sockets: PathBuf,
        program: PathBuf,
        tasks: TaskTracker,
        stopping: CancellationToken,
        stored: Vec<(String, OwnedFd)>,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            directory,
            sockets,
            program,
            tasks,
            changed: watch::Sender::new(0),
            places: places::Places::default(),
            hooks: OnceLock::new(),
            keys: OnceLock::new(),
            channels: RwLock::default(),
            confining: confine::Confining::default(),
            stopping,
            kept: keeper::Kept::from_store(stored),
            taking_up: tokio::sync::Mutex::default(),
        }))
    }

    /// Says how the key of a session is made that is led through the gateway.
    pub fn set_keys(&self, keys: SessionKeys) {
        // It is set once, at the start.
        let _ = self.0.keys.set(keys);
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Says what the hooks of engines call; without it none are installed.
    pub fn set_hooks(&self, place: Place) {
        // It is set once, at the start.
        let _ = self.0.hooks.set(place);
    }

    pub(crate) fn hooks(&self) -> Option<&Place> {
        self.0.hooks.get()
    }

    /// Says which sessions get a structured channel where their caller says nothing, from now on; at first all do that can.
    pub fn set_channels(&self, defaults: ChannelDefaults) {
        *self.0.channels.write().unwrap_or_else(PoisonError::into_inner) = defaults;
    }

    /// A caller's wish with the operator's choice of channels in it.
    pub fn fill_channel(&self, params: &mut CreateParams) {
        self.0.channels.read().unwrap_or_else(PoisonError::into_inner).fill(params);
    }

    /// Directory of a session's files.
    #[must_use]
    pub fn directory(&self, session: SessionId) -> PathBuf {
        self.0.directory.join(session.to_string())
    }

    fn socket(&self, session: SessionId) -> PathBuf {
        self.0.sockets.join(format!("{session}.sock"))
    }

    /// A session's record.
    ///
    /// # Errors
    /// `NotFound`, or as the store cannot be read.
    pub async fn row(&self, session: SessionId) -> Result<SessionRow, RpcError> {
        self.find(session).await?.ok_or_else(|| {
            RpcError::new(ErrorKind::NotFound, format!("there is no session {session}"))
                .with_hint("`session.list {\"all\":true}` names those there are")
        })
    }

    pub(crate) async fn find(&self, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
        self.store().read(move |reader| table::get(reader, session)).await
    }

    /// The record of a session whose process runs.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when the process does not run.
    pub async fn running(&self, session: SessionId) -> Result<SessionRow, RpcError> {
        let row = self.row(session).await?;
        if row.session.state == SessionState::Running {
            return Ok(row);
        }
        let how = row.session.exit.map_or_else(String::new, |exit| format!(" ({exit})"));
        Err(RpcError::new(
            ErrorKind::FailedPrecondition,
            format!("session {session} is {}{how}", row.session.state.as_str()),
        )
        .with_hint("`session.log` and `session.screen` show what it left"))
    }

    /// Sessions, oldest first.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn list(&self, all: bool) -> Result<Vec<Session>, RpcError> {
        let rows = self.store().read(move |reader| table::list(reader, all, LIST_LIMIT)).await?;
        let sessions = self.clone();
        let shown = tokio::task::spawn_blocking(move || rows.into_iter().map(|row| sessions.shown(row)).collect());
        shown.await.map_err(|error| RpcError::new(ErrorKind::Internal, format!("listing sessions failed: {error}")))
    }

    /// One session.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, session: SessionId) -> Result<Session, RpcError> {
        Ok(self.shown(self.row(session).await?))
    }

    /// Sessions whose process is not known to have ended.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn unfinished(&self) -> Result<usize, RpcError> {
        Ok(self.store().read(table::unfinished).await?.len())
    }

    /// Sessions that run and lack something of what they were made with.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn degraded(&self) -> Result<usize, RpcError> {
        let rows = self.store().read(table::unfinished).await?;
        Ok(rows.iter().filter(|row| row.session.life == Life::Degraded).count())
    }

    /// Waits for a state, at most `limit`; gives the state at the end.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn wait(&self, session: SessionId, until: Until, limit: Duration) -> Result<SessionState, RpcError> {
        let mut changed = self.0.changed.subscribe();
        let waiting = async {
            loop {
                let state = self.row(session).await?.session.state;
                if state.is_final() || (until == Until::Running && state == SessionState::Running) {
                    return Ok(state);
                }
                if changed.changed().await.is_err() {
                    return Ok(state);
                }
            }
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(outcome) => outcome,
            Err(_) => Ok(self.row(session).await?.session.state),
        }
    }

    /// Ends a session's process tree and gives the record after that; one that has ended already is left as it is.
    ///
    /// # Errors
    /// `NotFound`; `Internal` when the holder does not do it.
    pub async fn stop(&self, session: SessionId, grace: Duration) -> Result<Session, RpcError> {
        let row = self.row(session).await?;
        if row.session.state.is_final() {
            return Ok(row.session);
        }
        if row.session.life == Life::Queued {
            self.leave_queue(session).await?;
            return Ok(self.row(session).await?.session);
        }
        self.wait(session, Until::Running, Duration::from_secs(10)).await?;
        let give_up = Instant::now() + grace + STOP_SLACK;
        // The watcher sees the end too; whoever is first records it, and an end is recorded once.
        loop {
            match holder::stop(Path::new(&row.socket), grace, grace + STOP_SLACK).await {
                Ok(ended) => break self.record_end(session, ended).await?,
                // A holder that is just being replaced closes the connection; the next one is asked again.
                Err(error) => tracing::warn!(%session, %error, "A holder did not answer a stop."),
            }
            if Instant::now() >= give_up || self.row(session).await?.session.state.is_final() {
                break;
            }
            tokio::time::sleep(STOP_AGAIN).await;
        }
        let state = self.wait(session, Until::Ended, STOP_SLACK).await?;
        if !state.is_final() {
            return Err(RpcError::new(ErrorKind::Internal, format!("session {session} did not end in time")));
        }
        Ok(self.row(session).await?.session)
    }

    /// Changes a session's record and appends the event in one step, if `change` finds something to change. What follows
    /// for its place in its life from what it lacks by then is part of the step.
    async fn update(
        &self,
        session: SessionId,
        change: impl FnOnce(&mut SessionRow) -> Option<(&'static str, serde_json::Value)> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.try_update(session, |row| Ok(change(row))).await
    }

    /// As [`Self::update`], for a change that may be refused.
    async fn try_update(
        &self,
        session: SessionId,
        change: impl FnOnce(&mut SessionRow) -> Result<Option<(&'static str, serde_json::Value)>, StoreError>
        + Send
        + 'static,
    ) -> Result<(), StoreError> {
        self.store()
            .write(move |tx| {
                let Some(mut row) = table::get(tx, session)? else {
                    return Err(StoreError::NotFound(format!("there is no session {session}")));
                };
                if let Some((kind, data)) = change(&mut row)? {
                    let settled = settle(&mut row.session);
                    table::update(tx, &row)?;
                    events::append(tx, kind, &session.to_string(), &data)?;
                    if let Some(settled) = settled {
                        events::append(tx, kind::SESSION_LIFE, &session.to_string(), &of_life(&settled))?;
                    }
                }
                Ok(())
            })
            .await?;
        self.announce();
        Ok(())
    }

    /// Records the size that a terminal was given.
    ///
    /// # Errors
    /// As the store does not take it.
    pub async fn record_size(&self, session: SessionId, size: TerminalSize) -> Result<(), StoreError> {
        self.store()
            .write(move |tx| {
                if let Some(mut row) = table::get(tx, session)? {
                    (row.session.cols, row.session.rows) = (size.cols, size.rows);
                    table::update(tx, &row)?;
                }
                Ok(())
            })
            .await
    }

    /// The program that holds sessions.
    #[must_use]
    pub fn holder_program(&self) -> &Path {
        &self.0.program
    }

    /// Hears of every change of a record, some of them at once.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn announce(&self) {
        self.0.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    async fn record_started(&self, session: SessionId, holder: Holder) -> Result<(), StoreError> {
        self.update(session, move |row| {
            if row.session.state.is_final() {
                return None;
            }
            row.session.state = SessionState::Running;
            row.session.life = Life::Running;
            row.session.pid = Some(holder.child.pid);
            let data =
                serde_json::json!({"pid": holder.child.pid, "holder": holder.holder.pid, "engine": row.session.engine});
            row.holder = Some(holder);
            Some((kind::SESSION_STARTED, data))
        })
        .await
    }

    /// Records how a session's process ended; the first record stands.
    async fn record_end(&self, session: SessionId, ended: Ended) -> Result<(), StoreError> {
        self.update(session, move |row| end_row(row, ended)).await
    }

    /// Records a session's end, and keeps at it while the store does not take it: whoever waits for the session would
    /// otherwise wait for the daemon's next start.
    async fn insist_on_end(&self, session: SessionId, ended: Ended) {
        self.insist(session, || self.record_end(session, ended.clone())).await;
    }

    /// Repeats a write about a session until the store takes it, or is closed and leaves it to the next start.
    async fn insist<F>(&self, session: SessionId, write: impl Fn() -> F)
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        loop {
            match write().await {
                Ok(()) | Err(StoreError::Closed | StoreError::NotFound(_)) => return,
                Err(error) => tracing::error!(%session, %error, "A session cannot be recorded; it is tried again."),
            }
            tokio::time::sleep(RECORD_AGAIN).await;
        }
    }

    /// Watches a running session to its end, as a task of the daemon. With `unrecorded` its start is recorded first.
    fn watch(&self, session: SessionId, socket: PathBuf, process: Holder, unrecorded: bool) {
        let sessions = self.clone();
        self.0.tasks.spawn(async move {
            if unrecorded {
                sessions.insist(session, || sessions.record_started(session, process.clone())).await;
            }
            let ended = sessions.follow(session, &socket, process).await;
            if ended.reason == EndReason::Lost {
                let left = tokio::task::spawn_blocking(move || {
                    reconcile::end_left(reconcile::left_by().remove(&session.to_string()).unwrap_or_default());
                });
                // A panic there is logged by the runtime; the session's end is recorded all the same.
                let _ = left.await;
            }
            let is_lost = ended.reason == EndReason::Lost;
            sessions.insist_on_end(session, ended).await;
            if is_lost && let Err(error) = sessions.remove_groups_of_ended().await {
                tracing::warn!(%session, %error, "Control groups of sessions that are over cannot be looked for.");
            }
            sessions.0.kept.forget(session);
        });
    }

    /// Waits for the end of a session, whichever holders it has until then.
    async fn follow(&self, session: SessionId, socket: &Path, mut process: Holder) -> Ended {
        let directory = self.directory(session);
        self.keep_terminal(session, socket).await;
        loop {
            let (next, why) = match holder::until_ended(socket, &directory, &process).await {
                Outcome::Ended(ended) => return ended,
                Outcome::Replaced(next) => (next, "killed"),
                Outcome::Gone(gone) => match self.replace_holder(session, &gone).await {
                    Some(next) => (next, "killed with its keeper"),
                    None => {
                        return holder::read_ended(&directory)
                            .unwrap_or_else(|| lost("its holder is gone and left no record of the end"));
                    }
                },
            };
            tracing::warn!(%session, holder = next.holder.pid, "Another holder goes on with a session.");
            self.insist(session, || self.record_holder(session, next.clone(), why)).await;
            process = next;
        }
    }

    /// Records that another holder has a session.
    async fn record_holder(&self, session: SessionId, next: Holder, why: &'static str) -> Result<(), StoreError> {
        self.update(session, move |row| {
            let data = serde_json::json!({"holder": next.holder.pid, "pid": next.child.pid, "why": why});
            row.holder = Some(next);
            Some((kind::SESSION_HOLDER_REPLACED, data))
        })
        .await
    }
}

/// The event of a step that follows from what a session lacks.
fn of_life(settled: &Settled) -> serde_json::Value {
    serde_json::json!({"from": settled.from, "to": settled.to, "missing": settled.missing})
}

/// The change and the event of a session's end.
fn end_row(row: &mut SessionRow, ended: Ended) -> Option<(&'static str, serde_json::Value)> {
    if row.session.state.is_final() {
        return None;
    }
    row.session.state = match ended.reason {
        EndReason::Lost => SessionState::Unknown,
        EndReason::SpawnFailed => SessionState::Failed,
        EndReason::Exited | EndReason::Stopped | EndReason::Deadline => SessionState::Ended,
    };
    row.session.life = life_at_end(ended.reason, ended.exit, row.session.terms.outcome);
    row.session.pid = None;
    row.session.exit = ended.exit;
    row.session.reason = Some(ended.reason);
    row.session.message.clone_from(&ended.message);
    row.session.ended_at_ms = Some(ended.ended_at_ms);
    row.session.activity = activity::of_end(&ended);
    let event = if ended.reason == EndReason::Lost { kind::SESSION_LOST } else { kind::SESSION_ENDED };
    let data = serde_json::json!({"exit": ended.exit, "reason": ended.reason, "message": ended.message});
    Some((event, data))
}

/// The end of a session whose holder left no record of it.
fn lost(message: &str) -> Ended {
    Ended { exit: None, reason: EndReason::Lost, message: Some(message.to_owned()), ended_at_ms: clock::now_ms() }
}
