//! From settings to a daemon that serves, and from a signal to its orderly end.

use orx_gateway::{Gateway, GatewayError};
use orx_protocol::event::kind;
use orx_protocol::places::Places;
use orx_sandbox::environment::{self, Environment};
use orx_store::{Store, StoreError};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::token::{Token, TokenError};
use crate::config::{ConfigError, Flags, Http, Settings};
use crate::daemon::{Daemon, Parts, confinement, engines};
use crate::hooks::install::Place;
use crate::listen::unix::{BindError, Bound};
use crate::listen::{activation, http, lane, unix};
use crate::llm::callers::SessionCallers;
use crate::llm::parking;
use crate::runs::Runs;
use crate::sessions::Sessions;
use crate::sessions::activity::Activities;
use crate::workers::health;
use crate::workers::supervisor::{Command, Supervisor};

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The Unix socket cannot be served.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// systemd handed over something else than a Unix socket.
    #[error(transparent)]
    Activation(#[from] activation::ActivationError),
    /// The HTTP address cannot be served.
    #[error("HTTP cannot be served at {address}: {source}; set ORX_HTTP to another address, or to `off`")]
    Http {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The gateway cannot begin.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// A directory cannot be used.
    #[error("{path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program of orx is missing.
    #[error("the program {0} is missing: it belongs beside orchestratord")]
    Program(PathBuf),
    /// Something that the start needs from the system.
    #[error("{what}: {source}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl StartError {
    /// The exit code by which a starter tells the causes apart: 78 for settings, 75 when another daemon is there, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Gateway(GatewayError::Cap(_))
            | Self::Activation(_)
            | Self::Bind(BindError::TooLong { .. } | BindError::Unsafe { .. }) => 78,
            Self::Bind(BindError::InUse { .. }) | Self::Store(StoreError::Locked { .. }) => 75,
            Self::Bind(BindError::Io { .. })
            | Self::Http { .. }
            | Self::Store(_)
            | Self::Token(_)
            | Self::Gateway(_)
            | Self::Directory { .. }
            | Self::Program(_)
            | Self::System { .. } => 1,
        }
    }
}

/// How long the orderly end may take before what is left is dropped; nothing that was acknowledged is lost by that.
const DRAIN: Duration = Duration::from_secs(30);
/// The same after a second signal.
const DRAIN_FAST: Duration = Duration::from_secs(2);

/// Starts the daemon, serves until a signal ends it, and ends it.
///
/// # Errors
/// [`StartError`]; nothing was changed then that the next start would not find.
pub async fn run(flags: Flags) -> Result<(), StartError> {
    let began = Instant::now();
    let environment = environment::own();
    let lookup = |name: &str| environment.get(name).cloned();
    let settings = Settings::load(&flags, &lookup)?;
    let mut signals = Signals::listen()?;
    let (bound, stored) = open_socket(&settings.places, &lookup)?;
    let places = settings.places.clone();
    for directory in
        [&places.home, &places.sessions(), &places.holder_sockets(), &places.repositories(), &places.logs()]
    {
        orx_sandbox::file::private_directory(directory)
            .map_err(|source| StartError::Directory { path: directory.clone(), source })?;
    }
    let token = Token::load_or_make(&places.token())?;
    let listener = match &settings.http {
        Http::Off => None,
        Http::At { address, hosts } => {
            let listener =
                http::bind(*address).await.map_err(|source| StartError::Http { address: *address, source })?;
            Some((listener, hosts.clone()))
        }
    };
    let store = Store::open(&places.database())?;
    raise_descriptors();
    let address = listener.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
    let settings = settings.led_through(address);
    let daemon = assemble(settings, environment.clone(), store, stored, &token).await?;
    parking::connect(&daemon);
    let found = daemon.sessions.reconcile().await?;
    daemon.sessions.set_places(daemon.settings().concurrent_sessions);
    daemon.sessions.queue_again(&daemon.engines()).await?;
    daemon.sessions.learn_conversations(&daemon.engines()).await?;
    daemon.deliveries.take_up().await?;
    daemon.notifier.follow().await?;
    daemon.sessions.keep_places(daemon.draining.clone());
    daemon.hooks.add(Arc::new(daemon.activities.clone()));
    daemon.hooks.add(Arc::new(daemon.deliveries.clone()));
    parking::begin(&daemon);
    let of_engines = Arc::downgrade(&daemon);
    daemon.activities.begin(move || of_engines.upgrade().map(|daemon| daemon.engines()).unwrap_or_default());
    let stop = CancellationToken::new();
    daemon.approvals.start(stop.clone()).await?;
    daemon.channels.begin();
    serve(&daemon, bound, listener, token, &stop, &environment)?;
    daemon.sessions.upgrade_older();
    let resumed = daemon.runs.take_up().await;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        socket = %places.socket.display(),
        http = daemon.http_address().map(|address| address.to_string()),
        running = found.running, ended = found.ended, lost = found.lost, runs = resumed, took_ms,
        "Ready."
    );
    let data = serde_json::json!({
        "version": crate::daemon::VERSION, "pid": std::process::id(), "took_ms": took_ms,
        "sessions_running": found.running, "sessions_ended": found.ended, "sessions_lost": found.lost, "runs": resumed,
    });
    daemon.journal.note(kind::DAEMON_READY, "orchestratord".to_owned(), data).await;
    tell_service_manager(&[sd_notify::NotifyState::Ready]);
    keep_watchdog(&daemon);
    wait_for_end(&daemon, &mut signals, &flags).await;
    end(&daemon, &mut signals, &stop).await;
    Ok(())
}

