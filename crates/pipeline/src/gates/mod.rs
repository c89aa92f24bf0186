//! Gates: which program each runs, on what, and what its end means. Starting them is the driver's.
//!
//! A gate's `command` is split into words by the rules of a shell (quotes, backslashes) and nothing else of a shell
//! happens: no variables, no globs, no pipes. The first word is a name that is looked up on the operator's `PATH`; a path
//! within the repository (`./check.sh`), taken from the run's worktree; or an absolute path in a directory of that `PATH`.

mod program;
mod targets;

use std::path::Path;

use orx_protocol::hold::Ended;
use orx_protocol::process::{EndReason, Exit};

pub use program::{ProgramRefused, on_path};
pub use targets::targets;

use crate::machine::{GateRule, GateStep, Verdict};
use crate::settings::{Gate, GateKind, Run};

/// Longest time of a gate that says none, in seconds.
const TIMEOUT: u64 = 600;
/// Lines of a log that are evidence.
const TAIL_LINES: usize = 50;
/// Bytes of those lines.
const TAIL_BYTES: usize = 8_000;

/// Splits a command into words as a shell would.
///
/// # Errors
/// A sentence when a quote is not closed.
pub fn words(command: &str) -> Result<Vec<String>, String> {
    shell_words::split(command).map_err(|_| "a quote is not closed".to_owned())
}

/// The gates that run, as the machine knows them.
#[must_use]
pub fn rules(gates: &[Gate], run: &Run) -> Vec<GateRule> {
    gates
        .iter()
        .filter(|gate| gate.enabled)
        .map(|gate| GateRule {
            name: gate.name.clone(),
            required: gate.required,
            repairs: run.auto_fix_ruff && can_repair(gate),
        })
        .collect()
}

/// Whether a gate is a ruff that looks for findings which it could also repair.
fn can_repair(gate: &Gate) -> bool {
    gate.kind() == GateKind::Ruff && argv(gate).get(1).is_some_and(|word| word == "check")
}

/// Command and arguments, with the defaults of the sorts that know themselves.
fn argv(gate: &Gate) -> Vec<String> {
    let (program, arguments): (&str, &[&str]) = match gate.kind() {
        GateKind::Ruff => ("ruff", &["check", "."]),
        GateKind::Pytest => ("pytest", &["-q"]),
        GateKind::Docker => ("docker", &["build", "-t", "orx-test:latest", "-f", "Dockerfile", "."]),
        GateKind::Generic => ("", &[]),
    };
    let mut argv = words(&gate.command).unwrap_or_default();
    if argv.is_empty() {
        argv.push(program.to_owned());
    }
    // The arguments of docker's build come first, and those of the settings are added to them.
    let builds = gate.kind() == GateKind::Docker && !gate.args.iter().any(|argument| argument == "build");
    if argv.len() == 1 && (gate.args.is_empty() || builds) {
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    }
    argv.extend(gate.args.iter().cloned());
    argv
}

/// Whether a gate's program is named by a path, and so may come to be in the course of a run.
#[must_use]
pub fn is_part_of_the_repository(gate: &Gate) -> bool {
    argv(gate).first().is_some_and(|program| program.contains('/'))
}

/// A gate's command as it is shown.
#[must_use]
pub fn shown(gate: &Gate) -> String {
    shell_words::join(argv(gate))
}

/// What a gate is to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// Run this.
    Run {
        /// Program and arguments; the program is an absolute path.
        argv: Vec<String>,
        /// Longest time, in seconds.
        timeout: u64,
        /// The program's path within the repository, when it is part of it.
        own: Option<String>,
    },
    /// There is nothing to look at; the sentence says why.
    Skip(String),
    /// It cannot run; the sentence says why and what to do.
    Cannot(String),
}

/// What a gate is given.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The run's worktree.
    pub worktree: &'a Path,
    /// The operator's `PATH`.
    pub search_path: Option<&'a str>,
    /// Changed paths.
    pub changed: &'a [String],
    /// How items are worked on.
    pub run: &'a Run,
    /// Whether in full.
    pub full: bool,
}

