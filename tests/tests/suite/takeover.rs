//! Sessions when the daemon, their holders and their keepers are killed, alone and together: the programs go on, can be
//! attached to, and what is not known is said so.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orx_client::Terminal;
use orx_protocol::SessionId;
use orx_protocol::api::session::{AttachMode, AttachParams};
use orx_protocol::hold::{Holder, file};
use orx_protocol::process::ProcessIdentity;
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_sandbox::identity;
use orx_tests::harness::{Daemon, eventually, process};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// Sessions that are killed at once.
const MANY: usize = 50;
/// A program that counts; it answers what is typed with the count.
const COUNTING: &str = "i=0; while :; do i=$((i+1)); echo count $i; sleep 0.5; done";

fn quiet() -> Daemon {
    Daemon::start(|settings| {
        settings.workers(0);
    })
}

fn command(daemon: &Daemon, script: &str) -> SessionId {
    let argv = ["/bin/sh", "-c", script];
    let created = daemon.call("session.create", &json!({"engine": "command", "argv": argv, "cwd": "/tmp"}));
    created["session"].as_str().unwrap().parse().unwrap()
}

fn get(daemon: &Daemon, session: SessionId) -> Value {
    daemon.call("session.get", &json!({ "session": session }))
}

fn directory(daemon: &Daemon, session: SessionId) -> PathBuf {
    daemon.places().sessions().join(session.to_string())
}

fn holder(daemon: &Daemon, session: SessionId) -> Holder {
    let path = directory(daemon, session).join(file::HOLDER);
    eventually("the record of the holder", PATIENCE, || serde_json::from_slice(&std::fs::read(&path).ok()?).ok())
}

fn kill9(process: ProcessIdentity) {
    kill(Pid::from_raw(process.pid), Signal::SIGKILL).unwrap();
}

fn gone(what: &str, process: ProcessIdentity) {
    eventually(what, PATIENCE, || (!identity::is_alive(process)).then_some(()));
}

async fn attach(daemon: &Daemon, session: SessionId) -> Terminal {
    let params = AttachParams { session, cols: 80, rows: 24, mode: AttachMode::Control, raw: false };
    Terminal::attach(daemon.socket(), params).await.unwrap()
}

