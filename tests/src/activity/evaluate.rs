//! How well the states that are told of a recording fit what was true of it.

use std::sync::Arc;

use orx_engines::transcript::{Reader, Tell, Telling};
use orx_protocol::activity::{AgentState, Source};
use orx_protocol::process::{EndReason, Exit};
use orx_protocol::watch::Changed;
use orx_session::activity::{Fusion, Observer};
use orx_session::screen::Rules;
use pty_proxy::replay::cast::CastError;
use pty_proxy::replay::play;
use serde_json::Value;

use super::corpus::{Take, Truth, Word};

/// A state must be told within this time after it was true, in milliseconds.
pub const LATEST_MS: u64 = 1000;

/// A state that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When, in milliseconds since the recording began.
    pub at_ms: u64,
    /// The state.
    pub state: AgentState,
    /// Why.
    pub reason: String,
}

/// What came of one recording, or of several.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Recordings.
    pub takes: usize,
    /// Transitions that were true.
    pub true_transitions: usize,
    /// Of those, told in time.
    pub hits: usize,
    /// Transitions that were told and were not true, as sentences.
    pub wrong: Vec<String>,
    /// Transitions that were true and were not told in time, as sentences.
    pub missed: Vec<String>,
    /// How long `idle` was told while it was not, in milliseconds.
    pub false_idle_ms: u64,
    /// How long it was not idle, in milliseconds.
    pub not_idle_ms: u64,
    /// How often `idle` was told, and how often wrongly.
    pub idles: (usize, usize),
    /// How long after the truth each state was told, in milliseconds.
    pub delays_ms: Vec<u64>,
}

impl Figures {
    /// The harmonic mean of precision and recall over transitions.
    #[must_use]
    pub fn f1(&self) -> f64 {
        let hits = self.hits as f64;
        let all = 2.0 * hits + self.wrong.len() as f64 + self.missed.len() as f64;
        if all == 0.0 { 1.0 } else { 2.0 * hits / all }
    }

    /// The part of the time that was not idle for which `idle` was told.
    #[must_use]
    pub fn false_idle(&self) -> f64 {
        if self.not_idle_ms == 0 { 0.0 } else { self.false_idle_ms as f64 / self.not_idle_ms as f64 }
    }

    /// A delay that so many percent do not exceed, in milliseconds.
    #[must_use]
    pub fn delay_ms(&self, percent: usize) -> u64 {
        let mut sorted = self.delays_ms.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get(last * percent / 100).copied().unwrap_or(0)
    }

    /// Adds those of other recordings.
    pub fn add(&mut self, other: &Self) {
        self.takes += other.takes;
        self.true_transitions += other.true_transitions;
        self.hits += other.hits;
        self.wrong.extend(other.wrong.iter().cloned());
        self.missed.extend(other.missed.iter().cloned());
        self.false_idle_ms += other.false_idle_ms;
        self.not_idle_ms += other.not_idle_ms;
        self.idles.0 += other.idles.0;
        self.idles.1 += other.idles.1;
        self.delays_ms.extend(&other.delays_ms);
    }
}

/// What is heard beside the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hearing {
    /// Nothing.
    Terminal,
    /// Hooks.
    Hooks,
    /// The files of the conversation.
    Files,
    /// All of it.
    All,
    /// The files of the conversation, and the terminal not.
    FilesAlone,
}

impl Hearing {
    fn hears(self, what: &Word) -> bool {
        match what {
            Word::Hook(_) => matches!(self, Self::Hooks | Self::All),
            Word::Line(_) | Word::Document(_) => matches!(self, Self::Files | Self::All | Self::FilesAlone),
        }
    }

    /// Whether a recording has something for it.
    #[must_use]
    pub fn is_of(self, take: &Take) -> bool {
        let has = |hearing: Self| take.labels.heard.iter().any(|heard| hearing.hears(&heard.what));
        match self {
            Self::Terminal => true,
            Self::All => has(Self::Hooks) && has(Self::Files),
            Self::Hooks | Self::Files | Self::FilesAlone => has(self),
        }
    }

    /// How figures are named by it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminal => "",
            Self::Hooks => " with hooks",
            Self::Files => " with files",
            Self::All => " with both",
            Self::FilesAlone => " by files alone",
        }
    }
}

