//! One daemon a database: a lock that the kernel gives back when its holder dies, however it dies.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::StoreError;

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
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: database.to_path_buf(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::from_io(&error, &path)),
        }
        // The number only makes a refusal more helpful: without room for it the lock is no weaker.
        if let Err(error) = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())) {
            tracing::debug!(path = %path.display(), %error, "the lock does not name its holder");
        }
        Ok(Self { _file: file })
    }
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
