//! Finding git and running it so that nothing but orx's own settings decides what it does.
//!
//! Two environments: [`Git::hardened`] for every operation, which reads neither the system's nor the user's configuration
//! and overrides what a repository's own could set; and [`Git::as_user`] for reading the user's effective settings and
//! for an explicit push.

use orx_sandbox::environment::{self, Environment};
use orx_sandbox::{Captured, Program, capture, find_program};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Result, WorkspaceError};

/// Oldest git that has all that is used here and the fixes for `safe.directory` and embedded bare repositories.
const OLDEST: (u32, u32) = (2, 38);
/// For reading: references, settings, a version.
pub(crate) const QUICK: Duration = Duration::from_secs(60);
/// For what grows with the size of a tree: a checkout, hashing of files, packing.
pub(crate) const LONG: Duration = Duration::from_secs(900);
/// Bytes kept of an answer that is read as a whole.
const ANSWER_LIMIT: usize = 256 * 1024 * 1024;
/// Variable that marks a git of ours with the git directory it works in, so that one left by a killed daemon is found.
pub(crate) const MARK: &str = "ORX_GIT_DIRECTORY";

/// Settings that come before any in a configuration file. Drivers with free names (filters, diff and merge drivers)
/// cannot be listed; they stay without effect because no configuration that an agent can write is read where one
/// could run.
const OVERRIDES: [&str; 32] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.alternateRefsCommand=:",
    "core.sshCommand=false",
    "core.askPass=false",
    "core.pager=cat",
    "core.editor=false",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.quotePath=false",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.ignoreCase=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.splitIndex=false",
    "core.sparseCheckout=false",
    "core.commitGraph=false",
    "core.fsync=all",
    "core.fsyncMethod=batch",
    "index.sparse=false",
    "commit.gpgSign=false",
    "log.showSignature=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "advice.addEmbeddedRepo=false",
];

/// A git that is known to work, and the environment of the user it works for.
#[derive(Debug, Clone)]
pub struct Git {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    program: String,
    version: String,
    user: Environment,
}

impl Git {
    /// Finds git on the `PATH` of `environment` (the user's own, see `orx_sandbox::environment::own`) and asks its version.
    ///
    /// # Errors
    /// [`WorkspaceError::GitMissing`], [`WorkspaceError::GitTooOld`].
    pub async fn locate(environment: &Environment) -> Result<Self> {
        let program = find_program("git", environment.get("PATH").map(String::as_str))?;
        let program = program.to_str().map(str::to_owned).ok_or(WorkspaceError::BadPlace { path: program })?;
        let unknown = Self { inner: Arc::new(Inner { program, version: String::new(), user: environment.clone() }) };
        let answer = unknown.hardened("git --version", Path::new("/")).argument("--version").text().await?;
        let version = answer.trim().trim_start_matches("git version ").to_owned();
        match parse_version(&version) {
            Some(found) if found >= OLDEST => {
                let Inner { program, user, .. } = &*unknown.inner;
                Ok(Self { inner: Arc::new(Inner { program: program.clone(), version, user: user.clone() }) })
            }
            _ => Err(WorkspaceError::GitTooOld { found: version, needed: format!("{}.{}", OLDEST.0, OLDEST.1) }),
        }
    }

