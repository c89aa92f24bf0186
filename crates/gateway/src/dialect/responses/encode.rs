//! A streamed answer, written for a caller who speaks responses.

use super::output::{self, Call};
use super::{Envelope, incomplete, response_id};
use crate::dialect::error::ApiError;
use crate::dialect::event::{Event, Open};
use crate::dialect::model::unwrapped;
use crate::dialect::reply::Stop;
use crate::dialect::signature::Signature;
use crate::dialect::translate::Caller;
use crate::dialect::write::Writer;
use crate::dialect::{Usage, tool_id};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Redacted,
    Function,
    Custom,
}

/// Writes.
#[derive(Debug)]
pub(crate) struct Encoder {
    caller_model: String,
    request_id: String,
    created: u64,
    custom_tools: Vec<String>,
    id: String,
    model: String,
    sequence: u64,
    index: u64,
    /// Items that are done: the last event repeats them.
    output: Writer,
    open: Block,
    /// Text or arguments of the open item.
    text: String,
    item_id: String,
    call_id: String,
    name: String,
}

impl Encoder {
    pub(crate) fn new(caller: &Caller) -> Self {
        Self {
            caller_model: caller.model.clone(),
            request_id: caller.request_id.clone(),
            created: caller.created,
            custom_tools: caller.custom_tools.clone(),
            id: String::new(),
            model: String::new(),
            sequence: 0,
            index: 0,
            output: Writer::default(),
            open: Block::Text,
            text: String::new(),
            item_id: String::new(),
            call_id: String::new(),
            name: String::new(),
        }
    }

    /// Goes on with an answer of which so many events passed.
    pub(crate) fn after(&mut self, name: Option<&str>, events: u64) {
        self.id = name.unwrap_or_default().to_owned();
        self.sequence = events;
    }

    fn event(&mut self, writer: &mut Writer, name: &str, fill: impl FnOnce(&mut Writer, &Self)) {
        writer.bytes(b"event: ");
        writer.bytes(name.as_bytes());
        writer.bytes(b"\ndata: ");
        writer.object(|w| {
            w.str_at("type", name);
            w.u64_at("sequence_number", self.sequence);
            fill(w, self);
        });
        writer.bytes(b"\n\n");
        self.sequence += 1;
    }

    pub(crate) fn write(&mut self, step: &Event<'_>, writer: &mut Writer) {
        match step {
            Event::Start { id, model, .. } => {
                self.id = response_id(*id, &self.request_id);
                self.model = model.unwrap_or(&self.caller_model).to_owned();
                for name in ["response.created", "response.in_progress"] {
                    self.event(writer, name, |w, this| this.response(w, "in_progress", None, None));
                }
            }
            Event::Open(open) => self.open(open, writer),
            Event::Delta(text) => self.delta(text, writer),
            Event::Close(signature) => self.close(signature.as_ref(), writer),
            Event::Finish { stop, usage, .. } => self.finish(*stop, usage, writer),
            Event::Error(error) => self.fail(error, writer),
        }
    }

    fn response(&self, writer: &mut Writer, status: &str, incomplete: Option<&str>, usage: Option<&Usage>) {
        writer.object_at("response", |w| {
            Envelope {
                id: &self.id,
                created: self.created,
                model: &self.model,
                status,
                incomplete,
                output: if usage.is_some() { self.output.as_bytes() } else { &[] },
                usage,
            }
            .write(w);
        });
    }

    fn open(&mut self, open: &Open<'_>, writer: &mut Writer) {
        self.text.clear();
        let prefix;
        (self.open, prefix) = match open {
            Open::Text => (Block::Text, "msg"),
            Open::Thinking => (Block::Thinking, "rs"),
            Open::Redacted(_) => (Block::Redacted, "rs"),
            Open::Tool { name, .. } if self.custom_tools.iter().any(|known| known == name) => (Block::Custom, "ctc"),
            Open::Tool { .. } => (Block::Function, "fc"),
        };
        self.item_id = format!("{prefix}_{}_{}", self.id.trim_start_matches("resp_"), self.index);
        if let Open::Tool { id, name, signature } = open {
            self.call_id = tool_id::with_signature(id, *signature).into_owned();
            (*name).clone_into(&mut self.name);
        }
        let signature = if let Open::Redacted(signature) = open { Some(signature) } else { None };
        self.event(writer, "response.output_item.added", |w, this| {
            w.u64_at("output_index", this.index);
            w.key("item");
            this.item(w, false, signature);
        });
        match self.open {
            Block::Text => self.event(writer, "response.content_part.added", |w, this| {
                this.place(w, "content_index");
                w.key("part");
                output::text_part(w, "");
            }),
            Block::Thinking => self.event(writer, "response.reasoning_summary_part.added", |w, this| {
                this.place(w, "summary_index");
                w.key("part");
                output::summary_part(w, "");
            }),
            Block::Redacted => self.done(signature, writer),
            Block::Function | Block::Custom => {}
        }
    }

