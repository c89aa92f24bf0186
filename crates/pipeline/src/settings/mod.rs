//! `orx.yaml`: what a project asks of its runs, in the keys of S3.
//!
//! [`load`] reads and merges it, [`mod@choose`] answers which engine and model a stage gets, [`mod@notes`] says what is
//! accepted and not in force, [`init`] writes a first file. A repository's file is not the operator: it names programs
//! by name alone, and never a key or a base URL.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub mod choose;
mod de;
pub mod init;
pub mod load;
pub mod names;
pub mod notes;

pub use names::{EngineName, StageKey};

use de::Presence;

/// A whole `orx.yaml`. Every member has a default, so an empty file is one too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Version of the format; only `1.x` exists.
    #[serde(deserialize_with = "de::version")]
    pub version: String,
    /// The engine of every stage that names no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// Engines of single stages, in S3's older form; `stages` wins over it.
    #[serde(deserialize_with = "de::unique_map")]
    pub stage_engines: BTreeMap<StageKey, Engine>,
    /// The engine that takes over once when a stage's own failed and no rule of `fallback` matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_engine: Option<Engine>,
    /// What holds for an engine wherever it is used.
    #[serde(deserialize_with = "de::unique_map")]
    pub executors: BTreeMap<EngineName, Executor>,
    /// What holds for a stage.
    #[serde(deserialize_with = "de::unique_map")]
    pub stages: BTreeMap<StageKey, StageSettings>,
    /// What to do when an engine fails.
    pub fallback: Fallback,
    /// The gates; when absent, those that fit the repository.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "de::gates")]
    pub gates: Option<Vec<Gate>>,
    /// Branches, remote, pull request.
    pub git: Git,
    /// What no change may do.
    pub guardrails: Guardrails,
    /// How items are worked on.
    pub run: Run,
    /// The update of the project's notes for agents.
    pub knowledge: Knowledge,
    /// S3's capture switches. orx always keeps its journal, logs and recordings; see [`notes`].
    pub observability: Observability,
    /// S3's prompt splitting; see [`notes`].
    pub context_caching: ContextCaching,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: "1.0".to_owned(),
            engine: None,
            stage_engines: BTreeMap::new(),
            fallback_engine: None,
            executors: BTreeMap::new(),
            stages: BTreeMap::new(),
            fallback: Fallback::default(),
            gates: None,
            git: Git::default(),
            guardrails: Guardrails::default(),
            run: Run::default(),
            knowledge: Knowledge::default(),
            observability: Observability::default(),
            context_caching: ContextCaching::default(),
        }
    }
}

/// An engine and what it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Which.
    #[serde(rename = "type")]
    pub kind: EngineName,
    /// Whether it may be used.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Name of its program on the operator's `PATH`; the engine's own when empty.
    #[serde(default)]
    pub binary: String,
    /// Further arguments of its command line.
    #[serde(default)]
    pub extra_args: Vec<String>,
    /// Longest time of a stage, in seconds (30 to 86 400; 600 when absent).
    #[serde(default = "default_timeout", deserialize_with = "de::timeout")]
    pub timeout: u64,
    /// The same for single stages.
    #[serde(default, deserialize_with = "de::timeouts")]
    pub stage_timeouts: BTreeMap<StageKey, u64>,
    /// Model of every stage that names no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Profile of the Codex CLI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Reasoning effort, in the engine's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// S3's output format; orx always asks for the structured one, see [`notes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
}

impl Engine {
    /// An engine with nothing set.
    #[must_use]
    pub fn of(kind: EngineName) -> Self {
        Self {
            kind,
            enabled: true,
            binary: String::new(),
            extra_args: Vec::new(),
            timeout: default_timeout(),
            stage_timeouts: BTreeMap::new(),
            model: None,
            profile: None,
            reasoning_effort: None,
            output_format: None,
        }
    }
}

/// What holds for an engine wherever it is used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Executor {
    /// Name of its program on the operator's `PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bin: Option<String>,
    /// What it is given where nothing else is said.
    pub default: ExecutorDefaults,
    /// Codex profiles by stage.
    #[serde(deserialize_with = "de::unique_map")]
    pub profiles: BTreeMap<StageKey, String>,
    /// Models that the engine may be asked for; empty allows any.
    pub available_models: Vec<String>,
    /// Models by stage.
    #[serde(deserialize_with = "de::unique_map")]
    pub stage_models: BTreeMap<StageKey, String>,
    /// S3's switch for Gemini's automatic approval; see [`notes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_yolo: Option<bool>,
    /// S3's approval mode for Gemini; see [`notes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_mode: Option<String>,
    /// A key does not belong into a repository: its value is not read, only that there is one.
    #[serde(skip_serializing_if = "Presence::is_absent")]
    pub api_key: Presence,
    /// Program and arguments of the engine `command`; the program by its name on the operator's `PATH`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// Arguments added in stages that only read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub text_args: Vec<String>,
    /// Arguments added in stages that write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apply_args: Vec<String>,
}

/// What an engine is given where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutorDefaults {
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Codex profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Reasoning effort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// See [`Engine::output_format`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
}

