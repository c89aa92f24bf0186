//! Threads that Codex's own server (`codex app-server daemon`) has loaded. They are joined as its interface joins them: by
//! another client of the server, in which they go on to run as they did.

use orx_channels::app_server;
use orx_engines::{Context, EngineKind};
use orx_protocol::api::adopt::{Candidate, Origin};
use orx_protocol::api::session::CreateParams;
use std::path::PathBuf;

use crate::sessions::outside::Outside;

/// Where the server listens, below Codex's home: what `codex app-server daemon version` (0.169.0) calls `socketPath`.
const SOCKET: &str = "app-server-control/app-server-control.sock";
/// What Codex's home is below the user's, where `CODEX_HOME` does not name it.
const HOME: &str = ".codex";

fn socket(engines: &Context) -> Option<PathBuf> {
    let named = |name: &str| engines.environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = named("CODEX_HOME").or_else(|| named("HOME").map(|home| home.join(HOME)))?;
    Some(home.join(SOCKET))
}

/// The threads; none where no server runs, or Codex is not installed.
pub(super) async fn list(engines: &Context) -> Result<Vec<Candidate>, String> {
    let Some(socket) = socket(engines).filter(|socket| socket.exists()) else { return Ok(Vec::new()) };
    if orx_engines::locate(EngineKind::Codex, engines).is_err() {
        return Ok(Vec::new());
    }
    let threads = match app_server::loaded_threads(&socket, env!("CARGO_PKG_VERSION")).await {
        Ok(threads) => threads,
        // What a server that ended left behind is no fault.
        Err(orx_channels::ChannelError::Unreachable { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    Ok(threads
        .into_iter()
        .map(|thread| {
            let about: Vec<String> =
                [thread.title, thread.status].into_iter().filter(|part| !part.is_empty()).collect();
            Candidate {
                origin: Origin::Agent,
                conversation: Some(thread.id.clone()),
                target: thread.id,
                engine: Some(EngineKind::Codex.name().to_owned()),
                cwd: thread.cwd,
                title: (!about.is_empty()).then(|| about.join(", ")),
                session: None,
            }
        })
        .collect())
}

/// Makes a wish for a session one that joins a thread.
pub(super) fn join(wanted: &mut CreateParams, thread: &Candidate, engines: &Context) -> Outside {
    let address = socket(engines).map_or_else(String::new, |socket| format!("unix://{}", socket.display()));
    wanted.argv = vec!["resume".to_owned(), thread.target.clone(), "--remote".to_owned(), address.clone()];
    Outside { conversation: Some(thread.target.clone()), address: Some(address) }
}

/// Whether a process was started to join a thread.
pub(super) fn joins(argv: &[String], thread: &str) -> bool {
    argv.windows(3)
        .any(|words| matches!(words, [one, name, last] if one == "resume" && name == thread && last == "--remote"))
}
