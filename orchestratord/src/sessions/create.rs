//! From what a caller wants to a process that runs: checked first, recorded next, started last.

use orx_engines::channel::ChannelKind;
use orx_engines::{Context, EngineKind, InteractiveRequest, Launch};
use orx_gateway::key::PLACEHOLDER;
use orx_protocol::api::confinement::{Confinement, Mechanism};
use orx_protocol::api::session::{CreateParams, Session};
use orx_protocol::event::kind;
use orx_protocol::hold::{Ended, HoldSpec, Holder, TerminalSize, file};
use orx_protocol::life::{Life, Priority, Terms};
use orx_protocol::places::variable;
use orx_protocol::process::EndReason;
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use orx_sandbox::confine::Confined;
use orx_sandbox::environment::Environment;
use orx_sandbox::limits;
use orx_store::{SessionRow, StoreError, events, sessions as table};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::outside::Outside;
use super::{Sessions, confine, holder};
use crate::channels::choose::{self, ChannelPlan, Programs};

/// Longest path of a directory for sockets: below it a server adds some 25 bytes, and the kernel takes 107.
const SOCKETS_MAX: usize = 80;

/// What is to be held, checked and complete.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The session.
    pub session: SessionId,
    /// Name of its engine.
    pub engine: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The same where a sandbox of orx's holds around it, if that makes a difference.
    pub confined_argv: Option<Vec<String>>,
    /// Working directory.
    pub cwd: String,
    /// The process's exact environment, less what every session gets.
    pub environment: Environment,
    /// Bytes for standard input; only on pipes.
    pub input: Option<String>,
    /// A terminal of this size, or pipes.
    pub terminal: Option<TerminalSize>,
    /// A line for a person.
    pub title: Option<String>,
    /// The run and stage that it serves.
    pub owner: Option<String>,
    /// The tree is ended after this time.
    pub deadline: Option<Duration>,
    /// How urgent it is where sessions wait for a place.
    pub priority: Priority,
    /// The conversation that it begins or takes up, where its name is known before the start.
    pub conversation: Option<String>,
    /// What it may touch and use, as its caller wishes.
    pub wish: confine::Wish,
    /// How it is confined, once that is decided.
    pub confined: Option<Confined>,
    /// Its structured channel.
    pub channel: Option<ChannelPlan>,
    /// What its process is a client of, where its agent runs outside of orx.
    pub outside: Option<Outside>,
}

impl Plan {
    /// The program and arguments that a person means: without a launcher in front.
    fn shown_argv(&self) -> Vec<String> {
        match self.channel.as_ref().map(|channel| &channel.programs) {
            Some(Programs::Served(_, argv) | Programs::Agent(argv)) => argv.clone(),
            Some(Programs::Joined(_)) | None => self.argv.clone(),
        }
    }
}

/// Shortest and longest time that a session may be given, in milliseconds.
const DURATION_MS: RangeInclusive<u64> = 1000..=86_400_000;
/// Longest title, in characters.
const TITLE: usize = 200;
/// Size of a terminal where none is named.
const SIZE: TerminalSize = TerminalSize { cols: 80, rows: 24 };

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(ErrorKind::InvalidParams, format!("`session.create`: {}", message.into()))
}

/// Checks a caller's wish and says how its engine is launched, with this name for its conversation; nothing is made.
///
/// # Errors
/// `InvalidParams` naming the member; `EngineMissing` with what to install.
pub fn check(
    params: &CreateParams,
    engines: &Context,
    conversation: Option<&str>,
) -> Result<(EngineKind, Launch), RpcError> {
    let kind: EngineKind =
        params.engine.parse().map_err(|error: orx_engines::EngineError| invalid(error.to_string()))?;
    if !Path::new(&params.cwd).is_absolute() {
        return Err(invalid(format!("`cwd` is `{}`, it must be an absolute path", params.cwd)));
    }
    if !Path::new(&params.cwd).is_dir() {
        return Err(invalid(format!("`cwd`: {} is not a directory", params.cwd)));
    }
    if let Some(title) = &params.title
        && (title.chars().count() > TITLE || title.contains(char::is_control))
    {
        return Err(invalid(format!("`title` has at most {TITLE} characters and no control characters")));
    }
    for name in params.env.keys() {
        let fits = !name.is_empty() && !name.contains(['=', '\0']);
        if !fits || name.starts_with("ORX_") {
            return Err(invalid(format!("`env`: `{}` cannot be set", name.escape_default())));
        }
    }
    if let Some(duration) = params.max_duration_ms.filter(|duration| !DURATION_MS.contains(duration)) {
        let (least, most) = (DURATION_MS.start(), DURATION_MS.end());
        return Err(invalid(format!("`max_duration_ms` is {duration}, it must be {least} to {most}")));
    }
    if choose::choose(kind, params)? == Some(ChannelKind::Acp) {
        return Ok((kind, choose::agent(kind, params, engines)?));
    }
    let request = InteractiveRequest {
        cwd: params.cwd.clone(),
        prompt: params.prompt.clone(),
        argv: params.argv.clone(),
        conversation: conversation.map(str::to_owned),
    };
    Ok((kind, orx_engines::interactive(kind, engines, &request)?))
}

