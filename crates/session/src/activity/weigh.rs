//! How the words of the sources are weighed against each other at one moment.

use std::collections::BTreeMap;

use orx_protocol::activity::{AgentState, Observation, Source};

/// A contradiction that is this sure takes a hook's word away, in percent.
const CERTAIN: u8 = 80;
/// A dialog that is this sure is believed against a protocol that knows nothing of it, in percent.
const EVIDENT: u8 = 90;
/// How long a screen that changed after a hook spoke must say something else before it is believed, in milliseconds.
const NEWER_MS: u64 = 300;
/// The same for a screen that said so before the hook spoke already, and was not redrawn since.
const OLDER_MS: u64 = 1500;
/// How long a dialog must stand that a protocol does not tell of.
const UNTOLD_MS: u64 = 2000;
/// How long a notification counts that nothing else confirms.
const NOTIFICATION_MS: u64 = 10_000;
/// How long a transcript's word counts that is not said again: what only follows from its last line is not, what its engine
/// wrote outright is, as long as the file stands.
const TRANSCRIPT_MS: u64 = 30_000;
/// How long a limit may be over before it is believed to be.
const LIMIT_SLACK_MS: u64 = 2000;

/// The newest word of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// What was said last.
    pub(super) last: Observation,
    /// Since when the source says the same state.
    pub(super) since_ms: u64,
}

/// The words of all sources.
pub(super) type Words = BTreeMap<Source, Word>;

/// What outweighs the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict<'a> {
    /// The word that counts.
    pub(super) word: &'a Word,
    /// How sure it is by what the others say, in percent.
    pub(super) confidence: u8,
}

/// Whether a source's word still counts at `now`.
pub(super) fn counts(word: &Word, now_ms: u64) -> bool {
    let age = now_ms.saturating_sub(word.last.at_ms);
    let limit = match word.last.source {
        Source::Notification => age <= NOTIFICATION_MS,
        Source::Transcript => age <= TRANSCRIPT_MS,
        Source::Protocol
        | Source::Hook
        | Source::Title
        | Source::Screen
        | Source::Progress
        | Source::Process
        | Source::Gateway => true,
    };
    limit && word.last.until_ms.is_none_or(|until| now_ms <= until.saturating_add(LIMIT_SLACK_MS))
}

/// Weighs the words at `now`; `None` when nobody says anything.
pub(super) fn weigh(words: &Words, now_ms: u64) -> Option<Verdict<'_>> {
    let word = |source: Source| words.get(&source).filter(|word| counts(word, now_ms));
    let counted = strongest(&word, now_ms)?;
    let mut confidence = counted.last.confidence;
    for other in words.values().filter(|other| counts(other, now_ms) && other.last.source != counted.last.source) {
        confidence = if other.last.state == counted.last.state {
            confidence.saturating_add(3)
        } else if is_hint(&other.last) {
            confidence
        } else {
            confidence.saturating_sub(15)
        };
    }
    // Nobody's word makes an end less sure.
    let confidence = if is_final(counted.last.state) { counted.last.confidence } else { confidence.clamp(1, 99) };
    Some(Verdict { word: counted, confidence })
}

/// Whether a word is far below what an engine itself shows: a hint of its processes, or what a transcript's last line lets
/// one expect.
fn is_hint(said: &Observation) -> bool {
    said.source == Source::Process || (said.source == Source::Transcript && said.confidence < CERTAIN)
}

/// Whether a state is the end of the process.
pub(super) fn is_final(state: AgentState) -> bool {
    matches!(state, AgentState::Done | AgentState::Failed | AgentState::Lost)
}

fn strongest<'a>(word: &impl Fn(Source) -> Option<&'a Word>, now_ms: u64) -> Option<&'a Word> {
    let process = word(Source::Process);
    if let Some(ended) = process.filter(|word| is_final(word.last.state)) {
        return Some(ended);
    }
    let own = of_the_agent(word, now_ms).or(process);
    match word(Source::Gateway) {
        // Whatever its CLI makes of being refused, a place for prompts or one try after the other, it cannot go on; only a
        // question is to be answered meanwhile.
        Some(parked) if own.is_none_or(|own| !asks(own)) => Some(parked),
        _ => own,
    }
}

