//! A new version is installed: sessions go on in its holders, with their viewers; one that is no good changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orx_client::Terminal;
use orx_protocol::SessionId;
use orx_protocol::api::session::{AttachMode, AttachParams};
use orx_protocol::hold::{Holder, file};
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_sandbox::identity;
use orx_tests::harness::{Daemon, binary, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon of programs that are installed in a directory of their own; gives that directory too.
fn installed() -> (Daemon, PathBuf) {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0);
    });
    let directory = daemon.path("bin");
    std::fs::create_dir(&directory).unwrap();
    for name in ["orchestratord", "agentd", "pty-proxy", "orxctl"] {
        install(&directory, name, &binary(name));
    }
    daemon.settings().before = Some(format!("exec {}/orchestratord \"$@\"", directory.display()));
    daemon.launch().unwrap();
    (daemon, directory)
}

/// Puts a program in its place, as an installer does: the old file goes on for those that run it.
fn install(directory: &Path, name: &str, from: &Path) {
    let fresh = directory.join(format!(".{name}.new"));
    std::fs::copy(from, &fresh).unwrap();
    std::fs::rename(fresh, directory.join(name)).unwrap();
}

fn shell(daemon: &Daemon) -> SessionId {
    let created = daemon.call(
        "session.create",
        &json!({"engine": "command", "argv": ["/bin/sh"], "cwd": "/tmp", "env": {"PS1": "$ "}}),
    );
    created["session"].as_str().unwrap().parse().unwrap()
}

