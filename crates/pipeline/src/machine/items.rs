//! Items: chosen one after another, attempted a bounded number of times, committed once, or taken back.

use orx_protocol::event::kind;
use serde_json::json;

use super::{
    AfterReset, Call, Change, CommitRecord, Evidence, FailureCategory, Going, Item, ItemStatus, Pipeline, Stage,
    StageStatus, Verified, Work,
};
use crate::backlog::{BacklogItem, one_line};

impl Going {
    /// The first stage after the worktree is there.
    pub(super) fn begin(&mut self) {
        match self.machine.rules.pipeline {
            Pipeline::Standard | Pipeline::PlanOnly => self.ask(Stage::Plan),
            Pipeline::FastFix => {
                let task = &self.machine.task;
                let title = one_line(task.lines().find(|line| !line.trim().is_empty()).unwrap_or("The task"));
                self.machine.items = vec![Item::new(BacklogItem {
                    id: "W001".to_owned(),
                    title,
                    objective: task.clone(),
                    acceptance: vec!["The task is done and the gates pass.".to_owned()],
                    files_hint: Vec::new(),
                    depends_on: Vec::new(),
                })];
                self.tell_item("W001");
                self.next_item();
            }
        }
    }

    /// Chooses the next item, or goes on to the whole when none is left.
    pub(super) fn next_item(&mut self) {
        self.leave(StageStatus::Completed, None);
        self.machine.stage = Stage::NextItem;
        self.machine.current = None;
        self.machine.evidence = None;
        self.machine.change = Change::default();
        self.skip_what_cannot_be_done();
        let next = [ItemStatus::InProgress, ItemStatus::Todo].into_iter().find_map(|status| {
            self.machine.items.iter().find(|item| item.status == status).map(|item| item.work.id.clone())
        });
        match next {
            Some(id) => {
                self.machine.current = Some(id);
                self.begin_attempt(Stage::ImplementItem);
            }
            None => self.items_ended(),
        }
    }

    /// Skips items behind one that failed, and all the rest where the first failure is to end the run.
    fn skip_what_cannot_be_done(&mut self) {
        let stop = self.machine.rules.stop_on_first_failure
            && self.machine.items.iter().any(|item| item.status == ItemStatus::Failed);
        loop {
            let items = &self.machine.items;
            let lost = |id: &String| {
                items
                    .iter()
                    .find(|other| other.work.id == *id)
                    .filter(|other| matches!(other.status, ItemStatus::Failed | ItemStatus::Skipped))
            };
            let found = items.iter().find_map(|item| {
                if !matches!(item.status, ItemStatus::Todo | ItemStatus::InProgress) {
                    return None;
                }
                let behind = item.work.depends_on.iter().find_map(lost);
                let why = match behind {
                    Some(before) => format!("it depends on {}, which was {}", before.work.id, before.status.as_str()),
                    None if stop => "an item before it failed, and run.stop_on_first_failure is set".to_owned(),
                    None => return None,
                };
                Some((item.work.id.clone(), why))
            });
            let Some((id, why)) = found else { return };
            self.mark(&id, ItemStatus::Skipped, Some(why));
        }
    }

    pub(super) fn mark(&mut self, id: &str, status: ItemStatus, note: Option<String>) {
        if let Some(item) = self.machine.items.iter_mut().find(|item| item.work.id == id) {
            item.status = status;
            item.note = note;
        }
        self.tell_item(id);
    }

    /// Begins an attempt at the current item: the first on a clean tree, a further one on what is there.
    fn begin_attempt(&mut self, stage: Stage) {
        let fresh = self.moment.fresh;
        let Some(item) = self.machine.item_mut() else {
            return self.fail(FailureCategory::Unknown, "no item is at work".to_owned());
        };
        item.status = ItemStatus::InProgress;
        item.attempts = item.attempts.saturating_add(1);
        let id = item.work.id.clone();
        self.tell_item(&id);
        if stage == Stage::ImplementItem {
            let keep = self.diff_name("left-over");
            self.enter(stage, Work::Reset { keep, then: AfterReset::Implement { call: None } });
        } else {
            self.enter(stage, Work::Engine(Call::new(fresh)));
        }
    }

    /// Name of a diff that is kept of the current item.
    pub(super) fn diff_name(&self, what: &str) -> String {
        match self.machine.item() {
            Some(item) => format!("{}-attempt-{}-{what}.diff", item.work.id, item.attempts),
            None => format!("{}-{what}.diff", self.machine.stage.as_str()),
        }
    }

    pub(super) fn was_reset(&mut self, then: AfterReset) {
        match then {
            AfterReset::Implement { call } => {
                let call = Call { session: self.moment.fresh, ..call.unwrap_or_else(|| Call::new(self.moment.fresh)) };
                self.go_on(Work::Engine(call));
            }
            AfterReset::NextItem => self.next_item(),
            AfterReset::VerifyWhole => self.gates(true),
            AfterReset::Finish => self.finish(),
        }
    }

    pub(super) fn captured(&mut self, change: Change) {
        if let Some(evidence) = self.refused(&change) {
            return self.refuse(evidence);
        }
        self.machine.change = change;
        let last = self.machine.items.iter().all(|item| {
            Some(&item.work.id) == self.machine.current.as_ref()
                || !matches!(item.status, ItemStatus::Todo | ItemStatus::InProgress)
        });
        self.enter(Stage::Verify, Work::Rest);
        self.gates(last || !self.machine.rules.fast_items);
    }

