//! The inbox with the real Claude Code in real sessions: what it asks waits in one place, is answered from there, and what
//! is answered at its own terminal waits no more.

use orx_engines::EngineKind;
use orx_tests::harness::{Settings, engines};
use orx_tests::lives::{Bed, rule, run, short};
use orx_tests::model::{Action, Rule, Scenario, Step};
use serde_json::{Value, json};

/// A session of Claude Code whose model knows these rules.
async fn session(rules: Vec<Rule>, argv: &[&str], adjust: impl FnOnce(&mut Settings)) -> Bed {
    let otherwise = Some(Step { text: "Never mind.".to_owned(), ..Step::default() });
    let mut bed = Bed::new(Scenario { rules, otherwise, ..Scenario::default() }, |settings| {
        engines::install(settings, EngineKind::Claude);
        adjust(settings);
    })
    .await;
    bed.begin(&json!({"engine": "claude", "argv": argv, "title": "a session to ask"}));
    bed
}

/// The events of an approval, by kind.
fn events(bed: &Bed, approval: &Value) -> Vec<(String, Value)> {
    let params = json!({"kinds": ["approval.*"], "since": 0, "limit": 1000, "subject": approval["approval"]});
    let list = bed.daemon.call("event.list", &params);
    let events = list["events"].as_array().unwrap().iter();
    events.map(|event| (event["kind"].as_str().unwrap().to_owned(), event["data"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_in_the_inbox_and_runs_once_it_is_allowed() {
    let bed = session(vec![rule("touch it", vec![run("touch made.txt")])], &[], |_| {}).await;
    bed.send("touch it");
    let asked = bed.until_asked();
    assert_eq!(asked["session"], bed.session.as_str());
    assert_eq!(
        (&asked["kind"], &asked["road"], &asked["engine"]),
        (&json!("command"), &json!("hook"), &json!("claude"))
    );
    assert_eq!(asked["subject"]["command"], "touch made.txt");
    assert_eq!(asked["subject"]["cwd"], bed.work.to_str().unwrap());
    assert_eq!(asked["title"], "run touch made.txt");
    let shown = bed.orxctl(&["inbox"]);
    for word in ["claude", "a session to ask", "to run a command (Bash)", "touch made.txt"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    // The dialog is on the screen for a person at the same time.
    bed.until_shown("Do you want to proceed?");
    assert!(!bed.made("made.txt"));
    bed.until("its state", || (bed.state() == "blocked").then_some(()));

    let said = bed.orxctl(&["allow", &short(&asked)]);
    assert!(said.contains("run touch made.txt: allowed by unix socket, process"), "{said}");
    bed.until("the file", || bed.made("made.txt").then_some(()));
    bed.until_shown("Finished: touch it.");
    let decided = bed.until("the delivery", || Some(bed.approval(&asked)).filter(|row| row["delivery"] == "delivered"));
    assert_eq!(decided["state"], "allowed");
    let events = events(&bed, &asked);
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["approval.requested", "approval.decided", "approval.delivered"]);
    let by = events[1].1["by"].as_str().unwrap();
    assert!(by.contains("unix socket, process") && by.contains("(orxctl)") && by.contains("user"), "{by}");

    // Of the question people are told once, with what is asked; that it waits for that very question is no news.
    let told = bed.daemon.call("notification.list", &json!({}));
    let told: Vec<&Value> =
        told["notifications"].as_array().unwrap().iter().filter(|one| one["topic"] == "approval").collect();
    assert!(matches!(told[..], [one] if one["body"] == "run touch made.txt"), "{told:#?}");

    // A second decision names the first.
    let again = bed.daemon.orxctl(bed.daemon.directory(), &["deny", &short(&asked)]);
    again.refused(1, &["is allowed by unix socket"]);
    // The conversation is known, and the user's own files are as they were.
    let session = bed.get();
    assert!(session["conversation"].is_string() && session["channel"] == "hooks", "{session}");
    assert!(!bed.daemon.path("user/.claude").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_reaches_the_model_with_its_reason_and_a_change_is_shown_as_a_diff() {
    let write = Action::WriteFile { path: "notes.txt".to_owned(), content: "one\ntwo\n".to_owned() };
    let bed = session(vec![rule("write it", vec![write])], &[], |_| {}).await;
    bed.send("write it");
    let asked = bed.until_asked();
    assert_eq!(asked["kind"], "file_change");
    assert_eq!(asked["subject"]["paths"], json!([bed.work.join("notes.txt")]));
    let shown = bed.orxctl(&["inbox", &short(&asked)]);
    assert!(shown.contains("│ +one") && shown.contains("│ +two"), "{shown}");
    bed.orxctl(&["deny", &short(&asked), "--reason", "notes belong into the wiki"]);
    bed.until_shown("Finished: write it.");
    assert!(bed.model_heard("notes belong into the wiki"));
    assert!(!bed.made("notes.txt"));
    assert_eq!(bed.approval(&asked)["reason"], "notes belong into the wiki");
}

#[tokio::test(flavor = "multi_thread")]
async fn always_asks_no_second_time_and_covers_nothing_else() {
    let rules = vec![
        rule("first time", vec![run("touch one.txt")]),
        rule("second time", vec![run("rm one.txt && touch two.txt"), run("touch one.txt")]),
    ];
    let bed = session(rules, &[], |_| {}).await;
    bed.send("first time");
    let asked = bed.until_asked();
    let said = bed.orxctl(&["allow", &short(&asked), "--always"]);
    assert!(said.contains("always allowed from now on") && said.contains("command touch one.txt"), "{said}");
    bed.until_shown("Finished: first time.");
    bed.until_state("idle");
    bed.send("second time");
    // What is not covered is asked, and the covered command after it is not.
    let other = bed.until_asked();
    assert_eq!(other["subject"]["command"], "rm one.txt && touch two.txt");
    bed.orxctl(&["allow", "--all"]);
    bed.until_shown("Finished: second time.");
    assert!(bed.made("one.txt") && bed.made("two.txt"));
    let rows = bed.approvals(true);
    assert_eq!(rows.len(), 3, "{rows:?}");
    let by = rows[2]["decided_by"].as_str().unwrap();
    assert!(by.starts_with("rule rul_"), "{by}");
    let listed = bed.orxctl(&["rule", "ls"]);
    assert!(listed.contains("touch one.txt"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_at_the_terminal_waits_no_more() {
    let rules = vec![rule("yes to it", vec![run("touch yes.txt")]), rule("no to it", vec![run("touch no.txt")])];
    let bed = session(rules, &[], |_| {}).await;
    bed.send("yes to it");
    let asked = bed.until_asked();
    bed.until_shown("Do you want to proceed?");
    bed.keys(&["1"]);
    let withdrawn = bed.until_approval(&asked, "state", "withdrawn");
    assert!(withdrawn["message"].as_str().unwrap().contains("terminal"), "{withdrawn}");
    bed.until_shown("Finished: yes to it.");
    assert!(bed.made("yes.txt"));
    bed.daemon.orxctl(bed.daemon.directory(), &["allow", &short(&asked)]).refused(1, &["is withdrawn"]);

    bed.until_state("idle");
    bed.send("no to it");
    let asked = bed.until_asked();
    bed.until_shown("Do you want to proceed?");
    bed.keys(&["escape"]);
    bed.until_approval(&asked, "state", "withdrawn");
    assert!(!bed.made("no.txt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_outlives_the_daemon_and_is_answered_after_its_restart() {
    let mut bed = session(vec![rule("touch it", vec![run("touch made.txt")])], &[], |_| {}).await;
    bed.send("touch it");
    let asked = bed.until_asked();
    bed.daemon.kill9();
    bed.daemon.restart();
    let waiting = bed.until_asked();
    assert_eq!(waiting["approval"], asked["approval"], "it is the same question");
    bed.orxctl(&["allow", &short(&asked)]);
    bed.until("the file", || bed.made("made.txt").then_some(()));
    bed.until("the delivery", || (bed.approval(&asked)["delivery"] == "delivered").then_some(()));
    assert_eq!(bed.approvals(true).len(), 1, "it was asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_the_number_of_its_choice() {
    let question = json!({"questions": [{"question": "Which colour?", "header": "Colour", "multiSelect": false, "options": [
        {"label": "Red", "description": "like a rose"}, {"label": "Blue", "description": "like the sea"}]}]});
    let ask = Action::Call { tool: "AskUserQuestion".to_owned(), arguments: question };
    let bed = session(vec![rule("ask me", vec![ask])], &[], |_| {}).await;
    bed.send("ask me");
    let asked = bed.until_asked();
    assert_eq!((&asked["kind"], &asked["subject"]["choices"]), (&json!("question"), &json!(["Red", "Blue"])));
    let id = short(&asked);
    let in_orx = |arguments: &[&str]| bed.daemon.orxctl(bed.daemon.directory(), arguments);
    in_orx(&["allow", &id]).refused(1, &["needs an `answer`"]);
    in_orx(&["allow", &id, "--always"]).refused(1, &["answered each time"]);
    in_orx(&["allow", &id, "--answer", "Green"]).refused(1, &["none of its choices", "`Red`, `Blue`"]);
    bed.orxctl(&["allow", &id, "--answer", "2"]);
    bed.until_shown("Finished: ask me.");
    assert_eq!(bed.approval(&asked)["answer"], "Blue");
    let heard = bed.model.requests().into_iter().any(|request| request.text.contains("\"Which colour?\"=\"Blue\""));
    assert!(heard, "{}", bed.model.requests().last().unwrap().text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_decides_in_time_is_denied_and_the_model_is_told() {
    let adjust = |settings: &mut Settings| {
        settings.set("approvals", json!({"expire_after": "2s", "on_expiry": "deny"}));
    };
    let bed = session(vec![rule("touch it", vec![run("touch made.txt")])], &[], adjust).await;
    bed.send("touch it");
    bed.until_shown("Finished: touch it.");
    assert!(bed.model_heard("nobody decided in time") && !bed.made("made.txt"));
    let row = bed.approvals(true).remove(0);
    assert_eq!((&row["state"], &row["decided_by"]), (&json!("expired"), &json!("expiry")));
}

/// An engine that would just do it is held back: a denial of the operator is above the engine's own mode.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_by_rule_holds_although_the_engine_would_not_ask() {
    let write = Action::WriteFile { path: "secret.txt".to_owned(), content: "x\n".to_owned() };
    let rules = vec![rule("write it", vec![write])];
    let bed = session(rules, &["--permission-mode", "acceptEdits"], |_| {}).await;
    let pattern = format!("{}/secret*", bed.work.display());
    bed.orxctl(&["rule", "add", "deny", "--path", &pattern]);
    bed.send("write it");
    bed.until_shown("Finished: write it.");
    assert!(bed.model_heard("standing rule of the operator denies this") && !bed.made("secret.txt"));
    let row = bed.approvals(true).remove(0);
    assert_eq!((&row["state"], &row["message"]), (&json!("denied"), &json!("the engine had not asked")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_with_its_session() {
    let bed = session(vec![rule("touch it", vec![run("touch made.txt")])], &[], |_| {}).await;
    bed.send("touch it");
    let asked = bed.until_asked();
    bed.call("session.stop", &json!({"grace_ms": 2000}));
    bed.until_approval(&asked, "state", "withdrawn");
    bed.daemon.orxctl(bed.daemon.directory(), &["allow", &short(&asked)]).refused(1, &["withdrawn"]);
}
