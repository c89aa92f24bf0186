//! What a run's state is made of: rules, items, calls of engines, verifications, evidence, commits.

use orx_protocol::SessionId;
use serde::{Deserialize, Serialize};

use super::words::{GateStep, ItemStatus, Pipeline, Verdict};
use crate::backlog::BacklogItem;
use crate::settings::choose::{Fallen, Selection};

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

/// A fallback that is offered with a failure.
pub type Offer = Option<Fallen>;
