//! Reading a request of a caller who speaks to Anthropic.

use std::borrow::Cow;

use super::blocks;
use crate::dialect::DialectError;
use crate::dialect::loss::Losses;
use crate::dialect::model::{Effort, Format, Message, Reasoning, Request, Role, System, Tool, ToolChoice, ToolInput};
use crate::dialect::tree::{Node, note_unknown};

const KNOWN: [&str; 16] = [
    "model",
    "system",
    "messages",
    "tools",
    "tool_choice",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
    "thinking",
    "metadata",
    "output_config",
    "output_format",
    "cache_control",
];

pub(crate) fn read<'t>(root: &Node<'_, 't>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    note_unknown(root, &KNOWN, losses);
    let mut request = Request {
        model: root.need_text("model")?,
        max_tokens: root.opt_u64("max_tokens")?,
        temperature: root.opt_f64("temperature")?,
        top_p: root.opt_f64("top_p")?,
        top_k: root.opt_u64("top_k")?,
        stream: root.opt_bool("stream")?.unwrap_or(false),
        ..Request::default()
    };
    if let Some(system) = root.opt("system") {
        read_system(&system, &mut request, losses)?;
    }
    let messages = root.need("messages")?;
    for message in messages.items()? {
        let read = read_message(&message, losses)?;
        match request.messages.last_mut().filter(|last| last.role == read.role) {
            Some(last) => last.content.extend(read.content),
            None => request.messages.push(read),
        }
    }
    if let Some(tools) = root.opt("tools") {
        for tool in tools.items()? {
            request.tools.extend(read_tool(&tool, losses)?);
        }
    }
    if let Some(choice) = root.opt("tool_choice") {
        request.tool_choice = Some(match choice.need_str("type")? {
            "auto" => ToolChoice::Auto,
            "any" => ToolChoice::Any,
            "none" => ToolChoice::None,
            "tool" => ToolChoice::Named(choice.need_text("name")?),
            other => return Err(choice.error(format!("there is no choice of type `{other}`: auto, any, tool, none"))),
        });
        request.parallel_tool_calls = choice.opt_bool("disable_parallel_tool_use")?.map(|disabled| !disabled);
    }
    if let Some(stops) = root.opt("stop_sequences") {
        for stop in stops.items()? {
            request.stop.push(stop.text()?);
        }
    }
    if let Some(metadata) = root.opt("metadata") {
        request.user = metadata.opt_text("user_id")?;
    }
    read_reasoning(root, &mut request)?;
    Ok(request)
}

fn read_system<'t>(system: &Node<'_, 't>, request: &mut Request<'t>, losses: &mut Losses) -> Result<(), DialectError> {
    if system.is_string() {
        request.system.push(System { text: system.text()?, cache: None });
        return Ok(());
    }
    for block in system.items()? {
        if block.need_str("type")? != "text" {
            losses.note(block.path(), "instructions are text: the block is left out");
            continue;
        }
        let text = block.need("text")?;
        if blocks::is_billing(text.value) {
            losses.note(block.path(), "Claude Code's billing header is for Anthropic alone and is left out");
            continue;
        }
        request.system.push(System { text: text.text()?, cache: blocks::cache(&block) });
    }
    Ok(())
}

fn read_message<'t>(message: &Node<'_, 't>, losses: &mut Losses) -> Result<Message<'t>, DialectError> {
    let role = match message.need_str("role")? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        // Claude Code's, with the beta of that name.
        "system" => {
            losses.note(message.path(), "instructions amid the conversation are sent as a user's text");
            Role::User
        }
        other => return Err(message.error(format!("there is no role `{other}`: user, assistant"))),
    };
    let content = message.need("content")?;
    let mut read = Vec::new();
    if content.is_string() {
        read.push(crate::dialect::model::Block::Text { text: content.text()?, cache: None });
    } else {
        for block in content.items()? {
            read.extend(blocks::read(&block, losses)?);
        }
    }
    Ok(Message { role, content: read })
}

fn read_tool<'t>(tool: &Node<'_, 't>, losses: &mut Losses) -> Result<Option<Tool<'t>>, DialectError> {
    if let Some(sort) = tool.opt_str("type")?
        && sort != "custom"
    {
        losses.note(tool.path(), format!("the tool `{sort}` is run by Anthropic alone and is left out"));
        return Ok(None);
    }
    let input = match tool.opt("input_schema") {
        Some(schema) => {
            schema.object()?;
            ToolInput::Schema(Cow::Borrowed(schema.value))
        }
        None => ToolInput::Any,
    };
    Ok(Some(Tool {
        name: tool.need_text("name")?,
        description: tool.opt_text("description")?,
        input,
        strict: tool.opt_bool("strict")?,
        cache: blocks::cache(tool),
    }))
}

fn read_reasoning<'t>(root: &Node<'_, 't>, request: &mut Request<'t>) -> Result<(), DialectError> {
    let mut reasoning = None;
    if let Some(thinking) = root.opt("thinking") {
        let enabled = thinking.need_str("type")? != "disabled";
        reasoning = Some(Reasoning {
            enabled: Some(enabled),
            budget: thinking.opt_u64("budget_tokens")?,
            visible: Some(enabled && thinking.soft_str("display") != Some("omitted")),
            effort: None,
        });
    }
    if let Some(config) = root.opt("output_config") {
        if let Some(effort) = config.opt_str("effort")? {
            reasoning.get_or_insert_default().effort = Effort::from_name(effort);
        }
        if let Some(format) = config.opt("format") {
            request.format = read_format(&format)?;
        }
    }
    if let Some(format) = root.opt("output_format") {
        request.format = read_format(&format)?;
    }
    request.reasoning = reasoning;
    Ok(())
}

fn read_format<'t>(format: &Node<'_, 't>) -> Result<Option<Format<'t>>, DialectError> {
    match format.need_str("type")? {
        "json_schema" => Ok(Some(Format::Schema {
            name: None,
            schema: Cow::Borrowed(format.need("schema")?.value),
            strict: Some(true),
        })),
        other => Err(format.error(format!("there is no format `{other}`: json_schema"))),
    }
}
