//! Writing a request for a provider of responses.

use crate::dialect::chat::{FREE_INPUT, url};
use crate::dialect::loss::Losses;
use crate::dialect::model::{Block, Effort, Format, Message, Request, Role, Tool, ToolChoice, ToolInput, ToolResult};
use crate::dialect::signature::Signature;
use crate::dialect::translate::Target;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError};

pub(crate) fn write(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, DialectError> {
    let mut writer = Writer::default();
    writer.object(|w| {
        w.str_at("model", target.model);
        if request.stream {
            w.bool_at("stream", true);
        }
        // The caller's provider keeps nothing; the conversation is the caller's, with its encrypted reasoning.
        w.bool_at("store", false);
        w.raw_at("include", r#"["reasoning.encrypted_content"]"#);
        w.opt_u64_at("max_output_tokens", request.max_tokens);
        if let [block] = request.system.as_slice() {
            w.str_at("instructions", &block.text);
        }
        w.array_at("input", |w| {
            if request.system.len() > 1 {
                w.object(|w| {
                    w.str_at("type", "message");
                    w.str_at("role", "developer");
                    w.array_at("content", |w| {
                        request.system.iter().for_each(|block| text(w, "input_text", &block.text))
                    });
                });
            }
            for message in &request.messages {
                write_message(w, message, losses);
            }
        });
        write_tools(w, request);
        w.opt_f64_at("temperature", request.temperature);
        w.opt_f64_at("top_p", request.top_p);
        write_format(w, request.format.as_ref());
        if let Some(reasoning) = request.reasoning {
            w.object_at("reasoning", |w| {
                if reasoning.enabled == Some(false) {
                    w.str_at("effort", "none");
                } else if let Some(effort) = reasoning.effort_or_budget() {
                    w.str_at("effort", effort.min(Effort::ExtraHigh).name());
                }
                if reasoning.visible == Some(true) {
                    w.str_at("summary", "auto");
                }
            });
        }
        w.opt_str_at("user", request.user.as_deref());
        w.opt_str_at("prompt_cache_key", request.cache_key.as_deref());
    });
    for (given, field) in [
        (request.top_k.is_some(), "top_k"),
        (!request.stop.is_empty(), "stop"),
        (request.presence_penalty.is_some(), "presence_penalty"),
        (request.frequency_penalty.is_some(), "frequency_penalty"),
        (request.seed.is_some(), "seed"),
    ] {
        if given {
            losses.note(field, "responses have no such field: it is left out");
        }
    }
    if request.system.iter().any(|block| block.cache.is_some()) || request.tools.iter().any(|tool| tool.cache.is_some())
    {
        losses.note("cache_control", "these providers cache prompts by themselves: the marks are left out");
    }
    Ok(writer.into_bytes())
}

fn text(writer: &mut Writer, sort: &str, text: &str) {
    writer.object(|w| {
        w.str_at("type", sort);
        w.str_at("text", text);
    });
}

/// Whether a block is a part of a message; others are items of their own.
const fn is_part(block: &Block<'_>) -> bool {
    matches!(block, Block::Text { .. } | Block::Image { .. } | Block::Document { .. })
}

fn write_message(writer: &mut Writer, message: &Message<'_>, losses: &mut Losses) {
    for run in message.content.chunk_by(|one, next| is_part(one) == is_part(next)) {
        if !run.iter().all(is_part) {
            for block in run {
                write_item(writer, block, losses);
            }
            continue;
        }
        writer.object(|w| {
            w.str_at("type", "message");
            w.str_at("role", if message.role == Role::User { "user" } else { "assistant" });
            w.array_at("content", |w| run.iter().for_each(|block| write_part(w, block, message.role, losses)));
        });
    }
}

fn write_part(writer: &mut Writer, block: &Block<'_>, role: Role, losses: &mut Losses) {
    match block {
        Block::Text { text: own, .. } => {
            text(writer, if role == Role::User { "input_text" } else { "output_text" }, own);
        }
        Block::Image { .. } | Block::Document { .. } if role == Role::Assistant => {
            losses.note("image of the assistant", "a message of the assistant holds text alone: it is left out");
        }
        Block::Image { source, .. } => writer.object(|w| {
            w.str_at("type", "input_image");
            w.str_at("image_url", &url(source));
        }),
        Block::Document { source, name, .. } => writer.object(|w| {
            w.str_at("type", "input_file");
            match source {
                crate::dialect::model::Media::Url(address) => w.str_at("file_url", address),
                crate::dialect::model::Media::Base64 { .. } => {
                    w.str_at("filename", name.as_deref().unwrap_or("document.pdf"));
                    w.str_at("file_data", &url(source));
                }
            }
        }),
        Block::Thinking { .. } | Block::Redacted(_) | Block::ToolCall(_) | Block::ToolResult(_) => {}
    }
}

fn write_item(writer: &mut Writer, block: &Block<'_>, losses: &mut Losses) {
    match block {
        Block::Thinking { text, signature: Some(signature) } if signature.origin == Dialect::Responses => {
            write_reasoning(writer, text, signature);
        }
        Block::Redacted(signature) if signature.origin == Dialect::Responses => write_reasoning(writer, "", signature),
        Block::Thinking { .. } | Block::Redacted(_) => {
            losses.note("thinking", "reasoning that the provider did not sign itself is left out");
        }
        Block::ToolCall(call) => writer.object(|w| {
            w.str_at("type", "function_call");
            w.str_at("call_id", &call.id);
            w.str_at("name", &call.name);
            w.str_at("arguments", &call.arguments.string_text());
        }),
        Block::ToolResult(result) => writer.object(|w| write_result(w, result, losses)),
        Block::Text { .. } | Block::Image { .. } | Block::Document { .. } => {}
    }
}

fn write_reasoning(writer: &mut Writer, summary: &str, signature: &Signature<'_>) {
    writer.object(|w| {
        w.str_at("type", "reasoning");
        w.array_at("summary", |w| {
            if !summary.is_empty() {
                text(w, "summary_text", summary);
            }
        });
        w.str_at("encrypted_content", &signature.value);
    });
}

fn write_result(writer: &mut Writer, result: &ToolResult<'_>, losses: &mut Losses) {
    if result.is_error {
        losses.note("is_error", "a result that is an error is told from others by its text alone");
    }
    writer.str_at("type", "function_call_output");
    writer.str_at("call_id", &result.id);
    match result.content.as_slice() {
        [] => writer.str_at("output", ""),
        [Block::Text { text, .. }] => writer.str_at("output", text),
        blocks => writer.array_at("output", |w| {
            for block in blocks {
                write_part(w, block, Role::User, losses);
            }
        }),
    }
}

fn write_tools(writer: &mut Writer, request: &Request<'_>) {
    if request.tools.is_empty() {
        return;
    }
    writer.array_at("tools", |w| request.tools.iter().for_each(|tool| w.object(|w| write_tool(w, tool))));
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => writer.str_at("tool_choice", "auto"),
        Some(ToolChoice::None) => writer.str_at("tool_choice", "none"),
        Some(ToolChoice::Any) => writer.str_at("tool_choice", "required"),
        Some(ToolChoice::Named(name)) => writer.object_at("tool_choice", |w| {
            w.str_at("type", "function");
            w.str_at("name", name);
        }),
    }
    if let Some(parallel) = request.parallel_tool_calls {
        writer.bool_at("parallel_tool_calls", parallel);
    }
}

fn write_tool(writer: &mut Writer, tool: &Tool<'_>) {
    writer.str_at("type", "function");
    writer.str_at("name", &tool.name);
    writer.opt_str_at("description", tool.description.as_deref());
    match &tool.input {
        ToolInput::Schema(schema) => writer.json_at("parameters", schema),
        ToolInput::Any => writer.raw_at("parameters", r#"{"type":"object","properties":{}}"#),
        ToolInput::Free(_) => writer.raw_at("parameters", FREE_INPUT),
    }
    // Said or not: these providers take a schema for strict where nothing is said, and refuse those that are not fit for it.
    writer.bool_at("strict", tool.strict.unwrap_or(false));
}

fn write_format(writer: &mut Writer, format: Option<&Format<'_>>) {
    match format {
        None => {}
        Some(Format::Object) => writer.raw_at("text", r#"{"format":{"type":"json_object"}}"#),
        Some(Format::Schema { name, schema, strict }) => writer.object_at("text", |w| {
            w.object_at("format", |w| {
                w.str_at("type", "json_schema");
                w.str_at("name", name.as_deref().unwrap_or("answer"));
                w.json_at("schema", schema);
                if let Some(strict) = strict {
                    w.bool_at("strict", *strict);
                }
            });
        }),
    }
}
