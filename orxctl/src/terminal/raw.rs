//! The user's terminal in raw mode, given back as it was on every way out.

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::sys::termios::{self, FlushArg, SetArg, Termios};
use orx_protocol::terminal::modes::Modes;

use crate::failure::Failure;

/// Raw mode for as long as this lives.
#[derive(Debug)]
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Puts standard input's terminal into raw mode.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn enter() -> Result<Self, Failure> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(stdin.as_fd()).map_err(refused)?;
        let raw = Self { before };
        raw.apply()?;
        Ok(raw)
    }

    /// Puts it into raw mode again, after somebody else had the terminal.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn apply(&self) -> Result<(), Failure> {
        let mut wanted = self.before.clone();
        termios::cfmakeraw(&mut wanted);
        termios::tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &wanted).map_err(refused)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let stdin = io::stdin();
        // Late answers of the terminal to the program's questions must not be typed into the shell. A terminal that is
        // gone cannot be put back, and nobody is left to be told.
        let _ = termios::tcflush(stdin.as_fd(), FlushArg::TCIFLUSH);
        let _ = termios::tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &self.before);
        if std::thread::panicking() {
            // What the program had set is not known any more: the usual modes are taken back.
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(b"\x1b[?1049l").and_then(|()| stdout.write_all(&Modes::default().leave()));
            let _ = stdout.flush();
        }
    }
}

fn refused(error: nix::errno::Errno) -> Failure {
    Failure::failed(format!("the terminal could not be put into raw mode: {error}"))
}
