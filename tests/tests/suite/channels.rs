//! Structured channels with the real coding CLIs through the real daemon, a scripted model behind them: prompted over the
//! channel, asked and answered in the inbox, while the terminal stays a person's; taken up again after the daemon's death;
//! nothing left after the end.

use std::path::Path;
use std::time::Duration;

use orx_engines::EngineKind;
use orx_tests::harness::{Settings, engines, eventually_or};
use orx_tests::lives::engines::opencode;
use orx_tests::lives::{Bed, rule, write};
use orx_tests::model::{Rule, Scenario, Step, When};
use serde_json::{Value, json};

/// Tokens that the scripted model says each call took.
const CALL: u64 = 1000;
/// How long a key is given before it is pressed again.
const AGAIN: Duration = Duration::from_secs(1);

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

/// A session of one of the engines.
async fn session(create: Value, adjust: impl FnOnce(&mut Settings)) -> Bed {
    let mut bed = Bed::new(scenario(), |settings| {
        for kind in [EngineKind::Claude, EngineKind::Codex, EngineKind::Gemini, EngineKind::Opencode] {
            engines::install(settings, kind);
        }
        for adapter in ["claude-agent-acp", "codex-acp"] {
            engines::install_adapter(settings, adapter);
        }
        adjust(settings);
    })
    .await;
    opencode::asks(&bed.work);
    bed.begin(&create);
    bed
}

/// What a channel beside a terminal must do.
async fn beside_its_terminal(engine: &str, argv: &[&str], channel: &str, dialog: &str) -> Bed {
    let create = json!({"engine": engine, "argv": argv, "prompt": "hand this over"});
    let mut bed = session(create, |_| {}).await;
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
    for word in ["write", "the", "second"] {
        let letters: Vec<String> = word.chars().map(String::from).chain(["space".to_owned()]).collect();
        bed.keys(&letters.iter().map(String::as_str).collect::<Vec<_>>());
    }
    bed.until_shown("write the second");
    bed.keys(&["enter"]);
    let asked = bed.until_asked();
    bed.until_state("blocked");
    bed.until_shown(dialog);
    // Keys that come with the dialog are not taken for an answer to it.
    let approval = asked["approval"].clone();
    bed.until("an answer at the terminal", || {
        let is_answered = || !bed.approvals(false).iter().any(|waiting| waiting["approval"] == approval);
        bed.keys(&["enter"]);
        eventually_or("the answer", AGAIN, || is_answered().then_some(())).ok()
    });
    bed.until_approval(&asked, "state", "withdrawn");
    bed.until_written("second.txt");
    bed.until_state("idle");
    // Five calls of the model, one of them before the daemon was killed and one while it was away.
    bed.until("the tokens of every call", || (bed.get()["tokens"]["input"].as_u64()? >= 5 * CALL).then_some(()));
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
        std::fs::read_to_string(Path::new(bed.get()["directory"].as_str().unwrap()).join("channel/served.json"))
            .unwrap();
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
    let mut bed = session(create, |_| {}).await;
    let session = bed.get();
    assert_eq!((session["channel"].as_str(), session["cols"].as_u64()), (Some("acp"), Some(0)));
    bed.until_shown("Finished: hand this over.");
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
    bed.until_shown("Finished: write the first.");
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
    let real = engines::program(EngineKind::Codex);
    // The wrapper calls a program that no sandbox knows of.
    let create = json!({"engine": "codex", "prompt": "hand this over", "sandbox": {"mode": "off"}});
    let bed = session(create, |settings| {
        let wrapper = settings.user_home.join("codex");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = app-server ]; then echo no server here; exit 3; fi\nexec {} \"$@\"\n",
            real.display()
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
    let bed = session(create, |settings| {
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
    let bed = session(json!({"engine": "command", "argv": ["sleep", "600"]}), |_| {}).await;
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
