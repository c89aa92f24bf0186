//! `orx.yaml`: what a project asks of its runs, in the keys of S3.
//!
//! [`load`] reads and merges it, [`mod@choose`] answers which engine and model a stage gets, [`mod@notes`] says what is
//! accepted and not in force, [`init`] writes a first file. A repository's file is not the operator: it names programs
//! by name alone, and never a key or a base URL.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub mod arguments;
pub mod choose;
mod de;
mod executors;
pub mod init;
pub mod load;
pub mod names;
mod notebook;
pub mod notes;
mod policy;

pub use executors::{
    Engine, Executor, ExecutorDefaults, Fallback, FallbackMatch, FallbackRule, FallbackSwitch, StageSettings,
};
pub use names::{EngineName, StageKey};
pub use notebook::{Knowledge, KnowledgeBranch, KnowledgeLimits, KnowledgeMarkers, KnowledgeMode, KnowledgeTrigger};
pub use policy::{Gate, GateKind, Git, GuardrailMode, Guardrails, Run, VerifyMode};

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
