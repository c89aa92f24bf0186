//! Handing a branch over: pushed and proposed when the repository's settings say so, and only then; and what happens when
//! the other side is not there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use orx_tests::harness::scripted_model::scenarios;
use orx_tests::harness::{Daemon, Ran, Repository, search_path};
use serde_json::{Value, json};

const TASK: &str = "Repair add()\nand add subtract(); mind `$(date)` and 'quotes'.";

/// A daemon with a scripted `gh` first on its `PATH`, a repository with these git settings and hooks that leave a trace.
struct House {
    daemon: Daemon,
    repository: Repository,
}

impl House {
    fn new(git: &Value) -> Self {
        let daemon = Daemon::prepared(|_| {});
        let programs = daemon.path("programs");
        std::fs::create_dir(&programs).unwrap();
        let log = daemon.path("gh.log");
        // `pr view` finds nothing, `pr create` keeps what it was given and tells an address.
        script(
            &programs.join("gh"),
            &format!(
                "printf '%s\\n' \"$@\" -- >> {log}\n[ \"$2\" = create ] || {{ echo 'no pull requests found' >&2; exit 1; }}\n\
                 [ ! -e {refuse} ] || {{ echo 'gh: not logged in' >&2; exit 4; }}\n\
                 while [ $# -gt 0 ]; do [ \"$1\" = --body-file ] && cp \"$2\" {body}; shift; done\n\
                 echo 'Creating pull request'; echo https://example.invalid/pull/7\n",
                log = log.display(),
                refuse = daemon.path("refuse").display(),
                body = daemon.path("body.md").display(),
            ),
        );
        let mut daemon = daemon;
        let path = format!("{}:{}", programs.display(), search_path());
        daemon.settings().workers(0).variable("PATH", path);
        daemon.launch().unwrap_or_else(|refused| panic!("{}", refused.log));
        let repository = Repository::scripted(&daemon.path("project"), &scenarios().join("demo.json"));
        let settings = std::fs::read_to_string(repository.path().join("orx.yaml")).unwrap();
        repository.write("orx.yaml", &format!("{settings}git: {git}\n"));
        repository.commit("How branches are handed over");
        Self { daemon, repository }
    }

    /// Hooks in the user's repository that leave a trace and refuse everything.
    fn plant_hooks(&self) {
        let hooks = self.repository.path().join(".git/hooks");
        std::fs::create_dir_all(&hooks).unwrap();
        for name in ["pre-push", "post-commit", "pre-commit", "reference-transaction", "post-checkout", "update"] {
            script(&hooks.join(name), &format!("echo {name} >> {}\nexit 1\n", self.daemon.path("hooked").display()));
        }
    }

    fn run(&self) -> Ran {
        self.daemon.orxctl(self.repository.path(), &["--json", "run", TASK, "--engine", "command"])
    }

    /// A bare repository as `origin`, which has `main`.
    fn remote(&self) -> Repository {
        let path = self.daemon.path("remote.git");
        let remote = Repository::unborn(&path);
        remote.git(&["config", "core.bare", "true"]);
        self.repository.git(&["remote", "add", "origin", path.to_str().unwrap()]);
        remote.git(&["fetch", "--quiet", self.repository.path().to_str().unwrap(), "main:main"]);
        remote
    }

