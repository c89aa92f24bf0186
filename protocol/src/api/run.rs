//! `run.*`.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, SessionId};

/// State of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Accepted or at work.
    Running,
    /// Every item is done, every required gate passed, the branch holds the change.
    Done,
    /// It ended without that; `error` says why. It can be resumed.
    Failed,
    /// Somebody ended it. It can be resumed.
    Cancelled,
}

impl RunState {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the run stands still.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Running)
    }
}

/// Parameters of `run.start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartParams {
    /// A directory in the repository, absolute.
    pub repository: String,
    /// What to do, in words.
    pub task: String,
    /// `standard` when absent.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// Engine of every stage; wins over `orx.yaml`.
    #[serde(default)]
    pub engine: Option<String>,
    /// Further settings in the shape of `orx.yaml`; they win over the file.
    #[serde(default)]
    pub settings: Option<serde_json::Value>,
}

/// Result of `run.start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The run.
    pub run: RunId,
    /// Things the caller should know, such as uncommitted work that is not taken along.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Parameters of the methods that take a run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunParams {
    /// Which.
    pub run: RunId,
}

/// Parameters of `run.wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitParams {
    /// Which.
    pub run: RunId,
    /// How long, in milliseconds.
    pub timeout_ms: u64,
}

/// Parameters of `run.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Only runs of this repository.
    #[serde(default)]
    pub repository: Option<String>,
    /// At most this many, newest first (1 to 1000; 50 when absent).
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Result of `run.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    /// Newest first.
    pub runs: Vec<Run>,
}

/// Parameters of `run.clean`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanParams {
    /// Which.
    pub run: RunId,
    /// Also when its worktree holds work that is on no branch.
    #[serde(default)]
    pub force: bool,
}

/// Result of `run.clean`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleaned {
    /// What was removed, as paths.
    pub removed: Vec<String>,
    /// What was kept, and why; empty when everything went that was to go.
    pub kept: Vec<String>,
    /// The branch that holds the run's commits, which is never removed; `None` when none was published.
    #[serde(default)]
    pub branch: Option<String>,
}

/// Parameters of `run.artifact`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactParams {
    /// Which.
    pub run: RunId,
    /// Path below the run's directory, such as `artifacts/patch.diff`.
    pub path: String,
}

/// Result of `run.artifact`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Whether only the first part is given.
    pub truncated: bool,
}

/// A run, as `run.get` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The run.
    pub run: RunId,
    /// Its state.
    pub state: RunState,
    /// The stage that it is in, or where it ended.
    pub stage: String,
    /// Its stages in the order of their start.
    pub stages: Vec<Stage>,
    /// The branch that holds its commits; `None` until it exists.
    pub branch: Option<String>,
    /// The worktree; `None` before it is made and after it is cleaned.
    pub worktree: Option<String>,
    /// Items of the backlog.
    pub items: Vec<Item>,
    /// Verdicts of the gates, newest of each last.
    pub gates: Vec<Gate>,
    /// Tokens of all stages; members are `null` where an engine did not report them.
    pub tokens: Tokens,
    /// Cost of all stages in micro-dollars; `None` where an engine did not report it.
    pub cost_microusd: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// The repository.
    pub repository: String,
    /// The task's text.
    pub task: String,
    /// The engine.
    pub engine: String,
    /// The pipeline.
    pub pipeline: String,
    /// Directory of its files, `<repository>/runs/<id>`.
    pub directory: String,
    /// The branch that it started from.
    pub base_branch: String,
    /// The commit that it started from.
    pub base_commit: String,
    /// Commits on the branch, oldest first.
    pub commits: Vec<Commit>,
    /// Things a person should know.
    pub warnings: Vec<String>,
    /// Milliseconds since the epoch.
    pub created_at_ms: u64,
    /// Milliseconds since the epoch; `None` until it ends.
    pub ended_at_ms: Option<u64>,
}

/// One stage of a run, once for each time it was entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub stage: String,
    /// `running`, `completed`, `failed`, `skipped`.
    pub status: String,
    /// The item that it works on.
    pub item: Option<String>,
    /// Which attempt at the item, from 1.
    pub attempt: u32,
    /// The session that held its engine.
    pub session: Option<SessionId>,
    /// Milliseconds since the epoch.
    pub started_at_ms: u64,
    /// Milliseconds since the epoch; `None` while it runs.
    pub ended_at_ms: Option<u64>,
    /// Tokens of this stage.
    pub tokens: Tokens,
    /// Cost of this stage in micro-dollars; `None` where it is not known.
    pub cost_microusd: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Tokens that an engine reported; `None` is "not known", never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens sent, cached ones included.
    pub input: Option<u64>,
    /// Tokens received.
    pub output: Option<u64>,
    /// Of the input, those read from the provider's cache.
    pub cached: Option<u64>,
}

impl Tokens {
    /// The sum where each side is known; an unknown side adds nothing.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (one, other) => one.or(other),
        };
        Self {
            input: add(self.input, other.input),
            output: add(self.output, other.output),
            cached: add(self.cached, other.cached),
        }
    }
}

/// One item of the backlog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// `W001`, ...
    pub id: String,
    /// A line.
    pub title: String,
    /// `todo`, `in_progress`, `done`, `failed`, `skipped`.
    pub status: String,
    /// Attempts so far.
    pub attempts: u32,
    /// The commit that holds it.
    pub commit: Option<String>,
    /// Why it failed or was skipped.
    pub note: Option<String>,
}

/// A gate's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Its name.
    pub gate: String,
    /// `passed`, `failed`, `skipped`, `error`.
    pub verdict: String,
    /// Whether the run needs it to pass.
    pub required: bool,
    /// The item that was verified; `None` for the verification of the whole.
    pub item: Option<String>,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Path of its log below the run's directory.
    pub log: Option<String>,
    /// A sentence: why it was skipped, or could not run.
    pub message: Option<String>,
}

/// A commit on the run's branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Full object name.
    pub commit: String,
    /// First line of its message.
    pub subject: String,
    /// The item that it holds.
    pub item: Option<String>,
}
