//! What is sent to a session arrives whole and once, or it is said how far it came; and what cannot take it refuses it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orx_tests::harness::wire::Received;
use orx_tests::harness::{Daemon, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const COMPOSER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/composer/composer.py");

/// A daemon whose Claude Code is the composer.
fn daemon() -> Daemon {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0).set("sandbox.mode", "off");
    });
    let program = daemon.path("claude");
    std::fs::write(&program, format!("#!/bin/sh\nexec python3 {COMPOSER}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    daemon.settings().set("engines.binaries", json!({ "claude": program }));
    daemon.launch().unwrap();
    daemon
}

fn start(daemon: &Daemon, engine: &str, log: &Path, more: &[(&str, &str)]) -> String {
    let mut env = json!({"COMPOSER_LOG": log});
    for (name, value) in more {
        env[*name] = json!(value);
    }
    let argv = if engine == "command" { json!(["python3", COMPOSER]) } else { json!([]) };
    let params =
        json!({"engine": engine, "argv": argv, "cwd": daemon.directory(), "env": env, "cols": 100, "rows": 30});
    let session = daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned();
    eventually("the composer shows", PATIENCE, || {
        let screen = daemon.call("session.screen", &json!({ "session": session }));
        screen["lines"].to_string().contains('❯').then_some(())
    });
    session
}

fn submitted(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A prompt of about this many bytes, with what is hard about prompts.
fn prompt(number: usize, size: usize) -> String {
    let mut text = format!("{number}");
    while text.len() < size {
        text.push_str(" it's \"quoted\" $HOME `x` \\ größe 漢字\n\tand a further line");
    }
    let mut end = size.max(format!("{number}").len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    text.truncate(end);
    // The end of a line at the end of a text is not told from none by everybody.
    text.trim_end().to_owned()
}

#[test]
fn a_thousand_prompts_of_every_size_arrive_whole_and_once() {
    let daemon = daemon();
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let daemon = &daemon;
            scope.spawn(move || {
                let log = daemon.path(&format!("log-{lane}"));
                let session = start(daemon, "command", &log, &[]);
                let prompts: Vec<String> = (0..250).map(|number| prompt(number, 1 << (number % 17))).collect();
                let mut wire = daemon.wire();
                for text in &prompts {
                    let sent = wire.call("session.send", &json!({"session": session, "text": text})).unwrap();
                    assert_eq!(sent["receipt"], "submitted", "{sent}");
                }
                eventually("all are there", PATIENCE, || (submitted(&log).len() >= prompts.len()).then_some(()));
                assert!(submitted(&log) == prompts, "a prompt was changed, lost, doubled or overtaken");
                daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
            });
        }
    });
}

#[test]
fn a_receipt_tells_how_far_a_text_came_and_by_what() {
    let daemon = daemon();
    let send = |session: &str, text: &str| daemon.call("session.send", &json!({"session": session, "text": text}));
    // Nothing more is said: it left the place where it was typed.
    let log = daemon.path("silent");
    let session = start(&daemon, "claude", &log, &[]);
    let sent = send(&session, "first line\nlast line");
    assert_eq!((&sent["receipt"], &sent["repaired"]), (&json!("submitted"), &json!(false)), "{sent}");
    assert_eq!(submitted(&log), ["first line\nlast line"]);
    let typed = daemon.call("session.send", &json!({"session": session, "text": "a draft", "submit": false}));
    assert_eq!((&typed["receipt"], &typed["evidence"]), (&json!("typed"), &json!("it stands where prompts are typed")));
    // It is at work: that is the agent's word.
    let log = daemon.path("working");
    let session = start(&daemon, "claude", &log, &[("COMPOSER_WORKS", "1")]);
    let sent = send(&session, "go");
    assert_eq!(sent["receipt"], "accepted", "{sent}");
    assert!(sent["evidence"].as_str().unwrap().starts_with("it works"), "{sent}");
    // It asks at once, in the place of everything else: that is its word too.
    let log = daemon.path("asking");
    let session = start(&daemon, "claude", &log, &[("COMPOSER_ASKS", "1")]);
    let sent = send(&session, "go");
    assert_eq!(sent["receipt"], "accepted", "{sent}");
    assert!(sent["evidence"].as_str().unwrap().starts_with("it asks"), "{sent}");
    // One Enter is swallowed: it is pressed once more.
    let log = daemon.path("swallowing");
    let session = start(&daemon, "claude", &log, &[("COMPOSER_SWALLOWS", "1")]);
    let sent = send(&session, "once more");
    assert_eq!((&sent["receipt"], &sent["repaired"]), (&json!("submitted"), &json!(true)), "{sent}");
    assert_eq!(submitted(&log), ["once more"]);
    // All of them are: it is stuck, and said so.
    let log = daemon.path("stuck");
    let session = start(&daemon, "claude", &log, &[("COMPOSER_SWALLOWS", "99")]);
    let sent = send(&session, "never");
    assert_eq!((&sent["receipt"], &sent["repaired"]), (&json!("draft_stuck"), &json!(true)), "{sent}");
    assert_eq!(submitted(&log), [] as [String; 0]);
    let told = daemon.call("session.messages", &json!({ "session": session }));
    let told = &told["messages"][0];
    assert_eq!((&told["receipt"], &told["text"]), (&json!("draft_stuck"), &json!("never")), "{told}");
    let out = daemon.orxctl(Path::new("/"), &["send", &session, "again"]);
    assert_eq!(out.code, Some(1), "{out:?}");
}

