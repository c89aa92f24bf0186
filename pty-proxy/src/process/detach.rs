//! Getting out of the starter's reach: a holder in a session of its own, below a keeper that nobody waits for, which tells
//! its starter in one line how the start went.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::ExitCode;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, setsid};
use orx_protocol::hold::{Started, file};
use orx_protocol::process::ProcessIdentity;
use orx_sandbox::identity;

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
    Holder(Detached),
    /// The keeper, whose holder ended: it ends too.
    Keeper(ExitCode),
}

/// A holder that got away.
#[derive(Debug)]
pub struct Detached {
    /// The way to tell the starter.
    pub report: Report,
    /// What started this.
    pub starter: Option<ProcessIdentity>,
    /// The link to the keeper, which is the parent; `None` where there is no keeper.
    pub link: Option<OwnedFd>,
    /// That keeper.
    pub keeper: Option<ProcessIdentity>,
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

/// Forks the holder away, below a keeper that keeps `lock` too.
///
/// # Errors
/// When the kernel refuses a pipe or a process, or the log cannot be opened.
pub fn detach(directory: &Path, lock: BorrowedFd<'_>) -> Result<Side, DetachError> {
    let failed = |what| move |source: std::io::Error| DetachError { what, source };
    let log = orx_sandbox::file::private_append(&directory.join(file::HOLDER_LOG)).map_err(failed("its log"))?;
    let null = File::options().read(true).write(true).open("/dev/null").map_err(failed("/dev/null"))?;
    let (read, write) = cloexec_pipe().map_err(failed("a pipe"))?;
    let starter = identity::own();
    match fork_here().map_err(failed("fork"))? {
        ForkResult::Parent { child } => {
            drop(write);
            let line = wait_for_line(read);
            // A child that ended without a word, as where there is no keeper, is collected; a keeper outlives this process.
            let _ = waitpid(child, Some(WaitPidFlag::WNOHANG));
            Ok(Side::Starter(line))
        }
        ForkResult::Child => {
            drop(read);
            // From here on no error may be returned: the starter speaks for this process, which can only end.
            if setsid().is_err() {
                std::process::exit(1);
            }
            let streams = dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&log));
            let report = Report { pipe: File::from(write) };
            if let Err(errno) = streams {
                report.send(&Started::Failed(format!("the holder could not take its log: {errno}")));
                std::process::exit(1);
            }
            drop((null, log));
            Ok(below_a_keeper(directory, lock, report, starter))
        }
    }
}

/// The second fork. It also gives up the leadership of the session, so that no terminal can become the holder's.
#[cfg(target_os = "linux")]
fn below_a_keeper(directory: &Path, lock: BorrowedFd<'_>, report: Report, starter: Option<ProcessIdentity>) -> Side {
    // As subreaper the keeper becomes the parent of what a dead holder leaves, and so learns how the program ends.
    let begun = super::child::adopt_orphans().and_then(|()| super::keeper::link());
    // Known from itself: a holder whose keeper was killed already has another parent, whose children are none of its own.
    let keeper = identity::own();
    let forked = begun.and_then(|ends| Ok((ends, fork_here()?)));
    match forked {
        Ok(((keepers, holders), ForkResult::Parent { child })) => {
            drop((holders, report));
            close_others(&[lock.as_raw_fd(), keepers.as_raw_fd()]);
            // The program may be replaced, and its directory taken away, while this goes on.
            let _ = std::env::set_current_dir("/");
            Side::Keeper(super::keeper::keep(directory, lock, keepers, child.as_raw()))
        }
        Ok(((keepers, holders), ForkResult::Child)) => {
            drop(keepers);
            Side::Holder(Detached { report, starter, link: Some(holders), keeper })
        }
        Err(error) => {
            report.send(&Started::Failed(format!("the holder could not be put below a keeper: {error}")));
            Side::Keeper(ExitCode::FAILURE)
        }
    }
}

/// Without subreapers a keeper would be of no use. Written for macOS and not tested there.
#[cfg(not(target_os = "linux"))]
fn below_a_keeper(_directory: &Path, _lock: BorrowedFd<'_>, report: Report, starter: Option<ProcessIdentity>) -> Side {
    match fork_here() {
        Ok(ForkResult::Child) => Side::Holder(Detached { report, starter, link: None, keeper: None }),
        Ok(ForkResult::Parent { .. }) => Side::Keeper(ExitCode::SUCCESS),
        Err(_) => Side::Keeper(ExitCode::FAILURE),
    }
}

/// Closes every descriptor but the standard streams and `wanted`.
pub fn close_others(wanted: &[RawFd]) {
    #[cfg(target_os = "linux")]
    let listing = "/proc/self/fd";
    #[cfg(not(target_os = "linux"))]
    let listing = "/dev/fd";
    let Ok(entries) = std::fs::read_dir(listing) else { return };
    let open: Vec<RawFd> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for number in open.into_iter().filter(|number| *number > 2 && !wanted.contains(number)) {
        // One of them was the listing's own and is closed already; that is refused and does no harm.
        let _ = nix::unistd::close(number);
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
