//! Keeping the database in step with the files: only what changed is read again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use orx_protocol::clock::now_ms;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::chunk::cut;
use crate::database;
use crate::error::IndexError;
use crate::search::{self, Hit};
use crate::source::{Source, take_all_apart};
use crate::symbols::joint;
use crate::tokens::indexed;
use crate::walk::{Candidate, Limits, Omission, Omitted, Walked, walk};

/// Files that are read and written together; a stop in between keeps what is done.
const BATCH: usize = 256;

/// A file that changed so shortly before it was read (milliseconds) may have changed again without a new time.
const SETTLING_MS: u64 = 2_000;

/// What an update did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateReport {
    /// Files that are in the index now.
    pub files: u64,
    /// Files that were read in because they are new or differ.
    pub changed: u64,
    /// Files that are gone.
    pub removed: u64,
    /// What was left out, and why.
    pub omitted: Vec<Omitted>,
}

/// Full-text index of one repository.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    connection: Connection,
    /// What the last update was of, so that a damaged index can be made again.
    source: Option<(PathBuf, Limits)>,
}

/// What is known of a file from the last time.
struct Known {
    id: i64,
    changed_ns: i64,
    bytes: u64,
    seen_ms: u64,
    hash: Option<i64>,
    omission: Option<Omission>,
}

impl Known {
    fn still_holds(&self, file: &Candidate) -> bool {
        let changed_ms = u64::try_from(self.changed_ns / 1_000_000).unwrap_or(0);
        self.changed_ns == file.changed_ns
            && self.bytes == file.bytes
            && changed_ms.saturating_add(SETTLING_MS) < self.seen_ms
    }
}

impl Index {
    /// Opens the index kept in the file `path`, with its directories. A damaged one, or one of another version, is made
    /// again: it is derived.
    ///
    /// # Errors
    /// `Place` when the file cannot be made, `Foreign` when it is a database of another program, `Busy`, `Database`.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let connection = database::open(path)?;
        Ok(Self { path: path.to_owned(), connection, source: None })
    }

    /// Brings the index in step with the files below `root`. Files whose size and time are unchanged are not read. An
    /// index that held another root is emptied first.
    ///
    /// # Errors
    /// `Root` when `root` is not a directory that can be read; `Busy` while another process updates it; `Database`.
    pub fn update(&mut self, root: &Path, limits: Limits) -> Result<UpdateReport, IndexError> {
        self.source = Some((root.to_owned(), limits));
        let walked = walk(root, limits)?;
        match update(&mut self.connection, root, limits, &walked) {
            Err(IndexError::Database(error)) if database::is_damage(&error) => {
                self.make_again()?;
                update(&mut self.connection, root, limits, &walked)
            }
            outcome => outcome,
        }
    }

    /// The pieces of code that fit the words of `query` best, best first; at most `limit`. Identifiers are found in all
    /// spellings (`parse_frame`, `parseFrame`). A query without letters or digits finds nothing.
    ///
    /// # Errors
    /// `Busy`, `Database`; never for what the query holds.
    pub fn search(&mut self, query: &str, limit: usize) -> Result<Vec<Hit>, IndexError> {
        match search::search(&self.connection, query, limit) {
            Err(error) if database::is_damage(&error) => {
                self.make_again()?;
                if let Some((root, limits)) = self.source.clone() {
                    self.update(&root, limits)?;
                }
                Ok(search::search(&self.connection, query, limit)?)
            }
            outcome => Ok(outcome?),
        }
    }

    fn make_again(&mut self) -> Result<(), IndexError> {
        self.connection = Connection::open_in_memory()?;
        database::discard(&self.path)?;
        self.connection = database::open(&self.path)?;
        Ok(())
    }
}

