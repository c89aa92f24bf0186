//! What has to hold for a change: `gates`, `git`, `guardrails`, `run`.

use serde::{Deserialize, Serialize};

use super::de;

/// A gate: a program whose success is needed, or wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Its name, unique. `ruff`, `pytest` and `docker` know their command.
    pub name: String,
    /// S3's explicit sort: `ruff`, `pytest`, `docker` or `generic`; the name decides when absent.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<GateKind>,
    /// Whether it runs.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The program. A text with spaces is split into words as a shell would, and no shell runs.
    #[serde(default)]
    pub command: String,
    /// Arguments after those in `command`.
    #[serde(default)]
    pub args: Vec<String>,
    /// Whether it has to pass; otherwise its verdict is only told.
    #[serde(default = "yes")]
    pub required: bool,
    /// Longest time, in seconds (1 to 86 400; 600 when absent).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "de::gate_timeout")]
    pub timeout: Option<u64>,
}

/// Sorts of gates that know something of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// The Python linter.
    Ruff,
    /// The Python test runner.
    Pytest,
    /// An image build.
    Docker,
    /// Any command.
    Generic,
}

/// Branches, remote, pull request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Git {
    /// The branch that runs start from; the repository's current one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_branch: Option<String>,
    /// The remote of a push.
    pub remote: String,
    /// Whether the run's branch is published in the repository at the end.
    pub auto_commit: bool,
    /// Whether the branch is pushed to the remote.
    pub auto_push: bool,
    /// Whether a pull request is opened, with `gh`.
    pub create_pr: bool,
    /// Whether it is a draft.
    pub pr_draft: bool,
}

impl Default for Git {
    fn default() -> Self {
        Self {
            base_branch: None,
            remote: "origin".to_owned(),
            auto_commit: true,
            auto_push: false,
            create_pr: false,
            pr_draft: true,
        }
    }
}

/// What no change may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guardrails {
    /// Whether paths, counts and content are checked. Paths that leave the worktree are refused in any case.
    pub enabled: bool,
    /// Which list decides on paths.
    pub mode: GuardrailMode,
    /// The only paths that may change, in `allowlist` mode; none when empty.
    pub allowed_patterns: Vec<String>,
    /// Paths that may not change, in `blacklist` mode.
    pub forbidden_patterns: Vec<String>,
    /// Exact paths that may not change, in `blacklist` mode.
    pub forbidden_paths: Vec<String>,
    /// Files that may not be made.
    pub forbidden_new_files: Vec<String>,
    /// Most files of one item (1 to 100 000).
    #[serde(deserialize_with = "de::files")]
    pub max_files_changed: u64,
    /// Whether added text is searched for secrets.
    pub check_secrets: bool,
    /// S3's switch of `forbidden_new_files`.
    pub check_new_files: bool,
}

impl Default for Guardrails {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            enabled: true,
            mode: GuardrailMode::Blacklist,
            allowed_patterns: Vec::new(),
            forbidden_patterns: texts(&["*.env", "*.env.*", "*secrets*", "*.pem", "*.key", ".git/*"]),
            forbidden_paths: texts(&[".env", ".env.local", ".env.production", "secrets.yaml", "secrets.json"]),
            forbidden_new_files: texts(&["pr_body.md", "review.md", "*.orx.md"]),
            max_files_changed: 50,
            check_secrets: true,
            check_new_files: true,
        }
    }
}

/// Which list decides on paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailMode {
    /// What is listed may not change.
    Blacklist,
    /// Only what is listed may change.
    Allowlist,
}

/// How items are worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Attempts at an item, the first one included (1 to 10).
    #[serde(deserialize_with = "de::attempts")]
    pub max_fix_attempts: u32,
    /// S3's parallel items; see [`super::notes`].
    pub parallel_items: bool,
    /// Whether the first failed item ends the run.
    pub stop_on_first_failure: bool,
    /// How items other than the last are verified.
    pub per_item_verify: VerifyMode,
    /// Most test files that a fast verification names (1 to 50).
    #[serde(deserialize_with = "de::targets")]
    pub fast_verify_max_pytest_targets: u32,
    /// Whether a fast verification leaves pytest out when no test file belongs to the change.
    pub fast_verify_skip_pytest_if_no_targets: bool,
    /// Whether ruff may repair what it found before it is asked again.
    pub auto_fix_ruff: bool,
    /// Most items of a backlog (1 to 50).
    #[serde(deserialize_with = "de::items")]
    pub max_backlog_items: u32,
    /// Whether further items are merged into the last; otherwise a longer backlog is refused.
    pub coalesce_backlog_items: bool,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            max_fix_attempts: 3,
            parallel_items: false,
            stop_on_first_failure: false,
            per_item_verify: VerifyMode::Fast,
            fast_verify_max_pytest_targets: 6,
            fast_verify_skip_pytest_if_no_targets: true,
            auto_fix_ruff: true,
            max_backlog_items: 4,
            coalesce_backlog_items: true,
        }
    }
}

/// How much of the gates an item's verification runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyMode {
    /// Every gate in full.
    Full,
    /// pytest only on the test files that belong to the change; every other gate in full.
    Fast,
}

const fn yes() -> bool {
    true
}
