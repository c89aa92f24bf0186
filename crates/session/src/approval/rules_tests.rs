//! Tables of rules and requests.

use super::*;
use proptest::prelude::*;

fn rule(effect: Effect) -> Rule {
    Rule {
        rule: RuleId::generate(),
        effect,
        engine: None,
        kind: None,
        tool: None,
        command: None,
        path: None,
        cwd: None,
        session: None,
        expires_at_ms: None,
        created_at_ms: 0,
        created_by: "a test".to_owned(),
        reason: None,
    }
}

fn command_rule(effect: Effect, command: &str) -> Rule {
    Rule { command: Some(command.to_owned()), ..rule(effect) }
}

fn path_rule(effect: Effect, path: &str) -> Rule {
    Rule { path: Some(path.to_owned()), ..rule(effect) }
}

fn located(path: &str) -> Located {
    Located { written: path.to_owned(), real: path.to_owned() }
}

fn request(command: Option<&str>, paths: &[&str]) -> Request {
    Request {
        session: SessionId::generate(),
        engine: "claude".to_owned(),
        kind: if command.is_some() { ApprovalKind::Command } else { ApprovalKind::FileChange },
        tool: Some(if command.is_some() { "Bash" } else { "Edit" }.to_owned()),
        command: command.map(str::to_owned),
        cwd: located("/w"),
        paths: paths.iter().map(|path| located(path)).collect(),
    }
}

fn judge(rules: &[Rule], request: &Request) -> &'static str {
    match Rules::new(rules.to_vec()).unwrap().judge(request, 1000) {
        Verdict::Allow(_) => "allow",
        Verdict::Deny(_) => "deny",
        Verdict::Ask(_) => "ask",
    }
}

#[test]
fn denying_wins_over_asking_and_asking_over_allowing() {
    let allow = command_rule(Effect::Allow, "git *");
    let ask = command_rule(Effect::Ask, "git push*");
    let deny = command_rule(Effect::Deny, "git push *--force*");
    let rules = [allow, ask, deny];
    for (command, wanted) in [
        ("git status", "allow"),
        ("git push", "ask"),
        ("git push origin --force", "deny"),
        ("git status && git log", "allow"),
        ("git status && git push", "ask"),
        ("git status && git push x --force", "deny"),
        ("git status && rm x", "ask"),
        ("git log $(git push x --force)", "deny"),
        ("sudo git push x --force", "deny"),
        ("git log $(id)", "ask"),
        ("git log > x", "ask"),
        ("", "ask"),
        (" ", "ask"),
        ("rm x", "ask"),
    ] {
        assert_eq!(judge(&rules, &request(Some(command), &[])), wanted, "{command}");
    }
    assert_eq!(judge(&[], &request(Some("git status"), &[])), "ask");
}

#[test]
fn an_exact_rule_covers_even_what_no_glob_covers() {
    let line = "cd sub && cargo test 2>&1 | tail -n 5 > $OUT";
    let rules = [command_rule(Effect::Allow, &crate::approval::escape(line))];
    assert_eq!(judge(&rules, &request(Some(line), &[])), "allow");
    assert_eq!(judge(&rules, &request(Some("cargo test"), &[])), "ask");
    assert_eq!(judge(&rules, &request(Some(&format!("{line}; rm x")), &[])), "ask");
    let wild = [command_rule(Effect::Allow, "*")];
    assert_eq!(judge(&wild, &request(Some(line), &[])), "ask");
    assert_eq!(judge(&wild, &request(Some("cargo test && cargo doc"), &[])), "allow");
}

