//! Samples, and what they come to: comparable summaries of requests and answers.

use std::path::PathBuf;

use orx_gateway::dialect::json::{Json, parse};
use orx_gateway::dialect::loss::Losses;
use orx_gateway::dialect::model::{Arguments, Block, Format, Media, Request, Role, ToolInput};
use orx_gateway::dialect::reply::{Reply, Stop};
use orx_gateway::dialect::signature::Signature;
use orx_gateway::dialect::stream::{StreamTranslator, UpstreamEnd};
use orx_gateway::dialect::translate::{self, Call, Caller, Target};
use orx_gateway::dialect::{Dialect, Usage};
use serde_json::Value;

pub(crate) fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn request(dialect: Dialect) -> Vec<u8> {
    data(&format!("request.{dialect}.json"))
}

pub(crate) fn reply(dialect: Dialect) -> Vec<u8> {
    data(&format!("reply.{dialect}.json"))
}

pub(crate) fn stream(dialect: Dialect) -> Vec<u8> {
    data(&format!("stream.{dialect}.txt"))
}

pub(crate) fn call(dialect: Dialect) -> Call<'static> {
    let in_path = dialect == Dialect::Gemini;
    Call {
        dialect,
        path_model: in_path.then_some("the-model"),
        path_stream: in_path.then_some(true),
        request_id: "req0123456789",
        created: 1_790_000_000,
    }
}

pub(crate) fn caller(dialect: Dialect) -> Caller {
    Caller {
        dialect,
        model: "the-model".to_owned(),
        stream: true,
        include_usage: true,
        custom_tools: Vec::new(),
        generate: false,
        array: false,
        request_id: "req0123456789".to_owned(),
        created: 1_790_000_000,
        prompt_estimate: None,
    }
}

pub(crate) fn translated(from: Dialect, to: Dialect, body: &[u8]) -> Vec<u8> {
    translate::request(&call(from), &Target::new(to, "the-model"), body)
        .unwrap_or_else(|error| panic!("{from} to {to}: {error}"))
        .body
}

/// Identifiers differ; the order in which they come up does not.
#[derive(Default)]
struct Ids(Vec<String>);

impl Ids {
    fn number(&mut self, id: &str) -> usize {
        let place = self.0.iter().position(|known| known == id);
        place.unwrap_or_else(|| {
            self.0.push(id.to_owned());
            self.0.len() - 1
        })
    }
}

fn plain(tree: &Json<'_>) -> Value {
    serde_json::from_str(&tree.to_text()).unwrap()
}

fn arguments(arguments: &Arguments<'_>) -> Value {
    match arguments {
        Arguments::Json(tree) => plain(tree),
        Arguments::Text(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(&**text)),
        Arguments::Free(text) => Value::from(&**text),
    }
}

fn block(block: &Block<'_>, ids: &mut Ids) -> String {
    let media = |source: &Media<'_>| match source {
        Media::Base64 { media_type, data } => format!("{media_type} {data}"),
        Media::Url(url) => url.to_string(),
    };
    match block {
        Block::Text { text, .. } => format!("text {text}"),
        Block::Image { source, .. } => format!("image {}", media(source)),
        Block::Document { source, .. } => format!("document {}", media(source)),
        Block::Thinking { text, signature } => {
            // A stream that is read as a provider's after it was written for a caller has the mark of its origin inside.
            let value = signature
                .as_ref()
                .map(|signature| Signature::read(signature.origin, &signature.value).value.into_owned())
                .unwrap_or_default();
            format!("thinking {text} signed {value}")
        }
        Block::Redacted(signature) => format!("redacted {}", signature.value),
        Block::ToolCall(call) => format!("call {} {} {}", ids.number(&call.id), call.name, arguments(&call.arguments)),
        Block::ToolResult(result) => {
            let content: Vec<String> = result.content.iter().map(|inner| self::block(inner, ids)).collect();
            format!("result {} {content:?}", ids.number(&result.id))
        }
    }
}

/// What a request asks, line by line.
pub(crate) fn summary(dialect: Dialect, body: &[u8]) -> Vec<String> {
    let tree = parse(body).unwrap();
    let read = translate::read_request(dialect, &tree, &mut Losses::default()).unwrap();
    lines(&read)
}

fn lines(request: &Request<'_>) -> Vec<String> {
    let mut ids = Ids::default();
    let mut lines: Vec<String> = request.system.iter().map(|system| format!("system {}", system.text)).collect();
    for message in &request.messages {
        let role = if message.role == Role::User { "user" } else { "assistant" };
        lines.extend(message.content.iter().map(|inner| format!("{role} {}", block(inner, &mut ids))));
    }
    for tool in &request.tools {
        let schema = match &tool.input {
            ToolInput::Schema(schema) => plain(schema).to_string(),
            ToolInput::Any => "any".to_owned(),
            ToolInput::Free(_) => "free".to_owned(),
        };
        lines.push(format!("tool {} {} {schema}", tool.name, tool.description.as_deref().unwrap_or("")));
    }
    lines.push(format!("choice {:?}", request.tool_choice));
    lines.push(format!("stop {:?}", request.stop));
    lines.push(format!(
        "tokens {:?} temperature {:?} top_p {:?}",
        request.max_tokens, request.temperature, request.top_p
    ));
    lines.push(match &request.format {
        Some(Format::Schema { schema, .. }) => format!("format {}", plain(schema)),
        Some(Format::Object) => "format object".to_owned(),
        None => "format none".to_owned(),
    });
    lines
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) blocks: Vec<String>,
    pub(crate) stop: Stop,
    pub(crate) usage: Usage,
}

