//! Reading a request for vectors in each dialect. What is wrong is told with its place before anything is sent.

use std::borrow::Cow;

use super::{Form, Item, Request};
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::tree::{Node, note_unknown};
use crate::dialect::{Dialect, DialectError};

/// What an empty text is told.
const EMPTY: &str = "an empty text has no vector";
/// What an empty batch is told.
const NOTHING: &str = "there is nothing in it: at least one text is needed";

/// Reads a request.
///
/// # Errors
/// [`DialectError::Field`] with the place of what is wrong.
pub fn read<'t>(form: Form, tree: &'t Json<'t>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    let root = Node::root(tree);
    root.object()?;
    match (form.dialect, form.one) {
        (Dialect::Gemini, true) => gemini_one(&root),
        (Dialect::Gemini, false) => gemini(&root),
        (Dialect::Ollama, true) => ollama_one(&root, losses),
        (Dialect::Ollama, false) => ollama(&root, losses),
        (Dialect::Anthropic | Dialect::Chat | Dialect::Responses, _) => openai(&root, losses),
    }
}

fn plain<'t>(items: Vec<Item<'t>>, place: &'static str) -> Request<'t> {
    Request { items, dimensions: None, base64: false, truncate: None, task: None, place }
}

fn dimensions(root: &Node<'_, '_>, key: &str) -> Result<Option<u64>, DialectError> {
    let Some(node) = root.opt(key) else { return Ok(None) };
    match node.u64()? {
        0 => Err(node.error("a vector has at least one number")),
        count => Ok(Some(count)),
    }
}

fn text<'t>(node: &Node<'_, 't>) -> Result<Item<'t>, DialectError> {
    match node.text()? {
        text if text.is_empty() => Err(node.error(EMPTY)),
        text => Ok(Item::Text(text)),
    }
}

fn openai<'t>(root: &Node<'_, 't>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    note_unknown(root, &["model", "input", "encoding_format", "dimensions"], losses);
    let input = root.need("input")?;
    let items = match input.value {
        Json::String(_) => vec![text(&input)?],
        Json::Array(elements) if elements.is_empty() => return Err(input.error(NOTHING)),
        Json::Array(elements) if matches!(elements.first(), Some(Json::Number(_))) => vec![tokens(&input)?],
        Json::Array(_) => input
            .items()?
            .map(|node| if matches!(node.value, Json::Array(_)) { tokens(&node) } else { text(&node) })
            .collect::<Result<_, _>>()?,
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => {
            return Err(
                input.error(format!("a text or an array of texts is needed here, this is {}", input.value.kind()))
            );
        }
    };
    let base64 = match root.opt("encoding_format") {
        None => false,
        Some(node) => match node.str()? {
            "float" => false,
            "base64" => true,
            _ => return Err(node.error("it is `float` or `base64`")),
        },
    };
    // OpenAI refuses a text that is too long; Ollama would embed its beginning and say nothing.
    Ok(Request { dimensions: dimensions(root, "dimensions")?, base64, truncate: Some(false), ..plain(items, "input") })
}

/// A text that is given as tokens.
fn tokens<'t>(node: &Node<'_, 't>) -> Result<Item<'t>, DialectError> {
    let mut count = 0;
    for token in node.items()? {
        token.u64()?;
        count += 1;
    }
    if count == 0 { Err(node.error(EMPTY)) } else { Ok(Item::Tokens(count)) }
}

fn ollama<'t>(root: &Node<'_, 't>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    note_unknown(root, &["model", "input", "truncate", "dimensions"], losses);
    let input = root.need("input")?;
    let items = match input.value {
        Json::Array(elements) if elements.is_empty() => return Err(input.error(NOTHING)),
        Json::Array(_) => input.items()?.map(|node| text(&node)).collect::<Result<_, _>>()?,
        _ => vec![text(&input)?],
    };
    Ok(Request {
        dimensions: dimensions(root, "dimensions")?,
        truncate: root.opt_bool("truncate")?,
        ..plain(items, "input")
    })
}

fn ollama_one<'t>(root: &Node<'_, 't>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    note_unknown(root, &["model", "prompt"], losses);
    Ok(plain(vec![text(&root.need("prompt")?)?], "prompt"))
}

fn gemini_one<'t>(root: &Node<'_, 't>) -> Result<Request<'t>, DialectError> {
    let item = content(&root.need("content")?)?;
    let (dimensions, task) = settings(root)?;
    Ok(Request { dimensions, task, truncate: truncate(root)?, ..plain(vec![item], "content") })
}

fn gemini<'t>(root: &Node<'_, 't>) -> Result<Request<'t>, DialectError> {
    let requests = root.need("requests")?;
    if requests.array()?.is_empty() {
        return Err(requests.error(NOTHING));
    }
    let mut whole = plain(Vec::new(), "requests");
    for (at, request) in requests.items()?.enumerate() {
        request.object()?;
        whole.items.push(content(&request.need("content")?)?);
        let (dimensions, task) = settings(&request)?;
        let truncate = truncate(&request)?;
        if at == 0 {
            (whole.dimensions, whole.task, whole.truncate) = (dimensions, task, truncate);
        } else if dimensions != whole.dimensions {
            let message = "all vectors of one call have as many numbers: it differs from the request before";
            return Err(DialectError::field(format!("{}.outputDimensionality", request.path()), message));
        } else if task != whole.task {
            // Each of its vectors is for something else; only Gemini itself knows for what.
            whole.task = None;
        }
    }
    Ok(whole)
}

/// Numbers of a vector and what it is for: in the request itself, or in the newer `embedContentConfig`.
fn settings<'t>(request: &Node<'_, 't>) -> Result<(Option<u64>, Option<Cow<'t, str>>), DialectError> {
    let (count, task) = own_settings(request)?;
    let (inner_count, inner_task) = match config(request) {
        Some(config) => own_settings(&config)?,
        None => (None, None),
    };
    Ok((count.or(inner_count), task.or(inner_task)))
}

fn own_settings<'t>(node: &Node<'_, 't>) -> Result<(Option<u64>, Option<Cow<'t, str>>), DialectError> {
    let count = match dimensions(node, "outputDimensionality")? {
        None => dimensions(node, "output_dimensionality")?,
        given => given,
    };
    let task = match node.opt_text("taskType")? {
        None => node.opt_text("task_type")?,
        given => given,
    };
    Ok((count, task))
}

fn truncate(request: &Node<'_, '_>) -> Result<Option<bool>, DialectError> {
    config(request).map_or(Ok(None), |config| config.opt_bool("autoTruncate"))
}

fn config<'s, 't>(request: &'s Node<'_, 't>) -> Option<Node<'s, 't>> {
    request.opt("embedContentConfig").or_else(|| request.opt("embed_content_config"))
}

/// A content: its texts make one vector. With anything else in it, it is said in Gemini's words alone.
fn content<'t>(content: &Node<'_, 't>) -> Result<Item<'t>, DialectError> {
    let parts = content.need("parts")?;
    let mut texts = Vec::new();
    for part in parts.items()? {
        part.object()?;
        match part.opt_text("text")? {
            Some(text) => texts.push(text),
            None => return Ok(Item::Parts((content.value.to_text().len() as u64).div_ceil(3))),
        }
    }
    let whole = match texts.len() {
        0 => return Err(parts.error(NOTHING)),
        1 => texts.remove(0),
        _ => Cow::Owned(texts.join("\n")),
    };
    if whole.is_empty() { Err(parts.error(EMPTY)) } else { Ok(Item::Text(whole)) }
}
