//! Claude Code.

use std::path::Path;

use orx_protocol::api::run::Tokens;
use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{Outcome, StageReport, count, events, microusd, shown_path, text, told};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, Mode, home};

/// The tools of [`Mode::Text`].
const READING_TOOLS: &str = "Read,Glob,Grep";
/// The tools that [`Mode::Apply`] uses without asking. `bypassPermissions` would say so in one word, but the CLI refuses
/// it to root and it overrules what the user denied.
const WRITING_TOOLS: &str = "Bash,Edit,Write,NotebookEdit,WebFetch,WebSearch";

/// The engine.
pub(crate) struct Claude;

impl Driver for Claude {
    fn headless(&self, launch: &mut Launch, _context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["--print", "--output-format", "stream-json", "--verbose"]);
        launch.add_option("--model", request.model.as_deref());
        launch.add_option("--effort", request.reasoning_effort.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        launch.add(match request.mode {
            // No tool of an MCP server either: only the built-in ones are known to read.
            Mode::Text => &[
                "--strict-mcp-config",
                "--permission-mode",
                "dontAsk",
                "--tools",
                READING_TOOLS,
                "--allowedTools",
                READING_TOOLS,
            ],
            Mode::Apply => &["--permission-mode", "acceptEdits", "--allowedTools", WRITING_TOOLS],
        });
        Ok(())
    }

    fn prepare_home(&self, private: &Path, endpoint: &Endpoint, cwd: &str) -> Result<(), EngineError> {
        prepare(private, endpoint, cwd)
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        read(stdout)
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        progress(event)
    }
}

/// Writes the answers to the dialogs of a first run into `.claude.json`, and leaves the rest of it as the CLI keeps it.
fn prepare(private: &Path, endpoint: &Endpoint, cwd: &str) -> Result<(), EngineError> {
    let path = private.join(".claude.json");
    let unusable = || EngineError::PrivateFile { engine: EngineKind::Claude, path: path.clone() };
    let mut root = home::read_json(EngineKind::Claude, &path)?;
    let before = root.clone();
    root.insert("hasCompletedOnboarding".to_owned(), json!(true));
    root.entry("theme").or_insert_with(|| json!("dark"));
    let object = |value: &mut Value| value.is_object().then_some(()).ok_or_else(unusable);
    let projects = root.entry("projects").or_insert_with(|| json!({}));
    object(projects)?;
    let project = &mut projects[cwd];
    if project.is_null() {
        *project = json!({});
    }
    object(project)?;
    project["hasTrustDialogAccepted"] = json!(true);
    project["hasCompletedProjectOnboarding"] = json!(true);
    // The CLI remembers an accepted key by its last 20 characters.
    let tail: String = endpoint.key.chars().skip(endpoint.key.chars().count().saturating_sub(20)).collect();
    root.insert("customApiKeyResponses".to_owned(), json!({ "approved": [tail], "rejected": [] }));
    if root == before {
        return Ok(());
    }
    home::write(EngineKind::Claude, &path, &Value::Object(root).to_string())
}

/// Reads `--output-format stream-json`, which other CLIs print too.
pub(crate) fn read(stdout: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut announced = None;
    for event in events(stdout) {
        let event = Value::Object(event);
        match text(&event, "/type") {
            Some("system") => {
                if let Some(model) = text(&event, "/model") {
                    announced = Some(model.to_owned());
                }
            }
            // What a helper of the main conversation says is not the answer, its tools do count.
            Some("assistant") => assistant(&mut outcome.report, &event, event["parent_tool_use_id"].is_null()),
            Some("result") => result(&mut outcome, &event),
            _ => {}
        }
        outcome.trouble = retrying(&event);
        if let Some(session) = text(&event, "/session_id") {
            outcome.report.engine_session = Some(session.to_owned());
        }
    }
    outcome.report.model = outcome.report.model.or(announced);
    outcome
}

/// What a notice says that a request is tried again.
fn retrying(event: &Value) -> Option<String> {
    if text(event, "/subtype") != Some("api_retry") {
        return None;
    }
    let status = count(event, "/error_status").map_or_else(String::new, |status| format!("{status} "));
    let error = text(event, "/error").unwrap_or("error");
    let tries = (count(event, "/attempt")?, count(event, "/max_retries")?);
    Some(format!("{status}{error}, retry {} of {}", tries.0, tries.1))
}

fn content(event: &Value) -> impl Iterator<Item = &Value> {
    event.pointer("/message/content").and_then(Value::as_array).into_iter().flatten()
}

fn assistant(report: &mut StageReport, event: &Value, main: bool) {
    for block in content(event) {
        match text(block, "/type") {
            Some("tool_use") => report.tool_calls = report.tool_calls.saturating_add(1),
            Some("text") if main => report.text = text(block, "/text").unwrap_or_default().to_owned(),
            _ => {}
        }
    }
    // Errors are told in the name of a model that does not exist.
    if let Some(model) = text(event, "/message/model").filter(|model| main && !model.starts_with('<')) {
        report.model = Some(model.to_owned());
    }
}

fn result(outcome: &mut Outcome, event: &Value) {
    outcome.complete = true;
    let report = &mut outcome.report;
    if let Some(answer) = text(event, "/result") {
        report.text = answer.to_owned();
    }
    let fresh = count(event, "/usage/input_tokens");
    let cached = count(event, "/usage/cache_read_input_tokens");
    let stored = count(event, "/usage/cache_creation_input_tokens");
    report.tokens = Tokens {
        input: fresh.map(|fresh| fresh.saturating_add(cached.unwrap_or(0)).saturating_add(stored.unwrap_or(0))),
        output: count(event, "/usage/output_tokens"),
        cached,
    };
    report.cost_microusd = event["total_cost_usd"].as_f64().and_then(microusd);
    let subtype = text(event, "/subtype").unwrap_or_default();
    if event["is_error"].as_bool().unwrap_or(false) || subtype.starts_with("error") {
        let listed: Vec<&str> = event["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let message = match text(event, "/result") {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ if !listed.is_empty() => format!("{subtype}: {}", listed.join("; ")),
            _ => text(event, "/error/message").unwrap_or(subtype).to_owned(),
        };
        report.failure = Some(told(&message, count(event, "/api_error_status")));
    }
}

pub(crate) fn progress(event: &Map<String, Value>) -> Option<String> {
    let event = Value::Object(event.clone());
    if text(&event, "/type") != Some("assistant") {
        return retrying(&event);
    }
    content(&event).find_map(|block| match text(block, "/type")? {
        "text" => text(block, "/text").map(str::to_owned),
        "tool_use" => {
            let name = text(block, "/name")?;
            let path = text(block, "/input/file_path").map(shown_path);
            let what = path.or_else(|| {
                ["command", "pattern", "url", "query", "description"]
                    .iter()
                    .find_map(|member| text(block, &format!("/input/{member}")).map(str::to_owned))
            });
            Some(format!("{name} {}", what.unwrap_or_default()).trim_end().to_owned())
        }
        _ => None,
    })
}
