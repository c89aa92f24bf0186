//! The whole: review, the last verification on the final commit, handing over, the project's notes.

use super::{
    AfterReset, CommitRecord, FailureCategory, GateReport, Going, Item, ItemStatus, Pipeline, Stage, StageStatus,
    Verified, Work,
};
use crate::backlog::BacklogItem;

/// Longest review that an item carries, in characters.
const REVIEW: usize = 16_000;

impl Going {
    /// A review wants changes: they become an item, a bounded number of times.
    pub(super) fn changes_requested(&mut self, review: &str) {
        let rounds = self.machine.rules.review_rounds;
        if self.machine.reviews >= rounds {
            let message = format!(
                "review not satisfied: changes were requested after {rounds} rounds of changes; the last review is artifacts/review.md"
            );
            return self.fail(FailureCategory::MaxAttempts, message);
        }
        self.machine.reviews += 1;
        let highest = self.machine.items.iter().filter_map(|item| item.work.id.get(1..)?.parse::<u32>().ok()).max();
        let id = format!("W{:03}", highest.unwrap_or(0) + 1);
        self.machine.items.push(Item::new(BacklogItem {
            id: id.clone(),
            title: "Address review feedback".to_owned(),
            objective: review.chars().take(REVIEW).collect(),
            acceptance: vec!["Every change that the review requests is made, and the gates pass.".to_owned()],
            files_hint: Vec::new(),
            depends_on: Vec::new(),
        }));
        self.tell_item(&id);
        self.next_item();
    }

    /// Every gate in full, on the last commit and nothing else.
    pub(super) fn verify_whole(&mut self) {
        self.machine.current = None;
        self.machine.verified = None;
        let keep = "verify-left-over.diff".to_owned();
        self.enter(Stage::Verify, Work::Reset { keep, then: AfterReset::VerifyWhole });
    }

    pub(super) fn whole_verified(&mut self, reports: Vec<GateReport>) {
        let reports = reports.into_iter().map(|report| GateReport { tail: String::new(), ..report }).collect();
        let verified = Verified { commit: self.machine.head.clone(), reports };
        let clear = verified.is_clear();
        let broken: Vec<&str> = verified
            .reports
            .iter()
            .filter(|report| report.required && !report.verdict.is_clear())
            .map(|report| report.gate.as_str())
            .collect();
        let message =
            format!("the last verification, of commit {}, did not pass: {}", verified.commit, broken.join(", "));
        if clear {
            self.machine.verified = Some(verified);
            return self.enter(Stage::Ship, Work::Ship);
        }
        match self.machine.shipped.clone() {
            None => {
                self.machine.verified = Some(verified);
                self.fail(FailureCategory::GateFailure, message);
            }
            // Only the notes came since: they are taken back, and what was handed over stands.
            Some(shipped) => {
                self.leave(StageStatus::Failed, Some((FailureCategory::GateFailure, message.clone())));
                self.warn(format!("the update of the project's notes was taken back: {message}"));
                self.machine.head.clone_from(&shipped.commit);
                self.machine.commits.retain(|commit| commit.commit != verified.commit);
                self.machine.verified = Some(shipped);
                self.machine.stage = Stage::KnowledgeUpdate;
                self.machine.work =
                    Work::Reset { keep: "knowledge-taken-back.diff".to_owned(), then: AfterReset::Finish };
            }
        }
    }

    pub(super) fn was_shipped(&mut self) {
        let first = self.machine.shipped.is_none();
        self.machine.shipped.clone_from(&self.machine.verified);
        let notes = self.machine.rules.knowledge && self.machine.rules.pipeline == Pipeline::Standard;
        if first && notes {
            return self.ask(Stage::KnowledgeUpdate);
        }
        self.finish();
    }

    pub(super) fn noted(&mut self, commit: Option<CommitRecord>, warning: Option<String>) {
        if let Some(warning) = warning {
            self.warn(warning);
        }
        match commit {
            Some(commit) => {
                self.keep_commit(commit);
                self.verify_whole();
            }
            None => self.finish(),
        }
    }

    /// The run is done, if it is.
    pub(super) fn finish(&mut self) {
        let machine = &self.machine;
        let items = !machine.items.is_empty()
            && machine.items.iter().all(|item| item.status == ItemStatus::Done && item.commit.is_some());
        let verified =
            machine.shipped.as_ref().is_some_and(|shipped| shipped.commit == machine.head && shipped.is_clear());
        if machine.rules.pipeline != Pipeline::PlanOnly && !(items && verified) {
            let message = "the run came to its end, and not every item is done and verified".to_owned();
            return self.fail(FailureCategory::Unknown, message);
        }
        self.leave(StageStatus::Completed, None);
        self.machine.stopped_at = None;
        self.end(Stage::Done, None);
    }
}