/// What a gate is to do now.
#[must_use]
pub fn plan(gate: &Gate, step: GateStep, situation: Situation<'_>) -> Planned {
    let mut argv = argv(gate);
    let kind = gate.kind();
    if kind == GateKind::Docker && !situation.worktree.join("Dockerfile").is_file() {
        return Planned::Skip("there is no Dockerfile".to_owned());
    }
    if kind == GateKind::Pytest && !situation.full {
        let most = usize::try_from(situation.run.fast_verify_max_pytest_targets).unwrap_or(usize::MAX);
        let exists = |path: &str| situation.worktree.join(path).is_file();
        let targets = targets(situation.changed, exists, most);
        if !targets.is_empty() {
            // Paths that the settings name would make it look at everything.
            let mut position = 0;
            argv.retain(|word| {
                position += 1;
                position == 1 || word.starts_with('-') || !situation.worktree.join(word).exists()
            });
            argv.extend(targets);
        } else if situation.run.fast_verify_skip_pytest_if_no_targets {
            return Planned::Skip("fast verification: no test file belongs to the change".to_owned());
        }
    }
    if step == GateStep::Repair {
        argv.extend(["--fix", "--unsafe-fixes"].map(str::to_owned));
    }
    let program = argv.first().cloned().unwrap_or_default();
    match program::locate(&program, situation.worktree, situation.search_path) {
        Ok(found) => {
            if let Some(first) = argv.first_mut() {
                *first = found.path.to_string_lossy().into_owned();
            }
            Planned::Run { argv, timeout: gate.timeout.unwrap_or(TIMEOUT), own: found.own }
        }
        Err(refused) => Planned::Cannot(refused.to_string()),
    }
}

/// What the end of a gate's process means.
#[must_use]
pub fn verdict(ended: &Ended, timeout: u64) -> (Verdict, Option<String>) {
    let said = ended.message.clone();
    match (ended.reason, ended.exit) {
        (EndReason::Exited, Some(Exit::Code(0))) => (Verdict::Passed, None),
        (EndReason::Exited, Some(exit)) => (Verdict::Failed, Some(exit.to_string())),
        (EndReason::Deadline, _) => (Verdict::Failed, Some(format!("it did not end within {timeout} s"))),
        (EndReason::Stopped, _) => (Verdict::Error, Some("somebody stopped it".to_owned())),
        (EndReason::SpawnFailed, _) => (Verdict::Error, said.or(Some("it could not be started".to_owned()))),
        (EndReason::Lost, _) | (EndReason::Exited, None) => {
            (Verdict::Error, said.or(Some("nobody knows how it ended".to_owned())))
        }
    }
}

