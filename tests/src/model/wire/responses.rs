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
    let mut events = Events::default();
    let whole = whole(conversation, answer);
    let mut start = whole.clone();
    start["status"] = json!("in_progress");
    start["output"] = json!([]);
    start["usage"] = Value::Null;
    events.add("response.created", json!({ "response": start }));
    for (index, item) in items(answer).into_iter().enumerate() {
        let place = json!({ "item_id": item["id"], "output_index": index });
        let mut opening = item.clone();
        match member(&item, "type") {
            "message" => {
                opening["status"] = json!("in_progress");
                opening["content"] = json!([]);
                events.add("response.output_item.added", json!({ "output_index": index, "item": opening }));
                text(&mut events, &place, &answer.text);
            }
            "function_call" => {
                opening["status"] = json!("in_progress");
                opening["arguments"] = json!("");
                events.add("response.output_item.added", json!({ "output_index": index, "item": opening }));
                for part in parts(member(&item, "arguments")) {
                    events.add("response.function_call_arguments.delta", with(&place, json!({ "delta": part })));
                }
                let done = json!({ "name": item["name"], "arguments": item["arguments"] });
                events.add("response.function_call_arguments.done", with(&place, done));
            }
            _ => events.add("response.output_item.added", json!({ "output_index": index, "item": item })),
        }
        events.add("response.output_item.done", json!({ "output_index": index, "item": item }));
    }
    events.add("response.completed", json!({ "response": whole }));
    events.pieces
}

/// The events of a message's one part.
fn text(events: &mut Events, place: &Value, text: &str) {
    let place = with(place, json!({ "content_index": 0 }));
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    events.add("response.content_part.added", with(&place, json!({ "part": part("") })));
    for piece in parts(text) {
        events.add("response.output_text.delta", with(&place, json!({ "delta": piece, "logprobs": [] })));
    }
    events.add("response.output_text.done", with(&place, json!({ "text": text, "logprobs": [] })));
    events.add("response.content_part.done", with(&place, json!({ "part": part(text) })));
}

/// Events as they are counted and written.
#[derive(Default)]
struct Events {
    pieces: Vec<String>,
}

impl Events {
    fn add(&mut self, name: &str, members: Value) {
        let event = with(&json!({ "type": name, "sequence_number": self.pieces.len() }), members);
        self.pieces.push(format!("event: {name}\ndata: {event}\n\n"));
    }
}

fn with(value: &Value, members: Value) -> Value {
    let mut value = value.clone();
    if let (Some(all), Value::Object(members)) = (value.as_object_mut(), members) {
        all.extend(members);
    }
    value
}
