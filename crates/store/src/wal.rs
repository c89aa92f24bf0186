//! Keeps the write-ahead log short. It is copied into the database after the callers have their answers, so that none of
//! them waits for it, and is cut when it has grown past [`LIMIT`] all the same (a reader can hold it back).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use crate::StoreError;
use crate::connection::BUSY;

/// Size of the log above which the writer waits for readers so that it can cut it, in bytes.
pub(crate) const LIMIT: u32 = 64 * 1024 * 1024;
/// Pages in the log after which it is copied into the database.
const EVERY: u32 = 1000;
/// How long the writer waits for readers before it gives up cutting the log for this time.
const PATIENCE: Duration = Duration::from_millis(250);

/// Path of the log of the database at `path`.
pub(crate) fn path_of(path: &Path) -> PathBuf {
    let mut wal = OsString::from(path);
    wal.push("-wal");
    wal.into()
}

/// Size of the file at `path` in bytes; 0 when there is none.
pub(crate) fn size_of(path: &Path) -> Result<u64, StoreError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::from_io(&error, path)),
    }
}

/// Decides when the log is copied and cut.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    wal: PathBuf,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicU32>,
    /// Pages at which the next copy is due.
    due: u32,
}

impl Checkpointer {
    /// Watches the commits of `connection`.
    ///
    /// # Errors
    /// As the database refuses the hook.
    pub(crate) fn watch(connection: &mut Connection, path: &Path) -> Result<Self, StoreError> {
        let pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
            seen.store(u32::try_from(count).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(hook)).map_err(|error| StoreError::from_sqlite(&error, path))?;
        Ok(Self { wal: path_of(path), pages, due: EVERY })
    }

    /// Copies and cuts the log if that is due. Failures are logged: they cost space, not data.
    pub(crate) fn tend(&mut self, connection: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages.saturating_add(EVERY) < self.due {
            // The log began anew since the last copy.
            self.due = EVERY;
        }
        if pages < self.due {
            return;
        }
        self.due = pages.saturating_add(EVERY);
        if let Err(error) = connection.wal_checkpoint_v2(Some(rusqlite::MAIN_DB), CheckpointMode::PASSIVE) {
            tracing::warn!(%error, wal = %self.wal.display(), "the write-ahead log was not copied into the database");
            return;
        }
        match size_of(&self.wal) {
            Ok(bytes) if bytes > u64::from(LIMIT) => self.cut(connection, bytes),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the size of the write-ahead log is not known"),
        }
    }

    fn cut(&self, connection: &Connection, bytes: u64) {
        let cut = connection
            .busy_timeout(PATIENCE)
            .and_then(|()| truncate(connection))
            .and_then(|done| connection.busy_timeout(BUSY).map(|()| done));
        match cut {
            Ok(true) => tracing::debug!(bytes, wal = %self.wal.display(), "the write-ahead log was cut"),
            Ok(false) => {
                tracing::warn!(bytes, wal = %self.wal.display(), "a reader keeps the write-ahead log from being cut")
            }
            Err(error) => tracing::warn!(%error, bytes, wal = %self.wal.display(), "the write-ahead log was not cut"),
        }
    }
}

/// Copies the whole log into the database and empties it; `false` when a reader or another process was in the way.
pub(crate) fn truncate(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}
