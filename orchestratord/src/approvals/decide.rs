//! Deciding: once, all or none, and in the journal before anybody is told.

use orx_protocol::api::approval::{Approval, ApprovalKind, ApprovalState, DecideParams, Decided, Decision, Rule};
use orx_protocol::event::kind;
use orx_protocol::{ErrorKind, RpcError, clock};
use orx_session::approval::{always, check_answer};
use orx_store::{StoreError, approvals as table};

use super::located::located;
use super::who::Decider;
use super::{Approvals, append_rule, finish, no_approval};

/// Most approvals of one decision.
const BATCH: usize = 1000;
/// Longest reason and answer, in bytes.
const WORDS: usize = 64 * 1024;

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(ErrorKind::InvalidParams, format!("`approval.decide`: {}", message.into()))
}

impl Approvals {
    /// Decides one or several alike, all or none.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` naming who was first; `InvalidParams` for an answer that does not fit; `FailedPrecondition`
    /// for an "always" that no rule can stand for.
    pub async fn decide(&self, params: DecideParams, by: &Decider) -> Result<Decided, RpcError> {
        let mut ids = params.approvals.clone();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() || ids.len() > BATCH {
            return Err(invalid(format!("`approvals` names {} of them, it must be 1 to {BATCH}", ids.len())));
        }
        for (name, text) in [("reason", &params.reason), ("answer", &params.answer)] {
            if text.as_ref().is_some_and(|text| text.len() > WORDS) {
                return Err(invalid(format!("`{name}` is longer than {WORDS} bytes")));
            }
        }
        let (decision, answer) = (params.decision, params.answer.clone());
        let mut rules = Vec::new();
        for id in &ids {
            let row = self.get(*id).await?;
            still_pending(&row)?;
            fits(&row, decision, answer.as_deref())?;
            if decision == Decision::AllowAlways {
                rules.push((*id, self.standing(&row, by).await?));
            }
        }
        let by_text = by.text().to_owned();
        let decided = self
            .store()
            .write(move |tx| {
                let mut decided = Decided::default();
                for id in ids {
                    let mut row = table::get(tx, id)?;
                    if let Err(error) = still_pending(&row) {
                        return Err(StoreError::Conflict(error.message));
                    }
                    row.state = if decision == Decision::Deny { ApprovalState::Denied } else { ApprovalState::Allowed };
                    row.decided_at_ms = Some(clock::now_ms());
                    row.decided_by = Some(by_text.clone());
                    row.reason.clone_from(&params.reason);
                    row.answer.clone_from(&params.answer);
                    if let Some((_, rule)) = rules.iter().find(|(of, _)| *of == id) {
                        row.rule = Some(rule.rule);
                        table::insert_rule(tx, rule)?;
                        append_rule(tx, kind::RULE_ADDED, rule, &by_text)?;
                        decided.rules.push(rule.clone());
                    }
                    finish(tx, &row)?;
                    decided.approvals.push(row);
                }
                Ok(decided)
            })
            .await
            .map_err(no_approval)?;
        self.tell(&decided.approvals);
        if !decided.rules.is_empty() {
            self.read_rules().await?;
            self.judge_pending().await?;
        }
        Ok(decided)
    }

    /// The rule that "always" makes of an approval, its directory and files as they are on this disk.
    async fn standing(&self, row: &Approval, by: &Decider) -> Result<Rule, RpcError> {
        let (row, by) = (row.clone(), by.text().to_owned());
        let looking = tokio::task::spawn_blocking(move || {
            let cwd = row.subject.cwd.as_deref().unwrap_or("/");
            let files: Vec<String> = row.subject.paths.iter().map(|path| located(cwd, path).real).collect();
            always(&row, &located("/", cwd).real, &files, &by, clock::now_ms())
        });
        let rule = looking
            .await
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("a rule could not be made: {error}")))?;
        rule.map_err(|error| {
            RpcError::new(ErrorKind::FailedPrecondition, error.to_string()).with_hint("allow it this once")
        })
    }
}

fn still_pending(row: &Approval) -> Result<(), RpcError> {
    if row.state == ApprovalState::Pending {
        return Ok(());
    }
    let ago = clock::now_ms().saturating_sub(row.decided_at_ms.unwrap_or(0)) / 1000;
    let by = row.decided_by.as_deref().unwrap_or("somebody");
    let why = row.message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
    Err(RpcError::new(
        ErrorKind::Conflict,
        format!("approval {} is {} by {by} since {ago} s{why}", row.approval, row.state.as_str()),
    ))
}

/// Whether this decision can be given to this question.
fn fits(row: &Approval, decision: Decision, answer: Option<&str>) -> Result<(), RpcError> {
    let id = row.approval;
    match (row.kind, decision, answer) {
        (_, Decision::Deny, Some(_)) => Err(invalid(format!("{id}: a denial takes a `reason`, not an `answer`"))),
        (ApprovalKind::Question, Decision::Allow, None) => {
            Err(invalid(format!("{id} is a question: it needs an `answer`")))
        }
        (ApprovalKind::Question, Decision::Allow, Some(answer)) => {
            check_answer(&row.subject, answer).map_err(|error| invalid(format!("{id}: {error}")))
        }
        (ApprovalKind::Question, Decision::AllowAlways, _) => {
            Err(invalid(format!("{id} is a question: it is answered each time")))
        }
        (_, _, Some(_)) => Err(invalid(format!("{id} is no question: it takes no `answer`"))),
        (_, _, None) => Ok(()),
    }
}