    /// The version, as git says it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// The value of one of the user's variables.
    pub(crate) fn user_variable(&self, name: &str) -> Option<&str> {
        self.inner.user.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A git that reads no configuration but that of the git directory it is pointed at, without hooks or network.
    pub(crate) fn hardened(&self, what: &'static str, cwd: &Path) -> Invocation {
        let fixed = [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_ALLOW_PROTOCOL", "none"),
            ("GIT_DEFAULT_REF_FORMAT", "files"),
            ("GIT_LITERAL_PATHSPECS", "1"),
            ("GIT_PAGER", "cat"),
            ("GIT_EDITOR", "false"),
            ("LC_ALL", "C"),
        ];
        let mut environment: Environment =
            fixed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for name in ["PATH", "TMPDIR"] {
            if let Some(value) = self.inner.user.get(name) {
                environment.insert(name.to_owned(), value.clone());
            }
        }
        let mut argv = vec![self.inner.program.clone(), "--no-pager".to_owned()];
        argv.extend(OVERRIDES.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
        self.invocation(what, cwd, argv, environment)
    }

    /// A git with the user's own configuration and what `prefixes` let through of the user's environment.
    pub(crate) fn as_user(&self, what: &'static str, cwd: &Path, prefixes: &[&str]) -> Invocation {
        let mut environment = environment::select(&self.inner.user, prefixes);
        // What the daemon was started inside must not decide which repository is meant.
        for name in
            ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"]
        {
            environment.remove(name);
        }
        environment.insert("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned());
        environment.insert("GIT_OPTIONAL_LOCKS".to_owned(), "0".to_owned());
        environment.insert("LC_ALL".to_owned(), "C".to_owned());
        self.invocation(what, cwd, vec![self.inner.program.clone(), "--no-pager".to_owned()], environment)
    }

    fn invocation(&self, what: &'static str, cwd: &Path, argv: Vec<String>, environment: Environment) -> Invocation {
        let program = Program {
            argv,
            cwd: cwd.to_owned(),
            environment,
            input: None,
            deadline: QUICK,
            output_limit: ANSWER_LIMIT,
        };
        Invocation { what, shown: cwd.to_owned(), program }
    }
}

/// `2.47.3` or `2.39.5 (Apple Git-154)` as numbers.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// One run of git, being put together.
#[derive(Debug)]
pub(crate) struct Invocation {
    what: &'static str,
    shown: PathBuf,
    program: Program,
}

impl Invocation {
    pub(crate) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.program.argv.push(argument.into());
        self
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.program.argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// One more setting; it must come before the command's name.
    pub(crate) fn setting(self, name: &str, value: &str) -> Self {
        self.argument("-c").argument(format!("{name}={value}"))
    }

    pub(crate) fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.program.environment.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.program.input = Some(bytes);
        self
    }

    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.program.deadline = deadline;
        self
    }

    pub(crate) fn output_limit(mut self, bytes: usize) -> Self {
        self.program.output_limit = bytes;
        self
    }

    /// The directory that errors name, where it is not the working directory.
    pub(crate) fn shown_as(mut self, path: &Path) -> Self {
        self.shown = path.to_owned();
        self
    }

    /// Runs it; that it fails is for the caller to judge.
    pub(crate) async fn run(self) -> Result<Ended> {
        let Self { what, shown, program } = self;
        let (deadline, limit) = (program.deadline, program.output_limit);
        tracing::trace!(what, path = %shown.display(), "running git");
        let captured = capture(program).await.map_err(|source| WorkspaceError::Spawn { what, source })?;
        if captured.timed_out {
            return Err(WorkspaceError::TimedOut { what, path: shown, seconds: deadline.as_secs() });
        }
        Ok(Ended { what, shown, limit, captured })
    }

    /// Runs it and gives what it wrote, whole.
    pub(crate) async fn bytes(self) -> Result<Vec<u8>> {
        self.run().await?.checked()?.whole()
    }

    /// The same as text.
    pub(crate) async fn text(self) -> Result<String> {
        self.bytes().await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Runs it for its effect.
    pub(crate) async fn effect(self) -> Result<()> {
        self.run().await?.checked().map(drop)
    }
}

/// A run of git that ended in time.
#[derive(Debug)]
pub(crate) struct Ended {
    what: &'static str,
    shown: PathBuf,
    limit: usize,
    pub(crate) captured: Captured,
}

impl Ended {
    pub(crate) fn is_success(&self) -> bool {
        self.captured.is_success()
    }

    pub(crate) fn checked(self) -> Result<Self> {
        if self.captured.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    pub(crate) fn failure(self) -> WorkspaceError {
        let stderr = self.captured.stderr_text().trim().to_owned();
        WorkspaceError::Failed { what: self.what, path: self.shown, exit: self.captured.exit, stderr }
    }

    pub(crate) fn whole(self) -> Result<Vec<u8>> {
        if self.captured.truncated {
            return Err(WorkspaceError::TooLarge { what: self.what, path: self.shown, limit: self.limit });
        }
        Ok(self.captured.stdout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_platforms_write_them() {
        assert_eq!(parse_version("2.47.3"), Some((2, 47)));
        assert_eq!(parse_version("2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(parse_version("3.0-rc1"), Some((3, 0)));
        assert_eq!(parse_version("two"), None);
    }

    #[tokio::test]
    async fn a_git_that_is_missing_or_too_old_is_said_so() {
        let nowhere: Environment = [("PATH".to_owned(), "/nonexistent".to_owned())].into();
        assert!(matches!(Git::locate(&nowhere).await, Err(WorkspaceError::GitMissing(_))));
        let scratch = tempfile::tempdir().unwrap();
        let fake = scratch.path().join("git");
        std::fs::write(&fake, "#!/bin/sh\necho git version 2.20.1\n").unwrap();
        std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let old: Environment = [("PATH".to_owned(), scratch.path().display().to_string())].into();
        let error = Git::locate(&old).await.unwrap_err();
        assert!(matches!(&error, WorkspaceError::GitTooOld { found, .. } if found == "2.20.1"), "{error}");
    }
}
