//! The words of a run: stages, pipelines, statuses, verdicts, categories of failure.

use serde::{Deserialize, Serialize};

use crate::settings::StageKey;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The worktree is made.
    Init,
    /// The plan is written.
    Plan,
    /// The specification is written.
    Spec,
    /// The backlog is written.
    Decompose,
    /// An engine makes its first attempt at an item.
    ImplementItem,
    /// What it changed is read and held against the guardrails.
    CaptureDiff,
    /// The gates run.
    Verify,
    /// An engine makes a further attempt, with evidence.
    FixLoop,
    /// The item is committed.
    Commit,
    /// The next item is chosen.
    NextItem,
    /// The whole is reviewed.
    Review,
    /// The branch is handed over.
    Ship,
    /// The project's notes are updated.
    KnowledgeUpdate,
    /// Everything is done.
    Done,
    /// It ended before that.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl Stage {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Plan => "plan",
            Self::Spec => "spec",
            Self::Decompose => "decompose",
            Self::ImplementItem => "implement_item",
            Self::CaptureDiff => "capture_diff",
            Self::Verify => "verify",
            Self::FixLoop => "fix_loop",
            Self::Commit => "commit",
            Self::NextItem => "next_item",
            Self::Review => "review",
            Self::Ship => "ship",
            Self::KnowledgeUpdate => "knowledge_update",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the run stands still.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// The stage of the settings whose engine works here.
    #[must_use]
    pub const fn engine(self) -> Option<StageKey> {
        match self {
            Self::Plan => Some(StageKey::Plan),
            Self::Spec => Some(StageKey::Spec),
            Self::Decompose => Some(StageKey::Decompose),
            Self::ImplementItem => Some(StageKey::Implement),
            Self::FixLoop => Some(StageKey::Fix),
            Self::Review => Some(StageKey::Review),
            Self::KnowledgeUpdate => Some(StageKey::KnowledgeUpdate),
            Self::Init
            | Self::CaptureDiff
            | Self::Verify
            | Self::Commit
            | Self::NextItem
            | Self::Ship
            | Self::Done
            | Self::Failed
            | Self::Cancelled => None,
        }
    }
}

/// The builtin pipelines: parts of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pipeline {
    /// Every stage.
    Standard,
    /// The task is the one item: implement, verify, ship.
    FastFix,
    /// The plan alone.
    PlanOnly,
}

impl Pipeline {
    /// Every pipeline.
    pub const ALL: [Self; 3] = [Self::Standard, Self::FastFix, Self::PlanOnly];

    /// The name in requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::FastFix => "fast_fix",
            Self::PlanOnly => "plan_only",
        }
    }

    /// The stages whose engines it uses.
    #[must_use]
    pub const fn engines(self) -> &'static [StageKey] {
        match self {
            Self::Standard => &StageKey::ALL,
            Self::FastFix => &[StageKey::Implement, StageKey::Fix],
            Self::PlanOnly => &[StageKey::Plan],
        }
    }
}

/// Status of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemStatus {
    /// Not begun.
    Todo,
    /// At work.
    InProgress,
    /// Committed.
    Done,
    /// Every attempt failed; nothing of it is in the tree.
    Failed,
    /// Not attempted, for the reason in its note.
    Skipped,
}

impl ItemStatus {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::InProgress => "in_progress",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Which part of a gate's work is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStep {
    /// It looks.
    Check,
    /// It repairs what it found.
    Repair,
    /// It looks again.
    Recheck,
}

/// A gate's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It succeeded.
    Passed,
    /// It ran and found something.
    Failed,
    /// It had nothing to look at.
    Skipped,
    /// It could not give a verdict.
    Error,
}

impl Verdict {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Error => "error",
        }
    }

    /// Whether nothing speaks against the change.
    #[must_use]
    pub const fn is_clear(self) -> bool {
        matches!(self, Self::Passed | Self::Skipped)
    }
}

/// How a stage came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// It is under way.
    Running,
    /// It did what it is for.
    Completed,
    /// It did not.
    Failed,
    /// It was ended from outside.
    Cancelled,
}

impl StageStatus {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// S3's words for failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCategory {
    /// The engine failed.
    ExecutorError,
    /// A required gate did not pass.
    GateFailure,
    /// A guardrail refused the change.
    GuardrailViolation,
    /// A time limit passed.
    Timeout,
    /// An answer could not be understood.
    ParseError,
    /// Nothing was changed.
    EmptyDiff,
    /// No attempt is left.
    MaxAttempts,
    /// Something else, such as git or the disk.
    Unknown,
}
