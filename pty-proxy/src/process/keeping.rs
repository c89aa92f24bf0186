//! What a holder and its keeper say to each other, each message by itself: the holder what is to be kept ([`Kept`], with the
//! descriptors), the keeper how processes ended that it is the parent of ([`Reaped`]). And how either starts a holder that
//! goes on where another stopped.

use std::ffi::CString;
use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use orx_protocol::process::{Exit, ProcessIdentity};
use orx_sandbox::descriptors;
use serde::{Deserialize, Serialize};

/// Longest message between holder and keeper, in bytes.
pub const MESSAGE: usize = 8 * 1024;

/// What the holder wants kept; the listening socket, the memory of reads and then the outputs come beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The program that is held.
    pub child: ProcessIdentity,
    /// When it started, in milliseconds since the epoch.
    pub started_at_ms: u64,
    /// The program to start as the next holder.
    pub program: PathBuf,
}

/// How a process of the session that the keeper reaped ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaped {
    /// Its pid.
    pub pid: i32,
    /// How.
    pub exit: Exit,
}

/// The holder's end of the link.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl From<OwnedFd> for Link {
    fn from(end: OwnedFd) -> Self {
        Self(end)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Link {
    /// Says what is to be kept.
    ///
    /// # Errors
    /// When the keeper is gone or takes nothing.
    pub fn keep(&self, kept: &Kept, kept_open: &[BorrowedFd<'_>]) -> Result<()> {
        descriptors::send(self.as_fd(), &serde_json::to_vec(kept)?, kept_open).map(|_| ())
    }

    /// What the keeper said since; `None` when it is gone.
    #[must_use]
    pub fn reaped(&self) -> Option<Vec<Reaped>> {
        let mut all = Vec::new();
        let mut buffer = [0; MESSAGE];
        loop {
            match descriptors::receive(self.as_fd(), &mut buffer) {
                Ok((0, _)) => return None,
                Ok((count, _)) => all.extend(serde_json::from_slice::<Reaped>(buffer.get(..count).unwrap_or_default())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(all),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

/// The arguments of a holder that takes the session of `directory` over, as the file behind `descriptor` says.
#[must_use]
pub fn arguments(directory: &Path, descriptor: i32) -> Vec<CString> {
    let directory = directory.as_os_str().as_bytes().to_vec();
    let number = descriptor.to_string().into_bytes();
    [b"pty-proxy".to_vec(), b"hold".to_vec(), b"--directory".to_vec(), directory, b"--take-over".to_vec(), number]
        .into_iter()
        .map(|argument| CString::new(argument).unwrap_or_default())
        .collect()
}

/// The file from which this process was started: also where another one has taken its place since.
#[must_use]
pub fn own_program() -> PathBuf {
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    // So the kernel names one whose file was replaced.
    let text = path.as_os_str().as_bytes();
    text.strip_suffix(b" (deleted)").map_or(path.clone(), |path| PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}

/// Which file this process runs, also where another one has its name by now; empty where the system does not say.
#[must_use]
pub fn running_program() -> String {
    #[cfg(target_os = "linux")]
    let running = orx_sandbox::file::which(Path::new("/proc/self/exe"));
    #[cfg(not(target_os = "linux"))]
    let running = std::env::current_exe().and_then(|path| orx_sandbox::file::which(&path));
    running.unwrap_or_default()
}