    /// Where an event belongs.
    fn place(&self, writer: &mut Writer, part: &str) {
        writer.str_at("item_id", &self.item_id);
        writer.u64_at("output_index", self.index);
        if !part.is_empty() {
            writer.u64_at(part, 0);
        }
    }

    fn item(&self, writer: &mut Writer, done: bool, signature: Option<&Signature<'_>>) {
        let status = if done { "completed" } else { "in_progress" };
        let text = done.then_some(self.text.as_str());
        match self.open {
            Block::Text => output::message(writer, &self.item_id, status, text),
            Block::Thinking => output::reasoning(writer, &self.item_id, text, signature),
            Block::Redacted => output::reasoning(writer, &self.item_id, None, signature),
            Block::Function | Block::Custom => output::call(
                writer,
                &Call {
                    id: &self.item_id,
                    call_id: &self.call_id,
                    name: &self.name,
                    status,
                    custom: self.open == Block::Custom,
                    input: text.unwrap_or_default(),
                },
            ),
        }
    }

    fn delta(&mut self, text: &str, writer: &mut Writer) {
        self.text.push_str(text);
        let (name, part) = match self.open {
            Block::Text => ("response.output_text.delta", "content_index"),
            Block::Thinking => ("response.reasoning_summary_text.delta", "summary_index"),
            Block::Function => ("response.function_call_arguments.delta", ""),
            // The object around the text is waited for.
            Block::Custom | Block::Redacted => return,
        };
        self.event(writer, name, |w, this| {
            this.place(w, part);
            w.str_at("delta", text);
            if this.open == Block::Text {
                w.array_at("logprobs", |_| ());
            }
        });
    }

    fn close(&mut self, signature: Option<&Signature<'_>>, writer: &mut Writer) {
        match self.open {
            Block::Text => {
                self.event(writer, "response.output_text.done", |w, this| {
                    this.place(w, "content_index");
                    w.str_at("text", &this.text);
                    w.array_at("logprobs", |_| ());
                });
                self.event(writer, "response.content_part.done", |w, this| {
                    this.place(w, "content_index");
                    w.key("part");
                    output::text_part(w, &this.text);
                });
            }
            Block::Thinking => {
                self.event(writer, "response.reasoning_summary_text.done", |w, this| {
                    this.place(w, "summary_index");
                    w.str_at("text", &this.text);
                });
                self.event(writer, "response.reasoning_summary_part.done", |w, this| {
                    this.place(w, "summary_index");
                    w.key("part");
                    output::summary_part(w, &this.text);
                });
            }
            Block::Function => {
                if self.text.is_empty() {
                    self.delta("{}", writer);
                }
                self.event(writer, "response.function_call_arguments.done", |w, this| {
                    this.place(w, "");
                    w.str_at("name", &this.name);
                    w.str_at("arguments", &this.text);
                });
            }
            Block::Custom => {
                if let Some(input) = unwrapped(&self.text) {
                    self.text = input;
                }
                for (name, key) in [
                    ("response.custom_tool_call_input.delta", "delta"),
                    ("response.custom_tool_call_input.done", "input"),
                ] {
                    self.event(writer, name, |w, this| {
                        this.place(w, "");
                        w.str_at(key, &this.text);
                    });
                }
            }
            // It was done when it was opened.
            Block::Redacted => return,
        }
        self.done(signature, writer);
    }

    fn done(&mut self, signature: Option<&Signature<'_>>, writer: &mut Writer) {
        let mut items = std::mem::take(&mut self.output);
        self.item(&mut items, true, signature);
        self.output = items;
        self.event(writer, "response.output_item.done", |w, this| {
            w.u64_at("output_index", this.index);
            w.key("item");
            this.item(w, true, signature);
        });
        self.index += 1;
    }

    fn finish(&mut self, stop: Stop, usage: &Usage, writer: &mut Writer) {
        let incomplete = incomplete(stop);
        let (name, status) = match incomplete {
            Some(_) => ("response.incomplete", "incomplete"),
            None => ("response.completed", "completed"),
        };
        self.event(writer, name, |w, this| this.response(w, status, incomplete, Some(usage)));
    }

    fn fail(&mut self, error: &ApiError, writer: &mut Writer) {
        if self.id.is_empty() {
            self.id = response_id(None, &self.request_id);
        }
        self.event(writer, "response.failed", |w, this| {
            w.object_at("response", |w| {
                w.str_at("id", &this.id);
                w.str_at("object", "response");
                w.u64_at("created_at", this.created);
                w.str_at("status", "failed");
                w.object_at("error", |w| {
                    w.str_at("code", error.code.as_deref().unwrap_or(error.kind.openai_code()));
                    w.str_at("message", &error.message);
                });
                w.str_at("model", if this.model.is_empty() { &this.caller_model } else { &this.model });
                w.array_at("output", |_| ());
                w.null_at("usage");
            });
        });
    }
}