fn holder(daemon: &Daemon, session: SessionId) -> Holder {
    let path = daemon.places().sessions().join(session.to_string()).join(file::HOLDER);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Whether the holder of a session runs the program that is installed.
fn is_present(directory: &Path, holder: &Holder) -> bool {
    use std::os::unix::fs::MetadataExt;
    let running = std::fs::metadata(format!("/proc/{}/exe", holder.holder.pid)).unwrap();
    running.ino() == std::fs::metadata(directory.join("pty-proxy")).unwrap().ino()
}

async fn ask(viewer: &mut Terminal, command: &str, answer: &str) {
    viewer.send(&FromViewer::Input(format!("{command}\n").into_bytes())).await.unwrap();
    let mut seen = String::new();
    let reading = async {
        while !seen.contains(answer) {
            match viewer.next().await.unwrap().expect("the viewer is still attached") {
                ToViewer::Screen(bytes) | ToViewer::Output(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                _ => {}
            }
        }
    };
    assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "`{answer}` did not appear; what did: {seen}");
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["session"].as_str().or(one.as_str()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_viewers_go_on_in_a_new_version() {
    let (mut daemon, directory) = installed();
    let sessions = [shell(&daemon), shell(&daemon)];
    let params = AttachParams { session: sessions[0], cols: 90, rows: 25, mode: AttachMode::Control, raw: false };
    let mut viewer = Terminal::attach(daemon.socket(), params).await.unwrap();
    ask(&mut viewer, "v=kept; echo is-$v", "is-kept").await;
    let before = sessions.map(|session| holder(&daemon, session));
    let none = daemon.call("session.upgrade", &json!({}));
    assert_eq!(ids(&none["current"]).len(), 2, "{none}");

    install(&directory, "pty-proxy", &binary("pty-proxy"));
    let one = daemon.call("session.upgrade", &json!({"session": sessions[0]}));
    assert_eq!(ids(&one["upgraded"]), [sessions[0].to_string()], "{one}");
    ask(&mut viewer, "echo still-$v", "still-kept").await;
    let rest = daemon.call("session.upgrade", &json!({}));
    assert_eq!(
        (ids(&rest["upgraded"]), ids(&rest["current"])),
        (vec![sessions[1].to_string().as_str()], vec![sessions[0].to_string().as_str()])
    );
    for (session, before) in sessions.iter().zip(&before) {
        let now = holder(&daemon, *session);
        assert_eq!((now.holder, now.child, now.keeper), (before.holder, before.child, before.keeper));
        assert!(is_present(&directory, &now));
    }

    // And by itself, when the daemon is started anew after an installation.
    install(&directory, "pty-proxy", &binary("pty-proxy"));
    daemon.kill9();
    daemon.restart();
    for session in sessions {
        eventually("the holder to be of the new version", PATIENCE, || {
            is_present(&directory, &holder(&daemon, session)).then_some(())
        });
        assert_eq!(daemon.call("session.get", &json!({ "session": session }))["state"], "running");
    }
    ask(&mut viewer, "echo yet-$v", "yet-kept").await;
    viewer.send(&FromViewer::Input(b"exit 5\n".to_vec())).await.unwrap();
    daemon.call("session.wait", &json!({"session": sessions[0], "until": "ended", "timeout_ms": 20_000}));
    let ended = daemon.call("session.get", &json!({"session": sessions[0]}));
    assert_eq!((&ended["state"], &ended["exit"]), (&json!("ended"), &json!({"code": 5})));
}

#[test]
fn a_new_version_that_is_no_good_changes_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let (daemon, directory) = installed();
    let session = shell(&daemon);
    let before = holder(&daemon, session);
    let broken = daemon.path("broken");
    for (text, mode, said) in [
        ("#!/bin/sh\nexit 1\n", 0o755, "does not say that it is a holder"),
        ("#!/bin/sh\necho '{\"version\":\"9.9.9\",\"hand_over\":99}'\n", 0o755, "in form 99"),
        ("", 0o644, "pty-proxy"),
    ] {
        std::fs::write(&broken, text).unwrap();
        std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(mode)).unwrap();
        install(&directory, "pty-proxy", &broken);
        let answer = daemon.call("session.upgrade", &json!({}));
        assert_eq!(ids(&answer["failed"]), [session.to_string()], "{answer}");
        assert!(answer["failed"][0]["why"].as_str().unwrap().contains(said), "{answer}");
    }
    let now = holder(&daemon, session);
    assert_eq!(now, before);
    assert!(identity::is_alive(now.holder) && identity::is_alive(now.child));
    daemon.call("session.send", &json!({"session": session, "text": "echo on-$((1+1))", "submit": true}));
    eventually("the session to go on", PATIENCE, || {
        let screen = daemon.call("session.screen", &json!({ "session": session }));
        screen["lines"].as_array()?.iter().any(|line| line == "on-2").then_some(())
    });
}

#[test]
fn an_upgrade_of_what_does_not_run_is_refused_by_name() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let mut wire = daemon.wire();
    wire.request("session.upgrade", &json!({"session": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"}));
    assert_eq!(wire.error_kind(), "not_found");
    let session = shell(&daemon);
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
    wire.request("session.upgrade", &json!({"session": session}));
    assert_eq!(wire.error_kind(), "failed_precondition");
}

/// The installed `orxctl`, as a person runs it.
fn orxctl(daemon: &Daemon, directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let usual = daemon.orxctl_command(daemon.directory(), arguments);
    let mut command = std::process::Command::new(directory.join("orxctl"));
    command.args(usual.get_args()).env_clear().env("ORX_HTTP", "off").stdin(std::process::Stdio::null());
    command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_replaces_the_daemon_and_every_holder() {
    let (mut daemon, directory) = installed();
    let session = shell(&daemon);
    let params = AttachParams { session, cols: 90, rows: 25, mode: AttachMode::Control, raw: false };
    let mut viewer = Terminal::attach(daemon.socket(), params).await.unwrap();
    ask(&mut viewer, "v=kept; echo is-$v", "is-kept").await;
    let (code, shown, error) = orxctl(&daemon, &directory, &["ls", "--survival"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(shown.contains("live, kept") && shown.contains("keeper"), "{shown}");
    let (code, shown, error) = orxctl(&daemon, &directory, &["upgrade"]);
    assert_eq!((code, shown.trim()), (Some(0), "1 session up to date"), "{error}");

    let before = daemon.call("status", &json!({}))["pid"].clone();
    for name in ["orchestratord", "agentd", "pty-proxy"] {
        install(&directory, name, &binary(name));
    }
    let replaced = orxctl(&daemon, &directory, &["up", "--replace"]);
    assert_eq!(replaced.0, Some(0), "{replaced:?}");
    daemon.wait_for_end();
    assert_ne!(daemon.call("status", &json!({}))["pid"], before);
    eventually("the holder to be of the new version", PATIENCE, || {
        is_present(&directory, &holder(&daemon, session)).then_some(())
    });
    ask(&mut viewer, "echo still-$v", "still-kept").await;
    assert_eq!(daemon.call("session.get", &json!({ "session": session }))["state"], "running");
}

/// What a session does is concluded from what its holder tells; a holder that went on as another version tells on.
#[test]
fn what_a_session_shows_after_an_upgrade_is_told_of() {
    let (daemon, directory) = installed();
    let session = shell(&daemon);
    let shows = |title: &str| {
        let typed = format!("printf '\\033]0;{title}\\007'\n");
        daemon.call("session.send", &json!({"session": session, "text": typed.trim_end()}));
        eventually("the title that the daemon was told", PATIENCE, || {
            (daemon.call("session.explain", &json!({ "session": session }))["title"] == title).then_some(())
        });
    };
    shows("before");
    for title in ["after the first", "after the second"] {
        install(&directory, "pty-proxy", &binary("pty-proxy"));
        let told = daemon.call("session.upgrade", &json!({ "session": session }));
        assert_eq!(ids(&told["upgraded"]), [session.to_string()], "{told}");
        shows(title);
    }
}
