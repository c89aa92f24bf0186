//! The user's repository: found, read, and told to ignore orx's directories. It is never checked out, staged or cleaned.

use orx_protocol::process::Exit;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Result, WorkspaceError};
use crate::git::{Git, Invocation};
use crate::lines;
use crate::names::{BranchName, CommitId, Identity};
use crate::settings::Settings;

/// A repository of the user's, with a checkout and at least one commit.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) git: Git,
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    object_format: String,
}

/// Where the user's checkout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The branch; `None` when detached.
    pub branch: Option<String>,
    /// The commit.
    pub commit: CommitId,
}

/// A commit to start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The name it was found by.
    pub branch: String,
    /// The commit.
    pub commit: CommitId,
}

/// Branches that an error lists.
const LISTED: usize = 10;

impl Repository {
    /// Opens the repository that `directory` is in. Nothing is written.
    ///
    /// # Errors
    /// [`WorkspaceError::NotARepository`], `Bare`, `Unborn`, `NotTrusted`, or how git failed.
    pub async fn open(git: &Git, directory: &Path) -> Result<Self> {
        let directory = tokio::fs::canonicalize(directory)
            .await
            .map_err(WorkspaceError::file("opening the repository", directory))?;
        if !directory.is_dir() {
            return Err(WorkspaceError::NotARepository { path: directory });
        }
        let discover = |arguments: &[&str]| {
            git.as_user("finding the repository", &directory, &["GIT_CONFIG_"])
                .argument("rev-parse")
                .arguments(arguments)
        };
        let facts = discover(&["--is-bare-repository", "--is-inside-work-tree", "--show-object-format"]).run().await?;
        if !facts.is_success() {
            let stderr = facts.captured.stderr_text();
            return Err(if stderr.contains("dubious ownership") {
                WorkspaceError::NotTrusted { path: directory }
            } else if stderr.contains("not a git repository") {
                WorkspaceError::NotARepository { path: directory }
            } else {
                facts.failure()
            });
        }
        let facts = facts.captured.stdout_text();
        let mut facts = facts.lines();
        let (is_bare, is_inside, object_format) = (facts.next(), facts.next(), facts.next().unwrap_or("sha1"));
        if is_bare == Some("true") {
            return Err(WorkspaceError::Bare { path: directory });
        }
        if is_inside != Some("true") {
            return Err(WorkspaceError::NotARepository { path: directory });
        }
        let absolute = "--path-format=absolute";
        let root = lines::only_path(&discover(&["--show-toplevel"]).bytes().await?);
        let git_dir = lines::only_path(&discover(&[absolute, "--git-dir"]).bytes().await?);
        let common_dir = lines::only_path(&discover(&[absolute, "--git-common-dir"]).bytes().await?);
        if !directory.starts_with(&root) {
            return Err(WorkspaceError::Foreign { path: root, why: "core.worktree names a directory elsewhere" });
        }
        let repository = Self { git: git.clone(), root, git_dir, common_dir, object_format: object_format.to_owned() };
        repository.head().await?;
        Ok(repository)
    }

    /// The top directory of the checkout.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The git directory of this checkout.
    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The git directory that all checkouts of the repository share.
    pub(crate) fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// `sha1` or `sha256`.
    pub(crate) fn object_format(&self) -> &str {
        &self.object_format
    }

    /// A hardened git on this repository's git directory. It sits in that directory, so that its path need not be UTF-8.
    pub(crate) fn invoke(&self, what: &'static str) -> Invocation {
        self.git.hardened(what, &self.git_dir).shown_as(&self.root).argument("--git-dir=.")
    }

    pub(crate) async fn settings(&self) -> Result<Settings> {
        Settings::scan(&self.git, &self.git_dir, &self.root).await
    }

    /// The worktrees that git knows of, the main one first: path and branch, `None` without one. Those that are gone are
    /// left out.
    ///
    /// # Errors
    /// How git failed.
    pub async fn worktrees(&self) -> Result<Vec<(PathBuf, Option<String>)>> {
        let listed =
            self.invoke("listing worktrees").arguments(&["worktree", "list", "--porcelain", "-z"]).run().await?;
        let listed = listed.checked()?;
        let mut found: Vec<(PathBuf, Option<String>)> = Vec::new();
        for line in listed.captured.stdout.split(|byte| *byte == 0) {
            if let Some(path) = line.strip_prefix(b"worktree ") {
                found.push((lines::path(path), None));
            } else if let (Some(branch), Some(last)) = (line.strip_prefix(b"branch refs/heads/"), found.last_mut()) {
                last.1 = Some(String::from_utf8_lossy(branch).into_owned());
            }
        }
        found.retain(|(path, _)| path.is_dir());
        Ok(found)
    }

