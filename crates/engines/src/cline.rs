//! Cline.

use std::path::Path;

use orx_protocol::api::run::Tokens;
use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{EngineFailure, FailureKind, Outcome, count, events, microusd, shown_path, text, told};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, home};

/// The engine.
pub(crate) struct Cline;

impl Driver for Cline {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        by_itself(launch);
        launch.add(&["--json"]);
        apart(launch, context, &request.cwd);
        launch.add_option("--model", request.model.as_deref());
        launch.add_option("--thinking", request.reasoning_effort.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        launch.add(&["--auto-approve", "true"]);
        launch.prompt_as_arguments(&["--", "{prompt}"])
    }

    fn terminal(&self, launch: &mut Launch, context: &Context, cwd: &str) {
        by_itself(launch);
        let mut after = launch.argv.split_off(1);
        apart(launch, context, cwd);
        launch.argv.append(&mut after);
    }

    /// Writes `providers.json`: the endpoint as the one provider.
    fn prepare_home(&self, private: &Path, endpoint: &Endpoint, _cwd: &str) -> Result<(), EngineError> {
        let directory = private.join(".cline/data/settings");
        home::directory(EngineKind::Cline, &directory)?;
        let path = directory.join("providers.json");
        let mut root = home::read_json(EngineKind::Cline, &path)?;
        let wanted = json!({
            "provider": "openai-compatible",
            "model": "default",
            "baseUrl": endpoint.v1(),
        });
        if root.get("providers").and_then(|all| all.pointer("/openai-compatible/settings")) == Some(&wanted) {
            return Ok(());
        }
        root.insert("version".to_owned(), json!(1));
        root.insert("lastUsedProvider".to_owned(), json!("openai-compatible"));
        root.insert(
            "providers".to_owned(),
            json!({ "openai-compatible": {
                "settings": wanted,
                "updatedAt": "2026-01-01T00:00:00.000Z",
                "tokenSource": "manual",
            } }),
        );
        home::write(EngineKind::Cline, &path, &format!("{:#}\n", Value::Object(root)))
    }

    /// Reads `--json`.
    fn read(&self, stdout: &[u8]) -> Outcome {
        let mut outcome = Outcome::default();
        for event in events(stdout) {
            let event = Value::Object(event);
            let report = &mut outcome.report;
            match (text(&event, "/type"), text(&event, "/event/type")) {
                (Some("agent_event"), Some("content_start")) if text(&event, "/event/contentType") == Some("tool") => {
                    report.tool_calls = report.tool_calls.saturating_add(1);
                }
                (Some("agent_event"), Some("content_end")) if text(&event, "/event/contentType") == Some("text") => {
                    report.text = text(&event, "/event/text").unwrap_or_default().to_owned();
                }
                (Some("agent_event"), Some("error")) => report.failure = Some(error(&event)),
                (Some("error"), _) if report.failure.is_none() => {
                    report.failure = Some(told(text(&event, "/message").unwrap_or("it reported an error"), None));
                }
                (Some("run_result"), _) => {
                    outcome.complete = true;
                    report.model = text(&event, "/model/id").map(str::to_owned);
                    if let Some(said) = text(&event, "/text").filter(|said| !said.is_empty()) {
                        report.text = said.to_owned();
                    }
                    report.tokens = Tokens {
                        input: count(&event, "/usage/inputTokens"),
                        output: count(&event, "/usage/outputTokens"),
                        cached: count(&event, "/usage/cacheReadTokens"),
                    };
                    let cost = event.pointer("/usage/totalCost").and_then(Value::as_f64);
                    // It counts nothing for a model whose price it does not know.
                    report.cost_microusd = cost.and_then(microusd).filter(|cost| *cost > 0);
                    let reason = text(&event, "/finishReason").unwrap_or("it gave no reason");
                    if reason == "completed" {
                        report.failure = None;
                    } else if report.failure.is_none() {
                        report.failure = Some(told(&format!("it ended early: {reason}"), None));
                    }
                }
                _ => {}
            }
        }
        outcome
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        let event = Value::Object(event.clone());
        if text(&event, "/type")? == "error" {
            return text(&event, "/message").map(str::to_owned);
        }
        match (text(&event, "/event/type")?, text(&event, "/event/contentType")?) {
            ("content_end", "text") => text(&event, "/event/text").map(str::to_owned),
            ("content_start", "tool") => {
                let name = text(&event, "/event/toolName")?;
                let path = text(&event, "/event/input/path").map(shown_path);
                let what = path.or_else(|| text(&event, "/event/input/commands/0").map(str::to_owned));
                Some(format!("{name} {}", what.unwrap_or_default()).trim_end().to_owned())
            }
            _ => None,
        }
    }
}

/// An error that it already sorted.
fn error(event: &Value) -> EngineFailure {
    let failure = told(text(event, "/event/error/message").unwrap_or("it reported an error"), None);
    match text(event, "/event/errorClass") {
        Some("auth") => EngineFailure { kind: FailureKind::NotLoggedIn, ..failure },
        _ => failure,
    }
}

/// Its work is done by its own process, with the user's own login too. Else that is done by a server on a fixed port which
/// every session on the machine shares: tools would run in another session, or outside of every sandbox.
fn by_itself(launch: &mut Launch) {
    launch.environment.insert("CLINE_SESSION_BACKEND_MODE".to_owned(), "local".to_owned());
}

/// A data directory of its own keeps it from starting that server at all.
fn apart(launch: &mut Launch, context: &Context, cwd: &str) {
    if context.endpoint.is_some() {
        let data = home::of(EngineKind::Cline, context, cwd).join(".cline/data");
        launch.add_option("--data-dir", Some(&data.to_string_lossy()));
    }
}