#[test]
fn every_path_must_be_covered_and_links_do_not_lead_out() {
    let rules = [path_rule(Effect::Allow, "/w/**"), path_rule(Effect::Deny, "/w/secrets/**")];
    for (paths, wanted) in [
        (vec!["/w/a", "/w/b/c"], "allow"),
        (vec!["/w/a", "/etc/passwd"], "ask"),
        (vec!["/w/a", "/w/secrets/key"], "deny"),
        (vec![], "ask"),
    ] {
        assert_eq!(judge(&rules, &request(None, &paths)), wanted, "{paths:?}");
    }
    let mut linked = request(None, &[]);
    linked.paths = vec![Located { written: "/w/link".to_owned(), real: "/etc/passwd".to_owned() }];
    assert_eq!(judge(&rules, &linked), "ask");
    linked.paths = vec![Located { written: "/w/link".to_owned(), real: "/w/secrets/key".to_owned() }];
    assert_eq!(judge(&rules, &linked), "deny");
    linked.paths = vec![Located { written: "/w/secrets/key".to_owned(), real: "/elsewhere".to_owned() }];
    assert_eq!(judge(&rules, &linked), "deny");
}

#[test]
fn every_member_that_is_set_must_match() {
    let mut asked = request(Some("make"), &[]);
    let base = command_rule(Effect::Allow, "make");
    let other = SessionId::generate();
    let table = [
        (base.clone(), "allow"),
        (Rule { engine: Some("codex".to_owned()), ..base.clone() }, "ask"),
        (Rule { engine: Some("claude".to_owned()), ..base.clone() }, "allow"),
        (Rule { kind: Some(ApprovalKind::Tool), ..base.clone() }, "ask"),
        (Rule { tool: Some("Ba*".to_owned()), ..base.clone() }, "allow"),
        (Rule { tool: Some("ba*".to_owned()), ..base.clone() }, "ask"),
        (Rule { session: Some(other), ..base.clone() }, "ask"),
        (Rule { session: Some(asked.session), ..base.clone() }, "allow"),
        (Rule { cwd: Some("/w".to_owned()), ..base.clone() }, "allow"),
        (Rule { cwd: Some("/".to_owned()), ..base.clone() }, "allow"),
        (Rule { cwd: Some("/w/sub".to_owned()), ..base.clone() }, "ask"),
        (Rule { cwd: Some("/ww".to_owned()), ..base.clone() }, "ask"),
        (Rule { expires_at_ms: Some(1001), ..base.clone() }, "allow"),
        (Rule { expires_at_ms: Some(1000), ..base.clone() }, "ask"),
        (Rule { path: Some("/w/**".to_owned()), ..base.clone() }, "ask"),
        (Rule { command: None, tool: Some("Bash".to_owned()), ..base.clone() }, "allow"),
    ];
    for (rule, wanted) in table {
        assert_eq!(judge(std::slice::from_ref(&rule), &asked), wanted, "{rule:?}");
    }
    asked.kind = ApprovalKind::Question;
    assert_eq!(judge(&[rule(Effect::Allow)], &asked), "ask");
    assert_eq!(judge(&[rule(Effect::Deny)], &asked), "deny");
}

#[test]
fn different_rules_may_cover_the_parts_of_one_line() {
    let rules = [command_rule(Effect::Allow, "cargo *"), command_rule(Effect::Allow, "git diff")];
    let verdict = Rules::new(rules.clone()).unwrap().judge(&request(Some("cargo fmt; git diff"), &[]), 0);
    assert_eq!(verdict, Verdict::Allow(vec![rules[0].rule, rules[1].rule]));
}

proptest! {
    /// Whatever is appended to an allowed command behind an operator is not allowed with it.
    #[test]
    fn nothing_rides_along(tail in "[a-z $`<>()'\"\\\\]{0,12}", operator in "(;|&&|\\|\\||\\||&|\n|\\$\\(|`|>|<)") {
        let line = format!("git status {operator}evil{tail}");
        prop_assert_ne!(judge(&[command_rule(Effect::Allow, "git *")], &request(Some(&line), &[])), "allow");
    }

    /// A denial holds whatever else is said around the command.
    #[test]
    fn a_denial_cannot_be_diluted(before in "[a-z ]{0,10}", after in "[a-z ]{0,10}") {
        let line = format!("{before};rm -rf x;{after}");
        let rules = [command_rule(Effect::Allow, "*"), command_rule(Effect::Deny, "rm *")];
        prop_assert_eq!(judge(&rules, &request(Some(&line), &[])), "deny");
    }
}
