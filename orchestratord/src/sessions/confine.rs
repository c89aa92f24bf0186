//! What a session may touch and use: from the settings and its caller's wish to what its holder is told. How it is held
//! belongs to `orx_sandbox`.

use orx_engines::{Context, EngineKind};
use orx_protocol::api::confinement::{Caps, Confinement, LimitParams, Limits, Mechanism, SandboxMode, SandboxParams};
use orx_protocol::api::session::Session;
use orx_protocol::hold::file;
use orx_protocol::places::Places;
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_sandbox::confine::{self, Abilities, ConfineError, Confined, Surroundings};
use orx_sandbox::{find_program, limits};
use orx_store::{StoreError, sessions as table};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::create::Plan;
use super::{Sessions, channel};
use crate::channels::choose::ChannelPlan;
use crate::confinement::Confinements;

/// Where programs look for a directory for temporary files.
const TMPDIR: &str = "TMPDIR";
/// The way to a person's keys, which a confined session does not get.
const KEY_AGENT: &str = "SSH_AUTH_SOCK";

/// The directory of a repository in which clones are made.
const WORKTREES: &str = ".worktrees";
/// What the names of sessions' control groups begin with.
const GROUP: &str = "orx-";

/// What a session's confinement is decided from.
#[derive(Debug, Clone)]
pub struct Basis {
    /// The settings.
    pub settings: Confinements,
    /// Where orx's own state is.
    pub places: Places,
    /// The engines' view of the operator.
    pub engines: Context,
}

/// The wish of a session's caller.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// What it may touch.
    pub sandbox: SandboxParams,
    /// What it may use.
    pub limits: LimitParams,
    /// Whether it works in a repository that was made for it.
    pub own_repository: bool,
    /// Whether it may read its working directory and not write in it.
    pub read_only: bool,
}

/// The parts of [`Sessions`] that confine.
#[derive(Debug, Default)]
pub(super) struct Confining {
    basis: RwLock<Option<Arc<Basis>>>,
    /// What was found last; looked for again while bubblewrap does not work, since it may be installed meanwhile.
    found: tokio::sync::Mutex<Option<Abilities>>,
}

impl Confining {
    async fn abilities(&self, only: Option<Mechanism>, search_path: Option<&str>) -> Abilities {
        let mut found = self.found.lock().await;
        let abilities = match found.take().filter(|found| found.bubblewrap.is_ok()) {
            Some(abilities) => abilities,
            None => Abilities::probe(search_path).await,
        };
        *found = Some(abilities.clone());
        let Abilities { landlock, bubblewrap } = abilities;
        match only {
            None | Some(Mechanism::None) => Abilities { landlock, bubblewrap },
            Some(Mechanism::Landlock) => {
                Abilities { landlock, bubblewrap: Err("the settings want Landlock alone".to_owned()) }
            }
            Some(Mechanism::Bubblewrap) => Abilities { landlock: landlock.filter(|_| bubblewrap.is_ok()), bubblewrap },
        }
    }
}

fn refused(error: &ConfineError) -> RpcError {
    let kind = match error {
        ConfineError::Missing { .. } | ConfineError::Beyond(_) => ErrorKind::FailedPrecondition,
        ConfineError::Path { .. } => ErrorKind::InvalidParams,
        ConfineError::Directory { .. } => ErrorKind::Storage,
    };
    RpcError::new(kind, format!("the session was not started: {error}")).with_hint(error.hint())
}

