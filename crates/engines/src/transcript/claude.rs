//! Claude Code: the lines of a conversation, and the file in which each of its processes keeps what it does
//! (`~/.claude/sessions/<pid>.json`), which is what `claude agents` lists.

use std::collections::BTreeMap;

use orx_protocol::activity::AgentState;
use serde_json::Value;

use super::{CALLED, CALLS, ENDED, EXPECTED, Reading, Said, TOLD, items, named, text};

/// Tools by which it asks its user something; what it then waits for it calls a permission too.
const QUESTIONS: [&str; 2] = ["AskUserQuestion", "ExitPlanMode"];
/// Lines of a turn come this much later than the word of the process, in milliseconds.
const LATE_MS: u64 = 400;

/// Where a turn is by its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Unknown,
    Prompted,
    Answering,
    Over,
    Interrupted,
    Failed,
    Limited,
}

/// What a process says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Idle,
    Busy,
    WaitsForPermission,
    WaitsForInput,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Claude {
    turn: Turn,
    turn_ms: u64,
    /// Calls without results: name of the call, and of its tool.
    calls: BTreeMap<String, String>,
    /// Helpers that work beside the turn that is over.
    helpers: u64,
    status: Option<(Status, u64)>,
}

impl Claude {
    fn turns(&mut self, turn: Turn, at_ms: u64) {
        if matches!(turn, Turn::Over | Turn::Interrupted | Turn::Failed | Turn::Limited) {
            self.calls.clear();
        }
        self.helpers = 0;
        (self.turn, self.turn_ms) = (turn, at_ms);
    }

    fn user(&mut self, line: &Value, at_ms: u64) {
        // What it writes to itself, such as the output of its own commands, is no prompt; what follows is not known.
        if line.get("isMeta").and_then(Value::as_bool) == Some(true) {
            return;
        }
        let content = line.pointer("/message/content");
        let words = content.and_then(Value::as_str).unwrap_or_else(|| text(line, "/message/content/0/text"));
        let results: Vec<&str> = items(line, "/message/content").map(|item| text(item, "/tool_use_id")).collect();
        for id in &results {
            self.calls.remove(*id);
        }
        if words.starts_with("[Request interrupted by user") {
            self.turns(Turn::Interrupted, at_ms);
        } else if words.starts_with("<command-") || words.starts_with("<local-command-") || words.starts_with("<bash-")
        {
            self.turns(Turn::Unknown, at_ms);
        } else if results.iter().any(|id| !id.is_empty()) {
            self.turns(Turn::Answering, at_ms);
        } else {
            self.turns(Turn::Prompted, at_ms);
        }
    }

    fn assistant(&mut self, line: &Value, at_ms: u64) {
        if line.get("isApiErrorMessage").and_then(Value::as_bool) == Some(true) {
            let limited = text(line, "/error") == "rate_limit";
            return self.turns(if limited { Turn::Limited } else { Turn::Failed }, at_ms);
        }
        for item in items(line, "/message/content").filter(|item| text(item, "/type") == "tool_use") {
            if self.calls.len() < CALLS {
                self.calls.insert(text(item, "/id").to_owned(), text(item, "/name").to_owned());
            }
        }
        let over = matches!(text(line, "/message/stop_reason"), "end_turn" | "stop_sequence");
        self.turns(if over { Turn::Over } else { Turn::Answering }, at_ms);
    }

    fn asks(&self) -> bool {
        self.calls.values().any(|tool| QUESTIONS.contains(&tool.as_str()))
    }

    fn helpers_say(&self, at_ms: u64) -> Option<Said> {
        let why = match self.helpers {
            0 => return None,
            1 => "its turn is over, and a helper works".to_owned(),
            count => format!("its turn is over, and {count} helpers work"),
        };
        Some(Said::new(AgentState::SubagentsRunning, why, TOLD, at_ms))
    }

