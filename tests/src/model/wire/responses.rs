//! OpenAI Responses, as Codex calls it.

use serde_json::{Value, json};

use super::super::conversation::{
    Conversation, Message, Wire, asks_for_a_title, is_of_the_user, newest, stated_cwd, strings,
};
use super::super::tools::Arguments;
use super::{Answer, list, member, names, parts};

/// The tools: as members of the request, or as an item of its input, there grouped in namespaces.
fn declared(body: &Value) -> Vec<String> {
    let items = list(body, "input").iter().filter(|item| member(item, "type") == "additional_tools");
    let groups = items.flat_map(|item| list(item, "tools")).filter(|tool| member(tool, "type") == "namespace");
    let grouped = groups.flat_map(|group| list(group, "tools"));
    names(list(body, "tools").iter().chain(grouped))
}

pub(super) fn read(body: &Value) -> Conversation {
    let mut messages = Vec::new();
    for item in list(body, "input") {
        match member(item, "type") {
            "function_call" | "custom_tool_call" | "local_shell_call" => {
                // Calls side by side are one round: only the first of them follows something else.
                if messages.last() != Some(&Message::Calls) {
                    messages.push(Message::Calls);
                }
            }
            "message" | "" if member(item, "role") == "user" => {
                let own: Vec<&str> = match &item["content"] {
                    Value::String(text) => vec![text.as_str()],
                    content => content.as_array().into_iter().flatten().map(|part| member(part, "text")).collect(),
                };
                let own: Vec<&str> = own.into_iter().filter(|text| is_of_the_user(text)).collect();
                if !own.is_empty() {
                    messages.push(Message::Prompt(own.join("\n")));
                }
            }
            _ => messages.push(Message::Other(String::new())),
        }
    }
    if let Value::String(prompt) = &body["input"] {
        messages.push(Message::Prompt(prompt.clone()));
    }
    let (prompt, turn) = newest(&messages);
    let instructions = member(body, "instructions");
    let mut text = format!("{instructions}\n");
    strings(&body["input"], &mut text);
    let tools = declared(body);
    Conversation {
        wire: Wire::Responses,
        model: member(body, "model").to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        prompt,
        turn,
        cwd: stated_cwd(&text),
        schema: body.pointer("/text/format/schema").cloned(),
        side_call: tools.is_empty() && asks_for_a_title(&text),
        tools,
        text,
    }
}

fn items(answer: &Answer) -> Vec<Value> {
    let mut items = Vec::new();
    if !answer.text.is_empty() {
        items.push(json!({
            "type": "message",
            "id": format!("msg_scripted{:08}", answer.number),
            "role": "assistant",
            "status": "completed",
            "content": [{ "type": "output_text", "text": answer.text, "annotations": [] }],
        }));
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let id = format!("scripted{:06}{index:02}", answer.number);
        items.push(match &call.arguments {
            Arguments::Members(members) => json!({
                "type": "function_call",
                "id": format!("fc_{id}"),
                "call_id": format!("call_{id}"),
                "name": call.name,
                "arguments": members.to_string(),
                "status": "completed",
            }),
            Arguments::Text(text) => json!({
                "type": "custom_tool_call",
                "id": format!("ctc_{id}"),
                "call_id": format!("call_{id}"),
                "name": call.name,
                "input": text,
                "status": "completed",
            }),
        });
    }
    items
}

pub(super) fn whole(conversation: &Conversation, answer: &Answer) -> Value {
    json!({
        "id": format!("resp_scripted{:08}", answer.number),
        "object": "response",
        "status": "completed",
        "model": conversation.model,
        "output": items(answer),
        "usage": {
            "input_tokens": answer.usage.input,
            "input_tokens_details": { "cached_tokens": answer.usage.cached },
            "output_tokens": answer.usage.output,
            "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": answer.usage.input + answer.usage.output,
        },
    })
}

pub(super) fn pieces(conversation: &Conversation, answer: &Answer) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut event = |value: Value| pieces.push(format!("event: {}\ndata: {value}\n\n", member(&value, "type")));
    let whole = whole(conversation, answer);
    let mut start = whole.clone();
    start["status"] = json!("in_progress");
    start["output"] = json!([]);
    start["usage"] = Value::Null;
    event(json!({ "type": "response.created", "response": start }));
    for (index, item) in items(answer).into_iter().enumerate() {
        if member(&item, "type") == "message" {
            let mut opening = item.clone();
            opening["status"] = json!("in_progress");
            opening["content"] = json!([]);
            event(json!({ "type": "response.output_item.added", "output_index": index, "item": opening }));
            for part in parts(&answer.text) {
                event(json!({
                    "type": "response.output_text.delta",
                    "item_id": item["id"],
                    "output_index": index,
                    "content_index": 0,
                    "delta": part,
                }));
            }
        } else {
            event(json!({ "type": "response.output_item.added", "output_index": index, "item": item }));
        }
        event(json!({ "type": "response.output_item.done", "output_index": index, "item": item }));
    }
    event(json!({ "type": "response.completed", "response": whole }));
    pieces
}
