//! The user's terminal for reading and writing, without waiting in either. The descriptors that the shell shares with this
//! program stay as they are: the terminal is opened once more, since whether a descriptor waits is a property of its
//! opening. No thread stands between a key and the session.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use tokio::io::AsyncReadExt;
// To the runtime a terminal is no other than a pipe: something that is ready at times.
use tokio::net::unix::pipe::{Receiver, Sender};

/// Most bytes of one read.
const CHUNK: usize = 4096;

/// What the user types.
#[derive(Debug)]
pub(crate) struct Keyboard(Receiver);

/// What the user sees.
#[derive(Debug)]
pub(crate) struct Display(Sender);

impl Keyboard {
    /// Opens the terminal of standard input.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open() -> Result<Self> {
        let name = name(0, nix::unistd::ttyname(std::io::stdin()));
        Receiver::from_file_unchecked(open(&name, OpenOptions::new().read(true))?).map(Self)
    }

    /// What the user types next; none when the terminal is gone. Waiting may be given up without losing any.
    ///
    /// # Errors
    /// When the terminal cannot be read.
    pub(crate) async fn read(&mut self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; CHUNK];
        loop {
            match self.0.read(&mut buffer).await {
                Ok(count) => {
                    buffer.truncate(count);
                    return Ok(buffer);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Display {
    /// Opens the terminal of standard output.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open() -> Result<Self> {
        let name = name(1, nix::unistd::ttyname(std::io::stdout()));
        Sender::from_file_unchecked(open(&name, OpenOptions::new().write(true))?).map(Self)
    }

    /// Writes what the terminal takes now; gives how many bytes, 0 when it takes none.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize> {
        match self.0.try_write(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            written => written,
        }
    }

    /// Waits until the terminal takes more; may be given up.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) async fn has_room(&self) -> Result<()> {
        self.0.writable().await
    }
}

/// The terminal of standard input and output, to be handed to another process; `None` where these are two.
pub(crate) fn shared() -> Option<File> {
    let device = |stream: BorrowedFd<'_>| nix::sys::stat::fstat(stream).ok().map(|status| status.st_rdev);
    let own = device(std::io::stdin().as_fd()).filter(|own| device(std::io::stdout().as_fd()) == Some(*own));
    own.and_then(|_| {
        open(&name(0, nix::unistd::ttyname(std::io::stdin())), OpenOptions::new().read(true).write(true)).ok()
    })
}

fn open(path: &Path, options: &mut OpenOptions) -> Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    options.custom_flags(flags.bits());
    // A terminal that belongs to another user (after `su`) is opened by the name that is everybody's own.
    options.open(path).or_else(|_| options.open("/dev/tty"))
}

/// A name under which the terminal of a standard stream is opened once more.
fn name(stream: u8, device: nix::Result<PathBuf>) -> PathBuf {
    if cfg!(target_os = "linux") {
        // Also where the device has no name here: it is another container's.
        return format!("/proc/self/fd/{stream}").into();
    }
    device.unwrap_or_else(|_| "/dev/tty".into())
}
