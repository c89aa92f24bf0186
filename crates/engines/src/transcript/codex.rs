//! Codex: rollouts, which have a line for the beginning and the end of each turn and none for a wait for an approval.

use std::collections::BTreeMap;

use orx_protocol::activity::AgentState;
use serde_json::Value;

use super::{CALLS, ENDED, Reading, Said, Turn, text};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Codex {
    turn: Turn,
    at_ms: u64,
    /// Calls without results: name of the call, and of its tool.
    calls: BTreeMap<String, String>,
    /// Whether a limit of the account was reached, and when that is over.
    limit: Option<Option<u64>>,
}

impl Codex {
    fn turns(&mut self, turn: Turn, at_ms: u64) {
        self.calls.clear();
        (self.turn, self.at_ms) = (turn, at_ms);
    }

    fn event(&mut self, payload: &Value, at_ms: u64) {
        match text(payload, "/type") {
            "task_started" | "turn_started" => {
                self.limit = None;
                self.turns(Turn::Expected("its turn has begun"), at_ms);
            }
            "task_complete" | "turn_complete" => {
                self.turns(Turn::Over("its turn is over"), at_ms);
                if text(payload, "/error/codex_error_info") == "usage_limit_exceeded" {
                    self.limit = Some(self.limit.flatten());
                }
            }
            "turn_aborted" => self.turns(Turn::Over("its turn was interrupted"), at_ms),
            "token_count" => self.limit = limit(payload),
            _ => {}
        }
    }

    fn item(&mut self, payload: &Value, at_ms: u64) {
        let id = text(payload, "/call_id").to_owned();
        match text(payload, "/type") {
            "function_call" | "custom_tool_call" | "local_shell_call" if self.calls.len() < CALLS => {
                self.calls.insert(id, text(payload, "/name").to_owned());
            }
            "function_call_output" | "custom_tool_call_output" => {
                self.calls.remove(&id);
            }
            _ => {}
        }
        // Every line of a turn tells that it goes on; what follows its end does not begin another.
        if matches!(self.turn, Turn::Expected(_)) {
            self.at_ms = at_ms;
        }
    }
}

/// The limit that a count of tokens tells of: `None` when calls are taken.
fn limit(payload: &Value) -> Option<Option<u64>> {
    let limits = payload.get("rate_limits")?;
    limits.get("rate_limit_reached_type").filter(|kind| !kind.is_null())?;
    let full = |window: &&Value| window.get("used_percent").and_then(Value::as_f64).is_some_and(|used| used >= 100.0);
    let windows = ["primary", "secondary"].into_iter().filter_map(|name| limits.get(name));
    let over = windows.filter(full).filter_map(|window| window.get("resets_at")?.as_u64()).max();
    Some(over.map(|seconds| seconds.saturating_mul(1000)))
}

impl Reading for Codex {
    fn line(&mut self, line: &Value, at_ms: u64) {
        let Some(payload) = line.get("payload") else { return };
        match text(line, "/type") {
            "event_msg" => self.event(payload, at_ms),
            "response_item" => self.item(payload, at_ms),
            _ => {}
        }
    }

    fn forget(&mut self) {
        *self = Self::default();
    }

    fn says(&self) -> Option<Said> {
        match (&self.turn, self.calls.values().next(), self.limit) {
            (Turn::Over(_), _, Some(until_ms)) => {
                let why = "its account has reached a limit";
                Some(Said { until_ms, ..Said::new(AgentState::RateLimited, why, ENDED, self.at_ms) })
            }
            (Turn::Expected(_), Some(tool), _) => Turn::Called(tool.clone()).says(self.at_ms),
            (turn, ..) => turn.says(self.at_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_account_s_limit_is_told_with_its_end_once_the_turn_is_over() {
        let mut codex = Codex::default();
        let event = |payload: Value| json!({"type": "event_msg", "payload": payload});
        codex.line(&event(json!({"type": "task_started"})), 1000);
        codex.line(
            &event(json!({"type": "token_count", "rate_limits": {"rate_limit_reached_type": "rate_limit_reached",
                "primary": {"used_percent": 100.0, "resets_at": 7200}, "secondary": {"used_percent": 3.0, "resets_at": 9}}})),
            1500,
        );
        assert_eq!(codex.says().unwrap().state, AgentState::Working);
        codex.line(&event(json!({"type": "task_complete"})), 2000);
        let said = codex.says().unwrap();
        assert_eq!((said.state, said.until_ms), (AgentState::RateLimited, Some(7_200_000)));
        codex.line(&event(json!({"type": "token_count", "rate_limits": {"rate_limit_reached_type": null}})), 2500);
        assert_eq!(codex.says().unwrap().state, AgentState::Idle);
        let error = json!({"message": "You’ve hit your usage limit.", "codex_error_info": "usage_limit_exceeded"});
        codex.line(&event(json!({"type": "task_complete", "error": error})), 2600);
        let said = codex.says().unwrap();
        assert_eq!((said.state, said.until_ms), (AgentState::RateLimited, None));
        codex.line(&event(json!({"type": "task_started"})), 2700);
        codex.line(&event(json!({"type": "task_complete"})), 2800);
        assert_eq!(codex.says().unwrap().state, AgentState::Idle);
    }
}
