//! A streamed answer of Ollama, read and written. A call waits for the whole of its arguments.

use std::borrow::Cow;

use super::{created_at, messages, stop_of, usage_of, write_end};
use crate::dialect::error::ApiError;
use crate::dialect::event::{Event, Open};
use crate::dialect::json;
use crate::dialect::linear::Linear;
use crate::dialect::loss::Losses;
use crate::dialect::model::Arguments;
use crate::dialect::sse::Frame;
use crate::dialect::translate::Caller;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError, tool_id};

/// Reads.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    calls: u64,
}

impl Decoder {
    pub(crate) fn read(&mut self, frame: Frame<'_>, linear: &mut Linear) -> Result<(), DialectError> {
        let tree = json::parse(frame.data)?;
        if let Some(error) = ApiError::of_body(&tree, 200) {
            linear.fail(error);
            return Ok(());
        }
        let root = Node::root(&tree);
        linear.start(None, root.soft_str("model"));
        let message = root.opt("message");
        let piece = message.as_ref().unwrap_or(&root);
        linear.thinking(piece.soft_str("thinking").unwrap_or_default());
        linear.text(piece.soft_str("content").or_else(|| piece.soft_str("response")).unwrap_or_default());
        if let Some(calls) = piece.opt("tool_calls") {
            for call in calls.items()? {
                let key = self.calls;
                self.calls += 1;
                let function = call.need("function")?;
                linear.tool(key, call.soft_str("id").unwrap_or_default(), function.need_str("name")?, None);
                let arguments = function.opt("arguments").map_or_else(
                    || "{}".to_owned(),
                    |node| node.value.as_str().map_or_else(|| node.value.to_text(), str::to_owned),
                );
                linear.arguments(key, &arguments, false);
                linear.tool_end(key);
            }
        }
        if root.opt_bool("done")? == Some(true) {
            linear.add_usage(usage_of(&tree));
            linear.stop(root.soft_str("done_reason").map(stop_of).unwrap_or_default(), None);
            linear.end();
        }
        Ok(())
    }
}

#[derive(Debug)]
enum Block {
    Nothing,
    Text,
    Thinking,
    Tool { id: String, name: String, held: String },
}

/// Writes.
#[derive(Debug)]
pub(crate) struct Encoder {
    model: String,
    created_at: String,
    generate: bool,
    open: Block,
    pub(crate) losses: Losses,
}

impl Encoder {
    pub(crate) fn new(caller: &Caller) -> Self {
        Self {
            model: caller.model.clone(),
            created_at: created_at(caller.created),
            generate: caller.generate,
            open: Block::Nothing,
            losses: Losses::default(),
        }
    }

    fn line(&self, writer: &mut Writer, fill: impl FnOnce(&mut Writer)) {
        writer.object(|w| {
            w.str_at("model", &self.model);
            w.str_at("created_at", &self.created_at);
            fill(w);
        });
        writer.bytes(b"\n");
    }

    fn piece(&self, writer: &mut Writer, content: &str, thinking: Option<&str>) {
        self.line(writer, |w| {
            if self.generate {
                w.str_at("response", content);
                w.opt_str_at("thinking", thinking);
            } else {
                w.object_at("message", |w| {
                    w.str_at("role", "assistant");
                    w.str_at("content", content);
                    w.opt_str_at("thinking", thinking);
                });
            }
            w.bool_at("done", false);
        });
    }

    pub(crate) fn write(&mut self, step: &Event<'_>, writer: &mut Writer) {
        match step {
            Event::Start { model, .. } => {
                if let Some(model) = model {
                    (*model).clone_into(&mut self.model);
                }
            }
            Event::Open(open) => {
                self.open = match open {
                    Open::Text => Block::Text,
                    Open::Thinking => Block::Thinking,
                    Open::Redacted(_) => {
                        self.losses.note("redacted_thinking", "Ollama has no such reasoning: it is left out");
                        Block::Nothing
                    }
                    Open::Tool { id, name, signature } => Block::Tool {
                        id: tool_id::with_signature(id, *signature).into_owned(),
                        name: (*name).to_owned(),
                        held: String::new(),
                    },
                };
            }
            Event::Delta(text) => match &mut self.open {
                Block::Text => self.piece(writer, text, None),
                Block::Thinking => self.piece(writer, "", Some(text)),
                Block::Tool { held, .. } => held.push_str(text),
                Block::Nothing => {}
            },
            Event::Close(signature) => {
                if signature.as_ref().is_some_and(|signature| !signature.value.is_empty()) {
                    self.losses.note("signature", "Ollama has no signatures of reasoning: it is left out");
                }
                if let Block::Tool { id, name, held } = std::mem::replace(&mut self.open, Block::Nothing) {
                    let arguments = Arguments::Text(Cow::Owned(held));
                    self.line(writer, |w| {
                        w.object_at("message", |w| {
                            w.str_at("role", "assistant");
                            w.str_at("content", "");
                            w.array_at("tool_calls", |w| messages::write_call(w, Some(&id), &name, &arguments));
                        });
                        w.bool_at("done", false);
                    });
                }
            }
            Event::Finish { stop, usage, .. } => self.line(writer, |w| {
                if self.generate {
                    w.str_at("response", "");
                } else {
                    w.object_at("message", |w| {
                        w.str_at("role", "assistant");
                        w.str_at("content", "");
                    });
                }
                write_end(w, *stop, usage);
            }),
            Event::Error(error) => {
                error.write(Dialect::Ollama, writer);
                writer.bytes(b"\n");
            }
        }
    }
}
