//! Sessions: what they are for callers, and which processes hold them. Their events are appended by the caller, in the
//! same transaction.

use orx_protocol::SessionId;
use orx_protocol::api::session::Session;
use orx_protocol::hold::Holder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::sql::{Reader, Row, Transaction, Value};

/// A session with what the daemon needs to find it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// What callers see.
    pub session: Session,
    /// Its processes; `None` until they are known.
    pub holder: Option<Holder>,
    /// Path of the holder's socket.
    pub socket: String,
}

/// Keeps a new session.
///
/// # Errors
/// [`StoreError::Conflict`] when there is one of that name.
pub fn insert(tx: &mut Transaction<'_>, row: &SessionRow) -> Result<(), StoreError> {
    let session = &row.session;
    let (body, holder) = documents(row)?;
    let inserted = tx.execute(
        "INSERT INTO sessions (session, state, final, owner, created_at_ms, body, holder, socket) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (session) DO NOTHING",
        &[
            Value::Text(&session.session.to_string()),
            session.state.as_str().into(),
            u32::from(session.state.is_final()).into(),
            session.owner.as_ref().into(),
            session.created_at_ms.into(),
            Value::Text(&body),
            holder.as_ref().into(),
            Value::Text(&row.socket),
        ],
    )?;
    if inserted == 0 {
        return Err(StoreError::Conflict(format!("session {} exists already", session.session)));
    }
    Ok(())
}

/// Keeps the session as it is now.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none of that name.
pub fn update(tx: &mut Transaction<'_>, row: &SessionRow) -> Result<(), StoreError> {
    let session = &row.session;
    let (body, holder) = documents(row)?;
    let updated = tx.execute(
        "UPDATE sessions SET state = ?2, final = ?3, owner = ?4, created_at_ms = ?5, body = ?6, holder = ?7, \
         socket = ?8 WHERE session = ?1",
        &[
            Value::Text(&session.session.to_string()),
            session.state.as_str().into(),
            u32::from(session.state.is_final()).into(),
            session.owner.as_ref().into(),
            session.created_at_ms.into(),
            Value::Text(&body),
            holder.as_ref().into(),
            Value::Text(&row.socket),
        ],
    )?;
    if updated == 0 {
        return Err(StoreError::NotFound(format!("there is no session {}", session.session)));
    }
    Ok(())
}

/// The session; `None` when there is none.
///
/// # Errors
/// As the database cannot be read.
pub fn get(reader: &Reader<'_>, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
    reader.query_one(
        "SELECT session, body, holder, socket FROM sessions WHERE session = ?1",
        &[Value::Text(&session.to_string())],
        session_row,
    )
}

/// The newest `limit` sessions, oldest of them first: all of them, or only those that have not ended and belong to no run.
///
/// # Errors
/// As the database cannot be read.
pub fn list(reader: &Reader<'_>, all: bool, limit: u32) -> Result<Vec<SessionRow>, StoreError> {
    let sql = if all {
        "SELECT session, body, holder, socket FROM sessions ORDER BY created_at_ms DESC, session DESC LIMIT ?1"
    } else {
        "SELECT session, body, holder, socket FROM sessions WHERE final = 0 AND owner IS NULL \
         ORDER BY created_at_ms DESC, session DESC LIMIT ?1"
    };
    let mut sessions = reader.query(sql, &[limit.into()], session_row)?;
    sessions.reverse();
    Ok(sessions)
}

/// Every session that has not ended, oldest first, also those of runs: what a restarted daemon looks after.
///
/// # Errors
/// As the database cannot be read.
pub fn unfinished(reader: &Reader<'_>) -> Result<Vec<SessionRow>, StoreError> {
    reader.query(
        "SELECT session, body, holder, socket FROM sessions WHERE final = 0 ORDER BY created_at_ms, session",
        &[],
        session_row,
    )
}

fn documents(row: &SessionRow) -> Result<(String, Option<String>), StoreError> {
    Ok((json(&row.session)?, row.holder.as_ref().map(json).transpose()?))
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Internal(format!("a session cannot be written as JSON: {error}")))
}

fn session_row(row: &Row<'_>) -> Result<SessionRow, StoreError> {
    let holder = row.optional_text(2)?;
    Ok(SessionRow {
        session: parsed(row, &row.text(1)?)?,
        holder: holder.map(|text| parsed(row, &text)).transpose()?,
        socket: row.text(3)?,
    })
}

fn parsed<T: DeserializeOwned>(row: &Row<'_>, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| match row.text(0) {
        Ok(session) => row.corrupt(format!("what is kept of session {session} cannot be read: {error}")),
        Err(damaged) => damaged,
    })
}
