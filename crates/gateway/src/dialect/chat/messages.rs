//! Messages of the assistant and of tools, read and written: in requests and, for the assistant's, in answers.

use std::borrow::Cow;

use super::parts;
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::model::{Arguments, Block, ToolCall, ToolResult};
use crate::dialect::signature::Signature;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError, tool_id};

/// The blocks of a message of the assistant. Reasoning stands in `reasoning_content` (or `reasoning`), and its signature in
/// `reasoning_details`, as OpenRouter has it; OpenAI itself shows neither.
pub(super) fn read_assistant<'t>(message: &Node<'_, 't>, losses: &mut Losses) -> Result<Vec<Block<'t>>, DialectError> {
    let mut blocks = Vec::new();
    read_thinking(message, &mut blocks)?;
    if let Some(content) = message.opt("content") {
        let read = parts::read(&content, losses)?;
        blocks.extend(read.into_iter().filter(|block| !matches!(block, Block::Text { text, .. } if text.is_empty())));
    }
    if let Some(refusal) = message.opt_text("refusal")? {
        blocks.push(Block::Text { text: refusal, cache: None });
    }
    if let Some(calls) = message.opt("tool_calls") {
        for call in calls.items()? {
            blocks.push(Block::ToolCall(read_call(&call)?));
        }
    }
    Ok(blocks)
}

fn read_thinking<'t>(message: &Node<'_, 't>, blocks: &mut Vec<Block<'t>>) -> Result<(), DialectError> {
    let plain = match message.opt_text("reasoning_content")? {
        Some(text) => Some(text),
        None => message.opt_text("reasoning")?,
    };
    let mut text = plain.filter(|text| !text.is_empty());
    if let Some(details) = message.opt("reasoning_details") {
        for detail in details.items()? {
            match detail.soft_str("type") {
                Some("reasoning.text" | "reasoning.summary") => {
                    let own = detail.opt_text("text")?.or(detail.opt_text("summary")?);
                    let signature = detail
                        .opt_str("signature")?
                        .map_or(Signature { origin: Dialect::Chat, value: Cow::Borrowed("") }, |signature| {
                            Signature::read(Dialect::Chat, signature)
                        });
                    let shown = own.filter(|own| !own.is_empty()).or_else(|| text.take()).unwrap_or_default();
                    text = None;
                    blocks.push(Block::Thinking { text: shown, signature: Some(signature) });
                }
                Some("reasoning.encrypted") => {
                    blocks.push(Block::Redacted(Signature::read(Dialect::Chat, detail.need_str("data")?)));
                }
                _ => {}
            }
        }
    }
    if let Some(text) = text {
        blocks.insert(
            0,
            Block::Thinking { text, signature: Some(Signature { origin: Dialect::Chat, value: Cow::Borrowed("") }) },
        );
    }
    Ok(())
}

fn read_call<'t>(call: &Node<'_, 't>) -> Result<ToolCall<'t>, DialectError> {
    let (id, signature) = tool_id::split(call.soft_str("id").unwrap_or_default());
    let custom = call.opt("custom");
    let (name, arguments) = match &custom {
        Some(custom) => (custom.need_text("name")?, Arguments::Free(custom.need_text("input")?)),
        None => {
            let function = call.need("function")?;
            let arguments = match function.opt("arguments").map(|arguments| arguments.value) {
                Some(Json::String(text)) => Arguments::Text(Cow::Borrowed(text)),
                // Some compatible servers answer the object itself.
                Some(value) => Arguments::Json(value),
                None => Arguments::Text(Cow::Borrowed("{}")),
            };
            (function.need_text("name")?, arguments)
        }
    };
    Ok(ToolCall { id: Cow::Borrowed(id), name, arguments, signature: signature.map(Cow::Owned), cache: None })
}

pub(super) fn read_result<'t>(message: &Node<'_, 't>, losses: &mut Losses) -> Result<Block<'t>, DialectError> {
    let content = match message.opt("content") {
        Some(content) => parts::read(&content, losses)?,
        None => Vec::new(),
    };
    Ok(Block::ToolResult(ToolResult {
        id: Cow::Borrowed(tool_id::split(message.need_str("tool_call_id")?).0),
        name: message.opt_text("name")?,
        content,
        is_error: false,
        custom: false,
        cache: None,
    }))
}

