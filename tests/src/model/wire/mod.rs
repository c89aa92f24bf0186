//! The four APIs: reading a request, writing an answer whole or in pieces, writing an error.

mod anthropic;
mod chat;
mod gemini;
mod responses;

use serde_json::{Value, json};

use super::conversation::{Conversation, Wire};
use super::scenario::Usage;
use super::tools::Call;

/// What is to be answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Unique among the answers of a server.
    pub number: u64,
    /// What the model says.
    pub text: String,
    /// The tools that it asks for.
    pub calls: Vec<Call>,
    /// The tokens that it reports.
    pub usage: Usage,
}

/// The API that a path belongs to, when a request there is answered by the model.
#[must_use]
pub fn of_path(path: &str) -> Option<Wire> {
    if path.ends_with("/v1/messages") {
        Some(Wire::Anthropic)
    } else if path.ends_with("/responses") {
        Some(Wire::Responses)
    } else if path.ends_with("/chat/completions") {
        Some(Wire::Chat)
    } else if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") {
        Some(Wire::Gemini)
    } else {
        None
    }
}

/// Reads a request.
#[must_use]
pub fn read(wire: Wire, path: &str, body: &Value) -> Conversation {
    match wire {
        Wire::Anthropic => anthropic::read(body),
        Wire::Responses => responses::read(body),
        Wire::Chat => chat::read(body),
        Wire::Gemini => gemini::read(path, body),
    }
}

/// The answer as one JSON body.
#[must_use]
pub fn whole(conversation: &Conversation, answer: &Answer) -> Value {
    match conversation.wire {
        Wire::Anthropic => anthropic::whole(conversation, answer),
        Wire::Responses => responses::whole(conversation, answer),
        Wire::Chat => chat::whole(conversation, answer),
        Wire::Gemini => gemini::whole(conversation, answer),
    }
}

/// The answer as server-sent events, one text an event.
#[must_use]
pub fn pieces(conversation: &Conversation, answer: &Answer) -> Vec<String> {
    match conversation.wire {
        Wire::Anthropic => anthropic::pieces(conversation, answer),
        Wire::Responses => responses::pieces(conversation, answer),
        Wire::Chat => chat::pieces(conversation, answer),
        Wire::Gemini => gemini::pieces(conversation, answer),
    }
}

/// The body of an error.
#[must_use]
pub fn error(wire: Wire, status: u16, message: &str) -> Value {
    match wire {
        Wire::Anthropic => anthropic::error(status, message),
        Wire::Responses | Wire::Chat => chat::error(status, message),
        Wire::Gemini => gemini::error(status, message),
    }
}

/// The body of a refusal because a limit of the account is reached for so many seconds more. `now_s` is in seconds since
/// the epoch.
#[must_use]
pub fn account_limit(wire: Wire, resets_in_s: u64, now_s: u64) -> Value {
    match wire {
        Wire::Anthropic | Wire::Chat => error(wire, 429, "the account's limit is reached"),
        Wire::Responses => json!({"error": {
            "type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus",
            "resets_at": now_s + resets_in_s, "resets_in_seconds": resets_in_s,
        }}),
        Wire::Gemini => json!({"error": {
            "code": 429, "status": "RESOURCE_EXHAUSTED",
            "message": format!("You exceeded your current quota. Please retry in {resets_in_s}s."),
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
                    "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                    "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                }]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{resets_in_s}s")},
            ],
        }}),
    }
}

/// A text in parts of some characters, as a model streams it.
fn parts(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(40).map(|part| part.iter().collect()).collect()
}

fn member<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn names<'a>(tools: impl Iterator<Item = &'a Value>) -> Vec<String> {
    tools.map(|tool| member(tool, "name").to_owned()).filter(|name| !name.is_empty()).collect()
}
