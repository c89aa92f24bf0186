//! OpenAI's responses: `/v1/responses`.

pub(crate) mod decode;
pub(crate) mod encode;
mod items;
mod output;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod request_out;

use super::Usage;
use super::json::Json;
use super::reply::Stop;
use super::write::Writer;

/// The tokens of a `usage` object.
pub(crate) fn usage_of(usage: &Json<'_>) -> Usage {
    let number = |key: &str| usage.get(key).and_then(Json::as_u64);
    let detail = |of: &str, key: &str| usage.get(of).and_then(|details| details.get(key)).and_then(Json::as_u64);
    Usage::from_totals(
        number("input_tokens"),
        detail("input_tokens_details", "cached_tokens"),
        detail("input_tokens_details", "cache_write_tokens"),
        number("output_tokens"),
        detail("output_tokens_details", "reasoning_tokens"),
    )
}

fn write_usage(writer: &mut Writer, usage: &Usage) {
    let (prompt, output) = (usage.prompt().unwrap_or(0), usage.output.unwrap_or(0));
    writer.object_at("usage", |w| {
        w.u64_at("input_tokens", prompt);
        w.object_at("input_tokens_details", |w| {
            w.u64_at("cached_tokens", usage.cache_read.unwrap_or(0));
            w.opt_u64_at("cache_write_tokens", usage.cache_write());
        });
        w.u64_at("output_tokens", output);
        w.object_at("output_tokens_details", |w| w.u64_at("reasoning_tokens", usage.reasoning.unwrap_or(0)));
        w.u64_at("total_tokens", prompt.saturating_add(output));
    });
}

fn response_id(id: Option<&str>, request_id: &str) -> String {
    match id {
        Some(id) if id.starts_with("resp_") => id.to_owned(),
        Some(id) => format!("resp_{id}"),
        None => format!("resp_{request_id}"),
    }
}

/// Why an answer is incomplete; `None` where it is not.
const fn incomplete(stop: Stop) -> Option<&'static str> {
    match stop {
        Stop::MaxTokens | Stop::ContextFull => Some("max_output_tokens"),
        Stop::Refusal | Stop::Filter => Some("content_filter"),
        Stop::EndTurn | Stop::ToolUse | Stop::StopSequence | Stop::Pause => None,
    }
}

fn stop_of(response: &Json<'_>) -> Stop {
    let reason = response.get("incomplete_details").and_then(|details| details.get("reason")).and_then(Json::as_str);
    match (response.get("status").and_then(Json::as_str), reason) {
        (Some("incomplete"), Some("content_filter")) => Stop::Filter,
        (Some("incomplete"), _) => Stop::MaxTokens,
        _ => Stop::EndTurn,
    }
}

/// The members of a response object. `output` is written as it is.
struct Envelope<'e> {
    id: &'e str,
    created: u64,
    model: &'e str,
    status: &'e str,
    incomplete: Option<&'e str>,
    output: &'e [u8],
    usage: Option<&'e Usage>,
}

impl Envelope<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.str_at("id", self.id);
        writer.str_at("object", "response");
        writer.u64_at("created_at", self.created);
        writer.str_at("status", self.status);
        writer.null_at("error");
        match self.incomplete {
            Some(reason) => writer.object_at("incomplete_details", |w| w.str_at("reason", reason)),
            None => writer.null_at("incomplete_details"),
        }
        writer.null_at("instructions");
        writer.str_at("model", self.model);
        writer.key("output");
        writer.bytes(b"[");
        writer.bytes(self.output);
        writer.bytes(b"]");
        writer.bool_at("parallel_tool_calls", true);
        writer.str_at("tool_choice", "auto");
        writer.array_at("tools", |_| ());
        match self.usage {
            Some(usage) => write_usage(writer, usage),
            None => writer.null_at("usage"),
        }
        writer.object_at("metadata", |_| ());
    }
}
