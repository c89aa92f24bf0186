//! The index's database file: made when absent, made again when it is damaged or of another version, and never touched
//! when it belongs to another program.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::error::IndexError;

/// Marks a database as an index of orx (`orxi`).
const APPLICATION: i32 = 0x6f72_7869;

/// Version of the schema and of how texts become words; any other version is made again.
const VERSION: i32 = 1;

/// How long to wait for another process that writes.
const PATIENCE: Duration = Duration::from_secs(20);

const SCHEMA: &str = "
CREATE TABLE about(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE file(
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    changed_ns INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    hash INTEGER,
    omission TEXT
);
CREATE TABLE chunk(
    id INTEGER PRIMARY KEY,
    file INTEGER NOT NULL REFERENCES file(id),
    line INTEGER NOT NULL,
    symbol TEXT,
    text TEXT NOT NULL
);
CREATE INDEX chunk_file ON chunk(file);
CREATE VIRTUAL TABLE words USING fts5(
    body, symbol, path,
    content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 0'
);
";

/// What was found at a database's place.
enum Found {
    Usable(Connection),
    /// It is an index, but not one that this version can use.
    Outdated,
}

/// Whether an error says that the file is not, or no longer, a sound database.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Opens the database at `path`, making it, or making it again, where that is needed.
pub(crate) fn open(path: &Path) -> Result<Connection, IndexError> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .map_err(|source| IndexError::Place { path: directory.to_owned(), source })?;
    }
    match look(path) {
        Ok(Found::Usable(connection)) => return Ok(connection),
        Ok(Found::Outdated) => {}
        Err(IndexError::Database(error)) if is_damage(&error) => {}
        Err(error) => return Err(error),
    }
    discard(path)?;
    match look(path)? {
        Found::Usable(connection) => Ok(connection),
        Found::Outdated => Err(IndexError::Busy),
    }
}

/// Removes the database with the files that SQLite keeps beside it.
pub(crate) fn discard(path: &Path) -> Result<(), IndexError> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let file = PathBuf::from(name);
        match std::fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(IndexError::Place { path: file, source }),
        }
    }
    Ok(())
}

/// Puts a database into the mode in which readers and a writer do not wait for each other. Where another process does the same to a new
/// one at this moment, SQLite refuses at once, whatever the time-out: the wait is here.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                std::thread::yield_now();
            }
            done => return done,
        }
    }
}

fn look(path: &Path) -> Result<Found, IndexError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    // Nothing is written before the file is known to be ours.
    let number = |connection: &Connection, sql| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    let tables = number(&connection, "SELECT count(*) FROM sqlite_master")?;
    if tables > 0 {
        if number(&connection, "PRAGMA application_id")? != APPLICATION {
            return Err(IndexError::Foreign { path: path.to_owned() });
        }
        if number(&connection, "PRAGMA user_version")? != VERSION {
            return Ok(Found::Outdated);
        }
    }
    write_ahead(&connection)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have made it since.
    if number(&transaction, "SELECT count(*) FROM sqlite_master")? == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    let complete = "SELECT count(*) FROM sqlite_master WHERE name IN ('about', 'file', 'chunk', 'words')";
    if number(&connection, complete)? < 4 { Ok(Found::Outdated) } else { Ok(Found::Usable(connection)) }
}
