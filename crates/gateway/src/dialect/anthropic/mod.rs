//! Anthropic's messages: `/v1/messages`.

mod blocks;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod request_out;
pub(crate) mod stream;

use super::Usage;
use super::json::Json;
use super::reply::Stop;
use super::write::Writer;

const STOPS: [(Stop, &str); 8] = [
    (Stop::EndTurn, "end_turn"),
    (Stop::ToolUse, "tool_use"),
    (Stop::MaxTokens, "max_tokens"),
    (Stop::StopSequence, "stop_sequence"),
    (Stop::Refusal, "refusal"),
    (Stop::Pause, "pause_turn"),
    (Stop::ContextFull, "model_context_window_exceeded"),
    (Stop::Filter, "refusal"),
];

fn stop_of(word: &str) -> Stop {
    STOPS.into_iter().find(|(_, known)| *known == word).map_or(Stop::EndTurn, |(stop, _)| stop)
}

fn stop_word(stop: Stop) -> &'static str {
    STOPS.into_iter().find(|(known, _)| *known == stop).map_or("end_turn", |(_, word)| word)
}

/// The tokens of a `usage` object.
pub(crate) fn usage_of(usage: &Json<'_>) -> Usage {
    let number = |key: &str| usage.get(key).and_then(Json::as_u64);
    let split = usage.get("cache_creation");
    let part = |key: &str| split.and_then(|split| split.get(key)).and_then(Json::as_u64);
    let (five, hour) = (part("ephemeral_5m_input_tokens"), part("ephemeral_1h_input_tokens"));
    Usage {
        input: number("input_tokens"),
        cache_read: number("cache_read_input_tokens"),
        cache_write_5m: if five.is_none() && hour.is_none() { number("cache_creation_input_tokens") } else { five },
        cache_write_1h: hour,
        output: number("output_tokens"),
        reasoning: usage
            .get("output_tokens_details")
            .and_then(|details| details.get("thinking_tokens"))
            .and_then(Json::as_u64),
    }
}

fn write_usage(writer: &mut Writer, usage: &Usage) {
    writer.object_at("usage", |w| {
        w.u64_at("input_tokens", usage.input.unwrap_or(0));
        w.u64_at("cache_creation_input_tokens", usage.cache_write().unwrap_or(0));
        w.u64_at("cache_read_input_tokens", usage.cache_read.unwrap_or(0));
        if let Some(hour) = usage.cache_write_1h {
            w.object_at("cache_creation", |w| {
                w.u64_at("ephemeral_5m_input_tokens", usage.cache_write_5m.unwrap_or(0));
                w.u64_at("ephemeral_1h_input_tokens", hour);
            });
        }
        w.u64_at("output_tokens", usage.output.unwrap_or(0));
    });
}

/// Identifiers of messages that Anthropic's callers expect to begin so.
fn message_id(id: Option<&str>, request_id: &str) -> String {
    match id {
        Some(id) if id.starts_with("msg_") => id.to_owned(),
        Some(id) => format!("msg_{id}"),
        None => format!("msg_{request_id}"),
    }
}
