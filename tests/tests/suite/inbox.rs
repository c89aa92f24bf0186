//! The inbox with the real Claude Code in real sessions: what it asks waits in one place, is answered from there, and what
//! is answered at its own terminal waits no more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orx_engines::EngineKind;
use orx_tests::harness::{Daemon, Settings, eventually, eventually_or};
use orx_tests::model::{Action, Rule, Scenario, ScriptedModel, Step, When};
use serde_json::{Value, json};

/// The longest that the CLI may take to draw, ask or answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);
/// The key of the endpoint.
const KEY: &str = "scripted-endpoint-key-0123456789";

fn program() -> PathBuf {
    let engines = std::env::var_os("ORX_TEST_ENGINES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/engines"), PathBuf::from);
    let program = engines.join("claude/node_modules/.bin/claude");
    assert!(program.exists(), "claude is not installed for the tests: `cargo xtask setup` installs it");
    program.canonicalize().unwrap()
}

/// A rule that calls tools one after another when the prompt has these words, and then says that it is done.
fn rule(prompt: &str, actions: Vec<Action>) -> Rule {
    let mut steps: Vec<Step> = actions
        .into_iter()
        .map(|action| Step { text: "I will.".to_owned(), tools: vec![action], ..Step::default() })
        .collect();
    steps.push(Step { text: format!("Finished: {prompt}."), ..Step::default() });
    Rule { name: prompt.to_owned(), when: When { prompt: vec![prompt.to_owned()], ..When::default() }, steps }
}

fn run(command: &str) -> Action {
    Action::Run { command: command.to_owned() }
}

/// A daemon whose Claude Code asks a scripted model, and one session of it.
struct Bed {
    model: ScriptedModel,
    daemon: Daemon,
    work: PathBuf,
    session: String,
}

impl Bed {
    async fn new(rules: Vec<Rule>, argv: &[&str], adjust: impl FnOnce(&mut Settings)) -> Self {
        let otherwise = Some(Step { text: "Never mind.".to_owned(), ..Step::default() });
        let model = ScriptedModel::start(Scenario { rules, otherwise, ..Scenario::default() }).await.unwrap();
        let daemon = Daemon::start(|settings| {
            settings.workers(0);
            settings.set("engines.endpoint", json!({"url": model.url, "key": KEY}));
            settings.set(&format!("engines.binaries.{}", EngineKind::Claude), program().to_string_lossy().into_owned());
            adjust(settings);
        });
        let work = daemon.path("work");
        std::fs::create_dir(&work).unwrap();
        let work = work.canonicalize().unwrap();
        let params = json!({
            "engine": "claude", "cwd": work, "argv": argv, "cols": 100, "rows": 30, "title": "a session to ask",
        });
        let session = daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned();
        Self { model, daemon, work, session }
    }

    fn send(&self, text: &str) {
        let mut wire = self.daemon.wire();
        wire.request("session.send", &json!({"session": self.session, "text": text}));
        match wire.receive(PATIENCE) {
            orx_tests::harness::wire::Received::Body(answer) if answer.get("result").is_some() => {}
            other => panic!("{other:?}; the screen is\n{}", self.screen()),
        }
    }

    fn screen(&self) -> String {
        let screen = self.daemon.call("session.screen", &json!({"session": self.session}));
        let lines: Vec<String> = serde_json::from_value(screen["lines"].clone()).unwrap();
        lines.join("\n")
    }

    #[track_caller]
    fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        eventually_or(what, PATIENCE, look).unwrap_or_else(|error| panic!("{error}; the screen is\n{}", self.screen()))
    }

    #[track_caller]
    fn until_shown(&self, text: &str) {
        self.until(&format!("{text:?} on the screen"), || self.screen().contains(text).then_some(()));
    }

    /// Waits until the agent is known to take another prompt.
    #[track_caller]
    fn until_idle(&self) {
        self.until("the end of the turn", || {
            let session = self.daemon.call("session.get", &json!({"session": self.session}));
            (session["activity"]["state"] == "idle").then_some(())
        });
    }

    fn list(&self, all: bool) -> Vec<Value> {
        self.daemon.call("approval.list", &json!({"all": all}))["approvals"].as_array().unwrap().clone()
    }

    /// Waits until exactly one question waits.
    #[track_caller]
    fn until_asked(&self) -> Value {
        self.until("a question in the inbox", || {
            let mut waiting = self.list(false);
            (waiting.len() == 1).then(|| waiting.remove(0))
        })
    }

    fn get(&self, approval: &Value) -> Value {
        self.daemon.call("approval.get", &json!({"approval": approval["approval"]}))
    }

    #[track_caller]
    fn until_state(&self, approval: &Value, state: &str) -> Value {
        self.until(&format!("the approval as {state}"), || {
            Some(self.get(approval)).filter(|approval| approval["state"] == state)
        })
    }

    /// The events of an approval, by kind.
    fn events(&self, approval: &Value) -> Vec<(String, Value)> {
        let params = json!({"kinds": ["approval.*"], "since": 0, "limit": 1000, "subject": approval["approval"]});
        let list = self.daemon.call("event.list", &params);
        let events = list["events"].as_array().unwrap().iter();
        events.map(|event| (event["kind"].as_str().unwrap().to_owned(), event["data"].clone())).collect()
    }

    #[track_caller]
    fn orxctl(&self, arguments: &[&str]) -> String {
        self.daemon.orxctl(self.daemon.directory(), arguments).done().to_owned()
    }

    fn model_heard(&self, text: &str) -> bool {
        self.model.requests().iter().any(|request| request.text.contains(text))
    }

    fn made(&self, name: &str) -> bool {
        self.work.join(name).exists()
    }
}

