//! The names of engines and stages in `orx.yaml`: S3's, ours, and their aliases.

use std::fmt;

use orx_engines::EngineKind;
use serde::{Deserialize, Serialize};

/// An engine as `orx.yaml` may name it. Not every one of S3's is served; see [`EngineName::served`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EngineName {
    /// Claude Code.
    #[serde(rename = "claude", alias = "claude_code", alias = "claude-code")]
    Claude,
    /// Codex CLI.
    #[serde(rename = "codex")]
    Codex,
    /// Gemini CLI.
    #[serde(rename = "gemini")]
    Gemini,
    /// opencode.
    #[serde(rename = "opencode")]
    Opencode,
    /// Any program.
    #[serde(rename = "command")]
    Command,
    /// GitHub Copilot CLI.
    #[serde(rename = "copilot")]
    Copilot,
    /// Cursor CLI.
    #[serde(rename = "cursor")]
    Cursor,
    /// S3's engine for its own tests.
    #[serde(rename = "fake")]
    Fake,
}

impl EngineName {
    /// The canonical name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
            Self::Command => "command",
            Self::Copilot => "copilot",
            Self::Cursor => "cursor",
            Self::Fake => "fake",
        }
    }

    /// The engine that serves the name; `None` where orx has none.
    #[must_use]
    pub const fn served(self) -> Option<EngineKind> {
        match self {
            Self::Claude => Some(EngineKind::Claude),
            Self::Codex => Some(EngineKind::Codex),
            Self::Gemini => Some(EngineKind::Gemini),
            Self::Opencode => Some(EngineKind::Opencode),
            Self::Command => Some(EngineKind::Command),
            Self::Copilot | Self::Cursor | Self::Fake => None,
        }
    }

    /// The name of a served engine.
    #[must_use]
    pub const fn of(kind: EngineKind) -> Self {
        match kind {
            EngineKind::Claude => Self::Claude,
            EngineKind::Codex => Self::Codex,
            EngineKind::Gemini => Self::Gemini,
            EngineKind::Opencode => Self::Opencode,
            EngineKind::Command => Self::Command,
        }
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stage that an engine works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKey {
    /// The plan.
    Plan,
    /// The specification.
    Spec,
    /// The backlog.
    Decompose,
    /// The first attempt at an item.
    #[serde(alias = "implement_item")]
    Implement,
    /// A further attempt at an item, with evidence.
    #[serde(alias = "fix_loop")]
    Fix,
    /// The review of the whole.
    Review,
    /// The update of the project's notes.
    #[serde(alias = "knowledge")]
    KnowledgeUpdate,
}

impl StageKey {
    /// Every stage, in the order of a run.
    pub const ALL: [Self; 7] =
        [Self::Plan, Self::Spec, Self::Decompose, Self::Implement, Self::Fix, Self::Review, Self::KnowledgeUpdate];

    /// The name in `orx.yaml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Spec => "spec",
            Self::Decompose => "decompose",
            Self::Implement => "implement",
            Self::Fix => "fix",
            Self::Review => "review",
            Self::KnowledgeUpdate => "knowledge_update",
        }
    }

    /// The word in the marker line of a prompt.
    #[must_use]
    pub const fn marker(self) -> &'static str {
        match self {
            Self::KnowledgeUpdate => "knowledge",
            other => other.as_str(),
        }
    }

    /// Whether the engine may write files.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Implement | Self::Fix)
    }
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
