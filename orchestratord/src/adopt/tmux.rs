//! Panes of tmux: listed from every server of the operator's, and mirrored by a process of ours that types into them and
//! shows what they show.

use orx_engines::{Context, EngineKind};
use orx_protocol::api::adopt::{AdoptParams, Candidate, Origin};
use orx_protocol::api::confinement::{SandboxMode, SandboxParams};
use orx_protocol::api::session::Session;
use orx_protocol::hold::TerminalSize;
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_sandbox::environment::{self, Environment};
use orx_sandbox::{Program, capture, find_program, identity, tree};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::daemon::Daemon;
use crate::sessions::confine::Wish;
use crate::sessions::create::Plan;
use crate::sessions::outside::Outside;

/// How long tmux may take to list its panes.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes of its answer.
const OUTPUT: usize = 1024 * 1024;
/// What is asked of each pane; the path is last, since it may hold anything.
const FORMAT: &str = "#{pane_id} #{pane_pid} #{pane_width} #{pane_height} #{pane_dead} #{session_name}:#{window_index} #{pane_current_path}";
/// A program of orx's that looks like tmux to nobody.
const MIRROR: &str = "mirror";

/// A pane as tmux tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pane {
    socket: String,
    id: String,
    pid: i32,
    size: TerminalSize,
    place: String,
    cwd: String,
}

impl Pane {
    fn target(&self) -> String {
        format!("{}:{}", self.socket, self.id)
    }
}

/// Whether a session mirrors this pane.
pub(super) fn shows(session: &Session, target: &str) -> bool {
    let Some((socket, pane)) = target.rsplit_once(':') else { return false };
    let argument = |name: &str| {
        let at = session.argv.iter().position(|argument| argument == name)?;
        session.argv.get(at + 1).map(String::as_str)
    };
    session.argv.get(1).is_some_and(|word| word == MIRROR)
        && argument("--pane") == Some(pane)
        && argument("--socket") == Some(socket)
}

/// All panes; none where tmux is not installed or does not run.
pub(super) async fn panes(engines: &Context) -> Result<Vec<Candidate>, String> {
    let panes = list(&engines.environment).await?;
    let looking = tokio::task::spawn_blocking(move || {
        panes.into_iter().map(|pane| (engine_of(pane.pid), pane)).collect::<Vec<_>>()
    });
    let panes = looking.await.map_err(|error| error.to_string())?;
    Ok(panes
        .into_iter()
        .map(|(engine, pane)| Candidate {
            origin: Origin::Tmux,
            target: pane.target(),
            engine: Some(engine.name().to_owned()),
            cwd: pane.cwd.clone(),
            title: Some(pane.place),
            session: None,
            conversation: None,
        })
        .collect())
}

async fn list(operator: &Environment) -> Result<Vec<Pane>, String> {
    let Ok(tmux) = find_program("tmux", operator.get("PATH").map(String::as_str)) else { return Ok(Vec::new()) };
    let mut panes = Vec::new();
    for socket in sockets(operator) {
        let program = Program {
            argv: vec![
                tmux.to_string_lossy().into_owned(),
                "-S".to_owned(),
                socket.to_string_lossy().into_owned(),
                "list-panes".to_owned(),
                "-a".to_owned(),
                "-F".to_owned(),
                FORMAT.to_owned(),
            ],
            cwd: PathBuf::from("/"),
            environment: environment::base(operator),
            input: None,
            deadline: LIMIT,
            output_limit: OUTPUT,
        };
        // A socket whose server is gone is no fault.
        let listed = capture(program).await.map_err(|error| error.to_string())?;
        if listed.is_success() {
            let text = listed.stdout_text();
            panes.extend(text.lines().filter_map(|line| read(&socket.to_string_lossy(), line)));
        }
    }
    Ok(panes)
}

/// The sockets of the operator's servers.
fn sockets(operator: &Environment) -> Vec<PathBuf> {
    let base = operator.get("TMUX_TMPDIR").map_or("/tmp", String::as_str);
    let directory = Path::new(base).join(format!("tmux-{}", nix::unistd::getuid()));
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut sockets: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    sockets.sort();
    sockets
}

