//! The life cycle of sessions: places and who waits for one, pauses, time that runs out, tries, checkpoints.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use orx_tests::harness::wire::Received;
use orx_tests::harness::{Daemon, Repository, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

/// A shell command in a session.
fn command(daemon: &Daemon, line: &str, more: Value) -> String {
    let mut params = json!({"engine": "command", "argv": ["/bin/sh", "-c", line], "cwd": "/tmp"});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned()
}

fn get(daemon: &Daemon, session: &str) -> Value {
    daemon.call("session.get", &json!({ "session": session }))
}

#[track_caller]
fn lives(daemon: &Daemon, session: &str, life: &str) {
    eventually(&format!("{session} is {life}"), PATIENCE, || (get(daemon, session)["life"] == life).then_some(()));
}

#[track_caller]
fn refused(daemon: &Daemon, method: &str, params: &Value, words: &str) {
    let error = daemon.wire().call(method, params).unwrap_err();
    assert!(error.to_string().contains(words), "{method}: {error}");
}

#[test]
fn sessions_beyond_the_places_wait_and_the_most_urgent_starts_first() {
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0).set("sessions.concurrent", 1);
    });
    let first = command(&daemon, "sleep 600", json!({}));
    let low = command(&daemon, "sleep 601", json!({"priority": "low"}));
    let high = command(&daemon, "sleep 602", json!({"priority": "high"}));
    let with_secret = command(&daemon, "sleep 603", json!({"env": {"SECRET": "canary-of-life"}}));
    for session in [&low, &high, &with_secret] {
        let session = get(&daemon, session);
        assert_eq!(
            (&session["life"], &session["state"], &session["pid"]),
            (&json!("queued"), &json!("starting"), &Value::Null)
        );
    }
    // What waits is not lost with the daemon, and not held against processes that it never had.
    daemon.kill9();
    daemon.restart();
    lives(&daemon, &first, "running");
    lives(&daemon, &low, "queued");
    lives(&daemon, &high, "queued");
    lives(&daemon, &with_secret, "failed");
    let why = get(&daemon, &with_secret)["message"].to_string();
    assert!(why.contains("SECRET") && !why.contains("canary"), "{why}");
    daemon.call("session.stop", &json!({"session": first, "grace_ms": 100}));
    lives(&daemon, &high, "running");
    assert_eq!(get(&daemon, &low)["life"], "queued");
    daemon.call("session.cancel", &json!({ "session": low }));
    assert_eq!(get(&daemon, &low)["life"], "cancelled");
    refused(&daemon, "session.retry", &json!({ "session": low }), "cancelled");
    daemon.call("session.stop", &json!({"session": high, "grace_ms": 100}));
}

#[test]
fn a_place_is_given_when_the_limit_is_raised() {
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0).set("sessions.concurrent", 1);
    });
    let first = command(&daemon, "sleep 600", json!({}));
    let second = command(&daemon, "sleep 600", json!({}));
    assert_eq!(get(&daemon, &second)["life"], "queued");
    refused(&daemon, "session.checkpoint", &json!({ "session": second }), "waits for a place");
    daemon.settings().set("sessions.concurrent", 2);
    let file = daemon.settings().file.to_string();
    std::fs::write(daemon.path("orchestratord.yaml"), file).unwrap();
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    lives(&daemon, &second, "running");
    for session in [first, second] {
        daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
    }
}

#[test]
fn a_paused_session_stands_still_and_its_time_with_it() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let session = command(
        &daemon,
        "trap 'exit 3' TERM; while :; do echo tick; sleep 0.05; done",
        json!({"max_duration_ms": 3000}),
    );
    let bytes = || {
        let log = daemon.call("session.log", &json!({"session": session, "limit": 10000}));
        log["next"].as_u64().unwrap()
    };
    eventually("it ticks", PATIENCE, || (bytes() > 20).then_some(()));
    assert_eq!(daemon.call("session.pause", &json!({ "session": session }))["life"], "paused");
    assert_eq!(daemon.call("session.pause", &json!({ "session": session }))["life"], "paused", "twice is once");
    let before = eventually("it stands still", PATIENCE, || {
        let (one, two) = (bytes(), bytes());
        (one == two).then_some(one)
    });
    // Longer than it may run.
    let waited = daemon.call("session.wait", &json!({"session": session, "until": "ended", "timeout_ms": 3500}));
    assert_eq!(waited["state"], "running");
    assert_eq!(bytes(), before);
    assert_eq!(daemon.call("session.continue", &json!({ "session": session }))["life"], "running");
    refused(&daemon, "session.continue", &json!({ "session": session }), "not paused");
    eventually("it ticks on", PATIENCE, || (bytes() > before).then_some(()));
    lives(&daemon, &session, "timeout");
    assert_eq!(get(&daemon, &session)["reason"], "deadline");
    refused(&daemon, "session.pause", &json!({ "session": session }), "ended");
}

