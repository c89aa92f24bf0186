//! The store's errors, and what they are on the wire.

use std::path::{Path, PathBuf};

use orx_protocol::{ErrorKind, RpcError};

/// Why an operation of the store failed. Nothing of a failed operation is kept, unless [`StoreError::Io`] says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk has no room for the write.
    #[error("the disk is full: nothing was written to {}", .path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The disk, or the file on it, could not be read or written. After a crash that follows a failed sync at once, the
    /// write may be found in the database all the same: it was never acknowledged, but it is not known to be absent.
    #[error("{}: {detail}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Another process kept the database busy for longer than the store waits.
    #[error("another process keeps {} busy", .path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// The file is not a database of orx, or is damaged.
    #[error("{}: {detail}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A newer orx wrote the database.
    #[error(
        "{} has schema version {found}, and this orx knows versions up to {known}: start the newer orx that wrote it",
        .path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this build knows.
        known: u32,
    },
    /// Another process has the database open as its daemon.
    #[error("{} is in use by {holder}", .path.display())]
    Locked {
        /// The database.
        path: PathBuf,
        /// The process, as far as it is known.
        holder: String,
    },
    /// The thing exists already, or was changed by somebody else meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// The named thing does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The operation panicked; the text is its message.
    #[error("an operation of the store panicked: {0}")]
    Panicked(String),
    /// A statement failed in a way that only a defect in orx explains.
    #[error("{0}")]
    Internal(String),
}

impl StoreError {
    /// What `error`, met in the database at `path`, is to callers.
    pub(crate) fn from_sqlite(error: &rusqlite::Error, path: &Path) -> Self {
        use rusqlite::ErrorCode;
        let path = || path.to_path_buf();
        if let rusqlite::Error::ToSqlConversionFailure(cause) = error {
            return Self::Invalid(cause.to_string());
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path: path() },
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport,
            ) => Self::Io { path: path(), detail: describe(error) },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path: path() },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { path: path(), detail: describe(error) }
            }
            Some(ErrorCode::ConstraintViolation) => Self::Conflict(error.to_string()),
            Some(ErrorCode::TooBig) => Self::Invalid(error.to_string()),
            _ => Self::Internal(describe(error)),
        }
    }

    /// What a failed call to the system on `path` is to callers.
    pub(crate) fn from_io(error: &std::io::Error, path: &Path) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full { path: path.to_path_buf() }
            }
            _ => Self::Io { path: path.to_path_buf(), detail: error.to_string() },
        }
    }
}

/// SQLite's message with its extended code, which tells a failed write from a failed sync.
fn describe(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(code) => format!("{error} (SQLite code {})", code.extended_code),
        None => error.to_string(),
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        let (kind, hint) = match &error {
            StoreError::Full { path } => {
                (ErrorKind::Storage, format!("free space for {} and try again", path.display()))
            }
            StoreError::Io { path, .. } => (
                ErrorKind::Storage,
                format!("check the disk, its free space and the permissions of {}", path.display()),
            ),
            StoreError::Corrupt { path, .. } => {
                (ErrorKind::Storage, format!("restore {} from a backup, or move it away to begin anew", path.display()))
            }
            StoreError::Busy { path } => {
                (ErrorKind::Overloaded, format!("end what else has {} open and try again", path.display()))
            }
            StoreError::NewerSchema { .. } => (ErrorKind::FailedPrecondition, "install the newer orx again".to_owned()),
            StoreError::Locked { .. } => (
                ErrorKind::FailedPrecondition,
                "stop the other daemon, or set ORX_HOME to another directory".to_owned(),
            ),
            StoreError::Conflict(_) => (ErrorKind::Conflict, String::new()),
            StoreError::NotFound(_) => (ErrorKind::NotFound, String::new()),
            StoreError::Invalid(_) => (ErrorKind::InvalidParams, String::new()),
            StoreError::Closed => (ErrorKind::Draining, "try again once the daemon is back".to_owned()),
            StoreError::Panicked(_) | StoreError::Internal(_) => {
                (ErrorKind::Internal, "this is a defect in orx: report it with the daemon's log".to_owned())
            }
        };
        let mut rpc = Self::new(kind, error.to_string()).with_hint(hint);
        if matches!(error, StoreError::Corrupt { .. }) {
            rpc.data.retryable = false;
        }
        rpc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_storage_error_that_names_the_path() {
        let rpc = RpcError::from(StoreError::Full { path: "/data/orx.db".into() });
        assert_eq!(rpc.kind(), ErrorKind::Storage);
        assert!(rpc.data.retryable);
        assert!(rpc.data.hint.contains("/data/orx.db"), "{}", rpc.data.hint);
    }

    #[test]
    fn a_damaged_database_is_not_worth_a_retry() {
        let rpc = RpcError::from(StoreError::Corrupt { path: "/data/orx.db".into(), detail: "malformed".into() });
        assert_eq!(rpc.kind(), ErrorKind::Storage);
        assert!(!rpc.data.retryable);
    }

    #[test]
    fn a_newer_schema_names_both_versions_and_the_path() {
        let text = StoreError::NewerSchema { path: "/data/orx.db".into(), found: 9, known: 1 }.to_string();
        assert!(text.contains("/data/orx.db") && text.contains('9') && text.contains('1'), "{text}");
    }
}