fn update(
    connection: &mut Connection,
    root: &Path,
    limits: Limits,
    walked: &Walked,
) -> Result<UpdateReport, IndexError> {
    claim(connection, root)?;
    let mut known = known_files(connection)?;
    let mut account = walked.account.clone();
    let mut report = UpdateReport { files: 0, changed: 0, removed: 0, omitted: Vec::new() };
    let mut stale = Vec::new();
    let mut replaced = HashMap::new();
    for file in &walked.files {
        match known.remove(&file.path) {
            Some(entry) if entry.still_holds(file) => match entry.omission {
                Some(reason) => account.add(reason, &file.path),
                None => report.files += 1,
            },
            Some(entry) => {
                replaced.insert(file.path.clone(), entry);
                stale.push(file.clone());
            }
            None => stale.push(file.clone()),
        }
    }
    for batch in stale.chunks(BATCH) {
        let now = now_ms();
        let sources = take_all_apart(batch, limits.file_bytes);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (file, source) in batch.iter().zip(sources) {
            match &source {
                Ok(_) => report.files += 1,
                Err(reason) => account.add(*reason, &file.path),
            }
            if store(&transaction, file, source, replaced.get(&file.path), now)? {
                report.changed += 1;
            }
        }
        transaction.commit()?;
    }
    if !known.is_empty() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for entry in known.values() {
            drop_chunks(&transaction, entry.id)?;
            transaction.prepare_cached("DELETE FROM file WHERE id = ?1")?.execute([entry.id])?;
            report.removed += u64::from(entry.omission.is_none());
        }
        transaction.commit()?;
    }
    report.omitted = account.into_list();
    Ok(report)
}

/// Empties an index that holds another root.
fn claim(connection: &mut Connection, root: &Path) -> Result<(), IndexError> {
    let root = root.to_string_lossy();
    let read = "SELECT value FROM about WHERE name = 'root'";
    let held: Option<String> = connection.query_row(read, [], |row| row.get(0)).optional()?;
    if held.as_deref() == Some(&root) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch("DELETE FROM words; DELETE FROM chunk; DELETE FROM file;")?;
    transaction.execute("INSERT OR REPLACE INTO about(name, value) VALUES ('root', ?1)", [&root])?;
    transaction.commit()?;
    Ok(())
}

fn known_files(connection: &Connection) -> Result<HashMap<String, Known>, IndexError> {
    let mut statement = connection.prepare("SELECT path, id, changed_ns, bytes, seen_ms, hash, omission FROM file")?;
    let rows = statement.query_map([], |row| {
        let omission: Option<String> = row.get(6)?;
        let known = Known {
            id: row.get(1)?,
            changed_ns: row.get(2)?,
            bytes: row.get::<_, i64>(3)?.cast_unsigned(),
            seen_ms: row.get::<_, i64>(4)?.cast_unsigned(),
            hash: row.get(5)?,
            omission: omission.and_then(|word| serde_json::from_value(word.into()).ok()),
        };
        Ok((row.get(0)?, known))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Keeps a file, and says whether its text differs from what was kept.
fn store(
    transaction: &Transaction<'_>,
    file: &Candidate,
    source: Result<Source, Omission>,
    before: Option<&Known>,
    now: u64,
) -> Result<bool, IndexError> {
    let hash = source.as_ref().ok().map(|source| source.hash);
    let omission = source.as_ref().err().and_then(|reason| match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(word)) => Some(word),
        _ => None,
    });
    let id: i64 = transaction
        .prepare_cached(
            "INSERT INTO file(path, changed_ns, bytes, seen_ms, hash, omission) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT(path) DO UPDATE SET changed_ns = ?2, bytes = ?3, seen_ms = ?4, hash = ?5, omission = ?6
             RETURNING id",
        )?
        .query_row(
            params![file.path, file.changed_ns, file.bytes.cast_signed(), now.cast_signed(), hash, omission],
            |row| row.get(0),
        )?;
    if before.is_some_and(|before| before.hash == hash) {
        return Ok(false);
    }
    // Also where nothing was known: another process may have stored the file in the meantime.
    drop_chunks(transaction, id)?;
    let Ok(source) = source else { return Ok(before.is_some_and(|before| before.hash.is_some())) };
    let path_words = indexed(&file.path);
    for chunk in cut(&source.text, &source.symbols, joint(source.language)) {
        transaction
            .prepare_cached("INSERT INTO chunk(file, line, symbol, text) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id, chunk.line, chunk.symbol, chunk.text])?;
        let symbol_words = chunk.symbol.as_deref().map(indexed);
        transaction
            .prepare_cached("INSERT INTO words(rowid, body, symbol, path) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![transaction.last_insert_rowid(), indexed(&chunk.text), symbol_words, path_words])?;
    }
    Ok(true)
}

fn drop_chunks(transaction: &Transaction<'_>, file: i64) -> Result<(), IndexError> {
    transaction
        .prepare_cached("DELETE FROM words WHERE rowid IN (SELECT id FROM chunk WHERE file = ?1)")?
        .execute([file])?;
    transaction.prepare_cached("DELETE FROM chunk WHERE file = ?1")?.execute([file])?;
    Ok(())
}
