//! `orxctl up`.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use orx_client::{Client, ClientError};
use orx_protocol::api::daemon::{self, HealthStatus};
use orx_protocol::api::{Empty, worker};
use orx_protocol::limits::SOCKET_PATH;
use orx_protocol::places::variable;
use orx_sandbox::{environment, file, find_program, spawn};
use serde_json::json;

use crate::commands::down;
use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::progress::Progress;
use crate::{figures, text};

/// The daemon's program.
pub(crate) const DAEMON: &str = "orchestratord";
/// How often a daemon that is coming up is asked.
const POLL: Duration = Duration::from_millis(50);
/// How long a daemon that is ending is waited for before another is started.
const DRAIN: Duration = Duration::from_secs(30);
/// How long one question to a daemon that is coming up may take.
const QUESTION: Duration = Duration::from_secs(2);
/// Lines and bytes of the log that are shown when the start failed.
const TAIL_LINES: usize = 15;
const TAIL_BYTES: u64 = 16 * 1024;

/// Arguments of `up`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl up
  orxctl up --replace
  orxctl --home /tmp/orx --socket /tmp/orx/s.sock up

After a new version was installed, `orxctl up --replace` is all there is to do: sessions, runs and attached viewers go on.

To run the daemon in the foreground, start `orchestratord` itself.")]
pub struct Up {
    /// End the daemon that runs, if one does, and start the one that is installed
    #[arg(long)]
    pub replace: bool,
    /// How long the daemon may take to become healthy
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = figures::parse_duration)]
    pub timeout: Duration,
}

/// What was found at the socket.
enum Found {
    Nothing,
    Daemon(daemon::Health),
}

async fn ask(socket: &Path) -> Result<Found, Failure> {
    let client = match Client::connect(socket).await {
        Ok(client) => client,
        Err(error) => return absent(error),
    };
    match client.call_with_deadline("health", &Empty {}, QUESTION).await {
        Ok(health) => Ok(Found::Daemon(health)),
        Err(error) => absent(error),
    }
}

/// A daemon that is not there, or not yet, is no error here.
fn absent(error: ClientError) -> Result<Found, Failure> {
    let passes = error.is_disconnect() || matches!(error, ClientError::Timeout { .. });
    let failure = Failure::from(error);
    if passes && failure.status != Status::NotAllowed { Ok(Found::Nothing) } else { Err(failure) }
}

pub(crate) async fn run(context: &Context, arguments: &Up) -> Result<Status, Failure> {
    if arguments.replace
        && let Found::Daemon(_) = ask(&context.places.socket).await?
    {
        // What could not be started must not cost the daemon that runs.
        program()?;
        down::end_running(context, arguments.timeout).await?;
    }
    if let Some(done) = running(context, arguments).await? {
        return Ok(done);
    }
    let places = &context.places;
    let program = program()?;
    let length = places.socket.as_os_str().len();
    if length > SOCKET_PATH {
        return Err(Failure::configuration(format!(
            "the socket's path {} has {length} bytes, {SOCKET_PATH} are possible",
            places.socket.display()
        ))
        .with_hint("set ORX_SOCKET (or --socket) to a shorter path"));
    }
    for directory in [&places.home, &places.logs()] {
        file::private_directory(directory)
            .map_err(|error| Failure::configuration(format!("{} cannot be used: {error}", directory.display())))?;
    }
    let progress = Progress::new(context.output, "another `orxctl up` is at work; waiting for it");
    let _turn = progress.during(turn(context, arguments.timeout)).await?;
    // Whoever had the turn before may have started it.
    if let Some(done) = running(context, arguments).await? {
        return Ok(done);
    }
    let path = log_path(context);
    let log = file::private_append(&path)
        .map_err(|error| Failure::failed(format!("the log {} cannot be opened: {error}", path.display())))?;
    let from = log.metadata().map_or(0, |metadata| metadata.len());
    let (child, _) = spawn::in_background(&[program], &places.home, &daemon_environment(context), &log, false)
        .map_err(|error| Failure::failed(format!("{DAEMON} could not be started: {error}")))?;
    let progress = Progress::new(context.output, format!("starting {DAEMON}"));
    let started = Started { child, from };
    progress.during(wait_until_healthy(context, arguments.timeout, Some(started), &path)).await
}