/// How long after it was written a line is read at the latest while an engine works, in milliseconds.
const READ_MS: u64 = 250;

/// The files of a conversation, as the daemon reads them.
struct Files {
    reader: Option<Reader>,
    telling: Telling,
}

impl Files {
    fn look(&mut self, observer: &mut Observer, at_ms: u64) {
        let said = self.reader.as_ref().and_then(Reader::says);
        match self.telling.look(said, at_ms) {
            Tell::Nothing => {}
            Tell::Says(said) => observer.observe(said),
            Tell::Silence => observer.closed(Source::Transcript, at_ms),
        }
    }

    fn hear(&mut self, observer: &mut Observer, what: &Word, at_ms: u64) {
        match (what, &mut self.reader) {
            (Word::Hook(hook), _) => observer.hook(hook, at_ms),
            (Word::Line(line), Some(reader)) => reader.line(dated(line, at_ms).to_string().as_bytes(), at_ms),
            (Word::Document(document), Some(reader)) => {
                reader.document(document.to_string().as_bytes(), at_ms);
            }
            (Word::Line(_) | Word::Document(_), None) => {}
        }
        self.look(observer, at_ms);
    }
}

/// A line with its time, on the recording's clock, which is less than an hour long.
fn dated(line: &Value, at_ms: u64) -> Value {
    let mut line = line.clone();
    if let Some(members) = line.as_object_mut() {
        let (minutes, seconds, rest) = (at_ms / 60_000, at_ms / 1000 % 60, at_ms % 1000);
        members.insert("timestamp".to_owned(), format!("1970-01-01T00:{minutes:02}:{seconds:02}.{rest:03}Z").into());
    }
    line
}

/// What a holder would have told of a recording, on its clock.
#[derive(Debug)]
pub struct Played {
    news: Vec<Changed>,
    end_ms: u64,
    exit: Option<String>,
}

/// Plays a recording through the real model of the screen.
///
/// # Errors
/// When the recording cannot be read.
pub fn played(take: &Take) -> Result<Played, CastError> {
    let mut all = Vec::new();
    let (length, exit) = play(&take.cast, |news: Changed| {
        all.push(news);
        Ok::<_, CastError>(())
    })?;
    Ok(Played { news: all, end_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX), exit })
}

/// What is told over a recording: the real rules and the real fusion, on the recording's clock.
#[must_use]
pub fn told(take: &Take, played: &Played, rules: &Arc<Rules>, hearing: Hearing) -> Vec<Told> {
    let version = take.labels.version.parse().ok();
    let mut observer = Observer::new(Arc::clone(rules), version, Fusion::starting(0));
    let mut files = Files { reader: take.labels.engine.parse().ok().and_then(Reader::of), telling: Telling::default() };
    let mut heard: Vec<(u64, &Word)> = take
        .labels
        .heard
        .iter()
        .filter(|heard| hearing.hears(&heard.what))
        .map(|heard| (heard.at_ms + if matches!(heard.what, Word::Hook(_)) { 0 } else { READ_MS }, &heard.what))
        .collect();
    heard.sort_by_key(|(at_ms, _)| *at_ms);
    let mut heard = heard.into_iter().peekable();
    let mut told = Vec::new();
    // The first state is told when the session is made.
    tell(&mut observer, 0, &mut told);
    for news in &played.news {
        let at_ms = news.at_ms;
        while let Some((heard_ms, what)) = heard.next_if(|(heard_ms, _)| *heard_ms <= at_ms) {
            wait(&mut observer, heard_ms, &mut told);
            files.hear(&mut observer, what, heard_ms);
            tell(&mut observer, heard_ms, &mut told);
        }
        wait(&mut observer, at_ms, &mut told);
        if hearing != Hearing::FilesAlone {
            observer.changed(news.clone());
        }
        files.look(&mut observer, at_ms);
        tell(&mut observer, at_ms, &mut told);
    }
    let end = played.end_ms;
    wait(&mut observer, end, &mut told);
    if let Some(status) = &played.exit {
        observer.ended(EndReason::Exited, status.parse().ok().map(Exit::Code), end);
        tell(&mut observer, end, &mut told);
    }
    told
}