fn read(socket: &str, line: &str) -> Option<Pane> {
    let mut words = line.splitn(7, ' ');
    let id = words.next().filter(|id| id.starts_with('%'))?.to_owned();
    let pid = words.next()?.parse().ok()?;
    let size = TerminalSize { cols: words.next()?.parse().ok()?, rows: words.next()?.parse().ok()? };
    if words.next()? == "1" {
        return None;
    }
    let place = words.next()?.to_owned();
    Some(Pane { socket: socket.to_owned(), id, pid, size, place, cwd: words.next().unwrap_or("/").to_owned() })
}

/// The engine that runs in a pane, by the names of its processes.
fn engine_of(pid: i32) -> EngineKind {
    let processes = identity::of(pid).map(tree::with_descendants).unwrap_or_default();
    let names: Vec<String> =
        processes.iter().filter_map(|process| tree::command_line(process.pid)).flat_map(program_names).collect();
    EngineKind::ALL
        .into_iter()
        .find(|kind| kind.program().is_some_and(|program| names.iter().any(|name| name == program)))
        .unwrap_or(EngineKind::Command)
}

/// The names under which a program may be known: its own, and that of the script that an interpreter runs.
fn program_names(line: Vec<String>) -> Vec<String> {
    let name = |word: &String| Path::new(word).file_name().map(|name| name.to_string_lossy().into_owned());
    line.iter().take(2).filter(|word| !word.starts_with('-')).filter_map(name).collect()
}

/// The plan of a session that mirrors a pane.
pub(super) async fn plan(daemon: &Daemon, params: &AdoptParams, engines: &Context) -> Result<Plan, RpcError> {
    let panes = list(&engines.environment).await.map_err(|why| RpcError::new(ErrorKind::Upstream, why))?;
    let fits = |pane: &&Pane| pane.target() == params.target || pane.id == params.target;
    let mut fitting = panes.iter().filter(fits);
    let (pane, other) = (fitting.next(), fitting.next());
    let Some(pane) = pane else {
        let why = format!("there is no pane {} of tmux", params.target);
        return Err(RpcError::new(ErrorKind::NotFound, why).with_hint("`session.adoptable` lists them"));
    };
    if other.is_some() {
        return Err(super::invalid(format!(
            "`target`: several servers have a pane {}; give <socket>:{}",
            pane.id, pane.id
        )));
    }
    let pid = pane.pid;
    let engine = match &params.engine {
        Some(name) => name.parse::<EngineKind>().map_err(super::invalid)?,
        None => tokio::task::spawn_blocking(move || engine_of(pid)).await.unwrap_or(EngineKind::Command),
    };
    let argv = vec![
        daemon.sessions.holder_program().to_string_lossy().into_owned(),
        MIRROR.to_owned(),
        "--socket".to_owned(),
        pane.socket.clone(),
        "--pane".to_owned(),
        pane.id.clone(),
    ];
    Ok(Plan {
        session: SessionId::generate(),
        engine: engine.name().to_owned(),
        argv,
        confined_argv: None,
        cwd: if Path::new(&pane.cwd).is_dir() { pane.cwd.clone() } else { "/".to_owned() },
        environment: environment::base(&engines.environment),
        input: None,
        terminal: Some(pane.size.clamped()),
        title: params.title.clone().or_else(|| Some(format!("tmux {}", pane.place))),
        owner: None,
        deadline: None,
        priority: orx_protocol::life::Priority::default(),
        conversation: None,
        // What runs in the pane runs as it did; the mirror itself does nothing but speak to tmux.
        wish: Wish {
            sandbox: SandboxParams { mode: Some(SandboxMode::Off), ..SandboxParams::default() },
            ..Wish::default()
        },
        confined: None,
        channel: None,
        outside: Some(Outside::default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_is_read_whatever_its_directory_is_called() {
        let pane = read("/tmp/s", "%3 42 80 24 0 work:1 /a dir/with blanks").unwrap();
        assert_eq!((pane.target().as_str(), pane.cwd.as_str(), pane.pid), ("/tmp/s:%3", "/a dir/with blanks", 42));
        assert_eq!(read("/tmp/s", "%3 42 80 24 1 work:1 /"), None, "a dead pane");
        assert_eq!(read("/tmp/s", "no server running"), None);
    }

    #[test]
    fn a_program_is_known_by_its_own_name_and_by_its_script_s() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(program_names(words("/usr/bin/node /opt/bin/codex --flag")), ["node", "codex"]);
        assert_eq!(program_names(words("claude -p")), ["claude"]);
    }
}
