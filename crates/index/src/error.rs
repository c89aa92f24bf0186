//! What can go wrong with an index.

use std::path::PathBuf;

/// Why a map, an update or a search failed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The root cannot be looked into.
    #[error("{} cannot be read as a directory: {source}", path.display())]
    Root {
        /// The root that was given.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The place of the database cannot be used.
    #[error("the index at {} cannot be opened: {source}", path.display())]
    Place {
        /// The database's file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The file is a database of some other program; it is left alone.
    #[error("{} is a database that orx did not make; it was left alone: choose another place for the index", path.display())]
    Foreign {
        /// The database's file.
        path: PathBuf,
    },
    /// Another process writes to the index for longer than this one waits.
    #[error("the index is being written by another process")]
    Busy,
    /// The database failed.
    #[error("the index failed: {0}")]
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Database(error),
        }
    }
}
