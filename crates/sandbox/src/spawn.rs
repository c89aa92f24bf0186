//! The one place where a command is put together, and the ways to start one.

use orx_protocol::process::{Exit, ProcessIdentity};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::environment::Environment;
use crate::{confine, descriptors, identity};

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No program was named.
    #[error("no program is named: the argument list is empty")]
    Empty,
    /// An argument or variable holds a zero byte, which no program can be given.
    #[error("{what} holds a zero byte, which cannot be handed to a program")]
    ZeroByte {
        /// Which argument or variable.
        what: String,
    },
    /// The working directory is not there.
    #[error("the working directory {path} cannot be used: {source}")]
    Directory {
        /// The directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel refused.
    #[error("{program} could not be started: {source}")]
    Refused {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The program ran and could not be waited for or read.
    #[error("{program} could not be watched: {source}")]
    Watch {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Largest core file of a child: none, since a core holds what the process knew.
const CORE_LIMIT: u64 = 0;

/// How often, and how many milliseconds apart, the start of a program that is just being written is tried: for 0.2 s in all.
const BUSY: (u32, u8) = (40, 5);

/// Tries a start again while the program's file is open for writing: an engine that updates itself is for a moment, and so
/// is what another thread has written while a third one was between its fork and its exec.
///
/// # Errors
/// What the last try gave.
pub fn once_written<T>(mut start: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    let (times, pause) = BUSY;
    for _ in 1..times {
        match start() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                // The kernel tells nobody when it no longer is; a signal may end the pause early.
                let _ = nix::poll::poll(&mut [], pause);
            }
            done => return done,
        }
    }
    start()
}

/// Puts a command together: exact environment, no core dumps.
fn command(argv: &[String], cwd: &Path, environment: &Environment) -> Result<Command, SpawnError> {
    let (program, arguments) = argv.split_first().ok_or(SpawnError::Empty)?;
    for (position, argument) in argv.iter().enumerate() {
        if argument.contains('\0') {
            return Err(SpawnError::ZeroByte { what: format!("argument {position}") });
        }
    }
    if let Some((name, _)) = environment.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(SpawnError::ZeroByte { what: format!("variable {}", name.replace('\0', "")) });
    }
    std::fs::read_dir(cwd).map_err(|source| SpawnError::Directory { path: cwd.display().to_string(), source })?;
    #[allow(clippy::disallowed_methods)] // This crate is where spawning lives.
    let mut command = Command::new(OsStr::new(program));
    command.args(arguments).current_dir(cwd).env_clear().envs(environment);
    // SAFETY: setrlimit is async-signal-safe (signal-safety(7)) and the closure touches no memory of the parent.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| {
            nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, CORE_LIMIT, CORE_LIMIT)
                .map_err(std::io::Error::from)
        });
    }
    Ok(command)
}

/// The same in a process group of its own, so that a signal to it reaches all it starts.
pub(crate) fn grouped(argv: &[String], cwd: &Path, environment: &Environment) -> Result<Command, SpawnError> {
    let mut command = command(argv, cwd, environment)?;
    command.process_group(0);
    Ok(command)
}

pub(crate) fn start(argv: &[String], mut command: Command) -> Result<Child, SpawnError> {
    let program = || argv.first().cloned().unwrap_or_default();
    once_written(|| command.spawn()).map_err(|source| SpawnError::Refused { program: program(), source })
}

/// Starts a program on the given streams. The caller reaps it.
///
/// # Errors
/// [`SpawnError`] when it cannot be started.
pub fn on_streams(
    argv: &[String],
    cwd: &Path,
    environment: &Environment,
    streams: [Stdio; 3],
) -> Result<Child, SpawnError> {
    let mut command = grouped(argv, cwd, environment)?;
    let [input, output, error] = streams;
    command.stdin(input).stdout(output).stderr(error);
    start(argv, command)
}

/// Becomes another program, with this process's environment, directory and open files. It comes back only with the reason
/// why it could not.
#[must_use]
pub fn become_program(program: &str, arguments: &[String]) -> std::io::Error {
    #[allow(clippy::disallowed_methods)] // This crate is where spawning lives.
    Command::new(program).args(arguments).exec()
}

/// Starts a program that outlives its starter: in a session of its own, with no terminal, writing to `log`. One that is to be
/// `apart` is kept, with all that it starts, from its starter's processes, as far as a sandbox around both allows; see
/// [`crate::confine::apart`].
///
/// # Errors
/// [`SpawnError`] when it cannot be started.
pub fn in_background(
    argv: &[String],
    cwd: &Path,
    environment: &Environment,
    log: &File,
    apart: bool,
) -> Result<(Child, Option<ProcessIdentity>), SpawnError> {
    let clone = || {
        log.try_clone().map(Stdio::from).map_err(|source| SpawnError::Refused { program: "the log".to_owned(), source })
    };
    let mut command = command(argv, cwd, environment)?;
    command.stdin(Stdio::null()).stdout(clone()?).stderr(clone()?);
    // SAFETY: setsid is async-signal-safe (signal-safety(7)) and the closure touches no memory of the parent.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(std::io::Error::from));
    }
    if apart {
        // SAFETY: who starts a program apart has one thread, so that no lock is held in the child by another; the closure
        // touches no memory of the parent.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(confine::apart);
        }
    }
    let child = start(argv, command)?;
    let process = i32::try_from(child.id()).ok().and_then(identity::of);
    Ok((child, process))
}

/// Starts a program under the tokio runtime, ended by force when the returned handle is dropped.
///
/// # Errors
/// [`SpawnError`] when it cannot be started.
pub fn supervised(
    argv: &[String],
    cwd: &Path,
    environment: &Environment,
    streams: [Stdio; 3],
) -> Result<tokio::process::Child, SpawnError> {
    supervised_with(argv, cwd, environment, streams, &[])
}

/// As [`supervised`], for a program that is handed open files: it finds these descriptors under the numbers that they have
/// here.
///
/// # Errors
/// [`SpawnError`] when it cannot be started.
pub fn supervised_with(
    argv: &[String],
    cwd: &Path,
    environment: &Environment,
    streams: [Stdio; 3],
    descriptors: &[BorrowedFd<'_>],
) -> Result<tokio::process::Child, SpawnError> {
    let mut command = grouped(argv, cwd, environment)?;
    let [input, output, error] = streams;
    command.stdin(input).stdout(output).stderr(error);
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: fcntl is async-signal-safe (signal-safety(7)); the closure reads memory of its own and changes none. The
    // descriptors are borrowed until after the start.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || {
            numbers.iter().try_for_each(|number| descriptors::pass_on(BorrowedFd::borrow_raw(*number), true))
        });
    }
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    once_written(|| command.spawn())
        .map_err(|source| SpawnError::Refused { program: argv.first().cloned().unwrap_or_default(), source })
}

/// How a process ended, from its wait status.
#[must_use]
pub fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    #[test]
    fn a_program_that_is_being_written_is_started_when_it_is_done() {
        let mut tries = 0;
        let started = once_written(|| {
            tries += 1;
            if tries < 3 { Err(Error::from(ErrorKind::ExecutableFileBusy)) } else { Ok(tries) }
        });
        assert_eq!(started.unwrap(), 3);
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("program");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let open = File::options().append(true).open(&program).unwrap();
        let argv = [program.display().to_string()];
        let start = || on_streams(&argv, scratch.path(), &Environment::new(), [(); 3].map(|()| Stdio::null()));
        let refused = start().unwrap_err();
        assert!(refused.to_string().contains("busy"), "{refused}");
        drop(open);
        assert!(start().unwrap().wait().unwrap().success());
    }
}