impl Sessions {
    /// Sets what confinement is decided from; sessions that run keep theirs.
    pub fn set_confinement(&self, basis: Basis) {
        *self.0.confining.basis.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(basis));
    }

    /// Decides how the session of a plan is confined, and fits its environment to that. Once decided, it stays.
    ///
    /// # Errors
    /// `FailedPrecondition` where it must be confined and cannot be; `InvalidParams` for a path that cannot be opened to it.
    pub async fn confine(&self, plan: &mut Plan) -> Result<(), RpcError> {
        // The launcher of a structured channel is confined too.
        self.lay_channel(plan);
        let (None, Some(basis)) = (&plan.confined, self.basis()) else { return Ok(()) };
        limits::check(&plan.wish.limits)
            .map_err(|why| RpcError::new(ErrorKind::InvalidParams, format!("`session.create`: `limits`: {why}")))?;
        let kind: Option<EngineKind> = plan.engine.parse().ok();
        let wish = &plan.wish.sandbox;
        let usual = if kind.is_none_or(|kind| kind == EngineKind::Command) {
            basis.settings.commands
        } else {
            basis.settings.mode
        };
        let mode = wish.mode.unwrap_or(usual);
        let network = wish.network.unwrap_or(basis.settings.network);
        if mode == SandboxMode::Off && (wish.network.is_some() || !wish.write.is_empty()) {
            return Err(RpcError::new(
                ErrorKind::InvalidParams,
                "`session.create`: `sandbox`: `network` and `write` need a sandbox, and this session has none",
            )
            .with_hint("ask for one with `mode: required`, `orxctl new --sandbox`"));
        }
        let search_path = basis.engines.environment.get("PATH").map(String::as_str);
        let abilities = match mode {
            SandboxMode::Off => Abilities { landlock: None, bubblewrap: Err(String::new()) },
            SandboxMode::Required | SandboxMode::Preferred => {
                self.0.confining.abilities(basis.settings.mechanism, search_path).await
            }
        };
        let surroundings = self.surroundings(&basis, plan, kind);
        let deciding =
            tokio::task::spawn_blocking(move || confine::plan(mode, network, &surroundings, &abilities)).await;
        let confined = deciding
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("deciding on a sandbox failed: {error}")))?
            .map_err(|error| refused(&error))?;
        if let Some(held) = &confined.plan {
            fit(plan, held);
            plan.argv = plan.confined_argv.take().unwrap_or_else(|| std::mem::take(&mut plan.argv));
        }
        let usual = basis.settings.caps;
        let wished = &mut plan.wish.limits;
        wished.memory_bytes = wished.memory_bytes.or(usual.memory_bytes);
        wished.cpu_percent = wished.cpu_percent.or(usual.cpu_percent);
        wished.processes = wished.processes.or(usual.processes);
        plan.confined = Some(confined);
        Ok(())
    }

    /// A variable of the operator's environment.
    pub fn operators_variable(&self, name: &str) -> Option<String> {
        self.basis()?.engines.environment.get(name).cloned()
    }

    pub(super) fn basis(&self) -> Option<Arc<Basis>> {
        self.0.confining.basis.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sessions of engines that run without a sandbox.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn unconfined(&self) -> Result<usize, RpcError> {
        let rows = self.store().read(table::unfinished).await?;
        let is_open = |session: &Session| {
            let of_command = session.engine == EngineKind::Command.name();
            !of_command && session.sandbox.as_ref().is_none_or(|sandbox| sandbox.mechanism == Mechanism::None)
        };
        Ok(rows.iter().filter(|row| is_open(&row.session)).count())
    }

    fn surroundings(&self, basis: &Basis, plan: &Plan, kind: Option<EngineKind>) -> Surroundings {
        let environment = &plan.environment;
        let operator = &basis.engines.environment;
        let places = &basis.places;
        let paths = |list: &[String]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let mut write = paths(&plan.wish.sandbox.write);
        write.extend(basis.settings.write.iter().cloned());
        let mut engine = Vec::new();
        let mut hidden = vec![places.home.clone(), places.config.clone(), self.0.sockets.clone()];
        hidden.extend(basis.settings.hide.iter().cloned());
        hidden.extend(operator.get(KEY_AGENT).map(PathBuf::from));
        if let Some(kind) = kind {
            engine.extend(orx_engines::writable_paths(kind, &basis.engines, &plan.cwd, environment));
            hidden.extend(orx_engines::logins_of_others(kind, operator));
        }
        let directory = self.directory(plan.session);
        // A launcher of a structured channel keeps its files in a place of its own in the session's directory.
        let mut shared = Vec::new();
        if plan.argv.first().is_some_and(|program| Path::new(program) == self.0.program) {
            engine.push(channel::place(&directory));
            shared.extend(plan.channel.as_ref().and_then(channel::writable));
        }
        let socket = &places.socket;
        let shown = match socket.parent() {
            Some(parent) if parent != places.home => parent.to_owned(),
            _ => socket.clone(),
        };
        let search_path = environment.get("PATH").map(String::as_str);
        let mut programs = vec![self.0.program.clone()];
        programs.extend(plan.argv.first().and_then(|name| find_program(name, search_path).ok()));
        programs.extend(
            plan.channel.iter().flat_map(ChannelPlan::programs).filter_map(|name| find_program(name, search_path).ok()),
        );
        programs.extend(
            std::env::split_paths(search_path.unwrap_or_default())
                .filter(|path| path.is_absolute())
                .map(|path| path.join("any")),
        );
        Surroundings {
            cwd: PathBuf::from(&plan.cwd),
            home: operator.get("HOME").map(PathBuf::from),
            own_repository: plan.wish.own_repository,
            read_only: plan.wish.read_only,
            write,
            engine,
            shared,
            hidden,
            shown: std::iter::once(shown).chain(repository_of(plan)).collect(),
            programs,
            temporary: directory.join(file::TEMPORARY),
            endpoint: basis.engines.endpoint.as_ref().map(|endpoint| endpoint.url.clone()),
        }
    }

    /// What the holder of a plan is told: its confinement and its limits. What is said of the limits is recorded.
    ///
    /// # Errors
    /// As the session's directory for temporary files cannot be made, or the record cannot be written.
    pub(super) async fn hold_confined(&self, plan: &Plan) -> Result<(Option<Confinement>, Option<Caps>), RpcError> {
        let confinement = plan.confined.as_ref().and_then(|confined| confined.plan.clone());
        if let Some(held) = &confinement {
            let directory = self.directory(plan.session);
            let temporary = PathBuf::from(&held.temporary);
            let made = orx_sandbox::file::private_directory(&directory)
                .and_then(|()| orx_sandbox::file::private_directory(&temporary));
            made.map_err(|error| {
                RpcError::new(ErrorKind::Storage, format!("{} cannot be made: {error}", temporary.display()))
            })?;
        }
        if plan.wish.limits.is_empty() {
            return Ok((confinement, None));
        }
        let (said, caps) = limits::prepare(plan.wish.limits, &format!("{GROUP}{}", plan.session));
        self.record_limits(plan.session, said).await?;
        Ok((confinement, Some(caps)))
    }

    /// Removes control groups of sessions that are over, which a holder that was killed could not do.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub(super) async fn remove_groups_of_ended(&self) -> Result<(), StoreError> {
        // A session that is taken up again gets a group of the same name.
        let _nothing_begins = self.0.taking_up.lock().await;
        let looking = tokio::task::spawn_blocking(|| limits::beginning_with(GROUP)).await;
        let mut left = Vec::new();
        // A panic there is logged by the runtime; what is left is found the next time.
        for group in looking.unwrap_or_default() {
            let name = group.file_name().and_then(|name| name.to_str()?.strip_prefix(GROUP)?.parse().ok());
            // Another daemon's sessions are not known here.
            let Some(session) = name else { continue };
            if self.find(session).await?.is_some_and(|row| row.session.state.is_final()) {
                left.push(group);
            }
        }
        if !left.is_empty() {
            // As above.
            let _ = tokio::task::spawn_blocking(move || limits::remove(&left)).await;
        }
        Ok(())
    }

    async fn record_limits(&self, session: SessionId, said: Limits) -> Result<(), StoreError> {
        self.store()
            .write(move |tx| {
                if let Some(mut row) = table::get(tx, session)? {
                    row.session.limits = Some(said);
                    table::update(tx, &row)?;
                }
                Ok(())
            })
            .await
    }
}

/// The repository whose objects a clone reads that was made for a session: it lies in it.
fn repository_of(plan: &Plan) -> Option<PathBuf> {
    let mut above = Path::new(&plan.cwd).ancestors().filter(|_| plan.wish.own_repository);
    above.find(|path| path.ends_with(WORKTREES))?.parent().map(Path::to_owned)
}

/// Fits a plan's environment to its confinement.
fn fit(plan: &mut Plan, held: &Confinement) {
    plan.environment.remove(KEY_AGENT);
    let temporary = match held.mechanism {
        // Its own directory lies where the shared one was.
        Mechanism::Bubblewrap => "/tmp",
        Mechanism::Landlock | Mechanism::None => &held.temporary,
    };
    plan.environment.insert(TMPDIR.to_owned(), temporary.to_owned());
}

/// How a plan is shown before its session runs.
pub(super) fn shown(confined: Option<&Confined>) -> Option<orx_protocol::api::confinement::Sandbox> {
    confined.map(|confined| confined.sandbox.clone())
}
