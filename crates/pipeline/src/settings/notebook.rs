//! The update of the project's notes: `knowledge`.

use serde::{Deserialize, Serialize};

use super::de;

/// The update of the project's notes for agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knowledge {
    /// Whether it takes place.
    pub enabled: bool,
    /// What becomes of the proposal.
    pub mode: KnowledgeMode,
    /// When: only `per_run` is in force, see [`super::notes`].
    pub trigger: KnowledgeTrigger,
    /// Where an applied update is committed: only `in_code_pr` is in force, see [`super::notes`].
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
