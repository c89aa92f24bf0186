//! Writing a request for vectors: for a provider of another dialect, or a part of the caller's own for one that takes no more at once.

use std::borrow::Cow;
use std::ops::Range;

use super::{Form, Item, Request};
use crate::dialect::json::Json;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError};

/// Writes the items at `range` for a provider of `dialect` that calls its model `model`.
///
/// # Errors
/// [`DialectError::Impossible`] for items that are no texts, and for a dialect that has no vectors.
pub fn write(
    request: &Request<'_>,
    range: Range<usize>,
    dialect: Dialect,
    model: &str,
) -> Result<Vec<u8>, DialectError> {
    let start = range.start;
    let items = request.items.get(range).unwrap_or_default();
    let texts = items
        .iter()
        .enumerate()
        .map(|(at, item)| text(request, start + at, item, dialect))
        .collect::<Result<Vec<&str>, _>>()?;
    let mut writer = Writer::default();
    match dialect {
        Dialect::Chat | Dialect::Responses => writer.object(|w| {
            w.str_at("model", model);
            strings(w, "input", &texts);
            w.opt_u64_at("dimensions", request.dimensions);
        }),
        Dialect::Ollama => writer.object(|w| {
            w.str_at("model", model);
            strings(w, "input", &texts);
            if let Some(truncate) = request.truncate {
                w.bool_at("truncate", truncate);
            }
            w.opt_u64_at("dimensions", request.dimensions);
        }),
        Dialect::Gemini => {
            let name = resource(model);
            writer.object(|w| {
                w.array_at("requests", |w| {
                    for text in &texts {
                        w.object(|w| {
                            w.str_at("model", &name);
                            w.object_at("content", |w| {
                                w.array_at("parts", |w| w.object(|w| w.str_at("text", text)));
                            });
                            // From the second generation on it is said in the text itself.
                            if model.contains("embedding-001") {
                                w.opt_str_at("taskType", request.task.as_deref());
                            }
                            w.opt_u64_at("outputDimensionality", request.dimensions);
                        });
                    }
                });
            });
        }
        Dialect::Anthropic => {
            let message = "it makes no vectors";
            return Err(DialectError::impossible(request.place, dialect, message));
        }
    }
    Ok(writer.into_bytes())
}

fn text<'r>(request: &Request<'_>, at: usize, item: &'r Item<'_>, dialect: Dialect) -> Result<&'r str, DialectError> {
    let message = match item {
        Item::Text(text) => return Ok(text),
        Item::Tokens(_) => "tokens of one model mean nothing to another: send the text",
        Item::Parts(_) => "only texts can be asked of it",
    };
    let place = if request.items.len() == 1 { request.place.to_owned() } else { format!("{}[{at}]", request.place) };
    Err(DialectError::impossible(place, dialect, message))
}

fn strings(writer: &mut Writer, key: &str, texts: &[&str]) {
    writer.array_at(key, |w| {
        for text in texts {
            w.string(text);
        }
    });
}

/// A model as Gemini's bodies name it.
fn resource(model: &str) -> String {
    if model.starts_with("models/") { model.to_owned() } else { format!("models/{model}") }
}

/// The caller's own request with `model` in it and the items at `range` alone; all that is not known here stays. Vectors of a part
/// are wanted as numbers, since they are joined.
#[must_use]
pub fn rewritten(form: Form, tree: &Json<'_>, range: Range<usize>, model: &str, is_part: bool) -> Vec<u8> {
    let mut tree = tree.clone();
    let name = match form.dialect {
        Dialect::Gemini => resource(model),
        _ => model.to_owned(),
    };
    if let Json::Object(members) = &mut tree {
        if is_part {
            members.retain(|(key, _)| key != "encoding_format");
        }
        if form.dialect != Dialect::Gemini || form.one {
            set(members, "model", &name);
        }
    }
    let list = if form.dialect == Dialect::Gemini { "requests" } else { "input" };
    if let Some(items) = tree.get_mut(list).and_then(Json::as_array_mut) {
        // An array of numbers is one text of tokens.
        if !matches!(items.first(), Some(Json::Number(_))) {
            items.truncate(range.end);
            items.drain(..range.start.min(items.len()));
        }
        if form.dialect == Dialect::Gemini {
            for item in items {
                if let Json::Object(members) = item {
                    set(members, "model", &name);
                }
            }
        }
    }
    tree.to_text().into_bytes()
}

fn set<'t>(members: &mut Vec<(Cow<'t, str>, Json<'t>)>, key: &'static str, value: &str) {
    let value = Json::string(value.to_owned());
    match members.iter_mut().find(|(name, _)| name == key) {
        Some((_, known)) => *known = value,
        None => members.insert(0, (Cow::Borrowed(key), value)),
    }
}
