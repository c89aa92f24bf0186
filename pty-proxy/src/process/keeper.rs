//! The keeper: the small parent of a session's holder. It keeps the program's terminal and the session's socket open and
//! reaps what loses its parent, so that a holder that was killed costs nothing: it starts another, which goes on.
//!
//! It reads no output and answers nobody. What the two say to each other is in [`super::keeping`].

use std::ffi::CString;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::ForkResult;
use orx_protocol::hold::{HAND_OVER_VERSION, HandOver};
use orx_protocol::process::Exit;
use orx_sandbox::{descriptors, identity, tree};

use super::child;
use super::keeping::{Kept, MESSAGE, Reaped, arguments};
use crate::journal;

/// Deaths of holders that are further back than this do not count.
const RECENT: Duration = Duration::from_secs(60);
/// Holders that died recently and are replaced at once; further ones wait, each twice as long as the one before.
const AT_ONCE: usize = 3;
/// The first wait.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Grace of what a session left behind that nobody can hold any more.
const GRACE: Duration = Duration::from_secs(1);

/// A new link: the keeper's end and the holder's.
///
/// # Errors
/// As `socketpair(2)`.
pub fn link() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// What a keeper has in hand.
#[derive(Debug)]
struct Keeper<'a> {
    directory: &'a Path,
    lock: BorrowedFd<'a>,
    link: OwnedFd,
    /// The present holder; `None` once one ended in order.
    holder: Option<i32>,
    kept: Option<(Kept, Vec<OwnedFd>)>,
    exit: Option<Exit>,
    deaths: Deaths,
}

/// When holders died.
#[derive(Debug, Default)]
struct Deaths {
    recent: Vec<Instant>,
    /// Whether the present holder said what to keep, which is once it holds the session.
    served: bool,
    /// Holders in a row that died before they did.
    failed: usize,
}

impl Deaths {
    /// A holder died at `now`; gives how long the next one waits.
    fn count(&mut self, now: Instant) -> Duration {
        self.recent.retain(|at| now.saturating_duration_since(*at) < RECENT);
        self.recent.push(now);
        self.failed = if std::mem::take(&mut self.served) { 0 } else { self.failed + 1 };
        let beyond = self.recent.len().saturating_sub(AT_ONCE);
        match u32::try_from(beyond) {
            Ok(0) => Duration::ZERO,
            Ok(beyond) => FIRST_WAIT.saturating_mul(1 << (beyond - 1).min(16)).min(LONGEST_WAIT),
            Err(_) => LONGEST_WAIT,
        }
    }
}

/// Keeps the session of `directory`, which the process `holder` holds, until a holder ends in order.
#[must_use]
pub fn keep(directory: &Path, lock: BorrowedFd<'_>, link: OwnedFd, holder: i32) -> ExitCode {
    // Told from the holders in a list of processes, and spared by whoever kills those by name.
    let _ = nix::sys::prctl::set_name(c"orx-keeper");
    if let Err(error) = orx_sandbox::hardening::close_to_others() {
        journal::note(&format!("other processes of this user can look into this one: {error}"));
    }
    let mut keeper =
        Keeper { directory, lock, link, holder: Some(holder), kept: None, exit: None, deaths: Deaths::default() };
    match keeper.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            journal::note(&format!("the keeper of the session cannot go on: {error}"));
            ExitCode::FAILURE
        }
    }
}

