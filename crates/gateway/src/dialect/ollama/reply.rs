//! A whole answer of Ollama, read and written.

use std::borrow::Cow;

use super::{created_at, messages, stop_of, usage_of, write_end};
use crate::dialect::DialectError;
use crate::dialect::loss::Losses;
use crate::dialect::model::Block;
use crate::dialect::reply::Reply;
use crate::dialect::tool_id::{Matcher, made, with_signature};
use crate::dialect::translate::Caller;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;

pub(crate) fn read<'t>(root: &Node<'_, 't>, seed: &str) -> Result<Reply<'t>, DialectError> {
    let mut content = match root.opt_text("response")? {
        Some(text) => vec![Block::Text { text, cache: None }],
        None => messages::read(&root.need("message")?, &mut Matcher::default())?,
    };
    for (index, block) in content.iter_mut().enumerate() {
        if let Block::ToolCall(call) = block
            && call.id.starts_with("call_")
            && call.id.len() < 9
        {
            call.id = Cow::Owned(made(seed, index));
        }
    }
    let calls_tools = content.iter().any(|block| matches!(block, Block::ToolCall(_)));
    Ok(Reply {
        id: None,
        model: root.opt_text("model")?,
        content,
        stop: root.soft_str("done_reason").map(stop_of).unwrap_or_default().beside(calls_tools),
        stop_sequence: None,
        usage: usage_of(root.value),
    })
}

pub(crate) fn write(reply: &Reply<'_>, caller: &Caller, losses: &mut Losses) -> Vec<u8> {
    let mut writer = Writer::default();
    let (mut text, mut thinking) = (String::new(), String::new());
    for block in &reply.content {
        match block {
            Block::Text { text: piece, .. } => text.push_str(piece),
            Block::Thinking { text: piece, signature } => {
                thinking.push_str(piece);
                if signature.as_ref().is_some_and(|signature| !signature.value.is_empty()) {
                    losses.note("signature", "Ollama has no signatures of reasoning: it is left out");
                }
            }
            Block::Redacted(_) => losses.note("redacted_thinking", "Ollama has no such reasoning: it is left out"),
            Block::ToolCall(_) | Block::ToolResult(_) | Block::Image { .. } | Block::Document { .. } => {}
        }
    }
    let is_call = |block: &&Block<'_>| matches!(block, Block::ToolCall(_));
    writer.object(|w| {
        w.str_at("model", reply.model.as_deref().unwrap_or(&caller.model));
        w.str_at("created_at", &created_at(caller.created));
        if caller.generate {
            w.str_at("response", &text);
            if !thinking.is_empty() {
                w.str_at("thinking", &thinking);
            }
        } else {
            w.object_at("message", |w| {
                w.str_at("role", "assistant");
                w.str_at("content", &text);
                if !thinking.is_empty() {
                    w.str_at("thinking", &thinking);
                }
                if reply.content.iter().any(|block| is_call(&block)) {
                    w.array_at("tool_calls", |w| {
                        for block in &reply.content {
                            if let Block::ToolCall(call) = block {
                                let id = with_signature(&call.id, call.signature.as_deref());
                                messages::write_call(w, Some(&id), &call.name, &call.arguments);
                            }
                        }
                    });
                }
            });
        }
        write_end(w, reply.stop, &reply.usage);
    });
    writer.into_bytes()
}
