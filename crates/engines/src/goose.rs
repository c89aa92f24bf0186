//! Goose, written from its documentation and source.

use serde_json::{Map, Value};

use crate::driver::Driver;
use crate::report::{Outcome, events, text, told};
use crate::{Context, EngineError, HeadlessRequest, Launch};

/// The engine.
pub(crate) struct Goose;

impl Driver for Goose {
    fn headless(&self, launch: &mut Launch, _context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["run", "--quiet", "--output-format", "stream-json"]);
        launch.add_option("--model", request.model.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        launch.environment.insert("GOOSE_MODE".to_owned(), "auto".to_owned());
        launch.add(&["--instructions", "-"]);
        Ok(())
    }

    /// Reads `--output-format stream-json`: a message comes in pieces that carry its identifier.
    fn read(&self, stdout: &[u8]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut message = None;
        for event in events(stdout) {
            let event = Value::Object(event);
            let report = &mut outcome.report;
            match text(&event, "/type") {
                Some("message") if text(&event, "/message/role") == Some("assistant") => {
                    let said = said(&event);
                    let of = text(&event, "/message/id").map(str::to_owned);
                    if !said.is_empty() {
                        if of.is_none() || of != message {
                            report.text.clear();
                        }
                        message = of;
                        report.text.push_str(&said);
                    }
                    let calls = blocks(&event).filter(|block| text(block, "/type") == Some("toolRequest")).count();
                    report.tool_calls = report.tool_calls.saturating_add(u32::try_from(calls).unwrap_or(u32::MAX));
                }
                Some("error") => {
                    report.failure = Some(told(text(&event, "/error").unwrap_or("it reported an error"), None));
                }
                Some("complete") => outcome.complete = true,
                _ => {}
            }
        }
        outcome
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        let event = Value::Object(event.clone());
        match text(&event, "/type")? {
            "message" if text(&event, "/message/role")? == "assistant" => {
                let call = blocks(&event).find_map(|block| text(block, "/toolCall/value/name"));
                call.map(|name| format!("calls {name}")).or_else(|| Some(said(&event)))
            }
            "error" => text(&event, "/error").map(str::to_owned),
            _ => None,
        }
    }
}

fn blocks(event: &Value) -> impl Iterator<Item = &Value> {
    event.pointer("/message/content").and_then(Value::as_array).into_iter().flatten()
}

fn said(event: &Value) -> String {
    blocks(event).filter_map(|block| text(block, "/text")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_message_are_put_together() {
        let piece = |id: &str, text: &str| {
            format!(
                "{{\"type\":\"message\",\"message\":{{\"id\":\"{id}\",\"role\":\"assistant\",\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}}}\n"
            )
        };
        let call = "{\"type\":\"message\",\"message\":{\"id\":\"a\",\"role\":\"assistant\",\"content\":[{\"type\":\"toolRequest\",\"id\":\"1\",\"toolCall\":{\"status\":\"success\",\"value\":{\"name\":\"developer__shell\"}}}]}}\n";
        let end = "{\"type\":\"complete\",\"total_tokens\":7}\n";
        let printed = [&piece("a", "I look."), call, &piece("b", "Do"), &piece("b", "ne."), end].concat();
        let outcome = Goose.read(printed.as_bytes());
        assert!(outcome.complete);
        assert_eq!((outcome.report.text.as_str(), outcome.report.tool_calls), ("Done.", 1));
        let cut = Goose.read(piece("a", "I look.").as_bytes());
        assert!(!cut.complete);
        let failed = Goose.read(b"{\"type\":\"error\",\"error\":\"401 Unauthorized\"}\n").report.failure.unwrap();
        assert_eq!(failed.kind, crate::FailureKind::NotLoggedIn);
        let call: Map<String, Value> = serde_json::from_str(call).unwrap();
        assert_eq!(Goose.progress(&call).as_deref(), Some("calls developer__shell"));
    }
}
