//! Qwen Code: a descendant of Gemini CLI that prints events in the shape of Claude Code's.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{Outcome, count, events, text};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, Mode, claude, home};

/// The tools of [`Mode::Text`]: the others are not even declared to the model.
const READING_TOOLS: &str = "read_file,grep_search,glob,list_directory";
/// A name that no MCP server has: in [`Mode::Text`] none is started.
const NO_SERVER: &str = "orx-none";

/// The engine.
pub(crate) struct Qwen;

impl Driver for Qwen {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        if context.endpoint.is_some() {
            launch.add(&["--auth-type", "openai"]);
        }
        launch.add(&["--output-format", "stream-json"]);
        launch.add_option("--model", request.model.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        launch.add(match request.mode {
            Mode::Text => {
                &["--approval-mode", "default", "--core-tools", READING_TOOLS, "--allowed-mcp-server-names", NO_SERVER]
            }
            Mode::Apply => &["--approval-mode", "yolo"],
        });
        Ok(())
    }

    /// No telemetry, no updates, no trust dialog, and no calls of its own to learn from what was said or
    /// to guess what is said next.
    fn prepare_home(&self, private: &Path, _endpoint: &Endpoint, _cwd: &str) -> Result<(), EngineError> {
        let directory = private.join(".qwen");
        home::directory(EngineKind::Qwen, &directory)?;
        let settings = json!({
            "security": { "auth": { "selectedType": "openai" }, "folderTrust": { "enabled": false } },
            "privacy": { "usageStatisticsEnabled": false },
            "telemetry": { "enabled": false },
            "general": { "enableAutoUpdate": false, "disableAutoUpdate": true, "disableUpdateNag": true },
            "memory": { "enableManagedAutoMemory": false },
            "ui": { "enableFollowupSuggestions": false },
        });
        home::write(EngineKind::Qwen, &directory.join("settings.json"), &format!("{settings:#}\n"))
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        let mut outcome = claude::read(stdout);
        // Its count of the input holds the cached part already.
        let results = events(stdout).map(Value::Object).filter(|event| text(event, "/type") == Some("result"));
        if let Some(result) = results.last() {
            outcome.report.tokens.input = count(&result, "/usage/input_tokens");
        }
        outcome
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        claude::progress(event)
    }
}