/// The socket, and the terminals of sessions that an earlier daemon stored with systemd.
fn open_socket(
    places: &Places,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(Bound, Vec<(String, OwnedFd)>), StartError> {
    let inherited = activation::inherited(lookup, std::process::id(), crate::sessions::keeper::is_stored_name)?;
    let bound = match inherited.listener {
        Some(listener) => unix::inherit(listener, &places.socket)?,
        None => unix::bind(&places.socket)?,
    };
    Ok((bound, inherited.stored))
}

/// As many open files as the system lets this process have: each session's terminal is one.
fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "The limit of open files could not be raised.");
    }
}

/// A program of orx, beside this one.
fn program(name: &str) -> Result<PathBuf, StartError> {
    let own =
        std::env::current_exe().map_err(|source| StartError::System { what: "where orchestratord is", source })?;
    let path = own.parent().unwrap_or_else(|| Path::new("/")).join(name);
    if path.is_file() { Ok(path) } else { Err(StartError::Program(path)) }
}

async fn assemble(
    settings: Settings,
    environment: Environment,
    store: Store,
    stored: Vec<(String, OwnedFd)>,
    token: &Token,
) -> Result<Arc<Daemon>, StartError> {
    let tasks = TaskTracker::new();
    let draining = CancellationToken::new();
    let places = &settings.places;
    let sessions = Sessions::new(
        store.clone(),
        places.sessions(),
        places.holder_sockets(),
        program("pty-proxy")?,
        tasks.clone(),
        draining.clone(),
        stored,
    );
    sessions.set_confinement(confinement(&environment, &settings, places));
    sessions.set_channels(settings.channels.clone());
    match program("orxctl") {
        Ok(program) => sessions.set_hooks(Place { program, socket: places.socket.clone() }),
        Err(error) => tracing::warn!(%error, "Engines get no hooks: what they ask is answered at their own terminals."),
    }
    let runs = Runs::new(
        store.clone(),
        sessions.clone(),
        engines(&environment, &settings),
        places,
        settings.concurrent_runs,
        draining.clone(),
        tasks.clone(),
    );
    let activities = Activities::new(sessions.clone(), program("pty-proxy")?, tasks.clone(), draining.clone());
    let (gateway, ledger) = Gateway::new(orx_gateway::Parts {
        config: Arc::clone(&settings.gateway),
        token: token.text().to_owned(),
        callers: Box::new(SessionCallers::new(sessions.clone())),
        store: store.clone(),
        tasks: tasks.clone(),
        stop: draining.clone(),
    })
    .await?;
    tasks.spawn(ledger);
    let keys = gateway.clone();
    sessions.set_keys(Box::new(move |session| keys.key_of(session)));
    Ok(Daemon::new(Parts { settings, environment, store, sessions, activities, runs, gateway, tasks, draining }))
}