/// What the agent itself, its CLI and its terminal say.
fn of_the_agent<'a>(word: &impl Fn(Source) -> Option<&'a Word>, now_ms: u64) -> Option<&'a Word> {
    let seen = seen(word);
    if let Some(told) = word(Source::Protocol) {
        return Some(match seen {
            Some(seen) if is_untold_dialog(told, seen, now_ms) => seen,
            _ => told,
        });
    }
    if let Some(told) = word(Source::Hook) {
        let written = word(Source::Transcript);
        return Some(match (seen, written) {
            (Some(seen), _) if takes_away(told, seen, now_ms) => seen,
            // Where the terminal is not understood, what the engine wrote since says whether the hook still holds.
            (None, Some(written)) if takes_away(told, written, now_ms) && written.since_ms > told.last.at_ms => written,
            _ => told,
        });
    }
    seen.or_else(|| word(Source::Transcript))
}

/// What the terminal shows, by title, screen, notification and progress: whatever needs somebody before what does not, of
/// two of that sort the surer one, and `idle` last, since a false `idle` is the worst answer.
fn seen<'a>(word: &impl Fn(Source) -> Option<&'a Word>) -> Option<&'a Word> {
    let screen = word(Source::Screen);
    let title = word(Source::Title);
    // A notification is old news once the screen says something that began after it.
    let news = word(Source::Notification)
        .filter(|news| screen.is_none_or(|screen| screen.since_ms <= news.last.at_ms) && title.is_none());
    let progress = word(Source::Progress);
    // A step that failed is not the end of an agent that shows anything else.
    let steps = progress.filter(|word| word.last.state == AgentState::Working);
    let shown = [screen, title, news, steps].into_iter().flatten();
    shown.max_by_key(|word| (urgency(word.last.state), word.last.confidence)).or(progress)
}

const fn urgency(state: AgentState) -> u8 {
    match state {
        AgentState::Blocked | AgentState::WaitingInput => 6,
        AgentState::RateLimited => 5,
        AgentState::SubagentsRunning => 4,
        AgentState::Working => 3,
        AgentState::Starting => 2,
        AgentState::Failed | AgentState::Done | AgentState::Lost => 1,
        AgentState::Idle | AgentState::Unknown => 0,
    }
}

/// Whether somebody is asked something.
const fn asks(word: &Word) -> bool {
    matches!(word.last.state, AgentState::Blocked | AgentState::WaitingInput)
}

/// Whether the terminal shows a dialog that a protocol does not tell of.
fn is_untold_dialog(told: &Word, seen: &Word, now_ms: u64) -> bool {
    asks(seen)
        && !asks(told)
        && seen.last.confidence >= EVIDENT
        && now_ms.saturating_sub(seen.since_ms.max(told.last.at_ms)) >= UNTOLD_MS
}

/// Whether what the terminal shows takes a hook's word away: it is newer, certain, and stands for a while. Hooks are not
/// called at an interrupt, and a word that nothing could take away would be told for ever.
fn takes_away(told: &Word, seen: &Word, now_ms: u64) -> bool {
    if seen.last.state == told.last.state || seen.last.confidence < CERTAIN {
        return false;
    }
    // A place for a prompt, or a spinner, is shown while helpers work; only hooks count those.
    if told.last.state == AgentState::SubagentsRunning
        && matches!(seen.last.state, AgentState::Idle | AgentState::Working)
    {
        return false;
    }
    let (began, needed) =
        if seen.since_ms > told.last.at_ms { (seen.since_ms, NEWER_MS) } else { (told.last.at_ms, OLDER_MS) };
    now_ms.saturating_sub(began) >= needed
}

/// Times after `now` at which the weighing may come out differently though nobody said anything.
pub(super) fn turning_points(words: &Words) -> impl Iterator<Item = u64> + '_ {
    words.values().flat_map(|word| {
        let last = word.last.at_ms;
        [
            last + NEWER_MS,
            last + OLDER_MS,
            last + UNTOLD_MS,
            word.since_ms + NEWER_MS,
            word.since_ms + UNTOLD_MS,
            last + NOTIFICATION_MS + 1,
            last + TRANSCRIPT_MS + 1,
            word.last.until_ms.map_or(last, |until| until.saturating_add(LIMIT_SLACK_MS + 1)),
        ]
    })
}
