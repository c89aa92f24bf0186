//! A whole answer of a provider of responses, read and written.

use super::{Envelope, incomplete, items, output, response_id, stop_of, usage_of};
use crate::dialect::loss::Losses;
use crate::dialect::model::Block;
use crate::dialect::reply::{Reply, Stop};
use crate::dialect::translate::Caller;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{DialectError, tool_id};

pub(crate) fn read<'t>(root: &Node<'_, 't>) -> Result<Reply<'t>, DialectError> {
    let mut losses = Losses::default();
    let mut content = Vec::new();
    let mut refused = false;
    let output = root.need("output")?;
    for item in output.items()? {
        match item.need_str("type")? {
            "message" => {
                let parts = item.need("content")?;
                refused |= parts.items()?.any(|part| part.soft_str("type") == Some("refusal"));
                content.extend(items::parts(&parts, &mut losses)?);
            }
            "reasoning" => content.extend(items::reasoning(&item)?),
            "function_call" => content.push(items::call(&item, false)?),
            "custom_tool_call" => content.push(items::call(&item, true)?),
            // Tools that the provider ran by itself.
            _ => {}
        }
    }
    let calls_tools = content.iter().any(|block| matches!(block, Block::ToolCall(_)));
    let stop = stop_of(root.value).beside(calls_tools);
    Ok(Reply {
        id: root.opt_text("id")?,
        model: root.opt_text("model")?,
        content,
        stop: if refused && stop == Stop::EndTurn { Stop::Refusal } else { stop },
        stop_sequence: None,
        usage: root.opt("usage").map(|usage| usage_of(usage.value)).unwrap_or_default(),
    })
}

pub(crate) fn write(reply: &Reply<'_>, caller: &Caller) -> Vec<u8> {
    let id = response_id(reply.id.as_deref(), &caller.request_id);
    let mut items = Writer::default();
    for (index, block) in reply.content.iter().enumerate() {
        write_item(&mut items, block, index, &id, caller);
    }
    let incomplete = incomplete(reply.stop);
    let mut writer = Writer::default();
    writer.object(|w| {
        Envelope {
            id: &id,
            created: caller.created,
            model: reply.model.as_deref().unwrap_or(&caller.model),
            status: if incomplete.is_some() { "incomplete" } else { "completed" },
            incomplete,
            output: &items.into_bytes(),
            usage: Some(&reply.usage),
        }
        .write(w);
    });
    writer.into_bytes()
}

fn write_item(items: &mut Writer, block: &Block<'_>, index: usize, id: &str, caller: &Caller) {
    let item_id = |prefix: &str| format!("{prefix}_{}_{index}", id.trim_start_matches("resp_"));
    match block {
        Block::Text { text, .. } => output::message(items, &item_id("msg"), "completed", Some(text)),
        Block::Thinking { text, signature } => {
            output::reasoning(items, &item_id("rs"), Some(text), signature.as_ref());
        }
        Block::Redacted(signature) => output::reasoning(items, &item_id("rs"), None, Some(signature)),
        Block::ToolCall(call) => {
            let custom = caller.custom_tools.iter().any(|name| *name == call.name);
            output::call(
                items,
                &output::Call {
                    id: &item_id(if custom { "ctc" } else { "fc" }),
                    call_id: &tool_id::with_signature(&call.id, call.signature.as_deref()),
                    name: &call.name,
                    status: "completed",
                    custom,
                    input: &if custom { call.arguments.free_text() } else { call.arguments.string_text() },
                },
            );
        }
        // No provider answers these.
        Block::Image { .. } | Block::Document { .. } | Block::ToolResult(_) => {}
    }
}
