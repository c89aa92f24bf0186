//! A whole answer of a provider of chat completions, read and written.

use std::borrow::Cow;

use super::{completion_id, messages, stop_of, stop_word, usage_of, write_usage};
use crate::dialect::loss::Losses;
use crate::dialect::model::{Arguments, Block};
use crate::dialect::reply::{Reply, Stop};
use crate::dialect::translate::Caller;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{DialectError, tool_id};

pub(crate) fn read<'t>(root: &Node<'_, 't>, seed: &str) -> Result<Reply<'t>, DialectError> {
    let choices = root.need("choices")?;
    let choice = choices.items()?.next().ok_or_else(|| choices.error("there is no answer in it"))?;
    let message = choice.need("message")?;
    let mut content = messages::read_assistant(&message, &mut Losses::default())?;
    for (index, block) in content.iter_mut().enumerate() {
        if let Block::ToolCall(call) = block
            && call.id.is_empty()
        {
            call.id = Cow::Owned(tool_id::made(seed, index));
        }
    }
    let calls_tools = content.iter().any(|block| matches!(block, Block::ToolCall(_)));
    let refused = message.opt("refusal").is_some();
    let stop = choice.soft_str("finish_reason").map(stop_of).unwrap_or_default().beside(calls_tools);
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
    let content: Vec<Block<'_>> = reply.content.iter().map(|block| as_called(block, caller)).collect();
    let mut writer = Writer::default();
    writer.object(|w| {
        w.str_at("id", &completion_id(reply.id.as_deref(), &caller.request_id));
        w.str_at("object", "chat.completion");
        w.u64_at("created", caller.created);
        w.str_at("model", reply.model.as_deref().unwrap_or(&caller.model));
        w.array_at("choices", |w| {
            w.object(|w| {
                w.u64_at("index", 0);
                w.object_at("message", |w| {
                    messages::write_assistant(w, &content, messages::For::Caller, &mut Losses::default());
                });
                w.str_at("finish_reason", stop_word(reply.stop));
            });
        });
        write_usage(w, &reply.usage);
    });
    writer.into_bytes()
}

/// A call of a tool that the caller knows as one of free text, as such.
fn as_called<'t>(block: &Block<'t>, caller: &Caller) -> Block<'t> {
    match block {
        Block::ToolCall(call) if caller.custom_tools.iter().any(|name| *name == call.name) => {
            let mut call = call.clone();
            call.arguments = Arguments::Free(Cow::Owned(call.arguments.free_text().into_owned()));
            Block::ToolCall(call)
        }
        other => other.clone(),
    }
}
