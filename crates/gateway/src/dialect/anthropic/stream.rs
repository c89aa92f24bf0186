//! A streamed answer of Anthropic, read and written.

use super::{message_id, stop_of, stop_word, usage_of, write_usage};
use crate::dialect::error::ApiError;
use crate::dialect::event::{Event, Open};
use crate::dialect::json::{self, Json};
use crate::dialect::linear::Linear;
use crate::dialect::sse::Frame;
use crate::dialect::translate::Caller;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError, Usage, tool_id};

/// Reads.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The block at hand is a call; its number.
    tool: Option<u64>,
    /// Arguments came already, in pieces.
    pieces: bool,
    /// Arguments as the call's beginning has them: they count where no pieces follow.
    whole: Option<String>,
}

impl Decoder {
    pub(crate) fn read(&mut self, frame: Frame<'_>, linear: &mut Linear) -> Result<(), DialectError> {
        if frame.event == "ping" {
            return Ok(());
        }
        let tree = json::parse(frame.data)?;
        let root = Node::root(&tree);
        match root.soft_str("type").unwrap_or(frame.event) {
            "message_start" => {
                let message = root.need("message")?;
                if let Some(usage) = message.opt("usage") {
                    linear.add_usage(usage_of(usage.value));
                }
                linear.start(message.soft_str("id"), message.soft_str("model"));
            }
            "content_block_start" => self.begin(&root, linear)?,
            "content_block_delta" => self.delta(&root, linear)?,
            "content_block_stop" => match self.tool.take() {
                Some(key) => {
                    if let Some(whole) = self.whole.take().filter(|_| !self.pieces) {
                        linear.arguments(key, &whole, false);
                    }
                    linear.tool_end(key);
                }
                None => linear.end_prose(),
            },
            "message_delta" => {
                if let Some(usage) = root.opt("usage") {
                    linear.add_usage(usage_of(usage.value));
                }
                if let Some(delta) = root.opt("delta")
                    && let Some(reason) = delta.soft_str("stop_reason")
                {
                    linear.stop(stop_of(reason), delta.soft_str("stop_sequence"));
                }
            }
            "message_stop" => linear.end(),
            "error" => {
                if let Some(error) = ApiError::of_body(&tree, 200) {
                    linear.fail(error);
                }
            }
            // Events may be added at any time; clients are told to pass over what they do not know.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, root: &Node<'_, '_>, linear: &mut Linear) -> Result<(), DialectError> {
        let block = root.need("content_block")?;
        self.tool = None;
        match block.need_str("type")? {
            "text" => linear.text(block.soft_str("text").unwrap_or_default()),
            "thinking" => {
                linear.open_thinking();
                linear.thinking(block.soft_str("thinking").unwrap_or_default());
                linear.sign(block.soft_str("signature").unwrap_or_default());
            }
            "redacted_thinking" => linear.redacted(block.need_str("data")?),
            "tool_use" => {
                let key = root.opt_u64("index")?.unwrap_or(0);
                self.tool = Some(key);
                self.pieces = false;
                self.whole = match block.opt("input").map(|input| input.value) {
                    Some(input @ Json::Object(members)) if !members.is_empty() => Some(input.to_text()),
                    _ => None,
                };
                linear.tool(key, block.need_str("id")?, block.soft_str("name").unwrap_or_default(), None);
            }
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, root: &Node<'_, '_>, linear: &mut Linear) -> Result<(), DialectError> {
        let delta = root.need("delta")?;
        match delta.need_str("type")? {
            "text_delta" => linear.text(delta.need_str("text")?),
            "thinking_delta" => linear.thinking(delta.need_str("thinking")?),
            "signature_delta" => linear.sign(delta.need_str("signature")?),
            "input_json_delta" => {
                let piece = delta.need_str("partial_json")?;
                if let Some(key) = self.tool
                    && !piece.is_empty()
                {
                    self.pieces = true;
                    linear.arguments(key, piece, false);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Redacted,
    Tool,
}

/// Writes.
#[derive(Debug)]
pub(crate) struct Encoder {
    model: String,
    request_id: String,
    prompt_estimate: Option<u64>,
    index: u64,
    open: Block,
}

fn event(writer: &mut Writer, name: &str, fill: impl FnOnce(&mut Writer)) {
    writer.bytes(b"event: ");
    writer.bytes(name.as_bytes());
    writer.bytes(b"\ndata: ");
    writer.object(|w| {
        w.str_at("type", name);
        fill(w);
    });
    writer.bytes(b"\n\n");
}

impl Encoder {
    pub(crate) fn new(caller: &Caller) -> Self {
        Self {
            model: caller.model.clone(),
            request_id: caller.request_id.clone(),
            prompt_estimate: caller.prompt_estimate,
            index: 0,
            open: Block::Text,
        }
    }

    pub(crate) fn write(&mut self, step: &Event<'_>, writer: &mut Writer) {
        match step {
            Event::Start { id, model, usage } => self.start(*id, *model, usage, writer),
            Event::Open(open) => self.open(open, writer),
            Event::Delta(text) => {
                let (sort, key) = match self.open {
                    Block::Text => ("text_delta", "text"),
                    Block::Thinking => ("thinking_delta", "thinking"),
                    Block::Tool => ("input_json_delta", "partial_json"),
                    Block::Redacted => return,
                };
                self.delta(sort, key, text, writer);
            }
            Event::Close(signature) => {
                if self.open == Block::Thinking
                    && let Some(signature) = signature
                {
                    self.delta("signature_delta", "signature", &signature.written(Dialect::Anthropic), writer);
                }
                event(writer, "content_block_stop", |w| w.u64_at("index", self.index));
                self.index += 1;
            }
            Event::Finish { stop, stop_sequence, usage } => {
                event(writer, "message_delta", |w| {
                    w.object_at("delta", |w| {
                        w.str_at("stop_reason", stop_word(*stop));
                        match stop_sequence {
                            Some(sequence) => w.str_at("stop_sequence", sequence),
                            None => w.null_at("stop_sequence"),
                        }
                    });
                    write_usage(w, usage);
                });
                event(writer, "message_stop", |_| ());
            }
            Event::Error(error) => {
                writer.bytes(b"event: error\ndata: ");
                error.write(Dialect::Anthropic, writer);
                writer.bytes(b"\n\n");
            }
        }
    }

    fn start(&self, id: Option<&str>, model: Option<&str>, usage: &Usage, writer: &mut Writer) {
        // Claude Code takes 0 for the size of its context, and never compacts it.
        let usage = if usage.prompt().is_none() { Usage { input: self.prompt_estimate, ..*usage } } else { *usage };
        event(writer, "message_start", |w| {
            w.object_at("message", |w| {
                w.str_at("id", &message_id(id, &self.request_id));
                w.str_at("type", "message");
                w.str_at("role", "assistant");
                w.str_at("model", model.unwrap_or(&self.model));
                w.array_at("content", |_| ());
                w.null_at("stop_reason");
                w.null_at("stop_sequence");
                write_usage(w, &usage);
            });
        });
    }

    fn open(&mut self, open: &Open<'_>, writer: &mut Writer) {
        event(writer, "content_block_start", |w| {
            w.u64_at("index", self.index);
            w.object_at("content_block", |w| match open {
                Open::Text => {
                    w.str_at("type", "text");
                    w.str_at("text", "");
                }
                Open::Thinking => {
                    w.str_at("type", "thinking");
                    w.str_at("thinking", "");
                    w.str_at("signature", "");
                }
                Open::Redacted(signature) => {
                    w.str_at("type", "redacted_thinking");
                    w.str_at("data", &signature.written(Dialect::Anthropic));
                }
                Open::Tool { id, name, signature } => {
                    w.str_at("type", "tool_use");
                    w.str_at("id", &tool_id::with_signature(id, *signature));
                    w.str_at("name", name);
                    w.object_at("input", |_| ());
                }
            });
        });
        self.open = match open {
            Open::Text => Block::Text,
            Open::Thinking => Block::Thinking,
            Open::Redacted(_) => Block::Redacted,
            Open::Tool { .. } => Block::Tool,
        };
    }

    fn delta(&self, sort: &str, key: &str, text: &str, writer: &mut Writer) {
        event(writer, "content_block_delta", |w| {
            w.u64_at("index", self.index);
            w.object_at("delta", |w| {
                w.str_at("type", sort);
                w.str_at(key, text);
            });
        });
    }
}