#[test]
fn a_paused_session_can_be_stopped_and_given_up() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let session = command(&daemon, "sleep 600", json!({}));
    daemon.call("session.pause", &json!({ "session": session }));
    refused(&daemon, "session.retry", &json!({ "session": session }), "paused");
    daemon.call("session.cancel", &json!({ "session": session }));
    let session = get(&daemon, &session);
    assert_eq!((&session["life"], &session["state"]), (&json!("cancelled"), &json!("ended")));
}

#[test]
fn what_a_session_says_of_its_work_counts_at_its_end() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let session = command(&daemon, "read line; exit 0", json!({}));
    daemon.call("session.finish", &json!({"session": session, "outcome": "partially_completed"}));
    assert_eq!(get(&daemon, &session)["life"], "running");
    daemon.call("session.keys", &json!({"session": session, "keys": ["enter"]}));
    lives(&daemon, &session, "partially_completed");
    refused(&daemon, "session.finish", &json!({"session": session, "outcome": "completed"}), "ended");
    refused(&daemon, "session.finish", &json!({"session": session, "outcome": "splendid"}), "splendid");
    let plain = command(&daemon, "exit 7", json!({}));
    lives(&daemon, &plain, "failed");
    refused(
        &daemon,
        "session.create",
        &json!({"engine": "command", "argv": ["true"], "cwd": "/", "max_duration_ms": 5}),
        "max_duration_ms",
    );
}

#[test]
fn a_session_is_tried_again_three_times_and_keeps_what_each_try_wrote() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let session = command(&daemon, "echo try with $WORD; exit 1", json!({"env": {"WORD": "blue"}}));
    lives(&daemon, &session, "failed");
    refused(&daemon, "session.retry", &json!({ "session": session }), "WORD");
    for generation in 2..=4 {
        let again = daemon.call("session.retry", &json!({"session": session, "env": {"WORD": "green"}}));
        assert_eq!(again["generation"], generation);
        lives(&daemon, &session, "failed");
        let log = daemon.call("session.log", &json!({ "session": session }));
        assert_eq!(log["lines"], json!(["try with green"]));
    }
    refused(&daemon, "session.retry", &json!({"session": session, "env": {"WORD": "green"}}), "3 times");
    let directory = PathBuf::from(get(&daemon, &session)["directory"].as_str().unwrap());
    let first = std::fs::read_to_string(directory.join("generation-1/output.log")).unwrap();
    assert_eq!(first.trim_end(), "try with blue");
    let canary = std::fs::read_dir(&directory).unwrap().filter_map(Result::ok).any(|entry| {
        entry.file_type().unwrap().is_file()
            && entry.file_name() != "output.log"
            && entry.file_name() != "recording.cast"
            && entry.file_name() != "screen.json"
            && std::fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("green"))
    });
    assert!(!canary, "the value of a variable is on disk");
}

#[test]
fn a_try_waits_for_the_holder_of_the_one_before_to_leave() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let session = command(&daemon, "exit 1", json!({}));
    lives(&daemon, &session, "failed");
    let directory = PathBuf::from(get(&daemon, &session)["directory"].as_str().unwrap());
    // As a holder does that takes its leave of a slow peer.
    let lock = eventually("the holder to leave", PATIENCE, || {
        Flock::lock(std::fs::File::open(&directory).unwrap(), FlockArg::LockExclusiveNonblock).ok()
    });
    let mut wire = daemon.wire();
    wire.request("session.retry", &json!({ "session": session }));
    assert!(matches!(wire.receive(Duration::from_millis(300)), Received::Nothing));
    drop(lock);
    let Received::Body(again) = wire.receive(PATIENCE) else { panic!("no answer") };
    assert_eq!(again["result"]["generation"], 2, "{again}");
}

#[test]
fn an_agent_without_a_known_conversation_is_not_replaced_by_a_fresh_one() {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0);
    });
    let codex = daemon.path("codex");
    std::fs::write(&codex, "#!/bin/sh\necho up\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(&codex, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    daemon.settings().set("engines.binaries", json!({ "codex": codex }));
    daemon.launch().unwrap();
    let session = daemon.call("session.create", &json!({"engine": "codex", "cwd": "/tmp", "channel": "off"}));
    let session = session["session"].as_str().unwrap().to_owned();
    refused(&daemon, "session.resume", &json!({ "session": session }), "running");
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
    lives(&daemon, &session, "stopped");
    daemon.kill9();
    daemon.restart();
    refused(&daemon, "session.resume", &json!({ "session": session }), "conversation");
    assert_eq!(get(&daemon, &session)["generation"], 1, "a refusal changes nothing");
    assert!(Path::new(get(&daemon, &session)["directory"].as_str().unwrap()).join("ended.json").exists());
    let again = daemon.call("session.resume", &json!({"session": session, "fresh": true}));
    assert_eq!((&again["generation"], &again["conversation"]), (&json!(2), &Value::Null));
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
}