    fn trace(&self, name: &str) -> String {
        std::fs::read_to_string(self.daemon.path(name)).unwrap_or_default()
    }
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn references(repository: &Repository) -> Vec<String> {
    repository.git(&["for-each-ref", "--format=%(refname)"]).lines().map(str::to_owned).collect()
}

fn implementations(run: &Value) -> usize {
    run["stages"].as_array().unwrap().iter().filter(|stage| stage["stage"] == "implement_item").count()
}

#[test]
fn nothing_is_pushed_or_proposed_unless_the_settings_say_so() {
    let house = House::new(&json!({}));
    let remote = house.remote();
    house.plant_hooks();
    house.run().done();
    assert_eq!(references(&remote), ["refs/heads/main"]);
    assert_eq!(house.trace("gh.log"), "");
    assert_eq!(house.trace("hooked"), "");
}

#[test]
fn a_wanted_push_brings_the_branch_and_nothing_else_and_runs_no_hook() {
    let house = House::new(&json!({"auto_push": true}));
    let remote = house.remote();
    house.repository.git(&["branch", "private-work"]);
    house.repository.git(&["tag", "private-tag"]);
    house.plant_hooks();
    let before = house.repository.snapshot();
    let run = house.run();
    run.done();
    let run = run.json();
    let branch = run["branch"].as_str().unwrap();
    assert_eq!(references(&remote), ["refs/heads/main".to_owned(), format!("refs/heads/{branch}")]);
    let here = house.repository.branches()[branch].clone();
    assert_eq!(remote.branches()[branch], here);
    assert_eq!(house.trace("hooked"), "", "a hook of the user's repository ran");
    assert_eq!(house.trace("gh.log"), "");
    assert!(house.repository.snapshot() == before, "the push changed the checkout, the settings or a branch");
}

#[test]
fn a_missing_remote_is_refused_before_anything_is_paid() {
    for git in [json!({"auto_push": true}), json!({"create_pr": true, "remote": "upstream"})] {
        let house = House::new(&git);
        house.repository.git(&["remote", "add", "elsewhere", "/nonexistent"]);
        let name = git["remote"].as_str().unwrap_or("origin");
        let ran = house.daemon.orxctl(house.repository.path(), &["run", TASK, "--engine", "command"]);
        ran.refused(1, &[&format!("`{name}`"), "elsewhere", "git remote add"]);
        assert_eq!(house.daemon.call("run.list", &json!({}))["runs"], json!([]));
        assert!(!house.repository.path().join(".worktrees").exists());
    }
}

#[test]
fn an_unreachable_remote_fails_the_handing_over_alone_and_a_resume_finishes_it() {
    let house = House::new(&json!({"auto_push": true}));
    let remote = house.remote();
    let (there, away) = (remote.path().to_owned(), house.daemon.path("away.git"));
    std::fs::rename(&there, &away).unwrap();
    let ran = house.run();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let failed = ran.json();
    let (run, error) = (failed["run"].as_str().unwrap(), failed["error"].as_str().unwrap());
    assert!(error.contains("was not pushed") && error.contains("remote.git"), "{error}");
    assert_eq!(failed["state"], "failed");
    let branch = failed["branch"].as_str().expect("the branch is in the repository all the same");
    let commits = failed["commits"].clone();
    assert_eq!(commits.as_array().unwrap().len(), 2);
    std::fs::rename(&away, &there).unwrap();
    let resumed = house.daemon.orxctl(house.repository.path(), &["--json", "resume", run]);
    resumed.done();
    let done = resumed.json();
    assert_eq!((&done["state"], &done["commits"], &done["error"]), (&json!("done"), &commits, &Value::Null));
    assert_eq!(implementations(&done), implementations(&failed), "an item was done again");
    assert_eq!(remote.branches()[branch], house.repository.branches()[branch]);
}

#[test]
fn a_wanted_pull_request_is_a_draft_with_a_body_that_tells_the_truth() {
    let house = House::new(&json!({"create_pr": true}));
    let remote = house.remote();
    house.plant_hooks();
    let ran = house.run();
    ran.done();
    let run = ran.json();
    let branch = run["branch"].as_str().unwrap();
    assert!(remote.branches().contains_key(branch), "a pull request needs its branch pushed");
    let log = house.trace("gh.log");
    let calls: Vec<Vec<&str>> =
        log.split("--\n").map(|call| call.lines().collect()).filter(|call: &Vec<_>| !call.is_empty()).collect();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[0][..3], ["pr", "view", branch]);
    let directory = PathBuf::from(run["directory"].as_str().unwrap());
    let body_file = directory.join("artifacts/pr_body.md");
    assert_eq!(
        calls[1],
        [
            "pr",
            "create",
            "--head",
            branch,
            "--base",
            "main",
            "--title",
            "Repair add()",
            "--body-file",
            body_file.to_str().unwrap(),
            "--draft"
        ]
    );
    let body = house.trace("body.md");
    assert_eq!(body, std::fs::read_to_string(body_file).unwrap());
    assert!(body.contains("> Repair add()\n> and add subtract(); mind `$(date)` and 'quotes'."), "{body}");
    for item in run["items"].as_array().unwrap() {
        let commit = &item["commit"].as_str().unwrap()[..10];
        assert!(body.contains(&format!("- [x] {} ", item["id"].as_str().unwrap())) && body.contains(commit), "{body}");
    }
    let tip = remote.branches()[branch].clone();
    assert!(body.contains(&format!("Of commit {tip}")) && body.contains("| tests | passed | yes |"), "{body}");
    assert!(body.contains(&format!("Base: main at {}", run["base_commit"].as_str().unwrap())), "{body}");
    let address = std::fs::read_to_string(directory.join("artifacts/pr_url.txt")).unwrap();
    assert_eq!(address, "https://example.invalid/pull/7\n");
    assert_eq!(house.trace("hooked"), "");
}

#[test]
fn a_pull_request_that_is_no_draft_is_opened_as_such_and_one_that_fails_can_be_resumed() {
    let house = House::new(&json!({"create_pr": true, "pr_draft": false}));
    let _remote = house.remote();
    std::fs::write(house.daemon.path("refuse"), "").unwrap();
    let failed = house.run();
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let failed = failed.json();
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("the branch was pushed") && error.contains("gh: not logged in"), "{error}");
    std::fs::remove_file(house.daemon.path("refuse")).unwrap();
    let resumed = house.daemon.orxctl(house.repository.path(), &["--json", "resume", failed["run"].as_str().unwrap()]);
    resumed.done();
    assert_eq!(resumed.json()["commits"], failed["commits"]);
    assert!(!house.trace("gh.log").contains("--draft"));
}

#[test]
fn a_branch_that_is_not_made_is_not_pushed_and_that_is_said() {
    let house = House::new(&json!({"auto_commit": false, "auto_push": true}));
    let ran = house.run();
    ran.done();
    let run = ran.json();
    assert_eq!(run["branch"], Value::Null);
    let warnings = run["warnings"].to_string();
    assert!(warnings.contains("git.auto_push") && warnings.contains("no branch is made"), "{warnings}");
}
