//! The state of one session over time: words come in, states are told once they have held for long enough.

use orx_protocol::activity::{Activity, AgentState, Observation, Source};
use orx_protocol::api::explain::Vote;

use super::weigh::{Word, Words, counts, is_final, turning_points, weigh};

/// An `idle` is told when nothing has contradicted it for so long, in milliseconds: between two steps of its work a CLI
/// shows its empty prompt for a moment.
const IDLE_MS: u64 = 350;
/// A dialog is told when it has stood for so long: one that is answered by a rule flashes by.
const DIALOG_MS: u64 = 100;
/// Work is told when it has gone on for so long: after a dialog some CLIs draw their spinner once more before they stop,
/// and a prompt that ends them is a prompt too.
const WORK_MS: u64 = 400;
/// `unknown` is told when nobody has said anything for so long: a screen that is redrawn shows nothing for a moment.
const UNKNOWN_MS: u64 = 1500;
/// A program that shows nothing that is known is no longer called `starting` after so long.
const STARTING_MS: u64 = 90_000;
/// A state from before a restart is told on for so long without being seen again.
const RESTORED_MS: u64 = 10_000;

/// Sources that are what a terminal shows.
const SHOWN: [Source; 4] = [Source::Screen, Source::Title, Source::Notification, Source::Progress];

/// A state that is to be told.
#[derive(Debug, Clone, Copy)]
struct Next {
    state: AgentState,
    /// Since when it holds.
    since_ms: u64,
    /// How long it must hold.
    held_ms: u64,
}

/// What a session's agent does, as far as its sources tell.
#[derive(Debug, Clone)]
pub struct Fusion {
    words: Words,
    told: Activity,
    /// What is to be told.
    next: Option<Next>,
    /// While nobody has said anything yet: until when the state that was there at the beginning is told on.
    grace_until_ms: Option<u64>,
    /// The latest time that was given: time does not go backwards.
    now_ms: u64,
}

impl Fusion {
    /// Of a session whose process starts now.
    #[must_use]
    pub fn starting(now_ms: u64) -> Self {
        let told = Activity {
            state: AgentState::Starting,
            reason: "it is being started".to_owned(),
            confidence: 90,
            since_ms: now_ms,
            until_ms: None,
        };
        Self { words: Words::new(), told, next: None, grace_until_ms: Some(now_ms + STARTING_MS), now_ms }
    }

    /// Of a session of which the record says what it did before the daemon was restarted: that is told on for a short
    /// time, as what it is, until somebody has seen the session again.
    #[must_use]
    pub fn restored(recorded: Activity, now_ms: u64) -> Self {
        let mut told = recorded;
        if !is_final(told.state) && told.state != AgentState::Unknown {
            const MARK: &str = "before the daemon's start: ";
            if !told.reason.starts_with(MARK) {
                told.reason.insert_str(0, MARK);
            }
            told.confidence /= 2;
        }
        let grace = (told.state != AgentState::Unknown).then_some(now_ms + RESTORED_MS);
        Self { words: Words::new(), told, next: None, grace_until_ms: grace, now_ms }
    }

