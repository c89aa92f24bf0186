//! One daemon a database: a lock that the kernel gives back when its holder dies, however it dies.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::StoreError;

/// How long the lock of a daemon that is dead may still be held: by a child that it had forked and that has not yet become
/// another program.
const DEAD_HOLDER: Duration = Duration::from_secs(2);

/// The lock on one database, held for as long as this value lives.
#[derive(Debug)]
pub(crate) struct DatabaseLock {
    _file: File,
}

impl DatabaseLock {
    /// Takes the lock of the database at `database`, `<database>.lock`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process, or another store of this one, has it.
    pub(crate) fn acquire(database: &Path) -> Result<Self, StoreError> {
        let path = path_of(database);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| StoreError::from_io(&error, &path))?;
        let deadline = Instant::now() + DEAD_HOLDER;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline && !holder_lives(&path) => {
                    std::thread::yield_now();
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked { path: database.to_path_buf(), holder: holder(&mut file) });
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::from_io(&error, &path)),
            }
        }
        // The number only makes a refusal more helpful: without room for it the lock is no weaker.
        if let Err(error) = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())) {
            tracing::debug!(path = %path.display(), %error, "the lock does not name its holder");
        }
        Ok(Self { _file: file })
    }
}

/// Whether another process that the lock's file names runs. One that cannot be asked about counts as running; this process
/// does not: what still holds its former lock may be a child that it has forked and that is not another program yet.
fn holder_lives(path: &Path) -> bool {
    let named = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    named
        .filter(|pid| *pid != std::process::id())
        .is_some_and(|pid| !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{pid}")).exists())
}

fn path_of(database: &Path) -> PathBuf {
    let mut path = OsString::from(database);
    path.push(".lock");
    path.into()
}

/// Who has the lock, in words.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) if pid == std::process::id() => format!("this process ({pid}) already"),
        (Ok(_), Ok(pid)) => format!("the daemon with process id {pid}"),
        _ => "another daemon".to_owned(),
    }
}
