//! The run's state machine: a function of state, input and moment. It starts nothing and writes nothing; it says what is
//! to be done next, and what happened.
//!
//! Every state has exactly one effect that may be under way ([`Work`]), so after a crash [`recover`] asks for it again.
//! Each effect can be asked for any number of times: sessions have names that were saved before, commits carry the
//! item's name, and a tree is set back to a named commit.

mod call;
mod items;
mod parts;
mod record;
mod state;
#[cfg(test)]
mod tests;
mod verify;
mod whole;
mod words;

use orx_protocol::SessionId;
use orx_protocol::api::run::{RunState, Tokens};
use serde_json::Value;

pub use parts::{
    Call, Change, CommitRecord, Evidence, GateReport, GateRule, Item, Offer, Rules, Verification, Verified,
};
pub use state::{AfterReset, Machine, StageRecord, Work};
pub use words::{FailureCategory, GateStep, ItemStatus, Pipeline, Stage, StageStatus, Verdict};

use crate::settings::StageKey;
use crate::settings::choose::Selection;

/// What the machine cannot make by itself: the moment, and a name for a session that may have to start.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Milliseconds since the epoch.
    pub now_ms: u64,
    /// A name that no session has.
    pub fresh: SessionId,
}

/// What an engine's try came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The session that held it.
    pub session: SessionId,
    /// How it came out.
    pub outcome: AnswerOutcome,
    /// The engine.
    pub engine: String,
    /// The model that answered, where it was said.
    pub model: Option<String>,
    /// Tokens; an unknown count is `None`.
    pub tokens: Tokens,
    /// Cost in micro-dollars; `None` where it is not known.
    pub cost_microusd: Option<u64>,
    /// Tools that were called.
    pub tool_calls: u32,
    /// How long it worked, in milliseconds.
    pub duration_ms: u64,
}

/// How an engine's try came out.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerOutcome {
    /// It answered.
    Text(String),
    /// It failed.
    Failed {
        /// What kind of trouble.
        trouble: Trouble,
        /// A sentence for a person.
        message: String,
        /// What could take over.
        offer: Offer,
    },
    /// The session is gone and nobody knows how it ended.
    Lost,
}

/// Kinds of an engine's trouble, as far as the machine reacts differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The provider's limit is reached.
    RateLimited {
        /// When to try again, in milliseconds, where it was said.
        retry_after_ms: Option<u64>,
    },
    /// The provider is overloaded.
    Overloaded,
    /// The time limit passed.
    TimedOut,
    /// Nobody is logged in, or the program cannot run: no attempt can help.
    Unusable,
    /// Somebody stopped the session.
    Stopped,
    /// Anything else.
    Other,
}

/// What happened since the last step.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The worktree is there.
    Prepared,
    /// The tree is set back.
    WasReset,
    /// An engine's try ended.
    Answered(Answer),
    /// The wait is over.
    WaitOver,
    /// The change was read.
    Captured(Change),
    /// A gate gave its verdict, or finished its repair.
    GateEnded(GateReport),
    /// A gate's session is gone and nobody knows how it ended; the report says so, for when that is the end of it.
    GateLost(GateReport),
    /// The item was committed.
    Committed(CommitRecord),
    /// The commit was refused: the change at that moment is empty, or violates a guardrail.
    CommitRefused(Change),
    /// The branch was handed over.
    Shipped,
    /// The notes were kept, or applied in a commit.
    Noted {
        /// The commit.
        commit: Option<CommitRecord>,
        /// A sentence where something was not done.
        warning: Option<String>,
    },
    /// What was under way cannot be done: git, the disk, or something else that no attempt mends.
    Broke {
        /// A sentence for a person.
        message: String,
    },
    /// Something a person should know that stops nothing.
    Warned(String),
    /// Somebody ends the run.
    Cancel,
    /// Somebody takes the ended run up again.
    Resume,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make the worktree; answer [`Input::Prepared`].
    Prepare,
    /// Set the tree back to the last commit and keep what was in it as a diff; answer [`Input::WasReset`].
    Reset {
        /// Name of the diff below `logs/`.
        keep: String,
    },
    /// Let the stage's engine work; answer [`Input::Answered`].
    Engine {
        /// The stage.
        stage: StageKey,
        /// The session that holds it.
        session: SessionId,
        /// What it runs with instead of the stage's own.
        fallback: Option<Selection>,
        /// What was wrong with the form of the first answer.
        form: Option<String>,
    },
    /// Wait; answer [`Input::WaitOver`].
    Wait {
        /// Until when, in milliseconds since the epoch.
        until_ms: u64,
    },
    /// Read the change; answer [`Input::Captured`].
    Capture,
    /// Run a gate; answer [`Input::GateEnded`].
    Gate {
        /// Its position.
        gate: usize,
        /// What it does.
        step: GateStep,
        /// Whether in full.
        full: bool,
        /// The session that holds it.
        session: SessionId,
    },
    /// Commit the item; answer [`Input::Committed`] or [`Input::CommitRefused`].
    Commit,
    /// Hand the branch over; answer [`Input::Shipped`].
    Ship,
    /// Keep or apply the proposed notes; answer [`Input::Noted`].
    Notes,
}