    /// What was told last.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.told
    }

    /// Takes what a source says. A word that is older than the source's last is not news.
    pub fn observe(&mut self, said: Observation) {
        if said.state == AgentState::Unknown {
            return self.silence(said.source, said.at_ms);
        }
        if let Some(word) = self.words.get_mut(&said.source) {
            let stays = is_final(word.last.state);
            let older = (said.at_ms, said.state) < (word.last.at_ms, word.last.state);
            if stays || older {
                return;
            }
            if word.last.state != said.state {
                word.since_ms = said.at_ms;
            }
            word.last = said;
        } else {
            self.words.insert(said.source, Word { since_ms: said.at_ms, last: said });
        }
    }

    /// A source looked at `at_ms` and has nothing to say, or is gone: its vote is lost. The end of a process stays.
    pub fn silence(&mut self, source: Source, at_ms: u64) {
        if self.words.get(&source).is_some_and(|word| word.last.at_ms <= at_ms && !is_final(word.last.state)) {
            self.words.remove(&source);
        }
    }

    /// The terminal is not looked at any more: what it showed last says nothing about now.
    pub fn lost_sight(&mut self, at_ms: u64) {
        for source in SHOWN {
            self.silence(source, at_ms);
        }
    }

    /// Concludes at `now_ms`; gives the activity when it is another one than before, by state, reason or end.
    pub fn conclude(&mut self, now_ms: u64) -> Option<&Activity> {
        self.now_ms = self.now_ms.max(now_ms);
        let now_ms = self.now_ms;
        let verdict = weigh(&self.words, now_ms);
        if verdict.is_some() {
            self.grace_until_ms = None;
        } else if self.grace_until_ms.is_some_and(|until| now_ms < until) {
            return None;
        }
        let state = verdict.map_or(AgentState::Unknown, |verdict| verdict.word.last.state);
        let source = verdict.map(|verdict| verdict.word.last.source);
        // A hook's word that was taken away does not come back when the terminal shows nothing for a moment.
        let seen = source.is_some_and(|source| SHOWN.contains(&source) || source == Source::Transcript);
        let taken = seen.then(|| self.words.get(&Source::Hook)).flatten();
        let taken =
            taken.is_some_and(|hook| hook.last.state != state && hook.last.state != AgentState::SubagentsRunning);
        // A protocol does not flicker.
        let held_ms = if source == Some(Source::Protocol) { 0 } else { must_hold(state) };
        let since_ms = match self.next {
            Some(next) if next.state == state => next.since_ms,
            // What a source says of work counts from when it began to, not from when it outweighed the others.
            _ if state == AgentState::Working => verdict.map_or(now_ms, |verdict| verdict.word.since_ms.min(now_ms)),
            _ => now_ms,
        };
        self.next = Some(Next { state, since_ms, held_ms });
        let graced = self.grace_until_ms.take().is_some();
        if state != self.told.state && !graced && now_ms.saturating_sub(since_ms) < held_ms {
            return None;
        }
        let told = Activity {
            state,
            reason: verdict.map_or_else(|| UNKNOWN.to_owned(), |verdict| verdict.word.last.reason.clone()),
            confidence: verdict.map_or(0, |verdict| verdict.confidence),
            since_ms: if state == self.told.state { self.told.since_ms } else { since_ms.max(self.told.since_ms) },
            until_ms: verdict.and_then(|verdict| verdict.word.last.until_ms),
        };
        if taken {
            self.words.remove(&Source::Hook);
        }
        let before = std::mem::replace(&mut self.told, told);
        let told = &self.told;
        let same = before.state == told.state && before.reason == told.reason && before.until_ms == told.until_ms;
        (!same).then_some(told)
    }

    /// When [`Self::conclude`] may come out differently though nobody says anything until then.
    #[must_use]
    pub fn wakes_at(&self) -> Option<u64> {
        let held = self.next.filter(|next| next.state != self.told.state).map(|next| next.since_ms + next.held_ms);
        turning_points(&self.words).chain(held).chain(self.grace_until_ms).filter(|at| *at > self.now_ms).min()
    }

    /// What each source says at `now_ms`, and whether it counts.
    #[must_use]
    pub fn votes(&self, now_ms: u64) -> Vec<Vote> {
        let decisive = weigh(&self.words, now_ms).map(|verdict| verdict.word.last.source);
        self.words
            .values()
            .map(|word| Vote {
                source: word.last.source,
                state: word.last.state,
                reason: word.last.reason.clone(),
                confidence: word.last.confidence,
                since_ms: word.since_ms,
                at_ms: word.last.at_ms,
                age_ms: now_ms.saturating_sub(word.last.at_ms),
                until_ms: word.last.until_ms,
                counts: counts(word, now_ms),
                decides: decisive == Some(word.last.source),
            })
            .collect()
    }
}

/// Why a state is unknown.
const UNKNOWN: &str = "no source says what it does";

/// How long a state must hold before it is told, in milliseconds.
const fn must_hold(state: AgentState) -> u64 {
    match state {
        AgentState::Idle => IDLE_MS,
        AgentState::Blocked | AgentState::WaitingInput => DIALOG_MS,
        AgentState::Unknown => UNKNOWN_MS,
        AgentState::Working => WORK_MS,
        AgentState::Starting
        | AgentState::RateLimited
        | AgentState::SubagentsRunning
        | AgentState::Done
        | AgentState::Failed
        | AgentState::Lost => 0,
    }
}
