//! Getting out of the starter's reach: a process of its own session that nobody waits for, which tells its starter in
//! one line how the start went.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, setsid};
use orx_protocol::hold::{Started, file};

/// Detaching failed.
#[derive(Debug, thiserror::Error)]
#[error("the holder could not detach itself: {what}: {source}")]
pub struct DetachError {
    what: &'static str,
    source: std::io::Error,
}

/// Which of the two processes goes on here.
#[derive(Debug)]
pub enum Side {
    /// The one that was started: it waits for the line and ends.
    Starter(Started),
    /// The holder: detached, with `holder.log` for its standard error.
    Holder(Report),
}

/// The way to tell the starter how the start went; the starter ends when this is told or dropped.
#[derive(Debug)]
pub struct Report {
    pipe: File,
}

impl Report {
    /// Tells it.
    pub fn send(mut self, started: &Started) {
        let line = serde_json::to_vec(started).unwrap_or_default();
        // A starter that is gone needs no answer.
        let _ = self.pipe.write_all(&line);
    }
}

/// Forks the holder away.
///
/// # Errors
/// When the kernel refuses a pipe or a process, or the log cannot be opened.
pub fn detach(directory: &Path) -> Result<Side, DetachError> {
    let failed = |what| move |source: std::io::Error| DetachError { what, source };
    let log = orx_sandbox::file::private_append(&directory.join(file::HOLDER_LOG)).map_err(failed("its log"))?;
    let null = File::options().read(true).write(true).open("/dev/null").map_err(failed("/dev/null"))?;
    let (read, write) = cloexec_pipe().map_err(failed("a pipe"))?;
    match fork_here().map_err(failed("fork"))? {
        ForkResult::Parent { child } => {
            drop(write);
            let _ = waitpid(child, None);
            Ok(Side::Starter(wait_for_line(read)))
        }
        ForkResult::Child => {
            drop(read);
            // From here on no error may be returned: the starter speaks for this process, which can only end.
            if setsid().is_err() {
                std::process::exit(1);
            }
            // The second fork gives up the leadership of the session, so that no terminal can become the holder's.
            match fork_here() {
                Ok(ForkResult::Child) => {}
                Ok(ForkResult::Parent { .. }) => std::process::exit(0),
                Err(_) => std::process::exit(1),
            }
            let report = Report { pipe: File::from(write) };
            match dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&log)) {
                Ok(()) => Ok(Side::Holder(report)),
                Err(errno) => {
                    report.send(&Started::Failed(format!("the holder could not take its log: {errno}")));
                    std::process::exit(1);
                }
            }
        }
    }
}

fn fork_here() -> std::io::Result<ForkResult> {
    // SAFETY: this process has one thread, so the child may go on as any program does.
    #[allow(unsafe_code)]
    let forked = unsafe { fork() };
    forked.map_err(std::io::Error::from)
}

fn cloexec_pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    let (read, write) = pipe()?;
    for end in [&read, &write] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    Ok((read, write))
}

fn wait_for_line(pipe: OwnedFd) -> Started {
    let mut line = Vec::new();
    let read = File::from(pipe).read_to_end(&mut line);
    match (read, serde_json::from_slice(&line)) {
        (Ok(_), Ok(started)) => started,
        _ => {
            Started::Failed(format!("the holder ended before the program ran; see {} of the session", file::HOLDER_LOG))
        }
    }
}
