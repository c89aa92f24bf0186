//! Reading and writing an answer that holds vectors. One with another number of vectors than was asked for, or with vectors that do
//! not go together, is never handed on: whoever keeps them would compare what cannot be compared.

use serde::Deserialize;

use super::row::{Row, base64};
use super::{Expected, Form};
use crate::dialect::error::ApiError;
use crate::dialect::json::{self, Json};
use crate::dialect::translate::ReplyError;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError, Usage, meter};

/// What came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vectors {
    /// A vector an item, in the order of the items.
    pub rows: Vec<Vec<f32>>,
    /// Tokens, where the provider counted them.
    pub usage: Usage,
    /// The model that made them, where the provider says so.
    pub model: Option<String>,
}

#[derive(Deserialize)]
struct Body<'b> {
    data: Option<Vec<Datum>>,
    embeddings: Option<Vec<Row>>,
    embedding: Option<Row>,
    #[serde(borrow)]
    error: Option<Json<'b>>,
    model: Option<String>,
}

impl Body<'_> {
    fn has_vectors(&self) -> bool {
        let is_error = self.error.as_ref().is_some_and(|error| *error != Json::Null);
        !is_error && (self.data.is_some() || self.embeddings.is_some() || self.embedding.is_some())
    }
}

#[derive(Deserialize)]
struct Datum {
    index: Option<usize>,
    embedding: Row,
}

/// Reads an answer in a provider's `form`.
///
/// # Errors
/// [`ReplyError`]: it is not what was asked for, or an error in place of it.
pub fn read(form: Form, body: &[u8], expected: Expected) -> Result<Vectors, ReplyError> {
    let parsed = serde_json::from_slice::<Body<'_>>(body);
    // What stands in place of vectors may have any shape.
    if !parsed.as_ref().is_ok_and(Body::has_vectors) {
        let found = json::parse(body).ok().and_then(|tree| ApiError::of_body(&tree, 200));
        if let Some(error) = found {
            return Err(ReplyError::Error(error));
        }
    }
    let Body { data, embeddings, embedding, model, .. } = parsed.map_err(DialectError::from)?;
    let (place, rows) = match (form.dialect, form.one) {
        (Dialect::Gemini | Dialect::Ollama, true) => ("embedding", embedding.map(|row| vec![row.0])),
        (Dialect::Gemini | Dialect::Ollama, false) => {
            ("embeddings", embeddings.map(|rows| rows.into_iter().map(|row| row.0).collect()))
        }
        (Dialect::Anthropic | Dialect::Chat | Dialect::Responses, _) => ("data", data.map(ordered).transpose()?),
    };
    let rows: Vec<Vec<f32>> = rows.ok_or_else(|| DialectError::field(place, "it is missing"))?;
    check(place, &rows, expected)?;
    Ok(Vectors { rows, usage: usage(body), model })
}

/// The vectors by the numbers that they bear, where they bear any.
fn ordered(data: Vec<Datum>) -> Result<Vec<Vec<f32>>, DialectError> {
    if data.iter().all(|datum| datum.index.is_none()) {
        return Ok(data.into_iter().map(|datum| datum.embedding.0).collect());
    }
    let mut places: Vec<Option<Vec<f32>>> = vec![None; data.len()];
    for (at, Datum { index, embedding }) in data.into_iter().enumerate() {
        let wrong = || DialectError::field(format!("data[{at}].index"), "it is no place of its own among the vectors");
        let place = index.and_then(|index| places.get_mut(index)).ok_or_else(wrong)?;
        if place.replace(embedding.0).is_some() {
            return Err(wrong());
        }
    }
    Ok(places.into_iter().flatten().collect())
}

fn check(place: &str, rows: &[Vec<f32>], expected: Expected) -> Result<(), DialectError> {
    let Expected { count, dimensions } = expected;
    if rows.len() != count {
        return Err(DialectError::field(place, format!("{} vectors came for {count} texts", rows.len())));
    }
    let length = rows.first().map_or(0, Vec::len);
    if length == 0 {
        return Err(DialectError::field(place, "a vector without numbers came"));
    }
    if let Some(at) = rows.iter().position(|row| row.len() != length) {
        let other = rows.get(at).map_or(0, Vec::len);
        let message = format!("vectors of {length} and of {other} numbers came together");
        return Err(DialectError::field(format!("{place}[{at}]"), message));
    }
    match dimensions {
        Some(wanted) if wanted != length as u64 => {
            Err(DialectError::field(place, format!("vectors of {length} numbers came where {wanted} were asked for")))
        }
        _ => Ok(()),
    }
}

/// The tokens of an answer. A vector has none of its own.
fn usage(body: &[u8]) -> Usage {
    Usage { output: Some(0), ..meter::embeddings(body).usage }
}

/// What a caller gets.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The vectors, in order.
    pub rows: &'a [Vec<f32>],
    /// The model that made them.
    pub model: &'a str,
    /// Tokens of the texts, counted or estimated.
    pub tokens: u64,
    /// Whether OpenAI's form is to hold base64.
    pub base64: bool,
}

/// Writes an answer in the caller's `form`.
#[must_use]
pub fn write(form: Form, answer: &Answer<'_>) -> Vec<u8> {
    let numbers: usize = answer.rows.iter().map(Vec::len).sum();
    let mut writer = Writer::onto(Vec::with_capacity(numbers * 12 + 256));
    writer.object(|w| match (form.dialect, form.one) {
        (Dialect::Gemini, true) => {
            w.object_at("embedding", |w| values(w, answer.rows.first()));
            gemini_usage(w, answer.tokens);
        }
        (Dialect::Gemini, false) => {
            w.array_at("embeddings", |w| {
                for row in answer.rows {
                    w.object(|w| values(w, Some(row)));
                }
            });
            gemini_usage(w, answer.tokens);
        }
        (Dialect::Ollama, true) => w.numbers_at("embedding", answer.rows.first().map_or(&[], Vec::as_slice)),
        (Dialect::Ollama, false) => {
            w.str_at("model", answer.model);
            w.array_at("embeddings", |w| {
                for row in answer.rows {
                    w.numbers(row);
                }
            });
            w.u64_at("prompt_eval_count", answer.tokens);
        }
        (Dialect::Anthropic | Dialect::Chat | Dialect::Responses, _) => {
            w.str_at("object", "list");
            w.array_at("data", |w| {
                for (at, row) in answer.rows.iter().enumerate() {
                    w.object(|w| {
                        w.str_at("object", "embedding");
                        w.u64_at("index", at as u64);
                        if answer.base64 {
                            w.str_at("embedding", &base64(row));
                        } else {
                            w.numbers_at("embedding", row);
                        }
                    });
                }
            });
            w.str_at("model", answer.model);
            w.object_at("usage", |w| {
                w.u64_at("prompt_tokens", answer.tokens);
                w.u64_at("total_tokens", answer.tokens);
            });
        }
    });
    writer.into_bytes()
}

fn values(writer: &mut Writer, row: Option<&Vec<f32>>) {
    writer.numbers_at("values", row.map_or(&[], Vec::as_slice));
}

fn gemini_usage(writer: &mut Writer, tokens: u64) {
    writer.object_at("usageMetadata", |w| w.u64_at("promptTokenCount", tokens));
}
