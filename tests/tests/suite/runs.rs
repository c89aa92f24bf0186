//! Whole runs through the daemon, with the scripted CLI as the engine `command`: what they leave, what they leave alone,
//! and that a killed daemon loses nothing of them.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orx_tests::harness::{Daemon, Repository, eventually, scripted_model, search_path};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const TASK: &str =
    "Repair add() and add subtract(); mind 'quotes', \"double ones\", $HOME, `date`, \\ and\na second line; rm -rf /";

fn daemon() -> Daemon {
    Daemon::start(|settings| {
        settings.workers(0);
    })
}

/// The demo's repository, its work done by the scripted CLI with this scenario.
fn project(daemon: &Daemon, scenario: &Path) -> Repository {
    Repository::scripted(&daemon.path("project"), scenario)
}

/// The demo's scenario with each answer delayed, and the first change of W001 waiting for a file, if wanted.
fn slow_scenario(daemon: &Daemon, delay_ms: u64, wait_for: Option<&Path>) -> PathBuf {
    let text = std::fs::read(scripted_model::scenarios().join("demo.json")).unwrap();
    let mut scenario: Value = serde_json::from_slice(&text).unwrap();
    for rule in scenario["rules"].as_array_mut().unwrap() {
        let waits = rule["when"]["stage"] == "implement" && rule["when"]["item"] == "W001";
        for step in rule["steps"].as_array_mut().unwrap() {
            step["delay_ms"] = json!(delay_ms);
            if let (true, Some(file)) = (waits, wait_for) {
                step["wait_for_file"] = json!(file);
            }
        }
    }
    let path = daemon.path("scenario.json");
    std::fs::write(&path, scenario.to_string()).unwrap();
    path
}

fn start(daemon: &Daemon, repository: &Repository) -> String {
    let started =
        daemon.call("run.start", &json!({"repository": repository.path(), "task": TASK, "engine": "command"}));
    started["run"].as_str().unwrap().to_owned()
}

fn get(daemon: &Daemon, run: &str) -> Value {
    daemon.call("run.get", &json!({ "run": run }))
}

fn wait(daemon: &Daemon, run: &str) -> Value {
    eventually("the end of the run", PATIENCE, || {
        let state = daemon.call("run.wait", &json!({"run": run, "timeout_ms": 5000}));
        (state["state"] != "running").then_some(state)
    })
}

