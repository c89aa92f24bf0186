//! Writing a request for Gemini. Model and streaming go into the path.

use super::parts;
use crate::dialect::chat::FREE_INPUT;
use crate::dialect::loss::Losses;
use crate::dialect::model::{
    Block, Format, Media, Message, Reasoning, Request, Role, Tool, ToolChoice, ToolInput, ToolResult, says_something,
    tool_of_call,
};
use crate::dialect::translate::Target;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError};

pub(crate) fn write(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, DialectError> {
    let mut writer = Writer::default();
    writer.object(|w| {
        if !request.system.is_empty() {
            w.object_at("systemInstruction", |w| {
                w.array_at("parts", |w| request.system.iter().for_each(|block| parts::text(w, &block.text)));
            });
        }
        w.array_at("contents", |w| write_contents(w, request, target, losses))?;
        write_tools(w, request);
        write_config(w, request);
        Ok::<(), DialectError>(())
    })?;
    for (given, field) in [
        (request.user.is_some(), "user"),
        (request.cache_key.is_some(), "prompt_cache_key"),
        (request.parallel_tool_calls == Some(false), "parallel_tool_calls"),
        (request.tools.iter().any(|tool| tool.strict == Some(true)), "strict"),
    ] {
        if given {
            losses.note(field, "Gemini has no such field: it is left out");
        }
    }
    if request.system.iter().any(|block| block.cache.is_some()) || request.tools.iter().any(|tool| tool.cache.is_some())
    {
        losses.note("cache_control", "Gemini caches prompts by itself: the marks are left out");
    }
    Ok(writer.into_bytes())
}

fn write_contents(
    writer: &mut Writer,
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for message in &request.messages {
        // Gemini refuses contents without parts.
        if !says_something(message, Dialect::Gemini) {
            losses.note("messages", "a turn in which nothing is left to say is left out");
            continue;
        }
        writer.object(|w| {
            w.str_at("role", if message.role == Role::User { "user" } else { "model" });
            w.array_at("parts", |w| write_parts(w, message, request, target, losses))
        })?;
    }
    Ok(())
}

fn write_parts(
    writer: &mut Writer,
    message: &Message<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    // Results are told apart by their order alone, which is that of the calls.
    let mut results: Vec<&ToolResult<'_>> = message
        .content
        .iter()
        .filter_map(|block| if let Block::ToolResult(result) = block { Some(result) } else { None })
        .collect();
    results.sort_by_key(|result| place_of_call(request, &result.id));
    for result in &results {
        write_result(writer, result, request, losses)?;
    }
    // Media behind all results: a result is followed by the next one.
    for result in results {
        for block in &result.content {
            match block {
                Block::Image { source, .. } => parts::media(writer, source, "image/*"),
                Block::Document { source, .. } => parts::media(writer, source, "application/pdf"),
                _ => {}
            }
        }
    }
    let mut signs = target.signed_calls;
    for block in &message.content {
        match block {
            Block::Text { text, .. } => parts::text(writer, text),
            Block::Image { source, .. } => {
                if matches!(source, Media::Url(_)) {
                    losses
                        .note("image addresses", "Gemini may refuse to fetch an address: send the bytes where it does");
                }
                parts::media(writer, source, "image/*");
            }
            Block::Document { source, .. } => parts::media(writer, source, "application/pdf"),
            Block::Thinking { text, signature: Some(signature) } if signature.origin == Dialect::Gemini => {
                parts::thought(writer, text, Some(signature));
            }
            Block::Thinking { .. } | Block::Redacted(_) => {
                losses.note("thinking", "reasoning that the provider did not sign itself is left out");
            }
            Block::ToolCall(call) => {
                let (args, is_object) = call.arguments.object_text();
                if !is_object {
                    losses.note(format!("arguments of {}", call.id), "they are no JSON object and are sent inside one");
                }
                // Of parallel calls the first alone is signed.
                let signature = call.signature.as_deref().or_else(|| signs.then_some(parts::UNSIGNED));
                signs = false;
                parts::call(writer, None, &call.name, &args, signature);
            }
            Block::ToolResult(_) => {}
        }
    }
    Ok(())
}

fn place_of_call(request: &Request<'_>, id: &str) -> Option<usize> {
    request
        .messages
        .iter()
        .flat_map(|message| &message.content)
        .position(|block| matches!(block, Block::ToolCall(call) if call.id == id))
}

fn write_result(
    writer: &mut Writer,
    result: &ToolResult<'_>,
    request: &Request<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let Some(name) = result.name.as_deref().or_else(|| tool_of_call(&request.messages, &result.id)) else {
        return Err(DialectError::impossible(
            format!("tool result {}", result.id),
            Dialect::Gemini,
            "no call before it has this identifier, so the tool's name is not known",
        ));
    };
    let texts: Vec<&str> = result
        .content
        .iter()
        .filter_map(|block| if let Block::Text { text, .. } = block { Some(&**text) } else { None })
        .collect();
    if texts.len() < result.content.len() {
        losses.note("images in tool results", "Gemini takes them beside the result alone: they are sent there");
    }
    writer.object(|w| {
        w.object_at("functionResponse", |w| {
            w.str_at("name", name);
            w.object_at("response", |w| w.str_at(if result.is_error { "error" } else { "output" }, &texts.join("\n")));
        });
    });
    Ok(())
}

fn write_tools(writer: &mut Writer, request: &Request<'_>) {
    if request.tools.is_empty() {
        return;
    }
    writer.array_at("tools", |w| {
        w.object(|w| {
            w.array_at("functionDeclarations", |w| {
                request.tools.iter().for_each(|tool| w.object(|w| write_tool(w, tool)))
            });
        });
    });
    let Some(choice) = &request.tool_choice else { return };
    writer.object_at("toolConfig", |w| {
        w.object_at("functionCallingConfig", |w| match choice {
            ToolChoice::Auto => w.str_at("mode", "AUTO"),
            ToolChoice::None => w.str_at("mode", "NONE"),
            ToolChoice::Any => w.str_at("mode", "ANY"),
            ToolChoice::Named(name) => {
                w.str_at("mode", "ANY");
                w.array_at("allowedFunctionNames", |w| w.string(name));
            }
        });
    });
}

fn write_tool(writer: &mut Writer, tool: &Tool<'_>) {
    writer.str_at("name", &tool.name);
    writer.opt_str_at("description", tool.description.as_deref());
    match &tool.input {
        ToolInput::Schema(schema) => writer.json_at("parametersJsonSchema", schema),
        ToolInput::Any => {}
        ToolInput::Free(_) => writer.raw_at("parametersJsonSchema", FREE_INPUT),
    }
}

fn write_config(writer: &mut Writer, request: &Request<'_>) {
    writer.object_at("generationConfig", |w| {
        w.opt_u64_at("maxOutputTokens", request.max_tokens);
        w.opt_f64_at("temperature", request.temperature);
        w.opt_f64_at("topP", request.top_p);
        w.opt_u64_at("topK", request.top_k);
        w.opt_u64_at("seed", request.seed);
        w.opt_f64_at("presencePenalty", request.presence_penalty);
        w.opt_f64_at("frequencyPenalty", request.frequency_penalty);
        if !request.stop.is_empty() {
            w.array_at("stopSequences", |w| request.stop.iter().for_each(|stop| w.string(stop)));
        }
        match &request.format {
            None => {}
            Some(Format::Object) => w.str_at("responseMimeType", "application/json"),
            Some(Format::Schema { schema, .. }) => {
                w.str_at("responseMimeType", "application/json");
                w.json_at("responseJsonSchema", schema);
            }
        }
        if let Some(reasoning) = &request.reasoning {
            w.object_at("thinkingConfig", |w| write_thinking(w, reasoning));
        }
    });
}

fn write_thinking(writer: &mut Writer, reasoning: &Reasoning) {
    if reasoning.enabled == Some(false) {
        writer.u64_at("thinkingBudget", 0);
        return;
    }
    if let Some(budget) = reasoning.budget.or_else(|| reasoning.effort.map(|effort| effort.budget().min(24_576))) {
        writer.u64_at("thinkingBudget", budget);
    }
    writer.bool_at("includeThoughts", reasoning.visible.unwrap_or(true));
}
