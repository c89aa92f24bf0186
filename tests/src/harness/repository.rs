//! Git repositories for tests, and the means to see that nobody touched them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository in a directory that the test owns.
#[derive(Debug, Clone)]
pub struct Repository {
    path: PathBuf,
}

impl Repository {
    /// An empty repository on branch `main`, with no commit yet.
    ///
    /// # Panics
    /// When git fails.
    #[must_use]
    #[track_caller]
    pub fn unborn(path: &Path) -> Self {
        std::fs::create_dir_all(path).expect("the directory can be made");
        let repository = Self { path: path.to_owned() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// A repository with one commit that holds `files`.
    ///
    /// # Panics
    /// When git fails.
    #[must_use]
    #[track_caller]
    pub fn with_files(path: &Path, files: &[(&str, &str)]) -> Self {
        let repository = Self::unborn(path);
        for (name, text) in files {
            repository.write(name, text);
        }
        repository.commit("The beginning");
        repository
    }

    /// A small Python project whose test fails until `add` is repaired, with the gate that says so.
    ///
    /// # Panics
    /// When git fails.
    #[must_use]
    #[track_caller]
    pub fn calculator(path: &Path) -> Self {
        Self::with_files(path, &crate::calculator::FILES)
    }

    /// The same, with the scripted CLI as the engine `command` and what it does in this scenario.
    ///
    /// # Panics
    /// When git fails.
    #[must_use]
    #[track_caller]
    pub fn scripted(path: &Path, scenario: &Path) -> Self {
        let repository = Self::calculator(path);
        let executors = serde_json::json!({"command": {
            "argv": ["scripted-cli", "--scenario", scenario],
            "text_args": ["--read-only"],
        }});
        let settings = std::fs::read_to_string(path.join("orx.yaml")).expect("the calculator has settings");
        repository.write("orx.yaml", &format!("{settings}executors: {executors}\n"));
        repository.commit("The scripted CLI does the work");
        repository
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, and the directories above it.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn write(&self, name: &str, text: &str) {
        let file = self.path.join(name);
        std::fs::create_dir_all(file.parent().expect("a file lies in a directory")).expect("the directory can be made");
        std::fs::write(file, text).expect("the file can be written");
    }

    /// Commits everything and gives the commit.
    ///
    /// # Panics
    /// When git fails.
    #[track_caller]
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git here, as nobody in particular and without any settings of the machine.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = self.git_command(arguments).output().expect("git can be started");
        assert!(
            output.status.success(),
            "git {} in {}: {}",
            arguments.join(" "),
            self.path.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The same, giving whether it succeeded.
    #[must_use]
    pub fn git_succeeds(&self, arguments: &[&str]) -> bool {
        self.git_command(arguments).output().is_ok_and(|output| output.status.success())
    }

    fn git_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(&self.path)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Test")
            .env("GIT_AUTHOR_EMAIL", "test@example.com")
            .env("GIT_COMMITTER_NAME", "Test")
            .env("GIT_COMMITTER_EMAIL", "test@example.com");
        command
    }

    /// Every local branch with its commit.
    #[must_use]
    pub fn branches(&self) -> BTreeMap<String, String> {
        self.git(&["for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads"])
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, commit)| (name.to_owned(), commit.to_owned()))
            .collect()
    }

    /// What a person would notice if it changed: every file of the checkout, the index, the stash, HEAD and the
    /// branches but for those of runs. `runs/` and `.worktrees/` are orx's own.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        let mut snapshot = BTreeMap::new();
        collect(&self.path, &self.path, &mut snapshot);
        let read = |name: &str| std::fs::read(self.path.join(".git").join(name)).unwrap_or_default();
        for name in ["index", "HEAD", "refs/stash", "logs/refs/stash", "config"] {
            snapshot.insert(format!(".git/{name}"), read(name));
        }
        for (name, commit) in self.branches() {
            if !name.starts_with("orx/") {
                snapshot.insert(format!("branch {name}"), commit.into_bytes());
            }
        }
        snapshot
    }
}

fn collect(root: &Path, directory: &Path, snapshot: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if matches!(name.as_str(), ".git" | "runs" | ".worktrees") {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(root, &path, snapshot),
            Ok(kind) if kind.is_symlink() => {
                let target = std::fs::read_link(&path).unwrap_or_default();
                snapshot.insert(name, target.to_string_lossy().into_owned().into_bytes());
            }
            _ => {
                snapshot.insert(name, std::fs::read(&path).unwrap_or_default());
            }
        }
    }
}
