//! Finding an engine's program and its version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orx_sandbox::{Captured, Program, capture, find_program};

use crate::{Context, EngineError, EngineKind, environment, home};

/// How long a CLI may take for a question about itself: those on Node.js and Python need seconds on a busy machine.
const PROBE_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of its answer that are kept.
const PROBE_OUTPUT: usize = 16 * 1024;

/// A version, as a CLI prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number.
    pub minor: u64,
    /// Third number.
    pub patch: u64,
}

impl From<Version> for semver::Version {
    fn from(version: Version) -> Self {
        Self::new(version.major, version.minor, version.patch)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The program of an engine: the operator's override, else the first match on the operator's `PATH`.
///
/// # Errors
/// [`EngineError::NotInstalled`] with what was searched and what installs it; [`EngineError::NoCommand`] for the engine
/// `command` without an override.
pub fn locate(kind: EngineKind, context: &Context) -> Result<PathBuf, EngineError> {
    let binary = context.binaries.get(kind.name()).map(String::as_str).or(kind.program());
    let (Some(binary), Some(install)) = (binary, kind.install()) else {
        return Err(EngineError::NoCommand { missing: "it has no program of its own" });
    };
    find_program(binary, context.environment.get("PATH").map(String::as_str)).map_err(|missing| {
        EngineError::NotInstalled { engine: kind, program: missing.name, searched: missing.searched, install }
    })
}

/// Asks the engine's program for its version.
///
/// # Errors
/// As [`locate`]; [`EngineError::Probe`] when it does not answer in time, fails, or prints no version.
pub async fn version(kind: EngineKind, context: &Context) -> Result<Version, EngineError> {
    let program = locate(kind, context)?;
    let failed = |reason: String| EngineError::Probe { engine: kind, program: program.clone(), reason };
    let known = kind.descriptor().version_arguments.as_ref();
    let question: Vec<&str> = known.map_or(vec!["--version"], |known| known.iter().map(String::as_str).collect());
    let captured = ask(kind, context, &program, &question, None).await?;
    let question = question.join(" ");
    if !captured.exit.is_success() {
        return Err(failed(format!("`{question}` ended with {}", captured.exit)));
    }
    // pi says it on standard error.
    let printed =
        Some(captured.stdout_text()).filter(|text| !text.is_empty()).unwrap_or_else(|| captured.stderr_text());
    parse(kind, &printed).ok_or_else(|| failed(format!("`{question}` printed {:?}", first_line(&printed))))
}

/// Asks an engine's program something that it answers at once.
///
/// # Errors
/// As [`locate`]; [`EngineError::Probe`] when it cannot be started or does not end in time.
pub async fn question(kind: EngineKind, context: &Context, arguments: &[&str]) -> Result<Captured, EngineError> {
    let program = locate(kind, context)?;
    ask(kind, context, &program, arguments, None).await
}

/// Runs an engine's program for a question that it answers at once, with what an engine inherits. With an endpoint it runs in
/// the private home `private`, or in that of no working directory.
///
/// # Errors
/// [`EngineError::Probe`] when it cannot be started or does not end in time.
pub(crate) async fn ask(
    kind: EngineKind,
    context: &Context,
    program: &Path,
    arguments: &[&str],
    private: Option<&Path>,
) -> Result<Captured, EngineError> {
    let failed = |reason: String| EngineError::Probe { engine: kind, program: program.to_owned(), reason };
    let mut environment = environment::inherited(kind, context);
    environment::for_pipes(&mut environment);
    if context.endpoint.is_some() {
        let private = private.map_or_else(|| home::shared(kind, context), Path::to_path_buf);
        home::directory(kind, &private)?;
        home::enter(&mut environment, &private);
    }
    let mut argv = vec![program.to_string_lossy().into_owned()];
    argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let captured = capture(Program {
        argv,
        cwd: PathBuf::from("/"),
        environment,
        input: None,
        deadline: PROBE_DEADLINE,
        output_limit: PROBE_OUTPUT,
    })
    .await
    .map_err(|error| failed(error.to_string()))?;
    if captured.timed_out {
        let question = arguments.join(" ");
        return Err(failed(format!("it did not answer `{question}` within {} s", PROBE_DEADLINE.as_secs())));
    }
    Ok(captured)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(120).collect()
}

/// Reads the answer to `--version`: one line in the exact shape of the CLI, so that another program of the same name is
/// not taken for it.
fn parse(kind: EngineKind, printed: &str) -> Option<Version> {
    let number = kind.descriptor().version.as_ref()?.captures(printed.trim())?.get(1)?.as_str();
    // A pre-release carries a suffix, such as 0.62.0-preview.1.
    let plain = number.split_once('-').map_or(number, |(plain, _)| plain);
    let mut parts = plain.split('.').map(|part| part.parse::<u64>().ok());
    let version = Version { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_each_cli_prints_them_and_no_other_way() {
        let read = |kind, text| parse(kind, text).map(|version| version.to_string());
        assert_eq!(read(EngineKind::Claude, "2.1.197 (Claude Code)\n").as_deref(), Some("2.1.197"));
        assert_eq!(read(EngineKind::Codex, "codex-cli 0.169.0\n").as_deref(), Some("0.169.0"));
        assert_eq!(read(EngineKind::Gemini, "0.61.0\n").as_deref(), Some("0.61.0"));
        assert_eq!(read(EngineKind::Gemini, "0.62.0-preview.1\n").as_deref(), Some("0.62.0"));
        assert_eq!(read(EngineKind::Opencode, "1.18.33\n").as_deref(), Some("1.18.33"));
        for (kind, text) in [
            (EngineKind::Claude, "2.1.197"),
            (EngineKind::Codex, "0.169.0"),
            (EngineKind::Gemini, "gemini 0.61.0"),
            (EngineKind::Gemini, "0.61"),
            (EngineKind::Gemini, "0.61.0.1"),
            (EngineKind::Opencode, ""),
            (EngineKind::Opencode, "1.18.33\nwelcome"),
            (EngineKind::Opencode, "-1.18.33"),
        ] {
            assert_eq!(read(kind, text), None, "{kind} {text:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_cure() {
        let context =
            Context { environment: [("PATH".to_owned(), "/nonexistent".to_owned())].into(), ..Context::default() };
        let error = locate(EngineKind::Codex, &context).unwrap_err().to_string();
        assert_eq!(
            error,
            "codex is not installed: no program `codex` in /nonexistent, the one directory of PATH; install it with `npm i -g @openai/codex`"
        );
    }

    #[test]
    fn the_operators_override_wins_over_the_path() {
        let mut context =
            Context { environment: [("PATH".to_owned(), "/bin".to_owned())].into(), ..Context::default() };
        context.binaries.insert("codex".to_owned(), "/bin/sh".to_owned());
        assert_eq!(locate(EngineKind::Codex, &context).unwrap(), PathBuf::from("/bin/sh"));
        context.binaries.insert("codex".to_owned(), "sh".to_owned());
        assert_eq!(locate(EngineKind::Codex, &context).unwrap(), PathBuf::from("/bin/sh"));
        context.binaries.insert("codex".to_owned(), "./sh".to_owned());
        assert!(locate(EngineKind::Codex, &context).is_err());
    }

    async fn probe(script: &str) -> Result<Version, String> {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("codex");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut context =
            Context { environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(), ..Context::default() };
        context.binaries.insert("codex".to_owned(), program.to_string_lossy().into_owned());
        version(EngineKind::Codex, &context).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_program_is_probed_and_an_impostor_is_told() {
        assert_eq!(probe("echo codex-cli 1.2.3").await.unwrap(), Version { major: 1, minor: 2, patch: 3 });
        assert!(probe("echo hello").await.unwrap_err().ends_with("`--version` printed \"hello\""));
        assert!(probe("exit 3").await.unwrap_err().ends_with("`--version` ended with exit status 3"));
    }
}
