//! A viewer's own terminal, which it handed over: its keys are read and it is written to without a process in between. Keys that
//! may be for the viewer's program are not judged here; they are given to it, and all that follows them, until it has judged.

use std::fs::File;
use std::io::{ErrorKind, Read, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::Bytes;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use orx_protocol::terminal::modes::Set;

use super::queue::Queue;

/// Bytes that begin what may be for the viewer's program: Escape, and the keys that it listens to (Ctrl+B, Ctrl+Q).
const NOT_PLAIN: [u8; 3] = [0x1b, 0x02, 0x11];
/// Bytes of keys that may wait for the viewer's judgement before no more are read.
const UNJUDGED: u64 = 64 * 1024;

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// So many bytes for the session's program.
    Plain(usize),
    /// So many bytes for the viewer to judge.
    Unjudged(usize),
    /// Nothing at the moment.
    Nothing,
}

/// The terminal.
#[derive(Debug)]
pub struct Taken {
    terminal: File,
    /// Whether its keys are read, too.
    keyboard: bool,
    /// Whether the viewer has shown all that came before.
    is_ready: bool,
    /// What waits to be shown on it.
    pub(super) queue: Queue,
    /// What the viewer was last told to be set on it.
    pub(super) told: Set,
    given: u64,
    understood: u64,
}

impl Taken {
    /// Takes a terminal, if it is one that can be read and written without waiting; else says what is wrong with it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(terminal: OwnedFd, keyboard: bool, told: Set) -> std::result::Result<Self, &'static str> {
        if !nix::unistd::isatty(&terminal).unwrap_or(false) {
            return Err("is no terminal");
        }
        let flags = fcntl(&terminal, FcntlArg::F_GETFL).map(OFlag::from_bits_truncate).unwrap_or(OFlag::empty());
        if !flags.contains(OFlag::O_NONBLOCK) {
            return Err("would be waited for");
        }
        if flags & OFlag::O_ACCMODE != OFlag::O_RDWR {
            return Err("is not open for reading and writing");
        }
        let queue = Queue::default();
        Ok(Self { terminal: terminal.into(), keyboard, is_ready: false, queue, told, given: 0, understood: 0 })
    }

    /// The viewer has shown all that came before.
    pub fn ready(&mut self) {
        self.is_ready = true;
    }

    /// Whether the viewer has shown all that came before.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// The viewer dealt with so many bytes in all that it was given.
    pub fn understood(&mut self, bytes: u64) {
        self.understood = bytes.min(self.given);
    }

    /// Whether keys are to be read.
    #[must_use]
    pub fn wants_keys(&self) -> bool {
        self.keyboard && self.is_ready && self.given - self.understood < UNJUDGED
    }

    /// Whether something waits to be shown.
    #[must_use]
    pub fn wants_to_show(&self) -> bool {
        self.is_ready && !self.queue.is_empty()
    }

    /// Reads keys.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Typed> {
        let count = match self.terminal.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Typed::Nothing);
            }
            Err(error) => return Err(error),
        };
        let typed = buffer.get(..count).unwrap_or_default();
        if self.given == self.understood && !typed.iter().any(|byte| NOT_PLAIN.contains(byte)) {
            return Ok(Typed::Plain(count));
        }
        self.given += count as u64;
        Ok(Typed::Unjudged(count))
    }

    /// Shows bytes of the viewer's own.
    pub fn show_own(&mut self, bytes: Vec<u8>) {
        self.queue.offer(&Bytes::from(bytes));
    }

    /// Shows what the terminal takes.
    ///
    /// # Errors
    /// When it is gone.
    pub fn send(&mut self) -> Result<()> {
        if self.is_ready { self.queue.write_to(&self.terminal) } else { Ok(()) }
    }
}

impl AsFd for Taken {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    /// A terminal in raw mode, and its other side.
    fn terminal() -> (OwnedFd, File) {
        let pair = nix::pty::openpty(None, None).unwrap();
        let mut raw = nix::sys::termios::tcgetattr(&pair.slave).unwrap();
        nix::sys::termios::cfmakeraw(&mut raw);
        nix::sys::termios::tcsetattr(&pair.slave, nix::sys::termios::SetArg::TCSANOW, &raw).unwrap();
        (pair.slave, pair.master.into())
    }

    fn taken() -> (Taken, File) {
        let (slave, master) = terminal();
        fcntl(&slave, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK)).unwrap();
        let mut taken = Taken::new(slave, true, Set::default()).unwrap();
        taken.ready();
        (taken, master)
    }

    #[test]
    fn what_is_no_terminal_or_would_be_waited_for_is_not_taken() {
        let refused = |descriptor: OwnedFd| Taken::new(descriptor, true, Set::default()).unwrap_err();
        assert_eq!(refused(File::open("/dev/null").unwrap().into()), "is no terminal");
        let (slave, _master) = terminal();
        let path = format!("/proc/self/fd/{}", slave.as_raw_fd());
        let read = nix::fcntl::open(path.as_str(), OFlag::O_RDONLY | OFlag::O_NONBLOCK, nix::sys::stat::Mode::empty());
        assert_eq!(refused(slave), "would be waited for");
        assert_eq!(refused(read.unwrap()), "is not open for reading and writing");
    }

    #[test]
    fn plain_keys_are_the_programs_and_all_that_follows_another_is_judged_first() {
        let (mut taken, mut master) = taken();
        let mut buffer = [0; 64];
        let mut types = |taken: &mut Taken, keys: &[u8]| {
            master.write_all(keys).unwrap();
            let read = taken.read(&mut buffer).unwrap();
            assert_eq!(&buffer[..keys.len()], keys);
            read
        };
        assert_eq!(types(&mut taken, "häl\r".as_bytes()), Typed::Plain(5));
        assert_eq!(types(&mut taken, b"a\x02"), Typed::Unjudged(2));
        assert_eq!(types(&mut taken, b"d"), Typed::Unjudged(1));
        taken.understood(2);
        assert_eq!(types(&mut taken, b"x"), Typed::Unjudged(1));
        taken.understood(4);
        assert_eq!(types(&mut taken, b"y"), Typed::Plain(1));
        assert_eq!(taken.read(&mut [0; 4]).unwrap(), Typed::Nothing);
        // More than was given cannot have been judged.
        taken.understood(1000);
        assert_eq!(types(&mut taken, b"\x1b[A"), Typed::Unjudged(3));
        assert!(taken.wants_keys());
    }

    #[test]
    fn nothing_is_shown_or_read_before_the_viewer_is_ready() {
        let (slave, mut master) = terminal();
        fcntl(&slave, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK)).unwrap();
        let mut taken = Taken::new(slave, true, Set::default()).unwrap();
        taken.show_own(b"later".to_vec());
        taken.send().unwrap();
        assert!(!taken.wants_to_show() && !taken.wants_keys());
        taken.ready();
        taken.send().unwrap();
        let mut shown = [0; 5];
        master.read_exact(&mut shown).unwrap();
        assert_eq!(&shown, b"later");
    }
}
