//! Parts of a message's content.

use std::borrow::Cow;

use crate::dialect::DialectError;
use crate::dialect::loss::Losses;
use crate::dialect::model::{Block, Cache, Media, Text};
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;

/// Texts, images and files of a `content`.
pub(super) fn read<'t>(content: &Node<'_, 't>, losses: &mut Losses) -> Result<Vec<Block<'t>>, DialectError> {
    if content.is_string() {
        return Ok(vec![Block::Text { text: content.text()?, cache: None }]);
    }
    let mut blocks = Vec::new();
    for part in content.items()? {
        let cache = part
            .opt("cache_control")
            .map(|control| if control.soft_str("ttl") == Some("1h") { Cache::OneHour } else { Cache::FiveMinutes });
        match part.need_str("type")? {
            "text" => blocks.push(Block::Text { text: part.need_text("text")?, cache }),
            "refusal" => blocks.push(Block::Text { text: part.need_text("refusal")?, cache }),
            "image_url" => {
                let image = part.need("image_url")?;
                let url = if image.is_string() { image.str()? } else { image.need_str("url")? };
                blocks.push(Block::Image { source: media(url), cache });
            }
            "file" => {
                let file = part.need("file")?;
                let Some(data) = file.opt_str("file_data")? else {
                    return Err(
                        file.error("a file that was uploaded is known to its provider alone; send it as `file_data`")
                    );
                };
                blocks.push(Block::Document { source: media(data), name: file.opt_text("filename")?, cache });
            }
            other => losses.note(part.path(), format!("other dialects have no part of type `{other}`: it is left out")),
        }
    }
    Ok(blocks)
}

/// An address, or the bytes in a `data:` one.
pub(crate) fn media(url: &str) -> Media<'_> {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match inline {
        Some((media_type, data)) => Media::Base64 {
            // Parameters such as a charset may follow.
            media_type: Cow::Borrowed(media_type.split(';').next().unwrap_or(media_type)),
            data: Cow::Borrowed(data),
        },
        None => Media::Url(Cow::Borrowed(url)),
    }
}

/// The address of an image or file.
pub(crate) fn url<'m>(source: &'m Media<'_>) -> Text<'m> {
    match source {
        Media::Base64 { media_type, data } => Cow::Owned(format!("data:{media_type};base64,{data}")),
        Media::Url(url) => Cow::Borrowed(url),
    }
}

/// Writes a part; whether it was one.
pub(super) fn write(writer: &mut Writer, block: &Block<'_>) -> bool {
    match block {
        Block::Text { text, .. } => writer.object(|w| {
            w.str_at("type", "text");
            w.str_at("text", text);
        }),
        Block::Image { source, .. } => writer.object(|w| {
            w.str_at("type", "image_url");
            w.object_at("image_url", |w| w.str_at("url", &url(source)));
        }),
        Block::Document { source, name, .. } => writer.object(|w| {
            w.str_at("type", "file");
            w.object_at("file", |w| {
                w.str_at("filename", name.as_deref().unwrap_or("document.pdf"));
                w.str_at("file_data", &url(source));
            });
        }),
        Block::Thinking { .. } | Block::Redacted(_) | Block::ToolCall(_) | Block::ToolResult(_) => return false,
    }
    true
}
