//! `orxctl` as a person runs it: a program with arguments, two outputs and an exit code.

use std::path::Path;
use std::process::{Command, Stdio};

use orx_protocol::places::variable;
use serde_json::Value;

use super::{Daemon, binary};

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it failed with this code and said these words on standard error.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {self:?}");
        }
    }

    /// Checks that it succeeded, and gives standard output.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn done(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.stdout
    }
}

impl Daemon {
    /// `orxctl` for this daemon, in `directory`, with nothing on standard input.
    #[must_use]
    pub fn orxctl_command(&self, directory: &Path, arguments: &[&str]) -> Command {
        let places = self.places();
        let mut command = Command::new(binary("orxctl"));
        command
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("user"))
            .env(variable::HOME, places.home)
            .env(variable::SOCKET, places.socket)
            .env(variable::CONFIG, places.config)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn orxctl(&self, directory: &Path, arguments: &[&str]) -> Ran {
        let output = self.orxctl_command(directory, arguments).output().expect("orxctl can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}
