//! Gemini `generateContent`.

use serde_json::{Value, json};

use super::super::conversation::{Conversation, Message, Wire, is_of_the_user, newest, stated_cwd, strings};
use super::super::tools::Arguments;
use super::{Answer, list, member, names, parts};

pub(super) fn read(path: &str, body: &Value) -> Conversation {
    let mut messages = Vec::new();
    for content in list(body, "contents") {
        let parts = list(content, "parts");
        if member(content, "role") == "model" {
            let asks = parts.iter().any(|part| part.get("functionCall").is_some());
            messages.push(if asks { Message::Calls } else { Message::Other(String::new()) });
        } else if !parts.iter().any(|part| part.get("functionResponse").is_some()) {
            let own: Vec<&str> =
                parts.iter().map(|part| member(part, "text")).filter(|text| is_of_the_user(text)).collect();
            if !own.is_empty() {
                messages.push(Message::Prompt(own.join("\n")));
            }
        }
    }
    let (prompt, turn) = newest(&messages);
    let mut text = String::new();
    strings(&body["systemInstruction"], &mut text);
    strings(&body["contents"], &mut text);
    let model = path.rsplit("/models/").next().unwrap_or_default();
    let schema = ["responseJsonSchema", "responseSchema"]
        .iter()
        .find_map(|name| body.get("generationConfig").and_then(|config| config.get(*name)))
        .cloned();
    let tools = names(list(body, "tools").iter().flat_map(|tool| list(tool, "functionDeclarations")));
    Conversation {
        wire: Wire::Gemini,
        model: model.split(':').next().unwrap_or_default().to_owned(),
        stream: path.ends_with(":streamGenerateContent"),
        prompt,
        turn,
        cwd: stated_cwd(&text),
        side_call: schema.is_some(),
        schema,
        tools,
        text,
    }
}

fn chunk(conversation: &Conversation, answer: &Answer, parts: &Value, last: bool) -> Value {
    let mut candidate = json!({ "content": { "role": "model", "parts": parts }, "index": 0 });
    if last {
        candidate["finishReason"] = json!("STOP");
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": answer.usage.input,
            "candidatesTokenCount": answer.usage.output,
            "cachedContentTokenCount": answer.usage.cached,
            "totalTokenCount": answer.usage.input + answer.usage.output,
        },
        "modelVersion": conversation.model,
        "responseId": format!("scripted{:08}", answer.number),
    })
}

fn function_calls(answer: &Answer) -> Vec<Value> {
    let calls = answer.calls.iter();
    calls
        .map(|call| {
            let arguments = match &call.arguments {
                Arguments::Members(members) => members.clone(),
                Arguments::Text(text) => json!({ "input": text }),
            };
            json!({ "functionCall": { "name": call.name, "args": arguments } })
        })
        .collect()
}

pub(super) fn whole(conversation: &Conversation, answer: &Answer) -> Value {
    let mut parts = vec![json!({ "text": answer.text })];
    parts.extend(function_calls(answer));
    chunk(conversation, answer, &Value::Array(parts), true)
}

pub(super) fn pieces(conversation: &Conversation, answer: &Answer) -> Vec<String> {
    let mut all: Vec<Value> = parts(&answer.text).into_iter().map(|part| json!([{ "text": part }])).collect();
    let calls = function_calls(answer);
    if !calls.is_empty() || all.is_empty() {
        all.push(Value::Array(calls));
    }
    let last = all.len() - 1;
    all.iter()
        .enumerate()
        .map(|(index, parts)| format!("data: {}\n\n", chunk(conversation, answer, parts, index == last)))
        .collect()
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let name = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({ "error": { "code": status, "message": message, "status": name } })
}
