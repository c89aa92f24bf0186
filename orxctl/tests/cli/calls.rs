//! Calls, lists, and the exit codes of the contract.

use orx_protocol::error::ErrorKind;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, code, environment, refuse, run};

const SESSION: &str = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const OTHER: &str = "ses_01ARZ3NDEKTSV4RRFFQ69G5XYZ";

fn session(id: &str, title: &str) -> Value {
    json!({
        "session": id, "engine": "claude", "state": "running", "pid": 4321, "cwd": "/src", "cols": 80, "rows": 24,
        "created_at_ms": 1_700_000_000_000u64, "ended_at_ms": null, "exit": null, "reason": null, "message": null,
        "title": title, "argv": ["claude"], "owner": null, "directory": "/d"
    })
}

fn sessions() -> Reply {
    json!({"sessions": [session(SESSION, "\u{1b}[31mflaky\u{1b}[0m test"), session(OTHER, "other")]}).into()
}

#[tokio::test]
async fn call_prints_results_and_errors_as_json() {
    let fake = Fake::start(|method, params| match method {
        "health" => json!({"status": "healthy", "echo": params}).into(),
        "secret.read" => refuse(ErrorKind::PermissionDenied, "not for you"),
        "who" => refuse(ErrorKind::Unauthenticated, "who are you"),
        "die" => Reply::Hang,
        _ => refuse(ErrorKind::NotFound, "no such thing"),
    });
    let done = fake.orxctl(&["call", "health", "{\"n\": 1.50}"]).await;
    assert_eq!(code(&done), 0);
    assert_eq!(done.stdout_text(), "{\"echo\":{\"n\":1.5},\"status\":\"healthy\"}\n");
    let done = fake.orxctl_with(&["call", "health", "-"], Some(b"{}")).await;
    assert_eq!(code(&done), 0);

    for (method, wanted) in [("nothing", 1), ("secret.read", 77), ("who", 77), ("die", 69)] {
        let failed = fake.orxctl(&["call", method]).await;
        assert_eq!(code(&failed), wanted, "{method}: {}", failed.stderr_text());
        assert_eq!(failed.stdout_text(), "", "{method}");
    }
    let failed = fake.orxctl(&["call", "nothing"]).await;
    let error: Value = serde_json::from_str(&failed.stderr_text()).unwrap();
    assert_eq!(error["data"]["kind"], "not_found");
    assert_eq!(error["data"]["hint"], "a hint of the daemon");

    for bad in ["{", "7", "@/nonexistent"] {
        assert_eq!(code(&fake.orxctl(&["call", "health", bad]).await), 2, "{bad}");
    }
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_69_with_the_next_step() {
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path().join("home");
    let places = environment(home.to_str().unwrap(), scratch.path().join("s").to_str().unwrap());
    for arguments in
        [&["ls"][..], &["status"], &["call", "health"], &["stop", SESSION], &["init"], &["events", "--follow"]]
    {
        let failed = run(places.clone(), arguments, None).await;
        assert_eq!(code(&failed), 69, "{arguments:?}: {}", failed.stderr_text());
        assert!(failed.stderr_text().contains("orxctl up"), "{}", failed.stderr_text());
    }
    assert!(!home.exists(), "a question made the home directory");
}

#[tokio::test]
async fn wrong_usage_is_2_and_no_place_is_78() {
    let fake = Fake::start(|_, _| refuse(ErrorKind::NotFound, "no"));
    for arguments in [
        &["nonsense"][..],
        &["ls", "--wrong"],
        &["status", "--follow"],
        &["run", ""],
        &["run", "@/nonexistent/task"],
        &["new", "command"],
        &["new", "claude"],
        &["wait", SESSION, "--timeout", "soon"],
    ] {
        let failed = fake.orxctl(arguments).await;
        assert_eq!(code(&failed), 2, "{arguments:?}: {}", failed.stderr_text());
        assert!(failed.stdout_text().is_empty(), "{arguments:?}");
    }
    let mut nowhere = fake.environment();
    nowhere.retain(|name, _| name == "PATH");
    let failed = run(nowhere, &["ls"], None).await;
    assert_eq!(code(&failed), 78);
    assert!(failed.stderr_text().contains("ORX_HOME"));
    assert_eq!(code(&fake.orxctl(&["--help"]).await), 0);
    assert_eq!(code(&fake.orxctl(&["--version"]).await), 0);
}

#[tokio::test]
async fn ls_shows_sessions_plainly_and_as_json() {
    let fake = Fake::start(|_, _| sessions());
    let listed = fake.orxctl(&["ls"]).await;
    assert_eq!(code(&listed), 0);
    let text = listed.stdout_text();
    assert!(text.contains(SESSION) && text.contains("flaky test") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(fake.calls("session.list"), [json!({"all": false})]);
    let listed = fake.orxctl(&["ls", "--all", "--json"]).await;
    let value: Value = serde_json::from_str(&listed.stdout_text()).unwrap();
    assert_eq!(value["sessions"][1]["session"], OTHER);
    assert_eq!(fake.calls("session.list")[1], json!({"all": true}));
}

#[tokio::test]
async fn sessions_are_found_by_short_names_and_texts_arrive_whole() {
    let fake = Fake::start(|method, _| {
        match method {
        "session.list" => sessions(),
        "session.send" => json!({
            "message": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "receipt": "submitted", "evidence": "it is gone", "repaired": false,
        })
        .into(),
        "session.keys" => json!({}).into(),
        "session.stop" => json!({"exit": {"signal": 15}}).into(),
        _ => refuse(ErrorKind::NotFound, "no"),
    }
    });
    let sent = fake.orxctl_with(&["send", "5fav", "-"], Some("größe\nzwei\n".as_bytes())).await;
    assert_eq!(code(&sent), 0, "{}", sent.stderr_text());
    assert_eq!(fake.calls("session.send"), [json!({"session": SESSION, "text": "größe\nzwei", "submit": true})]);
    assert_eq!(code(&fake.orxctl(&["send", SESSION, "--no-enter", "-x"]).await), 0);
    assert_eq!(fake.calls("session.send")[1], json!({"session": SESSION, "text": "-x", "submit": false}));
    let ambiguous = fake.orxctl(&["send", "01arz", "x"]).await;
    assert_eq!(code(&ambiguous), 2);
    assert!(ambiguous.stderr_text().contains(SESSION) && ambiguous.stderr_text().contains(OTHER));
    assert_eq!(code(&fake.orxctl(&["send", "zzzz", "x"]).await), 1);
    assert_eq!(fake.calls("session.send").len(), 2);
    assert_eq!(code(&fake.orxctl(&["keys", "5xyz", "ctrl-c", "-"]).await), 0);
    assert_eq!(fake.calls("session.keys")[..1], [json!({"session": OTHER, "keys": ["ctrl-c", "-"]})]);
    assert_eq!(fake.orxctl(&["keys", OTHER, "a", "--json"]).await.stdout_text(), "{}\n");
    let stopped = fake.orxctl(&["stop", SESSION, "--grace", "1500ms"]).await;
    assert!(stopped.stdout_text().contains("ended, signal 15"));
    assert_eq!(fake.calls("session.stop"), [json!({"session": SESSION, "grace_ms": 1500})]);
}

#[tokio::test]
async fn waiting_ends_with_the_state_or_with_the_time() {
    let fake = Fake::start(|method, _| match method {
        "session.wait" => json!({"state": "running"}).into(),
        "session.get" => session(SESSION, "t").into(),
        _ => refuse(ErrorKind::NotFound, "no"),
    });
    let over = fake.orxctl(&["wait", SESSION, "--timeout", "0"]).await;
    assert_eq!(code(&over), 1);
    assert!(over.stderr_text().contains("has not ended"), "{}", over.stderr_text());
    assert_eq!(code(&fake.orxctl(&["wait", SESSION, "--until", "running"]).await), 0);
}

#[tokio::test]
async fn logs_are_read_to_their_end_and_cleaned() {
    let fake = Fake::start(|method, params| match (method, params["from"].as_u64()) {
        ("session.log", Some(0)) => json!({"lines": ["one", "\u{1b}]0;t\u{7}two"], "next": 10, "end": false}).into(),
        ("session.log", Some(10)) => json!({"lines": ["three"], "next": 20, "end": true}).into(),
        _ => refuse(ErrorKind::NotFound, "no"),
    });
    assert_eq!(fake.orxctl(&["logs", SESSION]).await.stdout_text(), "one\ntwo\nthree\n");
    assert_eq!(fake.orxctl(&["logs", SESSION, "--follow", "-n", "2"]).await.stdout_text(), "two\nthree\n");
    assert!(fake.orxctl(&["logs", SESSION, "--json"]).await.stdout_text().starts_with("{\"line\":\"one\"}\n"));
}

#[tokio::test]
async fn events_are_paged_to_the_newest() {
    let fake = Fake::start(|_, params| {
        let since = params["since"].as_u64().unwrap_or(0);
        let event = |seq: u64| json!({"seq": seq, "at_ms": 1_700_000_000_000u64, "kind": "session.ended", "subject": SESSION, "data": {"note": "\u{1b}[2J"}});
        let events: Vec<Value> = (since + 1..=(since + 2).min(5)).map(event).collect();
        let next = events.last().map_or(since, |event| event["seq"].as_u64().unwrap());
        json!({"events": events, "next": next}).into()
    });
    let listed = fake.orxctl(&["events", "--kind", "session.*"]).await;
    assert_eq!(listed.stdout_text().lines().count(), 5, "{}", listed.stdout_text());
    assert!(!listed.stdout_text().contains('\u{1b}'));
    assert_eq!(fake.calls("event.list")[0]["kinds"], json!(["session.*"]));
}

#[tokio::test]
async fn init_writes_what_the_daemon_says_and_never_over_a_file() {
    let scratch = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(scratch.path()).unwrap();
    let target = root.join("orx.yaml");
    let path = target.to_str().unwrap().to_owned();
    let fake = Fake::start(move |_, _| json!({"path": path, "text": "# settings\n"}).into());
    let root = root.to_str().unwrap();
    assert_eq!(code(&fake.orxctl(&["init", "-d", root, "-e", "codex"]).await), 0);
    assert_eq!(fake.calls("config.template"), [json!({"repository": root, "engine": "codex"})]);
    std::fs::write(&target, "mine").unwrap();
    let refused = fake.orxctl(&["init", "-d", root]).await;
    assert_eq!(code(&refused), 1);
    assert!(refused.stderr_text().contains("--force"));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine");
    assert_eq!(code(&fake.orxctl(&["init", "-d", root, "--force"]).await), 0);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "# settings\n");
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_error() {
    let fake = Fake::start(|_, _| sessions());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let streams = [std::process::Stdio::null(), writer.into(), std::process::Stdio::piped()];
    let mut child = orx_sandbox::spawn::supervised(
        &crate::fake::command(&["ls"]),
        &std::env::temp_dir(),
        &fake.environment(),
        streams,
    )
    .unwrap();
    let status = child.wait().await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_recording_that_is_not_there_is_no_session() {
    let fake = Fake::start(|method, _| panic!("{method}"));
    for missing in ["/nonexistent/a.cast", "gone.cast"] {
        let failed = fake.orxctl(&["replay", missing]).await;
        assert_eq!(code(&failed), 2);
        assert!(
            failed.stderr_text().contains(&format!("{missing}: the recording is not there")),
            "{}",
            failed.stderr_text()
        );
    }
}
