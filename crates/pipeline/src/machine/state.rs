//! What a run knows of itself: the whole of it is kept in the store, so that any daemon can go on from it.

use std::collections::BTreeMap;

use orx_protocol::SessionId;
use orx_protocol::api::run::Tokens;
use serde::{Deserialize, Serialize};

use crate::backlog::BacklogItem;
use crate::settings::choose::{Fallen, Selection};
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

/// What bounds a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Attempts at an item, the first one included.
    pub attempts: u32,
    /// Reviews that may ask for changes before the run fails.
    pub review_rounds: u32,
    /// Whether the first failed item ends the run.
    pub stop_on_first_failure: bool,
    /// Whether items other than the last are verified fast.
    pub fast_items: bool,
    /// Most items of a backlog.
    pub max_items: usize,
    /// Whether further items are merged into the last.
    pub coalesce: bool,
    /// Whether the project's notes are updated at the end.
    pub knowledge: bool,
    /// The gates, in the order in which they run.
    pub gates: Vec<GateRule>,
}

/// A gate, as far as the machine cares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRule {
    /// Its name.
    pub name: String,
    /// Whether it has to pass.
    pub required: bool,
    /// Whether it can repair what it found before it is asked again.
    pub repairs: bool,
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

/// An item of the backlog and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What is to be done.
    #[serde(flatten)]
    pub work: BacklogItem,
    /// How far it is.
    pub status: ItemStatus,
    /// Attempts so far; a resume by a person begins anew.
    pub attempts: u32,
    /// The commit that holds it.
    pub commit: Option<String>,
    /// Why it failed or was skipped.
    pub note: Option<String>,
}

impl Item {
    /// An item that was not begun.
    #[must_use]
    pub const fn new(work: BacklogItem) -> Self {
        Self { work, status: ItemStatus::Todo, attempts: 0, commit: None, note: None }
    }
}

/// An engine at work, over all tries of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The session that holds it, saved before it starts.
    pub session: SessionId,
    /// What it runs with instead of the stage's own, once a fallback took over.
    pub fallback: Option<Selection>,
    /// Tries that the fallback has left.
    pub fallback_tries: u32,
    /// Whether the one retry after a passing trouble is used up.
    pub retried: bool,
    /// Sessions that disappeared.
    pub lost: u32,
    /// What was wrong with the form of the first answer, when it is asked for once again.
    pub form: Option<String>,
}

impl Call {
    pub(super) const fn new(session: SessionId) -> Self {
        Self { session, fallback: None, fallback_tries: 0, retried: false, lost: 0, form: None }
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

/// A verification under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Whether every gate runs in full.
    pub full: bool,
    /// Position of the gate that runs.
    pub gate: usize,
    /// What it does.
    pub step: GateStep,
    /// The session that holds it.
    pub session: SessionId,
    /// Whether a gate repaired something, so that those before it have to look again.
    pub repaired: bool,
    /// Sessions of the gate that disappeared.
    pub lost: u32,
    /// Verdicts so far.
    pub reports: Vec<GateReport>,
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

/// What a gate said, and what can be shown of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateReport {
    /// The gate.
    pub gate: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Whether it has to pass.
    pub required: bool,
    /// The item that was verified; `None` for the whole.
    pub item: Option<String>,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Path of its log below the run's directory.
    pub log: Option<String>,
    /// A sentence where there is more to say.
    pub message: Option<String>,
    /// The end of its log, for evidence; dropped once it is no longer needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
}

/// What the last attempt at an item came to, for the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Nothing was changed.
    pub empty: bool,
    /// What the engine itself reported.
    pub engine: Option<String>,
    /// Guardrails that refused, one sentence each.
    pub violations: Vec<String>,
    /// Gates that did not pass.
    pub gates: Vec<GateReport>,
    /// The change, cut to what a prompt can carry.
    pub diff: String,
}

impl Evidence {
    /// One sentence for a person.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        if let Some(message) = &self.engine {
            parts.push(message.clone());
        }
        if self.empty {
            parts.push("nothing was changed".to_owned());
        }
        parts.extend(self.violations.iter().cloned());
        for gate in &self.gates {
            let message = gate.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
            parts.push(format!("gate {} {}{message}", gate.gate, gate.verdict.as_str()));
        }
        if parts.is_empty() { "no reason was recorded".to_owned() } else { parts.join("; ") }
    }
}

/// What a change consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Changed paths.
    pub paths: Vec<String>,
    /// The change, cut to what a prompt can carry.
    pub diff: String,
    /// Guardrails that refuse it, one sentence each.
    pub violations: Vec<String>,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
}

/// What is under way: on it depends which effect is asked for again after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// The worktree is made.
    Prepare,
    /// The tree is set back to the last commit; what was in it is kept as a diff of this name.
    Reset {
        /// Name of the diff below `logs/`.
        keep: String,
        /// What follows.
        then: AfterReset,
    },
    /// An engine works.
    Engine(Call),
    /// A passing trouble is waited for.
    Waiting {
        /// The engine that waits.
        call: Call,
        /// Until when, in milliseconds since the epoch.
        until_ms: u64,
    },
    /// The change is read.
    Capture,
    /// Gates run.
    Gates(Verification),
    /// The item is committed.
    Commit,
    /// The branch is handed over.
    Ship,
    /// The proposed notes are kept or applied.
    Notes,
    /// Nothing.
    Rest,
}

