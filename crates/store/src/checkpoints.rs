//! Checkpoints of sessions: the newest of each are kept, and their numbers go on.

use orx_protocol::SessionId;
use orx_protocol::api::life::Checkpoint;

use crate::StoreError;
use crate::sql::{Reader, Row, Transaction, Value};

/// Checkpoints that are kept of a session.
pub const KEPT: u32 = 100;

/// Keeps a checkpoint under the next number, which is given, and drops the oldest beyond [`KEPT`].
///
/// # Errors
/// As the database does not take it.
pub fn add(tx: &mut Transaction<'_>, session: SessionId, checkpoint: &Checkpoint) -> Result<u64, StoreError> {
    let session = session.to_string();
    // The newest is always kept, so the largest number of the table is the last that was given.
    let last = tx.query_one(
        "SELECT max(sequence) FROM checkpoints WHERE session = ?1 HAVING count(*) > 0",
        &[Value::Text(&session)],
        |row| row.unsigned(0),
    )?;
    let sequence = last.unwrap_or(0) + 1;
    let body = serde_json::to_string(&Checkpoint { sequence, ..checkpoint.clone() })
        .map_err(|error| StoreError::Internal(format!("a checkpoint cannot be written as JSON: {error}")))?;
    tx.execute(
        "INSERT INTO checkpoints (session, sequence, at_ms, body) VALUES (?1, ?2, ?3, ?4)",
        &[Value::Text(&session), sequence.into(), checkpoint.at_ms.into(), Value::Text(&body)],
    )?;
    tx.execute(
        "DELETE FROM checkpoints WHERE session = ?1 AND sequence <= ?2",
        &[Value::Text(&session), sequence.saturating_sub(u64::from(KEPT)).into()],
    )?;
    Ok(sequence)
}

/// The checkpoints of a session, oldest first.
///
/// # Errors
/// As the database cannot be read.
pub fn list(reader: &Reader<'_>, session: SessionId) -> Result<Vec<Checkpoint>, StoreError> {
    reader.query(
        "SELECT body FROM checkpoints WHERE session = ?1 ORDER BY sequence",
        &[Value::Text(&session.to_string())],
        checkpoint,
    )
}

/// One checkpoint; `None` when there is none of that number.
///
/// # Errors
/// As the database cannot be read.
pub fn get(reader: &Reader<'_>, session: SessionId, sequence: u64) -> Result<Option<Checkpoint>, StoreError> {
    reader.query_one(
        "SELECT body FROM checkpoints WHERE session = ?1 AND sequence = ?2",
        &[Value::Text(&session.to_string()), sequence.into()],
        checkpoint,
    )
}

fn checkpoint(row: &Row<'_>) -> Result<Checkpoint, StoreError> {
    serde_json::from_str(&row.text(0)?)
        .map_err(|error| row.corrupt(format!("what is kept of a checkpoint cannot be read: {error}")))
}
