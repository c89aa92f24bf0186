//! Cursor CLI, written from its documentation: it prints events in the shape of Claude Code's, its tools apart.

use serde_json::{Map, Value};

use crate::driver::Driver;
use crate::report::{Outcome, events, shown_path, text};
use crate::{Context, EngineError, HeadlessRequest, Launch, Mode, claude};

/// The engine.
pub(crate) struct Cursor;

impl Driver for Cursor {
    fn headless(&self, launch: &mut Launch, _context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["--print", "--output-format", "stream-json"]);
        launch.add_option("--model", request.model.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        launch.add(match request.mode {
            Mode::Text => &["--mode", "ask"],
            Mode::Apply => &["--force"],
        });
        launch.prompt_as_arguments(&["--", "{prompt}"])
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        let mut outcome = claude::read(stdout);
        let started = events(stdout)
            .map(Value::Object)
            .filter(|event| text(event, "/type") == Some("tool_call") && text(event, "/subtype") == Some("started"));
        outcome.report.tool_calls = u32::try_from(started.count()).unwrap_or(u32::MAX);
        outcome
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        if event.get("type")? != "tool_call" {
            return claude::progress(event);
        }
        if event.get("subtype")? != "started" {
            return None;
        }
        // The tool is the name of the one member.
        let (name, call) = event.get("tool_call")?.as_object()?.iter().next()?;
        let path = text(call, "/args/path").map(shown_path);
        let what = path.or_else(|| text(call, "/args/command").map(str::to_owned));
        Some(format!("{} {}", name.trim_end_matches("ToolCall"), what.unwrap_or_default()).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_documented_events_are_read() {
        let printed = concat!(
            "{\"type\":\"system\",\"subtype\":\"init\",\"apiKeySource\":\"env\",\"cwd\":\"/p\",\"session_id\":\"c6b6\",\"model\":\"a-model\",\"permissionMode\":\"default\"}\n",
            "{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"I look.\"}]},\"session_id\":\"c6b6\"}\n",
            "{\"type\":\"tool_call\",\"subtype\":\"started\",\"call_id\":\"t1\",\"tool_call\":{\"readToolCall\":{\"args\":{\"path\":\"README.md\"}}},\"session_id\":\"c6b6\"}\n",
            "{\"type\":\"tool_call\",\"subtype\":\"completed\",\"call_id\":\"t1\",\"tool_call\":{\"readToolCall\":{\"args\":{\"path\":\"README.md\"},\"result\":{}}},\"session_id\":\"c6b6\"}\n",
            "{\"type\":\"result\",\"subtype\":\"success\",\"duration_ms\":1,\"is_error\":false,\"result\":\"Done.\",\"session_id\":\"c6b6\"}\n",
        );
        let outcome = Cursor.read(printed.as_bytes());
        assert!(outcome.complete);
        let report = outcome.report;
        assert_eq!((report.text.as_str(), report.tool_calls, report.failure), ("Done.", 1, None));
        assert_eq!((report.engine_session.as_deref(), report.model.as_deref()), (Some("c6b6"), Some("a-model")));
        let shown: Vec<String> =
            printed.lines().filter_map(|line| Cursor.progress(&serde_json::from_str(line).unwrap())).collect();
        assert_eq!(shown, ["I look.", "read README.md"]);
    }
}
