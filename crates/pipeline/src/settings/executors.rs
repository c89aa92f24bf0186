//! Which engine works with what: `engine`, `executors`, `stages`, `fallback`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::de::{self, Presence};
use super::names::{EngineName, StageKey};

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
    /// S3's output format; orx always asks for the structured one, see [`super::notes`].
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
    /// Models that the engine has, as the project knows; a choice that is not among them is warned of.
    pub available_models: Vec<String>,
    /// Models by stage.
    #[serde(deserialize_with = "de::unique_map")]
    pub stage_models: BTreeMap<StageKey, String>,
    /// S3's switch for Gemini's automatic approval; see [`super::notes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_yolo: Option<bool>,
    /// S3's approval mode for Gemini; see [`super::notes`].
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
    /// Thinking budget of Gemini, in tokens; see [`super::notes`].
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

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

const fn default_timeout() -> u64 {
    600
}