/// Reads until `found` gives something of what is shown.
async fn see<T>(viewer: &mut Terminal, what: &str, mut found: impl FnMut(&str) -> Option<T>) -> T {
    let mut seen = String::new();
    let reading = async {
        loop {
            match viewer.next().await.unwrap().expect("the viewer is still attached") {
                ToViewer::Screen(bytes) | ToViewer::Output(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                ToViewer::Size { .. } | ToViewer::Control { .. } => {}
                // Told only to those who give their terminal away.
                ToViewer::Taken | ToViewer::Typed(_) | ToViewer::Modes(_) | ToViewer::Returned => {}
                ToViewer::Ended { code, signal } => panic!("the session ended: {code:?} {signal:?}"),
            }
            if let Some(found) = found(&seen) {
                return found;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(found) => found,
        Err(_) => panic!("{what} did not appear; what did: {seen}"),
    }
}

/// The last number that a counting program showed.
fn counted(seen: &str) -> Option<u32> {
    seen.split("count ").skip(1).filter_map(|rest| rest.split(['\r', '\n', '\u{1b}']).next()?.parse().ok()).max()
}

/// Attaches to each and sees it count on.
async fn all_count(daemon: &Daemon, sessions: &[SessionId]) {
    for session in sessions {
        let mut viewer = attach(daemon, *session).await;
        let first = see(&mut viewer, "a count", counted).await;
        see(&mut viewer, "a further count", |seen| counted(seen).filter(|last| *last > first)).await;
    }
}

/// The numbers in the log have no gap: nothing that the program wrote was lost.
fn has_no_gap(daemon: &Daemon, session: SessionId) {
    let log = std::fs::read_to_string(directory(daemon, session).join(file::OUTPUT)).unwrap();
    for (number, line) in log.lines().enumerate().filter(|(_, line)| line.starts_with("count ")) {
        assert_eq!(line, format!("count {}", number + 1), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_of_fifty_live_through_the_daemon_their_holders_and_their_keepers() {
    let mut daemon = quiet();
    let sessions: Vec<SessionId> = (0..MANY).map(|_| command(&daemon, COUNTING)).collect();
    let held: Vec<Holder> = sessions.iter().map(|session| holder(&daemon, *session)).collect();
    let alive = |when: &str| {
        let alive = held.iter().filter(|held| identity::is_alive(held.child)).count();
        assert_eq!(alive, MANY, "programs alive after {when}");
    };

    daemon.kill9();
    alive("the daemon");
    daemon.restart();
    all_count(&daemon, &sessions).await;

    for held in &held {
        kill9(held.holder);
    }
    alive("the holders");
    all_count(&daemon, &sessions).await;

    daemon.kill9();
    for session in &sessions {
        kill9(holder(&daemon, *session).holder);
    }
    alive("the daemon and the holders");
    daemon.restart();
    all_count(&daemon, &sessions).await;

    // Holder and keeper: now the daemon's own hold on the terminals counts.
    for session in &sessions {
        eventually("the terminal to be kept by the daemon", PATIENCE, || {
            let session = get(&daemon, *session);
            session["survival"]["reason"].as_str()?.contains("and the daemon").then_some(())
        });
        let held = holder(&daemon, *session);
        kill9(held.keeper.unwrap());
        kill9(held.holder);
    }
    alive("the holders and the keepers");
    all_count(&daemon, &sessions).await;
    for (session, held) in sessions.iter().zip(&held) {
        let now = get(&daemon, *session);
        assert_eq!((&now["state"], &now["pid"]), (&json!("running"), &json!(held.child.pid)));
        has_no_gap(&daemon, *session);
    }
    let replaced = daemon.call("event.list", &json!({"kinds": ["session.holder_replaced"], "limit": 1000}));
    assert!(replaced["events"].as_array().unwrap().len() >= 2 * MANY, "{replaced}");
}

#[test]
fn the_exit_status_is_known_whoever_was_killed_before() {
    let mut daemon = quiet();
    let session = command(&daemon, "read a; exit 7");
    let before = holder(&daemon, session);
    kill9(before.holder);
    eventually("another holder", PATIENCE, || {
        let now = holder(&daemon, session);
        (now.holder != before.holder && identity::is_alive(now.holder)).then_some(())
    });
    daemon.kill9();
    daemon.restart();
    daemon.call("session.keys", &json!({"session": session, "keys": ["enter"]}));
    daemon.call("session.wait", &json!({"session": session, "until": "ended", "timeout_ms": 20_000}));
    let ended = get(&daemon, session);
    assert_eq!((&ended["state"], &ended["exit"]), (&json!("ended"), &json!({"code": 7})));
    assert_eq!(ended["survival"]["level"], "replay");
}

#[test]
fn a_stop_reaches_all_of_a_session_that_others_held_before() {
    let daemon = quiet();
    let script = "trap '' TERM HUP INT; (setsid setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' &) ; \
                  while :; do sleep 1; done";
    let session = command(&daemon, script);
    let mark = session.to_string();
    // The shell, its sleep, the one that left with its own sleep; and holder and keeper.
    eventually("the escaped process", PATIENCE, || (process::of_session(&mark).len() >= 6).then_some(()));
    eventually("the terminal to be kept by the daemon", PATIENCE, || {
        get(&daemon, session)["survival"]["reason"].as_str()?.contains("and the daemon").then_some(())
    });
    let first = holder(&daemon, session);
    kill9(first.keeper.unwrap());
    kill9(first.holder);
    eventually("another holder", PATIENCE, || {
        let now = holder(&daemon, session);
        (now.holder != first.holder && identity::is_alive(now.holder)).then_some(())
    });
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 200}));
    assert_eq!(get(&daemon, session)["state"], "ended");
    eventually("nothing left of it", PATIENCE, || process::of_session(&mark).is_empty().then_some(()));
}

#[test]
fn a_stop_while_the_holder_is_killed_is_done_by_the_next_one() {
    let daemon = quiet();
    let asked = daemon.path("asked");
    let session =
        command(&daemon, &format!("trap 'echo > {}' TERM; trap '' HUP; while :; do sleep 0.1; done", asked.display()));
    let first = holder(&daemon, session);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| daemon.call("session.stop", &json!({"session": session, "grace_ms": 1500})));
        eventually("the request to end", PATIENCE, || asked.exists().then_some(()));
        kill9(first.holder);
        stopping.join().unwrap();
    });
    assert_eq!(get(&daemon, session)["state"], "ended");
    gone("the program", first.child);
}

