//! Checks of programs: orx's own, git, node, and the coding CLIs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orx_engines::{Context, EngineKind};
use orx_sandbox::{Program, capture, environment, find_program};
use tokio::task::JoinSet;

use super::Check;
use crate::commands::up;
use crate::text;

/// How long a program may take to say its version.
const DEADLINE: Duration = Duration::from_secs(15);
/// Oldest git whose worktree commands do what is needed.
const GIT: (u32, u32) = (2, 31);
/// Oldest node that the coding CLIs start on.
const NODE: (u32, u32) = (20, 0);
/// Checks of the programs, in this order.
pub(super) async fn checks() -> Vec<Check> {
    let mut checks: Vec<Check> = ["orchestratord", "agentd", "pty-proxy"].into_iter().map(own).collect();
    let mut asked = JoinSet::new();
    for (position, name) in ["git", "node"].into_iter().enumerate() {
        asked.spawn(async move { (position, version(name).await) });
    }
    let engines = engines().await;
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(position, _)| *position);
    let mut answers = answers.into_iter().map(|(_, answer)| answer);
    checks.push(git(answers.next().flatten()));
    checks.push(node(answers.next().flatten()));
    checks.extend(engines);
    checks
}

/// Checks of the coding CLIs: one each of those that are installed, and one of all the others.
async fn engines() -> Vec<Check> {
    let context = Context { environment: environment::own(), ..Context::default() };
    let known = EngineKind::ALL.into_iter().filter(|kind| kind.program().is_some());
    let (found, absent): (Vec<_>, Vec<_>) =
        known.map(|kind| (kind, orx_engines::locate(kind, &context).ok())).partition(|(_, program)| program.is_some());
    let mut asked = JoinSet::new();
    for (position, (kind, program)) in found.into_iter().enumerate() {
        let context = context.clone();
        asked.spawn(async move {
            let version = orx_engines::version(kind, &context).await.map_err(|error| error.to_string());
            (position, engine(kind, &program.unwrap_or_default(), version))
        });
    }
    let mut checks = asked.join_all().await;
    checks.sort_by_key(|(position, _)| *position);
    let mut checks: Vec<Check> = checks.into_iter().map(|(_, check)| check).collect();
    let absent: Vec<EngineKind> = absent.into_iter().map(|(kind, _)| kind).collect();
    checks.extend(missing(&absent, checks.is_empty()));
    checks
}

fn own(name: &'static str) -> Check {
    match up::locate(name) {
        Some(path) => Check::ok(name, path.display().to_string()),
        None => Check::fail(name, "neither beside orxctl nor on PATH", "install orx as a whole"),
    }
}

/// Where a program is, and the first line of what it says of its version.
type Version = Option<(PathBuf, Result<String, String>)>;

async fn version(name: &str) -> Version {
    let own = environment::own();
    let path = find_program(name, own.get("PATH").map(String::as_str)).ok()?;
    let answer = ask(&path, environment::base(&own)).await;
    Some((path, answer))
}

async fn ask(path: &Path, environment: environment::Environment) -> Result<String, String> {
    let program = Program {
        argv: vec![path.to_string_lossy().into_owned(), "--version".to_owned()],
        cwd: PathBuf::from("/"),
        environment,
        input: None,
        deadline: DEADLINE,
        output_limit: 4096,
    };
    let captured = capture(program).await.map_err(|error| error.to_string())?;
    if captured.timed_out {
        return Err(format!("`--version` took longer than {} s", DEADLINE.as_secs()));
    }
    let line = captured.stdout_text().lines().map(text::clean_line).find(|line| !line.is_empty());
    match line {
        Some(line) if captured.is_success() => Ok(line),
        _ => Err(format!("`--version` ended with {}", captured.exit)),
    }
}

/// The first two numbers of the first thing that looks like a version.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|character: char| character.is_ascii_digit())?;
    let mut parts = text.get(start..)?.split(|character: char| !character.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next().and_then(|part| part.parse().ok()).unwrap_or(0)))
}

