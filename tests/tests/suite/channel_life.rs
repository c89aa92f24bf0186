//! What is true of a session around its channel, with a scripted agent: lost and back, what it used, which prompts came in
//! which order, and which sessions get a channel at all.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use orx_tests::harness::wire::Received;
use orx_tests::harness::{Daemon, Settings, WebSocket, eventually};
use orx_tests::lives::Bed;
use orx_tests::model::Scenario;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// How long a channel may take to be given up and to be opened again.
const PATIENCE: Duration = Duration::from_secs(90);
const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/acp/agent.py");

/// Puts a program in the place of an engine's.
fn replaced(settings: &mut Settings, engine: &str, script: &str) {
    let program = settings.user_home.join(engine);
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    settings.set("sandbox.mode", "off");
    settings.set(&format!("engines.binaries.{engine}"), program.to_string_lossy().into_owned());
}

/// A session of the scripted agent, which waits for its first prompt.
async fn agent() -> Bed {
    let mut bed =
        Bed::new(Scenario::default(), |settings| replaced(settings, "gemini", &format!("exec python3 {AGENT}"))).await;
    bed.begin(&json!({"engine": "gemini", "channel": "acp"}));
    bed.until_state("idle");
    bed
}

/// The socket of the session's channel, below the session's directory.
fn socket_below(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
    entries.into_iter().find_map(|entry| {
        let path = entry.path();
        if entry.file_type().ok()?.is_socket() { Some(path) } else { socket_below(&path) }
    })
}

fn until_life(bed: &Bed, life: &str) -> Value {
    bed.until(&format!("the session {life}"), || Some(bed.get()).filter(|session| session["life"] == life))
}

/// The steps of its life that are told as events, as `from to`.
fn steps(bed: &Bed) -> Vec<String> {
    let params = json!({"kinds": ["session.life"], "since": 0, "limit": 1000, "subject": bed.session});
    let list = bed.daemon.call("event.list", &params);
    let events = list["events"].as_array().unwrap().iter().map(|event| &event["data"]);
    let step = |data: &Value| format!("{} {}", data["from"].as_str().unwrap(), data["to"].as_str().unwrap());
    events.map(step).collect()
}