/// The end of a log, without what moves a terminal's cursor or colours its text.
#[must_use]
pub fn tail(log: &str) -> String {
    let plain = plain(log);
    let lines: Vec<&str> = plain.lines().collect();
    let text = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n");
    let mut start = text.len().saturating_sub(TAIL_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default().to_owned()
}

/// A text without escape sequences and other control characters.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' => match characters.next() {
                // A control sequence ends with a letter or one of `@` to `~`.
                Some('[') => while characters.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // A command to the terminal ends with a bell or an escape.
                Some(']') => while characters.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
                _ => {}
            },
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' => plain.push('\n'),
            '\n' | '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn gate(name: &str, command: &str, args: &[&str]) -> Gate {
        Gate {
            name: name.to_owned(),
            kind: None,
            enabled: true,
            command: command.to_owned(),
            args: args.iter().map(|argument| (*argument).to_owned()).collect(),
            required: true,
            timeout: None,
        }
    }

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for directory in ["bin", "tree/tests", "tree/scripts"] {
            std::fs::create_dir_all(tree.path().join(directory)).unwrap();
        }
        for program in ["bin/pytest", "bin/ruff", "bin/docker", "bin/make", "tree/scripts/check.sh", "outside.sh"] {
            let path = tree.path().join(program);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(tree.path().join("tree/scripts/plain.txt"), "").unwrap();
        std::fs::write(tree.path().join("tree/tests/test_a.py"), "").unwrap();
        std::os::unix::fs::symlink(tree.path().join("outside.sh"), tree.path().join("tree/scripts/out.sh")).unwrap();
        tree
    }

    fn planned(gate: &Gate, step: GateStep, full: bool, changed: &[&str]) -> String {
        let scratch = tree();
        let changed: Vec<String> = changed.iter().map(|path| (*path).to_owned()).collect();
        let search_path = format!("/nonexistent:{}", scratch.path().join("bin").display());
        let run = Run::default();
        let worktree = scratch.path().join("tree");
        let situation =
            Situation { worktree: &worktree, search_path: Some(&search_path), changed: &changed, run: &run, full };
        let text = match plan(gate, step, situation) {
            Planned::Run { argv, own, .. } => {
                format!("{}{}", argv.join(" "), own.map(|own| format!(" <{own}>")).unwrap_or_default())
            }
            Planned::Skip(why) => format!("skip: {why}"),
            Planned::Cannot(why) => format!("cannot: {why}"),
        };
        let real = scratch.path().canonicalize().unwrap();
        text.replace(&*real.to_string_lossy(), "").replace(&*scratch.path().to_string_lossy(), "")
    }

    #[test]
    fn each_sort_runs_what_it_says() {
        use GateStep::{Check, Repair};
        for (gate, step, full, changed, expected) in [
            (gate("ruff", "", &[]), Check, true, &[][..], "/bin/ruff check ."),
            (gate("ruff", "ruff", &["check", "src"]), Repair, true, &[], "/bin/ruff check src --fix --unsafe-fixes"),
            (gate("pytest", "pytest", &["-q", "tests"]), Check, true, &[], "/bin/pytest -q tests"),
            (gate("pytest", "pytest", &["-q", "tests"]), Check, false, &["a.py"], "/bin/pytest -q tests/test_a.py"),
            (
                gate("pytest", "", &[]),
                Check,
                false,
                &["b.md"],
                "skip: fast verification: no test file belongs to the change",
            ),
            (gate("docker", "", &[]), Check, true, &[], "skip: there is no Dockerfile"),
            (gate("x", "make 'a b' c", &["d"]), Check, true, &[], "/bin/make a b c d"),
            (gate("x", "make $HOME", &["*"]), Check, true, &[], "/bin/make $HOME *"),
            (gate("x", "./scripts/check.sh", &[]), Check, true, &[], "/tree/scripts/check.sh <scripts/check.sh>"),
            (gate("x", "scripts/check.sh", &[]), Check, false, &[], "/tree/scripts/check.sh <scripts/check.sh>"),
        ] {
            assert_eq!(planned(&gate, step, full, changed), expected);
        }
    }

    #[test]
    fn a_program_that_may_not_or_cannot_run_is_no_pass() {
        for (command, expected) in [
            ("absent", "no program `absent` was found (in any of"),
            ("/outside.sh", "is in no directory of your PATH"),
            ("../outside.sh", "leads out of the repository"),
            ("scripts/out.sh", "leads out of the repository"),
            ("scripts/plain.txt", "is not executable"),
            ("scripts/none.sh", "is not in the repository"),
        ] {
            let text = planned(&gate("x", command, &[]), GateStep::Check, true, &[]);
            assert!(text.starts_with("cannot: ") && text.contains(expected), "{command}: {text}");
        }
        let settings = "gates: [{name: x, command: /usr/bin/../bin/true}]";
        assert!(crate::settings::load::parse(settings, "orx.yaml").is_ok());
    }

    #[test]
    fn only_a_ruff_that_checks_repairs() {
        let gates =
            [gate("ruff", "", &[]), gate("ruff-format", "ruff", &["format", "--check"]), gate("pytest", "", &[])];
        let repairs: Vec<bool> = rules(&gates, &Run::default()).iter().map(|rule| rule.repairs).collect();
        assert_eq!(repairs, [true, false, false]);
        let off = Run { auto_fix_ruff: false, ..Run::default() };
        assert!(rules(&gates, &off).iter().all(|rule| !rule.repairs));
    }

    #[test]
    fn an_end_is_a_pass_only_when_it_is_one() {
        let ended = |reason, exit| Ended { exit, reason, message: None, ended_at_ms: 0 };
        for (reason, exit, expected) in [
            (EndReason::Exited, Some(Exit::Code(0)), Verdict::Passed),
            (EndReason::Exited, Some(Exit::Code(1)), Verdict::Failed),
            (EndReason::Exited, Some(Exit::Signal(9)), Verdict::Failed),
            (EndReason::Exited, None, Verdict::Error),
            (EndReason::Deadline, Some(Exit::Code(0)), Verdict::Failed),
            (EndReason::Stopped, Some(Exit::Code(0)), Verdict::Error),
            (EndReason::SpawnFailed, None, Verdict::Error),
            (EndReason::Lost, Some(Exit::Code(0)), Verdict::Error),
        ] {
            assert_eq!(verdict(&ended(reason, exit), 5).0, expected, "{reason:?} {exit:?}");
        }
    }

    #[test]
    fn evidence_is_the_end_of_the_log_as_plain_text() {
        let log: String = (1..=80).map(|line| format!("\u{1b}[31mline {line}\u{1b}[0m\r\n")).collect();
        let tail = tail(&log);
        assert_eq!((tail.lines().count(), tail.lines().next()), (50, Some("line 31")));
        assert_eq!(plain("a\u{1b}]0;title\u{7}b\u{8}c\rd"), "abc\nd");
        assert!(super::tail(&"ü".repeat(20_000)).len() <= TAIL_BYTES);
    }
}
