//! Reading a request of a caller who speaks chat completions.

use std::borrow::Cow;

use super::{messages, parts};
use crate::dialect::DialectError;
use crate::dialect::loss::Losses;
use crate::dialect::model::{
    Block, Effort, Format, Reasoning, Request, Role, System, Tool, ToolChoice, ToolInput, push,
};
use crate::dialect::tree::{Node, note_unknown};

const KNOWN: [&str; 24] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "response_format",
    "reasoning_effort",
    "reasoning",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "n",
    "store",
];

pub(crate) fn read<'t>(root: &Node<'_, 't>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    note_unknown(root, &KNOWN, losses);
    let max_tokens = match root.opt_u64("max_completion_tokens")? {
        Some(tokens) => Some(tokens),
        None => root.opt_u64("max_tokens")?,
    };
    let user = match root.opt_text("safety_identifier")? {
        Some(user) => Some(user),
        None => root.opt_text("user")?,
    };
    let mut request = Request {
        model: root.need_text("model")?,
        max_tokens,
        temperature: root.opt_f64("temperature")?,
        top_p: root.opt_f64("top_p")?,
        top_k: root.opt_u64("top_k")?,
        presence_penalty: root.opt_f64("presence_penalty")?,
        frequency_penalty: root.opt_f64("frequency_penalty")?,
        seed: root.opt_u64("seed")?,
        stream: root.opt_bool("stream")?.unwrap_or(false),
        parallel_tool_calls: root.opt_bool("parallel_tool_calls")?,
        user,
        cache_key: root.opt_text("prompt_cache_key")?,
        ..Request::default()
    };
    if root.opt_u64("n")?.is_some_and(|n| n > 1) {
        return Err(DialectError::field("n", "more than one answer cannot be asked of a provider of another dialect"));
    }
    if let Some(options) = root.opt("stream_options") {
        request.include_usage = options.opt_bool("include_usage")?.unwrap_or(false);
    }
    for message in root.need("messages")?.items()? {
        read_message(&message, &mut request, losses)?;
    }
    if let Some(tools) = root.opt("tools") {
        for tool in tools.items()? {
            request.tools.extend(read_tool(&tool, losses)?);
        }
    }
    if let Some(choice) = root.opt("tool_choice") {
        request.tool_choice = Some(read_choice(&choice)?);
    }
    if let Some(stop) = root.opt("stop") {
        if stop.is_string() {
            request.stop.push(stop.text()?);
        } else {
            for item in stop.items()? {
                request.stop.push(item.text()?);
            }
        }
    }
    if let Some(format) = root.opt("response_format") {
        request.format = read_format(&format)?;
    }
    request.reasoning = read_reasoning(root)?;
    Ok(request)
}

fn read_message<'t>(
    message: &Node<'_, 't>,
    request: &mut Request<'t>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let role = message.need_str("role")?;
    match role {
        "system" | "developer" => {
            for block in parts::read(&message.need("content")?, losses)? {
                let Block::Text { text, cache } = block else {
                    losses.note(message.path(), "instructions are text: an image in them is left out");
                    continue;
                };
                if request.messages.is_empty() {
                    request.system.push(System { text, cache });
                } else {
                    losses.note(message.path(), "instructions amid the conversation are sent as a user's text");
                    push(&mut request.messages, Role::User, Block::Text { text, cache });
                }
            }
        }
        "user" => {
            for block in parts::read(&message.need("content")?, losses)? {
                push(&mut request.messages, Role::User, block);
            }
        }
        "assistant" => {
            for block in messages::read_assistant(message, losses)? {
                push(&mut request.messages, Role::Assistant, block);
            }
        }
        "tool" => push(&mut request.messages, Role::User, messages::read_result(message, losses)?),
        other => {
            return Err(message.error(format!("there is no role `{other}`: system, developer, user, assistant, tool")));
        }
    }
    Ok(())
}

fn read_tool<'t>(tool: &Node<'_, 't>, losses: &mut Losses) -> Result<Option<Tool<'t>>, DialectError> {
    match tool.need_str("type")? {
        "function" => {
            let function = tool.need("function")?;
            let input = match function.opt("parameters") {
                Some(parameters) => {
                    parameters.object()?;
                    ToolInput::Schema(Cow::Borrowed(parameters.value))
                }
                None => ToolInput::Any,
            };
            Ok(Some(Tool {
                name: function.need_text("name")?,
                description: function.opt_text("description")?,
                input,
                strict: function.opt_bool("strict")?,
                cache: None,
            }))
        }
        "custom" => {
            let custom = tool.need("custom")?;
            Ok(Some(Tool {
                name: custom.need_text("name")?,
                description: custom.opt_text("description")?,
                input: ToolInput::Free(custom.opt("format").map(|format| format.value)),
                strict: None,
                cache: None,
            }))
        }
        other => {
            losses.note(tool.path(), format!("the tool `{other}` is run by its provider alone and is left out"));
            Ok(None)
        }
    }
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
        "function" => Ok(ToolChoice::Named(choice.need("function")?.need_text("name")?)),
        "custom" => Ok(ToolChoice::Named(choice.need("custom")?.need_text("name")?)),
        other => Err(choice.error(format!("a choice of type `{other}` cannot be sent in another dialect"))),
    }
}

fn read_format<'t>(format: &Node<'_, 't>) -> Result<Option<Format<'t>>, DialectError> {
    match format.need_str("type")? {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Object)),
        "json_schema" => {
            let wrapper = format.need("json_schema")?;
            Ok(Some(Format::Schema {
                name: wrapper.opt_text("name")?,
                schema: Cow::Borrowed(wrapper.need("schema")?.value),
                strict: wrapper.opt_bool("strict")?,
            }))
        }
        other => Err(format.error(format!("there is no format `{other}`: text, json_object, json_schema"))),
    }
}

fn read_reasoning(root: &Node<'_, '_>) -> Result<Option<Reasoning>, DialectError> {
    let mut reasoning = None;
    let mut say = |word: &str| {
        let said: &mut Reasoning = reasoning.get_or_insert_default();
        said.enabled = Some(word != "none");
        said.effort = Effort::from_name(word);
    };
    if let Some(effort) = root.opt_str("reasoning_effort")? {
        say(effort);
    }
    if let Some(wrapper) = root.opt("reasoning") {
        if let Some(effort) = wrapper.opt_str("effort")? {
            say(effort);
        }
        if let Some(budget) = wrapper.opt_u64("max_tokens")? {
            reasoning.get_or_insert_default().budget = Some(budget);
        }
    }
    Ok(reasoning)
}
