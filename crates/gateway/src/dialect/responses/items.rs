//! Items of a conversation, as a request's `input` and an answer's `output` hold them.

use std::borrow::Cow;

use crate::dialect::chat::media;
use crate::dialect::loss::Losses;
use crate::dialect::model::{Arguments, Block, ToolCall, ToolResult};
use crate::dialect::signature::Signature;
use crate::dialect::tree::Node;
use crate::dialect::{Dialect, DialectError, tool_id};

/// The parts of a message, or of a tool's output.
pub(super) fn parts<'t>(content: &Node<'_, 't>, losses: &mut Losses) -> Result<Vec<Block<'t>>, DialectError> {
    if content.is_string() {
        return Ok(vec![Block::Text { text: content.text()?, cache: None }]);
    }
    let mut blocks = Vec::new();
    for part in content.items()? {
        match part.need_str("type")? {
            "input_text" | "output_text" | "text" | "summary_text" => {
                blocks.push(Block::Text { text: part.need_text("text")?, cache: None });
            }
            "refusal" => blocks.push(Block::Text { text: part.need_text("refusal")?, cache: None }),
            "input_image" => {
                let Some(url) = part.opt_str("image_url")? else {
                    return Err(
                        part.error("an image that was uploaded is known to its provider alone; send it as `image_url`")
                    );
                };
                blocks.push(Block::Image { source: media(url), cache: None });
            }
            "input_file" => {
                let Some(data) = part.opt_str("file_data")?.or(part.opt_str("file_url")?) else {
                    return Err(
                        part.error("a file that was uploaded is known to its provider alone; send it as `file_data`")
                    );
                };
                blocks.push(Block::Document { source: media(data), name: part.opt_text("filename")?, cache: None });
            }
            other => losses.note(part.path(), format!("other dialects have no part of type `{other}`: it is left out")),
        }
    }
    Ok(blocks)
}

/// Reasoning: what may be read, and what only its provider can read.
pub(super) fn reasoning<'t>(item: &Node<'_, 't>) -> Result<Option<Block<'t>>, DialectError> {
    let mut texts: Vec<&'t str> = Vec::new();
    for key in ["summary", "content"] {
        if let Some(parts) = item.opt(key) {
            for part in parts.items()? {
                texts.extend(part.opt_str("text")?);
            }
        }
    }
    let signature = item.opt_str("encrypted_content")?.map(|text| Signature::read(Dialect::Responses, text));
    let text = match texts.as_slice() {
        [] => None,
        [one] => Some(Cow::Borrowed(*one)),
        many => Some(Cow::Owned(many.join("\n\n"))),
    };
    Ok(match (text, signature) {
        (Some(text), signature) => Some(Block::Thinking { text, signature }),
        (None, Some(signature)) => Some(match signature.origin {
            // Only these know reasoning without a text; others' is signed reasoning whose text was empty.
            Dialect::Anthropic | Dialect::Responses => Block::Redacted(signature),
            Dialect::Chat | Dialect::Gemini | Dialect::Ollama => {
                Block::Thinking { text: Cow::Borrowed(""), signature: Some(signature) }
            }
        }),
        (None, None) => None,
    })
}

pub(super) fn call<'t>(item: &Node<'_, 't>, custom: bool) -> Result<Block<'t>, DialectError> {
    let (id, signature) = tool_id::split(item.need_str("call_id")?);
    let arguments = if custom {
        Arguments::Free(item.need_text("input")?)
    } else {
        Arguments::Text(item.opt_text("arguments")?.unwrap_or_default())
    };
    Ok(Block::ToolCall(ToolCall {
        id: Cow::Borrowed(id),
        name: item.need_text("name")?,
        arguments,
        signature: signature.map(Cow::Owned),
        cache: None,
    }))
}

pub(super) fn result<'t>(item: &Node<'_, 't>, custom: bool, losses: &mut Losses) -> Result<Block<'t>, DialectError> {
    let content = match item.opt("output") {
        Some(output) => parts(&output, losses)?,
        None => Vec::new(),
    };
    Ok(Block::ToolResult(ToolResult {
        id: Cow::Borrowed(tool_id::split(item.need_str("call_id")?).0),
        name: None,
        content,
        is_error: false,
        custom,
        cache: None,
    }))
}
