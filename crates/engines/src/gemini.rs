//! Gemini CLI.

use std::path::{Path, PathBuf};

use orx_protocol::api::run::Tokens;
use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{Outcome, StageReport, count, events, shown_path, text, told};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, Mode, home};

/// Rules that stand above those of the user and of the repository, in whose settings any tool can be allowed.
const READING_POLICY: &str = r#"# Written by orx: what Gemini CLI may do in a stage that may not write.
[[rule]]
toolName = "*"
decision = "deny"
priority = 100

[[rule]]
toolName = ["read_file", "read_many_files", "list_directory", "glob", "grep_search", "google_web_search", "update_topic"]
decision = "allow"
priority = 200
"#;

fn policy(context: &Context) -> PathBuf {
    context.private_homes.join(EngineKind::Gemini.name()).join("reading.toml")
}

/// The engine.
pub(crate) struct Gemini;

impl Driver for Gemini {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["--skip-trust", "--output-format", "stream-json"]);
        launch.add_option("--model", request.model.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        match request.mode {
            Mode::Text => {
                launch.add(&["--approval-mode", "default"]);
                launch.add_option("--admin-policy", Some(&policy(context).to_string_lossy()));
            }
            Mode::Apply => launch.add(&["--approval-mode", "yolo"]),
        }
        Ok(())
    }

    fn prepare(&self, context: &Context, _cwd: &str) -> Result<(), EngineError> {
        prepare_policy(context)
    }

    fn prepare_home(&self, private: &Path, _endpoint: &Endpoint, _cwd: &str) -> Result<(), EngineError> {
        prepare(private)
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        read(stdout)
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        progress(event)
    }
}

/// Writes the policy of [`Mode::Text`], which is needed with the user's own login too.
fn prepare_policy(context: &Context) -> Result<(), EngineError> {
    let path = policy(context);
    if let Some(directory) = path.parent() {
        home::directory(EngineKind::Gemini, directory)?;
    }
    home::write(EngineKind::Gemini, &path, READING_POLICY)
}

/// Writes `settings.json`: the key as the way to log in, no trust dialog, no telemetry, no updates; and the
/// hooks that a session may want.
fn prepare(private: &Path) -> Result<(), EngineError> {
    let directory = private.join(".gemini");
    home::directory(EngineKind::Gemini, &directory)?;
    let settings = json!({
        "security": { "auth": { "selectedType": "gemini-api-key" }, "folderTrust": { "enabled": false } },
        "privacy": { "usageStatisticsEnabled": false },
        "telemetry": { "enabled": false },
        "general": { "disableAutoUpdate": true, "disableUpdateNag": true },
        "hooks": crate::hooks::gemini::settings(),
    });
    home::write(EngineKind::Gemini, &directory.join("settings.json"), &format!("{settings:#}\n"))
}

/// Reads `--output-format stream-json`.
fn read(stdout: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    // The answer comes in pieces; what was said before a tool was used is not part of it.
    let mut said_something_new = true;
    for event in events(stdout) {
        let event = Value::Object(event);
        let report = &mut outcome.report;
        match text(&event, "/type") {
            Some("init") => report.engine_session = text(&event, "/session_id").map(str::to_owned),
            Some("message") if text(&event, "/role") == Some("assistant") => {
                let piece = text(&event, "/content").unwrap_or_default();
                if said_something_new {
                    report.text.clear();
                    said_something_new = false;
                }
                report.text.push_str(piece);
            }
            Some("tool_use") => {
                report.tool_calls = report.tool_calls.saturating_add(1);
                said_something_new = true;
            }
            Some("result") => {
                outcome.complete = true;
                result(report, &event);
            }
            _ => {}
        }
    }
    outcome
}

fn result(report: &mut StageReport, event: &Value) {
    report.tokens = Tokens {
        input: count(event, "/stats/input_tokens"),
        output: count(event, "/stats/output_tokens"),
        cached: count(event, "/stats/cached"),
    };
    // A small model that chose the model is listed too; the one that did the work sent the most.
    let models = event.pointer("/stats/models").and_then(Value::as_object);
    report.model = models
        .and_then(|models| models.iter().max_by_key(|(_, stats)| count(stats, "/total_tokens")))
        .map(|(model, _)| model.clone());
    if text(event, "/status") != Some("success") {
        let message = text(event, "/error/message").or(text(event, "/status")).unwrap_or("it reported no status");
        report.failure = Some(told(message, None));
    }
}

fn progress(event: &Map<String, Value>) -> Option<String> {
    let event = Value::Object(event.clone());
    match text(&event, "/type")? {
        "tool_use" => {
            let name = text(&event, "/tool_name")?;
            let path = text(&event, "/parameters/file_path").map(shown_path);
            let what = path.or_else(|| {
                ["command", "pattern", "query", "dir_path"]
                    .iter()
                    .find_map(|member| text(&event, &format!("/parameters/{member}")).map(str::to_owned))
            });
            Some(format!("{name} {}", what.unwrap_or_default()).trim_end().to_owned())
        }
        "error" => text(&event, "/message").map(str::to_owned),
        _ => None,
    }
}
