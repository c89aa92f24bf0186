//! pi: each answer says why it stopped.

use serde_json::Value;

use super::{Reading, Said, Turn, items, text};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Pi {
    turn: Turn,
    at_ms: u64,
}

impl Reading for Pi {
    fn line(&mut self, line: &Value, at_ms: u64) {
        if text(line, "/type") != "message" {
            return;
        }
        let tool = || items(line, "/message/content").find(|item| text(item, "/type") == "toolCall");
        self.turn = match (text(line, "/message/role"), text(line, "/message/stopReason")) {
            ("user", _) => Turn::Expected("it has a prompt and has not answered"),
            ("toolResult", _) => Turn::Expected("it has the results of its tools"),
            ("assistant", "toolUse") => Turn::Called(tool().map_or("", |item| text(item, "/name")).to_owned()),
            ("assistant", "stop" | "length") => Turn::Over("it has answered"),
            ("assistant", "aborted") => Turn::Over("its user stopped it"),
            // After an error it may try again.
            ("assistant", _) => Turn::Unknown,
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
