//! How far each named reader of the journal has come.

use orx_protocol::clock;

use crate::sql::{Reader, Transaction};
use crate::{StoreError, events, names};

/// Where the cursor stands; `None` when it was never set.
///
/// # Errors
/// As the database cannot be read.
pub fn get(reader: &Reader<'_>, name: &str) -> Result<Option<u64>, StoreError> {
    reader.query_one("SELECT seq FROM cursors WHERE name = ?1", &[name.into()], |row| row.unsigned(0))
}

/// Moves the cursor forward to `seq`, the last event that was dealt with, and returns where it stands: a cursor that is
/// further already stays.
///
/// # Errors
/// [`StoreError::Invalid`] for an unusable name, and for a number that the journal has not reached.
pub fn set(tx: &mut Transaction<'_>, name: &str, seq: u64) -> Result<u64, StoreError> {
    check(tx, name, seq)?;
    tx.execute(
        "INSERT INTO cursors (name, seq, updated_at_ms) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, updated_at_ms = excluded.updated_at_ms \
         WHERE excluded.seq > cursors.seq",
        &[name.into(), seq.into(), clock::now_ms().into()],
    )?;
    get(tx, name)?.ok_or_else(|| tx.corrupt(format!("cursor `{name}` is missing after it was set")))
}

/// Puts the cursor at `seq`, backwards too, so that its reader sees later events again.
///
/// # Errors
/// As [`set`].
pub fn reset(tx: &mut Transaction<'_>, name: &str, seq: u64) -> Result<(), StoreError> {
    check(tx, name, seq)?;
    tx.execute(
        "INSERT INTO cursors (name, seq, updated_at_ms) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, updated_at_ms = excluded.updated_at_ms",
        &[name.into(), seq.into(), clock::now_ms().into()],
    )?;
    Ok(())
}

fn check(reader: &Reader<'_>, name: &str, seq: u64) -> Result<(), StoreError> {
    names::check("the cursor's name", name)?;
    let head = events::head(reader)?;
    if seq > head {
        return Err(StoreError::Invalid(format!("cursor `{name}` cannot move to {seq}: the journal ends at {head}")));
    }
    Ok(())
}