fn end_of(approval: &Value) -> String {
    let id = approval["approval"].as_str().unwrap();
    id[id.len() - 8..].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_in_the_inbox_and_runs_once_it_is_allowed() {
    let bed = Bed::new(vec![rule("touch it", vec![run("touch made.txt")])], &[], |_| {}).await;
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

    let said = bed.orxctl(&["allow", &end_of(&asked)]);
    assert!(said.contains("run touch made.txt: allowed by unix socket, process"), "{said}");
    bed.until("the file", || bed.made("made.txt").then_some(()));
    bed.until_shown("Finished: touch it.");
    let decided = bed.until("the delivery", || Some(bed.get(&asked)).filter(|row| row["delivery"] == "delivered"));
    assert_eq!(decided["state"], "allowed");
    let events = bed.events(&asked);
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["approval.requested", "approval.decided", "approval.delivered"]);
    let by = events[1].1["by"].as_str().unwrap();
    assert!(by.contains("unix socket, process") && by.contains("(orxctl)") && by.contains("user"), "{by}");

    // A second decision names the first.
    let again = bed.daemon.orxctl(bed.daemon.directory(), &["deny", &end_of(&asked)]);
    again.refused(1, &["is allowed by unix socket"]);
    // The conversation is known, and the user's own files are as they were.
    let session = bed.daemon.call("session.get", &json!({"session": bed.session}));
    assert!(session["conversation"].is_string() && session["channel"] == "hooks", "{session}");
    assert!(!bed.daemon.path("user/.claude").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_reaches_the_model_with_its_reason_and_a_change_is_shown_as_a_diff() {
    let write = Action::WriteFile { path: "notes.txt".to_owned(), content: "one\ntwo\n".to_owned() };
    let bed = Bed::new(vec![rule("write it", vec![write])], &[], |_| {}).await;
    bed.send("write it");
    let asked = bed.until_asked();
    assert_eq!(asked["kind"], "file_change");
    assert_eq!(asked["subject"]["paths"], json!([bed.work.join("notes.txt")]));
    let shown = bed.orxctl(&["inbox", &end_of(&asked)]);
    assert!(shown.contains("│ +one") && shown.contains("│ +two"), "{shown}");
    bed.orxctl(&["deny", &end_of(&asked), "--reason", "notes belong into the wiki"]);
    bed.until_shown("Finished: write it.");
    assert!(bed.model_heard("notes belong into the wiki"));
    assert!(!bed.made("notes.txt"));
    assert_eq!(bed.get(&asked)["reason"], "notes belong into the wiki");
}

#[tokio::test(flavor = "multi_thread")]
async fn always_asks_no_second_time_and_covers_nothing_else() {
    let rules = vec![
        rule("first time", vec![run("touch one.txt")]),
        rule("second time", vec![run("rm one.txt && touch two.txt"), run("touch one.txt")]),
    ];
    let bed = Bed::new(rules, &[], |_| {}).await;
    bed.send("first time");
    let asked = bed.until_asked();
    let said = bed.orxctl(&["allow", &end_of(&asked), "--always"]);
    assert!(said.contains("always allowed from now on") && said.contains("command touch one.txt"), "{said}");
    bed.until_shown("Finished: first time.");
    bed.until_idle();
    bed.send("second time");
    // What is not covered is asked, and the covered command after it is not.
    let other = bed.until_asked();
    assert_eq!(other["subject"]["command"], "rm one.txt && touch two.txt");
    bed.orxctl(&["allow", "--all"]);
    bed.until_shown("Finished: second time.");
    assert!(bed.made("one.txt") && bed.made("two.txt"));
    let rows = bed.list(true);
    assert_eq!(rows.len(), 3, "{rows:?}");
    let by = rows[2]["decided_by"].as_str().unwrap();
    assert!(by.starts_with("rule rul_"), "{by}");
    let listed = bed.orxctl(&["rule", "ls"]);
    assert!(listed.contains("touch one.txt"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_at_the_terminal_waits_no_more() {
    let rules = vec![rule("yes to it", vec![run("touch yes.txt")]), rule("no to it", vec![run("touch no.txt")])];
    let bed = Bed::new(rules, &[], |_| {}).await;
    bed.send("yes to it");
    let asked = bed.until_asked();
    bed.until_shown("Do you want to proceed?");
    bed.daemon.call("session.keys", &json!({"session": bed.session, "keys": ["1"]}));
    let withdrawn = bed.until_state(&asked, "withdrawn");
    assert!(withdrawn["message"].as_str().unwrap().contains("terminal"), "{withdrawn}");
    bed.until_shown("Finished: yes to it.");
    assert!(bed.made("yes.txt"));
    bed.daemon.orxctl(bed.daemon.directory(), &["allow", &end_of(&asked)]).refused(1, &["is withdrawn"]);

    bed.until_idle();
    bed.send("no to it");
    let asked = bed.until_asked();
    bed.until_shown("Do you want to proceed?");
    bed.daemon.call("session.keys", &json!({"session": bed.session, "keys": ["escape"]}));
    bed.until_state(&asked, "withdrawn");
    assert!(!bed.made("no.txt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_outlives_the_daemon_and_is_answered_after_its_restart() {
    let mut bed = Bed::new(vec![rule("touch it", vec![run("touch made.txt")])], &[], |_| {}).await;
    bed.send("touch it");
    let asked = bed.until_asked();
    bed.daemon.kill9();
    bed.daemon.restart();
    let waiting = bed.until_asked();
    assert_eq!(waiting["approval"], asked["approval"], "it is the same question");
    bed.orxctl(&["allow", &end_of(&asked)]);
    bed.until("the file", || bed.made("made.txt").then_some(()));
    bed.until("the delivery", || (bed.get(&asked)["delivery"] == "delivered").then_some(()));
    assert_eq!(bed.list(true).len(), 1, "it was asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_the_number_of_its_choice() {
    let question = json!({"questions": [{"question": "Which colour?", "header": "Colour", "multiSelect": false, "options": [
        {"label": "Red", "description": "like a rose"}, {"label": "Blue", "description": "like the sea"}]}]});
    let ask = Action::Call { tool: "AskUserQuestion".to_owned(), arguments: question };
    let bed = Bed::new(vec![rule("ask me", vec![ask])], &[], |_| {}).await;
    bed.send("ask me");
    let asked = bed.until_asked();
    assert_eq!((&asked["kind"], &asked["subject"]["choices"]), (&json!("question"), &json!(["Red", "Blue"])));
    let id = end_of(&asked);
    let in_orx = |arguments: &[&str]| bed.daemon.orxctl(bed.daemon.directory(), arguments);
    in_orx(&["allow", &id]).refused(1, &["needs an `answer`"]);
    in_orx(&["allow", &id, "--always"]).refused(1, &["answered each time"]);
    in_orx(&["allow", &id, "--answer", "Green"]).refused(1, &["none of its choices", "`Red`, `Blue`"]);
    bed.orxctl(&["allow", &id, "--answer", "2"]);
    bed.until_shown("Finished: ask me.");
    assert_eq!(bed.get(&asked)["answer"], "Blue");
    let heard = bed.model.requests().into_iter().any(|request| request.text.contains("\"Which colour?\"=\"Blue\""));
    assert!(heard, "{}", bed.model.requests().last().unwrap().text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_decides_in_time_is_denied_and_the_model_is_told() {
    let adjust = |settings: &mut Settings| {
        settings.set("approvals", json!({"expire_after": "2s", "on_expiry": "deny"}));
    };
    let bed = Bed::new(vec![rule("touch it", vec![run("touch made.txt")])], &[], adjust).await;
    bed.send("touch it");
    bed.until_shown("Finished: touch it.");
    assert!(bed.model_heard("nobody decided in time") && !bed.made("made.txt"));
    let row = bed.list(true).remove(0);
    assert_eq!((&row["state"], &row["decided_by"]), (&json!("expired"), &json!("expiry")));
}

/// An engine that would just do it is held back: a denial of the operator is above the engine's own mode.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_by_rule_holds_although_the_engine_would_not_ask() {
    let write = Action::WriteFile { path: "secret.txt".to_owned(), content: "x\n".to_owned() };
    let rules = vec![rule("write it", vec![write])];
    let bed = Bed::new(rules, &["--permission-mode", "acceptEdits"], |_| {}).await;
    let pattern = format!("{}/secret*", bed.work.display());
    bed.orxctl(&["rule", "add", "deny", "--path", &pattern]);
    bed.send("write it");
    bed.until_shown("Finished: write it.");
    assert!(bed.model_heard("standing rule of the operator denies this") && !bed.made("secret.txt"));
    let row = bed.list(true).remove(0);
    assert_eq!((&row["state"], &row["message"]), (&json!("denied"), &json!("the engine had not asked")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_with_its_session() {
    let bed = Bed::new(vec![rule("touch it", vec![run("touch made.txt")])], &[], |_| {}).await;
    bed.send("touch it");
    let asked = bed.until_asked();
    bed.daemon.call("session.stop", &json!({"session": bed.session, "grace_ms": 2000}));
    eventually("the end of the question", PATIENCE, || {
        (bed.daemon.call("approval.get", &json!({"approval": asked["approval"]}))["state"] == "withdrawn").then_some(())
    });
    bed.daemon.orxctl(bed.daemon.directory(), &["allow", &end_of(&asked)]).refused(1, &["withdrawn"]);
}
