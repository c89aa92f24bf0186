//! Texts that were sent to sessions, and what became of them.

use orx_protocol::api::delivery::{Message, Receipt};
use orx_protocol::{MessageId, SessionId};

use crate::StoreError;
use crate::sql::{Reader, Row, Transaction, Value};

/// Most messages that one listing gives.
const LIMIT: u32 = 1000;

/// Whether it is not delivered yet, or not known how far it came.
fn is_pending(message: &Message) -> bool {
    matches!(message.receipt, None | Some(Receipt::Queued))
}

fn json(message: &Message) -> Result<String, StoreError> {
    serde_json::to_string(message)
        .map_err(|error| StoreError::Internal(format!("a message cannot be written as JSON: {error}")))
}

/// Keeps a new message.
///
/// # Errors
/// [`StoreError::Conflict`] when its session has one with this key.
pub fn insert(tx: &mut Transaction<'_>, message: &Message, key: Option<&str>) -> Result<(), StoreError> {
    let inserted = tx.execute(
        "INSERT INTO messages (message, session, idempotency_key, pending, at_ms, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        &[
            Value::Text(&message.message.to_string()),
            Value::Text(&message.session.to_string()),
            key.map_or(Value::Null, Value::Text),
            u32::from(is_pending(message)).into(),
            message.at_ms.into(),
            Value::Text(&json(message)?),
        ],
    )?;
    if inserted == 0 {
        return Err(StoreError::Conflict(format!("session {} has a message with this key", message.session)));
    }
    Ok(())
}

/// Keeps what became of a message.
///
/// # Errors
/// [`StoreError::NotFound`].
pub fn update(tx: &mut Transaction<'_>, message: &Message) -> Result<(), StoreError> {
    let updated = tx.execute(
        "UPDATE messages SET pending = ?2, body = ?3 WHERE message = ?1",
        &[
            Value::Text(&message.message.to_string()),
            u32::from(is_pending(message)).into(),
            Value::Text(&json(message)?),
        ],
    )?;
    if updated == 0 {
        return Err(StoreError::NotFound(format!("there is no message {}", message.message)));
    }
    Ok(())
}

/// One message; `None` when there is none.
///
/// # Errors
/// As the database cannot be read.
pub fn get(reader: &Reader<'_>, message: MessageId) -> Result<Option<Message>, StoreError> {
    reader.query_one("SELECT body FROM messages WHERE message = ?1", &[Value::Text(&message.to_string())], parsed)
}

/// The message of a session with this key; `None` when there is none.
///
/// # Errors
/// As the database cannot be read.
pub fn by_key(reader: &Reader<'_>, session: SessionId, key: &str) -> Result<Option<Message>, StoreError> {
    reader.query_one(
        "SELECT body FROM messages WHERE session = ?1 AND idempotency_key = ?2",
        &[Value::Text(&session.to_string()), Value::Text(key)],
        parsed,
    )
}

/// The newest messages of a session, in the order in which they came.
///
/// # Errors
/// As the database cannot be read.
pub fn of_session(reader: &Reader<'_>, session: SessionId) -> Result<Vec<Message>, StoreError> {
    let mut messages = reader.query(
        "SELECT body FROM messages WHERE session = ?1 ORDER BY rowid DESC LIMIT ?2",
        &[Value::Text(&session.to_string()), LIMIT.into()],
        parsed,
    )?;
    messages.reverse();
    Ok(messages)
}

/// Every message that is not delivered yet, or of which it is not known, in the order in which they came: the clock may
/// have been set meanwhile.
///
/// # Errors
/// As the database cannot be read.
pub fn pending(reader: &Reader<'_>) -> Result<Vec<Message>, StoreError> {
    reader.query("SELECT body FROM messages WHERE pending = 1 ORDER BY rowid", &[], parsed)
}

fn parsed(row: &Row<'_>) -> Result<Message, StoreError> {
    serde_json::from_str(&row.text(0)?)
        .map_err(|error| row.corrupt(format!("what is kept of a message cannot be read: {error}")))
}
