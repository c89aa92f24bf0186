//! JSON values that workers keep, named by collection and key; each write counts the version up and is in the journal.

use orx_protocol::api::record::Record;
use orx_protocol::{clock, event};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::sql::{Reader, Row, Transaction};
use crate::{StoreError, events, names};

/// Most records in one page.
const PAGE: u32 = 1000;

/// Writes the record, whether it is there or not.
///
/// # Errors
/// [`StoreError::Invalid`] for unusable names.
pub fn put(tx: &mut Transaction<'_>, collection: &str, key: &str, value: &RawValue) -> Result<Record, StoreError> {
    check(collection, key)?;
    let version = tx
        .query_one(
            "INSERT INTO records (collection, record_key, value, version, updated_at_ms) VALUES (?1, ?2, ?3, 1, ?4) \
             ON CONFLICT (collection, record_key) DO UPDATE SET value = excluded.value, \
             version = records.version + 1, updated_at_ms = excluded.updated_at_ms RETURNING version",
            &[collection.into(), key.into(), value.get().into(), clock::now_ms().into()],
            |row| row.unsigned(0),
        )?
        .ok_or_else(|| tx.corrupt(format!("record `{collection}/{key}` is missing after it was written")))?;
    written(tx, collection, key, version, false)?;
    Ok(Record { key: key.to_owned(), value: value.to_owned(), version, created: None })
}

/// Writes the record unless it is there; `created` tells, and the value is the one that is kept.
///
/// # Errors
/// [`StoreError::Invalid`] for unusable names.
pub fn create(tx: &mut Transaction<'_>, collection: &str, key: &str, value: &RawValue) -> Result<Record, StoreError> {
    check(collection, key)?;
    if let Some(kept) = get(tx, collection, key)? {
        return Ok(Record { created: Some(false), ..kept });
    }
    let record = put(tx, collection, key, value)?;
    Ok(Record { created: Some(true), ..record })
}

/// The record; `None` when there is none.
///
/// # Errors
/// As the database cannot be read.
pub fn get(reader: &Reader<'_>, collection: &str, key: &str) -> Result<Option<Record>, StoreError> {
    reader.query_one(
        "SELECT record_key, value, version FROM records WHERE collection = ?1 AND record_key = ?2",
        &[collection.into(), key.into()],
        record,
    )
}

/// Removes the record; `false` when there was none.
///
/// # Errors
/// [`StoreError::Invalid`] for unusable names.
pub fn delete(tx: &mut Transaction<'_>, collection: &str, key: &str) -> Result<bool, StoreError> {
    check(collection, key)?;
    let version = tx.query_one(
        "DELETE FROM records WHERE collection = ?1 AND record_key = ?2 RETURNING version",
        &[collection.into(), key.into()],
        |row| row.unsigned(0),
    )?;
    let Some(version) = version else { return Ok(false) };
    written(tx, collection, key, version.saturating_add(1), true)?;
    Ok(true)
}

/// Up to `limit` (at most 1000) records of the collection in key order, with keys that begin with `prefix` and are
/// greater than `after`.
///
/// # Errors
/// As the database cannot be read.
pub fn list(
    reader: &Reader<'_>,
    collection: &str,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Record>, StoreError> {
    let length = u64::try_from(prefix.chars().count()).unwrap_or(u64::MAX);
    reader.query(
        "SELECT record_key, value, version FROM records WHERE collection = ?1 AND record_key >= ?2 \
         AND substr(record_key, 1, ?3) = ?2 AND record_key > ?4 ORDER BY record_key LIMIT ?5",
        &[collection.into(), prefix.into(), length.into(), after.unwrap_or_default().into(), limit.min(PAGE).into()],
        record,
    )
}

pub(crate) fn check(collection: &str, key: &str) -> Result<(), StoreError> {
    names::check("the collection's name", collection)?;
    names::check("the record's key", key)
}

/// Data of the event about a write.
#[derive(Serialize)]
struct Written<'a> {
    collection: &'a str,
    key: &'a str,
    version: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

fn written(
    tx: &mut Transaction<'_>,
    collection: &str,
    key: &str,
    version: u64,
    deleted: bool,
) -> Result<(), StoreError> {
    let data = Written { collection, key, version, deleted };
    events::append(tx, event::kind::RECORD_WRITTEN, &format!("{collection}/{key}"), &data)?;
    Ok(())
}

fn record(row: &Row<'_>) -> Result<Record, StoreError> {
    let key = row.text(0)?;
    let value = RawValue::from_string(row.text(1)?)
        .map_err(|error| row.corrupt(format!("the record with key `{key}` is not JSON: {error}")))?;
    Ok(Record { key, value, version: row.unsigned(2)?, created: None })
}