#[test]
fn without_the_daemon_a_holder_and_keeper_that_die_together_take_the_terminal_with_them() {
    let mut daemon = quiet();
    let session = command(&daemon, "trap '' HUP TERM; while :; do sleep 1; done");
    let held = holder(&daemon, session);
    daemon.kill9();
    kill9(held.keeper.unwrap());
    kill9(held.holder);
    daemon.restart();
    let lost = get(&daemon, session);
    assert_eq!((&lost["state"], &lost["exit"]), (&json!("unknown"), &Value::Null));
    assert_eq!(lost["survival"]["level"], "replay", "{lost}");
    gone("what was left", held.child);
    let events = daemon.call("event.list", &json!({"kinds": ["session.lost"]}));
    assert_eq!(events["events"][0]["subject"], json!(session));
}

#[test]
fn after_a_restart_of_the_machine_a_session_is_said_to_be_lost_by_that() {
    let mut daemon = quiet();
    let session = command(&daemon, "read a");
    let mut held = holder(&daemon, session);
    daemon.kill9();
    kill9(held.keeper.unwrap());
    kill9(held.holder);
    gone("the program", held.child);
    // What a holder of an earlier boot left: its process ids are those of others today, such as this test's.
    held.boot = Some("another boot".to_owned());
    held.holder = identity::own().unwrap();
    held.child = held.holder;
    let path = directory(&daemon, session).join(file::HOLDER);
    std::fs::write(path, serde_json::to_vec(&held).unwrap()).unwrap();
    daemon.restart();
    let lost = get(&daemon, session);
    assert_eq!((&lost["state"], &lost["message"]), (&json!("unknown"), &json!("the machine was restarted")));
    assert_eq!(lost["survival"]["level"], "replay");
    assert!(lost["survival"]["reason"].as_str().unwrap().contains("restarted"));
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_of_a_start_finds_the_truth() {
    let mut daemon = quiet();
    for round in 0..8 {
        let before = std::fs::read_dir(daemon.places().sessions()).unwrap().count();
        let mut wire = daemon.wire();
        let argv = ["/bin/sh", "-c", "read a"];
        wire.request("session.create", &json!({"engine": "command", "argv": argv, "cwd": "/tmp"}));
        // The later the round, the later the moment.
        eventually("the session's directory", PATIENCE, || {
            let entries: Vec<_> =
                std::fs::read_dir(daemon.places().sessions()).unwrap().filter_map(Result::ok).collect();
            (entries.len() > before).then_some(())
        });
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(3 * round) {
            std::thread::yield_now();
        }
        daemon.kill9();
        daemon.restart();
        let list = daemon.call("session.list", &json!({"all": true}));
        for session in list["sessions"].as_array().unwrap() {
            let id: SessionId = session["session"].as_str().unwrap().parse().unwrap();
            match session["state"].as_str().unwrap() {
                "running" => {
                    let held = holder(&daemon, id);
                    assert!(identity::is_alive(held.child) && identity::is_alive(held.holder), "{session}");
                    daemon.call("session.screen", &json!({"session": id}));
                    daemon.call("session.stop", &json!({"session": id, "grace_ms": 100}));
                }
                "failed" | "ended" => {
                    eventually("nothing left of it", PATIENCE, || {
                        process::of_session(&id.to_string()).is_empty().then_some(())
                    });
                }
                other => panic!("round {round}: {other}: {session}"),
            }
        }
    }
}

#[test]
fn a_holder_that_is_killed_during_its_start_leaves_nothing_running() {
    let daemon = quiet();
    for round in 0..6u64 {
        let mut wire = daemon.wire();
        let argv = ["/bin/sh", "-c", "read a"];
        wire.request("session.create", &json!({"engine": "command", "argv": argv, "cwd": "/tmp"}));
        let needle = daemon.places().sessions().to_string_lossy().into_owned();
        let own = daemon.pid();
        // The newest process of a holder that is being started.
        let starting = eventually("a holder at its start", PATIENCE, || {
            std::fs::read_dir("/proc")
                .ok()?
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
                .find(|pid| {
                    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                    let text = String::from_utf8_lossy(&text).into_owned();
                    u32::try_from(*pid) != Ok(own) && text.contains("hold\0--directory") && text.contains(&needle)
                })
        });
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2 * round) {
            std::thread::yield_now();
        }
        let _ = kill(Pid::from_raw(starting), Signal::SIGKILL);
        let answer = wire.body();
        let list = daemon.call("session.list", &json!({"all": true}));
        let newest = list["sessions"].as_array().unwrap().last().unwrap().clone();
        let id: SessionId = newest["session"].as_str().unwrap().parse().unwrap();
        if answer.get("error").is_some() {
            assert_eq!(newest["state"], "failed", "{answer} {newest}");
        } else {
            daemon.call("session.stop", &json!({"session": id, "grace_ms": 100}));
        }
        eventually("nothing left of it", PATIENCE, || process::of_session(&id.to_string()).is_empty().then_some(()));
    }
}

