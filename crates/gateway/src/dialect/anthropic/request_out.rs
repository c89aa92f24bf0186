//! Writing a request for Anthropic.

use super::blocks;
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::model::{
    Block, Effort, Format, Reasoning, Request, Role, Tool, ToolChoice, ToolInput, says_something,
};
use crate::dialect::translate::Target;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError};

/// Anthropic refuses smaller budgets.
const LEAST_BUDGET: u64 = 1024;

pub(crate) fn write(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, DialectError> {
    let max_tokens = request.max_tokens.unwrap_or(target.default_max_tokens);
    let thinking = thinking(request, target, max_tokens, losses);
    if request.messages.is_empty() {
        return Err(DialectError::impossible("messages", Dialect::Anthropic, "there is no message of a user"));
    }
    let mut writer = Writer::default();
    writer.object(|w| {
        w.str_at("model", target.model);
        w.u64_at("max_tokens", max_tokens);
        if request.stream {
            w.bool_at("stream", true);
        }
        if !request.system.is_empty() {
            w.array_at("system", |w| {
                for block in request.system.iter().filter(|block| !block.text.is_empty()) {
                    w.object(|w| {
                        w.str_at("type", "text");
                        w.str_at("text", &block.text);
                        blocks::write_cache(w, block.cache);
                    });
                }
            });
        }
        write_tools(w, request);
        write_messages(w, request, losses);
        write_sampling(w, request, matches!(thinking, Thinking::Off), losses);
        write_thinking(w, request, thinking, losses);
        if let Some(user) = &request.user {
            w.object_at("metadata", |w| w.str_at("user_id", user));
        }
    });
    for (given, field) in [
        (request.presence_penalty.is_some(), "presence_penalty"),
        (request.frequency_penalty.is_some(), "frequency_penalty"),
        (request.seed.is_some(), "seed"),
        (request.cache_key.is_some(), "prompt_cache_key"),
    ] {
        if given {
            losses.note(field, "Anthropic has no such field: it is left out");
        }
    }
    Ok(writer.into_bytes())
}

fn write_messages(writer: &mut Writer, request: &Request<'_>, losses: &mut Losses) {
    writer.array_at("messages", |w| {
        for message in &request.messages {
            // Anthropic refuses turns without content.
            if !says_something(message, Dialect::Anthropic) {
                losses.note("messages", "a turn in which nothing is left to say is left out");
                continue;
            }
            let is_result = |block: &&Block<'_>| matches!(block, Block::ToolResult(_));
            w.object(|w| {
                w.str_at("role", if message.role == Role::User { "user" } else { "assistant" });
                w.array_at("content", |w| {
                    // Results stand before all else: Anthropic looks for them there.
                    for block in message.content.iter().filter(is_result) {
                        blocks::write(w, block, losses);
                    }
                    for block in message.content.iter().filter(|block| !is_result(block)) {
                        blocks::write(w, block, losses);
                    }
                });
            });
        }
    });
}

fn write_tools(writer: &mut Writer, request: &Request<'_>) {
    if request.tools.is_empty() {
        return;
    }
    writer.array_at("tools", |w| {
        for tool in &request.tools {
            w.object(|w| write_tool(w, tool));
        }
    });
    let parallel = request.parallel_tool_calls;
    if request.tool_choice.is_none() && parallel.is_none() {
        return;
    }
    writer.object_at("tool_choice", |w| {
        let choice = request.tool_choice.as_ref().unwrap_or(&ToolChoice::Auto);
        match choice {
            ToolChoice::Auto => w.str_at("type", "auto"),
            ToolChoice::None => w.str_at("type", "none"),
            ToolChoice::Any => w.str_at("type", "any"),
            ToolChoice::Named(name) => {
                w.str_at("type", "tool");
                w.str_at("name", name);
            }
        }
        if let Some(parallel) = parallel.filter(|_| *choice != ToolChoice::None) {
            w.bool_at("disable_parallel_tool_use", !parallel);
        }
    });
}

fn write_tool(writer: &mut Writer, tool: &Tool<'_>) {
    writer.str_at("name", &tool.name);
    writer.opt_str_at("description", tool.description.as_deref());
    match &tool.input {
        ToolInput::Schema(schema) => write_schema(writer, schema),
        ToolInput::Any => writer.raw_at("input_schema", r#"{"type":"object","properties":{}}"#),
        ToolInput::Free(_) => writer.raw_at("input_schema", crate::dialect::chat::FREE_INPUT),
    }
    if tool.strict == Some(true) {
        writer.bool_at("strict", true);
    }
    blocks::write_cache(writer, tool.cache);
}

/// Anthropic wants `type` in every schema.
fn write_schema(writer: &mut Writer, schema: &Json<'_>) {
    match schema {
        Json::Object(members) if schema.get("type").is_none() => writer.object_at("input_schema", |w| {
            w.str_at("type", "object");
            for (key, value) in members {
                w.json_at(key, value);
            }
        }),
        _ => writer.json_at("input_schema", schema),
    }
}

fn write_sampling(writer: &mut Writer, request: &Request<'_>, free: bool, losses: &mut Losses) {
    if let Some(temperature) = request.temperature {
        if free {
            if temperature > 1.0 {
                losses.note("temperature", "Anthropic takes at most 1: it is lowered to that");
            }
            writer.f64_at("temperature", temperature.min(1.0));
        } else {
            losses.note("temperature", "it cannot be set while the model thinks: it is left out");
        }
    }
    if free {
        writer.opt_f64_at("top_p", request.top_p);
        writer.opt_u64_at("top_k", request.top_k);
    } else if request.top_k.is_some() || request.top_p.is_some() {
        losses.note("top_p", "sampling cannot be set while the model thinks: it is left out");
    }
    if !request.stop.is_empty() {
        writer.array_at("stop_sequences", |w| {
            for stop in &request.stop {
                w.string(stop);
            }
        });
    }
}

#[derive(Clone, Copy)]
enum Thinking {
    Off,
    Adaptive,
    Budget(u64),
}

fn thinking(request: &Request<'_>, target: &Target<'_>, max_tokens: u64, losses: &mut Losses) -> Thinking {
    let Some(reasoning) = request.reasoning else { return Thinking::Off };
    let asked = reasoning.enabled != Some(false)
        && reasoning.effort_or_budget().is_some_and(|effort| effort > Effort::Minimal)
        || reasoning.enabled == Some(true);
    if !asked {
        return Thinking::Off;
    }
    if matches!(request.tool_choice, Some(ToolChoice::Any | ToolChoice::Named(_))) {
        losses.note("reasoning", "Anthropic cannot think where a tool is forced: it does not");
        return Thinking::Off;
    }
    if target.adaptive_thinking {
        return Thinking::Adaptive;
    }
    let wanted = reasoning.budget.or_else(|| reasoning.effort.map(Effort::budget)).unwrap_or(Effort::Medium.budget());
    // The budget is part of the answer's tokens and leaves some for the answer.
    let room = max_tokens.saturating_sub(1);
    if room < LEAST_BUDGET {
        losses.note("reasoning", "max_tokens leaves no room for the least budget of 1024: the model does not think");
        return Thinking::Off;
    }
    Thinking::Budget(wanted.clamp(LEAST_BUDGET, room))
}

fn write_thinking(writer: &mut Writer, request: &Request<'_>, thinking: Thinking, losses: &mut Losses) {
    match thinking {
        Thinking::Off => {
            if request.reasoning.is_some_and(|Reasoning { enabled, .. }| enabled == Some(false)) {
                writer.object_at("thinking", |w| w.str_at("type", "disabled"));
            }
        }
        Thinking::Adaptive => writer.object_at("thinking", |w| {
            w.str_at("type", "adaptive");
            if request.reasoning.is_some_and(|reasoning| reasoning.visible == Some(true)) {
                w.str_at("display", "summarized");
            }
        }),
        Thinking::Budget(tokens) => writer.object_at("thinking", |w| {
            w.str_at("type", "enabled");
            w.u64_at("budget_tokens", tokens);
        }),
    }
    let effort = match thinking {
        Thinking::Adaptive => request.reasoning.and_then(|reasoning| reasoning.effort_or_budget()),
        Thinking::Off | Thinking::Budget(_) => None,
    };
    let schema = match &request.format {
        Some(Format::Schema { schema, .. }) => Some(schema),
        Some(Format::Object) => {
            losses.note("response_format", "Anthropic answers JSON only to a schema: ask for it in the prompt");
            None
        }
        None => None,
    };
    if effort.is_none() && schema.is_none() {
        return;
    }
    writer.object_at("output_config", |w| {
        if let Some(effort) = effort {
            w.str_at("effort", effort.max(Effort::Low).name());
        }
        if let Some(schema) = schema {
            w.object_at("format", |w| {
                w.str_at("type", "json_schema");
                w.json_at("schema", schema);
            });
        }
    });
}
