//! Structured channels with the real coding CLIs through the real daemon, a scripted model behind them: prompted over the
//! channel, asked and answered in the inbox, while the terminal stays a person's; taken up again after the daemon's death;
//! nothing left after the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orx_tests::harness::wire::Received;
use orx_tests::harness::{Daemon, Settings, eventually_or, process};
use orx_tests::model::{Action, Rule, Scenario, ScriptedModel, Step, When};
use serde_json::{Value, json};

/// The longest that a CLI may take to start, to ask or to answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long processes may take to go after their session's end was answered.
const GONE: Duration = Duration::from_secs(10);
/// The key of the endpoint.
const KEY: &str = "scripted-endpoint-key-0123456789";

/// An installed program.
fn program(package: &str, name: &str) -> String {
    let engines = std::env::var_os("ORX_TEST_ENGINES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/engines"), PathBuf::from);
    let program = engines.join(package).join("node_modules/.bin").join(name);
    assert!(program.exists(), "{} is missing: `cargo xtask setup` installs it", program.display());
    program.canonicalize().unwrap().to_string_lossy().into_owned()
}

fn rule(prompt: &str, actions: Vec<Action>) -> Rule {
    let mut steps: Vec<Step> = actions
        .into_iter()
        .map(|action| Step { text: "I will.".to_owned(), tools: vec![action], ..Step::default() })
        .collect();
    steps.push(Step { text: format!("Finished: {prompt}."), ..Step::default() });
    Rule { name: prompt.to_owned(), when: When { prompt: vec![prompt.to_owned()], ..When::default() }, steps }
}

fn write(path: &str) -> Action {
    Action::WriteFile { path: path.to_owned(), content: "hello\n".to_owned() }
}

/// What the model answers in every test here.
fn scenario() -> Scenario {
    let slow = Step {
        text: "This is a long answer in many pieces, which takes its time so that it can be stopped.".to_owned(),
        piece_delay_ms: 2000,
        ..Step::default()
    };
    Scenario {
        rules: vec![
            rule("write the first", vec![write("first.txt")]),
            rule("write the second", vec![write("second.txt")]),
            rule("hand this over", vec![]),
            Rule {
                name: "slow".to_owned(),
                when: When { prompt: vec!["take long".to_owned()], ..When::default() },
                steps: vec![slow],
            },
        ],
        otherwise: Some(Step { text: "Hello there.".to_owned(), ..Step::default() }),
        ..Scenario::default()
    }
}

/// A daemon whose engines ask a scripted model, and one session.
struct Bed {
    _model: ScriptedModel,
    daemon: Daemon,
    work: PathBuf,
    session: String,
}

impl Bed {
    async fn new(create: Value, adjust: impl FnOnce(&mut Settings)) -> Self {
        let model = ScriptedModel::start(scenario()).await.unwrap();
        let daemon = Daemon::start(|settings| {
            settings.workers(0);
            settings.set("engines.endpoint", json!({"url": model.url, "key": KEY}));
            for engine in ["claude", "codex", "gemini", "opencode"] {
                settings.set(&format!("engines.binaries.{engine}"), program(engine, engine));
            }
            for adapter in ["claude-agent-acp", "codex-acp"] {
                settings.set(&format!("engines.binaries.{adapter}"), program(adapter, adapter));
            }
            adjust(settings);
        });
        let work = daemon.path("work");
        std::fs::create_dir(&work).unwrap();
        let work = work.canonicalize().unwrap();
        let asks = json!({"$schema": "https://opencode.ai/config.json", "permission": {"edit": "ask", "bash": "ask"}});
        std::fs::write(work.join("opencode.json"), asks.to_string()).unwrap();
        let mut params = json!({"cwd": work, "cols": 100, "rows": 30});
        params.as_object_mut().unwrap().extend(create.as_object().unwrap().clone());
        let session = daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned();
        Self { _model: model, daemon, work, session }
    }

    fn get(&self) -> Value {
        self.daemon.call("session.get", &json!({"session": self.session}))
    }

    fn state(&self) -> String {
        self.get()["activity"]["state"].as_str().unwrap().to_owned()
    }

