//! Starting the program: on a terminal of its own, or on pipes; and signalling and reaping its tree.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use orx_protocol::hold::{HoldSpec, TerminalSize, file};
use orx_protocol::process::{Exit, ProcessIdentity};
use orx_sandbox::{environment, find_program, identity, spawn, tree};
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

/// What programs are told to be on, when nobody told them yet.
const TERMINAL_VARIABLES: [(&str, &str); 2] = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")];
/// The file mode mask that programs start with.
const USUAL_MASK: u32 = 0o022;
/// How often a tree that is held still is looked at for processes that were just started: a fork bomb is not raced.
const PAUSE_ROUNDS: usize = 16;

/// The program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It is not there.
    #[error(transparent)]
    NotFound(#[from] orx_sandbox::NotFound),
    /// The working directory is not there.
    #[error("the working directory {path} cannot be used: {why}")]
    Directory {
        /// The directory.
        path: String,
        /// Why.
        why: String,
    },
    /// Its terminal could not be made.
    #[error("a terminal could not be made: {0}")]
    Terminal(String),
    /// The kernel refused.
    #[error("{program} could not be started: {why}")]
    Refused {
        /// The program.
        program: String,
        /// Why.
        why: String,
    },
    /// On pipes, it could not be started.
    #[error(transparent)]
    Spawn(#[from] orx_sandbox::SpawnError),
    /// A file of the session could not be used.
    #[error("{name} of the session cannot be used: {source}")]
    File {
        /// The file's name.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// The terminal of a program, from its master's side.
pub struct Terminal {
    pty: Box<dyn MasterPty + Send>,
    /// The master, not blocking.
    pub master: File,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("master", &self.master).finish_non_exhaustive()
    }
}

/// The outputs of a program on pipes, not blocking.
#[derive(Debug)]
pub struct Pipes {
    /// Standard output.
    pub output: File,
    /// Standard error.
    pub error: File,
}

/// Sets a descriptor to give `WouldBlock` instead of waiting.
fn set_nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

fn pty_size(size: TerminalSize) -> PtySize {
    PtySize { rows: size.rows, cols: size.cols, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// Gives the terminal another size; the kernel tells the program.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn resize(&self, size: TerminalSize) -> io::Result<()> {
        self.pty.resize(pty_size(size)).map_err(|error| io::Error::other(error.to_string()))
    }
}

/// Runs `start` with the file mode mask that programs expect.
fn with_usual_mask<T>(start: impl FnOnce() -> T) -> T {
    let before = umask(Mode::from_bits_truncate(USUAL_MASK));
    let result = start();
    umask(before);
    result
}

fn check_directory(cwd: &str) -> Result<(), StartError> {
    std::fs::read_dir(cwd)
        .map(|_| ())
        .map_err(|error| StartError::Directory { path: cwd.to_owned(), why: error.to_string() })
}

/// Starts the program on a terminal of `size`; gives the terminal and the process id.
///
/// # Errors
/// [`StartError`] naming what is missing.
pub fn on_terminal(spec: &HoldSpec, size: TerminalSize) -> Result<(Terminal, i32), StartError> {
    let own = environment::own();
    let name = spec.argv.first().map(String::as_str).unwrap_or_default();
    let program = find_program(name, own.get("PATH").map(String::as_str))?;
    check_directory(&spec.cwd)?;
    let unmade = |error: &dyn std::fmt::Display| StartError::Terminal(error.to_string());
    let pair = native_pty_system().openpty(pty_size(size)).map_err(|error| unmade(&error))?;
    let descriptor = pair.master.as_raw_fd().ok_or_else(|| unmade(&"it has no descriptor"))?;
    // SAFETY: `pair.master` owns the descriptor and outlives this borrow.
    #[allow(unsafe_code)]
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let master = File::from(borrowed.try_clone_to_owned().map_err(|error| unmade(&error))?);
    set_nonblocking(borrowed).map_err(|error| unmade(&error))?;
    let mut command = CommandBuilder::new(program.as_os_str());
    command.args(spec.argv.iter().skip(1));
    command.cwd(&spec.cwd);
    command.env_clear();
    for (name, value) in &own {
        command.env(name, value);
    }
    for (name, value) in TERMINAL_VARIABLES {
        if !own.contains_key(name) {
            command.env(name, value);
        }
    }
    let child = with_usual_mask(|| pair.slave.spawn_command(command))
        .map_err(|error| StartError::Refused { program: name.to_owned(), why: format!("{error:#}") })?;
    let pid = child.process_id().and_then(|pid| i32::try_from(pid).ok());
    let pid =
        pid.ok_or_else(|| StartError::Refused { program: name.to_owned(), why: "it has no process id".to_owned() })?;
    // The holder keeps no slave: the end of the output is seen when the last process closes its own.
    drop(pair.slave);
    Ok((Terminal { pty: pair.master, master }, pid))
}

/// Starts the program on pipes; gives their ends and the process id.
///
/// # Errors
/// [`StartError`] naming what is missing.
pub fn on_pipes(spec: &HoldSpec, directory: &Path) -> Result<(Pipes, i32), StartError> {
    let own = environment::own();
    let name = spec.argv.first().map(String::as_str).unwrap_or_default();
    let mut argv = spec.argv.clone();
    if let Some(first) = argv.first_mut() {
        *first = find_program(name, own.get("PATH").map(String::as_str))?.to_string_lossy().into_owned();
    }
    let input = if spec.feed_input {
        let opened = File::open(directory.join(file::INPUT));
        Stdio::from(opened.map_err(|source| StartError::File { name: file::INPUT, source })?)
    } else {
        Stdio::null()
    };
    let streams = [input, Stdio::piped(), Stdio::piped()];
    let mut child = with_usual_mask(|| spawn::on_streams(&argv, Path::new(&spec.cwd), &own, streams))?;
    let refused = |why: &str| StartError::Refused { program: name.to_owned(), why: why.to_owned() };
    let output = child.stdout.take().ok_or_else(|| refused("it has no standard output"))?;
    let error = child.stderr.take().ok_or_else(|| refused("it has no standard error"))?;
    let pipes = Pipes {
        output: File::from(std::os::fd::OwnedFd::from(output)),
        error: File::from(std::os::fd::OwnedFd::from(error)),
    };
    for pipe in [&pipes.output, &pipes.error] {
        set_nonblocking(std::os::fd::AsFd::as_fd(pipe)).map_err(|error| refused(&error.to_string()))?;
    }
    let pid = i32::try_from(child.id()).map_err(|_| refused("its process id is out of range"))?;
    Ok((pipes, pid))
}

/// Makes processes whose parent ended children of this one, so that none of the tree is lost sight of.
///
/// # Errors
/// When the kernel refuses.
#[cfg(target_os = "linux")]
pub fn adopt_orphans() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true).map_err(io::Error::from)
}