/// What the members of an assistant's message are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// A provider, in a request: it gets only the reasoning that came from its own dialect.
    Provider,
    /// A caller, in an answer.
    Caller,
}

/// Writes the members of a message of the assistant, the role included.
pub(super) fn write_assistant(writer: &mut Writer, blocks: &[Block<'_>], reader: For, losses: &mut Losses) {
    writer.str_at("role", "assistant");
    let mut content = String::new();
    let mut has_calls = false;
    let mut thinking = String::new();
    for block in blocks {
        match block {
            Block::Text { text, .. } => content.push_str(text),
            Block::ToolCall(_) => has_calls = true,
            Block::Thinking { text, signature } => {
                let own = signature.as_ref().is_some_and(|signature| signature.origin == Dialect::Chat);
                if own || reader == For::Caller {
                    thinking.push_str(text);
                } else {
                    losses.note("thinking", "reasoning that did not come from a provider of this dialect is left out");
                }
            }
            Block::Redacted(signature) if signature.origin != Dialect::Chat && reader == For::Provider => {
                losses.note("thinking", "reasoning that did not come from a provider of this dialect is left out");
            }
            Block::Redacted(_) => {}
            Block::Image { .. } | Block::Document { .. } | Block::ToolResult(_) => {
                losses.note("image of the assistant", "a message of the assistant holds text alone: it is left out");
            }
        }
    }
    if content.is_empty() && (has_calls || reader == For::Caller) {
        writer.null_at("content");
    } else {
        writer.str_at("content", &content);
    }
    if !thinking.is_empty() {
        writer.str_at("reasoning_content", &thinking);
    }
    write_details(writer, blocks, reader);
    if has_calls {
        writer.array_at("tool_calls", |w| {
            for block in blocks {
                if let Block::ToolCall(call) = block {
                    w.object(|w| write_call(w, call, reader));
                }
            }
        });
    }
}

fn write_call(writer: &mut Writer, call: &ToolCall<'_>, reader: For) {
    let signature = call.signature.as_deref().filter(|_| reader == For::Caller);
    writer.str_at("id", &tool_id::with_signature(&call.id, signature));
    match &call.arguments {
        Arguments::Free(input) if reader == For::Caller => {
            writer.str_at("type", "custom");
            writer.object_at("custom", |w| {
                w.str_at("name", &call.name);
                w.str_at("input", input);
            });
        }
        arguments => {
            writer.str_at("type", "function");
            writer.object_at("function", |w| {
                w.str_at("name", &call.name);
                w.str_at("arguments", &arguments.string_text());
            });
        }
    }
}

/// Signatures of reasoning: for a caller of whatever origin, for a provider its own.
fn write_details(writer: &mut Writer, blocks: &[Block<'_>], reader: For) {
    let goes = |signature: &Signature<'_>| match reader {
        For::Caller => signature.origin != Dialect::Chat || !signature.value.is_empty(),
        For::Provider => signature.origin == Dialect::Chat && !signature.value.is_empty(),
    };
    let signed: Vec<(Option<&str>, &Signature<'_>)> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::Thinking { text, signature: Some(signature) } => Some((Some(&**text), signature)),
            Block::Redacted(signature) => Some((None, signature)),
            _ => None,
        })
        .filter(|(_, signature)| goes(signature))
        .collect();
    if signed.is_empty() {
        return;
    }
    writer.array_at("reasoning_details", |w| {
        for (text, signature) in signed {
            w.object(|w| write_detail(w, text, signature));
        }
    });
}

/// One element of `reasoning_details`: reasoning with its signature, or what only its provider can read.
pub(super) fn write_detail(writer: &mut Writer, text: Option<&str>, signature: &Signature<'_>) {
    match text {
        Some(text) => {
            writer.str_at("type", "reasoning.text");
            writer.str_at("text", text);
            writer.str_at("signature", &signature.written(Dialect::Chat));
        }
        None => {
            writer.str_at("type", "reasoning.encrypted");
            writer.str_at("data", &signature.written(Dialect::Chat));
        }
    }
}