impl Keeper<'_> {
    fn run(&mut self) -> std::io::Result<()> {
        // No signal ends it: it ends with the session.
        let mut all = SigSet::all();
        for deadly in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE] {
            all.remove(deadly);
        }
        all.thread_block()?;
        let mut ended = SigSet::empty();
        ended.add(Signal::SIGCHLD);
        let signals = SignalFd::with_flags(&ended, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mut starts_at: Option<Instant> = None;
        loop {
            // Before anything is waited for: what ended before its signal was watched for gave none.
            if self.reap() {
                self.take_messages();
                let now = Instant::now();
                let pause = self.deaths.count(now);
                if self.kept.is_none() {
                    self.end_all();
                    return Ok(());
                }
                journal::note(&format!("the holder died; another one starts in {} ms", pause.as_millis()));
                starts_at = Some(now + pause);
            }
            if self.holder.is_none() {
                return Ok(());
            }
            let now = Instant::now();
            if starts_at.is_some_and(|at| at <= now) {
                starts_at = match self.start() {
                    Ok(()) => None,
                    Err(error) => {
                        journal::note(&format!("no other holder could be started: {error}"));
                        Some(now + self.deaths.count(now).max(FIRST_WAIT))
                    }
                };
                continue;
            }
            let timeout = starts_at.map_or(PollTimeout::NONE, |at| {
                let left = at.saturating_duration_since(now) + Duration::from_millis(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            });
            let mut sources =
                [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(self.link.as_fd(), PollFlags::POLLIN)];
            // A link whose other end is closed is heard of by the end of the holder.
            let watched = if starts_at.is_some() { sources.get_mut(..1) } else { sources.get_mut(..) };
            match poll(watched.unwrap_or_default(), timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            while matches!(signals.read_signal(), Ok(Some(_))) {}
            if !self.take_messages() && starts_at.is_none() {
                self.await_holder(&signals);
            }
        }
    }

    /// Waits for the end of a holder that closed its link: it is about to end, and says nothing more.
    fn await_holder(&self, signals: &SignalFd) {
        let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], PollTimeout::from(100u8));
    }

    /// Takes what the holder sent; gives whether its end of the link is open.
    fn take_messages(&mut self) -> bool {
        let mut buffer = [0; MESSAGE];
        loop {
            match descriptors::receive(self.link.as_fd(), &mut buffer) {
                Ok((0, _)) => return false,
                Ok((count, came)) => match serde_json::from_slice(buffer.get(..count).unwrap_or_default()) {
                    Ok(kept) => {
                        self.kept = Some((kept, came));
                        self.deaths.served = true;
                    }
                    Err(error) => journal::note(&format!("a message of the holder is not understood: {error}")),
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Reaps all that ended, and tells the holder of the program's end; gives whether the holder died.
    fn reap(&mut self) -> bool {
        let mut died = false;
        let child = self.kept.as_ref().map(|(kept, _)| kept.child.pid);
        for (pid, exit) in child::reap_all() {
            if Some(pid) == self.holder {
                if exit == Exit::Code(0) {
                    self.holder = None;
                } else {
                    died = true;
                }
            } else if Some(pid) == child {
                self.exit = Some(exit);
                let told = serde_json::to_vec(&Reaped { pid, exit }).unwrap_or_default();
                // A holder that is gone is told by what the next one is given.
                let _ = descriptors::send(self.link.as_fd(), &told, &[]);
            }
        }
        died
    }

    /// Ends what a holder left that died before it said what to keep.
    fn end_all(&self) {
        journal::note("the holder died before the session was held; what it started is ended");
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        if !tree::end(|| tree::descendants(own), GRACE) {
            journal::note("some of its processes could not be ended");
        }
    }

    /// Starts another holder.
    fn start(&mut self) -> std::io::Result<()> {
        let Some((kept, outputs)) = &self.kept else { return Ok(()) };
        let (own_end, its_end) = link()?;
        let [listener, unsaved, outputs @ ..] = outputs.as_slice() else {
            return Err(std::io::Error::other("the holder gave nothing to keep"));
        };
        let hand_over = HandOver {
            version: HAND_OVER_VERSION,
            child: kept.child,
            started_at_ms: kept.started_at_ms,
            outputs: outputs.iter().map(AsRawFd::as_raw_fd).collect(),
            listener: Some(listener.as_raw_fd()),
            lock: Some(self.lock.as_raw_fd()),
            unsaved: Some(unsaved.as_raw_fd()),
            link: Some(its_end.as_raw_fd()),
            keeper: identity::own(),
            exit: self.exit,
            serving: None,
        };
        let file = descriptors::nameless(&serde_json::to_vec(&hand_over)?)?;
        let mut passed = vec![file.as_fd(), self.lock, its_end.as_fd(), listener.as_fd(), unsaved.as_fd()];
        passed.extend(outputs.iter().map(AsFd::as_fd));
        // The program that was named last; where that does not come up, the one that the keeper is.
        let own = PathBuf::from("/proc/self/exe");
        let programs = if self.deaths.failed.is_multiple_of(2) { [&kept.program, &own] } else { [&own, &kept.program] };
        let program = programs.map(|path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default());
        let arguments = arguments(self.directory, file.as_raw_fd());
        // SAFETY: this process has one thread, so the child may go on as any program does.
        #[allow(unsafe_code)]
        let forked = unsafe { nix::unistd::fork() };
        match forked? {
            ForkResult::Parent { child } => {
                self.holder = Some(child.as_raw());
                self.link = own_end;
                Ok(())
            }
            ForkResult::Child => {
                let ready = passed.iter().all(|descriptor| descriptors::pass_on(*descriptor, true).is_ok());
                if ready && sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).is_ok() {
                    for program in &program {
                        // It returns only when it fails.
                        let _ = nix::unistd::execv(program, &arguments);
                    }
                }
                // SAFETY: nothing of the keeper's is to be tidied up by its copy.
                #[allow(unsafe_code)]
                unsafe {
                    nix::libc::_exit(127)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_that_dies_again_and_again_is_replaced_ever_later() {
        let start = Instant::now();
        let mut deaths = Deaths::default();
        let waits: Vec<u128> = (0..6).map(|_| deaths.count(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 250, 500, 1000]);
        for _ in 0..30 {
            assert!(deaths.count(start) <= LONGEST_WAIT);
        }
        assert_eq!(deaths.count(start + RECENT), Duration::ZERO);
    }
}
