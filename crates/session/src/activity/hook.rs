//! What the hooks of coding CLIs say of the state: from the payload of a call to an observation.
//!
//! Claude Code, Codex and Qwen Code call their hooks alike; Gemini CLI has names of its own, and none means two things.

use std::collections::BTreeSet;

use orx_protocol::activity::{AgentState, Observation, Source};
use serde_json::Value;

/// How sure a hook is, in percent.
const CONFIDENCE: u8 = 95;
/// Most helpers that are counted.
const HELPERS: usize = 1000;

/// Tools that ask the user something, of which the permission dialog is the question itself.
const QUESTIONS: [&str; 4] = ["AskUserQuestion", "ExitPlanMode", "ask_user_question", "request_user_input"];

/// Prompts by which a CLI is left.
const LEAVING: [&str; 3] = ["/exit", "/quit", "/bye"];

/// Reads the hooks of one session: helpers are counted from call to call.
#[derive(Debug, Clone, Default)]
pub struct HookReader {
    helpers: BTreeSet<String>,
    /// Whether the main turn is over.
    is_over: bool,
}

impl HookReader {
    /// What a call says at `at_ms`; `None` where it says nothing about the state.
    pub fn read(&mut self, payload: &Value, at_ms: u64) -> Option<Observation> {
        let text = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or_default();
        let event = text("hook_event_name");
        let helper = Some(text("agent_id")).filter(|name| !name.is_empty());
        let (state, reason) = match event {
            // A prompt that ends the CLI is no work.
            "UserPromptSubmit" if LEAVING.contains(&text("prompt").trim()) => return None,
            "UserPromptSubmit" | "BeforeAgent" => {
                self.is_over = false;
                (AgentState::Working, "a prompt was submitted".to_owned())
            }
            "PermissionRequest" | "PreToolUse" if QUESTIONS.contains(&text("tool_name")) => {
                (AgentState::WaitingInput, format!("it asks by {}", text("tool_name")))
            }
            "PermissionRequest" => (AgentState::Blocked, format!("{} needs a permission", named(text("tool_name")))),
            // What a helper does beside an ended turn does not take that up again.
            "PreToolUse" | "PostToolUse" | "PostToolUseFailure" | "BeforeTool" | "AfterTool"
                if helper.is_some() && self.is_over =>
            {
                self.helper_is_at_work(helper);
                self.rest()
            }
            "PreToolUse" | "BeforeTool" => (AgentState::Working, format!("{} runs", named(text("tool_name")))),
            "PostToolUse" | "PostToolUseFailure" | "AfterTool" => {
                (AgentState::Working, format!("{} has run", named(text("tool_name"))))
            }
            "PreCompact" | "PreCompress" => (AgentState::Working, "it compacts its conversation".to_owned()),
            "Notification" => notification(text("notification_type"))?,
            "SubagentStart" => {
                self.helper_is_at_work(helper);
                if !self.is_over {
                    return None;
                }
                self.rest()
            }
            "SubagentStop" => {
                if let Some(name) = helper {
                    self.helpers.remove(name);
                }
                match (self.is_over, self.helpers.is_empty()) {
                    (false, _) => return None,
                    // What it found is a prompt to the main agent; where nobody takes it up, the terminal shows that.
                    (true, true) => (AgentState::Working, "its last helper is done".to_owned()),
                    (true, false) => self.rest(),
                }
            }
            "Stop" | "AfterAgent" => {
                self.is_over = true;
                self.believe(payload);
                self.rest()
            }
            "StopFailure" => {
                self.is_over = true;
                let error = text("error");
                if error.contains("rate_limit") || error.contains("overloaded") {
                    (AgentState::RateLimited, format!("its turn ended: {error}"))
                } else {
                    (AgentState::Idle, format!("its turn ended with an error: {}", named(error)))
                }
            }
            _ => return None,
        };
        Some(Observation {
            source: Source::Hook,
            state,
            reason: format!("hook {event}: {reason}"),
            confidence: CONFIDENCE,
            at_ms,
            until_ms: None,
        })
    }

    fn helper_is_at_work(&mut self, helper: Option<&str>) {
        if let Some(name) = helper.filter(|_| self.helpers.len() < HELPERS) {
            self.helpers.insert(name.to_owned());
        }
    }

    /// A turn's end lists the helpers that are at work; the list counts more than what was counted.
    fn believe(&mut self, payload: &Value) {
        let Some(tasks) = payload.get("background_tasks").and_then(Value::as_array) else { return };
        let is_helper = |task: &&Value| {
            let text = |name: &str| task.get(name).and_then(Value::as_str).unwrap_or_default();
            let kind = text("type");
            (kind.contains("agent") || kind.is_empty()) && !matches!(text("status"), "completed" | "failed" | "killed")
        };
        let name = |task: &Value| {
            ["agent_id", "id", "task_id"].iter().find_map(|name| task.get(name)?.as_str().map(str::to_owned))
        };
        self.helpers = tasks.iter().filter(is_helper).filter_map(name).take(HELPERS).collect();
    }

