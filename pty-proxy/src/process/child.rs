//! Starting the program, on a terminal of its own or on pipes, and reaping what ended.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{Mode, umask};
use orx_protocol::hold::{HoldSpec, TerminalSize, file};
use orx_protocol::process::{Exit, ProcessIdentity};
use orx_sandbox::{environment, find_program, identity, spawn};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use super::confined::Entry;

/// What programs are told to be on, when nobody told them yet.
const TERMINAL_VARIABLES: [(&str, &str); 2] = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")];
/// The file mode mask that programs start with.
const USUAL_MASK: u32 = 0o022;
/// Bytes of a failed start's output that are shown.
const LAST_WORDS: usize = 1024;

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
#[derive(Debug)]
pub struct Terminal {
    /// The master, not blocking.
    pub master: File,
}

/// The outputs of a program on pipes, not blocking.
#[derive(Debug)]
pub struct Pipes {
    /// Standard output.
    pub output: File,
    /// Standard error.
    pub error: File,
}

impl From<OwnedFd> for Terminal {
    /// The terminal whose master another holder had.
    fn from(master: OwnedFd) -> Self {
        Self { master: File::from(master) }
    }
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
        let size = nix::libc::winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the descriptor is open and `size` is what this request reads.
        #[allow(unsafe_code)]
        let answer = unsafe { nix::libc::ioctl(self.master.as_raw_fd(), nix::libc::TIOCSWINSZ, &raw const size) };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
pub fn on_terminal(spec: &HoldSpec, size: TerminalSize, directory: &Path) -> Result<(Terminal, i32), StartError> {
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
    let entry = entry(spec, directory)?;
    let mut command = match &entry {
        Some(entry) => CommandBuilder::from_argv(entry.argv().iter().map(Into::into).collect()),
        None => CommandBuilder::new(program.as_os_str()),
    };
    if entry.is_none() {
        command.args(spec.argv.iter().skip(1));
    }
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
    let start = || {
        let started = pair.slave.spawn_command(command.clone());
        started.map_err(|error| error.downcast().unwrap_or_else(|error| io::Error::other(format!("{error:#}"))))
    };
    let child = with_usual_mask(|| spawn::once_written(start))
        .map_err(|error| StartError::Refused { program: name.to_owned(), why: error.to_string() })?;
    let pid = child.process_id().and_then(|pid| i32::try_from(pid).ok());
    let pid =
        pid.ok_or_else(|| StartError::Refused { program: name.to_owned(), why: "it has no process id".to_owned() })?;
    // The holder keeps no slave: the end of the output is seen when the last process closes its own.
    drop(pair.slave);
    entered(entry, pid, name, &master)?;
    Ok((Terminal { master }, pid))
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
    let entry = entry(spec, directory)?;
    if let Some(entry) = &entry {
        argv = entry.argv().to_vec();
    }
    let mut child = with_usual_mask(|| spawn::on_streams(&argv, Path::new(&spec.cwd), &own, streams))?;
    let refused = |why: &str| StartError::Refused { program: name.to_owned(), why: why.to_owned() };
    let output = child.stdout.take().ok_or_else(|| refused("it has no standard output"))?;
    let error = child.stderr.take().ok_or_else(|| refused("it has no standard error"))?;
    let pipes = Pipes { output: File::from(OwnedFd::from(output)), error: File::from(OwnedFd::from(error)) };
    for pipe in [&pipes.output, &pipes.error] {
        set_nonblocking(std::os::fd::AsFd::as_fd(pipe)).map_err(|error| refused(&error.to_string()))?;
    }
    let pid = i32::try_from(child.id()).map_err(|_| refused("its process id is out of range"))?;
    entered(entry, pid, name, &pipes.error)?;
    Ok((pipes, pid))
}

/// The way into the program's sandbox, where it has one.
fn entry(spec: &HoldSpec, directory: &Path) -> Result<Option<Entry>, StartError> {
    Entry::of(spec, directory).map_err(|source| StartError::File { name: "start.pipe", source })
}

/// Waits until the program is in its sandbox. What was written instead is part of the error.
fn entered(entry: Option<Entry>, pid: i32, name: &str, output: &File) -> Result<(), StartError> {
    let Some(entry) = entry else { return Ok(()) };
    entry.wait(pid).map_err(|why| {
        let mut said = vec![0; LAST_WORDS];
        let count = (&*output).read(&mut said).unwrap_or(0);
        let said = String::from_utf8_lossy(said.get(..count).unwrap_or_default()).trim().to_owned();
        let why = if said.is_empty() || said.contains(&why) { why } else { format!("{why}: {said}") };
        StartError::Refused { program: name.to_owned(), why }
    })
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

/// Reaps all that ended; gives which those were, and how they did.
#[must_use]
pub fn reap_all() -> Vec<(i32, Exit)> {
    let mut ended = Vec::new();
    loop {
        let mut status = 0;
        // SAFETY: `status` is valid for the call to write to. The safe wrapper loses processes that a real-time signal
        // ended, since it has no name for those.
        #[allow(unsafe_code)]
        let pid = unsafe { nix::libc::waitpid(-1, &raw mut status, nix::libc::WNOHANG) };
        if pid <= 0 {
            return ended;
        }
        ended.push((pid, spawn::exit(ExitStatus::from_raw(status))));
    }
}

/// Which process `pid` is: asked right after its start, when it cannot have been reaped yet.
#[must_use]
pub fn identity_of(pid: i32) -> ProcessIdentity {
    // A program that ended within the moment is a zombie with no identity; its pid alone is then all there is.
    identity::of(pid).unwrap_or(ProcessIdentity { pid, start_time: 0 })
}
