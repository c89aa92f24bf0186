//! Sessions and workers when something dies: the daemon, a worker, the process in a session. Holders are in `takeover`.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orx_client::Terminal;
use orx_protocol::SessionId;
use orx_protocol::api::session::{AttachMode, AttachParams};
use orx_protocol::hold::file;
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_tests::harness::{Daemon, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

/// A shell in a session.
fn shell(daemon: &Daemon) -> SessionId {
    let created = daemon.call(
        "session.create",
        &json!({"engine": "command", "argv": ["/bin/sh"], "cwd": "/tmp", "env": {"PS1": "$ "}, "cols": 100, "rows": 30}),
    );
    created["session"].as_str().unwrap().parse().unwrap()
}

async fn attach(daemon: &Daemon, session: SessionId) -> Terminal {
    let params = AttachParams { session, cols: 100, rows: 30, mode: AttachMode::Control, raw: false };
    Terminal::attach(daemon.socket(), params).await.unwrap()
}

/// Types a command and reads until its answer is seen.
async fn ask(viewer: &mut Terminal, command: &str, answer: &str) {
    viewer.send(&FromViewer::Input(format!("{command}\n").into_bytes())).await.unwrap();
    see(viewer, answer).await;
}

/// Reads until a text is seen.
async fn see(viewer: &mut Terminal, text: &str) {
    let mut seen = String::new();
    let reading = async {
        while !seen.contains(text) {
            match viewer.next().await.unwrap().expect("the viewer is still attached") {
                ToViewer::Screen(bytes) | ToViewer::Output(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                ToViewer::Size { .. } | ToViewer::Control { .. } => {}
                // Told only to those who give their terminal away.
                ToViewer::Taken | ToViewer::Typed(_) | ToViewer::Modes(_) | ToViewer::Returned => {}
                ToViewer::Ended { code, signal } => panic!("the session ended: {code:?} {signal:?}"),
            }
        }
    };
    let seen_in_time = tokio::time::timeout(PATIENCE, reading).await.is_ok();
    assert!(seen_in_time, "`{text}` did not appear; what did: {seen}");
}

fn state(daemon: &Daemon, session: SessionId) -> String {
    daemon.call("session.get", &json!({ "session": session }))["state"].as_str().unwrap().to_owned()
}

fn kill9(pid: u64) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_viewers_do_not_notice_that_the_daemon_was_killed() {
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let sessions = [shell(&daemon), shell(&daemon)];
    let mut viewers = [attach(&daemon, sessions[0]).await, attach(&daemon, sessions[1]).await];
    for (number, viewer) in viewers.iter_mut().enumerate() {
        ask(viewer, &format!("echo before-$((40+{number}))"), &format!("before-{}", 40 + number)).await;
    }
    daemon.kill9();
    for (number, viewer) in viewers.iter_mut().enumerate() {
        ask(viewer, &format!("echo away-$((50+{number}))"), &format!("away-{}", 50 + number)).await;
    }
    daemon.restart();
    for (number, session) in sessions.into_iter().enumerate() {
        assert_eq!(state(&daemon, session), "running");
        ask(&mut viewers[number], &format!("echo after-$((60+{number}))"), &format!("after-{}", 60 + number)).await;
        let mut second = attach(&daemon, session).await;
        see(&mut second, &format!("after-{}", 60 + number)).await;
        for text in [format!("before-{}", 40 + number), format!("away-{}", 50 + number)] {
            eventually(&format!("`{text}` in the log"), PATIENCE, || {
                let log = daemon.call("session.log", &json!({ "session": session }));
                log["lines"].as_array()?.iter().filter_map(Value::as_str).any(|line| line.contains(&text)).then_some(())
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_written_while_the_daemon_was_away_is_kept() {
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let script = "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done; read end; exit 7";
    let created =
        daemon.call("session.create", &json!({"engine": "command", "argv": ["/bin/sh", "-c", script], "cwd": "/tmp"}));
    let session: SessionId = created["session"].as_str().unwrap().parse().unwrap();
    daemon.kill9();
    let directory = daemon.places().sessions().join(session.to_string());
    eventually("the last line", PATIENCE, || {
        let output = std::fs::read_to_string(directory.join(file::OUTPUT)).unwrap_or_default();
        output.contains("line-19999").then_some(())
    });
    daemon.restart();
    let mut from = 0;
    let mut lines = Vec::new();
    while lines.len() < 20_000 {
        let page = daemon.call("session.log", &json!({"session": session, "from": from, "limit": 7000}));
        lines.extend(page["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()));
        assert!(page["next"].as_u64().unwrap() > from, "the log does not move on after {} lines", lines.len());
        from = page["next"].as_u64().unwrap();
    }
    assert!(lines.iter().enumerate().all(|(number, line)| *line == format!("line-{number}")));
    daemon.call("session.keys", &json!({"session": session, "keys": ["enter"]}));
    daemon.call("session.wait", &json!({"session": session, "until": "ended", "timeout_ms": 20_000}));
    let session = daemon.call("session.get", &json!({ "session": session }));
    assert_eq!((&session["state"], &session["exit"]), (&json!("ended"), &json!({"code": 7})));
}

#[test]
fn an_end_while_the_daemon_was_away_is_known_after_its_restart() {
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let session = shell(&daemon);
    let pid = daemon.call("session.get", &json!({ "session": session }))["pid"].as_u64().unwrap();
    daemon.kill9();
    kill9(pid);
    let directory = daemon.places().sessions().join(session.to_string());
    eventually("the holder's record", PATIENCE, || directory.join(file::ENDED).exists().then_some(()));
    daemon.restart();
    let session = daemon.call("session.get", &json!({ "session": session }));
    assert_eq!((&session["state"], &session["exit"]), (&json!("ended"), &json!({"signal": 9})));
}

#[test]
fn requests_of_a_killed_worker_are_answered_by_another_within_two_seconds() {
    for role in ["naming", "structure", "semantic", "manager"] {
        let daemon = Daemon::start(|settings| {
            settings.workers(1);
        });
        daemon.wait_for_workers(4);
        let pid = daemon.pids().workers.iter().find(|(name, _)| name == role).unwrap().1;
        let pid = i32::try_from(pid).unwrap();
        // Stopped, it takes the request and cannot answer it.
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        let mut wire = daemon.wire();
        let (method, params) = match role {
            "naming" => ("naming.allocate_capability", json!({"domain": "KILL", "purpose": "redispatch"})),
            "structure" => ("structure.project_map", json!({"path": env!("CARGO_MANIFEST_DIR")})),
            "semantic" => ("semantic.search", json!({"path": env!("CARGO_MANIFEST_DIR"), "query": "survival"})),
            _ => ("manager.list", json!({})),
        };
        wire.request(method, &params);
        let list = daemon.wire();
        eventually("the request to be in flight", PATIENCE, || {
            let workers = daemon.call("worker.list", &json!({}));
            workers["workers"]
                .as_array()?
                .iter()
                .any(|worker| worker["role"] == role && worker["in_flight"] == 1)
                .then_some(())
        });
        drop(list);
        let killed = Instant::now();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let answer = wire.body();
        let took = killed.elapsed();
        assert!(answer.get("result").is_some(), "{role}: {answer}");
        assert!(took < Duration::from_secs(2), "{role} was answered after {took:?}");
        if role == "naming" {
            assert_eq!(answer["result"]["slug"], "CAP-KILL-1");
            let next = daemon.call("naming.allocate_capability", &json!({"domain": "KILL", "purpose": "next"}));
            assert_eq!(next["slug"], "CAP-KILL-2");
        }
    }
}

#[test]
fn work_goes_to_the_least_loaded_of_several_instances() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0).set("workers.naming", 3);
    });
    daemon.wait_for_workers(3);
    for number in 0..30 {
        daemon.call("naming.validate_name", &json!({"kind": "capability", "name": format!("CAP-AUTH-{number}")}));
    }
    let list = daemon.call("worker.list", &json!({}));
    let answered: Vec<u64> =
        list["workers"].as_array().unwrap().iter().map(|worker| worker["answered"].as_u64().unwrap()).collect();
    assert_eq!(answered, [10, 10, 10]);
}

#[test]
fn a_worker_that_is_not_marked_as_repeatable_answers_that_it_is_not_known() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let mut worker = daemon.wire();
    worker.result("worker.register", &json!({"role": "printer", "capabilities": ["print"], "capacity": 2}));
    let mut client = daemon.wire();
    client.request("printer.print", &json!({"page": 1}));
    let request = worker.body();
    assert_eq!((&request["method"], &request["params"]), (&json!("printer.print"), &json!({"page": 1})));
    drop(worker);
    assert_eq!(client.error_kind(), "worker_lost");
}