    /// What the lines alone say.
    fn lines_say(&self) -> Option<Said> {
        let said = |state, why: &str, confidence| Some(Said::new(state, why, confidence, self.turn_ms));
        match self.turn {
            Turn::Unknown => None,
            Turn::Prompted => said(AgentState::Working, "it has a prompt and has not answered", EXPECTED),
            Turn::Answering => match self.calls.values().next() {
                Some(_) if self.asks() => said(AgentState::WaitingInput, "it asks a question", EXPECTED),
                Some(tool) => {
                    let why = format!("{} was called: it runs, or it needs a permission", named(tool));
                    said(AgentState::Working, &why, CALLED)
                }
                None => said(AgentState::Working, "its turn goes on", EXPECTED),
            },
            Turn::Over => self.helpers_say(self.turn_ms).or_else(|| said(AgentState::Idle, "its turn is over", ENDED)),
            Turn::Interrupted => said(AgentState::Idle, "its turn was interrupted", ENDED),
            Turn::Failed => said(AgentState::Idle, "its turn ended with an error", ENDED),
            Turn::Limited => said(AgentState::RateLimited, "its turn ended: its provider refuses calls", ENDED),
        }
    }
}

impl Reading for Claude {
    fn line(&mut self, line: &Value, at_ms: u64) {
        // A helper's lines are no turn of the conversation.
        if line.get("isSidechain").and_then(Value::as_bool) == Some(true) {
            return;
        }
        match (text(line, "/type"), text(line, "/subtype")) {
            ("user", _) => self.user(line, at_ms),
            ("assistant", _) => self.assistant(line, at_ms),
            ("system", "turn_duration") => {
                if matches!(self.turn, Turn::Answering | Turn::Prompted | Turn::Unknown) {
                    self.turns(Turn::Over, at_ms);
                }
                self.turn_ms = at_ms;
                self.helpers = line.get("pendingBackgroundAgentCount").and_then(Value::as_u64).unwrap_or(0);
            }
            _ => {}
        }
    }

    fn document(&mut self, document: &Value, at_ms: u64) {
        let status = match (text(document, "/status"), text(document, "/waitingFor")) {
            ("idle", _) => Status::Idle,
            ("busy", _) => Status::Busy,
            ("waiting", waits) if waits.contains("permission") || waits.is_empty() => Status::WaitsForPermission,
            ("waiting", _) => Status::WaitsForInput,
            // A version that says something else is not understood.
            _ => return self.status = None,
        };
        let said_at = document.get("statusUpdatedAt").and_then(Value::as_u64).unwrap_or(at_ms).min(at_ms);
        self.status = Some((status, said_at));
    }

    fn forget(&mut self) {
        // What the process says of itself does not depend on the lines.
        let status = self.status;
        *self = Self { status, ..Self::default() };
    }

    fn says(&self) -> Option<Said> {
        let Some((status, at_ms)) = self.status else { return self.lines_say() };
        let said = |state, why: &str| Some(Said::new(state, why, TOLD, at_ms.max(self.turn_ms)));
        let is_active = matches!(self.turn, Turn::Prompted | Turn::Answering);
        match status {
            Status::Idle if is_active && self.turn_ms > at_ms + LATE_MS => self.lines_say(),
            Status::Idle if matches!(self.turn, Turn::Limited | Turn::Failed | Turn::Interrupted) => self.lines_say(),
            Status::Idle => {
                self.helpers_say(at_ms.max(self.turn_ms)).or_else(|| said(AgentState::Idle, "its process says: idle"))
            }
            Status::Busy => match (self.helpers_say(self.turn_ms), self.calls.values().next()) {
                (Some(helpers), _) => Some(helpers),
                (None, Some(tool)) => {
                    said(AgentState::Working, &format!("its process says: busy, {} was called", named(tool)))
                }
                (None, None) => said(AgentState::Working, "its process says: busy"),
            },
            Status::WaitsForPermission if !self.asks() => {
                said(AgentState::Blocked, "its process says: it waits for a permission")
            }
            Status::WaitsForPermission | Status::WaitsForInput => {
                said(AgentState::WaitingInput, "its process says: it waits for its user")
            }
        }
    }
}
