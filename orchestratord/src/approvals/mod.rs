//! Approvals: every question of every agent, kept before anybody hears of it, decided exactly once, and told to whoever
//! asked. What rules make of a question is decided in `orx-session`; how the engine is told is the asker's business:
//! a hook, a channel, or keys on a screen.

mod ask;
mod decide;
mod handed;
mod keep;
mod located;
pub mod policy;
mod rules;
mod screen;
mod who;

pub use ask::{Asked, NewApproval};
pub use policy::Policy;
pub use rules::Intent;
pub use who::Decider;

use orx_protocol::api::approval::{Approval, ApprovalState, Delivery, Rule};
use orx_protocol::event::kind;
use orx_protocol::{ApprovalId, RpcError, RuleId, SessionId, clock};
use orx_session::approval::Rules;
use orx_store::{Store, StoreError, Transaction, approvals as table, events};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::sessions::Sessions;

/// Decided approvals that one listing gives at most.
const LIST_LIMIT: u32 = 1000;
/// Pending approvals that one listing gives at most.
const PENDING_LIMIT: u32 = 10_000;

/// What became of a question, for whoever asked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Where it stands; never pending.
    pub state: ApprovalState,
    /// The answer to a question.
    pub answer: Option<String>,
    /// Why, in the words of whoever decided.
    pub reason: Option<String>,
    /// Whether what is like it is allowed from now on.
    pub always: bool,
}

impl Decided {
    fn of(approval: &Approval) -> Option<Self> {
        (approval.state != ApprovalState::Pending).then(|| Self {
            state: approval.state,
            answer: approval.answer.clone(),
            reason: approval.reason.clone(),
            always: approval.rule.is_some() && approval.state == ApprovalState::Allowed,
        })
    }
}

/// All approvals of the daemon. Clones serve the same ones.
#[derive(Clone)]
pub struct Approvals(Arc<Inner>);

struct Inner {
    store: Store,
    sessions: Sessions,
    tasks: TaskTracker,
    policy: RwLock<Policy>,
    rules: RwLock<Arc<Rules>>,
    /// Who waits for which decision.
    waiting: Mutex<HashMap<ApprovalId, Waiting>>,
    /// Sessions whose screen is being attended to.
    attended: Mutex<HashSet<SessionId>>,
    /// Grows with every change, so that the keeper of expiries looks again.
    changed: watch::Sender<u64>,
}

struct Waiting {
    decided: watch::Sender<Option<Decided>>,
    /// Askers that listen at this moment.
    listeners: usize,
}