fn tokens(bed: &Bed, input: Option<u64>, output: Option<u64>) {
    let wanted = json!({"input": input, "output": output, "cached": null});
    bed.until(&format!("the tokens {wanted}"), || (bed.get()["tokens"] == wanted).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_channel_is_lost_is_degraded_until_it_is_back() {
    let mut bed = agent().await;
    bed.prompt("count 100");
    assert_eq!(bed.get()["life"], "running");
    let socket = socket_below(Path::new(bed.get()["directory"].as_str().unwrap())).unwrap();
    let away = socket.with_extension("away");

    // Whoever comes back finds nobody at the other end.
    bed.daemon.kill9();
    std::fs::rename(&socket, &away).unwrap();
    bed.daemon.restart();
    let degraded = until_life(&bed, "degraded");
    let missing = degraded["terms"]["missing"].as_str().unwrap();
    let lost = degraded["channel_lost"].as_str().unwrap();
    assert!(missing.contains("its channel is lost") && missing.contains(lost), "{degraded}");
    assert_eq!(degraded["state"], "running");
    let listed = bed.orxctl(&["ls"]);
    assert!(listed.contains("  degraded  ") && listed.contains(&format!("is degraded: {missing}")), "{listed}");
    let overview = bed.orxctl(&["status"]);
    assert!(overview.contains("1 running, 1 degraded"), "{overview}");
    let refused = bed.try_send("hello");
    assert!(refused["error"]["message"].as_str().unwrap().contains(lost), "{refused}");
    // What it is does not get lost over a pause.
    bed.call("session.pause", &json!({}));
    assert_eq!(bed.get()["life"], "paused");
    bed.call("session.continue", &json!({}));
    assert_eq!(bed.get()["life"], "degraded");

    std::fs::rename(&away, &socket).unwrap();
    let back = until_life(&bed, "running");
    assert_eq!((&back["terms"]["missing"], &back["channel_lost"]), (&Value::Null, &Value::Null), "{back}");
    bed.until_state("idle");
    bed.prompt("count 50");
    assert_eq!(
        steps(&bed),
        ["running degraded", "degraded paused", "paused running", "running degraded", "degraded running"]
    );
    let listed = bed.orxctl(&["ls"]);
    assert!(!listed.contains("degraded"), "{listed}");
    let kept = std::fs::read_to_string(bed.work.join("prompts.txt")).unwrap();
    assert_eq!(kept, "count 100\ncount 50\n");
    bed.stop();
    assert_eq!(bed.get()["life"], "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_used_is_kept_over_restarts_and_resumptions_and_unknown_is_null() {
    let mut bed = agent().await;
    bed.prompt("say nothing of tokens");
    bed.until_state("idle");
    tokens(&bed, None, None);
    bed.prompt("count 100");
    bed.prompt("count 20");
    tokens(&bed, Some(120), Some(2));
    assert_eq!(bed.get()["cost_microusd"], Value::Null);

    bed.daemon.kill9();
    bed.daemon.restart();
    tokens(&bed, Some(120), Some(2));
    bed.until_state("idle");
    bed.prompt("count 3");
    tokens(&bed, Some(123), Some(3));

    // Another process of the session counts from nothing, the session goes on.
    bed.stop();
    bed.call("session.resume", &json!({}));
    bed.until_state("idle");
    tokens(&bed, Some(123), Some(3));
    bed.prompt("count 7");
    tokens(&bed, Some(130), Some(4));
    let session = bed.get();
    let of: Vec<&str> = session["used"].as_array().unwrap().iter().map(|used| used["of"].as_str().unwrap()).collect();
    assert_eq!(of, ["process 1", "process 2"]);
    let listed: Value = serde_json::from_str(&bed.orxctl(&["ls", "--json"])).unwrap();
    assert_eq!(listed["sessions"][0]["tokens"], json!({"input": 130, "output": 4, "cached": null}));
    let told = bed.daemon.call("event.list", &json!({"kinds": ["session.usage"], "since": 0, "subject": bed.session}));
    assert_eq!(told["events"].as_array().unwrap().last().unwrap()["data"]["tokens"]["input"], 130);
    bed.stop();
}

/// Whoever sends does not wait for the answer before.
#[tokio::test(flavor = "multi_thread")]
async fn texts_arrive_in_the_order_of_their_requests_and_none_twice() {
    const EACH: usize = 150;
    let bed = agent().await;
    let http = bed.daemon.http();
    let mut expected = Vec::new();
    let mut wire = bed.daemon.wire();
    for number in 0..EACH {
        let text = format!("number {number} on the socket");
        // A text that is sent again with its key is sent once.
        let repeated = number % 10 == 9;
        for _ in 0..=usize::from(repeated) {
            wire.request("session.send", &json!({"session": bed.session, "text": text, "key": text}));
        }
        expected.push(text);
    }
    for _ in 0..EACH + EACH / 10 {
        let Received::Body(answer) = wire.receive(PATIENCE) else { panic!("not every text was answered") };
        assert_eq!(answer["result"]["receipt"], "accepted", "{answer}");
    }
    let mut socket = WebSocket::open(&http, "/ws", &[]).await.unwrap();
    for number in 0..EACH {
        let text = format!("number {number} over the WebSocket");
        let params = json!({"session": bed.session, "text": text});
        let body = json!({"jsonrpc": "2.0", "id": number, "method": "session.send", "params": params});
        assert!(socket.send(Message::text(body.to_string())).await);
        expected.push(text);
    }
    let mut answered = 0;
    while answered < EACH {
        match socket.receive().await {
            Some(Message::Text(answer)) => {
                let answer: Value = serde_json::from_str(&answer).unwrap();
                assert_eq!(answer["result"]["receipt"], "accepted", "{answer}");
                answered += 1;
            }
            // The daemon looks whether its client is there.
            Some(Message::Ping(_)) => {}
            other => panic!("{answered} texts were answered, then {other:?}"),
        }
    }
    let kept = std::fs::read_to_string(bed.work.join("prompts.txt")).unwrap();
    let came: Vec<&str> = kept.lines().collect();
    assert_eq!(came, expected);
    let told = bed.call("session.messages", &json!({}));
    let told: Vec<&str> =
        told["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(told, expected);
    bed.stop();
}

/// Those that wait for an idle agent keep their order too.
#[tokio::test(flavor = "multi_thread")]
async fn texts_that_wait_are_kept_in_the_order_of_their_requests() {
    let bed = agent().await;
    bed.prompt("wait for go");
    bed.until_state("working");
    let mut wire = bed.daemon.wire();
    let texts: Vec<String> = (0..20).map(|number| format!("number {number}")).collect();
    for text in &texts {
        wire.request("session.send", &json!({"session": bed.session, "text": text, "when": "idle"}));
    }
    for _ in &texts {
        assert!(matches!(wire.receive(PATIENCE), Received::Body(_)));
    }
    std::fs::write(bed.work.join("go"), "").unwrap();
    let kept = || std::fs::read_to_string(bed.work.join("prompts.txt")).unwrap_or_default();
    bed.until("every text", || (kept().lines().count() > texts.len()).then_some(()));
    assert_eq!(kept().lines().skip(1).collect::<Vec<_>>(), texts);
    bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_turns_channels_off_for_all_or_for_an_engine() {
    let daemon = |settings: Value| {
        Daemon::start(|daemon| {
            daemon.workers(0).set("sessions", settings);
            for engine in ["codex", "opencode"] {
                replaced(daemon, engine, "exec sleep 600");
            }
        })
    };
    let channel = |daemon: &Daemon, create: Value| {
        let mut params = json!({"cwd": daemon.path("user"), "cols": 80, "rows": 24});
        params.as_object_mut().unwrap().extend(create.as_object().unwrap().clone());
        let session = daemon.call("session.create", &params)["session"].clone();
        let session = daemon.call("session.get", &json!({ "session": session }));
        daemon.call("session.stop", &json!({"session": session["session"], "grace_ms": 100}));
        session["channel"].clone()
    };
    let all = daemon(json!({"channel": "off", "channels": {"opencode": "auto"}}));
    assert_eq!(channel(&all, json!({"engine": "codex"})), Value::Null);
    assert_eq!(channel(&all, json!({"engine": "codex", "channel": "auto"})), "app-server");
    assert_eq!(channel(&all, json!({"engine": "opencode"})), "serve");
    let mut one = daemon(json!({"channels": {"codex": "off"}}));
    assert_eq!(channel(&one, json!({"engine": "codex"})), Value::Null);
    assert_eq!(channel(&one, json!({"engine": "opencode"})), "serve");
    // The settings are read again without a restart.
    one.settings().set("sessions", json!({"channels": {"opencode": "off"}}));
    let file = one.settings().file.to_string();
    std::fs::write(one.path("orchestratord.yaml"), file).unwrap();
    one.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("the settings are read", PATIENCE, || {
        (channel(&one, json!({"engine": "opencode"})).is_null()).then_some(())
    });
    assert_eq!(channel(&one, json!({"engine": "codex"})), "app-server");
}

#[test]
fn a_channel_setting_that_is_none_is_refused_with_its_key_and_its_place() {
    for (text, words) in [
        ("sessions:\n  channel: never\n", vec!["line 2, column 12", "`sessions.channel` is `never`", "auto or off"]),
        ("sessions:\n  channels:\n    codex: acp\n", vec!["line 3", "`sessions.channels.codex` is `acp`"]),
        ("sessions:\n  channels: {kodex: off}\n", vec!["line 2", "kodex"]),
    ] {
        let refused = Daemon::try_start(|settings| settings.file_text = Some(text.to_owned()));
        let refused = refused.err().unwrap_or_else(|| panic!("the daemon takes {text}"));
        let said = format!("{refused:?}");
        assert!(words.iter().all(|word| said.contains(word)), "{text}: {said}");
        assert!(said.contains("orchestratord.yaml"), "{said}");
    }
}

/// An agent that has no channel over which it could be told, and whose keys nobody knows.
#[test]
fn what_cannot_be_interrupted_says_why() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let created = daemon.call(
        "session.create",
        &json!({"engine": "command", "argv": ["sleep", "600"], "cwd": daemon.path("user"), "cols": 80, "rows": 24}),
    );
    let session = created["session"].as_str().unwrap();
    let interrupt = |session: &str| daemon.orxctl(Path::new("/"), &["interrupt", session]);
    interrupt(session).refused(1, &["no keys for that are known", "nothing was done", "orxctl keys"]);
    interrupt("ses_01ARZ3NDEKTSV4RRFFQ69G5FAV").refused(1, &["ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    daemon.call("session.pause", &json!({ "session": session }));
    interrupt(session).refused(1, &["it is paused"]);
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
    interrupt(session).refused(1, &["is ended"]);
    eventually("its end", PATIENCE, || {
        (daemon.call("session.get", &json!({ "session": session }))["state"] == "ended").then_some(())
    });
}
