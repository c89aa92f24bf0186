//! An engine's server in the background, then the engine's interface in this process's place: the interface has the
//! session's terminal and process id from there on, the server is of the same tree.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use orx_protocol::launch::{ADDRESS, Ready, Serve, Served, file};
use orx_sandbox::{environment, file as files, spawn, tree};

use super::{LaunchError, located};

/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a server that did not come up may take to end.
const GRACE: Duration = Duration::from_millis(500);
/// How much of the server's output is searched for its address.
const SEARCHED: u64 = 1024 * 1024;
/// How much of its last words a failure quotes.
const LAST_WORDS: usize = 600;

/// Starts the server, waits until it answers, and becomes the interface; without a server, the engine as it is.
pub(super) fn serve(directory: &Path, serve: &Serve) -> Result<ExitCode, LaunchError> {
    let sockets = match &serve.ready {
        Ready::Socket(path) => Some(path),
        Ready::Line(_) => None,
    };
    for path in sockets.into_iter().chain(&serve.guarded) {
        remove_stale(Path::new(path));
    }
    let served = match start(directory, serve) {
        Ok(address) => Served { address: Some(address), failure: None },
        Err(why) => {
            // The daemon says it too; whoever looks at the terminal sees it here.
            let _ = writeln!(std::io::stderr(), "orx: no structured channel: {why}\r");
            Served { address: None, failure: Some(why) }
        }
    };
    let path = directory.join(file::SERVED);
    let text = serde_json::to_vec(&served).map_err(|source| LaunchError::Spec { path: path.clone(), source })?;
    files::replace(&path, &text).map_err(|source| LaunchError::File { path, source })?;
    let argv = match &served.address {
        Some(address) => serve.interface.iter().map(|argument| argument.replace(ADDRESS, address)).collect(),
        None => serve.alone.clone(),
    };
    become_program(&argv).map(|never| match never {})
}

/// Starts the server and gives its address, or says why there is none.
fn start(directory: &Path, serve: &Serve) -> Result<String, String> {
    let argv = located(&serve.server).map_err(|error| error.to_string())?;
    let log_path = directory.join(file::SERVER_LOG);
    let log = files::private_append(&log_path).map_err(|error| format!("{}: {error}", log_path.display()))?;
    let from = log.metadata().map_or(0, |metadata| metadata.len());
    let cwd = std::env::current_dir().map_err(|error| format!("the working directory: {error}"))?;
    let own = environment::own();
    let (mut child, server) = spawn::in_background(&argv, &cwd, &own, &log, true).map_err(|error| error.to_string())?;
    let until = Instant::now() + Duration::from_millis(serve.limit_ms);
    let mut address = wait(&mut child, "server", until, || answers(&serve.ready, &log_path, from));
    if let (Ok(_), Some(guarded), Ready::Socket(socket)) = (&address, &serve.guarded, &serve.ready) {
        address = guard(socket, guarded, &child, &log, until);
    }
    address.map_err(|why| {
        // The program may be a wrapper around the server.
        tree::end(|| server.map_or_else(Vec::new, tree::with_descendants), GRACE);
        let _ = child.wait();
        format!("{why}: {}", last_words(&log_path, from))
    })
}

/// Starts who stands before the server, and gives the address on which the server is reached from then on.
fn guard(server: &str, guarded: &str, process: &Child, log: &File, until: Instant) -> Result<String, String> {
    let own = std::env::current_exe().map_err(|error| format!("its own program: {error}"))?;
    let process = process.id().to_string();
    let words = ["guard", "--server", server, "--process", &process, "--listen", guarded].map(str::to_owned);
    let argv: Vec<String> = std::iter::once(own.to_string_lossy().into_owned()).chain(words).collect();
    let cwd = Path::new("/");
    let (mut child, guard) =
        spawn::in_background(&argv, cwd, &environment::own(), log, false).map_err(|error| error.to_string())?;
    let address = wait(&mut child, "server's guard", until, || connects(guarded));
    if address.is_err() {
        tree::end(|| guard.into_iter().collect(), GRACE);
        let _ = child.wait();
    }
    address
}

#[allow(clippy::disallowed_methods)] // A server that is not ours gives no event when it is ready.
fn wait(child: &mut Child, what: &str, until: Instant, answers: impl Fn() -> Option<String>) -> Result<String, String> {
    let begun = Instant::now();
    loop {
        if let Some(address) = answers() {
            return Ok(address);
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("its {what} ended at once ({status})"));
        }
        if Instant::now() >= until {
            return Err(format!("its {what} did not answer within {} ms", begun.elapsed().as_millis()));
        }
        std::thread::sleep(LOOK);
    }
}

fn answers(ready: &Ready, log: &Path, from: u64) -> Option<String> {
    match ready {
        Ready::Socket(path) => connects(path),
        Ready::Line(before) => {
            let text = output(log, from);
            // A line without its end may still grow.
            let whole = text.rsplit_once('\n').map(|(whole, _)| whole)?;
            let address = whole.split_once(before.as_str())?.1.split_whitespace().next()?;
            Some(address.to_owned())
        }
    }
}

fn connects(path: &str) -> Option<String> {
    UnixStream::connect(path).is_ok().then(|| format!("unix://{path}"))
}

fn output(log: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.take(SEARCHED).read_to_end(&mut bytes)
    });
    if read.is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn last_words(log: &Path, from: u64) -> String {
    let text = output(log, from);
    let text = text.trim();
    let start = text.len().saturating_sub(LAST_WORDS);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let words = text.get(start..).unwrap_or_default();
    if words.is_empty() { "it wrote nothing".to_owned() } else { words.replace('\n', "; ") }
}

/// A socket that a server before this one left; one that somebody listens on is left to the new server's complaint.
fn remove_stale(path: &Path) {
    if UnixStream::connect(path).is_err() {
        // That it is not there is the usual case.
        let _ = std::fs::remove_file(path);
    }
}

fn become_program(argv: &[String]) -> Result<Infallible, LaunchError> {
    let argv = located(argv)?;
    let (program, arguments) =
        argv.split_first().map_or((String::new(), &[][..]), |(first, rest)| (first.clone(), rest));
    let source = orx_sandbox::spawn::become_program(&program, arguments);
    Err(LaunchError::Exec { program, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn an_address_is_taken_from_a_whole_line_alone() {
        let ready = Ready::Line("listening on ".to_owned());
        let half = log("starting\nopencode server listening on http://127.0.0.1:40");
        assert_eq!(answers(&ready, half.path(), 0), None);
        let whole = log("starting\nopencode server listening on http://127.0.0.1:4096 (local)\n");
        assert_eq!(answers(&ready, whole.path(), 0).as_deref(), Some("http://127.0.0.1:4096"));
        assert_eq!(answers(&ready, whole.path(), 60), None, "what a server before it said does not count");
    }

    #[test]
    fn a_server_that_ends_is_quoted() {
        let scratch = tempfile::tempdir().unwrap();
        let serve = Serve {
            server: ["sh", "-c", "echo no such flag >&2; exit 3"].map(str::to_owned).to_vec(),
            ready: Ready::Socket(scratch.path().join("s").to_string_lossy().into_owned()),
            limit_ms: 20_000,
            guarded: None,
            interface: Vec::new(),
            alone: Vec::new(),
        };
        let why = start(scratch.path(), &serve).unwrap_err();
        assert!(why.contains("exit status: 3") && why.contains("no such flag"), "{why}");
    }
}