impl Answer {
    pub(crate) fn of(reply: &Reply<'_>) -> Self {
        let mut ids = Ids::default();
        Self {
            blocks: reply.content.iter().map(|inner| block(inner, &mut ids)).collect(),
            stop: reply.stop,
            usage: reply.usage,
        }
    }

    pub(crate) fn whole(dialect: Dialect, body: &[u8]) -> Self {
        let tree = parse(body).unwrap();
        let reply = translate::read_reply(dialect, &tree, "seed")
            .unwrap_or_else(|error| panic!("{dialect}: {error}: {}", String::from_utf8_lossy(body)));
        Self::of(&reply)
    }

    /// The same as far as `through` can say it: Ollama has no signatures and no caches.
    pub(crate) fn through(mut self, through: Dialect) -> Self {
        // Numbers that a dialect writes as 0 where they were not reported.
        let usage = &mut self.usage;
        let zero = |count: &mut Option<u64>| {
            if *count == Some(0) {
                *count = None;
            }
        };
        zero(&mut usage.reasoning);
        zero(&mut usage.cache_write_5m);
        zero(&mut usage.cache_write_1h);
        if through == Dialect::Ollama {
            usage.input = usage.prompt();
            usage.cache_read = None;
            for line in &mut self.blocks {
                if let Some(at) = line.find(" signed ") {
                    line.truncate(at + " signed ".len());
                }
            }
        }
        self
    }
}

pub(crate) fn through_stream(
    from: Dialect,
    caller: &Caller,
    chunks: &[&[u8]],
    end: UpstreamEnd<'_>,
) -> (Vec<u8>, StreamTranslator) {
    let mut translator = StreamTranslator::new(from, caller);
    let mut out = Vec::new();
    for chunk in chunks {
        translator.feed(chunk, &mut out);
    }
    translator.finish(end, &mut out);
    (out, translator)
}

/// A stream of Anthropic's dialect put together as its clients do it, strictly: what they stumble over panics here.
pub(crate) fn assembled(stream: &[u8]) -> Value {
    let mut message = Value::Null;
    let mut open: Option<(usize, String)> = None;
    let mut ended = false;
    for event in std::str::from_utf8(stream).unwrap().split("\n\n").filter(|event| !event.is_empty()) {
        assert!(!ended, "an event after the end: {event}");
        let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name);
        match name {
            "message_start" => {
                assert!(message.is_null());
                message = data["message"].clone();
            }
            "content_block_start" => {
                assert!(open.is_none(), "a block inside another");
                let index = data["index"].as_u64().unwrap() as usize;
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(index, content.len());
                content.push(data["content_block"].clone());
                if data["content_block"]["type"] == "tool_use" {
                    assert_ne!(data["content_block"]["name"], "");
                    assert_ne!(data["content_block"]["id"], "");
                }
                open = Some((index, String::new()));
            }
            "content_block_delta" => {
                let (index, json) = open.as_mut().expect("a delta outside of a block");
                assert_eq!(data["index"], *index);
                let block = &mut message["content"][*index];
                let delta = &data["delta"];
                let (sort, key) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", "text"),
                    "thinking_delta" => ("thinking", "thinking"),
                    "signature_delta" => ("thinking", "signature"),
                    "input_json_delta" => {
                        assert_eq!(block["type"], "tool_use");
                        json.push_str(delta["partial_json"].as_str().unwrap());
                        continue;
                    }
                    other => panic!("{other}"),
                };
                assert_eq!(block["type"], sort, "{delta} in another block");
                let joined = format!("{}{}", block[key].as_str().unwrap(), delta[key].as_str().unwrap());
                block[key] = Value::from(joined);
            }
            "content_block_stop" => {
                let (index, json) = open.take().expect("the end of no block");
                if !json.is_empty() {
                    message["content"][index]["input"] = serde_json::from_str(&json).unwrap_or(Value::from(json));
                }
            }
            "message_delta" => {
                assert!(open.is_none(), "the end inside a block");
                message["stop_reason"] = data["delta"]["stop_reason"].clone();
                for (key, value) in data["usage"].as_object().unwrap() {
                    message["usage"][key] = value.clone();
                }
            }
            "message_stop" => ended = true,
            "error" => {
                ended = true;
                message["error"] = data["error"].clone();
            }
            other => panic!("{other}"),
        }
    }
    assert!(ended, "no end");
    message
}