/// Checks a caller's wish, makes a plan of it, and makes ready what its engine relies on.
///
/// # Errors
/// As [`check`]; when the engine's private home cannot be written.
pub fn plan(params: &CreateParams, engines: &Context) -> Result<Plan, RpcError> {
    let session = SessionId::generate();
    let conversation = conversation_of(params, session);
    let (kind, launch) = check(params, engines, conversation.as_deref())?;
    complete(session, kind, launch, conversation, None, params, engines)
}

/// The name that the conversation of a session is given at its launch, where its engine takes one.
pub(super) fn conversation_of(params: &CreateParams, named_after: SessionId) -> Option<String> {
    let kind: EngineKind = params.engine.parse().ok()?;
    // An agent on pipes names its conversation itself.
    if choose::choose(kind, params).ok()? == Some(ChannelKind::Acp) {
        return None;
    }
    orx_engines::conversation_at_launch(kind).then(|| orx_engines::conversation_name(named_after))
}

/// The plan of a launch, with what its engine relies on made ready. `resumed` is the conversation that the launch takes up.
///
/// # Errors
/// When the engine's private home cannot be written.
pub fn complete(
    session: SessionId,
    kind: EngineKind,
    launch: Launch,
    conversation: Option<String>,
    resumed: Option<&str>,
    params: &CreateParams,
    engines: &Context,
) -> Result<Plan, RpcError> {
    orx_engines::prepare(kind, engines, &params.cwd)?;
    let wanted = choose::choose(kind, params)?;
    let mut environment = launch.environment.clone();
    environment.extend(params.env.clone());
    let channel = match wanted.map(|wanted| choose::plan(kind, wanted, &launch, params, resumed, &mut environment)) {
        Some(Err(error)) if choose::is_left_to_us(params) => {
            tracing::info!(%session, error = error.message, "A session gets no structured channel.");
            None
        }
        channel => channel.transpose()?,
    };
    let size = TerminalSize { cols: params.cols.unwrap_or(SIZE.cols), rows: params.rows.unwrap_or(SIZE.rows) };
    Ok(Plan {
        session,
        engine: kind.name().to_owned(),
        argv: launch.argv,
        confined_argv: launch.confined_argv,
        cwd: params.cwd.clone(),
        environment,
        input: None,
        terminal: (wanted != Some(ChannelKind::Acp)).then(|| size.clamped()),
        title: params.title.clone(),
        owner: None,
        deadline: params.max_duration_ms.map(Duration::from_millis),
        priority: params.priority,
        conversation,
        wish: confine::Wish {
            sandbox: params.sandbox.clone(),
            limits: params.limits,
            own_repository: params.worktree,
            read_only: false,
        },
        confined: None,
        channel,
        outside: None,
    })
}

/// The end of a session that did not start.
fn not_started(why: String) -> Ended {
    Ended { exit: None, reason: EndReason::SpawnFailed, message: Some(why), ended_at_ms: clock::now_ms() }
}

impl Sessions {
    /// Records a session and starts its process. A session of that name that is recorded already is left as it is.
    ///
    /// # Errors
    /// As the store does not take the record; `Upstream` when the process does not start, which is recorded too.
    pub async fn start(&self, plan: Plan) -> Result<Holder, RpcError> {
        let mut plan = plan;
        self.confine(&mut plan).await?;
        self.record_new(&plan, Life::Pending).await?;
        self.launch(plan).await
    }

    /// Puts the session's own key where its engine was told that of sessions led through the gateway.
    fn put_keys(&self, session: SessionId, environment: &mut Environment) {
        let Some(keys) = self.0.keys.get() else { return };
        for value in environment.values_mut().filter(|value| value.contains(PLACEHOLDER)) {
            *value = value.replace(PLACEHOLDER, &keys(session));
        }
    }

