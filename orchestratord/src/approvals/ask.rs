//! Asking: a question is durable, with its event, before anybody is asked; one that was asked before is found again.

use orx_protocol::api::approval::{Approval, ApprovalKind, ApprovalState, Road, Subject};
use orx_protocol::event::kind;
use orx_protocol::{ApprovalId, ErrorKind, RpcError, SessionId, clock};
use orx_session::approval::{Verdict, title};
use orx_store::{Reader, StoreError, approvals as table, events};
use std::future::Future;
use std::pin::Pin;
use tokio::sync::watch;

use super::{Approvals, Decided, Waiting, append_end, text_of};

/// What an agent asks.
#[derive(Debug, Clone)]
pub struct NewApproval {
    /// Who asks.
    pub session: SessionId,
    /// The session's engine.
    pub engine: String,
    /// What sort.
    pub kind: ApprovalKind,
    /// One line for a list; made from the subject when absent.
    pub title: Option<String>,
    /// What exactly.
    pub subject: Subject,
    /// By which road it came and the answer goes.
    pub road: Road,
    /// When the engine itself stops waiting, in milliseconds since the epoch.
    pub expires_at_ms: Option<u64>,
    /// The asker's own name of the question, unique in its session: with it a question is found again after a restart.
    pub key: Option<String>,
}

/// A question that was asked.
pub struct Asked {
    /// The approval.
    pub approval: ApprovalId,
    /// Ends with the decision. While it is held somebody is known to listen.
    pub decision: Pin<Box<dyn Future<Output = Decided> + Send>>,
}

/// Longest texts of a subject that are kept, in bytes.
const TEXT: usize = 1 << 20;
/// Most questions of one session that wait at a time.
const PENDING: usize = 256;
/// Approvals of a session that are looked through for a key.
const RECENT: u32 = 1000;

impl Approvals {
    /// Asks. A rule may decide at once; a question with a key that was asked before is taken up again, with its decision
    /// where there is one already.
    ///
    /// # Errors
    /// `NotFound` for the session; `TooLarge` or `Overloaded` for more than anybody could decide; as the store does not
    /// take it: nobody is asked then.
    pub async fn ask(&self, new: NewApproval) -> Result<Asked, RpcError> {
        check(&new.subject)?;
        let session = self.0.sessions.row(new.session).await?.session;
        let verdict = self.judge(new.session, &new.engine, new.kind, &new.subject, &session.cwd).await?;
        let now_ms = clock::now_ms();
        let mut row = Approval {
            title: new.title.unwrap_or_else(|| title(new.kind, &new.subject)),
            subject: new.subject,
            expires_at_ms: self.policy().expiry.of(now_ms, new.expires_at_ms),
            key: new.key,
            ..Approval::pending(ApprovalId::generate(), new.session, &new.engine, new.kind, new.road, now_ms)
        };
        row.subject.cwd.get_or_insert(session.cwd);
        by_rule(&mut row, &verdict);
        let kept = self
            .store()
            .write(move |tx| {
                if let Some(kept) = find(tx, row.session, row.key.as_deref())? {
                    return Ok(Ok(kept));
                }
                if table::list(tx, false, Some(row.session), PENDING as u32)?.len() >= PENDING {
                    return Ok(Err(row.session));
                }
                table::insert(tx, &row)?;
                let data = serde_json::json!({
                    "session": row.session, "engine": row.engine, "kind": row.kind, "title": row.title,
                    "road": row.road, "subject": row.subject, "expires_at_ms": row.expires_at_ms,
                });
                events::append(tx, kind::APPROVAL_REQUESTED, &row.approval.to_string(), &data)?;
                if row.state != ApprovalState::Pending {
                    append_end(tx, &row)?;
                }
                Ok::<_, StoreError>(Ok(row))
            })
            .await?;
        let kept = kept.map_err(|session| {
            RpcError::new(ErrorKind::Overloaded, format!("{PENDING} questions of session {session} wait already"))
        })?;
        self.announce();
        self.listen(&kept)
    }

    /// Listens for the decision of an approval that is kept.
    fn listen(&self, kept: &Approval) -> Result<Asked, RpcError> {
        let approval = kept.approval;
        if let Some(decided) = Decided::of(kept) {
            return Ok(Asked { approval, decision: Box::pin(std::future::ready(decided)) });
        }
        let listener = {
            let mut waiting = self.waiting();
            let waiter =
                waiting.entry(approval).or_insert_with(|| Waiting { decided: watch::Sender::new(None), listeners: 0 });
            waiter.listeners += 1;
            Listener { approvals: self.clone(), approval, decided: waiter.decided.subscribe() }
        };
        Ok(Asked { approval, decision: Box::pin(listener.decision()) })
    }

    /// Whether somebody waits for this decision at this moment.
    pub(super) fn is_listened_to(&self, approval: ApprovalId) -> bool {
        self.waiting().get(&approval).is_some_and(|waiter| waiter.listeners > 0)
    }
}

/// One who waits for a decision, counted for as long as it lives.
struct Listener {
    approvals: Approvals,
    approval: ApprovalId,
    decided: watch::Receiver<Option<Decided>>,
}

impl Listener {
    async fn decision(mut self) -> Decided {
        // It may have been decided between the write and the listening, before anybody could be told.
        loop {
            if let Some(decided) = self.decided.borrow_and_update().clone() {
                return decided;
            }
            if let Ok(kept) = self.approvals.get(self.approval).await
                && let Some(decided) = Decided::of(&kept)
            {
                return decided;
            }
            if self.decided.changed().await.is_err() {
                // The sender is dropped only with the listeners' count at none, and this one is counted.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut waiting = self.approvals.waiting();
        if let Some(waiter) = waiting.get_mut(&self.approval) {
            waiter.listeners = waiter.listeners.saturating_sub(1);
            if waiter.listeners == 0 {
                waiting.remove(&self.approval);
            }
        }
    }
}

/// The question of this session that has this key.
fn find(reader: &Reader<'_>, session: SessionId, key: Option<&str>) -> Result<Option<Approval>, StoreError> {
    let Some(key) = key else { return Ok(None) };
    let recent = table::list(reader, true, Some(session), RECENT)?;
    Ok(recent.into_iter().rev().find(|row| row.key.as_deref() == Some(key)))
}

/// What rules decide is decided in the moment of asking.
pub(super) fn by_rule(row: &mut Approval, verdict: &Verdict) {
    let (state, rules) = match verdict {
        Verdict::Ask(_) => return,
        Verdict::Allow(rules) => (ApprovalState::Allowed, rules.clone()),
        Verdict::Deny(rule) => (ApprovalState::Denied, vec![*rule]),
    };
    row.state = state;
    row.decided_at_ms = Some(clock::now_ms());
    row.decided_by = Some(text_of(&rules));
    row.rule = rules.first().copied();
    if state == ApprovalState::Denied {
        row.reason = Some(format!("a standing rule of the operator denies it ({})", text_of(&rules)));
    }
}

fn check(subject: &Subject) -> Result<(), RpcError> {
    let texts = [&subject.tool, &subject.command, &subject.cwd, &subject.diff, &subject.question, &subject.why];
    let size: usize = texts.into_iter().flatten().chain(&subject.paths).chain(&subject.choices).map(String::len).sum();
    if size > TEXT {
        return Err(RpcError::new(
            ErrorKind::TooLarge,
            format!("a question of {size} bytes is longer than anybody reads: {TEXT} is the limit"),
        )
        .with_hint("answer it in the session itself"));
    }
    Ok(())
}
