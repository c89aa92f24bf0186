//! A request for Ollama, read and written.

use std::borrow::Cow;

use super::messages;
use crate::dialect::DialectError;
use crate::dialect::chat::FREE_INPUT;
use crate::dialect::loss::Losses;
use crate::dialect::model::{
    Block, Effort, Format, Reasoning, Request, Role, System, Tool, ToolChoice, ToolInput, push,
};
use crate::dialect::tool_id::Matcher;
use crate::dialect::translate::Target;
use crate::dialect::tree::{Node, note_unknown};
use crate::dialect::write::Writer;

const KNOWN: [&str; 11] =
    ["model", "messages", "prompt", "system", "images", "tools", "format", "options", "stream", "think", "keep_alive"];

const KNOWN_OPTIONS: [&str; 8] =
    ["num_predict", "temperature", "top_p", "top_k", "seed", "stop", "presence_penalty", "frequency_penalty"];

pub(crate) fn read<'t>(root: &Node<'_, 't>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    note_unknown(root, &KNOWN, losses);
    let mut request = Request {
        model: root.need_text("model")?,
        // Ollama streams where nothing is said.
        stream: root.opt_bool("stream")?.unwrap_or(true),
        ..Request::default()
    };
    if let Some(prompt) = root.opt_text("prompt")? {
        if let Some(text) = root.opt_text("system")? {
            request.system.push(System { text, cache: None });
        }
        push(&mut request.messages, Role::User, Block::Text { text: prompt, cache: None });
        if let Some(images) = root.opt("images") {
            for image in images.items()? {
                push(&mut request.messages, Role::User, messages::read_image(&image)?);
            }
        }
    } else {
        let mut matcher = Matcher::default();
        for message in root.need("messages")?.items()? {
            read_message(&message, &mut request, &mut matcher)?;
        }
    }
    if let Some(tools) = root.opt("tools") {
        for tool in tools.items()? {
            let function = tool.need("function")?;
            request.tools.push(Tool {
                name: function.need_text("name")?,
                description: function.opt_text("description")?,
                input: match function.opt("parameters") {
                    Some(parameters) => ToolInput::Schema(Cow::Borrowed(parameters.value)),
                    None => ToolInput::Any,
                },
                strict: None,
                cache: None,
            });
        }
    }
    if let Some(format) = root.opt("format") {
        request.format = if format.is_string() {
            match format.str()? {
                "" => None,
                "json" => Some(Format::Object),
                other => return Err(format.error(format!("there is no format `{other}`: json, or a schema"))),
            }
        } else {
            Some(Format::Schema { name: None, schema: Cow::Borrowed(format.value), strict: None })
        };
    }
    if let Some(options) = root.opt("options") {
        read_options(&options, &mut request, losses)?;
    }
    if let Some(think) = root.opt("think") {
        let word = if think.is_string() { Some(think.str()?) } else { None };
        request.reasoning = Some(Reasoning {
            enabled: Some(if word.is_some() { true } else { think.bool()? }),
            effort: word.and_then(Effort::from_name),
            ..Reasoning::default()
        });
    }
    Ok(request)
}

fn read_message<'t>(
    message: &Node<'_, 't>,
    request: &mut Request<'t>,
    matcher: &mut Matcher,
) -> Result<(), DialectError> {
    match message.need_str("role")? {
        "system" => {
            let text = message.need_text("content")?;
            if request.messages.is_empty() {
                request.system.push(System { text, cache: None });
            } else {
                push(&mut request.messages, Role::User, Block::Text { text, cache: None });
            }
        }
        "tool" => push(&mut request.messages, Role::User, messages::read_result(message, matcher)?),
        role @ ("user" | "assistant") => {
            let role = if role == "user" { Role::User } else { Role::Assistant };
            for block in messages::read(message, matcher)? {
                push(&mut request.messages, role, block);
            }
        }
        other => return Err(message.error(format!("there is no role `{other}`: system, user, assistant, tool"))),
    }
    Ok(())
}

