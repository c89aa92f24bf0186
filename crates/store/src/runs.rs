//! Runs of pipelines: their state, and a document that belongs to the pipeline. Their events are appended by the caller,
//! in the same transaction.

use orx_protocol::api::run::RunState;
use orx_protocol::{RunId, clock};

use crate::StoreError;
use crate::sql::{Reader, Row, Transaction, Value};

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// Its state.
    pub state: RunState,
    /// The repository that it works on.
    pub repository: String,
    /// JSON that the pipeline writes and reads.
    pub body: String,
    /// Milliseconds since the epoch.
    pub created_at_ms: u64,
    /// Milliseconds since the epoch; set by the store with each write.
    pub updated_at_ms: u64,
    /// Grows by one with each write, from 1; set by the store.
    pub version: u64,
}

const COLUMNS: &str = "SELECT run, state, repository, body, created_at_ms, updated_at_ms, version FROM runs";

/// Keeps a new run and returns it with version 1.
///
/// # Errors
/// [`StoreError::Conflict`] when there is one of that name.
pub fn insert(tx: &mut Transaction<'_>, row: &RunRow) -> Result<RunRow, StoreError> {
    let now = clock::now_ms();
    let inserted = tx.execute(
        "INSERT INTO runs (run, state, repository, body, created_at_ms, updated_at_ms, version) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1) ON CONFLICT (run) DO NOTHING",
        &[
            Value::Text(&row.run.to_string()),
            row.state.as_str().into(),
            Value::Text(&row.repository),
            Value::Text(&row.body),
            row.created_at_ms.into(),
            now.into(),
        ],
    )?;
    if inserted == 0 {
        return Err(StoreError::Conflict(format!("run {} exists already", row.run)));
    }
    Ok(RunRow { updated_at_ms: now, version: 1, ..row.clone() })
}

/// Keeps state and body of a run whose `version` is still the one that is kept, and returns it with the next version.
///
/// # Errors
/// [`StoreError::Conflict`] when somebody else wrote it meanwhile, [`StoreError::NotFound`] when there is none.
pub fn save(tx: &mut Transaction<'_>, row: &RunRow) -> Result<RunRow, StoreError> {
    let now = clock::now_ms();
    let saved = tx.execute(
        "UPDATE runs SET state = ?3, body = ?4, updated_at_ms = ?5, version = version + 1 \
         WHERE run = ?1 AND version = ?2",
        &[
            Value::Text(&row.run.to_string()),
            row.version.into(),
            row.state.as_str().into(),
            Value::Text(&row.body),
            now.into(),
        ],
    )?;
    if saved == 1 {
        return Ok(RunRow { updated_at_ms: now, version: row.version.saturating_add(1), ..row.clone() });
    }
    Err(match get(tx, row.run)? {
        Some(kept) => StoreError::Conflict(format!(
            "run {} was changed by somebody else: version {} is kept and {} was to be replaced",
            row.run, kept.version, row.version
        )),
        None => StoreError::NotFound(format!("there is no run {}", row.run)),
    })
}

/// The run; `None` when there is none.
///
/// # Errors
/// As the database cannot be read.
pub fn get(reader: &Reader<'_>, run: RunId) -> Result<Option<RunRow>, StoreError> {
    reader.query_one(&format!("{COLUMNS} WHERE run = ?1"), &[Value::Text(&run.to_string())], run_row)
}

/// Up to `limit` runs, newest first: of one repository, or of all.
///
/// # Errors
/// As the database cannot be read.
pub fn list(reader: &Reader<'_>, repository: Option<&str>, limit: u32) -> Result<Vec<RunRow>, StoreError> {
    match repository {
        Some(repository) => reader.query(
            &format!("{COLUMNS} WHERE repository = ?1 ORDER BY created_at_ms DESC, run DESC LIMIT ?2"),
            &[repository.into(), limit.into()],
            run_row,
        ),
        None => {
            reader.query(&format!("{COLUMNS} ORDER BY created_at_ms DESC, run DESC LIMIT ?1"), &[limit.into()], run_row)
        }
    }
}

/// Every run that is at work, oldest first: what a restarted daemon takes up again.
///
/// # Errors
/// As the database cannot be read.
pub fn unfinished(reader: &Reader<'_>) -> Result<Vec<RunRow>, StoreError> {
    reader.query(&format!("{COLUMNS} WHERE state = 'running' ORDER BY created_at_ms, run"), &[], run_row)
}

fn run_row(row: &Row<'_>) -> Result<RunRow, StoreError> {
    let name = row.text(0)?;
    let run = name.parse().map_err(|error| row.corrupt(format!("a run has an unusable name: {error}")))?;
    Ok(RunRow {
        run,
        state: state(row, &name)?,
        repository: row.text(2)?,
        body: row.text(3)?,
        created_at_ms: row.unsigned(4)?,
        updated_at_ms: row.unsigned(5)?,
        version: row.unsigned(6)?,
    })
}

fn state(row: &Row<'_>, run: &str) -> Result<RunState, StoreError> {
    let word = row.text(1)?;
    [RunState::Running, RunState::Done, RunState::Failed, RunState::Cancelled]
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| row.corrupt(format!("run {run} is in the unknown state `{word}`")))
}
