//! Reading a request of a caller who speaks responses.

use std::borrow::Cow;

use super::items;
use crate::dialect::DialectError;
use crate::dialect::loss::Losses;
use crate::dialect::model::{
    Block, Effort, Format, Reasoning, Request, Role, System, Tool, ToolChoice, ToolInput, push,
};
use crate::dialect::tree::{Node, note_unknown};

const KNOWN: [&str; 23] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "temperature",
    "top_p",
    "stream",
    "text",
    "reasoning",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "store",
    "include",
    "client_metadata",
    "metadata",
    "previous_response_id",
    "conversation",
    "background",
    "stream_options",
];

pub(crate) fn read<'t>(root: &Node<'_, 't>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    note_unknown(root, &KNOWN, losses);
    for field in ["previous_response_id", "conversation"] {
        if root.opt(field).is_some() {
            return Err(DialectError::field(
                field,
                "a provider of another dialect does not keep conversations; send the whole of it as `input`",
            ));
        }
    }
    if root.opt_bool("background")? == Some(true) {
        return Err(DialectError::field("background", "a provider of another dialect answers in the call alone"));
    }
    let user = match root.opt_text("safety_identifier")? {
        Some(user) => Some(user),
        None => root.opt_text("user")?,
    };
    let mut request = Request {
        model: root.need_text("model")?,
        max_tokens: root.opt_u64("max_output_tokens")?,
        temperature: root.opt_f64("temperature")?,
        top_p: root.opt_f64("top_p")?,
        stream: root.opt_bool("stream")?.unwrap_or(false),
        parallel_tool_calls: root.opt_bool("parallel_tool_calls")?,
        user,
        cache_key: root.opt_text("prompt_cache_key")?,
        ..Request::default()
    };
    if let Some(text) = root.opt_text("instructions")? {
        request.system.push(System { text, cache: None });
    }
    let input = root.need("input")?;
    if input.is_string() {
        push(&mut request.messages, Role::User, Block::Text { text: input.text()?, cache: None });
    } else {
        for item in input.items()? {
            read_item(&item, &mut request, losses)?;
        }
    }
    if let Some(tools) = root.opt("tools") {
        for tool in tools.items()? {
            read_tools(&tool, &mut request.tools, losses)?;
        }
    }
    if let Some(choice) = root.opt("tool_choice") {
        request.tool_choice = Some(read_choice(&choice)?);
    }
    if let Some(format) = root.opt("text").as_ref().and_then(|text| text.opt("format")) {
        request.format = read_format(&format)?;
    }
    if let Some(reasoning) = root.opt("reasoning") {
        let effort = reasoning.opt_str("effort")?;
        request.reasoning = Some(Reasoning {
            enabled: effort.map(|effort| effort != "none"),
            effort: effort.and_then(Effort::from_name),
            budget: None,
            visible: reasoning.opt("summary").is_some().then_some(true),
        });
    }
    Ok(request)
}

fn read_item<'t>(item: &Node<'_, 't>, request: &mut Request<'t>, losses: &mut Losses) -> Result<(), DialectError> {
    let messages = &mut request.messages;
    match item.opt_str("type")?.unwrap_or("message") {
        "message" => {
            let content = item.need("content")?;
            match item.need_str("role")? {
                "user" => {
                    for block in items::parts(&content, losses)? {
                        push(messages, Role::User, block);
                    }
                }
                "assistant" => {
                    for block in items::parts(&content, losses)? {
                        push(messages, Role::Assistant, block);
                    }
                }
                "system" | "developer" => {
                    for block in items::parts(&content, losses)? {
                        let Block::Text { text, cache } = block else {
                            losses.note(item.path(), "instructions are text: an image in them is left out");
                            continue;
                        };
                        if messages.is_empty() {
                            request.system.push(System { text, cache });
                        } else {
                            losses.note(item.path(), "instructions amid the conversation are sent as a user's text");
                            push(messages, Role::User, Block::Text { text, cache });
                        }
                    }
                }
                other => {
                    return Err(item.error(format!("there is no role `{other}`: system, developer, user, assistant")));
                }
            }
        }
        "reasoning" => {
            if let Some(block) = items::reasoning(item)? {
                push(messages, Role::Assistant, block);
            }
        }
        "function_call" => push(messages, Role::Assistant, items::call(item, false)?),
        "custom_tool_call" => push(messages, Role::Assistant, items::call(item, true)?),
        "function_call_output" => push(messages, Role::User, items::result(item, false, losses)?),
        "custom_tool_call_output" => push(messages, Role::User, items::result(item, true, losses)?),
        "additional_tools" => {
            for tool in item.need("tools")?.items()? {
                read_tools(&tool, &mut request.tools, losses)?;
            }
        }
        "item_reference" => {
            return Err(item.error("a provider of another dialect does not keep items; send the item itself"));
        }
        other => losses.note(item.path(), format!("other dialects have no item of type `{other}`: it is left out")),
    }
    Ok(())
}

/// The namespace whose tools are called by their names alone.
const PLAIN_NAMESPACE: &str = "functions";

/// A tool, or the tools of a namespace: Codex declares its own in one.
fn read_tools<'t>(tool: &Node<'_, 't>, tools: &mut Vec<Tool<'t>>, losses: &mut Losses) -> Result<(), DialectError> {
    if tool.need_str("type")? != "namespace" {
        tools.extend(read_tool(tool, losses)?);
        return Ok(());
    }
    if tool.need_str("name")? != PLAIN_NAMESPACE {
        losses.note(tool.path(), "other dialects have no namespaces of tools: it is left out");
        return Ok(());
    }
    for tool in tool.need("tools")?.items()? {
        tools.extend(read_tool(&tool, losses)?);
    }
    Ok(())
}

fn read_tool<'t>(tool: &Node<'_, 't>, losses: &mut Losses) -> Result<Option<Tool<'t>>, DialectError> {
    let input = match tool.need_str("type")? {
        "function" => match tool.opt("parameters") {
            Some(parameters) => {
                parameters.object()?;
                ToolInput::Schema(Cow::Borrowed(parameters.value))
            }
            None => ToolInput::Any,
        },
        "custom" => ToolInput::Free(tool.opt("format").map(|format| format.value)),
        other => {
            losses.note(tool.path(), format!("the tool `{other}` is run by its provider alone and is left out"));
            return Ok(None);
        }
    };
    Ok(Some(Tool {
        name: tool.need_text("name")?,
        description: tool.opt_text("description")?,
        input,
        strict: tool.opt_bool("strict")?,
        cache: None,
    }))
}

fn read_choice<'t>(choice: &Node<'_, 't>) -> Result<ToolChoice<'t>, DialectError> {
    if choice.is_string() {
        return match choice.str()? {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Any),
            other => Err(choice.error(format!("there is no choice `{other}`: auto, none, required, or a function"))),
        };
    }
    match choice.need_str("type")? {
        "function" | "custom" => Ok(ToolChoice::Named(choice.need_text("name")?)),
        other => Err(choice.error(format!("a choice of type `{other}` cannot be sent in another dialect"))),
    }
}

fn read_format<'t>(format: &Node<'_, 't>) -> Result<Option<Format<'t>>, DialectError> {
    match format.need_str("type")? {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Object)),
        "json_schema" => Ok(Some(Format::Schema {
            name: format.opt_text("name")?,
            schema: Cow::Borrowed(format.need("schema")?.value),
            strict: format.opt_bool("strict")?,
        })),
        other => Err(format.error(format!("there is no format `{other}`: text, json_object, json_schema"))),
    }
}
