//! What the daemon is made of, shared by its doors and services.

use orx_engines::Context;
use orx_gateway::Gateway;
use orx_protocol::api::worker::RegisterParams;
use orx_protocol::event::kind;
use orx_protocol::places::Places;
use orx_protocol::{ErrorKind, RpcError, WorkerId};
use orx_sandbox::environment::Environment;
use orx_store::Store;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::peer::Peer;
use crate::approvals::Approvals;
use crate::channels::{self, Channels};
use crate::config::{Limits, Settings};
use crate::hooks::Witnesses;
use crate::hooks::hold::Holds;
use crate::journal::Journal;
use crate::listen::connections::Connections;
use crate::notify::Notifier;
use crate::runs::Runs;
use crate::sessions::Sessions;
use crate::sessions::activity::Activities;
use crate::sessions::confine::Basis;
use crate::sessions::delivery::Deliveries;
use crate::workers::Dispatcher;
use crate::workers::supervisor::Supervisor;

/// Version of the daemon.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Refusals of peers are noted at most this often, so that a peer cannot fill the journal.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// The daemon.
pub struct Daemon {
    settings: RwLock<Arc<Settings>>,
    environment: Environment,
    /// Durable state.
    pub store: Store,
    /// Notes about the daemon itself.
    pub journal: Journal,
    /// Requests to workers.
    pub dispatcher: Arc<Dispatcher>,
    supervisor: OnceLock<Arc<Supervisor>>,
    /// Sessions.
    pub sessions: Sessions,
    /// What the agents in sessions do.
    pub activities: Activities,
    /// Telling people.
    pub notifier: Notifier,
    /// Texts on their way into sessions.
    pub deliveries: Deliveries,
    /// Runs of pipelines.
    pub runs: Runs,
    /// What agents ask, and who may decide.
    pub approvals: Approvals,
    /// The engines' structured channels.
    pub channels: Channels,
    /// Who is told what hooks say.
    pub hooks: Witnesses,
    /// What hooks keep their engines waiting for.
    pub holds: Holds,
    gateway: Gateway,
    /// Permits for open connections, over all doors.
    pub connections: Connections,
    /// Every task of the daemon.
    pub tasks: TaskTracker,
    /// Cancelled when the daemon begins to end.
    pub draining: CancellationToken,
    http: OnceLock<SocketAddr>,
    started: Instant,
    refusals: Refusals,
    supervised_roles: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Refusals {
    count: AtomicU64,
    last: Mutex<Option<Instant>>,
    noting: AtomicBool,
}

/// Parts that are made before the daemon is.
pub struct Parts {
    /// Settings.
    pub settings: Settings,
    /// The environment in which the daemon was started.
    pub environment: Environment,
    /// Durable state.
    pub store: Store,
    /// Sessions.
    pub sessions: Sessions,
    /// What the agents in them do.
    pub activities: Activities,
    /// Runs.
    pub runs: Runs,
    /// Calls of models.
    pub gateway: Gateway,
    /// Tasks.
    pub tasks: TaskTracker,
    /// Cancelled when the daemon begins to end.
    pub draining: CancellationToken,
}

impl Daemon {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let approvals =
            Approvals::new(parts.store.clone(), parts.sessions.clone(), parts.settings.approvals, parts.tasks.clone());
        let deliveries =
            Deliveries::new(parts.store.clone(), parts.sessions.clone(), parts.tasks.clone(), parts.draining.clone());
        let notifier = Notifier::new(
            parts.store.clone(),
            parts.sessions.clone(),
            parts.environment.clone(),
            parts.settings.notifications.clone(),
            parts.tasks.clone(),
            parts.draining.clone(),
        );
        let channels = Channels::new(channels::Parts {
            sessions: parts.sessions.clone(),
            activities: parts.activities.clone(),
            approvals: approvals.clone(),
            deliveries: deliveries.clone(),
            tasks: parts.tasks.clone(),
            draining: parts.draining.clone(),
        });
        Arc::new(Self {
            approvals,
            activities: parts.activities,
            hooks: Witnesses::default(),
            holds: Holds::default(),
            journal: Journal::new(parts.store.clone()),
            dispatcher: Arc::new(Dispatcher::default()),
            supervisor: OnceLock::new(),
            connections: Connections::new(parts.settings.limits.connections),
            draining: parts.draining,
            http: OnceLock::new(),
            started: Instant::now(),
            refusals: Refusals::default(),
            supervised_roles: Mutex::new(Vec::new()),
            settings: RwLock::new(Arc::new(parts.settings)),
            environment: parts.environment,
            notifier,
            deliveries,
            channels,
            gateway: parts.gateway,
            store: parts.store,
            sessions: parts.sessions,
            runs: parts.runs,
            tasks: parts.tasks,
        })
    }

    /// The settings of this moment.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts new settings in force. Places and listeners keep what they had: they need a restart.
    pub fn reload(&self, settings: Settings) {
        let old = self.settings();
        let settings = settings.led_through(self.http_address());
        if old.places != settings.places
            || old.http != settings.http
            || old.limits.connections != settings.limits.connections
            || old.concurrent_runs != settings.concurrent_runs
        {
            tracing::warn!(
                "Changed places, addresses, and limits of connections or runs come into force at the next start."
            );
        }
        self.keep_workers(&settings);
        self.runs.reload(engines(&self.environment, &settings));
        self.sessions.set_places(settings.concurrent_sessions);
        self.sessions.set_channels(settings.channels.clone());
        self.approvals.set_policy(settings.approvals);
        self.notifier.set_roads(settings.notifications.clone());
        self.sessions.set_confinement(confinement(&self.environment, &settings, &old.places));
        let gateway = self.gateway.clone();
        let config = Arc::clone(&settings.gateway);
        self.tasks.spawn(async move {
            if let Err(error) = gateway.reload(config).await {
                tracing::error!(%error, "The gateway keeps its former settings.");
            }
        });
        let settings = Settings { places: old.places.clone(), http: old.http.clone(), ..settings };
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Calls of models.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Limits of the wire.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.settings().limits
    }

