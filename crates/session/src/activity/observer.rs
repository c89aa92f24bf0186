//! One session's observer: what holders, hooks, channels and process ends tell becomes observations, and these a state.

use orx_protocol::activity::{Activity, AgentState, Observation, Source};
use orx_protocol::api::explain::Vote;
use orx_protocol::process::{EndReason, Exit};
use orx_protocol::watch::{Changed, PromptMark, Reader};
use semver::Version;
use serde_json::Value;
use std::sync::Arc;

use super::fusion::Fusion;
use super::hook::HookReader;
use super::progress;
use super::shell;
use crate::screen::{Look, Rules};

/// How sure the end of a process is, in percent.
const CERTAIN: u8 = 100;

/// Two ends of a limit that are this close are the same one, in milliseconds.
const ROUNDED_MS: u64 = 1500;

/// What is seen and heard of one session.
#[derive(Debug, Clone)]
pub struct Observer {
    rules: Arc<Rules>,
    version: Option<Version>,
    fusion: Fusion,
    hooks: HookReader,
    title: String,
    rows: Vec<String>,
    cursor: Option<usize>,
    quiet_ms: Option<u64>,
    mark: Option<PromptMark>,
    reader: Option<Reader>,
    processes: Option<u32>,
}

impl Observer {
    /// An observer that begins with what `fusion` knows.
    #[must_use]
    pub fn new(rules: Arc<Rules>, version: Option<Version>, fusion: Fusion) -> Self {
        Self {
            rules,
            version,
            fusion,
            hooks: HookReader::default(),
            title: String::new(),
            rows: Vec::new(),
            cursor: None,
            quiet_ms: None,
            mark: None,
            reader: None,
            processes: None,
        }
    }

    /// The holder tells what changed on the terminal.
    pub fn changed(&mut self, news: Changed) {
        let at_ms = news.at_ms;
        let titled = news.title.is_some();
        if let Some(title) = news.title {
            self.title = title;
        }
        if let Some(screen) = news.screen {
            self.rows = screen.lines;
            self.cursor = Some(usize::from(screen.cursor.row));
        }
        self.quiet_ms = Some(news.quiet_ms);
        self.mark = news.mark.or(self.mark);
        self.reader = news.reader.or(self.reader);
        self.processes = news.processes.or(self.processes);
        let notice = news.notices.last().map(|notice| notice.text.as_str());
        self.look(at_ms, titled, notice);
        if let Some(told) = news.progress {
            match progress::observe(told, at_ms) {
                Some(said) => self.fusion.observe(said),
                None => self.fusion.silence(Source::Progress, at_ms),
            }
        }
        if self.rules.rules.is_empty() {
            match shell::observe(self.mark, self.reader, news.quiet_ms, at_ms) {
                Some(said) => self.fusion.observe(said),
                None => self.fusion.silence(Source::Process, at_ms),
            }
        }
    }

    /// Holds the rules against what is shown; the title and the notification only when they are new.
    fn look(&mut self, at_ms: u64, titled: bool, notice: Option<&str>) {
        let look = Look {
            title: &self.title,
            notification: notice.unwrap_or_default(),
            rows: &self.rows,
            cursor: self.cursor,
        };
        let matched = self.rules.matched(self.version.as_ref(), &look);
        for (source, is_new) in
            [(Source::Title, titled), (Source::Screen, true), (Source::Notification, notice.is_some())]
        {
            match matched.iter().find(|matched| matched.source == source).map(|matched| matched.rule) {
                Some(rule) if is_new => self.fusion.observe(Observation {
                    source,
                    state: rule.state,
                    reason: format!("{} ({})", rule.reason, rule.name),
                    confidence: rule.confidence,
                    at_ms,
                    until_ms: rule.lasts_s(&look).map(|seconds| self.ends(at_ms + seconds * 1000)),
                }),
                None if is_new => self.fusion.silence(source, at_ms),
                Some(_) | None => {}
            }
        }
    }

    /// The end of a limit that is counted down on the screen: the same as before where that is only another rounding.
    fn ends(&self, at_ms: u64) -> u64 {
        let before = self.fusion.activity().until_ms.filter(|before| before.abs_diff(at_ms) <= ROUNDED_MS);
        before.unwrap_or(at_ms)
    }

    /// A hook of the engine was called with this payload.
    pub fn hook(&mut self, payload: &Value, at_ms: u64) {
        if let Some(said) = self.hooks.read(payload, at_ms) {
            self.fusion.observe(said);
        }
    }

    /// Some other source says something.
    pub fn observe(&mut self, said: Observation) {
        self.fusion.observe(said);
    }

    /// A source is gone: a channel was closed.
    pub fn closed(&mut self, source: Source, at_ms: u64) {
        self.fusion.silence(source, at_ms);
    }

    /// The terminal is not watched any more.
    pub fn lost_sight(&mut self, at_ms: u64) {
        self.fusion.lost_sight(at_ms);
        self.quiet_ms = None;
        self.reader = None;
        self.processes = None;
    }

    /// The process ended.
    pub fn ended(&mut self, reason: EndReason, exit: Option<Exit>, at_ms: u64) {
        self.fusion.observe(ended(reason, exit, at_ms));
    }

    /// Concludes; gives the activity when it is another one than before.
    pub fn conclude(&mut self, now_ms: u64) -> Option<&Activity> {
        self.fusion.conclude(now_ms)
    }

    /// When to conclude again though nobody says anything.
    #[must_use]
    pub fn wakes_at(&self) -> Option<u64> {
        self.fusion.wakes_at()
    }

    /// What was concluded last.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        self.fusion.activity()
    }

    /// What each source says.
    #[must_use]
    pub fn votes(&self, now_ms: u64) -> Vec<Vote> {
        self.fusion.votes(now_ms)
    }

    /// The window title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How long the program was quiet when it was looked at last, who waited for a line, and how many processes there
    /// were; `None` where that is not known.
    #[must_use]
    pub fn terminal(&self) -> (Option<u64>, Option<Reader>, Option<u32>) {
        (self.quiet_ms, self.reader, self.processes)
    }
}

/// What the end of a process says.
#[must_use]
pub fn ended(reason: EndReason, exit: Option<Exit>, at_ms: u64) -> Observation {
    let (state, reason) = match (reason, exit) {
        (EndReason::Lost, _) => (AgentState::Lost, "nobody knows how its process ended".to_owned()),
        (EndReason::SpawnFailed, _) => (AgentState::Failed, "its process could not be started".to_owned()),
        (EndReason::Deadline, _) => (AgentState::Failed, "its time was over".to_owned()),
        (EndReason::Stopped, _) => (AgentState::Done, "it was stopped".to_owned()),
        (EndReason::Exited, Some(Exit::Code(0))) => (AgentState::Done, "its process ended".to_owned()),
        (EndReason::Exited, Some(exit)) => (AgentState::Failed, format!("its process ended ({exit})")),
        (EndReason::Exited, None) => (AgentState::Lost, "its process ended, with what status is not known".to_owned()),
    };
    Observation { source: Source::Process, state, reason, confidence: CERTAIN, at_ms, until_ms: None }
}
