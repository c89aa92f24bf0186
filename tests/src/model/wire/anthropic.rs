//! Anthropic Messages.

use serde_json::{Value, json};

use super::super::conversation::{
    Conversation, Message, Wire, asks_for_a_title, is_of_the_user, newest, stated_cwd, strings,
};
use super::super::tools::Arguments;
use super::{Answer, list, member, names, parts};

/// What the CLI says in the user's name when the user interrupted it.
const INTERRUPT: &str = "[Request interrupted";

fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => blocks
            .iter()
            .filter(|block| member(block, "type") == "text")
            .map(|block| member(block, "text").to_owned())
            .collect(),
        _ => Vec::new(),
    }
}

pub(super) fn read(body: &Value) -> Conversation {
    let mut messages = Vec::new();
    for message in list(body, "messages") {
        let content = &message["content"];
        let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
        if member(message, "role") == "assistant" {
            let asks = blocks.iter().any(|block| member(block, "type") == "tool_use");
            messages.push(if asks { Message::Calls } else { Message::Other(String::new()) });
        } else if member(message, "role") == "user" {
            let mut said = texts(content);
            if blocks.iter().any(|block| member(block, "type") == "tool_result") {
                // After an interrupt the next prompt comes in one message with the tools that were not run.
                let interrupt = said.iter().rposition(|text| text.starts_with(INTERRUPT));
                said = interrupt.map_or_else(Vec::new, |at| said.split_off(at + 1));
            }
            let own: Vec<String> = said.into_iter().filter(|text| is_of_the_user(text)).collect();
            if !own.is_empty() {
                messages.push(Message::Prompt(own.join("\n")));
            }
        }
    }
    let (prompt, turn) = newest(&messages);
    let mut system = String::new();
    strings(&body["system"], &mut system);
    let mut text = system.clone();
    strings(&body["messages"], &mut text);
    let tools = names(list(body, "tools").iter());
    Conversation {
        wire: Wire::Anthropic,
        model: member(body, "model").to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        prompt,
        turn,
        cwd: stated_cwd(&text),
        schema: body.pointer("/output_config/format/schema").or_else(|| body.pointer("/output_format/schema")).cloned(),
        side_call: tools.is_empty() && asks_for_a_title(&system),
        tools,
        text,
    }
}

fn blocks(answer: &Answer) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !answer.text.is_empty() {
        blocks.push(json!({ "type": "text", "text": answer.text }));
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let input = match &call.arguments {
            Arguments::Members(members) => members.clone(),
            Arguments::Text(text) => json!({ "input": text }),
        };
        let id = format!("toolu_scripted{:06}{index:02}", answer.number);
        blocks.push(json!({ "type": "tool_use", "id": id, "name": call.name, "input": input }));
    }
    blocks
}

fn usage(answer: &Answer) -> Value {
    json!({
        "input_tokens": answer.usage.input - answer.usage.cached.min(answer.usage.input),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.usage.cached,
        "output_tokens": answer.usage.output,
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.calls.is_empty() { "end_turn" } else { "tool_use" }
}

pub(super) fn whole(conversation: &Conversation, answer: &Answer) -> Value {
    json!({
        "id": format!("msg_scripted{:08}", answer.number),
        "type": "message",
        "role": "assistant",
        "model": conversation.model,
        "content": blocks(answer),
        "stop_reason": stop_reason(answer),
        "stop_sequence": null,
        "usage": usage(answer),
    })
}

pub(super) fn pieces(conversation: &Conversation, answer: &Answer) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut event = |value: Value| pieces.push(format!("event: {}\ndata: {value}\n\n", member(&value, "type")));
    let mut start = whole(conversation, answer);
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    event(json!({ "type": "message_start", "message": start }));
    for (index, block) in blocks(answer).into_iter().enumerate() {
        if member(&block, "type") == "text" {
            event(
                json!({ "type": "content_block_start", "index": index, "content_block": { "type": "text", "text": "" } }),
            );
            for part in parts(member(&block, "text")) {
                event(
                    json!({ "type": "content_block_delta", "index": index, "delta": { "type": "text_delta", "text": part } }),
                );
            }
        } else {
            let mut opening = block.clone();
            opening["input"] = json!({});
            event(json!({ "type": "content_block_start", "index": index, "content_block": opening }));
            for part in parts(&block["input"].to_string()) {
                let delta = json!({ "type": "input_json_delta", "partial_json": part });
                event(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
            }
        }
        event(json!({ "type": "content_block_stop", "index": index }));
    }
    let delta = json!({ "stop_reason": stop_reason(answer), "stop_sequence": null });
    event(json!({ "type": "message_delta", "delta": delta, "usage": usage(answer) }));
    event(json!({ "type": "message_stop" }));
    pieces
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}
