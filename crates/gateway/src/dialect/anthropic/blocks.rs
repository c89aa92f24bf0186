//! Blocks of content, in requests and in answers.

use std::borrow::Cow;

use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::model::{Arguments, Block, Cache, Media, ToolCall, ToolResult};
use crate::dialect::signature::Signature;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError, tool_id};

pub(super) fn cache(node: &Node<'_, '_>) -> Option<Cache> {
    let control = node.opt("cache_control")?;
    Some(if control.soft_str("ttl") == Some("1h") { Cache::OneHour } else { Cache::FiveMinutes })
}

pub(super) fn write_cache(writer: &mut Writer, cache: Option<Cache>) {
    if let Some(cache) = cache {
        writer.object_at("cache_control", |w| {
            w.str_at("type", "ephemeral");
            if cache == Cache::OneHour {
                w.str_at("ttl", "1h");
            }
        });
    }
}

/// A block; `None` where it is left out, which is noted.
pub(super) fn read<'t>(node: &Node<'_, 't>, losses: &mut Losses) -> Result<Option<Block<'t>>, DialectError> {
    let sort = node.need_str("type")?;
    Ok(Some(match sort {
        "text" => Block::Text { text: node.need_text("text")?, cache: cache(node) },
        "image" => Block::Image { source: media(&node.need("source")?)?, cache: cache(node) },
        "document" => {
            let source = node.need("source")?;
            match source.soft_str("type") {
                Some("text") => Block::Text { text: source.need_text("data")?, cache: cache(node) },
                Some("content") => {
                    losses.note(node.path(), "a document of blocks is left out");
                    return Ok(None);
                }
                _ => Block::Document { source: media(&source)?, name: node.opt_text("title")?, cache: cache(node) },
            }
        }
        "thinking" => Block::Thinking {
            text: node.need_text("thinking")?,
            signature: node
                .opt_str("signature")?
                .filter(|signature| !signature.is_empty())
                .map(|signature| Signature::read(Dialect::Anthropic, signature)),
        },
        "redacted_thinking" => Block::Redacted(Signature::read(Dialect::Anthropic, node.need_str("data")?)),
        "tool_use" => {
            let (id, signature) = tool_id::split(node.need_str("id")?);
            let arguments = match node.opt("input") {
                Some(input) => Arguments::Json(input.value),
                None => Arguments::Text(Cow::Borrowed("{}")),
            };
            Block::ToolCall(ToolCall {
                id: Cow::Borrowed(id),
                name: node.need_text("name")?,
                arguments,
                signature: signature.map(Cow::Owned),
                cache: cache(node),
            })
        }
        "tool_result" => {
            let mut content = Vec::new();
            if let Some(inner) = node.opt("content") {
                if inner.is_string() {
                    content.push(Block::Text { text: inner.text()?, cache: None });
                } else {
                    for item in inner.items()? {
                        content.extend(read(&item, losses)?);
                    }
                }
            }
            Block::ToolResult(ToolResult {
                id: Cow::Borrowed(tool_id::split(node.need_str("tool_use_id")?).0),
                name: None,
                content,
                is_error: node.opt_bool("is_error")?.unwrap_or(false),
                custom: false,
                cache: cache(node),
            })
        }
        other => {
            losses.note(node.path(), format!("other dialects have no block of type `{other}`: it is left out"));
            return Ok(None);
        }
    }))
}

fn media<'t>(source: &Node<'_, 't>) -> Result<Media<'t>, DialectError> {
    match source.need_str("type")? {
        "base64" => Ok(Media::Base64 { media_type: source.need_text("media_type")?, data: source.need_text("data")? }),
        "url" => Ok(Media::Url(source.need_text("url")?)),
        other => Err(source.error(format!(
            "a source of type `{other}` is known to Anthropic alone; send the bytes as base64 or an address"
        ))),
    }
}

fn write_media(writer: &mut Writer, source: &Media<'_>) {
    writer.object_at("source", |w| match source {
        Media::Base64 { media_type, data } => {
            w.str_at("type", "base64");
            w.str_at("media_type", media_type);
            w.str_at("data", data);
        }
        Media::Url(url) => {
            w.str_at("type", "url");
            w.str_at("url", url);
        }
    });
}

