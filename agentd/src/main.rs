//! `agentd`: reads its arguments, logs to standard error, serves until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agentd::link::unix::{self, End, Settings};
use agentd::roles::{Role, Service};
use anyhow::Context;
use clap::Parser;
use orx_protocol::places::{NoPlace, Places, variable};
use tracing_subscriber::EnvFilter;

/// Exit status when no daemon answers (`EX_UNAVAILABLE`).
const UNREACHABLE: u8 = 69;

/// Exit status for settings that cannot be used (`EX_CONFIG`).
const CONFIGURATION: u8 = 78;

/// A worker of orchestratord: serves the actions of one role.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The role to serve.
    #[arg(long, value_enum)]
    role: Role,
    /// The daemon's Unix socket [default: as the daemon's own].
    #[arg(long, env = "ORX_SOCKET")]
    socket: Option<PathBuf>,
    /// Exit when the connection ends, for a daemon that starts this worker again itself.
    #[arg(long)]
    supervised: bool,
    /// Requests to work on at once [default: by role].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    capacity: Option<u32>,
    /// Directory of the search indexes, which can be deleted at any time [default: $ORX_HOME/index].
    #[arg(long)]
    cache: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log();
    let role = arguments.role;
    let (settings, cache) = match settle(arguments) {
        Ok(settled) => settled,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(CONFIGURATION);
        }
    };
    match run(Service::new(role, cache), settings) {
        Ok(End::Left) => ExitCode::SUCCESS,
        Ok(End::Unreachable(error)) => {
            tracing::error!(%error, "the daemon cannot be served");
            ExitCode::from(UNREACHABLE)
        }
        Ok(End::Refused(error)) => {
            tracing::error!(%error, hint = error.hint(), "the daemon refused this worker");
            ExitCode::FAILURE
        }
        Ok(End::Abandoned(requests)) => {
            tracing::error!(requests, "stopped with requests in hand");
            ExitCode::FAILURE
        }
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error, as `ORX_LOG` says.
fn log() {
    let wanted = std::env::var(variable::LOG).ok().filter(|filter| !filter.is_empty());
    let parsed = wanted.as_deref().map(EnvFilter::try_new);
    let refused = parsed.as_ref().and_then(|filter| filter.as_ref().err().map(ToString::to_string));
    let filter = parsed.and_then(Result::ok).unwrap_or_else(|| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    if let Some(error) = refused {
        tracing::warn!(error, "ORX_LOG is not a log filter; `info` is used");
    }
}

/// What the arguments and variables come to.
fn settle(arguments: Arguments) -> Result<(Settings, PathBuf), NoPlace> {
    let places = || Places::resolve(|name| std::env::var(name).ok());
    let socket = match arguments.socket.filter(|path| !path.as_os_str().is_empty()) {
        Some(socket) => socket,
        None => places()?.socket,
    };
    let cache = match arguments.cache {
        Some(cache) => cache,
        None => places()?.home.join("index"),
    };
    let capacity = arguments.capacity.unwrap_or_else(|| arguments.role.capacity());
    Ok((Settings { socket, supervised: arguments.supervised, capacity }, cache))
}

fn run(service: Service, settings: Settings) -> anyhow::Result<End> {
    // One thread: a worker waits more than it works, and what works long runs on blocking threads.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let end = runtime.block_on(unix::serve(service, settings)).context("signals cannot be listened to")?;
    // Work of a request that nobody waits for any more must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(end)
}