fn serve(
    daemon: &Arc<Daemon>,
    bound: Bound,
    listener: Option<(tokio::net::TcpListener, Vec<String>)>,
    token: Token,
    stop: &CancellationToken,
    environment: &Environment,
) -> Result<(), StartError> {
    let places = daemon.settings().places.clone();
    let mut workers_environment = environment::base(environment);
    workers_environment.extend(environment.get("ORX_LOG").map(|filter| ("ORX_LOG".to_owned(), filter.clone())));
    let command = Command {
        program: program("agentd")?,
        socket: places.socket.clone(),
        cache: places.home.join("index"),
        environment: workers_environment,
    };
    let supervisor = Supervisor::new(command, daemon.journal.clone(), daemon.tasks.clone());
    if let Some((listener, hosts)) = listener {
        let address =
            listener.local_addr().map_err(|source| StartError::System { what: "where HTTP is served", source })?;
        daemon.set_http_address(address);
        let unserved = |source| StartError::System { what: "HTTP on a thread of its own", source };
        let listener = listener.into_std().map_err(unserved)?;
        let serving = http::serve(Arc::clone(daemon), listener, token, hosts, stop.clone());
        lane::run(&daemon.tasks, serving).map_err(unserved)?;
    }
    daemon.supervise(supervisor);
    // Last, so that whoever is answered finds the roles and the HTTP address known; the socket's backlog holds who came before.
    daemon.tasks.spawn(unix::serve(Arc::clone(daemon), bound, stop.clone()));
    let dispatcher = Arc::clone(&daemon.dispatcher);
    let until = stop.clone();
    daemon.tasks.spawn(async move {
        tokio::select! {
            () = until.cancelled() => {}
            () = dispatcher.keep_deadlines() => {}
        }
    });
    let dispatcher = Arc::clone(&daemon.dispatcher);
    let until = stop.clone();
    daemon.tasks.spawn(async move {
        tokio::select! {
            () = until.cancelled() => {}
            () = health::keep(dispatcher) => {}
        }
    });
    let store = daemon.store.clone();
    let until = stop.clone();
    daemon.tasks.spawn(async move {
        tokio::select! {
            () = until.cancelled() => {}
            () = forget_old_keys(store) => {}
        }
    });
    Ok(())
}

/// How long an idempotency key is remembered, in milliseconds: far longer than anybody repeats a request.
const KEYS_KEPT_MS: u64 = 30 * 24 * 3600 * 1000;
/// Pause between two rounds of forgetting.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// Keys forgotten in one transaction.
const FORGET_AT_ONCE: u32 = 1000;