/// An identifier of the letters that Anthropic takes.
fn identifier(id: &str) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !id.is_empty() && id.chars().all(allowed) {
        return Cow::Borrowed(id);
    }
    let plain: String = id.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    Cow::Owned(format!("id_{plain}"))
}

/// Writes a block of a request. `place` names it in losses.
pub(super) fn write(writer: &mut Writer, block: &Block<'_>, losses: &mut Losses) {
    match block {
        // Anthropic refuses empty texts.
        Block::Text { text, .. } if text.is_empty() => {}
        Block::Text { text, cache } => writer.object(|w| {
            w.str_at("type", "text");
            w.str_at("text", text);
            write_cache(w, *cache);
        }),
        Block::Image { source, cache } => writer.object(|w| {
            w.str_at("type", "image");
            write_media(w, source);
            write_cache(w, *cache);
        }),
        Block::Document { source, name, cache } => writer.object(|w| {
            w.str_at("type", "document");
            write_media(w, source);
            w.opt_str_at("title", name.as_deref());
            write_cache(w, *cache);
        }),
        Block::Thinking { text, signature: Some(signature) } if signature.origin == Dialect::Anthropic => {
            writer.object(|w| {
                w.str_at("type", "thinking");
                w.str_at("thinking", text);
                w.str_at("signature", &signature.value);
            });
        }
        Block::Redacted(signature) if signature.origin == Dialect::Anthropic => writer.object(|w| {
            w.str_at("type", "redacted_thinking");
            w.str_at("data", &signature.value);
        }),
        Block::Thinking { .. } | Block::Redacted(_) => {
            losses.note("thinking", "reasoning that the provider did not sign itself is left out");
        }
        Block::ToolCall(call) => {
            let (input, is_object) = call.arguments.object_text();
            if !is_object {
                losses.note(format!("arguments of {}", call.id), "they are no JSON object and are sent inside one");
            }
            writer.object(|w| {
                w.str_at("type", "tool_use");
                w.str_at("id", &identifier(&call.id));
                w.str_at("name", &call.name);
                w.raw_at("input", &input);
                write_cache(w, call.cache);
            });
        }
        Block::ToolResult(result) => writer.object(|w| {
            w.str_at("type", "tool_result");
            w.str_at("tool_use_id", &identifier(&result.id));
            match result.content.as_slice() {
                [Block::Text { text, cache: None }] => w.str_at("content", text),
                content => w.array_at("content", |w| {
                    for block in content {
                        write(w, block, losses);
                    }
                }),
            }
            if result.is_error {
                w.bool_at("is_error", true);
            }
            write_cache(w, result.cache);
        }),
    }
}

/// Writes a block of an answer, for a caller.
pub(super) fn write_answer(writer: &mut Writer, block: &Block<'_>) {
    match block {
        Block::Text { text, .. } => writer.object(|w| {
            w.str_at("type", "text");
            w.str_at("text", text);
        }),
        Block::Thinking { text, signature } => writer.object(|w| {
            w.str_at("type", "thinking");
            w.str_at("thinking", text);
            let signature = signature.as_ref().map(|signature| signature.written(Dialect::Anthropic));
            w.str_at("signature", signature.as_deref().unwrap_or_default());
        }),
        Block::Redacted(signature) => writer.object(|w| {
            w.str_at("type", "redacted_thinking");
            w.str_at("data", &signature.written(Dialect::Anthropic));
        }),
        Block::ToolCall(call) => writer.object(|w| {
            w.str_at("type", "tool_use");
            w.str_at("id", &tool_id::with_signature(&call.id, call.signature.as_deref()));
            w.str_at("name", &call.name);
            w.raw_at("input", &call.arguments.object_text().0);
        }),
        // No provider answers these.
        Block::Image { .. } | Block::Document { .. } | Block::ToolResult(_) => {}
    }
}

/// Whether a system block is the one in which Claude Code bills itself: it changes with every call and says nothing to other
/// providers, whose prompt cache it would break.
pub(super) fn is_billing(text: &Json<'_>) -> bool {
    text.as_str().is_some_and(|text| text.starts_with("x-anthropic-billing-header:"))
}
