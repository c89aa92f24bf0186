//! Standing decisions: what "always" makes of one request, and which rules may be made at all.

use orx_protocol::RuleId;
use orx_protocol::api::approval::{Approval, ApprovalKind, Effect, Rule};

use super::pattern::escape;
use super::rules::Rules;

/// Why there is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoRule(pub String);

/// Most files of one request for which "always" is offered: with more nobody knows what was agreed to.
const FILES: usize = 32;

/// The narrowest rule that allows this request the next time: the same engine and tool, in the same directory or below,
/// with exactly this command or these files. `cwd` is the directory with its links followed, `files` likewise.
///
/// # Errors
/// [`NoRule`] for what no rule can stand for.
pub fn always(approval: &Approval, cwd: &str, files: &[String], by: &str, now_ms: u64) -> Result<Rule, NoRule> {
    let subject = &approval.subject;
    let tool = subject.tool.as_deref().map(escape);
    let mut rule = Rule {
        rule: RuleId::generate(),
        effect: Effect::Allow,
        engine: Some(approval.engine.clone()),
        kind: Some(approval.kind),
        tool,
        command: subject.command.as_deref().map(|command| escape(command.trim())),
        path: None,
        cwd: None,
        session: None,
        expires_at_ms: None,
        created_at_ms: now_ms,
        created_by: by.to_owned(),
        reason: Some(format!("always, as for {}", approval.approval)),
    };
    let no = |why: &str| Err(NoRule(format!("approval {} cannot be allowed always: {why}", approval.approval)));
    match approval.kind {
        ApprovalKind::Question => return no("a question is answered each time"),
        ApprovalKind::Plan => return no("each plan is another one"),
        ApprovalKind::Command if rule.command.is_none() => return no("it does not say which command"),
        ApprovalKind::FileChange if files.is_empty() => return no("it does not say which files"),
        ApprovalKind::Tool | ApprovalKind::Access if rule.tool.is_none() && rule.command.is_none() => {
            return no("it names neither a tool nor a command");
        }
        ApprovalKind::Command | ApprovalKind::Tool | ApprovalKind::Access => rule.cwd = Some(cwd.to_owned()),
        ApprovalKind::FileChange => {}
    }
    if files.len() > FILES {
        return no(&format!("it concerns {} files, a rule is made for {FILES} at most", files.len()));
    }
    rule.path = match files {
        [] => None,
        [file] => Some(escape(file)),
        several => Some(one_of(several)),
    };
    Ok(rule)
}

/// One pattern for several absolute paths.
fn one_of(files: &[String]) -> String {
    let inner: Vec<String> = files.iter().map(|file| escape(file.trim_start_matches('/'))).collect();
    format!("/{{{}}}", inner.join(","))
}

