//! The start of a program that is confined or limited: it begins as this program, which puts itself into the sandbox and
//! then becomes the one that was asked for. How a sandbox is made belongs to `orx_sandbox::confine`.

use std::io::{self, Write};
use std::os::fd::RawFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use orx_protocol::hold::{HoldSpec, file};
use orx_sandbox::confine::{self, EnterError, Inside, StartLine};
use orx_sandbox::{identity, tree};

use super::keeping::own_program;

/// How long the way into a sandbox may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(30);
/// How a shell says that a program could not be started.
const NOT_STARTED: u8 = 126;

/// A program on its way into its sandbox.
#[derive(Debug)]
pub struct Entry {
    argv: Vec<String>,
    line: StartLine,
}

impl Entry {
    /// What is started in place of the program; `None` when it is neither confined nor limited.
    ///
    /// # Errors
    /// When the pipe for its answer cannot be made.
    pub fn of(spec: &HoldSpec, directory: &Path) -> io::Result<Option<Self>> {
        if spec.confinement.is_none() && spec.caps.is_none() {
            return Ok(None);
        }
        let line = StartLine::open(directory)?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let argv = vec![text(&own_program()), "confined".to_owned(), "--directory".to_owned(), text(directory)];
        Ok(Some(Self { argv, line }))
    }

    /// Program and arguments.
    #[must_use]
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// Waits until the process with `pid` became the program; one that did not is ended.
    ///
    /// # Errors
    /// A sentence that says why it did not.
    pub fn wait(self, pid: i32) -> Result<(), String> {
        let started = identity::of(pid);
        let outcome = self.line.wait(|| started.is_some_and(identity::is_alive), LIMIT);
        if outcome.is_err()
            && let Some(process) = started
        {
            tree::end(|| tree::with_descendants(process), Duration::ZERO);
        }
        outcome
    }
}

/// Puts this process into the sandbox of the session in `directory` and makes it the session's program.
#[must_use]
pub fn enter(directory: &Path) -> ExitCode {
    let spec: Result<HoldSpec, io::Error> = std::fs::read(directory.join(file::SPEC))
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other));
    match spec {
        Ok(spec) => say(&confine::enter(&spec, directory)),
        Err(error) => not_started(&format!("{} cannot be read: {error}", file::SPEC)),
    }
}

/// The second step, inside the namespaces of bubblewrap.
#[must_use]
pub fn inside(report: RawFd, gateway: Option<(RawFd, u16)>, argv: Vec<String>) -> ExitCode {
    say(&confine::inside(Inside { report, gateway, argv }))
}

fn say(error: &EnterError) -> ExitCode {
    not_started(&error.to_string())
}

fn not_started(why: &str) -> ExitCode {
    // Its standard error is the session's output.
    let _ = writeln!(io::stderr(), "orx: {why}");
    ExitCode::from(NOT_STARTED)
}
