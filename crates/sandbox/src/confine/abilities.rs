//! What this machine has to confine a program with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bubblewrap;
use crate::capture::{Program, capture};
use crate::environment::Environment;
use crate::find_program;

/// How long bubblewrap may take to show that it works.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// Bytes kept of what it says.
const PROBE_OUTPUT: usize = 4096;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// Version of the kernel's Landlock interface; `None` without it.
    pub landlock: Option<i32>,
    /// The `bwrap` program, tried out; else why it cannot be used.
    pub bubblewrap: Result<PathBuf, String>,
}

impl Abilities {
    /// Looks for both; `search_path` is the operator's `PATH`. bubblewrap is tried out, since a kernel or a container may
    /// refuse it its namespaces.
    pub async fn probe(search_path: Option<&str>) -> Self {
        let bubblewrap = match find_program("bwrap", search_path) {
            Ok(program) => try_out(&program).await.map(|()| program),
            Err(missing) => Err(missing.to_string()),
        };
        Self { landlock: landlock_version(), bubblewrap }
    }

    /// A sentence on what is missing.
    #[must_use]
    pub fn shortcomings(&self) -> String {
        let landlock = match self.landlock {
            Some(version) => format!("Landlock is there (version {version})"),
            None => "the kernel has no Landlock, or it is switched off".to_owned(),
        };
        match &self.bubblewrap {
            Ok(program) => format!("{landlock}; bubblewrap is {}", program.display()),
            Err(why) => format!("{landlock}; bubblewrap cannot be used: {why}"),
        }
    }
}

async fn try_out(program: &Path) -> Result<(), String> {
    let mut argv = vec![program.to_string_lossy().into_owned()];
    argv.extend(bubblewrap::namespaces(true));
    argv.extend(
        ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--", "/proc/self/exe", "--version"]
            .map(str::to_owned),
    );
    let trial = Program {
        argv,
        cwd: PathBuf::from("/"),
        environment: Environment::new(),
        input: None,
        deadline: PROBE_LIMIT,
        output_limit: PROBE_OUTPUT,
    };
    match capture(trial).await {
        Ok(captured) if captured.is_success() => Ok(()),
        Ok(captured) => Err(format!("{} does not work here: {}", program.display(), captured.stderr_text().trim())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(target_os = "linux")]
fn landlock_version() -> Option<i32> {
    super::landlock::version()
}

#[cfg(not(target_os = "linux"))]
const fn landlock_version() -> Option<i32> {
    None
}