    fn try_send(&self, text: &str) -> Value {
        let mut wire = self.daemon.wire();
        wire.request("session.send", &json!({"session": self.session, "text": text}));
        match wire.receive(PATIENCE) {
            Received::Body(answer) => answer,
            other => panic!("{other:?}\n{}", self.situation()),
        }
    }

    /// Sends a text that must be known to have been taken by the agent.
    #[track_caller]
    fn prompt(&self, text: &str) {
        let sent = self.try_send(text);
        assert_eq!(sent["result"]["receipt"], "accepted", "{sent}\n{}", self.situation());
    }

    fn screen(&self) -> String {
        let screen = self.daemon.call("session.screen", &json!({"session": self.session}));
        let lines: Vec<String> = serde_json::from_value(screen["lines"].clone()).unwrap();
        lines.join("\n")
    }

    fn log(&self) -> Vec<String> {
        let log = self.daemon.call("session.log", &json!({"session": self.session}));
        serde_json::from_value(log["lines"].clone()).unwrap()
    }

    /// All that helps to understand why something did not come.
    fn situation(&self) -> String {
        let session = self.get();
        let shown = if session["cols"] == 0 { self.log().join("\n") } else { self.screen() };
        let stderr = self.daemon.call("session.log", &json!({"session": self.session, "stderr": true}));
        format!("{session:#}\n--- shows\n{shown}\n--- stderr {stderr}\n--- daemon\n{}", self.daemon.log())
    }

    #[track_caller]
    fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        eventually_or(what, PATIENCE, look).unwrap_or_else(|error| panic!("{error}\n{}", self.situation()))
    }

    #[track_caller]
    fn until_shown(&self, text: &str) {
        self.until(&format!("{text:?} on the screen"), || self.screen().contains(text).then_some(()));
    }

    #[track_caller]
    fn until_logged(&self, text: &str) {
        self.until(&format!("{text:?} in the log"), || self.log().iter().any(|line| line.contains(text)).then_some(()));
    }

    #[track_caller]
    fn until_state(&self, state: &str) {
        self.until(&format!("the agent {state}"), || (self.state() == state).then_some(()));
    }

    fn waiting(&self) -> Vec<Value> {
        self.daemon.call("approval.list", &json!({}))["approvals"].as_array().unwrap().clone()
    }

    /// Waits until exactly one question waits.
    #[track_caller]
    fn until_asked(&self) -> Value {
        self.until("a question in the inbox", || {
            let mut waiting = self.waiting();
            (waiting.len() == 1).then(|| waiting.remove(0))
        })
    }

    fn decide(&self, approval: &Value, decision: &str) {
        let params =
            json!({"approvals": [approval["approval"]], "decision": decision, "reason": "because the test says so"});
        self.daemon.call("approval.decide", &params);
    }

    #[track_caller]
    fn until_approval(&self, approval: &Value, member: &str, value: &str) {
        self.until(&format!("the approval {value}"), || {
            let now = self.daemon.call("approval.get", &json!({"approval": approval["approval"]}));
            (now[member] == value).then_some(())
        });
    }

    #[track_caller]
    fn until_written(&self, name: &str) {
        let path = self.work.join(name);
        self.until(name, || std::fs::read_to_string(&path).ok().filter(|text| text == "hello\n"));
    }

    #[track_caller]
    fn stop(&self) {
        assert!(!process::of_session(&self.session).is_empty(), "the session has no process");
        self.daemon.call("session.stop", &json!({"session": self.session}));
        eventually_or("the end of every process of the session", GONE, || {
            process::of_session(&self.session).is_empty().then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}: {:?}", process::of_session(&self.session)));
        assert_eq!(self.get()["state"], "ended");
    }
}

