//! Sessions on a terminal, looked at from everywhere: what scrolled away, any moment of a recording, and what a session that
//! is over left on its screen.

use orx_tests::harness::{Daemon, eventually};
use orx_tests::terminal::Terminal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn session(daemon: &Daemon, script: &str) -> String {
    let params =
        json!({"engine": "command", "argv": ["sh", "-c", script], "cwd": daemon.directory(), "cols": 80, "rows": 24});
    daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned()
}

/// `orxctl` on a terminal of its own.
pub(super) fn shown(daemon: &Daemon, arguments: &[&str]) -> Terminal {
    let command = daemon.orxctl_command(Path::new("/"), arguments);
    let mut argv = vec![command.get_program().to_str().unwrap().to_owned()];
    argv.extend(command.get_args().map(|argument| argument.to_str().unwrap().to_owned()));
    let environment: BTreeMap<String, String> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())))
        .chain([("TERM".to_owned(), "xterm-256color".to_owned())])
        .collect();
    Terminal::with_size(&argv, &environment, Path::new("/"), 80, 24).unwrap()
}

fn lines(page: &Value) -> Vec<String> {
    serde_json::from_value(page["lines"].clone()).unwrap()
}

#[tokio::test]
async fn what_scrolled_away_is_paged_over_every_door_while_the_session_runs_and_after_it() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let here = Path::new("/");
    let session = session(
        &daemon,
        "printf '\\033[1;32mfirst\\033[m\\n'; seq 2 3000; while [ ! -e go ]; do sleep 0.05; done; seq 3001 3030; exit 3",
    );
    let scrollback = |params: Value| {
        let mut all = json!({ "session": session });
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        daemon.call("session.scrollback", &all)
    };
    eventually("3000 lines", PATIENCE, || {
        (scrollback(json!({"limit": 1}))["total"].as_u64() >= Some(2976)).then_some(())
    });
    let page = scrollback(json!({"from": 0, "limit": 3}));
    assert_eq!(
        (lines(&page), &page["next"], &page["first"]),
        (vec!["first".to_owned(), "2".to_owned(), "3".to_owned()], &json!(3), &json!(0))
    );
    assert_eq!(lines(&scrollback(json!({"from": 0, "limit": 1, "styled": true}))), ["\u{1b}[0;1;32mfirst\u{1b}[0m"]);
    let over_http = daemon
        .http()
        .send("GET", &format!("/api/v1/sessions/{session}/scrollback?from=1&limit=2"), &[], "")
        .await
        .json();
    assert_eq!(lines(&over_http), ["2", "3"]);
    let printed = daemon.orxctl(here, &["scrollback", &session]).done().to_owned();
    assert!(
        printed.starts_with("first\n2\n3\n") && printed.lines().count() >= 2976,
        "{} lines",
        printed.lines().count()
    );
    assert_eq!(daemon.orxctl(here, &["scrollback", &session, "-n", "2"]).done().lines().count(), 2);
    let failed =
        daemon.orxctl(here, &["call", "session.scrollback", &json!({"session": session, "limit": 0}).to_string()]);
    failed.refused(1, &["invalid_params", "`limit` is 0"]);
    std::fs::write(daemon.directory().join("go"), "").unwrap();
    daemon.call("session.wait", &json!({"session": session, "until": "ended", "timeout_ms": 60_000}));
    let page = scrollback(json!({"from": 2990, "limit": 2}));
    assert_eq!(lines(&page), ["2991", "2992"]);
    // Attached to, it shows what it left; there is nothing to be attached to, so no terminal is needed.
    let shown = daemon.orxctl(here, &["attach", &session]).done().to_owned();
    assert!(shown.contains("3030\n") && shown.contains("is over: exit status 3"), "{shown}");
    let recorded = daemon.call("session.recording", &json!({ "session": session }));
    assert_eq!(recorded["exit"], json!("3"));
    assert_eq!(recorded["screen"]["lines"], daemon.call("session.screen", &json!({ "session": session }))["lines"]);
    assert!(daemon.orxctl(here, &["replay", &session]).done().contains("3030\n"));
    daemon.orxctl(here, &["replay", &session, "--speed", "0"]).refused(2, &["must be"]);
}

#[test]
fn a_recording_is_played_on_a_terminal_from_any_moment() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let session = session(&daemon, "printf '\\n\\n\\n\\none\\n\\033[31mtwo\\033[m\\n'; exit 0");
    daemon.call("session.wait", &json!({"session": session, "until": "ended", "timeout_ms": 60_000}));
    let pty = shown(&daemon, &["replay", &session, "--speed", "100"]);
    eventually("the end of the recording", PATIENCE, || {
        pty.lines().iter().any(|line| line.contains("[end of the recording]")).then_some(())
    });
    let lines = pty.lines();
    assert!(lines.iter().any(|line| line == "one") && lines.iter().any(|line| line == "two"), "{lines:?}");
}

#[test]
fn a_program_that_ends_at_once_leaves_its_words_and_how_it_ended() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    // It is over before its viewer is there, or just after that: whichever it is, the same is said.
    for pause in ["0", "0.05", "0.2", "0.5"] {
        let script = format!("echo; echo broken settings; sleep {pause}; exit 4");
        let pty = shown(&daemon, &["new", "command", "--", "sh", "-c", &script]);
        eventually("how it ended", PATIENCE, || pty.text().contains("exit status 4").then_some(()));
        eventually("where to look", PATIENCE, || pty.text().contains("orxctl logs").then_some(()));
        let text = pty.text();
        assert!(text.contains("broken settings"), "{text}");
        assert!(!text.contains("killed") && !text.contains("error:"), "{text}");
    }
}
