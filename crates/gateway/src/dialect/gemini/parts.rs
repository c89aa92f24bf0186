//! Parts of a content.

use std::borrow::Cow;

use super::either;
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::model::{Arguments, Block, Media, ToolCall, ToolResult};
use crate::dialect::signature::Signature;
use crate::dialect::tool_id::Matcher;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError, tool_id};

/// Adds what a part holds. Pieces of one thought belong together, and so does a signature that follows it.
pub(super) fn read<'t>(
    part: &Node<'_, 't>,
    matcher: &mut Matcher,
    blocks: &mut Vec<Block<'t>>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let signature = match either(part, "thoughtSignature", "thought_signature") {
        Some(signature) => Some(signature.str()?),
        None => None,
    };
    if let Some(text) = part.opt_text("text")? {
        if part.opt_bool("thought")? == Some(true) {
            read_thought(text, signature, blocks);
        } else {
            match (signature, blocks.last_mut()) {
                (Some(signature), Some(Block::Thinking { signature: unsigned @ None, .. })) => {
                    *unsigned = Some(Signature::read(Dialect::Gemini, signature));
                }
                (Some(_), _) => {
                    losses.note("thoughtSignature", "a signature of a text has no place elsewhere: it is left out")
                }
                (None, _) => {}
            }
            if !text.is_empty() {
                blocks.push(Block::Text { text, cache: None });
            }
        }
    } else if let Some(data) = either(part, "inlineData", "inline_data") {
        let media_type = match either(&data, "mimeType", "mime_type") {
            Some(media_type) => media_type.text()?,
            None => return Err(data.error("`mimeType` is missing")),
        };
        let is_image = media_type.starts_with("image/");
        let source = Media::Base64 { media_type, data: data.need_text("data")? };
        blocks.push(if is_image {
            Block::Image { source, cache: None }
        } else {
            Block::Document { source, name: None, cache: None }
        });
    } else if let Some(file) = either(part, "fileData", "file_data") {
        let Some(uri) = either(&file, "fileUri", "file_uri") else { return Err(file.error("`fileUri` is missing")) };
        let address = uri.text()?;
        if !address.starts_with("http") || address.contains("generativelanguage.googleapis.com") {
            return Err(uri.error("a file that was uploaded is known to its provider alone; send it as `inlineData`"));
        }
        blocks.push(Block::Image { source: Media::Url(address), cache: None });
    } else if let Some(call) = either(part, "functionCall", "function_call") {
        let name = call.need_text("name")?;
        let own = call.opt_str("id")?.map(tool_id::split);
        let id = matcher.call(own.as_ref().map(|(id, _)| *id), &name);
        let arguments = match call.opt("args") {
            Some(args) => Arguments::Json(args.value),
            None => Arguments::Text(Cow::Borrowed("{}")),
        };
        let signature = signature.filter(|signature| *signature != UNSIGNED).map(Cow::Borrowed);
        blocks.push(Block::ToolCall(ToolCall { id: Cow::Owned(id), name, arguments, signature, cache: None }));
    } else if let Some(response) = either(part, "functionResponse", "function_response") {
        blocks.push(read_result(&response, matcher)?);
    } else if let Some(signature) = signature {
        if let Some(Block::Thinking { signature: unsigned @ None, .. }) = blocks.last_mut() {
            *unsigned = Some(Signature::read(Dialect::Gemini, signature));
        }
    } else {
        losses.note(part.path(), "other dialects have no part of this type: it is left out");
    }
    Ok(())
}

fn read_thought<'t>(text: Cow<'t, str>, signature: Option<&'t str>, blocks: &mut Vec<Block<'t>>) {
    let signature = signature.map(|signature| Signature::read(Dialect::Gemini, signature));
    match (blocks.last_mut(), signature) {
        (Some(Block::Thinking { text: open, signature: unsigned @ None }), signature) => {
            open.to_mut().push_str(&text);
            *unsigned = signature;
        }
        (_, Some(signature))
            if text.is_empty() && matches!(signature.origin, Dialect::Anthropic | Dialect::Responses) =>
        {
            blocks.push(Block::Redacted(signature));
        }
        (_, signature) => blocks.push(Block::Thinking { text, signature }),
    }
}

/// Says of a call that no Gemini model made it, so none could sign it.
pub(super) const UNSIGNED: &str = "skip_thought_signature_validator";

fn read_result<'t>(response: &Node<'_, 't>, matcher: &mut Matcher) -> Result<Block<'t>, DialectError> {
    let name = response.need_text("name")?;
    let own = response.opt_str("id")?.map(|id| tool_id::split(id).0);
    let Some(id) = matcher.result(own, Some(&name)) else {
        return Err(response.error(format!("no call of `{name}` before it waits for a result")));
    };
    let given = response.opt("response");
    let member = |key: &str| given.as_ref().and_then(|given| given.soft_str(key));
    let is_single =
        matches!(given.as_ref().map(|given| given.value), Some(Json::Object(members)) if members.len() == 1);
    let (text, is_error) = match (member("output").or_else(|| member("result")), member("error")) {
        (Some(text), _) if is_single => (Cow::Borrowed(text), false),
        (_, Some(text)) if is_single => (Cow::Borrowed(text), true),
        _ => (Cow::Owned(given.map(|given| given.value.to_text()).unwrap_or_default()), false),
    };
    Ok(Block::ToolResult(ToolResult {
        id: Cow::Owned(id),
        name: Some(name),
        content: vec![Block::Text { text, cache: None }],
        is_error,
        custom: false,
        cache: None,
    }))
}

pub(super) fn text(writer: &mut Writer, text: &str) {
    writer.object(|w| w.str_at("text", text));
}

pub(super) fn media(writer: &mut Writer, source: &Media<'_>, fallback: &str) {
    writer.object(|w| match source {
        Media::Base64 { media_type, data } => w.object_at("inlineData", |w| {
            w.str_at("mimeType", media_type);
            w.str_at("data", data);
        }),
        Media::Url(address) => w.object_at("fileData", |w| {
            w.str_at("mimeType", fallback);
            w.str_at("fileUri", address);
        }),
    });
}

/// A thought; its signature is marked where another provider made it.
pub(super) fn thought(writer: &mut Writer, text: &str, signature: Option<&Signature<'_>>) {
    writer.object(|w| {
        w.str_at("text", text);
        w.bool_at("thought", true);
        if let Some(signature) = signature {
            w.str_at("thoughtSignature", &signature.written(Dialect::Gemini));
        }
    });
}

/// A call. `args` is the text of an object; `id` is for callers alone.
pub(super) fn call(writer: &mut Writer, id: Option<&str>, name: &str, args: &str, signature: Option<&str>) {
    writer.object(|w| {
        w.object_at("functionCall", |w| {
            w.opt_str_at("id", id);
            w.str_at("name", name);
            w.raw_at("args", args);
        });
        w.opt_str_at("thoughtSignature", signature);
    });
}
