//! OpenAI's chat completions, and what is compatible with them.

mod messages;
mod parts;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod request_out;
pub(crate) mod stream;

pub(crate) use parts::{media, url};

use super::Usage;
use super::json::Json;
use super::reply::Stop;
use super::write::Writer;

/// The schema of the function that stands for a tool of free text.
pub(crate) const FREE_INPUT: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

fn stop_of(word: &str) -> Stop {
    match word {
        "length" => Stop::MaxTokens,
        "tool_calls" | "function_call" => Stop::ToolUse,
        "content_filter" => Stop::Filter,
        _ => Stop::EndTurn,
    }
}

const fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::StopSequence | Stop::Pause => "stop",
        Stop::ToolUse => "tool_calls",
        Stop::MaxTokens | Stop::ContextFull => "length",
        Stop::Refusal | Stop::Filter => "content_filter",
    }
}

/// The tokens of a `usage` object.
pub(crate) fn usage_of(usage: &Json<'_>) -> Usage {
    let number = |key: &str| usage.get(key).and_then(Json::as_u64);
    let detail = |of: &str, key: &str| usage.get(of).and_then(|details| details.get(key)).and_then(Json::as_u64);
    Usage::from_totals(
        number("prompt_tokens"),
        // DeepSeek names it by itself.
        detail("prompt_tokens_details", "cached_tokens").or_else(|| number("prompt_cache_hit_tokens")),
        detail("prompt_tokens_details", "cache_write_tokens"),
        number("completion_tokens"),
        detail("completion_tokens_details", "reasoning_tokens"),
    )
}

fn write_usage(writer: &mut Writer, usage: &Usage) {
    let (prompt, output) = (usage.prompt().unwrap_or(0), usage.output.unwrap_or(0));
    writer.object_at("usage", |w| {
        w.u64_at("prompt_tokens", prompt);
        w.u64_at("completion_tokens", output);
        w.u64_at("total_tokens", prompt.saturating_add(output));
        w.object_at("prompt_tokens_details", |w| {
            w.u64_at("cached_tokens", usage.cache_read.unwrap_or(0));
            w.opt_u64_at("cache_write_tokens", usage.cache_write());
        });
        w.object_at("completion_tokens_details", |w| w.u64_at("reasoning_tokens", usage.reasoning.unwrap_or(0)));
    });
}

fn completion_id(id: Option<&str>, request_id: &str) -> String {
    match id {
        Some(id) if id.starts_with("chatcmpl") => id.to_owned(),
        Some(id) => format!("chatcmpl-{id}"),
        None => format!("chatcmpl-{request_id}"),
    }
}