    /// Where the checkout stands.
    ///
    /// # Errors
    /// [`WorkspaceError::Unborn`], or how git failed.
    pub async fn head(&self) -> Result<Head> {
        let symbolic = self.invoke("reading HEAD").arguments(&["symbolic-ref", "--quiet", "HEAD"]).run().await?;
        let branch = match symbolic.captured.exit {
            Exit::Code(0) => {
                let name = symbolic.captured.stdout_text();
                Some(name.trim_end().trim_start_matches("refs/heads/").to_owned())
            }
            Exit::Code(1) => None,
            Exit::Code(_) | Exit::Signal(_) => return Err(symbolic.failure()),
        };
        match self.resolve("HEAD").await? {
            Some(commit) => Ok(Head { branch, commit }),
            None => Err(WorkspaceError::Unborn { path: self.root.clone() }),
        }
    }

    /// The commit that a full reference name points at. The name must not be text of a user's that was not checked.
    pub(crate) async fn resolve(&self, reference: &str) -> Result<Option<CommitId>> {
        let ended = self
            .invoke("resolving a name")
            .arguments(&["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .argument(format!("{reference}^{{commit}}"))
            .run()
            .await?;
        match ended.captured.exit {
            Exit::Code(0) => ended.captured.stdout_text().trim().parse().map(Some),
            Exit::Code(1) => Ok(None),
            Exit::Code(_) | Exit::Signal(_) => Err(ended.failure()),
        }
    }

    /// The commit that a branch stands at: a local branch, else a remote's (`origin/main`), else a tag, else a full
    /// commit identifier.
    ///
    /// # Errors
    /// [`WorkspaceError::BadBranch`], [`WorkspaceError::BaseMissing`] with branches there are.
    pub async fn branch(&self, name: &str) -> Result<Base> {
        let name: BranchName = name.strip_prefix("refs/heads/").unwrap_or(name).parse()?;
        for space in ["refs/heads", "refs/remotes", "refs/tags"] {
            if let Some(commit) = self.resolve(&format!("{space}/{name}")).await? {
                return Ok(Base { branch: name.to_string(), commit });
            }
        }
        if let Ok(commit) = name.as_str().parse::<CommitId>()
            && self.resolve(commit.as_str()).await?.is_some()
        {
            return Ok(Base { branch: name.to_string(), commit });
        }
        let listing = self
            .invoke("listing branches")
            .arguments(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/remotes"])
            .text()
            .await?;
        let mut available: Vec<String> = listing.lines().map(str::to_owned).collect();
        available.sort_by_key(|candidate| (strsim::levenshtein(candidate, name.as_str()), candidate.clone()));
        available.truncate(LISTED);
        Err(WorkspaceError::BaseMissing { name: name.to_string(), repository: self.root.clone(), available })
    }

    /// Who the user's commits are by, from the settings in force; `orx <orx@localhost>` where nothing says it.
    ///
    /// # Errors
    /// How git failed.
    pub async fn identity(&self) -> Result<Identity> {
        Ok(self.settings().await?.identity(&self.git))
    }

    /// Whether history ends before its beginning.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.common_dir.join("shallow").exists()
    }

    /// Adds lines to `.git/info/exclude` that are not in it, so that the user's `git status` does not show what orx keeps
    /// in the checkout. Lines that are there stay as they are.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn exclude(&self, rules: &[&str]) -> Result<()> {
        let directory = self.common_dir.join("info");
        let path = directory.join("exclude");
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let failed = WorkspaceError::file("adding ignore rules to", &path);
        blocking("adding ignore rules", move || {
            std::fs::create_dir_all(&directory)?;
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            // The lock is let go when the file is closed; two daemons or runs then never add a line twice.
            file.lock()?;
            let mut present = Vec::new();
            file.read_to_end(&mut present)?;
            let added = missing_rules(&present, &rules);
            if added.is_empty() { Ok(()) } else { file.write_all(&added).and_then(|()| file.sync_data()) }
        })
        .await
        .map_err(failed)
    }
}

/// Runs what blocks on the disk away from the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(std::io::Error::other(format!("{what} broke off: {error}"))),
    }
}

/// The text to append so that every rule is a line of the file.
fn missing_rules(present: &[u8], rules: &[String]) -> Vec<u8> {
    let has = |rule: &String| present.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == rule.as_bytes());
    let mut added = Vec::new();
    for rule in rules.iter().filter(|rule| !has(rule)) {
        if added.is_empty() && !present.is_empty() && !present.ends_with(b"\n") {
            added.push(b'\n');
        }
        added.extend_from_slice(rule.as_bytes());
        added.push(b'\n');
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_added_once_and_on_lines_of_their_own() {
        let rules = vec!["/runs/".to_owned(), "/.worktrees/".to_owned()];
        assert_eq!(missing_rules(b"", &rules), b"/runs/\n/.worktrees/\n");
        assert_eq!(missing_rules(b"*.o", &rules), b"\n/runs/\n/.worktrees/\n");
        assert_eq!(missing_rules(b"/runs/\n", &rules), b"/.worktrees/\n");
        assert_eq!(missing_rules(b"/runs/\r\n /.worktrees/ \n", &rules), b"");
    }
}
