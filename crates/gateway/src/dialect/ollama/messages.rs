//! Messages, read and written.

use std::borrow::Cow;

use crate::dialect::DialectError;
use crate::dialect::loss::Losses;
use crate::dialect::model::{Arguments, Block, Media, Message, Request, Role, ToolCall, ToolResult, tool_of_call};
use crate::dialect::signature::Signature;
use crate::dialect::tool_id::Matcher;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, tool_id};

/// Texts, images, thoughts and calls of a message.
pub(super) fn read<'t>(message: &Node<'_, 't>, matcher: &mut Matcher) -> Result<Vec<Block<'t>>, DialectError> {
    let mut blocks = Vec::new();
    if let Some(text) = message.opt_text("thinking")?.filter(|text| !text.is_empty()) {
        let signature = Some(Signature { origin: Dialect::Ollama, value: Cow::Borrowed("") });
        blocks.push(Block::Thinking { text, signature });
    }
    if let Some(text) = message.opt_text("content")?.filter(|text| !text.is_empty()) {
        blocks.push(Block::Text { text, cache: None });
    }
    if let Some(images) = message.opt("images") {
        for image in images.items()? {
            blocks.push(read_image(&image)?);
        }
    }
    if let Some(calls) = message.opt("tool_calls") {
        for call in calls.items()? {
            let function = call.need("function")?;
            let name = function.need_text("name")?;
            let own = call.opt_str("id")?.filter(|id| !id.is_empty()).map(tool_id::split);
            let (own, signature) = own.map_or((None, None), |(id, signature)| (Some(id), signature));
            let id = matcher.call(own, &name);
            let arguments = match function.opt("arguments") {
                Some(arguments) if arguments.is_string() => Arguments::Text(arguments.text()?),
                Some(arguments) => Arguments::Json(arguments.value),
                None => Arguments::Text(Cow::Borrowed("{}")),
            };
            let signature = signature.map(Cow::Owned);
            blocks.push(Block::ToolCall(ToolCall { id: Cow::Owned(id), name, arguments, signature, cache: None }));
        }
    }
    Ok(blocks)
}

pub(super) fn read_image<'t>(image: &Node<'_, 't>) -> Result<Block<'t>, DialectError> {
    let data = image.text()?;
    // The type is seen from the first bytes, which Ollama looks at too.
    let media_type = match data.get(..4) {
        Some("/9j/") => "image/jpeg",
        Some("UklG") => "image/webp",
        Some("R0lG") => "image/gif",
        _ => "image/png",
    };
    Ok(Block::Image { source: Media::Base64 { media_type: Cow::Borrowed(media_type), data }, cache: None })
}

pub(super) fn read_result<'t>(message: &Node<'_, 't>, matcher: &mut Matcher) -> Result<Block<'t>, DialectError> {
    let name = match message.opt_text("tool_name")? {
        Some(name) => Some(name),
        None => message.opt_text("name")?,
    };
    let own = message.opt_str("tool_call_id")?.map(|id| tool_id::split(id).0);
    let Some(id) = matcher.result(own, name.as_deref()) else {
        return Err(message.error("no call before it waits for this tool's result"));
    };
    let content = message.opt_text("content")?.map(|text| vec![Block::Text { text, cache: None }]).unwrap_or_default();
    Ok(Block::ToolResult(ToolResult { id: Cow::Owned(id), name, content, is_error: false, custom: false, cache: None }))
}

pub(super) fn write(
    writer: &mut Writer,
    message: &Message<'_>,
    request: &Request<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for block in &message.content {
        if let Block::ToolResult(result) = block {
            let name = result.name.as_deref().or_else(|| tool_of_call(&request.messages, &result.id));
            if result.is_error {
                losses.note("is_error", "a result that is an error is told from others by its text alone");
            }
            write_one(writer, "tool", &result.content, name, losses)?;
        }
    }
    let rest: Vec<&Block<'_>> = message.content.iter().filter(|block| !matches!(block, Block::ToolResult(_))).collect();
    if rest.is_empty() {
        return Ok(());
    }
    let role = if message.role == Role::User { "user" } else { "assistant" };
    write_one(writer, role, rest, None, losses)
}

fn write_one<'m, 't: 'm>(
    writer: &mut Writer,
    role: &str,
    blocks: impl IntoIterator<Item = &'m Block<'t>>,
    tool: Option<&str>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let (mut content, mut thinking) = (String::new(), String::new());
    let (mut images, mut calls) = (Vec::new(), Vec::new());
    for block in blocks {
        match block {
            Block::Text { text, .. } => {
                if !content.is_empty() {
                    content.push('\n');
                }
                content.push_str(text);
            }
            Block::Image { source: Media::Base64 { data, .. }, .. } => images.push(&**data),
            Block::Image { source: Media::Url(_), .. } => {
                return Err(DialectError::impossible(
                    "image",
                    Dialect::Ollama,
                    "it fetches no addresses; send the bytes",
                ));
            }
            Block::Document { .. } => {
                return Err(DialectError::impossible("document", Dialect::Ollama, "it takes texts and images alone"));
            }
            Block::Thinking { text, signature: Some(signature) } if signature.origin == Dialect::Ollama => {
                thinking.push_str(text);
            }
            Block::Thinking { .. } | Block::Redacted(_) => {
                losses.note("thinking", "reasoning that the provider did not give itself is left out");
            }
            Block::ToolCall(call) => calls.push(call),
            Block::ToolResult(_) => {}
        }
    }
    writer.object(|w| {
        w.str_at("role", role);
        w.str_at("content", &content);
        if !thinking.is_empty() {
            w.str_at("thinking", &thinking);
        }
        if !images.is_empty() {
            w.array_at("images", |w| images.iter().for_each(|image| w.string(image)));
        }
        if !calls.is_empty() {
            w.array_at("tool_calls", |w| {
                calls.iter().for_each(|call| write_call(w, None, &call.name, &call.arguments))
            });
        }
        w.opt_str_at("tool_name", tool);
    });
    Ok(())
}

pub(super) fn write_call(writer: &mut Writer, id: Option<&str>, name: &str, arguments: &Arguments<'_>) {
    writer.object(|w| {
        w.opt_str_at("id", id);
        w.object_at("function", |w| {
            w.str_at("name", name);
            w.raw_at("arguments", &arguments.object_text().0);
        });
    });
}
