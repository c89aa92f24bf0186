//! The command line: exit codes, what each mistake is answered with, and that `up` and `down` do what they say.

use orx_tests::harness::{Daemon, Repository, process, scripted_model};
use serde_json::json;

fn daemon() -> Daemon {
    Daemon::start(|settings| {
        settings.workers(0);
    })
}

#[test]
fn a_daemon_that_does_not_run_is_said_with_its_own_code() {
    let daemon = Daemon::prepared(|_| {});
    let here = daemon.directory();
    for command in
        [&["status"][..], &["ls"], &["run", "a task"], &["call", "health"], &["--json", "workers"], &["events"]]
    {
        daemon.orxctl(here, command).refused(69, &["orxctl up", daemon.socket().to_str().unwrap()]);
    }
    daemon.orxctl(here, &["down"]).done();
}

#[test]
fn mistakes_in_a_command_are_usage_errors() {
    let daemon = daemon();
    let here = daemon.directory();
    std::fs::write(here.join("empty.md"), " \n\n").unwrap();
    std::fs::write(here.join("bytes.md"), b"\xff\xfe").unwrap();
    for (command, word) in [
        (&["frobnicate"][..], "frobnicate"),
        (&["run"], "TASK"),
        (&["run", ""], "empty"),
        (&["run", "   "], "empty"),
        (&["run", "@missing.md"], "missing.md"),
        (&["run", "@empty.md"], "empty.md"),
        (&["run", "@bytes.md"], "bytes.md"),
        (&["run", "@."], "directory"),
        (&["run", "-"], "empty"),
        (&["call", "health", "{"], "JSON"),
        (&["call", "health", "7"], "object"),
        (&["completions", "tcsh++"], "tcsh++"),
        (&["status", "--follow"], "RUN"),
    ] {
        daemon.orxctl(here, command).refused(2, &[word]);
    }
    assert_eq!(daemon.call("status", &json!({}))["runs"], json!(0));
}

#[test]
fn errors_of_the_daemon_end_with_their_codes() {
    let daemon = daemon();
    let here = daemon.directory();
    let unknown = daemon.orxctl(here, &["call", "no.such"]);
    unknown.refused(1, &["method_not_found", "no.such"]);
    assert_eq!(unknown.stdout, "");
    daemon.orxctl(here, &["call", "event.list", r#"{"limit": "ten"}"#]).refused(1, &["invalid_params", "limit"]);
    daemon.orxctl(here, &["stop", "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"]).refused(1, &["ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    daemon.orxctl(here, &["screen", "nothing-like-it"]).refused(1, &["nothing-like-it"]);
}

#[test]
fn json_is_json_on_every_listing() {
    let daemon = Daemon::start(|_| {});
    daemon.wait_for_workers(4);
    let here = daemon.directory();
    assert_eq!(daemon.orxctl(here, &["--json", "status"]).json()["pid"], json!(daemon.pid()));
    assert_eq!(daemon.orxctl(here, &["ls", "--json"]).json()["sessions"], json!([]));
    assert_eq!(daemon.orxctl(here, &["workers", "--json"]).json()["workers"].as_array().unwrap().len(), 4);
    assert_eq!(daemon.orxctl(here, &["call", "health"]).json()["status"], json!("healthy"));
}

#[test]
fn up_starts_a_daemon_once_and_down_ends_it() {
    let daemon = Daemon::prepared(|_| {});
    // Writes the settings file that `orxctl up` hands to the daemon.
    drop(daemon.command());
    let here = daemon.directory();
    let up = |arguments: &[&str]| {
        let mut command = daemon.orxctl_command(here, arguments);
        let output = command.env("ORX_HTTP", "127.0.0.1:0").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    up(&["up"]);
    let first = daemon.orxctl(here, &["--json", "status"]).json();
    assert_eq!(first["health"]["status"], json!("healthy"));
    up(&["up"]);
    let second = daemon.orxctl(here, &["--json", "status"]).json();
    assert_eq!(first["pid"], second["pid"], "a second `up` leaves the daemon alone");
    daemon.orxctl(here, &["down"]).done();
    daemon.orxctl(here, &["status"]).refused(69, &[]);
    assert_eq!(process::of_directory(here), [], "something of the daemon still runs");
}

#[test]
fn sessions_are_started_listed_typed_into_and_ended() {
    let daemon = daemon();
    let here = daemon.directory();
    let new = daemon
        .orxctl(here, &["--json", "new", "command", "--detach", "--", "/bin/sh", "-c", "echo ready; exec cat"])
        .json();
    let session = new["session"].as_str().unwrap();
    orx_tests::harness::eventually("the program's first line", std::time::Duration::from_secs(10), || {
        daemon.orxctl(here, &["screen", session]).done().contains("ready").then_some(())
    });
    daemon.orxctl(here, &["send", session, "hello there"]).done();
    orx_tests::harness::eventually("the echo", std::time::Duration::from_secs(10), || {
        daemon.orxctl(here, &["logs", session]).done().contains("hello there").then_some(())
    });
    // The end of an identifier is enough.
    let end = &session[session.len() - 8..];
    daemon.orxctl(here, &["stop", end]).done();
    assert_eq!(daemon.call("session.get", &json!({ "session": session }))["state"], json!("ended"));
}

#[test]
fn a_run_needs_a_repository_with_a_commit() {
    let daemon = daemon();
    let plain = daemon.path("plain");
    std::fs::create_dir(&plain).unwrap();
    daemon.orxctl(&plain, &["run", "a task"]).refused(1, &["git", "plain"]);
    let unborn = Repository::unborn(&daemon.path("unborn"));
    daemon.orxctl(unborn.path(), &["run", "a task"]).refused(1, &["commit"]);
    let whole = Repository::scripted(&daemon.path("whole"), &scripted_model::scenarios().join("demo.json"));
    let bare = daemon.path("bare");
    whole.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    daemon.orxctl(&bare, &["run", "a task"]).refused(1, &["bare"]);
    daemon
        .orxctl(whole.path(), &["run", "a task", "--engine", "command", "--base", "no-such-branch"])
        .refused(1, &["no-such-branch"]);
    daemon.orxctl(whole.path(), &["run", "a task", "--engine", "painter"]).refused(1, &["painter"]);
    assert_eq!(daemon.call("status", &json!({}))["runs"], json!(0));
    assert!(!whole.path().join("runs").exists() && !whole.path().join(".worktrees").exists());
}

#[test]
fn an_engine_that_is_not_installed_is_said_with_what_installs_it() {
    let empty = tempfile::tempdir().unwrap();
    let path = format!("{}:/usr/bin:/bin", empty.path().display());
    let daemon = Daemon::start(|settings| {
        settings.workers(0).variable("PATH", path);
    });
    let whole = Repository::calculator(&daemon.path("whole"));
    daemon
        .orxctl(whole.path(), &["run", "a task", "--engine", "codex"])
        .refused(1, &["codex", "npm i -g @openai/codex"]);
}

#[test]
fn an_unknown_key_in_the_repositorys_settings_is_named_with_line_and_column() {
    let daemon = daemon();
    let whole = Repository::calculator(&daemon.path("whole"));
    whole.write("orx.yaml", "version: \"1\"\ngates:\n  - nmae: tests\n    command: \"true\"\n");
    whole.commit("A mistake");
    daemon.orxctl(whole.path(), &["run", "a task"]).refused(78, &["orx.yaml:3:5", "nmae"]);
}
