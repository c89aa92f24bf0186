//! Continue's cn: one file that is written anew with each message; the state of each call is in it.

use serde_json::Value;

use super::{Reading, Said, Turn, items, text};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Continue {
    turn: Turn,
    at_ms: u64,
}

impl Reading for Continue {
    fn line(&mut self, _line: &Value, _at_ms: u64) {}

    fn document(&mut self, document: &Value, at_ms: u64) {
        let Some(last) = items(document, "/history").last() else { return self.forget() };
        let calls: Vec<&str> = items(last, "/toolCallStates").map(|call| text(call, "/status")).collect();
        let turn = match text(last, "/message/role") {
            "user" => Turn::Expected("it has a prompt and has not answered"),
            // Whether it goes on after a denial is not written down.
            "assistant" if calls.contains(&"canceled") => Turn::Unknown,
            "assistant" if calls.iter().any(|status| *status != "done") => {
                Turn::Called(items(last, "/toolCallStates").map(|call| text(call, "/toolCall/function/name")).collect())
            }
            "assistant" if !calls.is_empty() => Turn::Expected("it has the results of its tools"),
            "assistant" => Turn::Over("it has answered"),
            _ => Turn::Unknown,
        };
        // It is written anew also when nothing in it changed.
        if turn != self.turn {
            (self.turn, self.at_ms) = (turn, at_ms);
        }
    }

    fn forget(&mut self) {
        *self = Self::default();
    }

    fn says(&self) -> Option<Said> {
        self.turn.says(self.at_ms)
    }
}
