//! The repository that the demo works on, and the check, from outside, of what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// Files of the repository and where their text is kept.
const FILES: [(&str, &str); 4] = [
    (".gitignore", "gitignore"),
    ("calculator.py", "calculator.py"),
    ("test_calculator.py", "test_calculator.py"),
    ("orx.yaml", "orx.yaml"),
];

/// A repository with one commit, whose test fails.
pub struct Project {
    path: PathBuf,
    before: Snapshot,
}

/// What the user would notice if it changed.
type Snapshot = BTreeMap<String, Vec<u8>>;

impl Project {
    /// Makes it; `executors` is what `orx.yaml` says of them, if anything.
    pub fn create(path: &Path, executors: &Value) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let source = shell::root().join("tests/data/calculator");
        for (name, from) in FILES {
            std::fs::copy(source.join(from), path.join(name)).with_context(|| format!("{name} cannot be written"))?;
        }
        if !executors.is_null() {
            let file = path.join("orx.yaml");
            let text = std::fs::read_to_string(&file)?;
            std::fs::write(&file, format!("{text}executors: {executors}\n"))?;
        }
        git(path, &["init", "--quiet", "--initial-branch=main"])?;
        git(path, &["add", "--all"])?;
        git(path, &["commit", "--quiet", "--message", "A calculator"])?;
        if tests_pass(path)? {
            bail!("the test of the fresh repository passes, so there is nothing to show");
        }
        Ok(Self { path: path.to_owned(), before: snapshot(path)? })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks what the run claims, without asking the daemon.
    pub fn check(&self, run: &Value) -> Result<String> {
        if run["state"] != "done" {
            bail!("the run is not done but {}: {}", run["state"], run["error"]);
        }
        let gates = run["gates"].as_array().context("the run has no gates")?;
        let verdict = gates.iter().rev().find(|gate| gate["gate"] == "tests").map(|gate| &gate["verdict"]);
        if verdict != Some(&Value::from("passed")) {
            bail!("the gate `tests` did not pass: {verdict:?}");
        }
        let branch = run["branch"].as_str().context("the run has no branch")?;
        let commits = git(&self.path, &["rev-list", "--count", &format!("main..{branch}")])?;
        if commits == "0" {
            bail!("the branch {branch} has no commit of its own");
        }
        let fresh = tempfile::Builder::new().prefix("orx-check-").tempdir()?;
        let clone = fresh.path().join("clone");
        let mut command = Command::new("git");
        command.args(["clone", "--quiet", "--branch", branch]).arg(&self.path).arg(&clone);
        shell::output(&mut command)?;
        if !tests_pass(&clone)? {
            bail!("the test fails in a fresh clone of {branch}");
        }
        // A branch could pass by changing what judges it: the tests and the gate of the base have the last word.
        git(&clone, &["checkout", "--quiet", "origin/main", "--", "test_calculator.py"])?;
        if !tests_pass(&clone)? {
            bail!("the tests of main fail with the calculator of {branch}");
        }
        if !git(&clone, &["diff", "--name-only", "origin/main", "HEAD", "--", "orx.yaml"])?.is_empty() {
            bail!("the branch {branch} changes orx.yaml, which judges it");
        }
        let after = snapshot(&self.path)?;
        let changed: Vec<&str> = self
            .before
            .keys()
            .chain(after.keys())
            .filter(|name| self.before.get(*name) != after.get(*name))
            .map(String::as_str)
            .collect();
        if !changed.is_empty() {
            bail!("the run changed the user's own checkout: {}", changed.join(", "));
        }
        Ok("its test passes in a fresh clone; checkout, index, stash and main are as they were".to_owned())
    }

    /// The difference that the branch makes.
    pub fn diff(&self, base: &str, branch: &str) -> Result<(String, String)> {
        let range = format!("{base}..{branch}");
        Ok((git(&self.path, &["diff", "--stat", &range])?, git_shown(&self.path, &["diff", &range])?))
    }
}

/// Whether the project's test passes here.
fn tests_pass(path: &Path) -> Result<bool> {
    let status = Command::new("python3")
        .args(["-m", "unittest"])
        .current_dir(path)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("python3 could not be started")?;
    Ok(status.success())
}

fn command(path: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(path)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env("GIT_AUTHOR_NAME", "orx demo")
        .env("GIT_AUTHOR_EMAIL", "demo@example.com")
        .env("GIT_COMMITTER_NAME", "orx demo")
        .env("GIT_COMMITTER_EMAIL", "demo@example.com")
        .env("GIT_OPTIONAL_LOCKS", "0");
    command
}

fn git(path: &Path, arguments: &[&str]) -> Result<String> {
    shell::output(&mut command(path, arguments))
}

/// As [`git`], with colours where a person sees them.
fn git_shown(path: &Path, arguments: &[&str]) -> Result<String> {
    let colour = if shell::is_coloured() { "color.ui=always" } else { "color.ui=never" };
    let mut all = vec!["-c", colour];
    all.extend(arguments);
    git(path, &all)
}

fn snapshot(path: &Path) -> Result<Snapshot> {
    let mut snapshot = Snapshot::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Runs and worktrees are orx's own places in a repository, ignored through .git/info/exclude.
        if entry.file_type()?.is_file() {
            snapshot.insert(name, std::fs::read(entry.path())?);
        } else if !matches!(name.as_str(), ".git" | "runs" | ".worktrees" | "__pycache__") {
            snapshot.insert(name, Vec::new());
        }
    }
    for name in ["HEAD", "index", "config", "refs/stash"] {
        snapshot.insert(format!(".git/{name}"), std::fs::read(path.join(".git").join(name)).unwrap_or_default());
    }
    snapshot.insert("main".to_owned(), git(path, &["rev-parse", "main"])?.into_bytes());
    snapshot.insert("status".to_owned(), git(path, &["status", "--porcelain"])?.into_bytes());
    Ok(snapshot)
}