/// macOS has no such thing: there, processes that leave both their parent and their group are lost sight of. Written
/// for macOS and not tested there.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

/// The living processes of the tree.
#[must_use]
pub fn members(own_pid: i32) -> Vec<ProcessIdentity> {
    tree::descendants(own_pid)
}

/// Asks every process of the tree to end.
pub fn ask_to_end(own_pid: i32) {
    for process in members(own_pid) {
        // A shell ends on the hang-up of its terminal, most else on SIGTERM; a stopped one needs to run to do so.
        for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGCONT] {
            tree::signal(process, signal);
        }
    }
}

/// Holds every process of the tree still, also those that were started while the others were told.
pub fn pause(own_pid: i32) {
    let mut told = Vec::new();
    for _ in 0..PAUSE_ROUNDS {
        let fresh: Vec<_> = members(own_pid).into_iter().filter(|process| !told.contains(process)).collect();
        if fresh.is_empty() {
            return;
        }
        for process in &fresh {
            tree::signal(*process, Signal::SIGSTOP);
        }
        told.extend(fresh);
    }
}

/// Lets every process of the tree go on.
pub fn go_on(own_pid: i32) {
    for process in members(own_pid) {
        tree::signal(process, Signal::SIGCONT);
    }
}

/// Kills every process of the tree.
pub fn kill(own_pid: i32) {
    for process in members(own_pid) {
        tree::signal(process, Signal::SIGKILL);
    }
}

/// Reaps all that ended; gives how `pid` did, when it is among them.
#[must_use]
pub fn reap(pid: i32) -> Option<Exit> {
    let mut found = None;
    loop {
        let mut status = 0;
        // SAFETY: `status` is valid for the call to write to. The safe wrapper loses processes that a real-time signal
        // ended, since it has no name for those.
        #[allow(unsafe_code)]
        let ended = unsafe { nix::libc::waitpid(-1, &raw mut status, nix::libc::WNOHANG) };
        if ended <= 0 {
            return found;
        }
        if ended == pid {
            found = Some(spawn::exit(ExitStatus::from_raw(status)));
        }
    }
}

/// Which process `pid` is: asked right after its start, when it cannot have been reaped yet.
#[must_use]
pub fn identity_of(pid: i32) -> ProcessIdentity {
    // A program that ended within the moment is a zombie with no identity; its pid alone is then all there is.
    identity::of(pid).unwrap_or(ProcessIdentity { pid, start_time: 0 })
}
