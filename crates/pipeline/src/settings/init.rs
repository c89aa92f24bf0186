//! The text of a first `orx.yaml`, with the gates that fit the repository.

use std::fmt::Write;
use std::path::Path;

use orx_engines::EngineKind;
use orx_sandbox::find_program;

use super::{Gate, GateKind};

/// What a repository is built with, as far as its root shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tooling {
    /// Python: `pyproject.toml`, `setup.py`, `requirements.txt`, or tests in Python.
    pub python: bool,
    /// `Cargo.toml`.
    pub rust: bool,
    /// `package.json` with a `test` script.
    pub node: bool,
    /// `go.mod`.
    pub go: bool,
}

impl Tooling {
    /// Looks at a repository's root.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let has = |name: &str| root.join(name).is_file();
        let python_tests =
            ["tests", "test"].iter().any(|directory| holds_python(&root.join(directory))) || holds_python(root);
        let node = std::fs::read_to_string(root.join("package.json"))
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
            .is_some_and(|package| package.pointer("/scripts/test").is_some());
        Self {
            python: ["pyproject.toml", "setup.py", "setup.cfg", "requirements.txt"].iter().any(|name| has(name))
                || python_tests,
            rust: has("Cargo.toml"),
            node,
            go: has("go.mod"),
        }
    }

    /// The gates that fit; of tools that do the same, the one that is installed.
    #[must_use]
    pub fn gates(self, is_installed: impl Fn(&str) -> bool) -> Vec<Gate> {
        let gate = |name: &str, kind: Option<GateKind>, command: &str, args: &[&str]| Gate {
            name: name.to_owned(),
            kind,
            enabled: true,
            command: command.to_owned(),
            args: args.iter().map(|argument| (*argument).to_owned()).collect(),
            required: true,
            timeout: None,
        };
        let mut gates = Vec::new();
        if self.python {
            gates.push(gate("ruff", None, "ruff", &["check", "."]));
            if !is_installed("pytest") && is_installed("python3") {
                gates.push(gate("unittest", None, "python3", &["-m", "unittest"]));
            } else {
                gates.push(gate("pytest", None, "pytest", &["-q"]));
            }
        }
        if self.rust {
            gates.push(gate("cargo-test", None, "cargo", &["test"]));
        }
        if self.node {
            gates.push(gate("npm-test", None, "npm", &["test"]));
        }
        if self.go {
            gates.push(gate("go-test", None, "go", &["test", "./..."]));
        }
        gates
    }
}

/// Whether a directory has a test in Python right below it.
fn holds_python(directory: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py") || name == "conftest.py")
    })
}

/// The text of a first `orx.yaml` for an engine in the repository at `root`, with gates whose programs are on
/// `search_path`; those that would fit and are not installed are there as comments.
#[must_use]
pub fn init_file(engine: EngineKind, root: &Path, search_path: Option<&str>) -> String {
    file(engine, Tooling::of(root), |program| find_program(program, search_path).is_ok())
}

