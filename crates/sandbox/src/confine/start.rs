//! The word on whether a program started, from the process that becomes it to the holder that waits: through a named
//! pipe in the session's directory, since a terminal's starter passes no descriptors on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// Name of the pipe.
const NAME: &str = "start.pipe";
/// Said when all is ready and the next step is to become the program.
const READY: &[u8] = b"ready\n";
/// How often a starter that says nothing is looked after.
const LOOK_MS: u16 = 50;

/// The holder's end.
#[derive(Debug)]
pub struct StartLine {
    path: PathBuf,
    pipe: File,
}

impl StartLine {
    /// Makes the pipe.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        let _ = std::fs::remove_file(&path);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let pipe = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path)?;
        Ok(Self { path, pipe })
    }

    /// Waits until the program runs. The pipe goes with the answer.
    ///
    /// # Errors
    /// A sentence that says why it does not run.
    pub fn wait(mut self, is_alive: impl Fn() -> bool, limit: Duration) -> Result<(), String> {
        let outcome = self.listen(is_alive, limit);
        let _ = std::fs::remove_file(&self.path);
        outcome
    }

    fn listen(&mut self, is_alive: impl Fn() -> bool, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        let mut said = Vec::new();
        loop {
            let alive = is_alive();
            let mut descriptors = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut descriptors, PollTimeout::from(LOOK_MS)).unwrap_or(0);
            let hung_up = descriptors[0].revents().is_some_and(|flags| flags.contains(PollFlags::POLLHUP));
            if ready > 0 {
                // What it says is short; an error here is that there is nothing more yet.
                let _ = self.pipe.read_to_end(&mut said);
            }
            if hung_up || !alive {
                break;
            }
            if Instant::now() >= deadline {
                return Err(format!("its sandbox was not ready within {} s", limit.as_secs()));
            }
        }
        match said.strip_prefix(READY) {
            Some([]) => Ok(()),
            Some(why) => Err(String::from_utf8_lossy(why).into_owned()),
            None if said.is_empty() => Err("its sandbox could not be made".to_owned()),
            None => Err(String::from_utf8_lossy(&said).into_owned()),
        }
    }
}

/// The starter's end: closed when the process becomes the program.
#[derive(Debug)]
pub struct Report(File);

impl Report {
    /// Opens the pipe of a session's directory.
    ///
    /// # Errors
    /// When nobody waits there.
    pub fn open(directory: &Path) -> io::Result<Self> {
        OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(directory.join(NAME)).map(Self)
    }

    /// An end that was passed on.
    #[must_use]
    pub const fn inherited(pipe: File) -> Self {
        Self(pipe)
    }

    /// The descriptor, to be passed on.
    #[must_use]
    pub const fn pipe(&self) -> &File {
        &self.0
    }

    /// All is ready.
    pub fn ready(&mut self) {
        // A holder that is gone needs no word.
        let _ = self.0.write_all(READY);
    }

    /// It does not start.
    pub fn failed(&mut self, why: &str) {
        let _ = self.0.write_all(why.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(say: impl FnOnce(&mut Report)) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        let line = StartLine::open(directory.path()).unwrap();
        let mut report = Report::open(directory.path()).unwrap();
        say(&mut report);
        drop(report);
        let outcome = line.wait(|| true, Duration::from_secs(10));
        assert!(!directory.path().join(NAME).exists());
        outcome
    }

    #[test]
    fn the_word_is_that_of_the_starter() {
        assert_eq!(outcome(Report::ready), Ok(()));
        let late = outcome(|report| {
            report.ready();
            report.failed("no such program");
        });
        assert_eq!(late, Err("no such program".to_owned()));
        assert_eq!(outcome(|report| report.failed("refused")), Err("refused".to_owned()));
        assert!(outcome(|_| {}).unwrap_err().contains("sandbox"));
    }

    #[test]
    fn a_starter_that_is_gone_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let line = StartLine::open(directory.path()).unwrap();
        assert!(line.wait(|| false, Duration::from_secs(60)).is_err());
    }
}
