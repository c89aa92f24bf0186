//! Opens the database's file and connections to it, with the settings that durability and speed need.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::StoreError;
use crate::migrations;

/// How long a statement waits for another process that has the database locked.
pub(crate) const BUSY: Duration = Duration::from_secs(2);
/// Prepared statements kept by each connection.
const STATEMENTS: usize = 128;
/// What every SQLite database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Makes sure that there is a file at `path` that can be opened as a database and that only its owner reads.
///
/// # Errors
/// [`StoreError::NotFound`] without the directory, [`StoreError::Corrupt`] when the file is something else.
pub(crate) fn prepare_file(path: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::from_io(&error, path);
    let created = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    let file = match created {
        Ok(file) => {
            sync_directory_of(path)?;
            file
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
            check_magic(&mut file, path)?;
            file
        }
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    }
    Ok(())
}

/// Checks that the directory for the database at `path` is there.
///
/// # Errors
/// [`StoreError::NotFound`] when it is not.
pub(crate) fn check_directory(path: &Path) -> Result<(), StoreError> {
    let directory = directory_of(path);
    if directory.is_dir() {
        return Ok(());
    }
    Err(StoreError::NotFound(format!(
        "{}: its directory {} does not exist: create it first",
        path.display(),
        directory.display()
    )))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Makes the new file's name as durable as what will be in it.
fn sync_directory_of(path: &Path) -> Result<(), StoreError> {
    let directory = directory_of(path);
    File::open(directory).and_then(|file| file.sync_all()).map_err(|error| StoreError::from_io(&error, directory))
}

fn check_magic(file: &mut File, path: &Path) -> Result<(), StoreError> {
    let mut start = Vec::with_capacity(MAGIC.len());
    let read = file.take(MAGIC.len() as u64).read_to_end(&mut start);
    read.map_err(|error| StoreError::from_io(&error, path))?;
    if start.is_empty() || start == MAGIC {
        return Ok(());
    }
    let detail = "it is not an SQLite database: move it away, or set ORX_HOME to another directory".to_owned();
    Err(StoreError::Corrupt { path: path.to_path_buf(), detail })
}

/// The one connection that writes, with the schema brought up to date.
///
/// # Errors
/// As the database cannot be opened or is not one of this orx; it is unchanged then.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error: rusqlite::Error| StoreError::from_sqlite(&error, path);
    let mut connection = open(path)?;
    migrations::check(&connection, path)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let detail = format!("the file system does not allow a write-ahead log (journal mode is `{mode}`)");
        return Err(StoreError::Io { path: path.to_path_buf(), detail });
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    // Only macOS heeds these two: there a plain sync does not reach the platter.
    connection.pragma_update(None, "fullfsync", true).map_err(failed)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true).map_err(failed)?;
    // The writer checkpoints after it has answered, so that no caller waits for it.
    connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed)?;
    connection.pragma_update(None, "journal_size_limit", crate::wal::LIMIT).map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    migrations::run(&mut connection, path)?;
    Ok(connection)
}

/// A connection that only reads.
///
/// # Errors
/// As the database cannot be opened.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open(path)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| StoreError::from_sqlite(&error, path))?;
    Ok(connection)
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error: rusqlite::Error| StoreError::from_sqlite(&error, path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "trusted_schema", false).map_err(failed)?;
    Ok(connection)
}
