//! A run in a person's hands: `orxctl run` and Ctrl-C, `cancel`, `resume` and `clean`, also where they do not fit.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orx_tests::harness::scripted_model::scenarios;
use orx_tests::harness::{Daemon, Ran, Repository, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const TASK: &str = "Repair add(). Then add subtract(a, b), with a test of its own.";

/// A daemon and a repository whose first implementation, or second, waits until it may go on.
struct House {
    daemon: Daemon,
    repository: Repository,
}

impl House {
    fn new(waits: &str) -> Self {
        let daemon = Daemon::start(|settings| {
            settings.workers(0);
        });
        let go = daemon.path("go");
        let mut scenario: Value =
            serde_json::from_slice(&std::fs::read(scenarios().join("demo.json")).unwrap()).unwrap();
        for rule in scenario["rules"].as_array_mut().unwrap() {
            if rule["when"]["stage"] == "implement" && rule["when"]["item"] == waits {
                for step in rule["steps"].as_array_mut().unwrap() {
                    step["wait_for_file"] = json!(go);
                }
            }
        }
        let path = daemon.path("scenario.json");
        std::fs::write(&path, scenario.to_string()).unwrap();
        let repository = Repository::scripted(&daemon.path("project"), &path);
        Self { daemon, repository }
    }

    fn orxctl(&self, arguments: &[&str]) -> Ran {
        self.daemon.orxctl(self.repository.path(), arguments)
    }

    /// Starts a run and waits until it stands in the implementation that waits.
    fn start(&self) -> String {
        let started = self.orxctl(&["run", TASK, "--engine", "command", "--detach"]);
        let run = started.done().trim().to_owned();
        self.wait_for_implementation(&run);
        run
    }

    fn wait_for_implementation(&self, run: &str) {
        eventually("the implementation that waits", PATIENCE, || {
            let last = self.get(run)["stages"].as_array()?.last()?.clone();
            let waits = last["stage"] == "implement_item" && !self.daemon.pids().held.is_empty();
            // The one before needs no more than a moment.
            (waits && !self.daemon.path("go").exists()).then_some(())
        });
    }

    fn get(&self, run: &str) -> Value {
        self.daemon.call("run.get", &json!({ "run": run }))
    }

    fn let_go(&self) {
        std::fs::write(self.daemon.path("go"), "").unwrap();
    }

    fn is_there(&self, run: &str) -> (bool, bool) {
        let root = self.repository.path();
        (root.join("runs").join(run).exists(), root.join(".worktrees").join(run).exists())
    }
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}

#[test]
fn ctrl_c_leaves_the_run_at_work_and_says_how_to_come_back() {
    let house = House::new("W001");
    let mut child = house
        .daemon
        .orxctl_command(house.repository.path(), &["run", TASK, "--engine", "command"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let run = first.split_whitespace().next().unwrap().to_owned();
    house.wait_for_implementation(&run);
    let shown = lines.find(|line| line.as_ref().unwrap().contains("implement"));
    assert!(shown.is_some(), "the stages are shown as they begin");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{rest:?} {told}");
    for word in [run.as_str(), "goes on", "--follow", "orxctl cancel"] {
        assert!(told.contains(word), "{word:?} is not in {told:?}");
    }
    assert_eq!(house.get(&run)["state"], "running");
    assert_eq!(house.daemon.pids().held.len(), 1, "the engine was interrupted too");
    house.let_go();
    let followed = house.orxctl(&["status", &run[run.len() - 8..], "--follow"]);
    assert!(followed.done().contains("done"), "{followed:?}");
    assert_eq!(house.get(&run)["state"], "done");
}

#[test]
fn a_run_is_cancelled_and_resumed_and_each_only_where_it_fits() {
    let house = House::new("W002");
    let run = house.start();
    eventually("the first item", PATIENCE, || (house.get(&run)["commits"].as_array()?.len() == 1).then_some(()));
    house.wait_for_implementation(&run);
    house.orxctl(&["resume", &run]).refused(1, &["at work"]);
    let cancelled = house.orxctl(&["cancel", &run]);
    assert!(cancelled.done().contains("orxctl resume"), "{cancelled:?}");
    assert_eq!(house.get(&run)["state"], "cancelled");
    assert!(house.daemon.pids().held.is_empty(), "what it had under way still runs");
    house.orxctl(&["cancel", &run]).refused(1, &["cancelled"]);
    house.let_go();
    let resumed = house.orxctl(&["--json", "resume", &run]);
    resumed.done();
    let resumed = resumed.json();
    let items: Vec<&Value> = resumed["commits"].as_array().unwrap().iter().map(|commit| &commit["item"]).collect();
    assert_eq!((&resumed["state"], items.as_slice()), (&json!("done"), &[&json!("W001"), &json!("W002")][..]));
    house.orxctl(&["resume", &run]).refused(1, &["done"]);
    house.orxctl(&["cancel", &run]).refused(1, &["done"]);
    house.orxctl(&["resume", "run_01ARZ3NDEKTSV4RRFFQ69G5FAV"]).refused(1, &["run_01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    house.orxctl(&["cancel", "nothing-like-it"]).refused(1, &["nothing-like-it"]);
}

#[test]
fn clean_takes_away_what_is_published_and_may_be_repeated() {
    let house = House::new("nothing");
    let ran = house.orxctl(&["--json", "run", TASK, "--engine", "command"]);
    ran.done();
    let run = ran.json()["run"].as_str().unwrap().to_owned();
    let branches = house.repository.branches();
    assert_eq!(house.is_there(&run), (true, true));
    let cleaned = house.orxctl(&["--json", "clean", &run]);
    let outcome = cleaned.json()[0].clone();
    assert_eq!(cleaned.code, Some(0), "{cleaned:?}");
    assert_eq!(outcome["removed"].as_array().unwrap().len(), 2, "{outcome}");
    assert_eq!((&outcome["kept"], &outcome["branch"]), (&json!([]), &json!(format!("orx/{run}"))));
    assert_eq!(house.is_there(&run), (false, false));
    assert_eq!(house.repository.branches(), branches);
    assert!(is_empty(&house.daemon.places().home.join("repositories")), "the daemon's side of the worktree is left");
    let again = house.orxctl(&["clean", &run]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stdout.contains("nothing to remove"), "{again:?}");
    let all = house.orxctl(&["clean", "all"]);
    assert_eq!((all.code, all.stdout.as_str()), (Some(0), ""), "{all:?}");
    assert!(all.stderr.contains("nothing"), "{all:?}");
    // The record stays, and says so.
    let shown = house.get(&run);
    assert_eq!((&shown["state"], &shown["worktree"]), (&json!("done"), &Value::Null));
    house.orxctl(&["status", &run]).done();
}

#[test]
fn clean_keeps_work_that_is_on_no_branch_until_it_is_told_twice() {
    let house = House::new("W002");
    let run = house.start();
    eventually("the first item", PATIENCE, || (house.get(&run)["commits"].as_array()?.len() == 1).then_some(()));
    house.wait_for_implementation(&run);
    let at_work = house.orxctl(&["clean", &run]);
    at_work.refused(1, &["at work", "cancel"]);
    let forced = house.orxctl(&["clean", &run, "-f"]);
    forced.refused(1, &["at work", "cancel"]);
    house.orxctl(&["clean", "all"]).done();
    assert_eq!((house.is_there(&run), &house.get(&run)["state"]), ((true, true), &json!("running")));
    house.orxctl(&["cancel", &run]).done();
    for _ in 0..2 {
        let kept = house.orxctl(&["clean", &run]);
        assert_eq!(kept.code, Some(1), "{kept:?}");
        assert!(kept.stdout.contains("on no branch") && kept.stderr.contains("-f"), "{kept:?}");
        assert!(!kept.stdout.contains("removed"), "{kept:?}");
        assert_eq!(house.is_there(&run), (true, true));
    }
    // What was kept can still be finished.
    house.let_go();
    house.orxctl(&["resume", &run]).done();
    assert_eq!(house.get(&run)["state"], "done");
}

#[test]
fn clean_with_force_removes_work_that_is_on_no_branch() {
    let house = House::new("W002");
    let run = house.start();
    eventually("the first item", PATIENCE, || (house.get(&run)["commits"].as_array()?.len() == 1).then_some(()));
    house.orxctl(&["cancel", &run]).done();
    house.orxctl(&["clean", &run]).refused(1, &[]);
    let before = house.repository.snapshot();
    house.orxctl(&["clean", &run, "--force"]).done();
    assert_eq!(house.is_there(&run), (false, false));
    assert!(house.repository.snapshot() == before);
    assert!(is_empty(&house.daemon.places().home.join("repositories")));
    house.orxctl(&["resume", &run]).refused(1, &["removed"]);
    house.orxctl(&["clean", &run, "-f"]).done();
}

#[test]
fn clean_takes_the_daemons_side_too_when_the_worktrees_were_deleted_by_hand() {
    let house = House::new("W002");
    let run = house.start();
    eventually("the first item", PATIENCE, || (house.get(&run)["commits"].as_array()?.len() == 1).then_some(()));
    house.orxctl(&["cancel", &run]).done();
    std::fs::remove_dir_all(house.repository.path().join(".worktrees")).unwrap();
    let kept = house.orxctl(&["clean", &run]);
    assert_eq!(kept.code, Some(1), "{kept:?}");
    assert!(kept.stdout.contains("on no branch"), "{kept:?}");
    house.orxctl(&["resume", &run]).refused(1, &[]);
    house.orxctl(&["clean", &run, "-f"]).done();
    assert!(is_empty(&house.daemon.places().home.join("repositories")), "the daemon's side of the worktree is left");

    // The whole repository is gone.
    house.let_go();
    let done = house.orxctl(&["--json", "run", TASK, "--engine", "command"]);
    let run = done.json()["run"].as_str().unwrap().to_owned();
    assert_eq!(done.code, Some(0), "{done:?}");
    std::fs::remove_dir_all(house.repository.path()).unwrap();
    let here = house.daemon.directory();
    let kept = house.daemon.orxctl(here, &["clean", &run]);
    assert_eq!(kept.code, Some(1), "{kept:?}");
    assert!(kept.stdout.contains("could not be asked"), "{kept:?}");
    let gone = house.daemon.orxctl(here, &["clean", &run, "-f"]);
    assert!(!gone.done().contains("stays"), "a branch of a repository that is gone is no branch: {gone:?}");
    assert!(is_empty(&house.daemon.places().home.join("repositories")));
}