/// What holds for a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StageSettings {
    /// The engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<EngineName>,
    /// The model; not together with `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The Codex profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Reasoning effort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Thinking budget of Gemini, in tokens; see [`notes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_budget: Option<u64>,
    /// Whether Codex may search the web in this stage.
    pub web_search: bool,
}

/// What to do when an engine fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fallback {
    /// Whether the rules hold.
    pub enabled: bool,
    /// The first that matches is taken.
    pub rules: Vec<FallbackRule>,
}

impl Default for Fallback {
    fn default() -> Self {
        Self { enabled: true, rules: Vec::new() }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FallbackRule {
    /// When it holds.
    #[serde(rename = "match")]
    pub when: FallbackMatch,
    /// What is used instead.
    pub switch_to: FallbackSwitch,
    /// How often the replacement may be tried (1 to 5).
    #[serde(default = "one", deserialize_with = "de::retries")]
    pub max_retries: u32,
}

/// When a rule holds: every condition that is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FallbackMatch {
    /// The engine that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<EngineName>,
    /// One of these texts is in its message, whatever the case.
    pub error_contains: Vec<String>,
}

/// What is used instead.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FallbackSwitch {
    /// Another engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<EngineName>,
    /// Another model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Another Codex profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

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
    /// S3's parallel items; see [`notes`].
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

/// The update of the project's notes for agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knowledge {
    /// Whether it takes place.
    pub enabled: bool,
    /// What becomes of the proposal.
    pub mode: KnowledgeMode,
    /// When: only `per_run` is in force, see [`notes`].
    pub trigger: KnowledgeTrigger,
    /// Where an applied update is committed: only `in_code_pr` is in force, see [`notes`].
    pub branch_mode: KnowledgeBranch,
    /// Files that may be updated.
    pub allowlist: Vec<String>,
    /// What encloses the part of a file that may be updated.
    pub markers: KnowledgeMarkers,
    /// How large an update may be.
    pub limits: KnowledgeLimits,
    /// Whether ARCHITECTURE.md is only touched when the run changed the structure: files added, removed or renamed.
    pub architecture_gatekeeping: bool,
}

impl Default for Knowledge {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: KnowledgeMode::Suggest,
            trigger: KnowledgeTrigger::PerRun,
            branch_mode: KnowledgeBranch::Unset,
            allowlist: vec!["AGENTS.md".to_owned(), "ARCHITECTURE.md".to_owned()],
            markers: KnowledgeMarkers::default(),
            limits: KnowledgeLimits::default(),
            architecture_gatekeeping: true,
        }
    }
}

/// What becomes of a proposed update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnowledgeMode {
    /// None is made.
    Off,
    /// It is kept as an artifact.
    Suggest,
    /// It is committed on the run's branch.
    Auto,
}

/// When knowledge is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnowledgeTrigger {
    /// After each item.
    PerItem,
    /// At the end of the run.
    PerRun,
}

/// Where an applied update is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnowledgeBranch {
    /// Nothing was said: on the run's branch.
    Unset,
    /// On a branch of its own.
    Separate,
    /// On the run's branch.
    InCodePr,
}

/// What encloses the part of a file that may be updated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnowledgeMarkers {
    /// Begin in AGENTS.md.
    pub agents_start: String,
    /// End in AGENTS.md.
    pub agents_end: String,
    /// Begin in ARCHITECTURE.md and other files.
    pub arch_start: String,
    /// End in ARCHITECTURE.md and other files.
    pub arch_end: String,
}

impl Default for KnowledgeMarkers {
    fn default() -> Self {
        Self {
            agents_start: "<!-- ORX:START AGENTS -->".to_owned(),
            agents_end: "<!-- ORX:END AGENTS -->".to_owned(),
            arch_start: "<!-- ORX:START ARCH -->".to_owned(),
            arch_end: "<!-- ORX:END ARCH -->".to_owned(),
        }
    }
}

/// How large a knowledge update may be, in lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnowledgeLimits {
    /// Added and removed over all files (at least 10).
    #[serde(deserialize_with = "de::changed_lines")]
    pub max_total_changed_lines: u64,
    /// Added and removed in one file (at least 10).
    #[serde(deserialize_with = "de::changed_lines")]
    pub max_changed_lines_per_file: u64,
    /// Removed over all files.
    pub max_deleted_lines: u64,
}

impl Default for KnowledgeLimits {
    fn default() -> Self {
        Self { max_total_changed_lines: 300, max_changed_lines_per_file: 200, max_deleted_lines: 50 }
    }
}

/// S3's capture switches, kept so that its files load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Observability {
    /// The main switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Channels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, bool>,
    /// Network capture.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub network: BTreeMap<String, String>,
    /// Privacy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub privacy: BTreeMap<String, String>,
    /// Storage.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<String, serde_json::Value>,
    /// Terminal recording.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tty: BTreeMap<String, serde_json::Value>,
}

/// S3's prompt splitting, kept so that its files load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContextCaching {
    /// The switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

const fn default_timeout() -> u64 {
    600
}
