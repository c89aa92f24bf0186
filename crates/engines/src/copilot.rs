//! GitHub Copilot CLI.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{Outcome, count, events, shown_path, text, told};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, Mode, home};

/// The tools of [`Mode::Text`]: the others are not even declared to the model.
const READING_TOOLS: &str = "--available-tools=view,grep,glob";

/// The engine.
pub(crate) struct Copilot;

impl Driver for Copilot {
    fn headless(&self, launch: &mut Launch, _context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["--output-format", "json"]);
        launch.add_option("--model", request.model.as_deref());
        launch.add_option("--reasoning-effort", request.reasoning_effort.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        launch.add(match request.mode {
            // Without a person there is nobody to ask, so what is left is allowed: it reads.
            Mode::Text => &[
                READING_TOOLS,
                "--deny-tool=write",
                "--deny-tool=shell",
                "--disable-builtin-mcps",
                "--allow-all-tools",
            ],
            Mode::Apply => &["--allow-all-tools", "--trust-folder"],
        });
        Ok(())
    }

    /// Adds the directory to the trusted ones in `config.json`, and leaves the rest of it as the CLI keeps it.
    fn prepare_home(&self, private: &Path, _endpoint: &Endpoint, cwd: &str) -> Result<(), EngineError> {
        let directory = private.join(".copilot");
        home::directory(EngineKind::Copilot, &directory)?;
        let path = directory.join("config.json");
        let mut root = home::read_json(EngineKind::Copilot, &path)?;
        let trusted = root.entry("trustedFolders").or_insert_with(|| json!([]));
        let unusable = || EngineError::PrivateFile { engine: EngineKind::Copilot, path: path.clone() };
        let trusted = trusted.as_array_mut().ok_or_else(unusable)?;
        if trusted.iter().any(|folder| folder == cwd) {
            return Ok(());
        }
        trusted.push(json!(cwd));
        home::write(EngineKind::Copilot, &path, &Value::Object(root).to_string())
    }

    /// Reads `--output-format json`.
    fn read(&self, stdout: &[u8]) -> Outcome {
        let mut outcome = Outcome::default();
        for event in events(stdout) {
            let event = Value::Object(event);
            let report = &mut outcome.report;
            match text(&event, "/type") {
                // What a helper of the main conversation says is not the answer.
                Some("assistant.message") if event.pointer("/data/parentToolCallId").is_none() => {
                    if let Some(said) = text(&event, "/data/content").filter(|said| !said.is_empty()) {
                        report.text = said.to_owned();
                    }
                    report.model = text(&event, "/data/model").map(str::to_owned).or(report.model.take());
                }
                Some("tool.execution_start") => report.tool_calls = report.tool_calls.saturating_add(1),
                Some("session.error") => {
                    let message = text(&event, "/data/message").unwrap_or("it reported an error");
                    report.failure = Some(told(message, count(&event, "/data/statusCode")));
                }
                Some("result") => {
                    outcome.complete = true;
                    report.engine_session = text(&event, "/sessionId").map(str::to_owned);
                    if event["exitCode"] == 0 {
                        report.failure = None;
                    }
                }
                _ => {}
            }
        }
        outcome
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        let event = Value::Object(event.clone());
        match text(&event, "/type")? {
            "assistant.message" => text(&event, "/data/content").map(str::to_owned),
            "tool.execution_start" => {
                let name = text(&event, "/data/toolName")?;
                let path = text(&event, "/data/arguments/path").map(shown_path);
                let what = path.or_else(|| {
                    ["command", "pattern", "query", "url"]
                        .iter()
                        .find_map(|member| text(&event, &format!("/data/arguments/{member}")).map(str::to_owned))
                });
                Some(format!("{name} {}", what.unwrap_or_default()).trim_end().to_owned())
            }
            "session.error" => text(&event, "/data/message").map(str::to_owned),
            _ => None,
        }
    }
}
