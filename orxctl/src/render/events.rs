//! Events as lines.

use orx_protocol::event::{Event, kind};
use serde_json::{Map, Value};

use crate::figures;
use crate::output::{Colour, Output};
use crate::text;

/// Longest value that is shown of an event's particulars, in columns.
const VALUE: usize = 60;

fn particulars(event: &Event) -> Map<String, Value> {
    match serde_json::from_str(event.data.get()) {
        Ok(Value::Object(particulars)) => particulars,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// A value as one safe word or phrase; `None` for what says nothing.
fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text::clean_line(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => text::clean_json(&value.to_string()),
    };
    Some(text::shorten(&text, VALUE)).filter(|text| !text.is_empty())
}

fn get(data: &Map<String, Value>, name: &str) -> Option<String> {
    data.get(name).and_then(shown)
}

/// An event of a run as a line for a person who follows it; `None` for events that say nothing to them.
pub(crate) fn line(event: &Event, output: Output) -> Option<String> {
    let data = particulars(event);
    let (what, name, word, rest): (&str, Option<String>, Option<String>, Vec<Option<String>>) =
        match event.kind.as_str() {
            kind::RUN_STARTED => {
                ("run", None, Some("started".to_owned()), vec![get(&data, "engine"), get(&data, "pipeline")])
            }
            kind::RUN_RESUMED => ("run", None, Some("resumed".to_owned()), vec![get(&data, "stage")]),
            kind::RUN_ENDED => {
                ("run", None, get(&data, "state").or_else(|| get(&data, "status")), vec![get(&data, "error")])
            }
            kind::STAGE_STARTED => {
                ("stage", get(&data, "stage"), Some("started".to_owned()), vec![get(&data, "item"), attempt(&data)])
            }
            kind::STAGE_ENDED => (
                "stage",
                get(&data, "stage"),
                get(&data, "status"),
                vec![get(&data, "item"), duration(&data), get(&data, "error")],
            ),
            kind::ITEM_CHANGED => (
                "item",
                get(&data, "item").or_else(|| get(&data, "id")),
                get(&data, "status"),
                vec![get(&data, "title"), get(&data, "note")],
            ),
            kind::GATE_ENDED => (
                "gate",
                get(&data, "gate"),
                get(&data, "verdict"),
                vec![get(&data, "item"), duration(&data), optional(&data), get(&data, "message")],
            ),
            kind::GUARDRAIL_VIOLATED => (
                "guardrail",
                get(&data, "rule").or_else(|| get(&data, "guardrail")),
                Some("violated".to_owned()),
                vec![get(&data, "path").or_else(|| get(&data, "paths")), get(&data, "message")],
            ),
            kind::RUN_COMMITTED => {
                let commit = get(&data, "commit").map(|commit| commit.chars().take(10).collect());
                ("commit", commit, None, vec![get(&data, "subject"), get(&data, "item")])
            }
            kind::RUN_WARNING => ("warning", None, None, vec![get(&data, "message").or_else(|| get(&data, "warning"))]),
            _ => return None,
        };
    let word = word.map(|word| Colour::of_word(&word).paint(&word, output.colour));
    let head = Colour::Dim.paint(&format!("{}  {}", clock(event.at_ms), text::pad(what, 9)), output.colour);
    let parts: Vec<String> = [name, word].into_iter().chain(rest).flatten().collect();
    Some(format!("{head}  {}", parts.join("  ")).trim_end().to_owned())
}

/// The time of day in UTC.
fn clock(at_ms: u64) -> String {
    let moment = figures::moment(at_ms);
    moment.get(11..19).map_or(moment.clone(), |time| format!("{time}Z"))
}

fn attempt(data: &Map<String, Value>) -> Option<String> {
    data.get("attempt")
        .and_then(Value::as_u64)
        .filter(|attempt| *attempt > 1)
        .map(|attempt| format!("attempt {attempt}"))
}

fn duration(data: &Map<String, Value>) -> Option<String> {
    data.get("duration_ms").and_then(Value::as_u64).map(figures::duration_ms)
}

fn optional(data: &Map<String, Value>) -> Option<String> {
    (data.get("required") == Some(&Value::Bool(false))).then(|| "not required".to_owned())
}

/// Any event of the journal as a line.
pub(crate) fn journal_line(event: &Event, output: Output) -> String {
    let particulars: Vec<String> = particulars(event)
        .iter()
        .filter_map(|(name, value)| Some(format!("{}={}", text::clean_line(name), shown(value)?)))
        .collect();
    let head = format!("{:>7}  {}", event.seq, figures::moment(event.at_ms));
    format!(
        "{}  {}  {}  {}",
        Colour::Dim.paint(&head, output.colour),
        text::pad(&text::clean_line(&event.kind), 22),
        text::clean_line(&event.subject),
        particulars.join(" ")
    )
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(kind: &str, data: &Value) -> Event {
        Event {
            seq: 42,
            at_ms: 1_700_000_000_123,
            kind: kind.into(),
            subject: "run_01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            data: serde_json::value::RawValue::from_string(data.to_string()).unwrap(),
        }
    }

    #[test]
    fn events_of_a_run_are_lines_without_control_sequences() {
        let events = [
            event(kind::RUN_STARTED, &json!({"engine": "claude", "pipeline": "standard"})),
            event(kind::STAGE_STARTED, &json!({"stage": "implement", "item": "W001", "attempt": 2})),
            event(
                kind::STAGE_ENDED,
                &json!({"stage": "implement", "status": "failed", "duration_ms": 61_000, "error": "\u{1b}[2Jgone"}),
            ),
            event(
                kind::ITEM_CHANGED,
                &json!({"item": "W001", "status": "in_progress", "title": "a \u{1b}]0;x\u{7}title"}),
            ),
            event(
                kind::GATE_ENDED,
                &json!({"gate": "pytest", "verdict": "passed", "required": false, "duration_ms": 850}),
            ),
            event(kind::GUARDRAIL_VIOLATED, &json!({"rule": "forbidden", "path": ".env"})),
            event(kind::RUN_COMMITTED, &json!({"commit": "0123456789abcdef", "subject": "feat: flag"})),
            event(kind::RUN_WARNING, &json!({"message": "uncommitted work stays behind"})),
            event(kind::RUN_ENDED, &json!({"state": "done"})),
            event(kind::RUN_ENDED, &json!([])),
        ];
        let lines: Vec<String> = events.iter().filter_map(|event| line(event, Output::plain(None))).collect();
        insta::assert_snapshot!("run_lines", lines.join("\n"));
        let lines: Vec<String> = events.iter().map(|event| journal_line(event, Output::plain(None))).collect();
        insta::assert_snapshot!("journal_lines", lines.join("\n"));
        assert_eq!(line(&event("session.created", &json!({})), Output::plain(None)), None);
    }
}
