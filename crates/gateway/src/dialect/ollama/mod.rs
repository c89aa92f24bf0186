//! Ollama's `/api/chat` and `/api/generate`: lines of JSON, tools as chat completions have them, no identifiers of calls.

mod messages;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod stream;

use super::Usage;
use super::json::Json;
use super::reply::Stop;
use super::write::Writer;

/// The tokens of a last object.
pub(crate) fn usage_of(body: &Json<'_>) -> Usage {
    let number = |key: &str| body.get(key).and_then(Json::as_u64);
    Usage { input: number("prompt_eval_count"), output: number("eval_count"), ..Usage::default() }
}

fn stop_of(word: &str) -> Stop {
    if word == "length" { Stop::MaxTokens } else { Stop::EndTurn }
}

const fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::MaxTokens | Stop::ContextFull => "length",
        Stop::EndTurn | Stop::ToolUse | Stop::StopSequence | Stop::Refusal | Stop::Filter | Stop::Pause => "stop",
    }
}

/// The time as Ollama writes it.
fn created_at(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(0);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// What stands at the end of an answer.
fn write_end(writer: &mut Writer, stop: Stop, usage: &Usage) {
    writer.bool_at("done", true);
    writer.str_at("done_reason", stop_word(stop));
    writer.opt_u64_at("prompt_eval_count", usage.prompt());
    writer.opt_u64_at("eval_count", usage.output);
}