/// Lets time pass until `until`.
fn wait(observer: &mut Observer, until: u64, told: &mut Vec<Told>) {
    while let Some(at) = observer.wakes_at().filter(|at| *at < until) {
        tell(observer, at, told);
    }
}

fn tell(observer: &mut Observer, at_ms: u64, told: &mut Vec<Told>) {
    observer.conclude(at_ms);
    let activity = observer.activity();
    if told.last().is_none_or(|last| last.state != activity.state) {
        told.push(Told { at_ms, state: activity.state, reason: activity.reason.clone() });
    }
}

/// Holds what was told against what was true.
///
/// A transition is told in time when its state is told between the time of its cause and a second after it was true. A
/// state that was told and then taken back within that time, or at any other time, is wrong.
#[must_use]
pub fn judge(name: &str, truth: &[Truth], told: &[Told]) -> Figures {
    let mut figures = Figures { takes: 1, ..Figures::default() };
    let mut used = vec![false; told.len()];
    // The first of both is the beginning.
    if let Some(first) = used.first_mut() {
        *first = true;
    }
    for (index, now) in truth.iter().enumerate().skip(1) {
        figures.true_transitions += 1;
        let latest = now.by_ms + LATEST_MS;
        let until = truth.get(index + 1).map_or(u64::MAX, |next| next.from_ms);
        // What was told last before the next thing happened must be it, and must have been told in time.
        let found = told.iter().enumerate().rev().find(|(at, told)| {
            !used.get(*at).copied().unwrap_or(true)
                && told.state == now.state
                && told.at_ms >= now.from_ms
                && told.at_ms <= latest.min(until.max(now.by_ms))
        });
        match found {
            Some((at, _)) => {
                figures.hits += 1;
                if let Some(mark) = used.get_mut(at) {
                    *mark = true;
                }
                figures.delays_ms.extend(told.get(at).map(|told| told.at_ms.saturating_sub(now.by_ms)));
            }
            None => figures.missed.push(format!(
                "{name}: {} from {} ms, there by {} ms ({}), was not told in time",
                now.state.as_str(),
                now.from_ms,
                now.by_ms,
                now.why
            )),
        }
    }
    // To say nothing while something changes is not to say something wrong.
    let abstains = |told: &Told| {
        told.state == AgentState::Unknown
            && truth.iter().any(|now| (now.from_ms..=now.by_ms + LATEST_MS).contains(&told.at_ms))
    };
    for (told, _) in told.iter().zip(&used).filter(|(told, used)| !**used && !abstains(told)) {
        figures.wrong.push(format!("{name}: {} was told at {} ms: {}", told.state.as_str(), told.at_ms, told.reason));
    }
    idleness(&mut figures, truth, told);
    figures
}

/// Counts the time, and the times, in which `idle` was told and was not true; the time that a telling may take is not
/// counted against it.
fn idleness(figures: &mut Figures, truth: &[Truth], told: &[Told]) {
    let end =
        |index: usize| told.get(index + 1).map_or_else(|| truth.last().map_or(0, |last| last.by_ms), |next| next.at_ms);
    for (index, now) in truth.iter().enumerate().filter(|(_, now)| now.state != AgentState::Idle) {
        let from = now.by_ms + LATEST_MS;
        let until = truth.get(index + 1).map_or(now.by_ms, |next| next.from_ms);
        figures.not_idle_ms += until.saturating_sub(from);
        for (at, idle) in told.iter().enumerate().filter(|(_, told)| told.state == AgentState::Idle) {
            figures.false_idle_ms += end(at).min(until).saturating_sub(idle.at_ms.max(from));
        }
    }
    for idle in told.iter().filter(|told| told.state == AgentState::Idle) {
        figures.idles.0 += 1;
        let fits = truth.iter().enumerate().any(|(index, now)| {
            let until = truth.get(index + 1).map_or(u64::MAX, |next| next.by_ms + LATEST_MS);
            now.state == AgentState::Idle && idle.at_ms >= now.from_ms && idle.at_ms <= until
        });
        figures.idles.1 += usize::from(!fits);
    }
}
