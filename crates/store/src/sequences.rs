//! Counters without gaps. A number, the record it names and the events about both become durable together, and an
//! idempotency key is given the same ones again, over restarts.

use orx_protocol::api::record::{AllocateParams, Allocated, SequenceValue};
use orx_protocol::{clock, event};
use serde::Serialize;

use crate::sql::{Reader, Transaction};
use crate::{StoreError, events, names, records, template};

/// What an idempotency key was given.
struct Grant {
    value: u64,
    /// Collection and key of the record that came with it.
    record: Option<(String, String)>,
}

/// Data of the event about a number.
#[derive(Serialize)]
struct Advanced<'a> {
    value: u64,
    key: Option<&'a str>,
}

/// The next number of the counter `name`, from 1.
///
/// # Errors
/// [`StoreError::Invalid`] for an unusable name or key.
pub fn next(tx: &mut Transaction<'_>, name: &str, key: Option<&str>) -> Result<SequenceValue, StoreError> {
    check(name, key)?;
    if let Some(key) = key
        && let Some(grant) = granted(tx, name, key)?
    {
        return Ok(SequenceValue { value: grant.value, repeated: true });
    }
    let value = advance(tx, name, key)?;
    if let Some(key) = key {
        grant(tx, name, key, value, None)?;
    }
    Ok(SequenceValue { value, repeated: false })
}

/// The next number and the record that it names.
///
/// # Errors
/// [`StoreError::Invalid`] for an unusable name or a record that is no object, [`StoreError::Conflict`] when the record
/// exists already or the key was used for something else, [`StoreError::NotFound`] when the key's record was deleted
/// since. No number is used up then.
pub fn allocate(tx: &mut Transaction<'_>, params: &AllocateParams) -> Result<Allocated, StoreError> {
    let AllocateParams { name, key, collection, record_key, record } = params;
    check(name, key.as_deref())?;
    records::check(collection, record_key)?;
    if let Some(key) = key
        && let Some(grant) = granted(tx, name, key)?
    {
        return repeat(tx, params, key, grant);
    }
    let value = advance(tx, name, key.as_deref())?;
    let record_key = template::fill_text(record_key, value);
    let record = template::fill_record(record, value)?;
    let kept = records::create(tx, collection, &record_key, &record)?;
    if kept.created != Some(true) {
        return Err(StoreError::Conflict(format!(
            "record `{collection}/{record_key}` exists already, so number {value} of `{name}` was not given"
        )));
    }
    if let Some(key) = key {
        grant(tx, name, key, value, Some((collection, &record_key)))?;
    }
    Ok(Allocated { value, record: kept.value, repeated: false })
}

/// The last number that the counter gave; 0 before the first.
///
/// # Errors
/// As the database cannot be read.
pub fn last(reader: &Reader<'_>, name: &str) -> Result<u64, StoreError> {
    let value =
        reader.query_one("SELECT value FROM sequences WHERE name = ?1", &[name.into()], |row| row.unsigned(0))?;
    Ok(value.unwrap_or(0))
}

/// Forgets up to `limit` idempotency keys that were used before `before_ms` (milliseconds since the epoch) and returns how
/// many: the same key is given a new number from then on. The numbers themselves stay taken.
///
/// # Errors
/// As the database does not take it.
pub fn prune(tx: &mut Transaction<'_>, before_ms: u64, limit: u32) -> Result<usize, StoreError> {
    tx.execute(
        "DELETE FROM sequence_grants WHERE (name, idempotency_key) IN \
         (SELECT name, idempotency_key FROM sequence_grants WHERE granted_at_ms < ?1 ORDER BY granted_at_ms LIMIT ?2)",
        &[before_ms.into(), limit.into()],
    )
}

fn check(name: &str, key: Option<&str>) -> Result<(), StoreError> {
    names::check("the sequence's name", name)?;
    key.map_or(Ok(()), |key| names::check("the idempotency key", key))
}

fn advance(tx: &mut Transaction<'_>, name: &str, key: Option<&str>) -> Result<u64, StoreError> {
    let value = tx
        .query_one(
            "INSERT INTO sequences (name, value) VALUES (?1, 1) \
             ON CONFLICT (name) DO UPDATE SET value = sequences.value + 1 RETURNING value",
            &[name.into()],
            |row| row.unsigned(0),
        )?
        .ok_or_else(|| tx.corrupt(format!("sequence `{name}` is missing after it was advanced")))?;
    events::append(tx, event::kind::SEQUENCE_ADVANCED, name, &Advanced { value, key })?;
    Ok(value)
}

fn granted(reader: &Reader<'_>, name: &str, key: &str) -> Result<Option<Grant>, StoreError> {
    reader.query_one(
        "SELECT value, collection, record_key FROM sequence_grants WHERE name = ?1 AND idempotency_key = ?2",
        &[name.into(), key.into()],
        |row| {
            let record = row.optional_text(1)?.zip(row.optional_text(2)?);
            Ok(Grant { value: row.unsigned(0)?, record })
        },
    )
}

fn grant(
    tx: &mut Transaction<'_>,
    name: &str,
    key: &str,
    value: u64,
    record: Option<(&str, &str)>,
) -> Result<(), StoreError> {
    let (collection, record_key) = record.unzip();
    tx.execute(
        "INSERT INTO sequence_grants (name, idempotency_key, value, collection, record_key, granted_at_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[name.into(), key.into(), value.into(), collection.into(), record_key.into(), clock::now_ms().into()],
    )?;
    Ok(())
}

/// Answers `params` once more with what its key was given the first time.
fn repeat(reader: &Reader<'_>, params: &AllocateParams, key: &str, grant: Grant) -> Result<Allocated, StoreError> {
    let (name, value) = (&params.name, grant.value);
    let wanted = (params.collection.clone(), template::fill_text(&params.record_key, value));
    if grant.record.as_ref() != Some(&wanted) {
        return Err(StoreError::Conflict(match grant.record {
            Some((collection, record_key)) => format!(
                "key `{key}` of `{name}` was used for record `{collection}/{record_key}`: use another key for another record"
            ),
            None => format!("key `{key}` of `{name}` was used for number {value} without a record: use another key"),
        }));
    }
    let (collection, record_key) = wanted;
    let record = records::get(reader, &collection, &record_key)?.ok_or_else(|| {
        StoreError::NotFound(format!(
            "key `{key}` of `{name}` was given number {value}, and its record `{collection}/{record_key}` was deleted since"
        ))
    })?;
    Ok(Allocated { value, record: record.value, repeated: true })
}