/// Whether a rule may stand.
///
/// # Errors
/// [`NoRule`] for a pattern that cannot be used, a relative directory, an end that is past, and for a rule that would
/// allow everything.
pub fn check(rule: &Rule, now_ms: u64) -> Result<(), NoRule> {
    Rules::new([rule.clone()]).map_err(|error| NoRule(error.to_string()))?;
    if let Some(cwd) = rule.cwd.as_deref().filter(|cwd| !cwd.starts_with('/')) {
        return Err(NoRule(format!("`cwd` is `{cwd}`, it must be an absolute path")));
    }
    if rule.expires_at_ms.is_some_and(|expires| expires <= now_ms) {
        return Err(NoRule("`expires_at_ms` is past already".to_owned()));
    }
    let is_open = rule.kind.is_none()
        && rule.tool.is_none()
        && rule.command.is_none()
        && rule.path.is_none()
        && rule.session.is_none();
    if rule.effect == Effect::Allow && is_open {
        return Err(NoRule(
            "this rule would allow everything: name at least a kind, a tool, a command, a path or a session".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::{Located, Request, Verdict};
    use orx_protocol::api::approval::{Road, Subject};
    use orx_protocol::{ApprovalId, SessionId};

    fn approval(kind: ApprovalKind, tool: &str, command: Option<&str>) -> Approval {
        Approval {
            subject: Subject { tool: Some(tool.to_owned()), command: command.map(str::to_owned), ..Subject::default() },
            ..Approval::pending(ApprovalId::generate(), SessionId::generate(), "claude", kind, Road::Hook, 0)
        }
    }

    fn allows(rule: &Rule, approval: &Approval, cwd: &str, command: Option<&str>, paths: &[&str]) -> bool {
        let at = |path: &str| Located { written: path.to_owned(), real: path.to_owned() };
        let request = Request {
            session: SessionId::generate(),
            engine: approval.engine.clone(),
            kind: approval.kind,
            tool: approval.subject.tool.clone(),
            command: command.map(str::to_owned),
            cwd: at(cwd),
            paths: paths.iter().map(|path| at(path)).collect(),
        };
        matches!(Rules::new([rule.clone()]).unwrap().judge(&request, 0), Verdict::Allow(_))
    }

    #[test]
    fn always_is_this_command_here_and_nothing_more() {
        let line = "cargo test * {a,b} > out && x";
        let asked = approval(ApprovalKind::Command, "Bash", Some(line));
        let rule = always(&asked, "/w", &[], "a test", 0).unwrap();
        check(&rule, 0).unwrap();
        assert!(allows(&rule, &asked, "/w", Some(line), &[]));
        assert!(allows(&rule, &asked, "/w/sub", Some(line), &[]));
        assert!(!allows(&rule, &asked, "/other", Some(line), &[]));
        assert!(!allows(&rule, &asked, "/w", Some("cargo test 1 a > out && x"), &[]));
    }

    #[test]
    fn always_for_files_is_these_files() {
        let asked = approval(ApprovalKind::FileChange, "Edit", None);
        let files = ["/w/a,b{.rs".to_owned(), "/w/c.rs".to_owned()];
        let rule = always(&asked, "/w", &files, "a test", 0).unwrap();
        check(&rule, 0).unwrap();
        assert!(allows(&rule, &asked, "/w", None, &["/w/a,b{.rs", "/w/c.rs"]));
        assert!(allows(&rule, &asked, "/w", None, &["/w/c.rs"]));
        assert!(!allows(&rule, &asked, "/w", None, &["/w/c.rs", "/w/d.rs"]));
        let one = always(&asked, "/w", &files[1..], "a test", 0).unwrap();
        assert_eq!(one.path.as_deref(), Some("/w/c.rs"));
    }

    #[test]
    fn what_cannot_be_always_says_why() {
        for (asked, files, word) in [
            (approval(ApprovalKind::Question, "Ask", None), 0, "question"),
            (approval(ApprovalKind::Plan, "Plan", None), 0, "plan"),
            (approval(ApprovalKind::Command, "Bash", None), 0, "command"),
            (approval(ApprovalKind::FileChange, "Edit", None), 0, "files"),
            (approval(ApprovalKind::FileChange, "Edit", None), 33, "33 files"),
        ] {
            let files: Vec<String> = (0..files).map(|n| format!("/w/{n}")).collect();
            assert!(always(&asked, "/w", &files, "", 0).unwrap_err().0.contains(word), "{word}");
        }
    }

    #[test]
    fn rules_that_allow_everything_or_nothing_are_refused() {
        let asked = approval(ApprovalKind::Command, "Bash", Some("x"));
        let rule = always(&asked, "/w", &[], "", 0).unwrap();
        let open = Rule { kind: None, tool: None, command: None, ..rule.clone() };
        assert!(check(&open, 0).unwrap_err().0.contains("everything"));
        check(&Rule { effect: Effect::Deny, ..open.clone() }, 0).unwrap();
        check(&Rule { session: Some(SessionId::generate()), ..open }, 0).unwrap();
        assert!(check(&Rule { cwd: Some("x".to_owned()), ..rule.clone() }, 0).is_err());
        assert!(check(&Rule { expires_at_ms: Some(5), ..rule.clone() }, 5).is_err());
        assert!(check(&Rule { command: Some("[".to_owned()), ..rule.clone() }, 0).is_err());
        assert!(check(&Rule { path: Some("src/**".to_owned()), ..rule }, 0).is_err());
    }
}
