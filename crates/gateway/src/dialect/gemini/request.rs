//! Reading a request of a caller who speaks to Gemini. Model and streaming stand in the path.

use super::{either, parts, schema};
use crate::dialect::DialectError;
use crate::dialect::loss::Losses;
use crate::dialect::model::{Effort, Format, Reasoning, Request, Role, System, Tool, ToolChoice, ToolInput, push};
use crate::dialect::tool_id::Matcher;
use crate::dialect::tree::{Node, note_unknown};

const KNOWN: [&str; 12] = [
    "contents",
    "systemInstruction",
    "system_instruction",
    "tools",
    "toolConfig",
    "tool_config",
    "generationConfig",
    "generation_config",
    "model",
    "safetySettings",
    "safety_settings",
    "labels",
];

pub(crate) fn read<'t>(root: &Node<'_, 't>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    note_unknown(root, &KNOWN, losses);
    let mut request = Request { model: root.opt_text("model")?.unwrap_or_default(), ..Request::default() };
    if let Some(system) = either(root, "systemInstruction", "system_instruction") {
        if system.is_string() {
            request.system.push(System { text: system.text()?, cache: None });
        } else {
            for part in system.need("parts")?.items()? {
                request.system.push(System { text: part.need_text("text")?, cache: None });
            }
        }
    }
    let mut matcher = Matcher::default();
    for content in root.need("contents")?.items()? {
        let role = match content.opt_str("role")?.unwrap_or("user") {
            "user" | "function" => Role::User,
            "model" => Role::Assistant,
            other => return Err(content.error(format!("there is no role `{other}`: user, model"))),
        };
        let mut blocks = Vec::new();
        for part in content.need("parts")?.items()? {
            parts::read(&part, &mut matcher, &mut blocks, losses)?;
        }
        for block in blocks {
            push(&mut request.messages, role, block);
        }
    }
    if let Some(tools) = root.opt("tools") {
        for tool in tools.items()? {
            read_tools(&tool, &mut request, losses)?;
        }
    }
    if let Some(config) = either(root, "toolConfig", "tool_config")
        && let Some(calling) = either(&config, "functionCallingConfig", "function_calling_config")
    {
        request.tool_choice = read_choice(&calling, losses)?;
    }
    if let Some(config) = either(root, "generationConfig", "generation_config") {
        read_config(&config, &mut request)?;
    }
    Ok(request)
}

fn read_tools<'t>(tool: &Node<'_, 't>, request: &mut Request<'t>, losses: &mut Losses) -> Result<(), DialectError> {
    for (key, _) in tool.object()? {
        if key != "functionDeclarations" && key != "function_declarations" {
            losses.note(tool.path(), format!("the tool `{key}` is run by Gemini alone and is left out"));
        }
    }
    let Some(declarations) = either(tool, "functionDeclarations", "function_declarations") else { return Ok(()) };
    for declaration in declarations.items()? {
        let parameters = either(&declaration, "parametersJsonSchema", "parameters_json_schema")
            .or_else(|| declaration.opt("parameters"));
        request.tools.push(Tool {
            name: declaration.need_text("name")?,
            description: declaration.opt_text("description")?,
            input: match parameters {
                Some(parameters) => {
                    parameters.object()?;
                    ToolInput::Schema(schema::normal(parameters.value))
                }
                None => ToolInput::Any,
            },
            strict: None,
            cache: None,
        });
    }
    Ok(())
}

fn read_choice<'t>(calling: &Node<'_, 't>, losses: &mut Losses) -> Result<Option<ToolChoice<'t>>, DialectError> {
    Ok(match calling.opt_str("mode")?.unwrap_or("AUTO") {
        "NONE" => Some(ToolChoice::None),
        "ANY" => {
            let mut names = Vec::new();
            if let Some(allowed) = either(calling, "allowedFunctionNames", "allowed_function_names") {
                for name in allowed.items()? {
                    names.push(name.text()?);
                }
            }
            match names.as_slice() {
                [one] => Some(ToolChoice::Named(one.clone())),
                [] => Some(ToolChoice::Any),
                _ => {
                    losses.note("allowedFunctionNames", "others can force one tool or any: any of all may be called");
                    Some(ToolChoice::Any)
                }
            }
        }
        "AUTO" | "VALIDATED" | "MODE_UNSPECIFIED" => Some(ToolChoice::Auto),
        other => return Err(calling.error(format!("there is no mode `{other}`: AUTO, ANY, NONE"))),
    })
}

fn read_config<'t>(config: &Node<'_, 't>, request: &mut Request<'t>) -> Result<(), DialectError> {
    let number = |camel: &str, snake: &str| either(config, camel, snake).map(|node| node.u64()).transpose();
    let real = |camel: &str, snake: &str| either(config, camel, snake).map(|node| node.f64()).transpose();
    if number("candidateCount", "candidate_count")?.is_some_and(|count| count > 1) {
        return Err(
            config.error("`candidateCount`: more than one answer cannot be asked of a provider of another dialect")
        );
    }
    request.max_tokens = number("maxOutputTokens", "max_output_tokens")?;
    request.temperature = config.opt_f64("temperature")?;
    request.top_p = real("topP", "top_p")?;
    // Gemini CLI writes it as 64.0.
    request.top_k = real("topK", "top_k")?.filter(|k| *k >= 0.0 && *k < 1e9).map(|k| k.round() as u64);
    request.seed = config.opt_u64("seed")?;
    request.presence_penalty = real("presencePenalty", "presence_penalty")?;
    request.frequency_penalty = real("frequencyPenalty", "frequency_penalty")?;
    if let Some(stops) = either(config, "stopSequences", "stop_sequences") {
        for stop in stops.items()? {
            request.stop.push(stop.text()?);
        }
    }
    let schema = either(config, "responseJsonSchema", "response_json_schema")
        .or_else(|| either(config, "responseSchema", "response_schema"));
    let media_type = either(config, "responseMimeType", "response_mime_type").map(|node| node.str()).transpose()?;
    request.format = match schema {
        Some(schema) => Some(Format::Schema { name: None, schema: schema::normal(schema.value), strict: None }),
        None => (media_type == Some("application/json")).then_some(Format::Object),
    };
    if let Some(thinking) = either(config, "thinkingConfig", "thinking_config") {
        request.reasoning = Some(read_thinking(&thinking)?);
    }
    Ok(())
}

fn read_thinking(thinking: &Node<'_, '_>) -> Result<Reasoning, DialectError> {
    // -1 lets the model decide.
    let budget = match either(thinking, "thinkingBudget", "thinking_budget") {
        Some(budget) => Some(budget.f64()?),
        None => None,
    };
    let level = either(thinking, "thinkingLevel", "thinking_level").map(|node| node.str()).transpose()?;
    let visible = either(thinking, "includeThoughts", "include_thoughts").map(|node| node.bool()).transpose()?;
    Ok(Reasoning {
        enabled: budget.map(|budget| budget != 0.0),
        effort: level.and_then(|level| Effort::from_name(&level.to_ascii_lowercase())),
        budget: budget.filter(|budget| *budget > 0.0 && *budget < 1e9).map(|budget| budget as u64),
        visible,
    })
}