fn git(answer: Version) -> Check {
    match answer {
        None => Check::fail("git", "not on PATH", "install git: runs work in git worktrees"),
        Some((_, Err(why))) => Check::fail("git", why, "git must run: try `git --version`"),
        Some((path, Ok(line))) => match numbers(&line) {
            Some(version) if version < GIT => Check::fail(
                "git",
                format!("{line} at {}", path.display()),
                format!("install git {}.{} or newer", GIT.0, GIT.1),
            ),
            Some(_) | None => Check::ok("git", format!("{line} at {}", path.display())),
        },
    }
}

fn node(answer: Version) -> Check {
    match answer {
        None => Check::warn("node", "not on PATH", "most coding CLIs need node 20 or newer"),
        Some((_, Err(why))) => Check::warn("node", why, "most coding CLIs need node: try `node --version`"),
        Some((path, Ok(line))) => match numbers(&line) {
            Some(version) if version < NODE => {
                Check::warn("node", format!("{line} at {}", path.display()), "coding CLIs need node 20 or newer")
            }
            Some(_) | None => Check::ok("node", format!("{line} at {}", path.display())),
        },
    }
}

fn engine(kind: EngineKind, program: &Path, version: Result<orx_engines::Version, String>) -> Check {
    match version {
        Err(why) => Check::warn(kind.name(), why, "another program of this name, or one that does not run"),
        Ok(version) => {
            let tested = kind.descriptor().tested.as_deref().filter(|tested| *tested != version.to_string());
            let note = tested.map_or_else(String::new, |tested| format!(" (tested with {tested})"));
            Check::ok(kind.name(), format!("{version} at {}{note}", program.display()))
        }
    }
}

/// The coding CLIs that are not installed, in one line. One is enough to work with.
fn missing(absent: &[EngineKind], is_any_needed: bool) -> Option<Check> {
    let first = absent.first()?;
    let names: Vec<&str> = absent.iter().map(|kind| kind.name()).collect();
    let message = format!("not on PATH: {}", names.join(", "));
    if !is_any_needed {
        return Some(Check::ok("others", message));
    }
    let install = first.install().unwrap_or_default();
    Some(Check::warn("engines", message, format!("install the one that you want, such as {first}: {install}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Level;

    #[test]
    fn versions_are_read_from_what_programs_say() {
        let table = [
            ("git version 2.39.5", Some((2, 39))),
            ("v22.1.0", Some((22, 1))),
            ("codex-cli 0.169.0", Some((0, 169))),
            ("7", Some((7, 0))),
            ("none", None),
        ];
        for (given, wanted) in table {
            assert_eq!(numbers(given), wanted, "{given}");
        }
        let found = |line: &str| Some((PathBuf::from("/bin/x"), Ok(line.to_owned())));
        assert_eq!(git(found("git version 2.20.1")).level, Level::Fail);
        assert_eq!(git(found("git version 2.47.0")).level, Level::Ok);
        assert_eq!(git(None).level, Level::Fail);
        assert_eq!(node(found("v18.0.0")).level, Level::Warn);
    }

    #[test]
    fn engines_that_are_absent_share_a_line_and_one_is_enough() {
        let version = orx_engines::Version { major: 2, minor: 1, patch: 0 };
        let path = Path::new("/bin/claude");
        assert_eq!(engine(EngineKind::Claude, path, Ok(version)).level, Level::Ok);
        assert_eq!(engine(EngineKind::Pi, path, Err("it printed 3.14".to_owned())).level, Level::Warn);
        assert_eq!(missing(&[], true), None);
        let absent = [EngineKind::Claude, EngineKind::Codex];
        assert_eq!(missing(&absent, false).unwrap().level, Level::Ok);
        let shown = serde_json::to_value(missing(&absent, true).unwrap()).unwrap();
        assert_eq!((&shown["level"], &shown["message"]), (&"warn".into(), &"not on PATH: claude, codex".into()));
        assert!(shown["fix"].as_str().unwrap().contains("npm i -g @anthropic-ai/claude-code"), "{shown}");
    }

    #[tokio::test]
    async fn a_program_is_asked_for_its_version() {
        let answer = ask(Path::new("/bin/echo"), environment::Environment::new()).await;
        assert!(answer.is_ok(), "{answer:?}");
        assert!(ask(Path::new("/bin/false"), environment::Environment::new()).await.is_err());
    }
}