/// Forgets idempotency keys that nobody will repeat any more.
async fn forget_old_keys(store: Store) {
    loop {
        let before = orx_protocol::clock::now_ms().saturating_sub(KEYS_KEPT_MS);
        let forgotten = store.write(move |tx| orx_store::sequences::prune(tx, before, FORGET_AT_ONCE)).await;
        match forgotten {
            Ok(count) if count >= FORGET_AT_ONCE as usize => {}
            Ok(_) => tokio::time::sleep(FORGET_EVERY).await,
            Err(error) => {
                tracing::warn!(%error, "Old idempotency keys could not be forgotten.");
                tokio::time::sleep(FORGET_EVERY).await;
            }
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self, StartError> {
        let listen =
            |kind| signal(kind).map_err(|source| StartError::System { what: "signals cannot be received", source });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until a signal asks for the end; SIGHUP reads the settings again.
async fn wait_for_end(daemon: &Arc<Daemon>, signals: &mut Signals, flags: &Flags) {
    loop {
        let Signals { terminate, interrupt, hang_up } = signals;
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = hang_up.recv() => reload(daemon, flags),
        }
    }
}

fn reload(daemon: &Arc<Daemon>, flags: &Flags) {
    tell_service_manager(&[sd_notify::NotifyState::Reloading]);
    let environment = environment::own();
    match Settings::load(flags, &|name| environment.get(name).cloned()) {
        Ok(settings) => {
            crate::start::log::set_filter(&settings.log);
            daemon.reload(settings);
            tracing::info!("The settings were read again.");
        }
        Err(error) => tracing::error!(%error, "The settings were not read again; those in force stay."),
    }
    tell_service_manager(&[sd_notify::NotifyState::Ready]);
}

/// The orderly end: no new work, workers leave, what is in flight is answered. Sessions live on. A second signal hurries.
async fn end(daemon: &Arc<Daemon>, signals: &mut Signals, stop: &CancellationToken) {
    tracing::info!(in_flight = daemon.dispatcher.in_flight(), "Ending; sessions live on. A second signal hurries.");
    tell_service_manager(&[sd_notify::NotifyState::Stopping]);
    daemon.draining.cancel();
    daemon.journal.note(kind::DAEMON_DRAINING, "orchestratord".to_owned(), serde_json::json!({})).await;
    daemon.dispatcher.drain_all();
    let answered = async {
        while daemon.dispatcher.in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let hurried = tokio::select! {
        () = answered => false,
        () = tokio::time::sleep(DRAIN) => false,
        () = signals.end() => true,
    };
    stop.cancel();
    if let Some(supervisor) = daemon.supervisor() {
        supervisor.stop();
    }
    let closed = tokio::time::timeout(if hurried { DRAIN_FAST } else { DRAIN }, async {
        tokio::select! {
            () = workers_gone(daemon) => {}
            () = signals.end() => {}
        }
    });
    // Workers that did not leave in time are ended with the supervisor's handles.
    let _ = closed.await;
    match tokio::time::timeout(DRAIN_FAST, daemon.store.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "The store was not closed; the next start brings it in order."),
        Err(_) => tracing::warn!("The store was not closed in time; the next start brings it in order."),
    }
    tracing::info!("Ended.");
}

async fn workers_gone(daemon: &Daemon) {
    while !daemon.dispatcher.list().iter().all(|worker| !worker.supervised) {
        tokio::select! {
            () = daemon.dispatcher.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

/// Tells systemd, where it listens.
fn tell_service_manager(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "The service manager could not be told.");
    }
}

/// Tells systemd that the daemon is alive, as often as it wants to hear it: only while the store and the dispatcher answer.
fn keep_watchdog(daemon: &Arc<Daemon>) {
    let Some(every) = sd_notify::watchdog_enabled() else { return };
    let daemon = Arc::clone(daemon);
    let tasks = daemon.tasks.clone();
    tasks.spawn(async move {
        while !daemon.is_draining() {
            if daemon.store.read(orx_store::events::head).await.is_ok() {
                tell_service_manager(&[sd_notify::NotifyState::Watchdog]);
            }
            tokio::time::sleep(every / 2).await;
        }
    });
}

pub mod log {
    //! The daemon's log: lines on standard error, filtered by a setting that SIGHUP may change.

    use std::sync::OnceLock;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

    static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

    /// Opens the log.
    ///
    /// # Errors
    /// A sentence about a filter that cannot be read.
    pub fn open(filter: &str) -> Result<(), String> {
        let filter =
            EnvFilter::try_new(filter).map_err(|error| format!("the log filter `{filter}` cannot be read: {error}"))?;
        let (filter, handle) = reload::Layer::new(filter);
        let colours = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false);
        tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|error| error.to_string())?;
        // It is set once: `try_init` fails the second time.
        let _ = FILTER.set(handle);
        Ok(())
    }

    /// Changes the filter; one that cannot be read changes nothing.
    pub fn set_filter(filter: &str) {
        match (EnvFilter::try_new(filter), FILTER.get()) {
            (Ok(filter), Some(handle)) => {
                // It fails only when the subscriber is gone, and then there is nothing to log to.
                let _ = handle.reload(filter);
            }
            (Err(error), _) => tracing::error!(filter, %error, "The log filter cannot be read; the old one stays."),
            (Ok(_), None) => {}
        }
    }
}
