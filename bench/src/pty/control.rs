//! The wire between a measurement and its program on a terminal: lines over a socket of their own, so that nothing that is
//! measured carries them, and the program's life shows by itself.

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// How long a program may take until it says that it is there.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Where programs report to.
pub struct Control {
    listener: UnixListener,
    directory: TempDir,
}

impl Control {
    pub fn open() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("orxc").tempdir_in("/tmp")?;
        Ok(Self { listener: UnixListener::bind(directory.path().join("c"))?, directory })
    }

    /// The command line of the program on the terminal.
    pub fn argv(&self) -> Result<Vec<String>> {
        let own = std::env::current_exe()?.to_string_lossy().into_owned();
        let socket = self.directory.path().join("c").to_string_lossy().into_owned();
        Ok(vec![own, "program".to_owned(), socket])
    }

    /// The next program that arrived.
    pub fn accept(&self) -> Result<Program> {
        wait_readable(&self.listener, ARRIVAL).context("no program arrived")?;
        let (stream, _) = self.listener.accept()?;
        Ok(Program { reader: BufReader::new(stream.try_clone()?), stream })
    }
}

/// A program on a terminal, seen from the measurement. It ends with this handle.
pub struct Program {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Program {
    /// Asks for something.
    pub fn tell(&mut self, order: &str) -> Result<()> {
        self.stream.write_all(format!("{order}\n").as_bytes())?;
        Ok(())
    }

    /// The next line that it says, within `limit`.
    pub fn hear(&mut self, limit: Duration) -> Result<String> {
        if self.reader.buffer().is_empty() {
            wait_readable(&self.stream, limit)?;
        }
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("the program has ended");
        }
        Ok(line.trim_end().to_owned())
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, order: &str, limit: Duration) -> Result<String> {
        self.tell(order)?;
        self.hear(limit).with_context(|| format!("`{order}`"))
    }

    /// Whether it lives.
    pub fn lives(&mut self) -> bool {
        self.ask("ping", Duration::from_secs(5)).is_ok_and(|answer| answer == "pong")
    }
}

/// Waits until something can be read.
pub fn wait_readable(source: &impl AsFd, limit: Duration) -> Result<()> {
    let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    let mut sources = [PollFd::new(source.as_fd(), PollFlags::POLLIN)];
    if poll(&mut sources, timeout)? == 0 {
        bail!("nothing came within {} ms", limit.as_millis());
    }
    Ok(())
}

/// The program's side.
pub struct Orders {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Orders {
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| PathBuf::from(socket).display().to_string())?;
        Ok(Self { reader: BufReader::new(stream.try_clone()?), stream })
    }

    /// The next order; `None` when the measurement is over.
    pub fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(count) if count > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    /// Whether an order, or the end, waits.
    pub fn is_waiting(&self) -> bool {
        !self.reader.buffer().is_empty() || wait_readable(&self.stream, Duration::ZERO).is_ok()
    }

    pub fn answer(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(format!("{text}\n").as_bytes())?;
        Ok(())
    }
}

impl AsFd for Orders {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
