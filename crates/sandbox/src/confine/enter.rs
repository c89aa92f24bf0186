//! Carrying a plan out: the process that a holder started confines itself and becomes the program. With bubblewrap that
//! happens in two steps, outside and inside its namespaces.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, getpid, setpgid, setsid, tcsetpgrp};
use orx_protocol::api::confinement::{Confinement, Mechanism};
use orx_protocol::hold::HoldSpec;

use super::bubblewrap::{self, Sort};
use super::gateway;
use super::start::Report;
use crate::{NotFound, descriptors, environment, find_program, limits, spawn};

/// The program was not started.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// It is not there.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// A limit could not be set.
    #[error(transparent)]
    Limit(#[from] limits::LimitError),
    /// The sandbox could not be made.
    #[error("its sandbox could not be made: {what}: {source}")]
    Sandbox {
        /// The step that failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused it.
    #[error("{program} could not be started in its sandbox: {source}")]
    Refused {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
}

fn step(what: &'static str) -> impl FnOnce(io::Error) -> EnterError {
    move |source| EnterError::Sandbox { what, source }
}

/// Confines this process as `spec` says and makes it the program. Returns only when that failed; the holder was told then.
#[must_use]
pub fn enter(spec: &HoldSpec, directory: &Path) -> EnterError {
    let mut report = match Report::open(directory).map_err(step("the holder's pipe")) {
        Ok(report) => report,
        Err(error) => return error,
    };
    let error = match outside(spec, &mut report) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    report.failed(&error.to_string());
    error
}

/// A value that there never is.
enum Never {}

fn outside(spec: &HoldSpec, report: &mut Report) -> Result<Never, EnterError> {
    let name = spec.argv.first().map(String::as_str).unwrap_or_default();
    let program = find_program(name, environment::own().get("PATH").map(String::as_str))?;
    if let Some(caps) = &spec.caps {
        limits::apply(caps)?;
    }
    let mut argv = spec.argv.clone();
    if let Some(first) = argv.first_mut() {
        *first = program.to_string_lossy().into_owned();
    }
    match &spec.confinement {
        Some(plan) if plan.mechanism == Mechanism::Bubblewrap => namespaces(spec, plan, &argv, report),
        Some(plan) if plan.mechanism == Mechanism::Landlock => {
            landlocked(plan)?;
            report.ready();
            become_program(&argv)
        }
        Some(_) | None => {
            report.ready();
            become_program(&argv)
        }
    }
}

#[cfg(target_os = "linux")]
fn landlocked(plan: &Confinement) -> Result<(), EnterError> {
    // With it, a program of root gains nothing by being root; and no later program can take it back.
    if nix::unistd::geteuid().is_root() {
        let bits = nix::libc::SECBIT_NOROOT | nix::libc::SECBIT_NOROOT_LOCKED;
        // SAFETY: prctl with these arguments touches no memory.
        #[allow(unsafe_code)]
        let set = unsafe { nix::libc::prctl(nix::libc::PR_SET_SECUREBITS, bits) };
        if set != 0 {
            return Err(step("giving up root's rights")(io::Error::last_os_error()));
        }
    }
    super::landlock::restrict(plan).map_err(|error| step("Landlock")(io::Error::other(error)))
}

#[cfg(not(target_os = "linux"))]
fn landlocked(_: &Confinement) -> Result<(), EnterError> {
    Err(step("Landlock")(io::Error::from(io::ErrorKind::Unsupported)))
}

#[cfg(target_os = "linux")]
fn scopes() -> Result<(), EnterError> {
    super::landlock::restrict_scopes().map_err(|error| step("Landlock's scopes")(io::Error::other(error)))
}

#[cfg(not(target_os = "linux"))]
const fn scopes() -> Result<(), EnterError> {
    Ok(())
}

/// Keeps this process, and what it becomes and starts, from the session's other processes: none of them can be looked into or
/// signalled from here. Only in a sandbox, since a program of the user's own may need to become another user; and
/// only where the kernel knows how (Landlock 6, Linux 6.12).
///
/// # Errors
/// When the kernel refuses.
#[cfg(target_os = "linux")]
pub fn apart() -> io::Result<()> {
    if nix::sys::prctl::get_no_new_privs()? {
        super::landlock::restrict_scopes().map_err(io::Error::other)?;
    }
    Ok(())
}

/// There is nothing of the kind here.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub const fn apart() -> io::Result<()> {
    Ok(())
}

/// Becomes bubblewrap, which starts this program again inside; see [`inside`].
fn namespaces(spec: &HoldSpec, plan: &Confinement, argv: &[String], report: &Report) -> Result<Never, EnterError> {
    let own = std::env::current_exe().map_err(step("its own program"))?;
    let mut words = vec![plan.bubblewrap.clone()];
    words.extend(bubblewrap::arguments(plan, &spec.cwd, sort));
    words.extend(["--".to_owned(), own.to_string_lossy().into_owned(), "inside".to_owned()]);
    let pass = || step("passing a descriptor on");
    descriptors::pass_on(report.pipe().as_fd(), true).map_err(pass())?;
    words.extend(["--report".to_owned(), report.pipe().as_raw_fd().to_string()]);
    let passed = match plan.gateway_port {
        None => None,
        Some(port) => {
            let passed = gateway(port, report)?;
            descriptors::pass_on(passed.as_fd(), true).map_err(pass())?;
            words.extend(["--gateway".to_owned(), format!("{}:{port}", passed.as_raw_fd())]);
            Some(passed)
        }
    };
    words.push("--".to_owned());
    words.extend(argv.iter().cloned());
    let never = become_program(&words);
    drop(passed);
    never
}

/// What a path is now. A link is left alone: what it leads to is dealt with at its own place.
fn sort(path: &str) -> Sort {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Sort::Missing,
        Ok(metadata) if metadata.is_dir() => Sort::Directory,
        Ok(_) => Sort::Other,
        Err(_) => Sort::Missing,
    }
}

