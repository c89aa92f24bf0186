//! Gemini CLI: it writes an answer down before it calls the answer's tools, so the end of a turn looks like a dialog; only
//! what the agent gets, and that its user stopped it, is certain.

use serde_json::Value;

use super::{Reading, Said, Turn, items, text};

/// After a request was cancelled it writes the whole conversation again; lines this close to that are no news, in
/// milliseconds.
const AGAIN_MS: u64 = 250;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Gemini {
    turn: Turn,
    at_ms: u64,
    cancelled_ms: Option<u64>,
}

impl Gemini {
    fn turns(&mut self, turn: Turn, at_ms: u64) {
        (self.turn, self.at_ms) = (turn, at_ms);
    }
}

impl Reading for Gemini {
    fn line(&mut self, line: &Value, at_ms: u64) {
        if self.cancelled_ms.is_some_and(|cancelled| at_ms <= cancelled + AGAIN_MS) {
            return;
        }
        match text(line, "/type") {
            "user" if text(line, "/content/0/text").starts_with("<session_context>") => {}
            "user" if line.pointer("/content/0/functionResponse").is_some() => {
                self.turns(Turn::Expected("it has the results of its tools"), at_ms);
            }
            "user" => self.turns(Turn::Expected("it has a prompt and has not answered"), at_ms),
            "gemini" if items(line, "/toolCalls").next().is_some() => {
                self.turns(Turn::Expected("its tools have run"), at_ms);
            }
            "info" if text(line, "/content") == "Request cancelled." => {
                self.cancelled_ms = Some(at_ms);
                self.turns(Turn::Over("its user stopped it"), at_ms);
            }
            "gemini" | "error" | "warning" => self.turns(Turn::Unknown, at_ms),
            _ => {}
        }
    }

    fn forget(&mut self) {
        *self = Self::default();
    }

    fn says(&self) -> Option<Said> {
        self.turn.says(self.at_ms)
    }
}