/// Descriptors that the daemon stored with the test, which stands in for systemd, by name.
fn stored(socket: &UnixDatagram, count: usize) -> Vec<(String, OwnedFd)> {
    use std::os::fd::AsFd;
    let mut stored = Vec::new();
    let mut buffer = [0; 4096];
    while stored.len() < count {
        let (length, descriptors) = orx_sandbox::descriptors::receive(socket.as_fd(), &mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let name = text.lines().find_map(|line| line.strip_prefix("FDNAME="));
        if text.contains("FDSTORE=1") {
            stored.extend(descriptors.into_iter().map(|descriptor| (name.unwrap().to_owned(), descriptor)));
        }
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_stored_with_systemd_outlive_daemon_holder_and_keeper_together() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0).variable("NOTIFY_SOCKET", path.to_string_lossy());
    });
    let sessions = [command(&daemon, COUNTING), command(&daemon, COUNTING)];
    let taken = stored(&socket, 2);
    let held = sessions.map(|session| holder(&daemon, session));
    daemon.kill9();
    for held in &held {
        kill9(held.keeper.unwrap());
        kill9(held.holder);
    }
    assert!(held.iter().all(|held| identity::is_alive(held.child)), "the stored terminals keep the programs");
    // systemd hands them over from 3 on, with their names.
    let passed: Vec<i32> =
        taken.iter().map(|(_, descriptor)| fcntl(descriptor, FcntlArg::F_DUPFD(700)).unwrap()).collect();
    let names = taken.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(":");
    let moves: String = passed
        .iter()
        .enumerate()
        .map(|(place, number)| format!("exec {}<&{number} {number}<&-; ", place + 3))
        .collect();
    daemon.settings().before = Some(format!(
        "exec bash -c '{moves} export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES={names}; exec \"$0\" \"$@\"' \"$0\" \"$@\""
    ));
    daemon.restart();
    for number in passed {
        nix::unistd::close(number).unwrap();
    }
    drop(taken);
    all_count(&daemon, &sessions).await;
    for (session, held) in sessions.iter().zip(&held) {
        assert_eq!(get(&daemon, *session)["pid"], json!(held.child.pid));
        has_no_gap(&daemon, *session);
    }
    assert!(socket.as_raw_fd() >= 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_of_a_killed_holder_finds_the_same_screen_again() {
    let daemon = quiet();
    let session = command(&daemon, "printf '\\033[?2004h\\033[1;32mgreen\\033[0m'; read a; echo got $a; read b");
    let mut viewer = attach(&daemon, session).await;
    see(&mut viewer, "the screen", |seen| seen.contains("green").then_some(())).await;
    let before = daemon.call("session.screen", &json!({ "session": session }));
    kill9(holder(&daemon, session).holder);
    while let Ok(Some(frame)) = viewer.next().await {
        assert!(!matches!(frame, ToViewer::Ended { .. }), "a killed holder is no end");
    }
    let mut viewer = attach(&daemon, session).await;
    see(&mut viewer, "the screen", |seen| (seen.contains("green") && seen.contains("\u{1b}[?2004h")).then_some(()))
        .await;
    assert_eq!(daemon.call("session.screen", &json!({ "session": session })), before);
    viewer.send(&FromViewer::Input(b"x\n".to_vec())).await.unwrap();
    see(&mut viewer, "the answer", |seen| seen.contains("got x").then_some(())).await;
}
