//! A disk without room beneath `ORX_HOME`: what cannot be kept is refused and said, what was acknowledged stays, and
//! everything goes on once there is room again. A small file system in memory stands for the disk, which needs root.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use orx_tests::harness::scripted_model::scenarios;
use orx_tests::harness::{Daemon, Repository, Wire, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// A small disk at a directory, taken away with the test.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// `None`, said aloud, where nothing may be mounted.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=12m,mode=0700", "orx-test"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("skipped: a small disk can be mounted by root alone");
        }
        mounted.then(|| Self { at: at.to_owned() })
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.filler()).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the daemon is ended after this.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

/// A daemon whose home is a small disk.
fn daemon() -> Option<(Daemon, Disk)> {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0);
    });
    let disk = Disk::mount(&daemon.places().home)?;
    daemon.launch().unwrap_or_else(|refused| panic!("{}", refused.log));
    Some((daemon, disk))
}

fn next(daemon: &Daemon) -> Result<u64, Value> {
    daemon.wire().call("sequence.next", &json!({"name": "disk"})).map(|answer| answer["value"].as_u64().unwrap())
}

/// Writes until one is refused: what the log has room for is still taken, and counts.
fn refused(daemon: &Daemon, told: &mut Vec<u64>) -> Value {
    for _ in 0..2000 {
        match next(daemon) {
            Ok(value) => told.push(value),
            Err(error) => return error,
        }
    }
    panic!("a full disk took {} writes", told.len());
}

fn health(daemon: &Daemon) -> Value {
    daemon.call("health", &json!({}))["status"].clone()
}

#[test]
fn what_cannot_be_kept_is_refused_as_such_and_what_was_acknowledged_stays() {
    let Some((mut daemon, disk)) = daemon() else { return };
    let mut told = Vec::new();
    for _ in 0..100 {
        told.push(next(&daemon).unwrap());
    }
    disk.fill();
    for _ in 0..20 {
        let error = refused(&daemon, &mut told);
        assert_eq!(error["data"]["kind"], "storage", "{error}");
        assert!(error["message"].as_str().unwrap().contains("full"), "{error}");
        assert_ne!(error["data"]["hint"], "", "{error}");
    }
    assert_eq!(health(&daemon), "degraded");
    let created =
        daemon.wire().call("session.create", &json!({"engine": "command", "argv": ["/bin/cat"], "cwd": "/tmp"}));
    assert_eq!(created.unwrap_err()["data"]["kind"], "storage");
    // Reading goes on.
    assert_eq!(daemon.call("session.list", &json!({}))["sessions"], json!([]));
    let journal = daemon.call("event.list", &json!({}))["events"].as_array().unwrap().len();
    assert!(journal > 0);
    disk.free();
    told.push(next(&daemon).unwrap());
    assert_eq!(health(&daemon), "healthy");
    daemon.kill9();
    daemon.restart();
    told.push(next(&daemon).unwrap());
    let expected: Vec<u64> = (1..=told.len() as u64).collect();
    assert_eq!(told, expected, "an acknowledged number was lost or given twice");
}

#[test]
fn a_daemon_that_starts_on_a_full_disk_tells_what_it_knows_and_takes_writes_when_there_is_room() {
    let Some((mut daemon, disk)) = daemon() else { return };
    let mut told: Vec<u64> = (0..10).map(|_| next(&daemon).unwrap()).collect();
    disk.fill();
    daemon.kill9();
    // The harness waits for a word in the journal, for which there may be no room.
    let mut child = daemon.command().spawn().unwrap();
    eventually("an answer", PATIENCE, || Wire::try_connect(daemon.socket()).ok()?.try_call("health", &json!({}))?.ok());
    assert_eq!(refused(&daemon, &mut told)["data"]["kind"], "storage");
    let status = daemon.orxctl(daemon.directory(), &["status"]);
    assert!(status.stdout.contains("degraded"), "{status:?}");
    disk.free();
    told.push(next(&daemon).unwrap());
    assert_eq!(health(&daemon), "healthy");
    child.kill().unwrap();
    child.wait().unwrap();
    daemon.restart();
    told.push(next(&daemon).unwrap());
    let expected: Vec<u64> = (1..=told.len() as u64).collect();
    assert_eq!(told, expected, "an acknowledged number was lost or given twice");
}

/// A run that waits in its first implementation, beside a home without room.
fn run_in_flight(answers_while_full: bool) {
    let Some((daemon, disk)) = daemon() else { return };
    let go = daemon.path("go");
    let mut scenario: Value = serde_json::from_slice(&std::fs::read(scenarios().join("demo.json")).unwrap()).unwrap();
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
    let params = json!({"repository": repository.path(), "task": "Repair add().", "engine": "command"});
    let run = daemon.call("run.start", &params)["run"].as_str().unwrap().to_owned();
    let get = || daemon.call("run.get", &json!({ "run": run }));
    eventually("the implement stage's process", PATIENCE, || {
        (get()["stage"].as_str()?.starts_with("implement") && !daemon.pids().held.is_empty()).then_some(())
    });
    disk.fill();
    eventually("the store to refuse", PATIENCE, || next(&daemon).is_err().then_some(()));
    if answers_while_full {
        let held = daemon.pids().held;
        std::fs::write(&go, "").unwrap();
        eventually("the engine's end", PATIENCE, || {
            daemon.pids().held.iter().all(|pid| !held.contains(pid)).then_some(())
        });
        let state = get();
        assert_eq!(state["state"], "running", "{state:#}");
        disk.free();
    } else {
        assert_eq!(get()["state"], "running");
        disk.free();
        std::fs::write(&go, "").unwrap();
    }
    let ended = eventually("the end of the run", PATIENCE, || {
        let now = daemon.call("run.wait", &json!({"run": run, "timeout_ms": 5000}));
        (now["state"] != "running").then_some(now)
    });
    assert_eq!(ended["state"], "done", "{ended:#}");
    let items: Vec<&Value> = ended["commits"].as_array().unwrap().iter().map(|commit| &commit["item"]).collect();
    assert_eq!(items, [&json!("W001"), &json!("W002")], "each item is committed once");
    repository.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn a_run_in_flight_goes_on_once_there_is_room_again() {
    run_in_flight(false);
}

#[test]
fn an_engine_that_ends_while_the_disk_is_full_is_not_lost() {
    run_in_flight(true);
}

#[test]
fn a_run_whose_repository_has_no_room_fails_and_is_resumed_when_there_is_some() {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0);
    });
    let Some(disk) = Disk::mount(&daemon.path("disk")) else { return };
    daemon.launch().unwrap_or_else(|refused| panic!("{}", refused.log));
    let repository = Repository::scripted(&daemon.path("disk/project"), &scenarios().join("demo.json"));
    let before = repository.snapshot();
    disk.fill();
    let started = daemon.orxctl(repository.path(), &["--json", "run", "Repair add().", "--engine", "command"]);
    assert_eq!(started.code, Some(1), "{started:?}");
    let failed = started.json();
    assert_eq!(failed["state"], "failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("checking out") && error.contains("unable to write"), "{error}");
    assert_eq!(health(&daemon), "healthy", "the daemon's own disk has room");
    disk.free();
    let resumed = daemon.orxctl(repository.path(), &["resume", failed["run"].as_str().unwrap()]);
    resumed.done();
    assert!(repository.snapshot() == before);
    repository.git(&["fsck", "--strict", "--no-dangling"]);
}
