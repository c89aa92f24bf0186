//! Writing a request for a provider of chat completions.

use super::{FREE_INPUT, messages, parts};
use crate::dialect::DialectError;
use crate::dialect::loss::Losses;
use crate::dialect::model::{Block, Effort, Format, Message, Request, Role, Tool, ToolChoice, ToolInput, ToolResult};
use crate::dialect::translate::Target;
use crate::dialect::write::Writer;

pub(crate) fn write(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, DialectError> {
    note_losses(request, losses);
    let mut writer = Writer::default();
    writer.object(|w| {
        w.str_at("model", target.model);
        if request.stream {
            w.bool_at("stream", true);
            // Nothing can be metered without it.
            w.raw_at("stream_options", r#"{"include_usage":true}"#);
        }
        let field = if target.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        w.opt_u64_at(field, request.max_tokens);
        w.array_at("messages", |w| {
            write_system(w, request);
            for message in &request.messages {
                write_message(w, message, losses);
            }
        });
        write_tools(w, request);
        w.opt_f64_at("temperature", request.temperature);
        w.opt_f64_at("top_p", request.top_p);
        w.opt_f64_at("presence_penalty", request.presence_penalty);
        w.opt_f64_at("frequency_penalty", request.frequency_penalty);
        w.opt_u64_at("seed", request.seed);
        if !request.stop.is_empty() {
            w.array_at("stop", |w| request.stop.iter().for_each(|stop| w.string(stop)));
        }
        write_format(w, request.format.as_ref());
        if let Some(reasoning) = request.reasoning {
            if reasoning.enabled == Some(false) {
                w.str_at("reasoning_effort", "none");
            } else if let Some(effort) = reasoning.effort_or_budget() {
                w.str_at("reasoning_effort", effort.min(Effort::ExtraHigh).name());
            }
        }
        w.opt_str_at("user", request.user.as_deref());
        w.opt_str_at("prompt_cache_key", request.cache_key.as_deref());
    });
    Ok(writer.into_bytes())
}

fn note_losses(request: &Request<'_>, losses: &mut Losses) {
    if request.top_k.is_some() {
        losses.note("top_k", "chat completions have no such field: it is left out");
    }
    let marked = request.system.iter().any(|block| block.cache.is_some())
        || request.tools.iter().any(|tool| tool.cache.is_some())
        || request.messages.iter().flat_map(|message| &message.content).any(|block| match block {
            Block::Text { cache, .. } | Block::Image { cache, .. } | Block::Document { cache, .. } => cache.is_some(),
            Block::ToolCall(call) => call.cache.is_some(),
            Block::ToolResult(result) => result.cache.is_some(),
            Block::Thinking { .. } | Block::Redacted(_) => false,
        });
    if marked {
        losses.note("cache_control", "these providers cache prompts by themselves: the marks are left out");
    }
}

fn write_system(writer: &mut Writer, request: &Request<'_>) {
    match request.system.as_slice() {
        [] => {}
        [block] => writer.object(|w| {
            w.str_at("role", "system");
            w.str_at("content", &block.text);
        }),
        blocks => writer.object(|w| {
            w.str_at("role", "system");
            w.array_at("content", |w| {
                for block in blocks {
                    w.object(|w| {
                        w.str_at("type", "text");
                        w.str_at("text", &block.text);
                    });
                }
            });
        }),
    }
}

fn write_message(writer: &mut Writer, message: &Message<'_>, losses: &mut Losses) {
    if message.role == Role::Assistant {
        writer.object(|w| messages::write_assistant(w, &message.content, messages::For::Provider, losses));
        return;
    }
    // Results stand first, right behind the calls that they answer.
    let mut moved = Vec::new();
    for block in &message.content {
        if let Block::ToolResult(result) = block {
            writer.object(|w| write_result(w, result, &mut moved, losses));
        }
    }
    let own = message.content.iter().filter(|block| !matches!(block, Block::ToolResult(_)));
    let rest: Vec<&Block<'_>> = moved.into_iter().chain(own).collect();
    match rest.as_slice() {
        [] => {}
        [Block::Text { text, .. }] => writer.object(|w| {
            w.str_at("role", "user");
            w.str_at("content", text);
        }),
        blocks => writer.object(|w| {
            w.str_at("role", "user");
            w.array_at("content", |w| {
                for block in blocks {
                    if !parts::write(w, block) {
                        losses.note(
                            "messages",
                            "a user's message holds texts, images and files alone: others are left out",
                        );
                    }
                }
            });
        }),
    }
}

fn write_result<'m, 't>(
    writer: &mut Writer,
    result: &'m ToolResult<'t>,
    moved: &mut Vec<&'m Block<'t>>,
    losses: &mut Losses,
) {
    if result.is_error {
        losses.note("is_error", "a result that is an error is told from others by its text alone");
    }
    writer.str_at("role", "tool");
    writer.str_at("tool_call_id", &result.id);
    let mut texts = result.content.iter().filter_map(|block| match block {
        Block::Text { text, .. } => Some(&**text),
        _ => None,
    });
    let (first, second) = (texts.next(), texts.next());
    match (first, second) {
        (first, None) => writer.str_at("content", first.unwrap_or_default()),
        _ => writer.array_at("content", |w| {
            for block in &result.content {
                if matches!(block, Block::Text { .. }) {
                    parts::write(w, block);
                }
            }
        }),
    }
    let before = moved.len();
    moved.extend(result.content.iter().filter(|block| !matches!(block, Block::Text { .. })));
    if moved.len() > before {
        losses.note(
            "images in tool results",
            "a tool's message holds text alone: they are sent in the user's message behind it",
        );
    }
}

fn write_tools(writer: &mut Writer, request: &Request<'_>) {
    if request.tools.is_empty() {
        return;
    }
    writer.array_at("tools", |w| {
        for tool in &request.tools {
            w.object(|w| {
                w.str_at("type", "function");
                w.object_at("function", |w| write_tool(w, tool));
            });
        }
    });
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => writer.str_at("tool_choice", "auto"),
        Some(ToolChoice::None) => writer.str_at("tool_choice", "none"),
        Some(ToolChoice::Any) => writer.str_at("tool_choice", "required"),
        Some(ToolChoice::Named(name)) => writer.object_at("tool_choice", |w| {
            w.str_at("type", "function");
            w.object_at("function", |w| w.str_at("name", name));
        }),
    }
    if let Some(parallel) = request.parallel_tool_calls {
        writer.bool_at("parallel_tool_calls", parallel);
    }
}

fn write_tool(writer: &mut Writer, tool: &Tool<'_>) {
    writer.str_at("name", &tool.name);
    writer.opt_str_at("description", tool.description.as_deref());
    match &tool.input {
        ToolInput::Schema(schema) => writer.json_at("parameters", schema),
        ToolInput::Any => {}
        ToolInput::Free(_) => writer.raw_at("parameters", FREE_INPUT),
    }
    if let Some(strict) = tool.strict {
        writer.bool_at("strict", strict);
    }
}

fn write_format(writer: &mut Writer, format: Option<&Format<'_>>) {
    match format {
        None => {}
        Some(Format::Object) => writer.raw_at("response_format", r#"{"type":"json_object"}"#),
        Some(Format::Schema { name, schema, strict }) => writer.object_at("response_format", |w| {
            w.str_at("type", "json_schema");
            w.object_at("json_schema", |w| {
                w.str_at("name", name.as_deref().unwrap_or("answer"));
                w.json_at("schema", schema);
                if let Some(strict) = strict {
                    w.bool_at("strict", *strict);
                }
            });
        }),
    }
}
