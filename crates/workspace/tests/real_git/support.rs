//! A scratch place with a user's repository in it, and a plain git as that user.

use orx_sandbox::environment::Environment;
use orx_sandbox::{Captured, Program, capture};
use orx_workspace::{CommitId, Git, Repository, Worktree};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) struct Scratch {
    directory: tempfile::TempDir,
    pub(crate) git: Git,
}

fn environment(home: &Path) -> Environment {
    let path = std::env::var("PATH").unwrap();
    [("PATH", path.as_str()), ("HOME", home.to_str().unwrap()), ("LC_ALL", "C")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Scratch {
    /// An empty place with a home directory.
    pub(crate) async fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(directory.path()).unwrap().join("home");
        fs::create_dir(&home).unwrap();
        fs::write(
            home.join(".gitconfig"),
            "[user]\n\tname = Ada User\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n",
        )
        .unwrap();
        let git = Git::locate(&environment(&home)).await.unwrap();
        Self { directory, git }
    }

    /// The same with a repository of a few files and two commits.
    pub(crate) async fn new() -> Self {
        let scratch = Self::empty().await;
        let root = scratch.root();
        fs::create_dir(&root).unwrap();
        scratch.run(&root, &["init", "--quiet"]).await;
        scratch.fill(&root).await;
        scratch
    }

    pub(crate) async fn fill(&self, root: &Path) {
        fs::create_dir_all(root.join("src")).unwrap();
        fs::write(root.join("README"), "first\n").unwrap();
        self.run(root, &["add", "."]).await;
        self.run(root, &["commit", "--quiet", "-m", "First"]).await;
        fs::write(root.join("README"), "read me\n").unwrap();
        fs::write(root.join("src/a.txt"), "a\nb\nc\n").unwrap();
        fs::write(root.join("src/b.txt"), "b\n").unwrap();
        fs::write(root.join("tool.sh"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(root.join("tool.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("src/a.txt", root.join("link")).unwrap();
        fs::write(root.join(".gitignore"), "ignored/\n*.log\n").unwrap();
        self.run(root, &["add", "."]).await;
        self.run(root, &["commit", "--quiet", "-m", "Second"]).await;
    }

    pub(crate) fn path(&self) -> PathBuf {
        fs::canonicalize(self.directory.path()).unwrap()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("repository")
    }

    pub(crate) fn worktree_path(&self) -> PathBuf {
        self.root().join(".worktrees/run_1")
    }

    pub(crate) fn git_dir(&self) -> PathBuf {
        self.path().join("state/repositories/run_1.git")
    }

    pub(crate) async fn repository(&self) -> Repository {
        Repository::open(&self.git, &self.root()).await.unwrap()
    }

    pub(crate) async fn create(&self, repository: &Repository) -> Worktree {
        repository.exclude(&["/runs/", "/.worktrees/"]).await.unwrap();
        let base = repository.head().await.unwrap().commit;
        Worktree::create(&self.git, repository, &base, &self.worktree_path(), &self.git_dir()).await.unwrap()
    }

    pub(crate) async fn worktree(&self) -> Worktree {
        self.create(&self.repository().await).await
    }

    pub(crate) async fn reopen(&self) -> orx_workspace::Result<Worktree> {
        Worktree::open(&self.git, &self.worktree_path(), &self.git_dir()).await
    }

    /// Runs git as the user and lets it fail.
    pub(crate) async fn attempt(&self, directory: &Path, arguments: &[&str]) -> Captured {
        let mut argv = vec!["git".to_owned()];
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let home = self.path().join("home");
        capture(Program {
            argv,
            cwd: directory.to_owned(),
            environment: environment(&home),
            input: None,
            deadline: Duration::from_secs(60),
            output_limit: 1024 * 1024,
        })
        .await
        .unwrap()
    }

    /// Runs git as the user.
    pub(crate) async fn run(&self, directory: &Path, arguments: &[&str]) -> String {
        let captured = self.attempt(directory, arguments).await;
        assert!(captured.is_success(), "git {arguments:?} in {}: {}", directory.display(), captured.stderr_text());
        captured.stdout_text().trim_end().to_owned()
    }

    pub(crate) async fn commit_of(&self, directory: &Path, name: &str) -> CommitId {
        self.run(directory, &["rev-parse", name]).await.parse().unwrap()
    }
}

/// Every file beneath a directory but what `skip` names: its mode, time and content.
pub(crate) fn listing(root: &Path, skip: &[&str]) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut next = vec![root.to_owned()];
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_owned();
            if skip.iter().any(|skipped| relative == Path::new(skipped)) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                next.push(path.clone());
            }
            let content = if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if metadata.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            let time = if metadata.is_dir() { 0 } else { metadata.mtime_nsec() };
            found.insert(relative, (metadata.mode(), time, content));
        }
    }
    found
}

/// The same without times.
pub(crate) fn content(root: &Path, skip: &[&str]) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    listing(root, skip).into_iter().map(|(path, (mode, _, bytes))| (path, (mode, bytes))).collect()
}
