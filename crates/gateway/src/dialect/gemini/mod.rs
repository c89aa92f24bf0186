//! Gemini's `generateContent` and `streamGenerateContent`.

mod parts;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod request_out;
mod schema;
pub(crate) mod stream;

use super::Usage;
use super::json::Json;
use super::reply::Stop;
use super::tree::Node;
use super::write::Writer;

fn stop_of(word: &str) -> Stop {
    match word {
        "MAX_TOKENS" => Stop::MaxTokens,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" | "LANGUAGE" => {
            Stop::Filter
        }
        _ => Stop::EndTurn,
    }
}

const fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::ToolUse | Stop::StopSequence | Stop::Pause => "STOP",
        Stop::MaxTokens | Stop::ContextFull => "MAX_TOKENS",
        Stop::Refusal | Stop::Filter => "SAFETY",
    }
}

/// The tokens of a `usageMetadata` object.
pub(crate) fn usage_of(usage: &Json<'_>) -> Usage {
    let number = |key: &str| usage.get(key).and_then(Json::as_u64);
    let (candidates, thoughts) = (number("candidatesTokenCount"), number("thoughtsTokenCount"));
    let prompt =
        number("promptTokenCount").map(|prompt| prompt.saturating_add(number("toolUsePromptTokenCount").unwrap_or(0)));
    let output = match (candidates, thoughts) {
        (None, None) => None,
        (candidates, thoughts) => Some(candidates.unwrap_or(0).saturating_add(thoughts.unwrap_or(0))),
    };
    Usage::from_totals(prompt, number("cachedContentTokenCount"), None, output, thoughts)
}

fn write_usage(writer: &mut Writer, usage: &Usage) {
    let (prompt, output) = (usage.prompt().unwrap_or(0), usage.output.unwrap_or(0));
    writer.object_at("usageMetadata", |w| {
        w.u64_at("promptTokenCount", prompt);
        w.u64_at("candidatesTokenCount", output.saturating_sub(usage.reasoning.unwrap_or(0)));
        w.opt_u64_at("cachedContentTokenCount", usage.cache_read);
        w.opt_u64_at("thoughtsTokenCount", usage.reasoning);
        w.u64_at("totalTokenCount", prompt.saturating_add(output));
    });
}

/// A member under either of its two spellings, both of which Gemini takes.
fn either<'s, 't>(node: &'s Node<'_, 't>, camel: &'s str, snake: &'s str) -> Option<Node<'s, 't>> {
    node.opt(camel).or_else(|| node.opt(snake))
}

/// Whether Gemini refused the prompt itself.
fn is_blocked(root: &Node<'_, '_>) -> bool {
    root.opt("promptFeedback").is_some_and(|feedback| feedback.opt("blockReason").is_some())
}
