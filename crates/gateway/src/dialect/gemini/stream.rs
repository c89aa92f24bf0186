//! A streamed answer of Gemini, read and written. Gemini has no pieces of arguments: a call waits for the whole of them.

use std::borrow::Cow;

use super::{either, is_blocked, parts, stop_of, stop_word, usage_of, write_usage};
use crate::dialect::DialectError;
use crate::dialect::error::ApiError;
use crate::dialect::event::{Event, Open};
use crate::dialect::json;
use crate::dialect::linear::Linear;
use crate::dialect::loss::Losses;
use crate::dialect::model::Arguments;
use crate::dialect::reply::Stop;
use crate::dialect::sse::Frame;
use crate::dialect::translate::Caller;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, Usage};

/// Reads.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    finished: bool,
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
        if let Some(usage) = root.opt("usageMetadata") {
            linear.add_usage(usage_of(usage.value));
        }
        linear.start(root.soft_str("responseId"), root.soft_str("modelVersion"));
        if is_blocked(&root) {
            self.finished = true;
            linear.stop(Stop::Filter, None);
        }
        let Some(candidates) = root.opt("candidates") else { return Ok(()) };
        let Some(candidate) = candidates.items()?.next() else { return Ok(()) };
        if let Some(content) = candidate.opt("content")
            && let Some(parts) = content.opt("parts")
        {
            for part in parts.items()? {
                self.part(&part, linear)?;
            }
        }
        if let Some(reason) = candidate.soft_str("finishReason") {
            self.finished = true;
            linear.stop(stop_of(reason), None);
        }
        Ok(())
    }

    fn part(&mut self, part: &Node<'_, '_>, linear: &mut Linear) -> Result<(), DialectError> {
        let signature = either(part, "thoughtSignature", "thought_signature").map(|node| node.str()).transpose()?;
        if let Some(call) = part.opt("functionCall") {
            let key = self.calls;
            self.calls += 1;
            linear.tool(key, call.soft_str("id").unwrap_or_default(), call.need_str("name")?, signature);
            let args = call.opt("args").map_or_else(|| "{}".to_owned(), |args| args.value.to_text());
            linear.arguments(key, &args, false);
            linear.tool_end(key);
            return Ok(());
        }
        let thought = part.opt_bool("thought")? == Some(true);
        let text = part.soft_str("text").unwrap_or_default();
        if thought {
            linear.thinking(text);
        }
        if let Some(signature) = signature {
            // It belongs to the reasoning before it; without one it has no place elsewhere.
            linear.sign(signature);
            if thought {
                linear.end_prose();
            }
        }
        if !thought {
            linear.text(text);
        }
        Ok(())
    }

    pub(crate) const fn is_complete(&self) -> bool {
        self.finished
    }
}

#[derive(Debug)]
enum Block {
    Nothing,
    Text,
    Thinking,
    Tool { id: String, name: String, signature: Option<String>, held: String },
}

/// Writes.
#[derive(Debug)]
pub(crate) struct Encoder {
    model: String,
    id: String,
    array: bool,
    first: bool,
    open: Block,
    pub(crate) losses: Losses,
}

impl Encoder {
    pub(crate) fn new(caller: &Caller) -> Self {
        Self {
            model: caller.model.clone(),
            id: caller.request_id.clone(),
            array: caller.array,
            first: true,
            open: Block::Nothing,
            losses: Losses::default(),
        }
    }

    fn frame(&mut self, writer: &mut Writer, fill: impl FnOnce(&mut Writer)) {
        let first = std::mem::replace(&mut self.first, false);
        writer.bytes(match (self.array, first) {
            (false, _) => b"data: ",
            (true, true) => b"[",
            // The space keeps the writer from adding a comma of its own.
            (true, false) => b", ",
        });
        fill(writer);
        writer.bytes(if self.array { b"\n" } else { b"\n\n" });
    }

    fn chunk(&mut self, writer: &mut Writer, end: Option<(Stop, &Usage)>, fill: impl FnOnce(&mut Writer)) {
        let (model, id) = (std::mem::take(&mut self.model), std::mem::take(&mut self.id));
        self.frame(writer, |w| {
            w.object(|w| {
                w.array_at("candidates", |w| {
                    w.object(|w| {
                        w.object_at("content", |w| {
                            w.array_at("parts", fill);
                            w.str_at("role", "model");
                        });
                        if let Some((stop, _)) = end {
                            w.str_at("finishReason", stop_word(stop));
                        }
                        w.u64_at("index", 0);
                    });
                });
                if let Some((_, usage)) = end {
                    write_usage(w, usage);
                }
                w.str_at("modelVersion", &model);
                w.str_at("responseId", &id);
            });
        });
        (self.model, self.id) = (model, id);
    }

    pub(crate) fn write(&mut self, step: &Event<'_>, writer: &mut Writer) {
        match step {
            // Nothing is said before there is something to say.
            Event::Start { id, model, .. } => {
                if let Some(id) = id {
                    (*id).clone_into(&mut self.id);
                }
                if let Some(model) = model {
                    (*model).clone_into(&mut self.model);
                }
            }
            Event::Open(open) => self.open(open, writer),
            Event::Delta(text) => match &mut self.open {
                Block::Text => self.chunk(writer, None, |w| parts::text(w, text)),
                Block::Thinking => self.chunk(writer, None, |w| parts::thought(w, text, None)),
                Block::Tool { held, .. } => held.push_str(text),
                Block::Nothing => {}
            },
            Event::Close(signature) => match std::mem::replace(&mut self.open, Block::Nothing) {
                Block::Thinking => {
                    if let Some(signature) = signature
                        .as_ref()
                        .filter(|signature| signature.origin != Dialect::Gemini || !signature.value.is_empty())
                    {
                        self.chunk(writer, None, |w| parts::thought(w, "", Some(signature)));
                    }
                }
                Block::Tool { id, name, signature, held } => {
                    let arguments = Arguments::Text(Cow::Owned(held));
                    let (args, is_object) = arguments.object_text();
                    if !is_object {
                        self.losses
                            .note(format!("arguments of {id}"), "they are no JSON object and are sent inside one");
                    }
                    self.chunk(writer, None, |w| parts::call(w, Some(&id), &name, &args, signature.as_deref()));
                }
                Block::Text | Block::Nothing => {}
            },
            Event::Finish { stop, usage, .. } => {
                self.chunk(writer, Some((*stop, usage)), |w| parts::text(w, ""));
                if self.array {
                    writer.bytes(b"]");
                }
            }
            Event::Error(error) => {
                self.frame(writer, |w| error.write(Dialect::Gemini, w));
                if self.array {
                    writer.bytes(b"]");
                }
            }
        }
    }

    fn open(&mut self, open: &Open<'_>, writer: &mut Writer) {
        self.open = match open {
            Open::Text => Block::Text,
            Open::Thinking => Block::Thinking,
            Open::Redacted(signature) => {
                self.chunk(writer, None, |w| parts::thought(w, "", Some(signature)));
                Block::Nothing
            }
            Open::Tool { id, name, signature } => Block::Tool {
                id: (*id).to_owned(),
                name: (*name).to_owned(),
                signature: signature.map(str::to_owned),
                held: String::new(),
            },
        };
    }
}
