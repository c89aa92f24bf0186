//! OpenHands.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{Outcome, events, shown_path, text, told};
use crate::request::PROMPT_ARGUMENT_MAX;
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, home};

/// The engine.
pub(crate) struct Openhands;

impl Driver for Openhands {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["--headless", "--json"]);
        if context.endpoint.is_some() {
            launch.add(&["--override-with-envs"]);
        }
        if let (Some(_), Some(model)) = (&context.endpoint, request.model.as_deref()) {
            let model = if model.contains('/') { model.to_owned() } else { format!("openai/{model}") };
            launch.environment.insert("LLM_MODEL".to_owned(), model);
        }
        launch.argv.extend(request.extra_args.iter().cloned());
        // A file's text is put between words of its own, so that is for what is no argument any more.
        if request.prompt.len() > PROMPT_ARGUMENT_MAX {
            launch.add(&["--file", "/dev/stdin"]);
        } else {
            launch.input = None;
            launch.argv.push(format!("--task={}", request.prompt));
        }
        Ok(())
    }

    /// As an ACP agent it takes its model from its settings alone. Address and key are none of them: those are in variables.
    fn prepare_home(&self, private: &Path, _endpoint: &Endpoint, _cwd: &str) -> Result<(), EngineError> {
        let path = private.join(".openhands").join("agent_settings.json");
        if path.exists() {
            return Ok(());
        }
        if let Some(directory) = path.parent() {
            home::directory(EngineKind::Openhands, directory)?;
        }
        let tools = ["terminal", "file_editor", "task_tracker"].map(|name| json!({ "name": name }));
        let model = json!({"model": "openai/default", "usage_id": "agent"});
        let settings = json!({
            "kind": "Agent", "llm": model, "tools": tools, "system_prompt_kwargs": {"cli_mode": true},
        });
        home::write(EngineKind::Openhands, &path, &settings.to_string())
    }

    /// Reads `--headless --json`: events among lines for people.
    fn read(&self, stdout: &[u8]) -> Outcome {
        let mut outcome = Outcome::default();
        for event in events(stdout) {
            let event = Value::Object(event);
            let report = &mut outcome.report;
            match text(&event, "/kind") {
                Some("MessageEvent") if text(&event, "/source") == Some("agent") => {
                    report.text = said(&event);
                    outcome.complete = true;
                }
                Some("ActionEvent") => match text(&event, "/tool_name") {
                    Some("finish") => {
                        report.text = text(&event, "/action/message").unwrap_or_default().to_owned();
                        outcome.complete = true;
                    }
                    _ => {
                        outcome.complete = false;
                        report.tool_calls = report.tool_calls.saturating_add(1);
                    }
                },
                Some("ConversationErrorEvent") => {
                    outcome.complete = true;
                    report.failure = Some(told(text(&event, "/detail").unwrap_or("it reported an error"), None));
                }
                _ => {}
            }
        }
        let printed = String::from_utf8_lossy(stdout);
        outcome.report.engine_session =
            printed.lines().rev().find_map(|line| line.trim().strip_prefix("Conversation ID: ")).map(str::to_owned);
        outcome
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        let event = Value::Object(event.clone());
        match text(&event, "/kind")? {
            "MessageEvent" if text(&event, "/source")? == "agent" => Some(said(&event)),
            "ActionEvent" => {
                let name = text(&event, "/tool_name")?;
                let path = text(&event, "/action/path").map(shown_path);
                let what = path.or_else(|| text(&event, "/action/command").map(str::to_owned));
                Some(format!("{name} {}", what.unwrap_or_default()).trim_end().to_owned())
            }
            "ConversationErrorEvent" => text(&event, "/detail").map(str::to_owned),
            _ => None,
        }
    }
}

fn said(event: &Value) -> String {
    let blocks = event.pointer("/llm_message/content").and_then(Value::as_array);
    blocks.into_iter().flatten().filter_map(|block| text(block, "/text")).collect()
}
