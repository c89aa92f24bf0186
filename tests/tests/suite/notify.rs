//! Telling people: on the desktop's bus, on attached terminals, by a command, and what is recorded of it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use orx_client::Terminal;
use orx_protocol::api::session::{AttachMode, AttachParams};
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_tests::harness::{Daemon, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn command(daemon: &Daemon, line: &str) -> String {
    let params = json!({"engine": "command", "argv": ["/bin/sh", "-c", line], "cwd": "/tmp", "title": "nightly build"});
    daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned()
}

fn about(daemon: &Daemon, session: &str) -> Vec<Value> {
    let told = daemon.call("notification.list", &json!({}));
    told["notifications"].as_array().unwrap().iter().filter(|one| one["session"] == session).cloned().collect()
}

#[test]
fn a_command_of_the_operator_is_told_and_its_failure_is_recorded() {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0).set("notifications.desktop", false);
    });
    let (teller, told) = (daemon.path("teller"), daemon.path("told"));
    script(&teller, &format!("#!/bin/sh\ncat >> {}\necho >> {}\n", told.display(), told.display()));
    daemon.settings().set("notifications.command", json!([teller]));
    daemon.launch().unwrap();
    let session = command(&daemon, "exit 3");
    let one = eventually("it is told", PATIENCE, || about(&daemon, &session).pop());
    assert_eq!((&one["topic"], &one["held_back"]), (&json!("failed"), &Value::Null), "{one}");
    assert_eq!((&one["title"], &one["body"]), (&json!("command: nightly build"), &json!("it ended: exit status 3")));
    assert_eq!(
        one["attempts"][1],
        json!({"road": "command", "status": {"delivered": "the command ended well"}}),
        "{one}"
    );
    assert_eq!(one["attempts"][0], json!({"road": "terminal", "status": "nobody"}), "{one}");
    let told: Value = serde_json::from_str(std::fs::read_to_string(&told).unwrap().trim()).unwrap();
    assert_eq!((&told["session"], &told["topic"]), (&json!(session), &json!("failed")));
    // A stop on purpose and an end without a fault are no news.
    let stopped = command(&daemon, "sleep 600");
    daemon.call("session.stop", &json!({"session": stopped, "grace_ms": 0}));
    let quiet = command(&daemon, "exit 0");
    script(&teller, "#!/bin/sh\necho 'no such person' >&2\nexit 9\n");
    let session = command(&daemon, "kill -9 $$");
    let one = eventually("it is told", PATIENCE, || about(&daemon, &session).pop());
    assert_eq!(one["attempts"][1]["status"]["failed"], "the command ended with exit status 9: no such person", "{one}");
    assert!(about(&daemon, &stopped).is_empty() && about(&daemon, &quiet).is_empty());
}

#[test]
fn what_happened_while_the_daemon_was_away_is_told_once_it_is_back() {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0).set("notifications.desktop", false).set("notifications.command", json!(["/bin/cat"]));
    });
    daemon.launch().unwrap();
    let go = daemon.path("go");
    let session = command(&daemon, &format!("while [ ! -e {} ]; do sleep 0.05; done; exit 4", go.display()));
    daemon.kill9();
    std::fs::write(&go, "").unwrap();
    daemon.restart();
    let one = eventually("it is told", PATIENCE, || about(&daemon, &session).pop());
    assert_eq!((&one["topic"], &one["held_back"]), (&json!("failed"), &Value::Null), "{one}");
    daemon.kill9();
    daemon.restart();
    daemon.call("notification.test", &json!({}));
    assert_eq!(about(&daemon, &session).len(), 1, "it is told once");
}

async fn attach(daemon: &Daemon, session: &str) -> Terminal {
    let params =
        AttachParams { session: session.parse().unwrap(), cols: 100, rows: 30, mode: AttachMode::Control, raw: false };
    Terminal::attach(daemon.socket(), params).await.unwrap()
}

