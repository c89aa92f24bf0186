//! Keeping book of stages, and telling what happened.

use orx_protocol::event::kind;
use serde_json::{Value, json};

use super::{Answer, FailureCategory, GateReport, Going, Happening, Stage, StageRecord, StageStatus, Work};

/// Longest text that is kept of an answer, in bytes.
const TEXT: usize = 200 * 1024;

impl Going {
    pub(super) fn tell(&mut self, kind: &'static str, data: Value) {
        self.events.push(Happening { kind, data });
    }

    pub(super) fn warn(&mut self, warning: String) {
        if !self.machine.warnings.contains(&warning) {
            self.tell(kind::RUN_WARNING, json!({ "message": warning }));
            self.machine.warnings.push(warning);
        }
    }

    /// Leaves the stage that is under way, if any, as completed, and enters another.
    pub(super) fn enter(&mut self, stage: Stage, work: Work) {
        self.leave(StageStatus::Completed, None);
        let item = match stage {
            Stage::ImplementItem | Stage::CaptureDiff | Stage::Verify | Stage::FixLoop | Stage::Commit => {
                self.machine.current.clone()
            }
            Stage::Init
            | Stage::Plan
            | Stage::Spec
            | Stage::Decompose
            | Stage::NextItem
            | Stage::Review
            | Stage::Ship
            | Stage::KnowledgeUpdate
            | Stage::Done
            | Stage::Failed
            | Stage::Cancelled => None,
        };
        let attempt = match &item {
            Some(_) => self.machine.item().map_or(1, |item| item.attempts.max(1)),
            None => {
                let before = self.machine.stages.iter().filter(|record| record.stage == stage && record.item.is_none());
                u32::try_from(before.count()).unwrap_or(u32::MAX).saturating_add(1)
            }
        };
        self.machine.stage = stage;
        self.machine.work = work;
        let session = self.machine.session();
        self.tell(
            kind::STAGE_STARTED,
            json!({ "stage": stage.as_str(), "item": item, "attempt": attempt, "session": session }),
        );
        self.machine.stages.push(StageRecord {
            stage,
            status: StageStatus::Running,
            item,
            attempt,
            session,
            engine: None,
            model: None,
            fallback: false,
            started_at_ms: self.moment.now_ms,
            ended_at_ms: None,
            engine_ms: 0,
            tokens: orx_protocol::api::run::Tokens::default(),
            cost_microusd: None,
            tool_calls: 0,
            category: None,
            error: None,
        });
    }

    /// Goes on within the stage.
    pub(super) fn go_on(&mut self, work: Work) {
        self.machine.work = work;
        let session = self.machine.session();
        if let Some(record) = self.under_way() {
            record.session = session.or(record.session);
        }
    }

    pub(super) fn under_way(&mut self) -> Option<&mut StageRecord> {
        self.machine.stages.last_mut().filter(|record| record.status == StageStatus::Running)
    }

    /// Leaves the stage that is under way, if any.
    pub(super) fn leave(&mut self, status: StageStatus, why: Option<(FailureCategory, String)>) {
        let now = self.moment.now_ms;
        let Some(record) = self.under_way() else { return };
        record.status = status;
        record.ended_at_ms = Some(now);
        if let Some((category, error)) = why {
            record.category = Some(category);
            record.error = Some(error);
        }
        let data = json!({
            "stage": record.stage.as_str(),
            "status": status.as_str(),
            "item": record.item,
            "attempt": record.attempt,
            "session": record.session,
            "duration_ms": now.saturating_sub(record.started_at_ms),
            "tokens": record.tokens,
            "cost_microusd": record.cost_microusd,
            "failure_category": record.category,
            "error": record.error,
        });
        self.tell(kind::STAGE_ENDED, data);
    }

    /// Adds what a try cost to the stage that is under way.
    pub(super) fn charge(&mut self, answer: &Answer) {
        let Some(record) = self.under_way() else { return };
        record.tokens = record.tokens.plus(answer.tokens);
        record.cost_microusd = match (record.cost_microusd, answer.cost_microusd) {
            (Some(before), Some(now)) => Some(before.saturating_add(now)),
            (before, now) => before.or(now),
        };
        record.tool_calls = record.tool_calls.saturating_add(answer.tool_calls);
        record.engine_ms = record.engine_ms.saturating_add(answer.duration_ms);
        record.engine = Some(answer.engine.clone());
        record.model = answer.model.clone().or_else(|| record.model.take());
    }

    /// Keeps a gate's verdict, in place of an earlier one of the same attempt.
    pub(super) fn keep_verdict(&mut self, report: &GateReport) {
        let kept = GateReport { tail: String::new(), ..report.clone() };
        self.machine
            .gates
            .retain(|other| !(other.gate == kept.gate && other.item == kept.item && other.attempt == kept.attempt));
        self.tell(
            kind::GATE_ENDED,
            json!({
                "gate": kept.gate, "verdict": kept.verdict.as_str(), "required": kept.required, "item": kept.item,
                "attempt": kept.attempt, "duration_ms": kept.duration_ms, "message": kept.message,
            }),
        );
        self.machine.gates.push(kept);
    }

    /// Tells that an item changed its status.
    pub(super) fn tell_item(&mut self, id: &str) {
        let Some(item) = self.machine.items.iter().find(|item| item.work.id == id) else { return };
        let data = json!({
            "item": item.work.id, "title": item.work.title, "status": item.status.as_str(),
            "attempts": item.attempts, "commit": item.commit, "note": item.note,
        });
        self.tell(kind::ITEM_CHANGED, data);
    }

    /// Ends the run without success.
    pub(super) fn fail(&mut self, category: FailureCategory, message: String) {
        self.machine.stopped_at = Some(self.machine.stage);
        self.leave(StageStatus::Failed, Some((category, message.clone())));
        self.end(Stage::Failed, Some(message));
    }

    /// Ends the run because somebody wants so.
    pub(super) fn cancel(&mut self) {
        self.machine.stopped_at = Some(self.machine.stage);
        self.leave(StageStatus::Cancelled, None);
        self.end(Stage::Cancelled, None);
    }

    pub(super) fn end(&mut self, stage: Stage, error: Option<String>) {
        self.machine.stage = stage;
        self.machine.work = Work::Rest;
        self.machine.error = error;
        let machine = &self.machine;
        let data = json!({
            "state": stage.as_str(),
            "stage": machine.stopped_at.map(Stage::as_str),
            "error": machine.error,
            "items_done": machine.items.iter().filter(|item| item.commit.is_some()).count(),
            "items": machine.items.len(),
            "tokens": machine.tokens(),
            "cost_microusd": machine.cost(),
        });
        self.tell(kind::RUN_ENDED, data);
    }
}

/// A text cut to what is kept of an answer.
pub(super) fn kept(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let mut end = TEXT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\n[cut: the answer has {} bytes]\n", text.get(..end).unwrap_or_default(), text.len())
}