/// What follows when the tree was set back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterReset {
    /// The attempt at the current item begins.
    Implement {
        /// The tries so far of this attempt.
        call: Option<Call>,
    },
    /// The next item is chosen.
    NextItem,
    /// The whole is verified.
    VerifyWhole,
    /// The notes were taken back; the run is done.
    Finish,
}

/// One stage of a run, once for each time it was entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Which.
    pub stage: Stage,
    /// How it came out.
    pub status: StageStatus,
    /// The item that it worked on.
    pub item: Option<String>,
    /// Which attempt at the item, from 1.
    pub attempt: u32,
    /// The last session that held its engine.
    pub session: Option<SessionId>,
    /// The engine that answered.
    pub engine: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// Whether a fallback took over.
    pub fallback: bool,
    /// Milliseconds since the epoch.
    pub started_at_ms: u64,
    /// Milliseconds since the epoch; `None` while it is under way.
    pub ended_at_ms: Option<u64>,
    /// Milliseconds that engines worked.
    pub engine_ms: u64,
    /// Tokens of all tries.
    pub tokens: Tokens,
    /// Cost of all tries in micro-dollars; `None` where it is not known.
    pub cost_microusd: Option<u64>,
    /// Tools that engines called.
    pub tool_calls: u32,
    /// Why it failed, as a word of S3.
    pub category: Option<FailureCategory>,
    /// Why it failed, as a sentence.
    pub error: Option<String>,
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

/// A commit on the run's branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Full object name.
    pub commit: String,
    /// First line of its message.
    pub subject: String,
    /// The item that it holds.
    pub item: Option<String>,
    /// Files changed.
    pub files: u64,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
}

/// A verification of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The commit whose tree was verified.
    pub commit: String,
    /// What each gate said, in their order.
    pub reports: Vec<GateReport>,
}

impl Verified {
    /// Whether no required gate speaks against it.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.reports.iter().all(|report| !report.required || report.verdict.is_clear())
    }
}

/// The whole state of a run's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// What bounds it.
    pub rules: Rules,
    /// Where it is.
    pub stage: Stage,
    /// What is under way.
    pub work: Work,
    /// The task's text, of which `fast_fix` makes its item.
    pub task: String,
    /// The backlog.
    pub items: Vec<Item>,
    /// The item at work.
    pub current: Option<String>,
    /// The change at hand, since it was last read.
    pub change: Change,
    /// What the last attempt at the current item came to.
    pub evidence: Option<Evidence>,
    /// Answers of the reading stages, by the stage's name.
    pub texts: BTreeMap<StageKey, String>,
    /// Reviews that asked for changes.
    pub reviews: u32,
    /// Name of the commit that the run started from.
    pub base: String,
    /// Name of the last commit.
    pub head: String,
    /// Commits on the branch, oldest first.
    pub commits: Vec<CommitRecord>,
    /// The last verification of the whole.
    pub verified: Option<Verified>,
    /// The verification whose commit was handed over.
    pub shipped: Option<Verified>,
    /// Every gate's newest verdict by item, oldest first.
    pub gates: Vec<GateReport>,
    /// Every stage that was entered, oldest first.
    pub stages: Vec<StageRecord>,
    /// Things a person should know.
    pub warnings: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Where it was when it failed or was cancelled.
    pub stopped_at: Option<Stage>,
    /// How often a person took it up again.
    pub resumes: u32,
}

impl Machine {
    /// A machine before its first step.
    #[must_use]
    pub fn new(rules: Rules, task: String, base: String) -> Self {
        Self {
            rules,
            stage: Stage::Init,
            work: Work::Prepare,
            task,
            items: Vec::new(),
            current: None,
            change: Change::default(),
            evidence: None,
            texts: BTreeMap::new(),
            reviews: 0,
            head: base.clone(),
            base,
            commits: Vec::new(),
            verified: None,
            shipped: None,
            gates: Vec::new(),
            stages: Vec::new(),
            warnings: Vec::new(),
            error: None,
            stopped_at: None,
            resumes: 0,
        }
    }

    /// The item at work.
    #[must_use]
    pub fn item(&self) -> Option<&Item> {
        let current = self.current.as_deref()?;
        self.items.iter().find(|item| item.work.id == current)
    }

    pub(super) fn item_mut(&mut self) -> Option<&mut Item> {
        let current = self.current.as_deref()?;
        self.items.iter_mut().find(|item| item.work.id == current)
    }

    /// The session that is or was to be started for what is under way.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match &self.work {
            Work::Engine(call) => Some(call.session),
            Work::Gates(verification) => Some(verification.session),
            Work::Prepare
            | Work::Reset { .. }
            | Work::Waiting { .. }
            | Work::Capture
            | Work::Commit
            | Work::Ship
            | Work::Notes
            | Work::Rest => None,
        }
    }

    /// Tokens of all stages.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.stages.iter().fold(Tokens::default(), |sum, stage| sum.plus(stage.tokens))
    }

    /// Cost of all stages in micro-dollars; `None` where no stage's is known.
    #[must_use]
    pub fn cost(&self) -> Option<u64> {
        self.stages.iter().filter_map(|stage| stage.cost_microusd).reduce(u64::saturating_add)
    }
}

/// A fallback that is offered with a failure.
pub type Offer = Option<Fallen>;