#[test]
fn enter_is_not_pressed_again_at_a_program_that_is_too_busy_to_draw_and_may_ask_next() {
    let daemon = daemon();
    let (log, free) = (daemon.path("busy"), daemon.path("free"));
    let more = [("COMPOSER_ASKS", "1"), ("COMPOSER_BUSY", free.to_str().unwrap())];
    let session = start(&daemon, "claude", &log, &more);
    let mut wire = daemon.wire();
    wire.request("session.send", &json!({"session": session, "text": "go"}));
    eventually("it is submitted", PATIENCE, || (submitted(&log) == ["go"]).then_some(()));
    // Longer than a text may stand where a program draws; the dialog that follows would be answered by a second Enter.
    assert!(matches!(wire.receive(Duration::from_secs(3)), Received::Nothing));
    std::fs::write(&free, "").unwrap();
    let sent = wire.body()["result"].take();
    assert_eq!((&sent["receipt"], &sent["repaired"]), (&json!("accepted"), &json!(false)), "{sent}");
}

#[test]
fn a_request_that_is_repeated_with_its_key_types_nothing_again() {
    let mut daemon = daemon();
    let log = daemon.path("log");
    let session = start(&daemon, "command", &log, &[]);
    let request = json!({"session": session, "text": "once", "key": "mine"});
    let first = daemon.call("session.send", &request);
    daemon.kill9();
    daemon.restart();
    assert_eq!(daemon.call("session.send", &request), first);
    assert_eq!(submitted(&log), ["once"]);
    for (params, words) in [
        (json!({"session": session, "text": "other", "key": "mine"}), "key"),
        (json!({"session": session, "text": "x", "key": ""}), "key"),
        (json!({"session": session, "text": "x".repeat(768 * 1024 + 1)}), "bytes"),
        (json!({"session": session, "text": "x", "when": "idle", "force": true}), "exclude"),
        (json!({"session": session, "text": "x", "when": "tomorrow"}), "tomorrow"),
    ] {
        let error = daemon.wire().call("session.send", &params).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(submitted(&log), ["once"]);
    // Escape sequences in a text press no keys and end no paste.
    daemon.call("session.send", &json!({"session": session, "text": "a\u{1b}[201~\rb\u{3}\u{1b}[A"}));
    eventually("it is there", PATIENCE, || (submitted(&log).len() == 2).then_some(()));
    assert_eq!(submitted(&log)[1], "a[201~\nb[A");
}

#[test]
fn a_text_for_later_outlives_the_daemon_and_one_for_an_ended_session_is_given_up() {
    let mut daemon = daemon();
    let log: PathBuf = daemon.path("log");
    let session = start(&daemon, "claude", &log, &[("COMPOSER_WORKS", "1")]);
    assert_eq!(daemon.call("session.send", &json!({"session": session, "text": "go"}))["receipt"], "accepted");
    let later = json!({"session": session, "text": "and then this", "when": "idle"});
    assert_eq!(daemon.call("session.send", &later)["receipt"], "queued");
    daemon.kill9();
    daemon.restart();
    assert_eq!(submitted(&log), ["go"]);
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
    let message = eventually("it is given up", PATIENCE, || {
        let told = daemon.call("session.messages", &json!({ "session": session }));
        let message: Value = told["messages"][1].clone();
        (message["receipt"] == "failed").then_some(message)
    });
    assert!(message["evidence"].as_str().unwrap().contains("ended"), "{message}");
    let error = daemon.wire().call("session.send", &json!({"session": session, "text": "x"})).unwrap_err();
    assert!(error.to_string().contains("ended"), "{error}");
}

#[test]
fn nothing_is_typed_where_the_place_for_prompts_does_not_show() {
    let daemon = daemon();
    let program = daemon.path("claude");
    std::fs::write(&program, "#!/bin/sh\nexec sh -c 'PS1=\"$ \" exec sh -i'\n").unwrap();
    let session = daemon.call("session.create", &json!({"engine": "claude", "cwd": daemon.directory()}));
    let session = session["session"].as_str().unwrap().to_owned();
    let ran = daemon.path("ran");
    let line = format!("touch {}", ran.display());
    daemon.orxctl(Path::new("/"), &["send", &session, &line]).refused(1, &["nothing was typed"]);
    assert!(!ran.exists(), "a prompt became a command of a shell");
    daemon.call("session.pause", &json!({ "session": session }));
    let error = daemon.wire().call("session.send", &json!({"session": session, "text": line})).unwrap_err();
    assert!(error.to_string().contains("paused"), "{error}");
    // So is one of which nothing else is known.
    let log = daemon.path("log");
    let held = start(&daemon, "command", &log, &[]);
    daemon.call("session.pause", &json!({ "session": held }));
    let error = daemon.wire().call("session.send", &json!({"session": held, "text": "hi"})).unwrap_err();
    assert!(error.to_string().contains("paused"), "{error}");
    daemon.call("session.continue", &json!({ "session": held }));
    assert_eq!(daemon.call("session.send", &json!({"session": held, "text": "hi"}))["receipt"], "submitted");
    eventually("it is there", PATIENCE, || (submitted(&log) == ["hi"]).then_some(()));
}
