//! What a run knows of itself: the whole of it is kept in the store, so that any daemon can go on from it.

use std::collections::BTreeMap;

use orx_protocol::SessionId;
use orx_protocol::api::run::Tokens;
use serde::{Deserialize, Serialize};

use super::parts::{Call, Change, CommitRecord, Evidence, GateReport, Item, Rules, Verification, Verified};
use super::words::{FailureCategory, Stage, StageStatus};
use crate::settings::StageKey;

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
