//! The journal: everything that changed, in the order in which it became durable. Numbers have no gaps and are never given
//! twice, also when what they named was taken back (nobody has seen it then) or deleted.

use orx_protocol::{Event, clock};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::sql::{Reader, Row, Transaction, Value};
use crate::{StoreError, names};

/// Most kinds in one filter.
const KINDS: usize = 64;

/// Appends an event and returns its number. `data` is an object.
///
/// # Errors
/// [`StoreError::Invalid`] for an unusable kind, subject or `data`.
pub fn append(tx: &mut Transaction<'_>, kind: &str, subject: &str, data: &impl Serialize) -> Result<u64, StoreError> {
    names::check("the event's kind", kind)?;
    if subject.contains(char::is_control) {
        return Err(StoreError::Invalid(format!("the event's subject {subject:?} holds control characters")));
    }
    let data = serde_json::to_string(data).map_err(|error| {
        StoreError::Invalid(format!("the data of event `{kind}` cannot be written as JSON: {error}"))
    })?;
    if !data.starts_with('{') {
        return Err(StoreError::Invalid(format!("the data of event `{kind}` is not an object")));
    }
    let seq = tx
        .query_one("UPDATE counters SET value = value + 1 WHERE name = 'journal' RETURNING value", &[], |row| {
            row.unsigned(0)
        })?
        .ok_or_else(|| tx.corrupt("the counter of the journal is missing"))?;
    tx.execute(
        "INSERT INTO events (seq, at_ms, kind, subject, data) VALUES (?1, ?2, ?3, ?4, ?5)",
        &[seq.into(), clock::now_ms().into(), kind.into(), subject.into(), Value::Text(&data)],
    )?;
    tx.journaled(seq);
    Ok(seq)
}

/// The number of the last event; 0 before the first.
///
/// # Errors
/// As the database cannot be read.
pub fn head(reader: &Reader<'_>) -> Result<u64, StoreError> {
    reader
        .query_one("SELECT value FROM counters WHERE name = 'journal'", &[], |row| row.unsigned(0))?
        .ok_or_else(|| reader.corrupt("the counter of the journal is missing"))
}

/// Up to `limit` events with numbers above `since`, in order, of the given `kinds` (a trailing `*` matches any rest; none
/// given: all) and about `subject`.
///
/// # Errors
/// [`StoreError::Invalid`] for more than 64 kinds; as the database cannot be read.
pub fn after(
    reader: &Reader<'_>,
    since: u64,
    kinds: &[String],
    subject: Option<&str>,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    if kinds.len() > KINDS {
        return Err(StoreError::Invalid(format!("{} kinds are named: the limit is {KINDS}", kinds.len())));
    }
    let mut sql = "SELECT seq, at_ms, kind, subject, data FROM events WHERE seq > ?1".to_owned();
    let mut parameters: Vec<Value<'_>> = vec![since.into(), limit.into()];
    if let Some(subject) = subject {
        parameters.push(subject.into());
        sql.push_str(&format!(" AND subject = ?{}", parameters.len()));
    }
    if !kinds.is_empty() {
        let mut wanted = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let (text, column) = match kind.strip_suffix('*') {
                Some(prefix) => (prefix, format!("substr(kind, 1, {})", prefix.chars().count())),
                None => (kind.as_str(), "kind".to_owned()),
            };
            parameters.push(text.into());
            wanted.push(format!("{column} = ?{}", parameters.len()));
        }
        sql.push_str(&format!(" AND ({})", wanted.join(" OR ")));
    }
    sql.push_str(" ORDER BY seq LIMIT ?2");
    reader.query(&sql, &parameters, event)
}

fn event(row: &Row<'_>) -> Result<Event, StoreError> {
    let seq = row.unsigned(0)?;
    let data = RawValue::from_string(row.text(4)?)
        .map_err(|error| row.corrupt(format!("the data of event {seq} is not JSON: {error}")))?;
    Ok(Event { seq, at_ms: row.unsigned(1)?, kind: row.text(2)?, subject: row.text(3)?, data })
}
