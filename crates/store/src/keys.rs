//! Keys with names, without the keys themselves.

use orx_protocol::KeyId;
use orx_protocol::api::key::{Key, KeyCap};
use orx_protocol::event::kind;

use crate::sql::{Reader, Row, Transaction, Value};
use crate::{StoreError, events};

/// Keeps a new key, with its event.
///
/// # Errors
/// [`StoreError::Conflict`] when one of this name is in force.
pub fn add(tx: &mut Transaction<'_>, key: &Key) -> Result<(), StoreError> {
    let cap = key.cap.as_ref().map(serde_json::to_string).transpose();
    let cap = cap.map_err(|error| StoreError::Internal(format!("a cap cannot be written as JSON: {error}")))?;
    let inserted = tx.execute(
        "INSERT INTO keys (key, name, created_ms, revoked_ms, last_used_ms, cap) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT DO NOTHING",
        &[
            Value::Text(&key.key.to_string()),
            Value::Text(&key.name),
            key.created_ms.into(),
            key.revoked_ms.into(),
            key.last_used_ms.into(),
            cap.as_ref().into(),
        ],
    )?;
    if inserted == 0 {
        return Err(StoreError::Conflict(format!(
            "there is a key named `{}` already: revoke it, or take another name",
            key.name
        )));
    }
    let data = serde_json::json!({"name": key.name, "cap": key.cap});
    events::append(tx, kind::KEY_ADDED, &key.key.to_string(), &data).map(drop)
}

/// Notes that the key of this name is void, with its event; gives what is kept of it.
///
/// # Errors
/// [`StoreError::NotFound`] when none of this name is in force.
pub fn revoke(tx: &mut Transaction<'_>, name: &str, now_ms: u64) -> Result<Key, StoreError> {
    let key = tx
        .query_one(
            "UPDATE keys SET revoked_ms = ?2 WHERE name = ?1 AND revoked_ms IS NULL \
             RETURNING key, name, created_ms, revoked_ms, last_used_ms, cap",
            &[Value::Text(name), now_ms.into()],
            read,
        )?
        .ok_or_else(|| StoreError::NotFound(format!("there is no key named `{}` in force", name.escape_debug())))?;
    events::append(tx, kind::KEY_REVOKED, &key.key.to_string(), &serde_json::json!({ "name": key.name }))?;
    Ok(key)
}

/// Notes when a key was used last.
///
/// # Errors
/// As the database fails.
pub fn used(tx: &mut Transaction<'_>, key: KeyId, at_ms: u64) -> Result<(), StoreError> {
    tx.execute("UPDATE keys SET last_used_ms = ?2 WHERE key = ?1", &[Value::Text(&key.to_string()), at_ms.into()])?;
    Ok(())
}

/// All keys, revoked ones too, oldest first.
///
/// # Errors
/// As the database cannot be read.
pub fn all(reader: &Reader<'_>) -> Result<Vec<Key>, StoreError> {
    reader.query("SELECT key, name, created_ms, revoked_ms, last_used_ms, cap FROM keys ORDER BY key", &[], read)
}

fn read(row: &Row<'_>) -> Result<Key, StoreError> {
    let cap = row.optional_text(5)?.map(|cap| serde_json::from_str::<KeyCap>(&cap)).transpose();
    Ok(Key {
        key: row.text(0)?.parse().map_err(|error| row.corrupt(format!("a key's name cannot be read: {error}")))?,
        name: row.text(1)?,
        created_ms: row.unsigned(2)?,
        revoked_ms: row.optional_unsigned(3)?,
        last_used_ms: row.optional_unsigned(4)?,
        cap: cap.map_err(|error| row.corrupt(format!("a key's cap cannot be read: {error}")))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use orx_protocol::api::key::Per;

    fn key(name: &str) -> Key {
        Key {
            key: KeyId::generate(),
            name: name.to_owned(),
            created_ms: 5,
            revoked_ms: None,
            last_used_ms: None,
            cap: Some(KeyCap { micro_dollars: 7, per: Per::Month }),
        }
    }

    #[tokio::test]
    async fn a_name_is_given_once_at_a_time_and_a_revoked_key_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("orx.db")).unwrap();
        let first = key("ci");
        let (kept, id) = (first.clone(), first.key);
        store.write(move |tx| add(tx, &kept)).await.unwrap();
        let taken = store.write(|tx| add(tx, &key("ci"))).await;
        assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
        store.write(move |tx| used(tx, id, 9)).await.unwrap();
        let revoked = store.write(|tx| revoke(tx, "ci", 11)).await.unwrap();
        assert_eq!(revoked, Key { revoked_ms: Some(11), last_used_ms: Some(9), ..first });
        let gone = store.write(|tx| revoke(tx, "ci", 12)).await;
        assert!(matches!(gone, Err(StoreError::NotFound(_))), "{gone:?}");
        store.write(|tx| add(tx, &key("ci"))).await.unwrap();
        let all = store.read(all).await.unwrap();
        assert_eq!(all.iter().map(|key| key.revoked_ms).collect::<Vec<_>>(), [Some(11), None]);
    }
}
