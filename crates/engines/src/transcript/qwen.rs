//! Qwen Code: an answer without calls ends a turn; that its user stopped it is not written down.

use serde_json::Value;

use super::{Reading, Said, Turn, items, text};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Qwen {
    turn: Turn,
    at_ms: u64,
}

impl Reading for Qwen {
    fn line(&mut self, line: &Value, at_ms: u64) {
        let calls = || items(line, "/message/parts").find_map(|part| part.pointer("/functionCall/name")?.as_str());
        let cancelled = || {
            let errors = items(line, "/message/parts").map(|part| text(part, "/functionResponse/response/error"));
            errors.into_iter().any(|error| error.starts_with("[Operation Cancelled]"))
        };
        self.turn = match text(line, "/type") {
            "user" => Turn::Expected("it has a prompt and has not answered"),
            // Whether it goes on after a denial is not written down.
            "tool_result" if cancelled() => Turn::Unknown,
            "tool_result" => Turn::Expected("it has the results of its tools"),
            "assistant" => calls().map_or(Turn::Over("it has answered"), |tool| Turn::Called(tool.to_owned())),
            _ => return,
        };
        self.at_ms = at_ms;
    }

    fn forget(&mut self) {
        *self = Self::default();
    }

    fn says(&self) -> Option<Said> {
        self.turn.says(self.at_ms)
    }
}
