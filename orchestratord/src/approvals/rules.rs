//! Standing decisions as the daemon keeps them: in the store alone, so that no file of a repository can add one.

use orx_protocol::api::approval::{AddRuleParams, Approval, ApprovalKind, ApprovalState, Road, Rule, Subject};
use orx_protocol::event::kind;
use orx_protocol::{ApprovalId, ErrorKind, RpcError, RuleId, SessionId, clock};
use orx_session::approval::{Rules, Verdict, check, title};
use orx_store::{StoreError, approvals as table, events};
use std::sync::{Arc, PoisonError};

use super::ask::by_rule;
use super::located::{located, request};
use super::who::Decider;
use super::{Approvals, PENDING_LIMIT, append_end, append_rule, finish};

/// Most rules.
const RULES: usize = 10_000;

/// Something that an agent is about to do without asking.
#[derive(Debug, Clone)]
pub struct Intent {
    /// Whose.
    pub session: SessionId,
    /// The session's engine.
    pub engine: String,
    /// What sort.
    pub kind: ApprovalKind,
    /// What exactly.
    pub subject: Subject,
}

impl Approvals {
    /// Every rule, oldest first.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn rules(&self) -> Result<Vec<Rule>, RpcError> {
        Ok(self.store().read(table::rules).await?)
    }

    /// Adds a rule; what waits and is covered by it is decided with it.
    ///
    /// # Errors
    /// `InvalidParams` for a rule that cannot stand; `Overloaded` beyond the limit.
    pub async fn add_rule(&self, params: AddRuleParams, by: &Decider) -> Result<Rule, RpcError> {
        let rule = Rule {
            rule: RuleId::generate(),
            effect: params.effect,
            engine: params.engine,
            kind: params.kind,
            tool: params.tool,
            command: params.command,
            path: params.path,
            cwd: params.cwd,
            session: params.session,
            expires_at_ms: params.expires_at_ms,
            created_at_ms: clock::now_ms(),
            created_by: by.text().to_owned(),
            reason: params.reason,
        };
        let invalid = |why: String| RpcError::new(ErrorKind::InvalidParams, format!("`rule.add`: {why}"));
        if let Some(engine) = &rule.engine {
            engine.parse::<orx_engines::EngineKind>().map_err(|error| invalid(error.to_string()))?;
        }
        check(&rule, clock::now_ms()).map_err(|error| invalid(error.to_string()))?;
        if let Some(session) = rule.session {
            self.0.sessions.row(session).await?;
        }
        if self.rules().await?.len() >= RULES {
            return Err(RpcError::new(ErrorKind::Overloaded, format!("there are {RULES} rules, which is the limit")));
        }
        let rule = tokio::task::spawn_blocking(move || where_it_leads(rule))
            .await
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("a rule could not be made: {error}")))?;
        let (kept, by) = (rule.clone(), by.text().to_owned());
        self.store()
            .write(move |tx| {
                table::insert_rule(tx, &kept)?;
                append_rule(tx, kind::RULE_ADDED, &kept, &by)
            })
            .await?;
        self.read_rules().await?;
        self.judge_pending().await?;
        Ok(rule)
    }

    /// Removes a rule; what it decided stays decided.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn remove_rule(&self, rule: RuleId, by: &Decider) -> Result<Rule, RpcError> {
        let by = by.text().to_owned();
        let removed = self
            .store()
            .write(move |tx| {
                let removed = table::remove_rule(tx, rule)?;
                append_rule(tx, kind::RULE_REMOVED, &removed, &by)?;
                Ok(removed)
            })
            .await;
        let removed = removed.map_err(|error| RpcError::from(error).with_hint("`rule.list` names those there are"))?;
        self.read_rules().await?;
        Ok(removed)
    }

    /// Makes the rules of the store the ones in force.
    ///
    /// # Errors
    /// As the store cannot be read; `Internal` when a rule in it cannot be used any more: those in force stay.
    pub(super) async fn read_rules(&self) -> Result<(), RpcError> {
        let rules = Rules::new(self.rules().await?)
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("a rule that is kept: {error}")))?;
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
        Ok(())
    }

    /// What the rules make of a request at this moment.
    pub(super) async fn judge(
        &self,
        session: SessionId,
        engine: &str,
        kind: ApprovalKind,
        subject: &Subject,
        cwd: &str,
    ) -> Result<Verdict, RpcError> {
        let rules = Arc::clone(&self.0.rules.read().unwrap_or_else(PoisonError::into_inner));
        let (engine, subject, cwd) = (engine.to_owned(), subject.clone(), cwd.to_owned());
        tokio::task::spawn_blocking(move || {
            rules.judge(&request(session, &engine, kind, &subject, &cwd), clock::now_ms())
        })
        .await
        .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the rules could not be asked: {error}")))
    }

    /// What the rules make of something that the engine would do without asking. A denial is kept as an approval that was
    /// denied, so that it can be found where everything that was refused is.
    ///
    /// # Errors
    /// `NotFound` for the session; as the store does not take it.
    pub async fn judge_intent(&self, intent: Intent) -> Result<Verdict, RpcError> {
        let session = self.0.sessions.row(intent.session).await?.session;
        let verdict = self.judge(intent.session, &intent.engine, intent.kind, &intent.subject, &session.cwd).await?;
        if matches!(verdict, Verdict::Deny(_)) {
            let now_ms = clock::now_ms();
            let mut row = Approval {
                title: title(intent.kind, &intent.subject),
                subject: intent.subject,
                message: Some("the engine had not asked".to_owned()),
                ..Approval::pending(
                    ApprovalId::generate(),
                    intent.session,
                    &intent.engine,
                    intent.kind,
                    Road::Hook,
                    now_ms,
                )
            };
            by_rule(&mut row, &verdict);
            self.store()
                .write(move |tx| {
                    table::insert(tx, &row)?;
                    let data = serde_json::json!({
                        "session": row.session, "engine": row.engine, "kind": row.kind, "title": row.title,
                        "road": row.road, "subject": row.subject,
                    });
                    events::append(tx, kind::APPROVAL_REQUESTED, &row.approval.to_string(), &data)?;
                    append_end(tx, &row)
                })
                .await?;
        }
        Ok(verdict)
    }

    /// Decides what waits and is covered by the rules as they are now.
    pub(super) async fn judge_pending(&self) -> Result<(), RpcError> {
        let mut judged = Vec::new();
        for row in self.store().read(|reader| table::list(reader, false, None, PENDING_LIMIT)).await? {
            let cwd = row.subject.cwd.clone().unwrap_or_default();
            let verdict = self.judge(row.session, &row.engine, row.kind, &row.subject, &cwd).await?;
            if !matches!(verdict, Verdict::Ask(_)) {
                judged.push((row.approval, verdict));
            }
        }
        if judged.is_empty() {
            return Ok(());
        }
        let decided = self
            .store()
            .write(move |tx| {
                let mut decided = Vec::new();
                for (approval, verdict) in judged {
                    let mut row = table::get(tx, approval)?;
                    if row.state == ApprovalState::Pending {
                        by_rule(&mut row, &verdict);
                        finish(tx, &row)?;
                        decided.push(row);
                    }
                }
                Ok::<_, StoreError>(decided)
            })
            .await?;
        self.tell(&decided);
        Ok(())
    }
}