/// An event for the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// One of [`orx_protocol::event::kind`].
    pub kind: &'static str,
    /// The particulars, an object.
    pub data: Value,
}

/// The state after a step, what happened in it, and what is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The state.
    pub machine: Machine,
    /// Events, in order.
    pub events: Vec<Happening>,
    /// What is to be done; `None` when the run stands still.
    pub effect: Option<Effect>,
}

/// An input that does not belong to the state: a defect in the caller, and nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` does not belong to a run in the stage {stage}")]
pub struct InvalidTransition {
    /// The input.
    pub input: &'static str,
    /// The stage.
    pub stage: &'static str,
}

/// A step under construction: the state and the events so far.
struct Going {
    machine: Machine,
    events: Vec<Happening>,
    moment: Moment,
}

impl Input {
    const fn name(&self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::WasReset => "reset",
            Self::Answered(_) => "answered",
            Self::WaitOver => "wait over",
            Self::Captured(_) => "captured",
            Self::GateEnded(_) => "gate ended",
            Self::GateLost(_) => "gate lost",
            Self::Committed(_) => "committed",
            Self::CommitRefused(_) => "commit refused",
            Self::Shipped => "shipped",
            Self::Noted { .. } => "noted",
            Self::Broke { .. } => "broke",
            Self::Warned(_) => "warned",
            Self::Cancel => "cancel",
            Self::Resume => "resume",
        }
    }
}

/// The state after `input`.
///
/// # Errors
/// [`InvalidTransition`] when the input does not belong to the state.
pub fn step(machine: &Machine, input: Input, moment: Moment) -> Result<Step, InvalidTransition> {
    let invalid = InvalidTransition { input: input.name(), stage: machine.stage.as_str() };
    let mut going = Going { machine: machine.clone(), events: Vec::new(), moment };
    let ended = machine.stage.is_final();
    match (machine.work.clone(), input) {
        (_, Input::Warned(warning)) => going.warn(warning),
        (_, Input::Resume) if ended && machine.stage != Stage::Done => going.resume(),
        (_, _) if ended => return Err(invalid),
        (_, Input::Cancel) => going.cancel(),
        (_, Input::Broke { message }) => going.fail(FailureCategory::Unknown, message),
        (Work::Prepare, Input::Prepared) => going.prepared(),
        (Work::Reset { then, .. }, Input::WasReset) => going.was_reset(then),
        (Work::Engine(call), Input::Answered(answer)) if call.session == answer.session => going.answered(call, answer),
        (Work::Waiting { call, .. }, Input::WaitOver) => going.waited(call),
        (Work::Capture, Input::Captured(change)) => going.captured(change),
        (Work::Gates(verification), Input::GateEnded(report)) => going.gate_ended(verification, report),
        (Work::Gates(verification), Input::GateLost(report)) => going.gate_lost(verification, report),
        (Work::Commit, Input::Committed(commit)) => going.committed(commit),
        (Work::Commit, Input::CommitRefused(change)) => going.commit_refused(change),
        (Work::Ship, Input::Shipped) => going.was_shipped(),
        (Work::Notes, Input::Noted { commit, warning }) => going.noted(commit, warning),
        (_, _) => return Err(invalid),
    }
    let effect = effect(&going.machine);
    Ok(Step { machine: going.machine, events: going.events, effect })
}

/// What is under way in a state that was read back after a crash: it is to be asked for again.
#[must_use]
pub fn recover(machine: &Machine) -> Option<Effect> {
    effect(machine)
}

/// The state of a run, as it is shown.
#[must_use]
pub const fn run_state(machine: &Machine) -> RunState {
    match machine.stage {
        Stage::Done => RunState::Done,
        Stage::Failed => RunState::Failed,
        Stage::Cancelled => RunState::Cancelled,
        Stage::Init
        | Stage::Plan
        | Stage::Spec
        | Stage::Decompose
        | Stage::ImplementItem
        | Stage::CaptureDiff
        | Stage::Verify
        | Stage::FixLoop
        | Stage::Commit
        | Stage::NextItem
        | Stage::Review
        | Stage::Ship
        | Stage::KnowledgeUpdate => RunState::Running,
    }
}

fn effect(machine: &Machine) -> Option<Effect> {
    if machine.stage.is_final() {
        return None;
    }
    Some(match &machine.work {
        Work::Prepare => Effect::Prepare,
        Work::Reset { keep, .. } => Effect::Reset { keep: keep.clone() },
        Work::Engine(call) => Effect::Engine {
            stage: machine.stage.engine()?,
            session: call.session,
            fallback: call.fallback.clone(),
            form: call.form.clone(),
        },
        Work::Waiting { until_ms, .. } => Effect::Wait { until_ms: *until_ms },
        Work::Capture => Effect::Capture,
        Work::Gates(verification) => Effect::Gate {
            gate: verification.gate,
            step: verification.step,
            full: verification.full,
            session: verification.session,
        },
        Work::Commit => Effect::Commit,
        Work::Ship => Effect::Ship,
        Work::Notes => Effect::Notes,
        Work::Rest => return None,
    })
}
