//! What the files in which engines keep their conversations say of the state: one pure reader an engine, and where the
//! files are. Reading them as they grow, and weighing what they say, is done elsewhere.
//!
//! A reader says only what its engine's files show. Where they look the same while the agent works and while it waits for
//! a permission it says so and is unsure; where they look the same before and after the end of a turn it says nothing: an
//! agent is never idle by guess.

mod claude;
mod codex;
mod continue_cli;
mod copilot;
mod ending;
mod gemini;
mod pi;
mod place;
mod qwen;
#[cfg(test)]
mod recorded;
mod telling;

use orx_protocol::activity::AgentState;
use serde_json::Value;

use crate::EngineKind;

pub use ending::ends_within_turn;
pub use place::{Record, RecordFile, find_records, is_kept, record_count};
pub use telling::{Tell, Telling};

/// How sure an engine's own word for its state is, in percent.
const TOLD: u8 = 90;
/// How sure the end of a turn is that the file has a line for.
const ENDED: u8 = 85;
/// How sure it is that an agent works which has got something and has not answered yet.
const EXPECTED: u8 = 65;
/// How sure it is that a tool runs of which only the call is there: it may wait for a permission as well.
const CALLED: u8 = 50;
/// Most calls of tools that are remembered until their results come.
const CALLS: usize = 256;

/// What the files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The state.
    pub state: AgentState,
    /// By what, for a person.
    pub reason: String,
    /// How sure that is, in percent.
    pub confidence: u8,
    /// When the engine wrote it, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Until when it lasts, where the files tell.
    pub until_ms: Option<u64>,
    /// Whether it holds as long as the files stay as they are: the engine would have written it down if it were over. What
    /// is only concluded from the last line does not.
    pub stands: bool,
}

impl Said {
    fn new(state: AgentState, reason: impl Into<String>, confidence: u8, at_ms: u64) -> Self {
        Self { state, reason: reason.into(), confidence, at_ms, until_ms: None, stands: confidence >= ENDED }
    }
}

/// How one engine's files are read.
trait Reading: Send {
    /// The next line of the conversation, written at `at_ms`.
    fn line(&mut self, line: &Value, at_ms: u64);

    /// A file that is rewritten as a whole.
    fn document(&mut self, _document: &Value, _at_ms: u64) {}

    /// Something could not be read: what was known before it may be over.
    fn forget(&mut self);

    /// What all that was read says.
    fn says(&self) -> Option<Said>;
}

/// Reads the files of one conversation.
pub struct Reader {
    reading: Box<dyn Reading>,
    /// The newest time that a line bore, in milliseconds since the epoch.
    at_ms: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("says", &self.says()).finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader for an engine; `None` where its files do not show the state.
    #[must_use]
    pub fn of(kind: EngineKind) -> Option<Self> {
        let reading: Box<dyn Reading> = match kind {
            EngineKind::Claude => Box::new(claude::Claude::default()),
            EngineKind::Codex => Box::new(codex::Codex::default()),
            EngineKind::Gemini => Box::new(gemini::Gemini::default()),
            EngineKind::Qwen => Box::new(qwen::Qwen::default()),
            EngineKind::Pi => Box::new(pi::Pi::default()),
            EngineKind::Copilot => Box::new(copilot::Copilot::default()),
            EngineKind::Continue => Box::new(continue_cli::Continue::default()),
            _ => return None,
        };
        Some(Self { reading, at_ms: 0 })
    }

    /// Takes a whole line, without its end, that was read at `now_ms`.
    pub fn line(&mut self, line: &[u8], now_ms: u64) {
        match serde_json::from_slice::<Value>(line) {
            Ok(value) => {
                // A clock that went wrong must not make a line newer than its reading.
                let at_ms = written_at(&value).unwrap_or(self.at_ms).min(now_ms);
                self.at_ms = self.at_ms.max(at_ms);
                self.reading.line(&value, at_ms);
            }
            Err(_) if line.iter().all(u8::is_ascii_whitespace) => {}
            Err(_) => self.missed(),
        }
    }

    /// Takes a file that is rewritten as a whole, changed at `at_ms`; gives whether it is whole. One that is half written
    /// says nothing new.
    pub fn document(&mut self, text: &[u8], at_ms: u64) -> bool {
        let value = serde_json::from_slice::<Value>(text);
        if let Ok(value) = &value {
            self.reading.document(value, at_ms);
        }
        value.is_ok()
    }

    /// Something was left out or cannot be read: what was known before it may be over.
    pub fn missed(&mut self) {
        self.reading.forget();
    }

    /// A file is gone: what was read is forgotten, and what is still there is to be read anew.
    pub fn lost(&mut self) {
        self.reading.document(&Value::Null, self.at_ms);
        self.reading.forget();
    }

    /// What the files say.
    #[must_use]
    pub fn says(&self) -> Option<Said> {
        self.reading.says()
    }
}

/// When a line was written, as it says itself.
fn written_at(line: &Value) -> Option<u64> {
    let text = line.get("timestamp")?.as_str()?;
    u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok()
}

/// A text member of an object, or nothing.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The members of an array.
fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// A tool as it is named to a person.
fn named(tool: &str) -> &str {
    if tool.is_empty() { "a tool" } else { tool }
}

/// A turn of which the file tells by its lines alone, as far as most engines tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Turn {
    /// Nothing is known.
    #[default]
    Unknown,
    /// The agent got something and has not answered.
    Expected(&'static str),
    /// It called this tool and has no result.
    Called(String),
    /// The turn is over.
    Over(&'static str),
}

impl Turn {
    fn says(&self, at_ms: u64) -> Option<Said> {
        match self {
            Self::Unknown => None,
            Self::Expected(why) => Some(Said::new(AgentState::Working, *why, EXPECTED, at_ms)),
            Self::Called(tool) => {
                let why = format!("{} was called: it runs, or it needs a permission", named(tool));
                Some(Said::new(AgentState::Working, why, CALLED, at_ms))
            }
            Self::Over(why) => Some(Said::new(AgentState::Idle, *why, ENDED, at_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_read_takes_the_word_away_and_a_line_of_the_future_is_none() {
        let mut reader = Reader::of(EngineKind::Pi).unwrap();
        let stop = json!({"type": "message", "timestamp": "2099-01-01T00:00:00Z",
            "message": {"role": "assistant", "stopReason": "stop"}});
        reader.line(stop.to_string().as_bytes(), 5000);
        let said = reader.says().unwrap();
        assert_eq!((said.state, said.at_ms, said.stands), (AgentState::Idle, 5000, true));
        reader.line(b"  ", 6000);
        assert!(reader.says().is_some());
        reader.line(b"{\"type\":\"message\",\"mess", 6000);
        assert_eq!(reader.says(), None);
    }

    #[test]
    fn engines_whose_files_show_nothing_have_no_reader_and_all_others_have_files() {
        for kind in EngineKind::ALL {
            let has_files = !kind.descriptor().conversation.records.is_empty();
            assert_eq!(Reader::of(kind).is_some(), has_files, "{kind}");
        }
    }
}