/// Starts the process that carries connections out of a closed network; gives the way to hand it the socket.
fn gateway(port: u16, report: &Report) -> Result<UnixStream, EnterError> {
    let failed = || step("the way to the gateway");
    let (near, far) = UnixStream::pair().map_err(failed())?;
    // SAFETY: this process has one thread, so nothing is left half done in the child.
    #[allow(unsafe_code)]
    match unsafe { fork() }.map_err(|errno| failed()(errno.into()))? {
        ForkResult::Parent { .. } => Ok(near),
        ForkResult::Child => {
            drop(near);
            // The holder waits for the end of this pipe, which this process must not hold up.
            let _ = nix::unistd::close(report.pipe().as_raw_fd());
            carry(&far, port);
            std::process::exit(0)
        }
    }
}

/// The carrier: out of the terminal's reach, and gone with its starter.
fn carry(inside: &UnixStream, port: u16) {
    // What fails here leaves the session without its gateway, which the engine reports in its own words.
    let _ = setsid();
    #[cfg(target_os = "linux")]
    let _ = (
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL),
        nix::sys::prctl::set_dumpable(false),
        nix::sys::prctl::set_no_new_privs(),
    );
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = (nix::unistd::dup2_stdin(&null), nix::unistd::dup2_stdout(&null), nix::unistd::dup2_stderr(&null));
    }
    let _ = gateway::carry(inside, port);
}

/// What bubblewrap hands on to the second step.
#[derive(Debug)]
pub struct Inside {
    /// The pipe to the holder.
    pub report: RawFd,
    /// The way to the gateway's carrier, and its port.
    pub gateway: Option<(RawFd, u16)>,
    /// Program and arguments.
    pub argv: Vec<String>,
}

/// The second step: inside the namespaces, this process becomes the program. Returns only when that failed.
#[must_use]
pub fn inside(handed: Inside) -> EnterError {
    let mut report = match descriptors::inherited(handed.report) {
        Ok(pipe) => Report::inherited(File::from(pipe)),
        Err(error) => return step("the holder's pipe")(error),
    };
    let error = match prepare(&handed) {
        Ok(()) => {
            report.ready();
            match become_program(&handed.argv) {
                Ok(never) => match never {},
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    report.failed(&error.to_string());
    error
}

fn prepare(handed: &Inside) -> Result<(), EnterError> {
    if let Some((descriptor, port)) = handed.gateway {
        let out = descriptors::inherited(descriptor).map_err(step("the way to the gateway"))?;
        let out = UnixStream::from(out);
        gateway::offer(&out, port).map_err(step("the gateway's port"))?;
    }
    lead_the_terminal();
    scopes()
}

/// Makes the program the terminal's foreground group, by which it is found; bubblewrap stays behind in its own.
fn lead_the_terminal() {
    let input = io::stdin();
    if !input.is_terminal() {
        return;
    }
    let mut own = SigSet::empty();
    own.add(Signal::SIGTTOU);
    let mut before = SigSet::empty();
    // Without it the program shares bubblewrap's group, and works all the same.
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&own), Some(&mut before));
    if setpgid(Pid::from_raw(0), Pid::from_raw(0)).is_ok() {
        let _ = tcsetpgrp(&input, getpid());
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
}

fn become_program(argv: &[String]) -> Result<Never, EnterError> {
    let (program, arguments) = argv.split_first().ok_or_else(|| EnterError::Refused {
        program: "the program".to_owned(),
        source: io::Error::from(io::ErrorKind::NotFound),
    })?;
    let source = spawn::become_program(program, arguments);
    Err(EnterError::Refused { program: program.clone(), source })
}
