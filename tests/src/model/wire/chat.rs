//! OpenAI Chat Completions.

use serde_json::{Value, json};

use super::super::conversation::{
    Conversation, Message, Wire, asks_for_a_title, is_of_the_user, newest, stated_cwd, strings, unwrapped,
};
use super::super::tools::Arguments;
use super::{Answer, list, member, names, parts};

pub(super) fn read(body: &Value) -> Conversation {
    let mut messages = Vec::new();
    let mut system = String::new();
    for message in list(body, "messages") {
        match member(message, "role") {
            "assistant" if !list(message, "tool_calls").is_empty() => messages.push(Message::Calls),
            "user" => {
                let own: Vec<&str> = match &message["content"] {
                    Value::String(text) => vec![text.as_str()],
                    content => content.as_array().into_iter().flatten().map(|part| member(part, "text")).collect(),
                };
                let own = own.into_iter().map(unwrapped);
                let own: Vec<&str> = own.filter(|text| is_of_the_user(text)).collect();
                if !own.is_empty() {
                    messages.push(Message::Prompt(own.join("\n")));
                }
            }
            "system" | "developer" => strings(&message["content"], &mut system),
            _ => messages.push(Message::Other(String::new())),
        }
    }
    let (prompt, turn) = newest(&messages);
    let mut text = String::new();
    strings(&body["messages"], &mut text);
    let tools = names(list(body, "tools").iter().map(|tool| &tool["function"]));
    Conversation {
        wire: Wire::Chat,
        model: member(body, "model").to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        prompt,
        turn,
        cwd: stated_cwd(&text),
        schema: body.pointer("/response_format/json_schema/schema").cloned(),
        side_call: tools.is_empty() && asks_for_a_title(&system),
        tools,
        text,
    }
}

fn tool_calls(answer: &Answer) -> Vec<Value> {
    let calls = answer.calls.iter().enumerate();
    calls
        .map(|(index, call)| {
            let arguments = match &call.arguments {
                Arguments::Members(members) => members.to_string(),
                Arguments::Text(text) => json!({ "input": text }).to_string(),
            };
            json!({
                "index": index,
                "id": format!("call_scripted{:06}{index:02}", answer.number),
                "type": "function",
                "function": { "name": call.name, "arguments": arguments },
            })
        })
        .collect()
}

fn usage(answer: &Answer) -> Value {
    json!({
        "prompt_tokens": answer.usage.input,
        "completion_tokens": answer.usage.output,
        "total_tokens": answer.usage.input + answer.usage.output,
        "prompt_tokens_details": { "cached_tokens": answer.usage.cached },
    })
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.calls.is_empty() { "stop" } else { "tool_calls" }
}

pub(super) fn whole(conversation: &Conversation, answer: &Answer) -> Value {
    let mut message = json!({ "role": "assistant", "content": answer.text });
    if !answer.calls.is_empty() {
        message["tool_calls"] = Value::Array(tool_calls(answer));
    }
    json!({
        "id": format!("chatcmpl-scripted{:08}", answer.number),
        "object": "chat.completion",
        "created": 0,
        "model": conversation.model,
        "choices": [{ "index": 0, "message": message, "finish_reason": finish_reason(answer) }],
        "usage": usage(answer),
    })
}

pub(super) fn pieces(conversation: &Conversation, answer: &Answer) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": format!("chatcmpl-scripted{:08}", answer.number),
            "object": "chat.completion.chunk",
            "created": 0,
            "model": conversation.model,
            "choices": choices,
            "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value| chunk(json!([{ "index": 0, "delta": delta, "finish_reason": null }]), Value::Null);
    let mut pieces = vec![delta(json!({ "role": "assistant", "content": "" }))];
    pieces.extend(parts(&answer.text).into_iter().map(|part| delta(json!({ "content": part }))));
    for call in tool_calls(answer) {
        let mut opening = call.clone();
        opening["function"]["arguments"] = json!("");
        pieces.push(delta(json!({ "tool_calls": [opening] })));
        for part in parts(member(&call["function"], "arguments")) {
            let more = json!({ "index": call["index"], "function": { "arguments": part } });
            pieces.push(delta(json!({ "tool_calls": [more] })));
        }
    }
    pieces.push(chunk(json!([{ "index": 0, "delta": {}, "finish_reason": finish_reason(answer) }]), Value::Null));
    pieces.push(chunk(json!([]), usage(answer)));
    pieces.push("data: [DONE]\n\n".to_owned());
    pieces
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", "invalid_api_key"),
        429 => ("requests", "rate_limit_exceeded"),
        400 | 404 => ("invalid_request_error", "invalid_request"),
        _ => ("server_error", "server_error"),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}
