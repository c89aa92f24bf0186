//! The first process of a session that has a structured channel: it starts the engine's server beside its interface, or
//! stands between an agent on pipes and whoever speaks to it. Being the session's own process, it is held, recorded and
//! ended like any other.
//!
//! What goes over a channel is not looked at here.

mod exchange;
#[cfg(target_os = "linux")]
mod guard;
mod relay;
mod serve;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use orx_protocol::launch::{LaunchSpec, file};
use orx_sandbox::{NotFound, SpawnError, descent};

use crate::link::socket::SocketError;

#[cfg(target_os = "linux")]
pub use guard::guard;

/// Exit status when nothing could be started: that of a shell for a command that cannot be run.
const NOT_STARTED: u8 = 126;
/// The name of a process that outlives holders.
const KEEPER: &str = "orx-keeper";

/// Why nothing runs.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("{path} cannot be used: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} does not say what to launch: {source}")]
    Spec { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("{program} could not be started: {source}")]
    Exec { program: String, source: std::io::Error },
    #[error("{what}: {source}")]
    System { what: &'static str, source: std::io::Error },
}

/// Launches what `launch.json` in the launcher's directory describes. Gives the exit status, unless another program took
/// this one's place.
#[must_use]
pub fn launch(directory: &Path) -> ExitCode {
    let launched = read(directory).and_then(|spec| match spec {
        LaunchSpec::Serve(serve) => serve::serve(directory, &serve),
        LaunchSpec::Relay(relay) => relay::relay(directory, &relay),
    });
    launched.unwrap_or_else(|error| {
        crate::journal::note(&error.to_string());
        ExitCode::from(NOT_STARTED)
    })
}

fn read(directory: &Path) -> Result<LaunchSpec, LaunchError> {
    let path = directory.join(file::SPEC);
    let text = std::fs::read(&path).map_err(|source| LaunchError::File { path: path.clone(), source })?;
    serde_json::from_slice(&text).map_err(|source| LaunchError::Spec { path, source })
}

/// The program's path in place of its name.
fn located(argv: &[String]) -> Result<Vec<String>, LaunchError> {
    let own = orx_sandbox::environment::own();
    let mut argv = argv.to_vec();
    if let Some(first) = argv.first_mut() {
        let program = orx_sandbox::find_program(first, own.get("PATH").map(String::as_str))?;
        *first = program.to_string_lossy().into_owned();
    }
    Ok(argv)
}

/// What holds the session whose first process this is: its processes become children of these when their own parents are
/// gone.
fn around(first: i32) -> Vec<i32> {
    let chain = descent::chain(first);
    let mut above = chain.iter().skip(1).map(|process| process.pid);
    let holder = above.next();
    holder.into_iter().chain(above.next().filter(|pid| descent::name(*pid).as_deref() == Some(KEEPER))).collect()
}
