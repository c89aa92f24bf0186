//! What a person does with a run that is at work: ends it, takes it up again, replaces the daemon beneath it, and keeps
//! sessions of their own beside it.

use std::time::Duration;

use orx_client::Terminal;
use orx_protocol::SessionId;
use orx_protocol::api::session::{AttachMode, AttachParams};
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_tests::harness::scripted_model::scenarios;
use orx_tests::harness::{Daemon, Repository, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const TASK: &str = "Repair add(). Then add subtract(a, b), with a test of its own.";

/// A daemon, and a run whose first implementation waits until it may go on.
struct House {
    daemon: Daemon,
    repository: Repository,
    before: std::collections::BTreeMap<String, Vec<u8>>,
    run: String,
}

impl House {
    fn new() -> Self {
        let daemon = Daemon::start(|settings| {
            settings.workers(1);
        });
        let go = daemon.path("go");
        let mut scenario: Value =
            serde_json::from_slice(&std::fs::read(scenarios().join("demo.json")).unwrap()).unwrap();
        for rule in scenario["rules"].as_array_mut().unwrap() {
            if rule["when"]["stage"] == "implement" && rule["when"]["item"] == "W001" {
                for step in rule["steps"].as_array_mut().unwrap() {
                    step["wait_for_file"] = json!(go);
                }
            }
        }
        let path = daemon.path("scenario.json");
        std::fs::write(&path, scenario.to_string()).unwrap();
        let repository = Repository::scripted(&daemon.path("project"), &path);
        let before = repository.snapshot();
        let params = json!({"repository": repository.path(), "task": TASK, "engine": "command"});
        let run = daemon.call("run.start", &params)["run"].as_str().unwrap().to_owned();
        let house = Self { daemon, repository, before, run };
        eventually("the implement stage's process", PATIENCE, || {
            let run = house.daemon.call("run.get", &json!({"run": house.run}));
            (run["stage"].as_str()?.starts_with("implement") && !house.daemon.pids().held.is_empty()).then_some(())
        });
        house
    }

    fn let_go(&self) {
        std::fs::write(self.daemon.path("go"), "").unwrap();
    }

    fn check_done(&self) {
        let record = eventually("the run to stand still", PATIENCE, || {
            let now = self.daemon.call("run.wait", &json!({"run": self.run, "timeout_ms": 5000}));
            (now["state"] != "running").then_some(now)
        });
        assert_eq!(record["state"], "done", "{record:#}");
        let items: Vec<&Value> = record["commits"].as_array().unwrap().iter().map(|commit| &commit["item"]).collect();
        assert_eq!(items, [&json!("W001"), &json!("W002")], "each item is committed once");
        assert!(self.repository.snapshot() == self.before, "the user's checkout, index, stash or branches changed");
    }
}

#[test]
fn a_cancelled_run_leaves_nothing_running_and_can_be_resumed_to_the_end() {
    let house = House::new();
    let cancelled = house.daemon.call("run.cancel", &json!({"run": house.run}));
    assert_eq!(cancelled["state"], "cancelled");
    assert!(house.daemon.pids().held.is_empty(), "what the run had under way still runs");
    assert!(!house.repository.branches().keys().any(|branch| branch.contains(&house.run)), "there is a branch already");
    house.let_go();
    house.daemon.call("run.resume", &json!({"run": house.run}));
    house.check_done();
}

#[test]
fn an_orderly_end_of_the_daemon_leaves_a_run_to_the_next_one() {
    let mut house = House::new();
    let held = house.daemon.pids().held;
    let status = house.daemon.terminate();
    assert!(status.success(), "an orderly end: {status}");
    house.daemon.restart();
    assert_eq!(house.daemon.pids().held, held, "the engine's process was not kept");
    house.let_go();
    house.check_done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_costs_a_run_and_two_attached_sessions_a_pause_at_most() {
    let mut house = House::new();
    let mut viewers = Vec::new();
    for _ in 0..2 {
        let params = json!({"engine": "command", "argv": ["/bin/cat"], "cwd": "/tmp"});
        let created = house.daemon.call("session.create", &params);
        let session: SessionId = created["session"].as_str().unwrap().parse().unwrap();
        let params = AttachParams { session, cols: 80, rows: 24, mode: AttachMode::Control, raw: false };
        viewers.push((session, Terminal::attach(house.daemon.socket(), params).await.unwrap()));
    }
    house.daemon.kill9();
    for (_, viewer) in &mut viewers {
        type_and_see(viewer, "while it was away").await;
    }
    house.let_go();
    house.daemon.restart();
    for (session, viewer) in &mut viewers {
        type_and_see(viewer, "after it came back").await;
        let params = AttachParams { session: *session, cols: 80, rows: 24, mode: AttachMode::View, raw: false };
        let mut second = Terminal::attach(house.daemon.socket(), params).await.unwrap();
        see(&mut second, "while it was away").await;
    }
    house.check_done();
}

async fn type_and_see(viewer: &mut Terminal, text: &str) {
    viewer.send(&FromViewer::Input(format!("{text}\n").into_bytes())).await.unwrap();
    see(viewer, text).await;
}

async fn see(viewer: &mut Terminal, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        let next = tokio::time::timeout(PATIENCE, viewer.next()).await.expect("something is shown in time");
        match next.unwrap().expect("the viewer is still attached") {
            ToViewer::Screen(bytes) | ToViewer::Output(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
            ToViewer::Size { .. } | ToViewer::Control { .. } => {}
            // Told only to those who give their terminal away.
            ToViewer::Taken | ToViewer::Typed(_) | ToViewer::Modes(_) | ToViewer::Returned => {}
            ToViewer::Ended { code, signal } => panic!("the session ended: {code:?} {signal:?}"),
        }
    }
}
