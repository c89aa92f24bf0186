//! Engines at work: a retry after passing trouble, a fallback, lost sessions, answers without the wanted form.

use super::record::kept;
use super::{
    AfterReset, Answer, AnswerOutcome, Call, Evidence, FailureCategory, Going, Item, Offer, Stage, StageStatus,
    Trouble, Work,
};
use crate::settings::StageKey;
use crate::verdict::ReviewVerdict;
use crate::{backlog, verdict};

/// How long passing trouble is waited for where nobody says, in milliseconds.
const RETRY_MS: u64 = 30_000;
/// Longest such wait, in milliseconds.
const RETRY_MOST_MS: u64 = 120_000;
/// Sessions of one stage that may disappear before the stage fails.
const LOST: u32 = 3;

impl Going {
    /// Enters a stage whose engine reads and answers.
    pub(super) fn ask(&mut self, stage: Stage) {
        let call = Call::new(self.moment.fresh);
        self.enter(stage, Work::Engine(call));
    }

    pub(super) fn prepared(&mut self) {
        self.begin();
    }

    pub(super) fn waited(&mut self, call: Call) {
        self.try_again(Call { session: self.moment.fresh, ..call });
    }

    /// Another try of the same call, under a new session.
    fn try_again(&mut self, call: Call) {
        self.go_on(Work::Engine(Call { session: self.moment.fresh, ..call }));
    }

    pub(super) fn answered(&mut self, call: Call, answer: Answer) {
        self.charge(&answer);
        match answer.outcome {
            AnswerOutcome::Text(text) => self.understood(call, &text),
            AnswerOutcome::Lost => self.lost(call),
            AnswerOutcome::Failed { trouble, message, offer } => self.troubled(call, trouble, message, offer),
        }
    }

    fn lost(&mut self, call: Call) {
        let lost = call.lost.saturating_add(1);
        let message = format!("the session {} of the engine disappeared, and nobody knows how it ended", call.session);
        if lost >= LOST {
            return self.troubled(Call { retried: true, ..call }, Trouble::Other, message, None);
        }
        self.warn(format!("{message}; the stage was attempted again"));
        let call = Call { lost, ..call };
        // A first attempt begins on a clean tree; a further one works on the tree as it is.
        if self.machine.stage == Stage::ImplementItem {
            let keep = self.diff_name(&format!("lost-{lost}"));
            return self.go_on(Work::Reset { keep, then: AfterReset::Implement { call: Some(call) } });
        }
        self.try_again(call);
    }

    fn troubled(&mut self, mut call: Call, trouble: Trouble, message: String, offer: Offer) {
        let pause = match trouble {
            Trouble::RateLimited { retry_after_ms } => Some(retry_after_ms.unwrap_or(RETRY_MS)),
            Trouble::Overloaded | Trouble::TimedOut => Some(RETRY_MS),
            Trouble::Unusable | Trouble::Stopped | Trouble::Other => None,
        };
        if let Some(pause) = pause
            && !call.retried
        {
            call.retried = true;
            let until_ms = self.moment.now_ms.saturating_add(pause.min(RETRY_MOST_MS));
            return self.go_on(Work::Waiting { call, until_ms });
        }
        if trouble != Trouble::Stopped {
            if call.fallback.is_some() && call.fallback_tries > 0 {
                call.fallback_tries -= 1;
                return self.try_again(call);
            }
            if call.fallback.is_none()
                && let Some(fallen) = offer
            {
                self.warn(format!("{message}; {} took over", fallen.selection.engine));
                call.fallback_tries = fallen.tries.saturating_sub(1);
                call.fallback = Some(fallen.selection);
                call.retried = true;
                if let Some(record) = self.under_way() {
                    record.fallback = true;
                }
                return self.try_again(call);
            }
        }
        self.out_of_tries(trouble, message);
    }

    fn out_of_tries(&mut self, trouble: Trouble, message: String) {
        let category =
            if trouble == Trouble::TimedOut { FailureCategory::Timeout } else { FailureCategory::ExecutorError };
        match self.machine.stage {
            // The branch is handed over already: what is missing is a proposal.
            Stage::KnowledgeUpdate => {
                self.leave(StageStatus::Failed, Some((category, message.clone())));
                self.warn(format!("the project's notes were not updated: {message}"));
                self.finish();
            }
            Stage::ImplementItem | Stage::FixLoop if matches!(trouble, Trouble::TimedOut | Trouble::Other) => {
                self.leave(StageStatus::Failed, Some((category, message.clone())));
                let evidence = Evidence { engine: Some(message), ..Evidence::default() };
                self.attempt_failed(evidence);
            }
            _ => self.fail(category, message),
        }
    }

    fn understood(&mut self, call: Call, text: &str) {
        match self.machine.stage {
            Stage::Plan => {
                self.machine.texts.insert(StageKey::Plan, kept(text));
                if self.machine.rules.pipeline == super::Pipeline::PlanOnly {
                    self.finish()
                } else {
                    self.ask(Stage::Spec)
                }
            }
            Stage::Spec => {
                self.machine.texts.insert(StageKey::Spec, kept(text));
                self.ask(Stage::Decompose);
            }
            Stage::Decompose => match backlog::read(text, self.machine.rules.max_items, self.machine.rules.coalesce) {
                Ok(items) => {
                    self.machine.texts.insert(StageKey::Decompose, kept(text));
                    self.machine.items = items.into_iter().map(Item::new).collect();
                    let ids: Vec<String> = self.machine.items.iter().map(|item| item.work.id.clone()).collect();
                    for id in ids {
                        self.tell_item(&id);
                    }
                    self.next_item();
                }
                Err(error) => self.ask_form(call, error.to_string()),
            },
            Stage::ImplementItem | Stage::FixLoop => {
                self.machine.change = super::Change::default();
                self.enter(Stage::CaptureDiff, Work::Capture);
            }
            Stage::Review => match verdict::read(text) {
                Some(ReviewVerdict::Approved) => {
                    self.machine.texts.insert(StageKey::Review, kept(text));
                    self.verify_whole();
                }
                Some(ReviewVerdict::ChangesRequested) => {
                    self.machine.texts.insert(StageKey::Review, kept(text));
                    self.changes_requested(text);
                }
                None => self.ask_form(
                    call,
                    "the review holds no line `VERDICT: APPROVED` or `VERDICT: CHANGES_REQUESTED`".to_owned(),
                ),
            },
            Stage::KnowledgeUpdate => {
                self.machine.texts.insert(StageKey::KnowledgeUpdate, kept(text));
                self.go_on(Work::Notes);
            }
            // No other stage has an engine at work.
            _ => self.fail(FailureCategory::Unknown, "an engine answered in a stage that has none".to_owned()),
        }
    }

    /// Asks once again for an answer that can be read.
    fn ask_form(&mut self, call: Call, wrong: String) {
        if call.form.is_some() {
            let message = format!(
                "the {} stage was asked twice, and its answer cannot be read: {wrong}",
                self.machine.stage.as_str()
            );
            return self.fail(FailureCategory::ParseError, message);
        }
        self.try_again(Call { form: Some(wrong), ..call });
    }
}