fn read_options<'t>(
    options: &Node<'_, 't>,
    request: &mut Request<'t>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    note_unknown(options, &KNOWN_OPTIONS, losses);
    // -1 and -2 stand for no limit.
    request.max_tokens = options.opt("num_predict").and_then(|node| node.value.as_u64());
    request.temperature = options.opt_f64("temperature")?;
    request.top_p = options.opt_f64("top_p")?;
    request.top_k = options.opt_u64("top_k")?;
    request.seed = options.opt_u64("seed")?;
    request.presence_penalty = options.opt_f64("presence_penalty")?;
    request.frequency_penalty = options.opt_f64("frequency_penalty")?;
    if let Some(stop) = options.opt("stop") {
        if stop.is_string() {
            request.stop.push(stop.text()?);
        } else {
            for item in stop.items()? {
                request.stop.push(item.text()?);
            }
        }
    }
    Ok(())
}

pub(crate) fn write(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, DialectError> {
    let mut writer = Writer::default();
    writer.object(|w| {
        w.str_at("model", target.model);
        w.bool_at("stream", request.stream);
        w.array_at("messages", |w| {
            for block in &request.system {
                w.object(|w| {
                    w.str_at("role", "system");
                    w.str_at("content", &block.text);
                });
            }
            request.messages.iter().try_for_each(|message| messages::write(w, message, request, losses))
        })?;
        write_tools(w, request, losses);
        match &request.format {
            None => {}
            Some(Format::Object) => w.str_at("format", "json"),
            Some(Format::Schema { schema, .. }) => w.json_at("format", schema),
        }
        if let Some(reasoning) = request.reasoning {
            match (reasoning.enabled, reasoning.effort) {
                (Some(false), _) => w.bool_at("think", false),
                // Models that know no levels refuse them; all that think take `true`.
                (Some(true), _) | (None, Some(_)) => w.bool_at("think", true),
                (None, None) => {}
            }
        }
        w.object_at("options", |w| {
            w.opt_u64_at("num_predict", request.max_tokens);
            w.opt_f64_at("temperature", request.temperature);
            w.opt_f64_at("top_p", request.top_p);
            w.opt_u64_at("top_k", request.top_k);
            w.opt_u64_at("seed", request.seed);
            w.opt_f64_at("presence_penalty", request.presence_penalty);
            w.opt_f64_at("frequency_penalty", request.frequency_penalty);
            if !request.stop.is_empty() {
                w.array_at("stop", |w| request.stop.iter().for_each(|stop| w.string(stop)));
            }
        });
        Ok::<(), DialectError>(())
    })?;
    for (given, field) in [
        (request.user.is_some(), "user"),
        (request.cache_key.is_some(), "prompt_cache_key"),
        (request.parallel_tool_calls.is_some(), "parallel_tool_calls"),
        (request.system.iter().any(|block| block.cache.is_some()), "cache_control"),
    ] {
        if given {
            losses.note(field, "Ollama has no such field: it is left out");
        }
    }
    Ok(writer.into_bytes())
}

fn write_tools(writer: &mut Writer, request: &Request<'_>, losses: &mut Losses) {
    match request.tool_choice {
        // Without tools none can be called.
        Some(ToolChoice::None) => return,
        Some(ToolChoice::Any | ToolChoice::Named(_)) => {
            losses.note("tool_choice", "Ollama cannot be made to call a tool: the model decides");
        }
        Some(ToolChoice::Auto) | None => {}
    }
    if request.tools.is_empty() {
        return;
    }
    writer.array_at("tools", |w| {
        for tool in &request.tools {
            w.object(|w| {
                w.str_at("type", "function");
                w.object_at("function", |w| {
                    w.str_at("name", &tool.name);
                    w.opt_str_at("description", tool.description.as_deref());
                    match &tool.input {
                        ToolInput::Schema(schema) => w.json_at("parameters", schema),
                        ToolInput::Any => w.raw_at("parameters", r#"{"type":"object","properties":{}}"#),
                        ToolInput::Free(_) => w.raw_at("parameters", FREE_INPUT),
                    }
                });
            });
        }
    });
}
