//! Reads, beside the writer and beside each other: a few connections, each used by one blocking task at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::StoreError;
use crate::connection::open_reader;
use crate::sql::Reader;
use crate::writer::message_of;

/// Reads at the same time; further callers wait.
const CONNECTIONS: u32 = 4;

/// Connections for reading, opened as they are needed.
#[derive(Debug)]
pub(crate) struct Readers {
    path: Arc<Path>,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// Readers of the database at `path`.
    pub(crate) fn new(path: Arc<Path>) -> Self {
        Self { path, permits: Arc::new(Semaphore::new(CONNECTIONS as usize)), idle: Arc::default() }
    }

    /// Runs `operation` on one state of the database.
    ///
    /// # Errors
    /// As the operation fails, or as the database cannot be opened; [`StoreError::Closed`] after [`Self::close`].
    pub(crate) async fn read<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (path, idle) = (Arc::clone(&self.path), Arc::clone(&self.idle));
        let task = tokio::task::spawn_blocking(move || {
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = taken.map_or_else(|| open_reader(&path), Ok)?;
            let (outcome, usable) = read_once(&connection, &path, operation);
            if usable {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            drop(permit);
            outcome
        });
        // The task cannot panic, so it only ends without a result when the runtime is shutting down.
        task.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Waits for the reads that run, refuses further ones and closes the connections.
    pub(crate) async fn close(&self) {
        if let Ok(permits) = self.permits.acquire_many(CONNECTIONS).await {
            self.permits.close();
            drop(permits);
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Runs `operation` within a read transaction; also tells whether the connection can be used again.
fn read_once<T>(
    connection: &Connection,
    path: &Path,
    operation: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>,
) -> (Result<T, StoreError>, bool) {
    let statement = |sql: &str| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    if let Err(error) = statement("BEGIN") {
        return (Err(StoreError::from_sqlite(&error, path)), false);
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| operation(&Reader::new(connection, path))))
        .unwrap_or_else(|panic| Err(StoreError::Panicked(message_of(&*panic))));
    // Nothing was written, so taking back and committing are the same.
    let ended = connection.is_autocommit() || statement("ROLLBACK").is_ok();
    (outcome, ended)
}