async fn see(viewer: &mut Terminal, text: &str) {
    let mut seen = String::new();
    let reading = async {
        while !seen.contains(text) {
            if let ToViewer::Screen(bytes) | ToViewer::Output(bytes) = viewer.next().await.unwrap().expect("attached") {
                seen.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    };
    assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "`{text:?}` did not appear: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_terminals_are_told_of_other_sessions_and_whoever_looks_is_not_told() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0).set("notifications.desktop", false);
    });
    let mine = command(&daemon, "printf ready; read line; exit 5");
    let mut viewer = attach(&daemon, &mine).await;
    see(&mut viewer, "ready").await;
    let other = command(&daemon, "exit 3");
    see(&mut viewer, "\u{1b}]9;command: nightly build: it ended: exit status 3\u{7}").await;
    let one = eventually("it is recorded", PATIENCE, || about(&daemon, &other).pop());
    assert_eq!(one["attempts"][0]["status"]["delivered"], "sent to 1 attached terminals", "{one}");
    let trial = daemon.call("notification.test", &json!({}));
    assert_eq!(trial["topic"], "test");
    see(&mut viewer, "\u{1b}]9;orx: this is how").await;
    // Its own session's end is seen by whoever looks at it; with the focus elsewhere it is not.
    viewer.send(&FromViewer::Input(b"\x1b[O".to_vec())).await.unwrap();
    viewer.send(&FromViewer::Input(b"\r".to_vec())).await.unwrap();
    let one = eventually("it is told", PATIENCE, || about(&daemon, &mine).pop());
    assert_eq!(one["held_back"], Value::Null, "{one}");
}

#[test]
fn a_person_s_terminal_is_told_in_the_form_that_it_knows() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0).set("notifications.desktop", false).set("notifications.terminal", "osc777");
    });
    let mine = command(&daemon, "printf ready; read line");
    let person = super::terminal::shown(&daemon, &["attach", &mine]);
    eventually("the session's screen", PATIENCE, || person.text().contains("ready").then_some(()));
    let other = command(&daemon, "exit 3");
    let whole = "\u{1b}]777;notify;command: nightly build;it ended: exit status 3\u{7}";
    eventually("the notice", PATIENCE, || person.written().contains(whole).then_some(()));
    let one = eventually("it is recorded", PATIENCE, || about(&daemon, &other).pop());
    assert_eq!(one["attempts"][0]["status"]["delivered"], "sent to 1 attached terminals", "{one}");
    assert!(!person.text().contains("nightly"), "it is told and not drawn: {}", person.text());
}

/// A session bus of the test's own with a notification server on it.
struct Desktop {
    bus: Child,
    server: Child,
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn the_desktop_is_told_over_its_bus() {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0).set("notifications.terminal", "off");
    });
    let (socket, log) = (daemon.path("bus"), daemon.path("desktop.log"));
    let address = format!("unix:path={}", socket.display());
    let bus = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--nopidfile", &format!("--address={address}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("dbus-daemon is installed by `cargo xtask setup`");
    let server = Command::new(env!("CARGO_BIN_EXE_desktop"))
        .arg(&address)
        .stdout(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let _desktop = Desktop { bus, server };
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("the server has its name", PATIENCE, || said().contains("ready").then_some(()));
    daemon.settings().variable("DBUS_SESSION_BUS_ADDRESS", address);
    daemon.launch().unwrap();
    let session = command(&daemon, "exit 3");
    let one = eventually("it is told", PATIENCE, || about(&daemon, &session).pop());
    assert_eq!(one["attempts"][0]["status"]["delivered"], "the desktop took it as 1", "{one}");
    assert!(said().contains("command: nightly build|it ended: exit status 3|2"), "{}", said());
}

#[test]
fn a_desktop_that_is_not_there_is_said() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0).variable("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    });
    let trial = daemon.call("notification.test", &json!({}));
    let failed = trial["attempts"][0]["status"]["failed"].as_str().unwrap();
    assert!(failed.starts_with("the desktop was not told"), "{trial}");
    let error = daemon.wire().call("notification.list", &json!({"limit": 0})).unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");
}
