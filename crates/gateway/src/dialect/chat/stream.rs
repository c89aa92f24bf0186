//! A streamed answer of a provider of chat completions, read and written.

use super::{completion_id, messages, stop_of, stop_word, usage_of, write_usage};
use crate::dialect::error::ApiError;
use crate::dialect::event::{Event, Open};
use crate::dialect::json::{self, Json};
use crate::dialect::linear::Linear;
use crate::dialect::model::unwrapped;
use crate::dialect::reply::Stop;
use crate::dialect::sse::Frame;
use crate::dialect::translate::Caller;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError, tool_id};

/// Reads.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    finished: bool,
    refused: bool,
    /// The number for the next call whose server counts none.
    next: u64,
    uncounted: u64,
}

/// Calls without a number are counted from here.
const UNCOUNTED: u64 = 1 << 32;

impl Decoder {
    pub(crate) fn read(&mut self, frame: Frame<'_>, linear: &mut Linear) -> Result<(), DialectError> {
        if frame.data.trim_ascii() == b"[DONE]" {
            linear.end();
            return Ok(());
        }
        let tree = json::parse(frame.data)?;
        if let Some(error) = ApiError::of_body(&tree, 200) {
            linear.fail(error);
            return Ok(());
        }
        let root = Node::root(&tree);
        if let Some(usage) = root.opt("usage") {
            linear.add_usage(usage_of(usage.value));
        }
        if !linear.is_started() {
            linear.start(root.soft_str("id").filter(|id| !id.is_empty()), root.soft_str("model"));
        }
        let Some(choices) = root.opt("choices") else { return Ok(()) };
        let Some(choice) = choices.items()?.next() else { return Ok(()) };
        if let Some(delta) = choice.opt("delta") {
            self.delta(&delta, linear)?;
        }
        if let Some(reason) = choice.soft_str("finish_reason") {
            self.finished = true;
            let stop = stop_of(reason);
            linear.stop(if self.refused && stop == Stop::EndTurn { Stop::Refusal } else { stop }, None);
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Node<'_, '_>, linear: &mut Linear) -> Result<(), DialectError> {
        let reasoning = delta.soft_str("reasoning_content").or_else(|| delta.soft_str("reasoning"));
        linear.thinking(reasoning.unwrap_or_default());
        if let Some(details) = delta.opt("reasoning_details") {
            for detail in details.items()? {
                if detail.soft_str("type") == Some("reasoning.encrypted") {
                    linear.redacted(detail.soft_str("data").unwrap_or_default());
                    continue;
                }
                if reasoning.is_none() {
                    linear.thinking(detail.soft_str("text").unwrap_or_default());
                }
                linear.sign(detail.soft_str("signature").unwrap_or_default());
            }
        }
        linear.text(delta.soft_str("content").unwrap_or_default());
        if let Some(refusal) = delta.soft_str("refusal") {
            self.refused = true;
            linear.text(refusal);
        }
        if let Some(calls) = delta.opt("tool_calls") {
            for call in calls.items()? {
                self.call(&call, linear)?;
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &Node<'_, '_>, linear: &mut Linear) -> Result<(), DialectError> {
        let id = call.soft_str("id").unwrap_or_default();
        let key = match call.opt_u64("index")? {
            Some(index) => index,
            None => {
                if !id.is_empty() || self.next == 0 {
                    self.next += 1;
                    self.uncounted = UNCOUNTED + self.next;
                }
                self.uncounted
            }
        };
        let Some(function) = call.opt("function") else {
            linear.tool(key, id, "", None);
            return Ok(());
        };
        linear.tool(key, id, function.soft_str("name").unwrap_or_default(), None);
        match function.opt("arguments").map(|arguments| arguments.value) {
            Some(Json::String(piece)) => linear.arguments(key, piece, true),
            Some(value @ Json::Object(_)) => linear.arguments(key, &value.to_text(), true),
            _ => {}
        }
        Ok(())
    }

    pub(crate) const fn is_complete(&self) -> bool {
        self.finished
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Nothing,
    Text,
    Thinking,
    Tool,
    /// A call of free text: its object is waited for.
    Custom(String),
}

/// Writes.
#[derive(Debug)]
pub(crate) struct Encoder {
    model: String,
    request_id: String,
    created: u64,
    include_usage: bool,
    custom_tools: Vec<String>,
    /// What every chunk begins with.
    head: String,
    open: Block,
    calls: u64,
}

impl Encoder {
    pub(crate) fn new(caller: &Caller) -> Self {
        Self {
            model: caller.model.clone(),
            request_id: caller.request_id.clone(),
            created: caller.created,
            include_usage: caller.include_usage,
            custom_tools: caller.custom_tools.clone(),
            head: String::new(),
            open: Block::Nothing,
            calls: 0,
        }
    }

    fn begin(&mut self, id: Option<&str>, model: Option<&str>) {
        let mut writer = Writer::default();
        writer.str_at("id", &completion_id(id, &self.request_id));
        writer.str_at("object", "chat.completion.chunk");
        writer.u64_at("created", self.created);
        writer.str_at("model", model.unwrap_or(&self.model));
        self.head = String::from_utf8(writer.into_bytes()).unwrap_or_default();
    }

    fn chunk(&self, writer: &mut Writer, fill: impl FnOnce(&mut Writer)) {
        writer.bytes(b"data: ");
        writer.object(|w| {
            w.bytes(self.head.as_bytes());
            fill(w);
        });
        writer.bytes(b"\n\n");
    }

    fn delta(&self, writer: &mut Writer, stop: Option<&str>, fill: impl FnOnce(&mut Writer)) {
        self.chunk(writer, |w| {
            w.array_at("choices", |w| {
                w.object(|w| {
                    w.u64_at("index", 0);
                    w.object_at("delta", fill);
                    match stop {
                        Some(stop) => w.str_at("finish_reason", stop),
                        None => w.null_at("finish_reason"),
                    }
                });
            });
        });
    }

    fn call(&self, writer: &mut Writer, fill: impl FnOnce(&mut Writer)) {
        self.delta(writer, None, |w| {
            w.array_at("tool_calls", |w| {
                w.object(|w| {
                    w.u64_at("index", self.calls);
                    fill(w);
                });
            });
        });
    }

    pub(crate) fn write(&mut self, step: &Event<'_>, writer: &mut Writer) {
        match step {
            Event::Start { id, model, .. } => {
                self.begin(*id, *model);
                self.delta(writer, None, |w| {
                    w.str_at("role", "assistant");
                    w.str_at("content", "");
                });
            }
            Event::Open(open) => self.open(open, writer),
            Event::Delta(text) => match &mut self.open {
                Block::Text => self.delta(writer, None, |w| w.str_at("content", text)),
                Block::Thinking => self.delta(writer, None, |w| w.str_at("reasoning_content", text)),
                Block::Tool => {
                    self.call(writer, |w| w.object_at("function", |w| w.str_at("arguments", text)));
                }
                Block::Custom(held) => held.push_str(text),
                Block::Nothing => {}
            },
            Event::Close(signature) => match std::mem::replace(&mut self.open, Block::Nothing) {
                Block::Thinking => {
                    if let Some(signature) = signature
                        .as_ref()
                        .filter(|signature| signature.origin != Dialect::Chat || !signature.value.is_empty())
                    {
                        self.delta(writer, None, |w| {
                            w.array_at("reasoning_details", |w| {
                                w.object(|w| messages::write_detail(w, Some(""), signature));
                            });
                        });
                    }
                }
                Block::Tool => self.calls += 1,
                Block::Custom(held) => {
                    let input = unwrapped(&held).unwrap_or(held);
                    self.call(writer, |w| w.object_at("custom", |w| w.str_at("input", &input)));
                    self.calls += 1;
                }
                Block::Text | Block::Nothing => {}
            },
            Event::Finish { stop, usage, .. } => {
                self.delta(writer, Some(stop_word(*stop)), |_| ());
                if self.include_usage {
                    self.chunk(writer, |w| {
                        w.array_at("choices", |_| ());
                        write_usage(w, usage);
                    });
                }
                writer.bytes(b"data: [DONE]\n\n");
            }
            // A client takes `[DONE]` for a clean end, so none follows.
            Event::Error(error) => {
                writer.bytes(b"data: ");
                error.write(Dialect::Chat, writer);
                writer.bytes(b"\n\n");
            }
        }
    }

    fn open(&mut self, open: &Open<'_>, writer: &mut Writer) {
        self.open = match open {
            Open::Text => Block::Text,
            Open::Thinking => Block::Thinking,
            Open::Redacted(signature) => {
                self.delta(writer, None, |w| {
                    w.array_at("reasoning_details", |w| {
                        w.object(|w| messages::write_detail(w, None, signature));
                    });
                });
                Block::Nothing
            }
            Open::Tool { id, name, signature } => {
                let custom = self.custom_tools.iter().any(|known| known == name);
                self.call(writer, |w| {
                    w.str_at("id", &tool_id::with_signature(id, *signature));
                    w.str_at("type", if custom { "custom" } else { "function" });
                    w.object_at(if custom { "custom" } else { "function" }, |w| {
                        w.str_at("name", name);
                        w.str_at(if custom { "input" } else { "arguments" }, "");
                    });
                });
                if custom { Block::Custom(String::new()) } else { Block::Tool }
            }
        };
    }
}
