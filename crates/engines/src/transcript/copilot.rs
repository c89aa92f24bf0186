//! GitHub Copilot CLI: its events tell of permissions too.

use std::collections::BTreeSet;

use orx_protocol::activity::AgentState;
use serde_json::Value;

use super::{CALLS, Reading, Said, TOLD, Turn, items, text};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Copilot {
    turn: Turn,
    at_ms: u64,
    /// Permissions that nobody has decided yet.
    asked: BTreeSet<String>,
    /// Whether the newest answer calls tools: then another round follows.
    calls: bool,
}

impl Reading for Copilot {
    fn line(&mut self, line: &Value, at_ms: u64) {
        let request = || text(line, "/data/requestId").to_owned();
        self.turn = match text(line, "/type") {
            "user.message" => Turn::Expected("it has a prompt and has not answered"),
            "assistant.turn_start" => Turn::Expected("its turn has begun"),
            "assistant.message" => {
                self.calls = items(line, "/data/toolRequests").next().is_some();
                Turn::Expected("its turn goes on")
            }
            "tool.execution_start" => Turn::Called(text(line, "/data/toolName").to_owned()),
            "tool.execution_complete" => Turn::Expected("it has the results of its tools"),
            "permission.requested" => {
                if self.asked.len() < CALLS {
                    self.asked.insert(request());
                }
                Turn::Expected("it asked for a permission")
            }
            "permission.completed" => {
                self.asked.remove(&request());
                Turn::Expected("its permission was decided")
            }
            "assistant.turn_end" if self.calls => Turn::Expected("its turn goes on"),
            "assistant.turn_end" => {
                self.asked.clear();
                Turn::Over("its turn is over")
            }
            "abort" => {
                self.asked.clear();
                self.calls = false;
                Turn::Over("its user stopped it")
            }
            "session.error" => Turn::Unknown,
            _ => return,
        };
        self.at_ms = at_ms;
    }

    fn forget(&mut self) {
        *self = Self::default();
    }

    fn says(&self) -> Option<Said> {
        if self.asked.is_empty() {
            return self.turn.says(self.at_ms);
        }
        Some(Said::new(AgentState::Blocked, "it asked for a permission, and nobody has decided", TOLD, self.at_ms))
    }
}
