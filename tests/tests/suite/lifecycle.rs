//! The daemon's life: settings read again, orderly ends, what the service manager is told, workers that die again and
//! again, and subscribers that were away.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orx_client::follow_events;
use orx_tests::harness::{Daemon, Wire, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

fn idle() -> Daemon {
    Daemon::start(|settings| {
        settings.workers(0);
    })
}

fn put(daemon: &Daemon, key: &str) {
    daemon.call("record.put", &json!({"collection": "test", "key": key, "value": {"n": 1}}));
}

#[test]
fn sighup_brings_new_settings_into_force_and_wrong_ones_change_nothing() {
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0).set("workers.naming", 1);
    });
    daemon.wait_for_workers(1);
    let config = daemon.settings().config.clone();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, "version: 1\nworkers: {naming: 0, structure: 0, semantic: 0, manager: 2}\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    eventually("two managers in place of one naming worker", PATIENCE, || {
        let list = daemon.call("worker.list", &json!({}));
        let roles: Vec<&str> =
            list["workers"].as_array()?.iter().filter_map(|worker| worker["role"].as_str()).collect();
        (roles == ["manager", "manager"]).then_some(())
    });
    std::fs::write(&config, format!("{text}\nnonsense: 1\n")).unwrap();
    daemon.signal(Signal::SIGHUP);
    eventually("the refusal in the log", PATIENCE, || daemon.log().contains("those in force stay").then_some(()));
    assert_eq!(daemon.call("health", &json!({}))["status"], "healthy");
}

#[test]
fn a_second_signal_hurries_an_end_that_waits_for_a_worker() {
    let mut daemon = idle();
    let mut worker = daemon.wire();
    worker.result("worker.register", &json!({"role": "slow", "capabilities": ["work"], "capacity": 1}));
    let mut client = daemon.wire();
    client.request("slow.work", &json!({}));
    worker.body();
    daemon.signal(Signal::SIGTERM);
    let told = worker.body();
    assert_eq!(told["method"], "worker.drain", "a worker is told to finish");
    let mut other = daemon.wire();
    let refused =
        other.call("session.create", &json!({"engine": "command", "argv": ["true"], "cwd": "/"})).unwrap_err();
    assert_eq!(refused["data"]["kind"], "draining");
    assert_eq!(other.result("health", &json!({}))["status"], "draining");
    let hurried = Instant::now();
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_for_end();
    assert!(status.success(), "{status}");
    assert!(hurried.elapsed() < Duration::from_secs(10), "the end took {:?}", hurried.elapsed());
}

#[test]
fn an_orderly_end_answers_what_is_in_flight() {
    let mut daemon = idle();
    let mut worker = daemon.wire();
    worker.result("worker.register", &json!({"role": "slow", "capabilities": ["work"], "capacity": 1}));
    let mut client = daemon.wire();
    client.request("slow.work", &json!({}));
    let request = worker.body();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(worker.body()["method"], "worker.drain");
    worker.send_body(json!({"jsonrpc": "2.0", "id": request["id"], "result": {"done": true}}).to_string().as_bytes());
    assert_eq!(client.body()["result"], json!({"done": true}));
    assert!(daemon.wait_for_end().success());
    assert!(!daemon.socket().exists(), "the socket is removed, so that clients see at once that nobody is there");
}

#[test]
fn the_service_manager_is_told_of_readiness_life_and_end() {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0);
    });
    let path = daemon.path("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    daemon.settings().variable("NOTIFY_SOCKET", path.display().to_string()).variable("WATCHDOG_USEC", "400000");
    daemon.restart();
    let next = || {
        let mut buffer = [0; 512];
        let count = manager.recv(&mut buffer).expect("the daemon says something in time");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    assert!(next().contains("READY=1"));
    assert!(next().contains("WATCHDOG=1"));
    assert!(next().contains("WATCHDOG=1"));
    daemon.signal(Signal::SIGTERM);
    let told = std::iter::repeat_with(next).find(|told| !told.contains("WATCHDOG=1")).unwrap();
    assert!(told.contains("STOPPING=1"), "{told}");
    assert!(daemon.wait_for_end().success());
}

#[test]
fn a_worker_that_dies_again_and_again_is_backed_off_and_reported_while_others_serve() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0).set("workers.naming", 1).set("workers.manager", 1);
    });
    daemon.wait_for_workers(2);
    let mut killed = 0;
    eventually("the report of a crash loop", PATIENCE, || {
        for (role, pid) in daemon.pids().workers {
            if role == "naming" {
                // It may have died already.
                let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL);
                killed += 1;
            }
        }
        let events = daemon.call("event.list", &json!({"kinds": ["worker.crash_loop"]}));
        events["events"].get(0).filter(|event| event["subject"] == "naming").map(|_| ())
    });
    assert!(killed >= 5, "{killed} deaths make no crash loop");
    assert_eq!(daemon.call("manager.list", &json!({}))["status"], "ok");
    let list = daemon.call("worker.list", &json!({}));
    let naming = list["supervised"].as_array().unwrap().iter().find(|process| process["role"] == "naming").unwrap();
    assert!(naming["restarts"].as_u64().unwrap() >= 5 && naming["last_exit"] == "signal 9", "{naming}");
    daemon.wait_for_workers(2);
    assert_eq!(daemon.call("health", &json!({}))["status"], "healthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_misses_nothing_and_sees_nothing_twice_over_kills() {
    let mut daemon = idle();
    let head = daemon.call("status", &json!({}))["journal_seq"].as_u64().unwrap();
    let mut follower = follow_events(daemon.socket(), Some(head), vec!["record.*".to_owned()], None).await.unwrap();
    let mut keys = Vec::new();
    for round in 0..4 {
        for number in 0..50 {
            let key = format!("{round}-{number}");
            put(&daemon, &key);
            keys.push(format!("test/{key}"));
        }
        if round < 3 {
            daemon.kill9();
            daemon.restart();
        }
    }
    let mut seen = Vec::new();
    while seen.len() < keys.len() {
        let event = tokio::time::timeout(PATIENCE, follower.next()).await.expect("events come in time").unwrap();
        seen.push(event.subject);
    }
    assert_eq!(seen, keys);
}

#[test]
fn a_named_cursor_is_kept_over_a_kill_and_never_moves_back() {
    let mut daemon = idle();
    for number in 0..10 {
        put(&daemon, &format!("{number}"));
    }
    let since = |wire: &mut Wire, params: Value| wire.result("event.subscribe", &params)["next"].as_u64().unwrap();
    let first = since(&mut daemon.wire(), json!({"cursor": "reader", "kinds": ["record.*"]}));
    assert_eq!(first, 1, "a new cursor begins at the beginning");
    daemon.call("event.acknowledge", &json!({"cursor": "reader", "seq": 6}));
    daemon.kill9();
    daemon.restart();
    assert_eq!(since(&mut daemon.wire(), json!({"cursor": "reader"})), 7);
    daemon.call("event.acknowledge", &json!({"cursor": "reader", "seq": 3}));
    assert_eq!(since(&mut daemon.wire(), json!({"cursor": "reader"})), 7);
}

#[test]
fn events_are_filtered_by_kind_and_subject() {
    let daemon = idle();
    let mut wire = daemon.wire();
    wire.result("event.subscribe", &json!({"since": 0, "kinds": ["record.*"], "subject": "test/b"}));
    for key in ["a", "b", "c", "b"] {
        put(&daemon, key);
    }
    for _ in 0..2 {
        let event = wire.body();
        assert_eq!((&event["method"], &event["params"]["subject"]), (&json!("event"), &json!("test/b")));
    }
}
