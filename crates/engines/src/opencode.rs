//! opencode.

use orx_protocol::api::run::Tokens;
use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{Outcome, count, events, microusd, shown_path, text, told};
use crate::{Context, Endpoint, EngineError, HeadlessRequest, Launch, Mode};

/// The provider that stands for the endpoint.
const PROVIDER: &str = "orx";
/// The model where the endpoint is to choose.
const ENDPOINT_MODEL: &str = "default";
/// The agent of [`Mode::Text`]. The CLI's own `plan` agent may run any command.
const READER: &str = "orx-reader";
/// Settings on top of all files.
const SETTINGS: &str = "OPENCODE_CONFIG_CONTENT";

/// The engine.
pub(crate) struct Opencode;

impl Driver for Opencode {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["run", "--format", "json"]);
        launch.add_option("--model", request.model.as_ref().map(|model| model_of(context, model)).as_deref());
        launch.add_option("--variant", request.reasoning_effort.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        match request.mode {
            Mode::Text => launch.add(&["--agent", READER]),
            Mode::Apply => launch.add(&["--auto"]),
        }
        point(launch, context, request.model.as_deref(), request.mode);
        Ok(())
    }

    fn terminal(&self, launch: &mut Launch, context: &Context, _cwd: &str) {
        point(launch, context, None, Mode::Apply);
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        read(stdout)
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        progress(event)
    }
}

/// A model of the endpoint is named with its provider.
fn model_of(context: &Context, model: &str) -> String {
    let named = model.starts_with(&format!("{PROVIDER}/"));
    if context.endpoint.is_some() && !named { format!("{PROVIDER}/{model}") } else { model.to_owned() }
}

/// Settings on top of the environment that the data gives: the provider, and the agent that may not write.
fn point(launch: &mut Launch, context: &Context, model: Option<&str>, mode: Mode) {
    let inherited =
        launch.environment.get(SETTINGS).and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let mut settings = inherited.unwrap_or_default();
    let before = settings.clone();
    if let Some(endpoint) = &context.endpoint {
        settings = endpoint_settings(endpoint, model);
    }
    if mode == Mode::Text {
        let agents = settings.entry("agent").or_insert_with(|| json!({}));
        if !agents.is_object() {
            *agents = json!({});
        }
        agents[READER] = json!({
            "description": "Reads and answers.",
            "mode": "primary",
            "permission": { "*": "deny", "read": "allow", "glob": "allow", "grep": "allow", "list": "allow" },
        });
    }
    if settings != before {
        launch.environment.insert(SETTINGS.to_owned(), Value::Object(settings).to_string());
    }
}

fn endpoint_settings(endpoint: &Endpoint, model: Option<&str>) -> Map<String, Value> {
    let model = model.unwrap_or(ENDPOINT_MODEL);
    let model = model.strip_prefix("orx/").unwrap_or(model);
    let full = format!("{PROVIDER}/{model}");
    let settings = json!({
        "provider": { PROVIDER: {
            "npm": "@ai-sdk/openai-compatible",
            "name": PROVIDER,
            "options": {
                "baseURL": endpoint.v1(),
                "apiKey": endpoint.key,
            },
            "models": { model: {} },
        } },
        "model": full,
        "small_model": full,
        "autoupdate": false,
        "share": "disabled",
    });
    match settings {
        Value::Object(settings) => settings,
        _ => Map::new(),
    }
}

/// Reads `run --format json`.
fn read(stdout: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut message = String::new();
    let mut cost = 0.0;
    for event in events(stdout) {
        let event = Value::Object(event);
        let report = &mut outcome.report;
        if let Some(session) = text(&event, "/sessionID") {
            report.engine_session = Some(session.to_owned());
        }
        match text(&event, "/type") {
            Some("text") => {
                let of = text(&event, "/part/messageID").unwrap_or_default();
                if of != message {
                    report.text.clear();
                    of.clone_into(&mut message);
                }
                report.text.push_str(text(&event, "/part/text").unwrap_or_default());
            }
            Some("tool_use") => report.tool_calls = report.tool_calls.saturating_add(1),
            Some("step_finish") => {
                // After a step that asked for tools comes another.
                outcome.complete = text(&event, "/part/reason") != Some("tool-calls");
                report.tokens = report.tokens.plus(step_tokens(&event));
                cost += event.pointer("/part/cost").and_then(Value::as_f64).unwrap_or(0.0);
            }
            Some("error") => {
                let message = text(&event, "/error/data/message").or(text(&event, "/error/name"));
                let status = count(&event, "/error/data/statusCode");
                report.failure = Some(told(message.unwrap_or("it reported an error"), status));
            }
            _ => {}
        }
    }
    // It counts nothing for a model whose price it does not know.
    outcome.report.cost_microusd = microusd(cost).filter(|cost| *cost > 0);
    outcome
}

fn step_tokens(event: &Value) -> Tokens {
    let part = |name: &str| count(event, &format!("/part/tokens/{name}"));
    let plus = |base: Option<u64>, more: &[Option<u64>]| {
        base.map(|base| more.iter().flatten().fold(base, |sum, more| sum.saturating_add(*more)))
    };
    Tokens {
        input: plus(part("input"), &[part("cache/read"), part("cache/write")]),
        output: plus(part("output"), &[part("reasoning")]),
        cached: part("cache/read"),
    }
}

fn progress(event: &Map<String, Value>) -> Option<String> {
    let event = Value::Object(event.clone());
    match text(&event, "/type")? {
        "text" => text(&event, "/part/text").map(str::to_owned),
        "tool_use" => {
            let name = text(&event, "/part/tool")?;
            let path = text(&event, "/part/state/input/filePath").map(shown_path);
            let what = path.or_else(|| {
                ["command", "pattern", "url", "description"]
                    .iter()
                    .find_map(|member| text(&event, &format!("/part/state/input/{member}")).map(str::to_owned))
            });
            Some(format!("{name} {}", what.unwrap_or_default()).trim_end().to_owned())
        }
        "error" => text(&event, "/error/data/message").or(text(&event, "/error/name")).map(str::to_owned),
        _ => None,
    }
}