    /// The state of an ended turn.
    fn rest(&self) -> (AgentState, String) {
        match self.helpers.len() {
            0 => (AgentState::Idle, "its turn is over".to_owned()),
            1 => (AgentState::SubagentsRunning, "its turn is over, and a helper works".to_owned()),
            count => (AgentState::SubagentsRunning, format!("its turn is over, and {count} helpers work")),
        }
    }
}

fn named(name: &str) -> &str {
    if name.is_empty() { "a tool" } else { name }
}

fn notification(kind: &str) -> Option<(AgentState, String)> {
    match kind {
        "permission_prompt" | "ToolPermission" => Some((AgentState::Blocked, "it needs a permission".to_owned())),
        "elicitation_dialog" => Some((AgentState::WaitingInput, "it asks for an input".to_owned())),
        "idle_prompt" => Some((AgentState::Idle, "it waits for a prompt".to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn states(calls: &[Value]) -> Vec<Option<AgentState>> {
        let mut reader = HookReader::default();
        calls.iter().map(|call| reader.read(call, 7).map(|said| said.state)).collect()
    }

    #[test]
    fn the_calls_of_a_turn_are_its_states() {
        use AgentState::{Blocked, Idle, WaitingInput, Working};
        for (call, state) in [
            (json!({"hook_event_name": "SessionStart", "source": "startup"}), None),
            (json!({"hook_event_name": "UserPromptSubmit"}), Some(Working)),
            (json!({"hook_event_name": "UserPromptSubmit", "prompt": "/exit"}), None),
            (json!({"hook_event_name": "PreToolUse", "tool_name": "Write"}), Some(Working)),
            (json!({"hook_event_name": "PermissionRequest", "tool_name": "Write"}), Some(Blocked)),
            (json!({"hook_event_name": "PermissionRequest", "tool_name": "AskUserQuestion"}), Some(WaitingInput)),
            (json!({"hook_event_name": "Notification", "notification_type": "permission_prompt"}), Some(Blocked)),
            (json!({"hook_event_name": "Notification", "notification_type": "auth_success"}), None),
            (json!({"hook_event_name": "Stop", "background_tasks": []}), Some(Idle)),
            (json!({"hook_event_name": "StopFailure", "error": "rate_limit"}), Some(AgentState::RateLimited)),
            (json!({"hook_event_name": "StopFailure", "error": "authentication_failed"}), Some(Idle)),
            (json!({"hook_event_name": "BeforeAgent"}), Some(Working)),
            (json!({"hook_event_name": "AfterAgent"}), Some(Idle)),
            (json!({"hook_event_name": "SessionEnd"}), None),
            (json!({"hook_event_name": 4}), None),
            (json!("no object"), None),
        ] {
            assert_eq!(states(std::slice::from_ref(&call)), [state], "{call}");
        }
    }

    #[test]
    fn a_turn_that_is_over_while_helpers_work_is_not_idle() {
        use AgentState::{SubagentsRunning, Working};
        let helper = |event: &str, name: &str| json!({"hook_event_name": event, "agent_id": name, "tool_name": "Bash"});
        let calls = [
            helper("SubagentStart", "a"),
            helper("SubagentStart", "b"),
            helper("PreToolUse", "a"),
            json!({"hook_event_name": "Stop"}),
            helper("PostToolUse", "b"),
            helper("SubagentStop", "a"),
            helper("SubagentStop", "b"),
        ];
        let wanted = [
            None,
            None,
            Some(Working),
            Some(SubagentsRunning),
            Some(SubagentsRunning),
            Some(SubagentsRunning),
            Some(Working),
        ];
        assert_eq!(states(&calls), wanted);
    }

    #[test]
    fn the_list_of_an_ended_turn_counts_more_than_what_was_counted() {
        let stop = |tasks: Value| json!({"hook_event_name": "Stop", "background_tasks": tasks});
        let start = json!({"hook_event_name": "SubagentStart", "agent_id": "a"});
        assert_eq!(states(&[start, stop(json!([]))]), [None, Some(AgentState::Idle)]);
        let task = json!([{"id": "t1", "type": "subagent", "status": "running"}]);
        assert_eq!(states(&[stop(task)]), [Some(AgentState::SubagentsRunning)]);
        let shell = json!([{"id": "t2", "type": "shell", "status": "running"}]);
        assert_eq!(states(&[stop(shell)]), [Some(AgentState::Idle)]);
    }
}
