//! What agents ask permission for, and the standing decisions about that. Events are appended by the caller, in the same
//! transaction.

use orx_protocol::api::approval::{Approval, ApprovalState, Rule};
use orx_protocol::{ApprovalId, RuleId, SessionId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::sql::{Reader, Row, Transaction, Value};

/// Keeps a new approval.
///
/// # Errors
/// [`StoreError::Conflict`] when there is one of that name.
pub fn insert(tx: &mut Transaction<'_>, approval: &Approval) -> Result<(), StoreError> {
    let inserted = tx.execute(
        "INSERT INTO approvals (approval, session, pending, created_at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (approval) DO NOTHING",
        &[
            Value::Text(&approval.approval.to_string()),
            Value::Text(&approval.session.to_string()),
            pending(approval),
            approval.created_at_ms.into(),
            Value::Text(&json(approval)?),
        ],
    )?;
    if inserted == 0 {
        return Err(StoreError::Conflict(format!("approval {} exists already", approval.approval)));
    }
    Ok(())
}

/// Keeps the approval as it is now.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none of that name.
pub fn update(tx: &mut Transaction<'_>, approval: &Approval) -> Result<(), StoreError> {
    let updated = tx.execute(
        "UPDATE approvals SET pending = ?2, body = ?3 WHERE approval = ?1",
        &[Value::Text(&approval.approval.to_string()), pending(approval), Value::Text(&json(approval)?)],
    )?;
    if updated == 0 {
        return Err(missing(approval.approval));
    }
    Ok(())
}

fn pending(approval: &Approval) -> Value<'static> {
    u32::from(approval.state == ApprovalState::Pending).into()
}

fn missing(approval: ApprovalId) -> StoreError {
    StoreError::NotFound(format!("there is no approval {approval}"))
}

/// The approval.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none of that name.
pub fn get(reader: &Reader<'_>, approval: ApprovalId) -> Result<Approval, StoreError> {
    reader
        .query_one(
            "SELECT approval, body FROM approvals WHERE approval = ?1",
            &[Value::Text(&approval.to_string())],
            parsed,
        )?
        .ok_or_else(|| missing(approval))
}

/// The newest `limit` approvals, oldest of them first: all of them or those that nobody decided yet, of one session or of
/// every one.
///
/// # Errors
/// As the database cannot be read.
pub fn list(
    reader: &Reader<'_>,
    all: bool,
    session: Option<SessionId>,
    limit: u32,
) -> Result<Vec<Approval>, StoreError> {
    let by_state = if all { "" } else { " AND pending = 1" };
    let mut approvals: Vec<Approval> = match session {
        Some(session) => reader.query(
            &format!(
                "SELECT approval, body FROM approvals WHERE session = ?1{by_state} \
                 ORDER BY created_at_ms DESC, approval DESC LIMIT ?2"
            ),
            &[Value::Text(&session.to_string()), limit.into()],
            parsed,
        )?,
        None => reader.query(
            &format!(
                "SELECT approval, body FROM approvals WHERE 1 = 1{by_state} \
                 ORDER BY created_at_ms DESC, approval DESC LIMIT ?1"
            ),
            &[limit.into()],
            parsed,
        )?,
    };
    approvals.reverse();
    Ok(approvals)
}

/// Keeps a new rule.
///
/// # Errors
/// [`StoreError::Conflict`] when there is one of that name.
pub fn insert_rule(tx: &mut Transaction<'_>, rule: &Rule) -> Result<(), StoreError> {
    let inserted = tx.execute(
        "INSERT INTO approval_rules (rule, created_at_ms, body) VALUES (?1, ?2, ?3) ON CONFLICT (rule) DO NOTHING",
        &[Value::Text(&rule.rule.to_string()), rule.created_at_ms.into(), Value::Text(&json(rule)?)],
    )?;
    if inserted == 0 {
        return Err(StoreError::Conflict(format!("rule {} exists already", rule.rule)));
    }
    Ok(())
}

/// Removes a rule and gives it back.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none of that name.
pub fn remove_rule(tx: &mut Transaction<'_>, rule: RuleId) -> Result<Rule, StoreError> {
    tx.query_one(
        "DELETE FROM approval_rules WHERE rule = ?1 RETURNING rule, body",
        &[Value::Text(&rule.to_string())],
        parsed,
    )?
    .ok_or_else(|| StoreError::NotFound(format!("there is no rule {rule}")))
}

/// Every rule, oldest first.
///
/// # Errors
/// As the database cannot be read.
pub fn rules(reader: &Reader<'_>) -> Result<Vec<Rule>, StoreError> {
    reader.query("SELECT rule, body FROM approval_rules ORDER BY created_at_ms, rule", &[], parsed)
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Internal(format!("an approval cannot be written as JSON: {error}")))
}

fn parsed<T: DeserializeOwned>(row: &Row<'_>) -> Result<T, StoreError> {
    let body = row.text(1)?;
    serde_json::from_str(&body).map_err(|error| match row.text(0) {
        Ok(name) => row.corrupt(format!("what is kept of {name} cannot be read: {error}")),
        Err(damaged) => damaged,
    })
}