    /// What the engines need to know of the operator.
    #[must_use]
    pub fn engines(&self) -> Context {
        engines(&self.environment, &self.settings())
    }

    /// Gives the supervisor its place and its work.
    pub fn supervise(&self, supervisor: Arc<Supervisor>) {
        // It is set once, at the start.
        let _ = self.supervisor.set(supervisor);
        self.keep_workers(&self.settings());
    }

    fn keep_workers(&self, settings: &Settings) {
        let roles: Vec<String> =
            settings.workers.iter().filter(|(_, count)| **count > 0).map(|(role, _)| role.clone()).collect();
        for role in &roles {
            self.dispatcher.expect(role);
        }
        *self.supervised_roles.lock().unwrap_or_else(PoisonError::into_inner) = roles;
        if let Some(supervisor) = self.supervisor() {
            supervisor.keep(&settings.workers);
        }
    }

    /// The keeper of worker processes, once there is one.
    #[must_use]
    pub fn supervisor(&self) -> Option<&Arc<Supervisor>> {
        self.supervisor.get()
    }

    /// Workers that take requests, and whether every supervised role has one.
    #[must_use]
    pub fn workers_health(&self) -> (u32, bool) {
        let roles = self.supervised_roles.lock().unwrap_or_else(PoisonError::into_inner);
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        self.dispatcher.health(&roles)
    }

    /// Whether the store takes writes, as far as is known.
    #[must_use]
    pub fn is_storing(&self) -> bool {
        self.store.takes_writes()
    }

    /// Whether the daemon is ending.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Refuses new work while the daemon ends.
    ///
    /// # Errors
    /// `Draining`.
    pub fn refuse_when_draining(&self) -> Result<(), RpcError> {
        if self.is_draining() {
            return Err(RpcError::new(ErrorKind::Draining, "the daemon is ending and takes no new work")
                .with_hint("try again once it is back"));
        }
        Ok(())
    }

    /// Milliseconds since the daemon started.
    #[must_use]
    pub fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Where HTTP is served.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.get().copied()
    }

    /// Says where HTTP is served.
    pub fn set_http_address(&self, address: SocketAddr) {
        // It is set once, at the start.
        let _ = self.http.set(address);
    }

    /// The doors that are open.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        let mut interfaces = vec!["unix-sockets".to_owned()];
        if self.http_address().is_some() {
            interfaces.extend(["http".to_owned(), "websocket".to_owned()]);
        }
        interfaces
    }

    /// Notes that a worker registered.
    pub fn worker_registered(&self, worker: WorkerId, params: &RegisterParams, pid: Option<u32>) {
        tracing::info!(%worker, role = params.role, pid, "A worker registered.");
        let data = serde_json::json!({"role": params.role, "pid": pid, "capacity": params.capacity, "version": params.version});
        self.note(kind::WORKER_REGISTERED, worker.to_string(), data);
    }

    /// Notes that a worker's connection ended.
    pub fn worker_lost(&self, worker: WorkerId, role: String) {
        tracing::info!(%worker, role, "A worker's connection ended.");
        self.note(kind::WORKER_LOST, worker.to_string(), serde_json::json!({"role": role}));
    }

    /// Notes that a peer was refused before its bytes were read.
    pub fn refused_peer(self: &Arc<Self>, peer: Option<Peer>) {
        self.refusals.count.fetch_add(1, Ordering::Relaxed);
        let mut last = self.refusals.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < REFUSAL_PAUSE) || self.refusals.noting.swap(true, Ordering::AcqRel)
        {
            return;
        }
        *last = Some(Instant::now());
        drop(last);
        let refused = self.refusals.count.swap(0, Ordering::Relaxed);
        let (uid, pid) = (peer.map(|peer| peer.uid), peer.and_then(|peer| peer.pid));
        tracing::warn!(uid, pid, refused, "A peer of another user was refused on the Unix socket.");
        let daemon = Arc::clone(self);
        self.tasks.spawn(async move {
            let data = serde_json::json!({"uid": uid, "pid": pid, "refused": refused});
            daemon.journal.note(kind::ACCESS_REFUSED, "unix-socket".to_owned(), data).await;
            daemon.refusals.noting.store(false, Ordering::Release);
        });
    }

    fn note(&self, kind: &'static str, subject: String, data: serde_json::Value) {
        let journal = self.journal.clone();
        self.tasks.spawn(async move { journal.note(kind, subject, data).await });
    }
}

/// What the engines need to know of the operator.
#[must_use]
pub fn engines(environment: &Environment, settings: &Settings) -> Context {
    Context {
        environment: environment.clone(),
        endpoint: settings.endpoint.clone(),
        private_homes: settings.places.engines(),
        binaries: settings.binaries.clone(),
        ..Context::default()
    }
}

/// What the confinement of sessions is decided from.
#[must_use]
pub fn confinement(environment: &Environment, settings: &Settings, places: &Places) -> Basis {
    Basis { settings: settings.confinements.clone(), places: places.clone(), engines: engines(environment, settings) }
}
