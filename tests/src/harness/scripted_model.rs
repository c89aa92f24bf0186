//! The scripted model as a process of its own: what a coding CLI calls instead of its vendor.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::binary;

/// A model that answers as a scenario says, ended with the test.
#[derive(Debug)]
pub struct ScriptedModel {
    child: Child,
    url: String,
}

impl ScriptedModel {
    /// Starts it on a free port with a scenario of `tests/data/scenarios`.
    ///
    /// # Panics
    /// When it does not say where it listens.
    #[must_use]
    #[track_caller]
    pub fn start(scenario: &str) -> Self {
        Self::with_file(&scenarios().join(format!("{scenario}.json")))
    }

    /// Starts it on a free port with the scenario of this file.
    ///
    /// # Panics
    /// When it does not say where it listens.
    #[must_use]
    #[track_caller]
    pub fn with_file(scenario: &Path) -> Self {
        let mut child = Command::new(binary("scripted-model"))
            .arg("--scenario")
            .arg(scenario)
            .arg("--listen")
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripted-model can be started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let read = BufReader::new(stdout).read_line(&mut line);
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned);
        let Some(url) = url else {
            let _ = child.kill();
            panic!("scripted-model did not say where it listens: {read:?} {line:?}");
        };
        Self { child, url }
    }

    /// The base address for `engines.endpoint.url`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The directory of the scenarios.
#[must_use]
pub fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/scenarios")
}
