//! Sessions that are parked, as the gateway keeps them.

use crate::StoreError;
use crate::sql::{Reader, Transaction, Value};

/// Keeps how a session is parked, in the place of what was kept of it.
///
/// # Errors
/// As the database fails.
pub fn put(tx: &mut Transaction<'_>, session: &str, body: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO parkings (session, body) VALUES (?1, ?2)",
        &[Value::Text(session), Value::Text(body)],
    )?;
    Ok(())
}

/// Forgets that a session was parked.
///
/// # Errors
/// As the database fails.
pub fn remove(tx: &mut Transaction<'_>, session: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM parkings WHERE session = ?1", &[Value::Text(session)])?;
    Ok(())
}

/// Sessions, and how they are parked.
///
/// # Errors
/// As the database fails.
pub fn all(reader: &Reader<'_>) -> Result<Vec<(String, String)>, StoreError> {
    reader.query("SELECT session, body FROM parkings ORDER BY session", &[], |row| Ok((row.text(0)?, row.text(1)?)))
}

/// Whether a session is parked.
///
/// # Errors
/// As the database fails.
pub fn is_there(reader: &Reader<'_>, session: &str) -> Result<bool, StoreError> {
    let found = reader
        .query_one("SELECT 1 FROM parkings WHERE session = ?1", &[Value::Text(session)], |row| row.unsigned(0))?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    #[tokio::test]
    async fn the_newest_is_kept_and_what_is_over_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("orx.db")).unwrap();
        store.write(|tx| put(tx, "ses_1", "1").and_then(|()| put(tx, "ses_1", "2"))).await.unwrap();
        assert_eq!(store.read(all).await.unwrap(), [("ses_1".to_owned(), "2".to_owned())]);
        assert!(store.read(|reader| is_there(reader, "ses_1")).await.unwrap());
        store.write(|tx| remove(tx, "ses_1")).await.unwrap();
        assert!(!store.read(|reader| is_there(reader, "ses_1")).await.unwrap());
        assert_eq!(store.read(all).await.unwrap(), []);
    }
}