    /// Records a session that starts now or waits for a place.
    pub(super) async fn record_new(&self, plan: &Plan, life: Life) -> Result<(), StoreError> {
        let session = plan.session;
        let now_ms = clock::now_ms();
        let row = SessionRow {
            session: Session {
                cols: plan.terminal.map_or(0, |size| size.cols),
                rows: plan.terminal.map_or(0, |size| size.rows),
                title: plan.title.clone(),
                argv: plan.shown_argv(),
                owner: plan.owner.clone(),
                directory: self.directory(session).to_string_lossy().into_owned(),
                life,
                terms: Terms {
                    priority: plan.priority,
                    max_duration_ms: plan.deadline.map(milliseconds),
                    queued_at_ms: (life == Life::Queued).then_some(now_ms),
                    ..Terms::default()
                },
                conversation: plan.conversation.clone(),
                channel: plan.channel.as_ref().map(|channel| channel.kind.name().to_owned()),
                sandbox: confine::shown(plan.confined.as_ref()),
                ..Session::starting(session, &plan.engine, &plan.cwd, now_ms)
            },
            holder: None,
            socket: self.socket(session).to_string_lossy().into_owned(),
        };
        let data = serde_json::json!({
            "engine": plan.engine, "cwd": plan.cwd, "title": plan.title, "owner": plan.owner, "life": life,
            "sandbox": confine::shown(plan.confined.as_ref()),
        });
        self.store()
            .write(move |tx| {
                table::insert(tx, &row)?;
                events::append(tx, kind::SESSION_CREATED, &session.to_string(), &data)?;
                Ok::<_, StoreError>(())
            })
            .await?;
        self.announce();
        Ok(())
    }

    /// Starts the process of a session that is recorded.
    ///
    /// # Errors
    /// `Upstream` when it does not start, which is recorded too.
    pub(super) async fn launch(&self, plan: Plan) -> Result<Holder, RpcError> {
        let mut plan = plan;
        let session = plan.session;
        let confined = match self.confine(&mut plan).await {
            Ok(()) => self.hold_confined(&plan).await,
            Err(error) => Err(error),
        };
        let (mut confinement, caps) = match confined {
            Ok(confined) => confined,
            Err(error) => {
                self.insist_on_end(session, not_started(error.message.clone())).await;
                return Err(error);
            }
        };
        let directory = self.directory(session);
        match &plan.channel {
            // Its launcher is the program; the engine says over the channel what hooks would.
            Some(channel) => {
                if let Err(error) = self.write_channel(session, channel) {
                    self.insist_on_end(session, not_started(error.message.clone())).await;
                    return Err(error);
                }
            }
            // Its agent is told of no hooks by a client.
            None if plan.outside.is_some() => {}
            None => self.install_hooks(&mut plan, &directory, confinement.as_mut()).await,
        }
        own_sockets(&mut plan, &directory, confinement.as_ref());
        let socket = self.socket(session);
        let groups = limits::groups(caps.as_ref());
        let spec = HoldSpec {
            session,
            argv: plan.argv,
            cwd: plan.cwd,
            terminal: plan.terminal,
            feed_input: plan.input.is_some(),
            deadline_ms: plan.deadline.map(milliseconds),
            socket: socket.to_string_lossy().into_owned(),
            confinement,
            caps,
        };
        let mut environment = plan.environment;
        self.put_keys(session, &mut environment);
        environment.insert(variable::SESSION.to_owned(), session.to_string());
        // A task of its own, so that a caller who goes away does not leave a session half started.
        let sessions = self.clone();
        let starting = self.0.tasks.spawn(async move {
            let started =
                holder::start(&sessions.0.program, &directory, &spec, plan.input.as_deref(), &environment).await;
            match started {
                Ok(holder) => {
                    let recorded = sessions.record_started(session, holder.clone()).await;
                    // It runs whether or not the store has room for that: it is watched, and recorded as soon as there is.
                    sessions.watch(session, socket, holder.clone(), recorded.is_err());
                    recorded?;
                    Ok(holder)
                }
                Err(why) => {
                    // A panic there is logged by the runtime; the session's end is recorded all the same.
                    let _ = tokio::task::spawn_blocking(move || limits::remove(&groups)).await;
                    sessions.insist_on_end(session, not_started(why.clone())).await;
                    Err(RpcError::new(ErrorKind::Upstream, format!("session {session} did not start: {why}")))
                }
            }
        });
        starting
            .await
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("starting a session failed: {error}")))?
    }
}

/// Gives the servers that an engine starts a directory of the session's own for their sockets, unless the caller chose one.
/// A sandbox has one already.
fn own_sockets(plan: &mut Plan, directory: &Path, confinement: Option<&Confinement>) {
    let kind: Option<EngineKind> = plan.engine.parse().ok();
    let Some(name) = kind.and_then(|kind| kind.descriptor().sockets.clone()) else { return };
    let own = match confinement.map(|held| (held.mechanism, &held.temporary)) {
        Some((Mechanism::Bubblewrap, _)) => return,
        Some((_, temporary)) => PathBuf::from(temporary),
        None => directory.join(file::TEMPORARY),
    };
    // The kernel takes no longer path for a socket; such a session shares those of others.
    if own.as_os_str().len() > SOCKETS_MAX {
        tracing::warn!(path = %own.display(), "The engine's servers have no sockets of their own: the path is too long.");
        return;
    }
    match orx_sandbox::file::private_directory(&own) {
        Ok(()) => drop(plan.environment.entry(name).or_insert_with(|| own.to_string_lossy().into_owned())),
        Err(error) => {
            tracing::warn!(path = %own.display(), %error, "The engine's servers have no sockets of their own.")
        }
    }
}