/// Deals with a daemon that is there already; `None` when there is none.
async fn running(context: &Context, arguments: &Up) -> Result<Option<Status>, Failure> {
    let Found::Daemon(health) = ask(&context.places.socket).await? else { return Ok(None) };
    match health.status {
        HealthStatus::Draining => {
            let progress = Progress::new(context.output, "another daemon is ending; waiting for it");
            progress.during(wait_until_gone(&context.places.socket)).await?;
            Ok(None)
        }
        HealthStatus::Healthy => report(context, true).await.map(Some),
        HealthStatus::Degraded => {
            let progress =
                Progress::new(context.output, "the daemon runs and is degraded; waiting until it is healthy");
            let log = log_path(context);
            progress.during(wait_until_healthy(context, arguments.timeout, None, &log)).await.map(Some)
        }
    }
}

/// The turn to start the daemon, so that two users of `up` do not start two; it ends with the returned file.
async fn turn(context: &Context, timeout: Duration) -> Result<File, Failure> {
    let path = context.places.home.join("up.lock");
    let refused =
        |error: &std::io::Error| Failure::failed(format!("the lock {} cannot be taken: {error}", path.display()));
    let lock = file::private_append(&path).map_err(|error| refused(&error))?;
    let deadline = Instant::now() + timeout;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(refused(&error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(Failure::failed("another `orxctl up` has been at work for too long")
                    .with_hint("`orxctl status` says whether the daemon runs by now"));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
        }
    }
}

fn log_path(context: &Context) -> PathBuf {
    context.places.logs().join(format!("{DAEMON}.log"))
}

/// The program beside this one, else on `PATH`.
fn program() -> Result<String, Failure> {
    locate(DAEMON).map(|path| path.to_string_lossy().into_owned()).ok_or_else(|| {
        Failure::failed(format!("the program {DAEMON} is neither beside orxctl nor on PATH"))
            .with_hint("install orx as a whole; see `orxctl doctor`")
    })
}

/// A program of orx: beside this one, else on `PATH`.
pub(crate) fn locate(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(name)));
    beside
        .and_then(|path| find_program(path.to_str()?, None).ok())
        .or_else(|| find_program(name, std::env::var("PATH").ok().as_deref()).ok())
}

/// This environment with the places that were resolved here; a daemon is of no session, also when one starts it.
fn daemon_environment(context: &Context) -> environment::Environment {
    let mut full = environment::own();
    full.remove(variable::SESSION);
    let places = &context.places;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    full.insert(variable::HOME.to_owned(), text(&places.home));
    full.insert(variable::SOCKET.to_owned(), text(&places.socket));
    if context.config_named {
        full.insert(variable::CONFIG.to_owned(), text(&places.config));
    }
    full
}

