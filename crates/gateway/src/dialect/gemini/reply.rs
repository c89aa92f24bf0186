//! A whole answer of Gemini, read and written.

use std::borrow::Cow;

use super::{is_blocked, parts, stop_of, stop_word, usage_of, write_usage};
use crate::dialect::loss::Losses;
use crate::dialect::model::Block;
use crate::dialect::reply::{Reply, Stop};
use crate::dialect::tool_id::Matcher;
use crate::dialect::translate::Caller;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{DialectError, tool_id};

pub(crate) fn read<'t>(root: &Node<'_, 't>, seed: &str) -> Result<Reply<'t>, DialectError> {
    let mut content = Vec::new();
    let mut stop = Stop::EndTurn;
    if let Some(candidates) = root.opt("candidates")
        && let Some(candidate) = candidates.items()?.next()
    {
        if let Some(inner) = candidate.opt("content")
            && let Some(parts) = inner.opt("parts")
        {
            for part in parts.items()? {
                let before = content.len();
                parts::read(&part, &mut Matcher::default(), &mut content, &mut Losses::default())?;
                let has_id = part.opt("functionCall").is_some_and(|call| call.opt("id").is_some());
                if let Some(Block::ToolCall(call)) = content.get_mut(before)
                    && !has_id
                {
                    call.id = Cow::Owned(tool_id::made(seed, before));
                }
            }
        }
        stop = candidate.soft_str("finishReason").map(stop_of).unwrap_or_default();
    } else if is_blocked(root) {
        stop = Stop::Filter;
    } else {
        root.need("candidates")?;
    }
    let calls_tools = content.iter().any(|block| matches!(block, Block::ToolCall(_)));
    Ok(Reply {
        id: root.opt_text("responseId")?,
        model: root.opt_text("modelVersion")?,
        content,
        stop: stop.beside(calls_tools),
        stop_sequence: None,
        usage: root.opt("usageMetadata").map(|usage| usage_of(usage.value)).unwrap_or_default(),
    })
}

pub(crate) fn write(reply: &Reply<'_>, caller: &Caller, losses: &mut Losses) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.object(|w| {
        w.array_at("candidates", |w| {
            w.object(|w| {
                w.object_at("content", |w| {
                    w.array_at("parts", |w| reply.content.iter().for_each(|block| write_part(w, block, losses)));
                    w.str_at("role", "model");
                });
                w.str_at("finishReason", stop_word(reply.stop));
                w.u64_at("index", 0);
            });
        });
        write_usage(w, &reply.usage);
        w.str_at("modelVersion", reply.model.as_deref().unwrap_or(&caller.model));
        w.str_at("responseId", reply.id.as_deref().unwrap_or(&caller.request_id));
    });
    writer.into_bytes()
}

fn write_part(writer: &mut Writer, block: &Block<'_>, losses: &mut Losses) {
    match block {
        Block::Text { text, .. } => parts::text(writer, text),
        Block::Thinking { text, signature } => parts::thought(writer, text, signature.as_ref()),
        Block::Redacted(signature) => parts::thought(writer, "", Some(signature)),
        Block::ToolCall(call) => {
            let (args, is_object) = call.arguments.object_text();
            if !is_object {
                losses.note(format!("arguments of {}", call.id), "they are no JSON object and are sent inside one");
            }
            parts::call(writer, Some(&call.id), &call.name, &args, call.signature.as_deref());
        }
        Block::Image { .. } | Block::Document { .. } | Block::ToolResult(_) => {}
    }
}