fn file(engine: EngineKind, tooling: Tooling, is_installed: impl Fn(&str) -> bool) -> String {
    let (fitting, missing): (Vec<Gate>, Vec<Gate>) =
        tooling.gates(&is_installed).into_iter().partition(|gate| is_installed(&gate.command));
    let mut gates = String::new();
    if fitting.is_empty() {
        gates.push_str(
            "  []  # nothing verifies a run yet; for example:\n  # - name: check\n  #   command: make check\n",
        );
    }
    // Writing to a String cannot fail.
    for gate in &fitting {
        let _ = write!(gates, "{}", entry(gate, ""));
    }
    for gate in &missing {
        let _ = write!(gates, "  # {} would fit and is not installed:\n{}", gate.command, entry(gate, "# "));
    }
    let command = if engine == EngineKind::Command {
        "\n# The program behind the engine `command`: it reads the prompt on standard input and prints its answer.\n\
         executors:\n  command:\n    argv: [my-agent]\n    text_args: [--read-only]\n"
    } else {
        ""
    };
    format!(
        "# Settings of orx for this repository. Unknown keys are refused with their line.\n\
         version: \"1.0\"\n\
         \n\
         # The coding CLI of every stage; `stages` below may choose others.\n\
         engine:\n\
         \x20 type: {engine}  # claude, codex, gemini, opencode or command\n\
         \x20 timeout: 600  # seconds a stage may take\n\
         \x20 stage_timeouts: {{implement: 1800, fix: 1800}}\n\
         \x20 # model: name  # the CLI's own default when absent\n\
         {command}\
         \n\
         # stages:\n\
         #   plan: {{executor: gemini}}\n\
         #   review: {{executor: codex, reasoning_effort: high}}\n\
         \n\
         # What has to succeed before anything is committed. Programs are found on your PATH; no shell runs.\n\
         gates:\n\
         {gates}\
         \n\
         git:\n\
         \x20 # base_branch: main  # the branch that is checked out when absent\n\
         \x20 auto_push: false\n\
         \x20 create_pr: false\n\
         \n\
         guardrails:\n\
         \x20 max_files_changed: 50\n\
         \x20 # forbidden_patterns: [\"*.env\", \"*.env.*\", \"*secrets*\", \"*.pem\", \"*.key\", \".git/*\"]\n\
         \n\
         run:\n\
         \x20 max_fix_attempts: 3  # attempts at an item, the first one included\n\
         \x20 per_item_verify: fast  # pytest on the changed parts only; the last item and the whole are verified in full\n\
         \n\
         knowledge:\n\
         \x20 mode: suggest  # off, suggest (an artifact) or auto (a commit of its own)\n"
    )
}

/// A gate as an entry of the file, each line behind `mark`.
fn entry(gate: &Gate, mark: &str) -> String {
    let args = gate.args.iter().map(|argument| format!("\"{argument}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "  {mark}- name: {}\n  {mark}  command: {}\n  {mark}  args: [{args}]\n  {mark}  required: true\n",
        gate.name, gate.command
    )
}

#[cfg(test)]
mod tests {
    use super::super::load::parse;
    use super::*;

    #[test]
    fn every_first_file_loads_again() {
        let all = Tooling { python: true, rust: true, node: true, go: true };
        for engine in EngineKind::ALL {
            for tooling in [Tooling::default(), all] {
                let text = file(engine, tooling, |_| true);
                let settings = parse(&text, "orx.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert_eq!(settings.gates, Some(tooling.gates(|_| true)));
                assert_eq!(settings.engine.unwrap().kind.served(), Some(engine));
            }
        }
        insta::assert_snapshot!(file(EngineKind::Claude, all, |_| true));
        let text = file(EngineKind::Codex, all, |program| program == "python3" || program == "cargo");
        let names: Vec<String> =
            parse(&text, "orx.yaml").unwrap().gates.unwrap().into_iter().map(|gate| gate.name).collect();
        assert_eq!(names, ["unittest", "cargo-test"]);
        assert!(text.contains("  # ruff would fit and is not installed:\n  # - name: ruff\n"), "{text}");
    }

    #[test]
    fn the_root_shows_what_a_repository_is_built_with() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(Tooling::of(scratch.path()), Tooling::default());
        std::fs::write(scratch.path().join("package.json"), r#"{"scripts": {"build": "x"}}"#).unwrap();
        assert!(!Tooling::of(scratch.path()).node);
        std::fs::write(scratch.path().join("package.json"), r#"{"scripts": {"test": "x"}}"#).unwrap();
        std::fs::create_dir(scratch.path().join("tests")).unwrap();
        std::fs::write(scratch.path().join("tests/test_a.py"), "").unwrap();
        std::fs::write(scratch.path().join("go.mod"), "").unwrap();
        assert_eq!(Tooling::of(scratch.path()), Tooling { python: true, rust: false, node: true, go: true });
    }
}
