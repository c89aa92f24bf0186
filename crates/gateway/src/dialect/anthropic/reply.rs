//! A whole answer of Anthropic, read and written.

use super::{blocks, message_id, stop_of, stop_word, usage_of, write_usage};
use crate::dialect::DialectError;
use crate::dialect::loss::Losses;
use crate::dialect::reply::Reply;
use crate::dialect::translate::Caller;
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;

pub(crate) fn read<'t>(root: &Node<'_, 't>) -> Result<Reply<'t>, DialectError> {
    // Blocks of tools that Anthropic ran by itself are left out of what other dialects can be told.
    let mut losses = Losses::default();
    let mut content = Vec::new();
    let blocks_node = root.need("content")?;
    for block in blocks_node.items()? {
        content.extend(blocks::read(&block, &mut losses)?);
    }
    Ok(Reply {
        id: root.opt_text("id")?,
        model: root.opt_text("model")?,
        content,
        stop: root.soft_str("stop_reason").map(stop_of).unwrap_or_default(),
        stop_sequence: root.opt_text("stop_sequence")?,
        usage: root.opt("usage").map(|usage| usage_of(usage.value)).unwrap_or_default(),
    })
}

pub(crate) fn write(reply: &Reply<'_>, caller: &Caller) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.object(|w| {
        w.str_at("id", &message_id(reply.id.as_deref(), &caller.request_id));
        w.str_at("type", "message");
        w.str_at("role", "assistant");
        w.str_at("model", reply.model.as_deref().unwrap_or(&caller.model));
        w.array_at("content", |w| {
            for block in &reply.content {
                blocks::write_answer(w, block);
            }
        });
        w.str_at("stop_reason", stop_word(reply.stop));
        match &reply.stop_sequence {
            Some(sequence) => w.str_at("stop_sequence", sequence),
            None => w.null_at("stop_sequence"),
        }
        write_usage(w, &reply.usage);
    });
    writer.into_bytes()
}