    /// Why a change cannot be taken as it is.
    fn refused(&self, change: &Change) -> Option<Evidence> {
        let empty = change.paths.is_empty();
        if !empty && change.violations.is_empty() {
            return None;
        }
        Some(Evidence {
            empty,
            violations: change.violations.clone(),
            diff: change.diff.clone(),
            ..Evidence::default()
        })
    }

    pub(super) fn commit_refused(&mut self, change: Change) {
        let evidence = self.refused(&change).unwrap_or_else(|| Evidence { empty: true, ..Evidence::default() });
        self.refuse(evidence);
    }

    fn refuse(&mut self, evidence: Evidence) {
        let category = if evidence.violations.is_empty() {
            FailureCategory::EmptyDiff
        } else {
            FailureCategory::GuardrailViolation
        };
        if category == FailureCategory::GuardrailViolation {
            let item = self.machine.current.clone();
            self.tell(kind::GUARDRAIL_VIOLATED, json!({ "item": item, "violations": evidence.violations }));
        }
        self.leave(StageStatus::Failed, Some((category, evidence.summary())));
        self.attempt_failed(evidence);
    }

    /// The attempt came to nothing: another one with evidence, or the item fails.
    pub(super) fn attempt_failed(&mut self, evidence: Evidence) {
        let limit = self.machine.rules.attempts;
        let attempts = self.machine.item().map_or(limit, |item| item.attempts);
        if attempts < limit {
            self.machine.evidence = Some(evidence);
            return self.begin_attempt(Stage::FixLoop);
        }
        let Some(id) = self.machine.current.clone() else {
            return self.fail(FailureCategory::Unknown, "no item is at work".to_owned());
        };
        let times = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
        self.mark(&id, ItemStatus::Failed, Some(format!("after {times}: {}", evidence.summary())));
        let keep = self.diff_name("failed");
        self.machine.stage = Stage::NextItem;
        self.machine.work = Work::Reset { keep, then: AfterReset::NextItem };
    }

    pub(super) fn committed(&mut self, commit: CommitRecord) {
        let Some(item) = self.machine.item_mut() else {
            return self.fail(FailureCategory::Unknown, "no item is at work".to_owned());
        };
        item.status = ItemStatus::Done;
        item.commit = Some(commit.commit.clone());
        item.note = None;
        let id = item.work.id.clone();
        self.tell_item(&id);
        self.keep_commit(commit);
        self.next_item();
    }

    pub(super) fn keep_commit(&mut self, commit: CommitRecord) {
        self.tell(
            kind::RUN_COMMITTED,
            json!({ "commit": commit.commit, "subject": commit.subject, "item": commit.item }),
        );
        self.machine.head.clone_from(&commit.commit);
        self.machine.commits.push(commit);
    }

    /// No item is left to work on.
    fn items_ended(&mut self) {
        let items = &self.machine.items;
        let done = items.iter().filter(|item| item.status == ItemStatus::Done).count();
        if done == items.len() {
            return match self.machine.rules.pipeline {
                Pipeline::Standard => self.ask(Stage::Review),
                Pipeline::FastFix | Pipeline::PlanOnly => self.verify_whole(),
            };
        }
        let broken: Vec<String> = items
            .iter()
            .filter(|item| item.status != ItemStatus::Done)
            .map(|item| {
                let note = item.note.as_deref().unwrap_or("no reason was recorded");
                format!("{} was {} ({note})", item.work.id, item.status.as_str())
            })
            .collect();
        let kept = if done == 0 {
            String::new()
        } else {
            format!(
                "; {done} of {} items are committed in the run's worktree, and no branch was handed over",
                items.len()
            )
        };
        self.fail(FailureCategory::MaxAttempts, format!("{}{kept}", broken.join("; ")));
    }

    /// Takes an ended run up again: what failed gets a fresh set of attempts, what is committed stays.
    pub(super) fn resume(&mut self) {
        let stopped_at = self.machine.stopped_at.take().unwrap_or(Stage::Init);
        self.machine.resumes = self.machine.resumes.saturating_add(1);
        self.machine.error = None;
        self.machine.reviews = 0;
        self.machine.evidence = None;
        self.machine.current = None;
        self.tell(kind::RUN_RESUMED, json!({ "stage": stopped_at.as_str(), "by": "request" }));
        let again: Vec<String> = self
            .machine
            .items
            .iter_mut()
            .filter(|item| item.status != ItemStatus::Done)
            .map(|item| {
                (item.status, item.attempts, item.note) = (ItemStatus::Todo, 0, None);
                item.work.id.clone()
            })
            .collect();
        let open = !again.is_empty();
        for id in again {
            self.tell_item(&id);
        }
        match stopped_at {
            Stage::Init => self.enter(Stage::Init, Work::Prepare),
            Stage::Plan | Stage::Spec | Stage::Decompose => self.ask(stopped_at),
            _ if open => self.next_item(),
            Stage::Review if self.machine.rules.pipeline == Pipeline::Standard => self.ask(Stage::Review),
            Stage::KnowledgeUpdate if self.machine.shipped.as_ref().is_some_and(Verified::is_clear) => {
                self.ask(Stage::KnowledgeUpdate);
            }
            Stage::ImplementItem | Stage::CaptureDiff | Stage::FixLoop | Stage::Commit | Stage::NextItem => {
                self.next_item()
            }
            _ => self.verify_whole(),
        }
    }
}