/// What a channel beside a terminal must do.
async fn beside_its_terminal(engine: &str, argv: &[&str], channel: &str, dialog: &str) -> Bed {
    let create = json!({"engine": engine, "argv": argv, "prompt": "hand this over"});
    let mut bed = Bed::new(create, |_| {}).await;
    assert_eq!(bed.get()["channel"], channel);
    // The first prompt is worked on in the terminal that a person sees.
    bed.until_shown("Finished: hand this over.");
    bed.until_state("idle");
    assert!(bed.get()["conversation"].is_string(), "{}", bed.situation());

    // Prompted from outside, shown inside; asked inside, answered outside.
    bed.prompt("write the first");
    let asked = bed.until_asked();
    assert_eq!((asked["road"].as_str(), asked["kind"].as_str()), (Some("protocol"), Some("file_change")), "{asked}");
    assert!(asked["subject"]["paths"][0].as_str().unwrap().ends_with("first.txt"), "{asked}");
    assert!(asked["subject"]["diff"].as_str().unwrap().contains("+hello"), "{asked}");
    bed.until_state("blocked");
    bed.until_shown("write the first");
    let refused = bed.try_send("not now");
    assert_eq!(refused["error"]["data"]["kind"], "failed_precondition", "{refused}");
    assert!(!bed.work.join("first.txt").exists());

    // The daemon is killed while the agent waits: the next one finds the question again, and it is the same.
    bed.daemon.kill9();
    bed.daemon.restart();
    let again = bed.until_asked();
    assert_eq!(again["approval"], asked["approval"]);
    bed.decide(&again, "allow");
    bed.until_written("first.txt");
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until_shown("Finished: write the first.");
    bed.until_state("idle");

    // A person at the terminal types and answers there: the inbox learns of it.
    let keys = |keys: &[&str]| bed.daemon.call("session.keys", &json!({"session": bed.session, "keys": keys}));
    for word in ["write", "the", "second"] {
        let letters: Vec<String> = word.chars().map(String::from).chain(["space".to_owned()]).collect();
        keys(&letters.iter().map(String::as_str).collect::<Vec<_>>());
    }
    bed.until_shown("write the second");
    keys(&["enter"]);
    let asked = bed.until_asked();
    bed.until_state("blocked");
    bed.until_shown(dialog);
    // Keys that come with the dialog are not taken for an answer to it.
    let approval = asked["approval"].clone();
    bed.until("an answer at the terminal", || {
        if !bed.waiting().iter().any(|waiting| waiting["approval"] == approval) {
            return Some(());
        }
        keys(&["enter"]);
        std::thread::sleep(Duration::from_secs(1));
        None
    });
    bed.until_approval(&asked, "state", "withdrawn");
    bed.until_written("second.txt");
    bed.until_state("idle");
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_is_spoken_with_beside_its_terminal() {
    let bed =
        beside_its_terminal("codex", &["-s", "read-only", "-a", "on-request"], "app-server", "Yes, proceed").await;
    bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode_is_spoken_with_beside_its_terminal() {
    let bed = beside_its_terminal("opencode", &[], "serve", "Permission required").await;
    // Its server takes nobody without the password.
    let served =
        std::fs::read_to_string(Path::new(bed.get()["directory"].as_str().unwrap()).join("served.json")).unwrap();
    let address: Value = serde_json::from_str(&served).unwrap();
    let port = address["address"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /session HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    bed.stop();
}

/// What an agent without a terminal must do.
async fn over_acp(engine: &str, env: Value) {
    let create = json!({"engine": engine, "channel": "acp", "prompt": "hand this over", "env": env});
    let mut bed = Bed::new(create, |_| {}).await;
    let session = bed.get();
    assert_eq!((session["channel"].as_str(), session["cols"].as_u64()), (Some("acp"), Some(0)));
    bed.until_logged("Finished: hand this over.");
    bed.until_state("idle");
    let conversation = bed.get()["conversation"].clone();
    assert!(conversation.is_string());

    bed.prompt("write the first");
    let asked = bed.until_asked();
    assert_eq!((asked["road"].as_str(), asked["kind"].as_str()), (Some("protocol"), Some("file_change")), "{asked}");
    assert!(asked["subject"]["diff"].as_str().unwrap().contains("+hello"), "{asked}");
    bed.until_state("blocked");
    assert!(!bed.work.join("first.txt").exists());

    bed.daemon.kill9();
    bed.daemon.restart();
    let again = bed.until_asked();
    assert_eq!(again["approval"], asked["approval"]);
    bed.decide(&again, "allow");
    bed.until_written("first.txt");
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until_logged("Finished: write the first.");
    bed.until_state("idle");
    assert_eq!(bed.get()["conversation"], conversation);

    bed.prompt("write the second");
    let asked = bed.until_asked();
    bed.decide(&asked, "deny");
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until_state("idle");
    assert!(!bed.work.join("second.txt").exists());

    bed.prompt("take long");
    bed.until_state("working");
    bed.daemon.call("session.interrupt", &json!({"session": bed.session}));
    bed.until_state("idle");

    let log = bed.log();
    for line in ["> hand this over", "> write the first", "> write the second"] {
        assert!(log.iter().any(|found| found == line), "{line}: {log:#?}");
    }
    bed.stop();
    assert_eq!(bed.log()[..log.len()], log[..], "the conversation is there after the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_is_spoken_with_over_acp() {
    over_acp("gemini", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_is_spoken_with_over_acp() {
    over_acp("claude", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_is_spoken_with_over_acp() {
    over_acp("codex", json!({"INITIAL_AGENT_MODE": "read-only"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode_is_spoken_with_over_acp() {
    over_acp("opencode", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_come_up_costs_the_channel_alone() {
    let real = program("codex", "codex");
    // The wrapper calls a program that no sandbox knows of.
    let create = json!({"engine": "codex", "prompt": "hand this over", "sandbox": {"mode": "off"}});
    let bed = Bed::new(create, |settings| {
        let wrapper = settings.user_home.join("codex");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = app-server ]; then echo no server here; exit 3; fi\nexec {real} \"$@\"\n"
        );
        std::fs::write(&wrapper, script).unwrap();
        std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        settings.set("engines.binaries.codex", wrapper.to_string_lossy().into_owned());
    })
    .await;
    bed.until_shown("Finished: hand this over.");
    let lost = bed.until("the loss in the record", || bed.get()["channel_lost"].as_str().map(str::to_owned));
    assert!(lost.contains("no server here"), "{lost}");
    bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_speaks_nonsense_is_said_to_be_lost() {
    let create = json!({"engine": "gemini", "channel": "acp"});
    let bed = Bed::new(create, |settings| {
        let wrapper = settings.user_home.join("gemini");
        let answer = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"log in first"}}"#;
        std::fs::write(&wrapper, format!("#!/bin/sh\necho noise\nread line\necho '{answer}'\nexec sleep 600\n"))
            .unwrap();
        std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        settings.set("engines.binaries.gemini", wrapper.to_string_lossy().into_owned());
    })
    .await;
    let lost = bed.until("the loss in the record", || bed.get()["channel_lost"].as_str().map(str::to_owned));
    assert!(lost.contains("log in first"), "{lost}");
    let refused = bed.try_send("hello");
    assert!(refused["error"]["message"].as_str().unwrap().contains("log in first"), "{refused}");
    assert!(bed.log().iter().any(|line| line == "! noise"), "{:?}", bed.log());
    let interrupted = bed.daemon.wire().call("session.interrupt", &json!({"session": bed.session})).unwrap_err();
    assert_eq!(interrupted["data"]["kind"], "failed_precondition", "{interrupted}");
    bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_none_is_refused_and_nothing_is_made() {
    let bed = Bed::new(json!({"engine": "command", "argv": ["sleep", "600"]}), |_| {}).await;
    let work = bed.work.to_string_lossy().into_owned();
    for (engine, channel, expected) in [
        ("codex", "appserver", "app-server, serve, acp"),
        ("gemini", "serve", "it has acp"),
        ("command", "acp", "it has none"),
    ] {
        let create = json!({"engine": engine, "cwd": work, "channel": channel, "argv": ["true"]});
        let refused = bed.daemon.wire().call("session.create", &create).unwrap_err();
        assert!(refused["message"].as_str().unwrap_or_default().contains(expected), "{refused}");
    }
    let sessions = bed.daemon.call("session.list", &json!({"all": true}));
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1, "{sessions}");
}
