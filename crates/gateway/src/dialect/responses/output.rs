//! Items of an answer's `output`, written for a caller: whole, and as a stream begins them.

use crate::dialect::Dialect;
use crate::dialect::signature::Signature;
use crate::dialect::write::Writer;

pub(super) fn message(writer: &mut Writer, id: &str, status: &str, text: Option<&str>) {
    writer.object(|w| {
        w.str_at("id", id);
        w.str_at("type", "message");
        w.str_at("status", status);
        w.array_at("content", |w| {
            if let Some(text) = text {
                text_part(w, text);
            }
        });
        w.str_at("role", "assistant");
    });
}

pub(super) fn text_part(writer: &mut Writer, text: &str) {
    writer.object(|w| {
        w.str_at("type", "output_text");
        w.array_at("annotations", |_| ());
        w.array_at("logprobs", |_| ());
        w.str_at("text", text);
    });
}

pub(super) fn summary_part(writer: &mut Writer, text: &str) {
    writer.object(|w| {
        w.str_at("type", "summary_text");
        w.str_at("text", text);
    });
}

pub(super) fn reasoning(writer: &mut Writer, id: &str, text: Option<&str>, signature: Option<&Signature<'_>>) {
    writer.object(|w| {
        w.str_at("id", id);
        w.str_at("type", "reasoning");
        w.array_at("summary", |w| {
            if let Some(text) = text {
                summary_part(w, text);
            }
        });
        if let Some(signature) = signature {
            w.str_at("encrypted_content", &signature.written(Dialect::Responses));
        }
    });
}

/// A call: of a function, or of a tool of free text.
pub(super) struct Call<'c> {
    pub(super) id: &'c str,
    pub(super) call_id: &'c str,
    pub(super) name: &'c str,
    pub(super) status: &'c str,
    pub(super) custom: bool,
    pub(super) input: &'c str,
}

pub(super) fn call(writer: &mut Writer, call: &Call<'_>) {
    writer.object(|w| {
        w.str_at("id", call.id);
        w.str_at("type", if call.custom { "custom_tool_call" } else { "function_call" });
        w.str_at("status", call.status);
        w.str_at(if call.custom { "input" } else { "arguments" }, call.input);
        w.str_at("call_id", call.call_id);
        w.str_at("name", call.name);
    });
}