/// The rule with its directory, and the fixed beginning of its path, as they are once links are followed: requests are
/// compared by where they really lead. Blocks.
fn where_it_leads(mut rule: Rule) -> Rule {
    rule.cwd = rule.cwd.map(|cwd| located("/", &cwd).real);
    rule.path = rule.path.map(|path| {
        let fixed = path.find(['*', '?', '[', '{', '\\']).map_or(path.as_str(), |at| path.get(..at).unwrap_or(""));
        // Only whole components can be followed.
        let end = if fixed.len() == path.len() { fixed.len() } else { fixed.rfind('/').unwrap_or(0) };
        let (directory, rest) = path.split_at(end);
        if directory.is_empty() {
            return path;
        }
        format!("{}{rest}", orx_session::approval::escape(&located("/", directory).real))
    });
    rule
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::approval::Effect;

    #[test]
    fn a_rule_is_about_where_its_path_leads() {
        let scratch = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(scratch.path()).unwrap().to_string_lossy().into_owned();
        std::fs::create_dir(format!("{root}/real")).unwrap();
        std::os::unix::fs::symlink(format!("{root}/real"), format!("{root}/link")).unwrap();
        for (path, wanted) in [
            (format!("{root}/link/**"), format!("{root}/real/**")),
            (format!("{root}/link/sub/*.rs"), format!("{root}/real/sub/*.rs")),
            (format!("{root}/link/a.rs"), format!("{root}/real/a.rs")),
            (format!("{root}/li*"), format!("{root}/li*")),
            ("/**".to_owned(), "/**".to_owned()),
        ] {
            let rule = Rule {
                rule: RuleId::generate(),
                effect: Effect::Allow,
                engine: None,
                kind: None,
                tool: None,
                command: None,
                path: Some(path.clone()),
                cwd: Some(format!("{root}/link")),
                session: None,
                expires_at_ms: None,
                created_at_ms: 0,
                created_by: String::new(),
                reason: None,
            };
            let rule = where_it_leads(rule);
            assert_eq!(rule.path.as_deref(), Some(wanted.as_str()), "{path}");
            assert_eq!(rule.cwd, Some(format!("{root}/real")));
        }
    }
}