/// A worktree session in a repository.
fn in_worktree(daemon: &Daemon, repository: &Repository, line: &str) -> (String, PathBuf) {
    let cwd = repository.path().to_string_lossy().into_owned();
    let session = command(daemon, line, json!({"cwd": cwd, "worktree": true}));
    let worktree = PathBuf::from(get(daemon, &session)["cwd"].as_str().unwrap());
    (session, worktree)
}

#[test]
fn a_session_is_set_back_to_a_checkpoint_and_nothing_is_lost_by_it() {
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let repository = Repository::with_files(&daemon.path("repository"), &[("a.txt", "base\n")]);
    let before = repository.snapshot();
    let (session, worktree) = in_worktree(&daemon, &repository, "sleep 600");
    std::fs::write(worktree.join("a.txt"), "one\n").unwrap();
    let taken = daemon.call("session.checkpoint", &json!({"session": session, "label": "one", "data": {"step": 1}}));
    assert_eq!((&taken["sequence"], &taken["data"]["step"]), (&json!(1), &json!(1)));
    assert_eq!(get(&daemon, &session)["life"], "running", "it goes on after the checkpoint");
    std::fs::write(worktree.join("a.txt"), "two\n").unwrap();
    std::fs::write(worktree.join("b.txt"), "new\n").unwrap();
    daemon.kill9();
    daemon.restart();
    let again = daemon.call("session.restore", &json!({ "session": session }));
    assert_eq!((&again["checkpoint"], &again["generation"]), (&json!(1), &json!(2)));
    assert_eq!(std::fs::read_to_string(worktree.join("a.txt")).unwrap(), "one\n");
    assert!(!worktree.join("b.txt").exists());
    lives(&daemon, &session, "running");
    let kept = daemon.call("session.checkpoints", &json!({ "session": session }));
    let kept = kept["checkpoints"].as_array().unwrap().clone();
    assert_eq!(kept.len(), 2, "what it had is a checkpoint: {kept:?}");
    assert_eq!((&kept[1]["automatic"], &kept[1]["sequence"]), (&json!(true), &json!(2)));
    daemon.call("session.restore", &json!({"session": session, "sequence": 2}));
    assert_eq!(std::fs::read_to_string(worktree.join("b.txt")).unwrap(), "new\n");
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
    // A retry goes back to the last checkpoint that somebody asked for.
    daemon.call("session.retry", &json!({ "session": session }));
    assert_eq!(std::fs::read_to_string(worktree.join("a.txt")).unwrap(), "one\n");
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
    assert_eq!(repository.snapshot(), before, "the person's checkout was written to");
    refused(&daemon, "session.restore", &json!({"session": session, "sequence": 99}), "no checkpoint 99");
    let long = "x".repeat(201);
    refused(&daemon, "session.checkpoint", &json!({"session": session, "label": long}), "label");
    refused(&daemon, "session.checkpoint", &json!({"session": session, "data": {"x": "y".repeat(70_000)}}), "data");
}

#[test]
fn a_session_in_a_persons_own_directory_has_checkpoints_without_files() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let repository = Repository::with_files(&daemon.path("repository"), &[("a.txt", "base\n")]);
    let cwd = repository.path().to_string_lossy().into_owned();
    let session = command(&daemon, "sleep 600", json!({"cwd": cwd}));
    let taken = daemon.call("session.checkpoint", &json!({ "session": session }));
    assert_eq!(taken["commit"], Value::Null);
    std::fs::write(repository.path().join("a.txt"), "mine\n").unwrap();
    daemon.call("session.restore", &json!({ "session": session }));
    assert_eq!(std::fs::read_to_string(repository.path().join("a.txt")).unwrap(), "mine\n");
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
}

#[test]
fn a_session_whose_directory_is_gone_is_not_tried_again_elsewhere() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let directory = daemon.path("gone");
    std::fs::create_dir(&directory).unwrap();
    let session = command(&daemon, "exit 1", json!({"cwd": directory}));
    lives(&daemon, &session, "failed");
    std::fs::remove_dir(&directory).unwrap();
    let out = daemon.orxctl(daemon.directory(), &["retry", &session, "--detach"]);
    out.refused(1, &["its directory", "gone is not there any more", "make it again"]);
    assert_eq!(get(&daemon, &session)["generation"], json!(1));
}
