//! What people were told, and what became of it.

use orx_protocol::api::notification::Notification;

use crate::StoreError;
use crate::sql::{Reader, Transaction, Value};

/// Notifications that are kept.
pub const KEPT: u32 = 1000;

/// Keeps a notification, and drops the oldest beyond [`KEPT`].
///
/// # Errors
/// As the database does not take it.
pub fn add(tx: &mut Transaction<'_>, notification: &Notification) -> Result<(), StoreError> {
    let body = serde_json::to_string(notification)
        .map_err(|error| StoreError::Internal(format!("a notification cannot be written as JSON: {error}")))?;
    tx.execute(
        "INSERT INTO notifications (notification, at_ms, body) VALUES (?1, ?2, ?3)",
        &[Value::Text(&notification.notification.to_string()), notification.at_ms.into(), Value::Text(&body)],
    )?;
    tx.execute(
        "DELETE FROM notifications WHERE notification IN \
         (SELECT notification FROM notifications ORDER BY at_ms DESC, notification DESC LIMIT -1 OFFSET ?1)",
        &[KEPT.into()],
    )?;
    Ok(())
}

/// The newest notifications, oldest of them first.
///
/// # Errors
/// As the database cannot be read.
pub fn newest(reader: &Reader<'_>, limit: u32) -> Result<Vec<Notification>, StoreError> {
    let mut notifications = reader.query(
        "SELECT body FROM notifications ORDER BY at_ms DESC, notification DESC LIMIT ?1",
        &[limit.into()],
        |row| {
            serde_json::from_str(&row.text(0)?)
                .map_err(|error| row.corrupt(format!("what is kept of a notification cannot be read: {error}")))
        },
    )?;
    notifications.reverse();
    Ok(notifications)
}