/// Checks what a finished run of the demo's scenario must have left, each item once.
fn is_done(repository: &Repository, run: &Value) {
    assert_eq!(run["state"], "done", "{run:#}");
    let items: Vec<(&str, &str)> = run["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["id"].as_str().unwrap(), item["status"].as_str().unwrap()))
        .collect();
    assert_eq!(items, [("W001", "done"), ("W002", "done")], "{run:#}");
    let branch = run["branch"].as_str().unwrap();
    let subjects = repository.git(&["log", "--reverse", "--format=%H", &format!("main..{branch}")]);
    let commits: Vec<&str> = subjects.lines().collect();
    let told: Vec<&str> =
        run["commits"].as_array().unwrap().iter().filter_map(|commit| commit["commit"].as_str()).collect();
    assert_eq!(commits, told, "the branch holds the commits that the run tells of, and no other");
    for item in ["W001", "W002"] {
        let of_item = run["commits"].as_array().unwrap().iter().filter(|commit| commit["item"] == item).count();
        assert_eq!(of_item, 1, "{item} was committed {of_item} times: {run:#}");
    }
    let calculator = repository.git(&["show", &format!("{branch}:calculator.py")]);
    assert!(calculator.contains("return a + b") && calculator.matches("def subtract").count() == 1, "{calculator}");
    repository.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn a_run_ends_with_a_gated_branch_and_leaves_the_users_work_alone() {
    let daemon = daemon();
    let repository = project(&daemon, &scripted_model::scenarios().join("demo.json"));
    // A user in the middle of something: a stash, something staged, something modified, something new.
    repository.write("calculator.py", "stashed\n");
    repository.git(&["stash", "--quiet"]);
    repository.write("staged.txt", "staged\n");
    repository.git(&["add", "staged.txt"]);
    repository.write("test_calculator.py", "modified\n");
    repository.write("untracked.txt", "untracked\n");
    let before = repository.snapshot();
    let run = start(&daemon, &repository);
    let ended = wait(&daemon, &run);
    is_done(&repository, &ended);
    assert_eq!(repository.snapshot(), before);
    let warned =
        ended["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains("uncommitted"));
    assert!(warned, "uncommitted work is not taken along, and that is said: {}", ended["warnings"]);
    assert_eq!(ended["task"], TASK);
    // The first attempt at W002 is wrong on purpose: its gate failed, and the fix passed.
    let verdicts: Vec<(&str, &str)> = ended["gates"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|gate| gate["item"] == "W002")
        .map(|gate| (gate["gate"].as_str().unwrap(), gate["verdict"].as_str().unwrap()))
        .collect();
    assert!(verdicts.contains(&("tests", "failed")) && verdicts.last() == Some(&("tests", "passed")), "{verdicts:?}");
    // S3's tree of files.
    let directory = PathBuf::from(ended["directory"].as_str().unwrap());
    for name in [
        "meta.json",
        "state.json",
        "events.jsonl",
        "context/task.md",
        "context/plan.md",
        "context/backlog.yaml",
        "artifacts/patch.diff",
    ] {
        assert!(directory.join(name).is_file(), "{name} is not in {}", directory.display());
    }
    assert_eq!(std::fs::read_to_string(directory.join("context/task.md")).unwrap().trim_end(), TASK);
}

#[test]
fn e_a_default_run_makes_no_network_call() {
    let spies = tempfile::tempdir().unwrap();
    let log = spies.path().join("log");
    for name in ["git", "gh", "ssh", "curl"] {
        let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|directory| directory.join(name))
            .find(|path| path.is_file());
        let line = real.map_or("exit 1".to_owned(), |real| format!("exec {} \"$@\"", real.display()));
        let spy = spies.path().join(name);
        std::fs::write(&spy, format!("#!/bin/sh\necho \"{name} $*\" >> {}\n{line}\n", log.display())).unwrap();
        std::fs::set_permissions(&spy, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", spies.path().display(), search_path());
    let daemon = Daemon::start(|settings| {
        settings.workers(0).variable("PATH", path);
    });
    let repository = project(&daemon, &scripted_model::scenarios().join("demo.json"));
    repository.git(&["remote", "add", "origin", "https://example.invalid/x.git"]);
    let run = start(&daemon, &repository);
    is_done(&repository, &wait(&daemon, &run));
    let calls = std::fs::read_to_string(&log).unwrap();
    assert!(calls.contains("git "), "the spy was not asked");
    for call in calls.lines() {
        let words: BTreeSet<&str> = call.split_whitespace().collect();
        let outward = ["push", "pull", "ls-remote", "send-pack", "gh", "ssh", "curl"];
        assert!(!outward.iter().any(|word| words.contains(word)), "{call}");
        let fetches_from_the_remote = words.contains("fetch") && words.contains("origin");
        assert!(!call.contains("example.invalid") && !fetches_from_the_remote, "{call}");
    }
}

#[test]
fn a_daemon_killed_in_the_implement_stage_finishes_the_run_after_its_restart() {
    let mut daemon = daemon();
    let go = daemon.path("go");
    let scenario = slow_scenario(&daemon, 0, Some(&go));
    let repository = project(&daemon, &scenario);
    let run = start(&daemon, &repository);
    eventually("the implement stage", PATIENCE, || {
        let state = get(&daemon, &run);
        assert_eq!(state["state"], "running", "{state:#}");
        state["stage"].as_str().unwrap().starts_with("implement").then_some(())
    });
    daemon.kill9();
    // The CLI goes on while nobody looks.
    std::fs::write(&go, "").unwrap();
    daemon.restart();
    is_done(&repository, &wait(&daemon, &run));
}

#[test]
fn a_killed_cli_fails_its_stage_with_the_reason_and_the_run_deals_with_it() {
    let daemon = daemon();
    let go = daemon.path("go");
    let scenario = slow_scenario(&daemon, 0, Some(&go));
    let repository = project(&daemon, &scenario);
    let run = start(&daemon, &repository);
    let held = eventually("the implement stage's process", PATIENCE, || {
        let state = get(&daemon, &run);
        state["stage"].as_str().unwrap().starts_with("implement").then_some(())?;
        daemon.pids().held.first().copied()
    });
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(held.try_into().unwrap()), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    std::fs::write(&go, "").unwrap();
    let ended = wait(&daemon, &run);
    let failed = ended["stages"].as_array().unwrap().iter().find(|stage| stage["status"] == "failed");
    let reason =
        failed.and_then(|stage| stage["error"].as_str()).unwrap_or_else(|| panic!("no stage failed: {ended:#}"));
    assert!(reason.contains("signal 9"), "{reason}");
    let ended = if ended["state"] == "failed" {
        daemon.call("run.resume", &json!({ "run": run }));
        wait(&daemon, &run)
    } else {
        ended
    };
    is_done(&repository, &ended);
}

#[test]
fn fifty_kills_at_random_moments_lose_nothing_and_do_nothing_twice() {
    let mut daemon = daemon();
    let scenario = slow_scenario(&daemon, 40, None);
    let repository = project(&daemon, &scenario);
    let before = repository.snapshot();
    let mut kills = 0;
    // A fixed generator: a failure can be repeated as far as timing lets it.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while kills < 50 {
        let run = start(&daemon, &repository);
        loop {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let until = Instant::now() + Duration::from_millis(state % 400);
            let ended = loop {
                if get(&daemon, &run)["state"] != "running" {
                    break true;
                }
                if Instant::now() >= until {
                    break false;
                }
            };
            if ended || kills >= 50 {
                break;
            }
            daemon.kill9();
            kills += 1;
            daemon.restart();
            journal_is_whole(&daemon);
            assert_eq!(repository.snapshot(), before, "kill {kills} changed the user's checkout");
            repository.git(&["fsck", "--strict", "--no-dangling"]);
        }
        is_done(&repository, &wait(&daemon, &run));
    }
}

/// The journal has every number from 1 to its newest, each once.
fn journal_is_whole(daemon: &Daemon) {
    let mut since = 0;
    loop {
        let page = daemon.call("event.list", &json!({"since": since, "limit": 1000}));
        let events = page["events"].as_array().unwrap();
        for event in events {
            assert_eq!(event["seq"].as_u64().unwrap(), since + 1, "the journal has a gap");
            since += 1;
        }
        if events.len() < 1000 {
            return;
        }
    }
}
