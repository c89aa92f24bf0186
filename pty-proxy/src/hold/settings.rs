//! What a holder is told at its start, read and checked before anything is done.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use orx_protocol::hold::{HoldSpec, Holder, TerminalSize, file};
use orx_sandbox::identity;

use crate::terminal::screen;

/// The session cannot be held.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("the session directory {path} cannot be used: {why}")]
    Directory { path: String, why: String },
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("{path} does not describe a session: {why}")]
    Invalid { path: String, why: String },
    #[error("the session in {path} is held already, by process {pid}")]
    Held { path: String, pid: i32 },
    #[error("the session in {path} is being started or held already")]
    Locked { path: String },
    #[error("the session in {path} has ended already; a new session needs a directory of its own")]
    Over { path: String },
}

/// A checked description of a session, and the lock that keeps other holders out.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) spec: HoldSpec,
    pub(super) directory: PathBuf,
    /// Held for as long as the holder lives.
    pub(super) lock: Flock<File>,
}

impl Settings {
    /// Reads what `directory` says. `taken` is the lock on it, where another holder handed that over.
    pub(super) fn load(directory: &Path, taken: Option<OwnedFd>) -> Result<Self, SettingsError> {
        let shown = directory.display().to_string();
        let unusable = |why: String| SettingsError::Directory { path: shown.clone(), why };
        let directory = directory.canonicalize().map_err(|error| unusable(error.to_string()))?;
        let metadata = std::fs::metadata(&directory).map_err(|error| unusable(error.to_string()))?;
        if !metadata.is_dir() {
            return Err(unusable("it is not a directory".to_owned()));
        }
        if metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(unusable("it belongs to another user".to_owned()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(unusable(format!("other users can write to it (mode {:04o})", metadata.mode() & 0o7777)));
        }
        let opened = match taken {
            Some(taken) => File::from(taken),
            None => File::open(&directory).map_err(|error| unusable(error.to_string()))?,
        };
        let lock = Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|_| held_by(&directory, &shown))?;
        if let Some(holder) = living_holder(&directory) {
            return Err(SettingsError::Held { path: shown, pid: holder.holder.pid });
        }
        if directory.join(file::ENDED).exists() {
            return Err(SettingsError::Over { path: shown });
        }
        let spec = read_spec(&directory)?;
        Ok(Self { spec, directory, lock })
    }

    /// The size of the terminal, when there is one.
    pub(super) fn size(&self) -> Option<TerminalSize> {
        self.spec.terminal.map(screen::usable)
    }
}

fn held_by(directory: &Path, shown: &str) -> SettingsError {
    match living_holder(directory) {
        Some(holder) => SettingsError::Held { path: shown.to_owned(), pid: holder.holder.pid },
        None => SettingsError::Locked { path: shown.to_owned() },
    }
}

fn living_holder(directory: &Path) -> Option<Holder> {
    let text = std::fs::read(directory.join(file::HOLDER)).ok()?;
    let holder: Holder = serde_json::from_slice(&text).ok()?;
    // A holder that became another program finds itself there.
    let is_other = i32::try_from(std::process::id()) != Ok(holder.holder.pid);
    (is_other && holder.is_of_boot(identity::boot().as_deref()) && identity::is_alive(holder.holder)).then_some(holder)
}

fn read_spec(directory: &Path) -> Result<HoldSpec, SettingsError> {
    let path = directory.join(file::SPEC);
    let shown = path.display().to_string();
    let text = std::fs::read(&path).map_err(|source| SettingsError::Unreadable { path: shown.clone(), source })?;
    let invalid = |why: &str| SettingsError::Invalid { path: shown.clone(), why: why.to_owned() };
    let spec: HoldSpec = serde_json::from_slice(&text).map_err(|error| invalid(&error.to_string()))?;
    if spec.argv.first().is_none_or(String::is_empty) {
        return Err(invalid("`argv` names no program"));
    }
    if spec.argv.iter().any(|argument| argument.contains('\0')) {
        return Err(invalid("an argument in `argv` holds a zero byte"));
    }
    if !Path::new(&spec.cwd).is_absolute() {
        return Err(invalid("`cwd` is not an absolute path"));
    }
    if !Path::new(&spec.socket).is_absolute() {
        return Err(invalid("`socket` is not an absolute path"));
    }
    if spec.terminal.is_some() && spec.feed_input {
        return Err(invalid("`feed_input` is for a session on pipes; a program on a terminal is typed to"));
    }
    Ok(spec)
}