impl Approvals {
    /// The approvals recorded in `store`.
    #[must_use]
    pub fn new(store: Store, sessions: Sessions, policy: Policy, tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner {
            store,
            sessions,
            tasks,
            policy: RwLock::new(policy),
            rules: RwLock::new(Arc::new(Rules::default())),
            waiting: Mutex::new(HashMap::new()),
            attended: Mutex::default(),
            changed: watch::Sender::new(0),
        }))
    }

    /// Puts another policy in force, for what is asked from now on.
    pub fn set_policy(&self, policy: Policy) {
        *self.0.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    fn policy(&self) -> Policy {
        *self.0.policy.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<ApprovalId, Waiting>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Approvals, oldest first: those that wait, or the newest of all.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn list(&self, all: bool, session: Option<SessionId>) -> Result<Vec<Approval>, RpcError> {
        let limit = if all { LIST_LIMIT } else { PENDING_LIMIT };
        Ok(self.store().read(move |reader| table::list(reader, all, session, limit)).await?)
    }

    /// One approval.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, approval: ApprovalId) -> Result<Approval, RpcError> {
        self.store().read(move |reader| table::get(reader, approval)).await.map_err(no_approval)
    }

    /// Notes whether the engine heard a decision.
    ///
    /// # Errors
    /// `NotFound`; as the store does not take it.
    pub async fn delivered(&self, approval: ApprovalId, outcome: Result<(), String>) -> Result<(), RpcError> {
        let changed = self
            .store()
            .write(move |tx| {
                let mut row = table::get(tx, approval)?;
                let (delivery, message) = match outcome {
                    Ok(()) => (Delivery::Delivered, None),
                    Err(why) => (Delivery::Failed, Some(why)),
                };
                if row.delivery == delivery && row.message == message {
                    return Ok(());
                }
                (row.delivery, row.message) = (delivery, message);
                table::update(tx, &row)?;
                let data = serde_json::json!({
                    "session": row.session, "delivery": row.delivery, "message": row.message, "state": row.state,
                });
                events::append(tx, kind::APPROVAL_DELIVERED, &approval.to_string(), &data)?;
                Ok(())
            })
            .await;
        changed.map_err(no_approval)?;
        self.announce();
        Ok(())
    }

    /// Ends a question that the agent does not ask any more; one that is decided stays as it is.
    ///
    /// # Errors
    /// As the store does not take it.
    pub async fn withdraw(&self, approval: ApprovalId, why: &str) -> Result<(), RpcError> {
        self.withdraw_where(None, why, move |row| row.approval == approval).await
    }

    /// Ends the questions of a session that fit.
    ///
    /// # Errors
    /// As the store does not take it.
    pub async fn withdraw_of(
        &self,
        session: SessionId,
        why: &str,
        fits: impl Fn(&Approval) -> bool + Send + 'static,
    ) -> Result<(), RpcError> {
        self.withdraw_where(Some(session), why, fits).await
    }

    async fn withdraw_where(
        &self,
        session: Option<SessionId>,
        why: &str,
        fits: impl Fn(&Approval) -> bool + Send + 'static,
    ) -> Result<(), RpcError> {
        let why = why.to_owned();
        let ended = self
            .store()
            .write(move |tx| {
                let mut ended = Vec::new();
                for mut row in table::list(tx, false, session, PENDING_LIMIT)? {
                    if fits(&row) {
                        withdrawn(&mut row, &why);
                        finish(tx, &row)?;
                        ended.push(row);
                    }
                }
                Ok(ended)
            })
            .await?;
        self.tell(&ended);
        Ok(())
    }

    /// Tells whoever waits for these, once what happened to them is durable.
    fn tell(&self, approvals: &[Approval]) {
        if approvals.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        for approval in approvals {
            if let (Some(waiter), Some(decided)) = (waiting.get(&approval.approval), Decided::of(approval)) {
                waiter.decided.send_replace(Some(decided));
            }
            if waiting.get(&approval.approval).is_some_and(|waiter| waiter.listeners == 0) {
                waiting.remove(&approval.approval);
            }
        }
        drop(waiting);
        self.announce();
    }

    fn announce(&self) {
        self.0.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

fn withdrawn(row: &mut Approval, why: &str) {
    row.state = ApprovalState::Withdrawn;
    row.decided_at_ms = Some(clock::now_ms());
    row.decided_by = Some(row.engine.clone());
    row.message = Some(why.to_owned());
}

/// Writes an approval that was pending and is not any more, with its event.
fn finish(tx: &mut Transaction<'_>, row: &Approval) -> Result<(), StoreError> {
    table::update(tx, row)?;
    append_end(tx, row)
}

/// The event of an approval's end.
fn append_end(tx: &mut Transaction<'_>, row: &Approval) -> Result<(), StoreError> {
    let event = if row.state == ApprovalState::Withdrawn { kind::APPROVAL_WITHDRAWN } else { kind::APPROVAL_DECIDED };
    let data = serde_json::json!({
        "session": row.session, "engine": row.engine, "kind": row.kind, "title": row.title, "state": row.state,
        "by": row.decided_by, "reason": row.reason, "answer": row.answer, "rule": row.rule, "message": row.message,
    });
    events::append(tx, event, &row.approval.to_string(), &data)?;
    Ok(())
}

fn append_rule(tx: &mut Transaction<'_>, event: &str, rule: &Rule, by: &str) -> Result<(), StoreError> {
    events::append(tx, event, &rule.rule.to_string(), &serde_json::json!({"rule": rule, "by": by}))?;
    Ok(())
}

fn no_approval(error: StoreError) -> RpcError {
    let is_missing = matches!(error, StoreError::NotFound(_));
    let error = RpcError::from(error);
    if is_missing { error.with_hint("`approval.list {\"all\":true}` names those there are") } else { error }
}

fn text_of(rules: &[RuleId]) -> String {
    rules.iter().map(|rule| format!("rule {rule}")).collect::<Vec<_>>().join(", ")
}
