//! pi, the coding agent of @mariozechner.

use std::path::Path;

use orx_protocol::api::run::Tokens;
use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{Outcome, StageReport, count, events, microusd, shown_path, text, told};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, Mode, home, resumption};

/// The provider that stands for the endpoint, and its model where the endpoint is to choose.
const PROVIDER: [&str; 2] = ["--provider", "orx"];
const ENDPOINT_MODEL: &str = "default";
/// The variable that holds the endpoint's key, as the data says.
const KEY: &str = "ORX_ENDPOINT_KEY";

/// The engine.
pub(crate) struct Pi;

impl Driver for Pi {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["--mode", "json"]);
        if context.endpoint.is_some() {
            launch.add(&PROVIDER);
        }
        let chosen = context.endpoint.as_ref().map(|_| ENDPOINT_MODEL);
        launch.add_option("--model", request.model.as_deref().or(chosen));
        launch.add_option("--thinking", request.reasoning_effort.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        if request.mode == Mode::Text {
            // Extensions can bring tools of their own.
            launch.add(&["--no-extensions", "--tools", "read,grep,find,ls"]);
        }
        launch.add(&["--print"]);
        Ok(())
    }

    fn prepare(&self, context: &Context, _cwd: &str) -> Result<(), EngineError> {
        home::directory(EngineKind::Pi, &resumption::directory(EngineKind::Pi, context))
    }

    /// Writes `models.json`: the endpoint as a provider, with whatever models it is asked for by name.
    fn prepare_home(&self, private: &Path, endpoint: &Endpoint, _cwd: &str) -> Result<(), EngineError> {
        let directory = private.join(".pi/agent");
        home::directory(EngineKind::Pi, &directory)?;
        let models = json!({ "providers": { "orx": {
            "baseUrl": endpoint.v1(),
            "api": "openai-completions",
            "apiKey": KEY,
            "models": [{ "id": ENDPOINT_MODEL }],
        } } });
        home::write(EngineKind::Pi, &directory.join("models.json"), &format!("{models:#}\n"))
    }

    /// Reads `--mode json`.
    fn read(&self, stdout: &[u8]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut cost = 0.0;
        for event in events(stdout) {
            let event = Value::Object(event);
            match text(&event, "/type") {
                Some("session") => outcome.report.engine_session = text(&event, "/id").map(str::to_owned),
                Some("tool_execution_start") => {
                    outcome.report.tool_calls = outcome.report.tool_calls.saturating_add(1);
                }
                Some("message_end") if text(&event, "/message/role") == Some("assistant") => {
                    message(&mut outcome.report, &event);
                    cost += event.pointer("/message/usage/cost/total").and_then(Value::as_f64).unwrap_or(0.0);
                }
                Some("agent_end") => outcome.complete = true,
                // It tries again: what failed before is no failure yet.
                Some("auto_retry_start" | "agent_start") => outcome.complete = false,
                _ => {}
            }
            outcome.trouble = text(&event, "/errorMessage").map(str::to_owned);
        }
        // It counts nothing for a model whose price it does not know.
        outcome.report.cost_microusd = microusd(cost).filter(|cost| *cost > 0);
        outcome
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        let event = Value::Object(event.clone());
        match text(&event, "/type")? {
            "message_end" if text(&event, "/message/role")? == "assistant" => {
                said(&event).or_else(|| text(&event, "/message/errorMessage").map(str::to_owned))
            }
            "tool_execution_start" => {
                let name = text(&event, "/toolName")?;
                let path = text(&event, "/args/path").map(shown_path);
                let what = path.or_else(|| {
                    ["command", "pattern"]
                        .iter()
                        .find_map(|member| text(&event, &format!("/args/{member}")).map(str::to_owned))
                });
                Some(format!("{name} {}", what.unwrap_or_default()).trim_end().to_owned())
            }
            _ => None,
        }
    }
}

/// The text of a message.
fn said(event: &Value) -> Option<String> {
    let blocks = event.pointer("/message/content")?.as_array()?;
    let said: String = blocks.iter().filter_map(|block| text(block, "/text")).collect();
    Some(said).filter(|said| !said.is_empty())
}

fn message(report: &mut StageReport, event: &Value) {
    if let Some(said) = said(event) {
        report.text = said;
    }
    report.model = text(event, "/message/model").map(str::to_owned).or(report.model.take());
    let usage = |name: &str| count(event, &format!("/message/usage/{name}"));
    // A message that failed has counts of zero.
    if usage("totalTokens").is_some_and(|total| total > 0) {
        let cached = usage("cacheRead");
        let input = usage("input")
            .map(|fresh| fresh.saturating_add(cached.unwrap_or(0)).saturating_add(usage("cacheWrite").unwrap_or(0)));
        report.tokens = report.tokens.plus(Tokens { input, output: usage("output"), cached });
    }
    report.failure = match text(event, "/message/stopReason") {
        Some("error" | "aborted") => {
            Some(told(text(event, "/message/errorMessage").unwrap_or("the request failed"), None))
        }
        _ => None,
    };
}