async fn wait_until_gone(socket: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + DRAIN;
    while let Found::Daemon(_) = ask(socket).await? {
        if Instant::now() >= deadline {
            return Err(Failure::failed("the daemon that runs has been ending for too long")
                .with_hint("`orxctl down --grace 1s` ends it by force; sessions live on"));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// A daemon that was started here, and where its part of the log begins.
struct Started {
    child: std::process::Child,
    from: u64,
}

async fn wait_until_healthy(
    context: &Context,
    timeout: Duration,
    mut started: Option<Started>,
    log: &Path,
) -> Result<Status, Failure> {
    let deadline = Instant::now() + timeout;
    let mut degraded = false;
    loop {
        // Looked at before the question, so that an end after the answer is not taken for the state at the answer.
        let exit = started.as_mut().and_then(|started| started.child.try_wait().ok().flatten());
        if let Found::Daemon(health) = ask(&context.places.socket).await? {
            match health.status {
                // Where another way started one at the same moment, that one stays: it is as good.
                HealthStatus::Healthy => return report(context, started.is_none() || exit.is_some()).await,
                HealthStatus::Degraded | HealthStatus::Draining => degraded = true,
            }
        }
        let from = started.as_ref().map_or(0, |started| started.from);
        if let Some(exit) = exit.filter(|_| !degraded) {
            let exit = spawn::exit(exit);
            let status = match exit {
                orx_protocol::process::Exit::Code(78) => Status::Configuration,
                orx_protocol::process::Exit::Code(_) | orx_protocol::process::Exit::Signal(_) => Status::Failed,
            };
            let message = format!("{DAEMON} ended while it started: {exit}{}", tail(log, from));
            return Err(Failure { status, ..Failure::failed(message) }
                .with_hint(format!("its whole log is {}; `orxctl doctor` looks for usual causes", log.display())));
        }
        if Instant::now() >= deadline {
            return Err(too_late(context, timeout, degraded, log, from).await);
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn too_late(context: &Context, timeout: Duration, degraded: bool, log: &Path, from: u64) -> Failure {
    let after = figures::duration_ms(figures::milliseconds(timeout));
    if !degraded {
        return Failure::failed(format!("{DAEMON} runs but does not answer after {after}{}", tail(log, from)))
            .with_hint(format!("its whole log is {}", log.display()));
    }
    let workers: Result<worker::Workers, Failure> = context.call("worker.list", &Empty {}).await;
    let missing: Vec<&str> = workers.as_ref().map_or_else(
        |_| Vec::new(),
        |list| {
            let absent = |role: &&str| !list.workers.iter().any(|worker| worker.role == **role);
            worker::SUPERVISED_ROLES.iter().copied().filter(absent).collect()
        },
    );
    let why = if missing.is_empty() { String::new() } else { format!(": no worker for {}", missing.join(", ")) };
    Failure::failed(format!("{DAEMON} runs and is degraded after {after}{why}{}", tail(log, from)))
        .with_hint(format!("`orxctl workers` shows them; its whole log is {}", log.display()))
}

async fn report(context: &Context, already: bool) -> Result<Status, Failure> {
    let status: daemon::Status = context.call("status", &Empty {}).await?;
    if context.output.json {
        context.output.json(&json!({"started": !already, "status": status}))?;
        return Ok(Status::Done);
    }
    let word = if already { "already runs" } else { "runs" };
    context.output.text(&format!(
        "{DAEMON} {} {word} (pid {}) at {}",
        text::clean_line(&status.health.version),
        status.pid,
        context.places.socket.display()
    ))?;
    if status.sessions > 0 || status.runs > 0 {
        let sessions = figures::plural(u64::from(status.sessions), "session");
        context.output.text(&format!("{sessions} and {} under way", figures::plural(u64::from(status.runs), "run")))?;
    }
    Ok(Status::Done)
}

/// The last lines that were written after `from`, each indented on a line of its own.
fn tail(log: &Path, from: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES)).min(length)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let cleaned = text::clean(&String::from_utf8_lossy(&bytes));
    let lines: Vec<&str> = cleaned.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "; it wrote nothing to its log".to_owned();
    }
    lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).map(|line| format!("\n  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_the_log_is_what_this_start_wrote() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        assert!(tail(&path, 0).contains("nothing"));
        std::fs::write(&path, "old\n\u{1b}[31mnew\u{1b}[0m\n\nend\n").unwrap();
        assert_eq!(tail(&path, 4), "\n  new\n  end");
        let many: String = (0..100).map(|number| format!("{number}\n")).collect();
        std::fs::write(&path, many).unwrap();
        assert_eq!(tail(&path, 0).lines().count(), TAIL_LINES + 1);
    }
}
