//! Texts put in order of relevance to a question, in the form of Cohere, Jina, llama.cpp and vLLM (`/v1/rerank`): read, checked, and
//! made of vectors where a provider has no such thing itself. Asking for the vectors is left to others.

use std::borrow::Cow;

use serde::Deserialize;

use super::embed;
use super::error::ApiError;
use super::json::{self, Json};
use super::loss::Losses;
use super::translate::ReplyError;
use super::tree::{Node, note_unknown};
use super::write::Writer;
use super::{Dialect, DialectError, Usage, meter};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'t> {
    /// The question.
    pub query: Cow<'t, str>,
    /// The texts; `None` for one that is of other fields than `text`, which only some providers know.
    pub documents: Vec<Option<Cow<'t, str>>>,
    /// How many of the best are wanted; all where absent.
    pub top: Option<usize>,
    /// Whether the texts are wanted back.
    pub returns_documents: bool,
}

/// A text's relevance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Its place among the texts.
    pub index: usize,
    /// How relevant it is: of vectors their cosine, -1 to 1.
    pub score: f64,
}

/// Reads a request.
///
/// # Errors
/// [`DialectError::Field`] with the place of what is wrong.
pub fn read<'t>(tree: &'t Json<'t>, losses: &mut Losses) -> Result<Request<'t>, DialectError> {
    let root = Node::root(tree);
    root.object()?;
    note_unknown(&root, &["model", "query", "documents", "top_n", "return_documents"], losses);
    let query = root.need("query")?;
    let text = query.text()?;
    if text.is_empty() {
        return Err(query.error("an empty question has no relevant text"));
    }
    let documents = root.need("documents")?;
    if documents.array()?.is_empty() {
        return Err(documents.error("there is nothing in it: at least one text is needed"));
    }
    let top = match root.opt("top_n") {
        None => None,
        Some(node) => match node.u64()? {
            0 => return Err(node.error("at least one is needed; leave it out for all")),
            top => Some(usize::try_from(top).unwrap_or(usize::MAX)),
        },
    };
    Ok(Request {
        query: text,
        documents: documents.items()?.map(|node| document(&node)).collect::<Result<_, _>>()?,
        top,
        returns_documents: root.opt_bool("return_documents")?.unwrap_or(false),
    })
}

fn document<'t>(node: &Node<'_, 't>) -> Result<Option<Cow<'t, str>>, DialectError> {
    let text = match node.value {
        Json::Object(_) => node.opt_text("text")?,
        _ => Some(node.text()?),
    };
    if text.as_ref().is_some_and(|text| text.is_empty()) {
        return Err(node.error("an empty text has no relevance"));
    }
    Ok(text)
}

impl<'t> Request<'t> {
    /// What vectors are asked of: the question and after it the texts, of one model and in one batch, so that they can be compared.
    ///
    /// # Errors
    /// [`DialectError::Impossible`] for a document that is no text.
    pub fn to_embed(&self, dialect: Dialect) -> Result<embed::Request<'t>, DialectError> {
        let mut texts = Vec::with_capacity(1 + self.documents.len());
        texts.push(self.query.clone());
        for (at, document) in self.documents.iter().enumerate() {
            let missing = || {
                let message = "its documents are put in order by the vectors of their `text`, and this has none";
                DialectError::impossible(format!("documents[{at}].text"), dialect, message)
            };
            texts.push(document.clone().ok_or_else(missing)?);
        }
        Ok(embed::Request::of_texts(texts))
    }

    /// An estimate of the tokens of the question and the texts.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let texts = std::iter::once(&self.query).chain(self.documents.iter().flatten());
        texts.map(|text| (text.len() as u64).div_ceil(3)).sum()
    }
}

/// The texts by the cosine of their vectors to the question's, which is the first; of equals the earlier first.
#[must_use]
pub fn by_vectors(rows: &[Vec<f32>]) -> Vec<Ranked> {
    let Some((query, documents)) = rows.split_first() else { return Vec::new() };
    let mut ranked: Vec<Ranked> = documents
        .iter()
        .enumerate()
        .map(|(index, document)| Ranked { index, score: cosine(query, document) })
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
    ranked
}

/// The cosine of two vectors; 0 where one of them is nothing.
fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let (mut product, mut own, mut others) = (0.0, 0.0, 0.0);
    for (a, b) in one.iter().zip(other) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        product += a * b;
        own += a * a;
        others += b * b;
    }
    let length = own.sqrt() * others.sqrt();
    if length > 0.0 { (product / length).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Writes an answer. `tokens` are those of the texts, counted or estimated.
#[must_use]
pub fn write(request: &Request<'_>, ranked: &[Ranked], id: &str, model: &str, tokens: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.object(|w| {
        w.str_at("id", id);
        w.str_at("object", "list");
        w.str_at("model", model);
        w.array_at("results", |w| {
            for one in ranked.iter().take(request.top.unwrap_or(usize::MAX)) {
                w.object(|w| {
                    w.u64_at("index", one.index as u64);
                    w.f64_at("relevance_score", one.score);
                    if let Some(text) = request.documents.get(one.index).and_then(Option::as_deref)
                        && request.returns_documents
                    {
                        w.object_at("document", |w| w.str_at("text", text));
                    }
                });
            }
        });
        w.object_at("usage", |w| {
            w.u64_at("prompt_tokens", tokens);
            w.u64_at("total_tokens", tokens);
        });
    });
    writer.into_bytes()
}

#[derive(Deserialize)]
struct Body {
    results: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    index: usize,
    #[serde(alias = "score")]
    relevance_score: f64,
}

/// Checks a provider's own answer about so many texts.
///
/// # Errors
/// [`ReplyError`]: it speaks of texts that are not there, of one twice, or is an error.
pub fn check(body: &[u8], documents: usize) -> Result<(Vec<Ranked>, Usage), ReplyError> {
    let parsed = serde_json::from_slice::<Body>(body);
    if !parsed.as_ref().is_ok_and(|body| body.results.is_some()) {
        let found = json::parse(body).ok().and_then(|tree| ApiError::of_body(&tree, 200));
        if let Some(error) = found {
            return Err(ReplyError::Error(error));
        }
    }
    let results = parsed.map_err(DialectError::from)?.results;
    let results = results.ok_or_else(|| DialectError::field("results", "it is missing"))?;
    let mut seen = vec![false; documents];
    for (at, entry) in results.iter().enumerate() {
        let place = seen.get_mut(entry.index);
        if place.is_none_or(|seen| std::mem::replace(seen, true)) {
            let message = format!("{} is no place of its own among {documents} texts", entry.index);
            return Err(DialectError::field(format!("results[{at}].index"), message).into());
        }
    }
    let ranked = results.iter().map(|entry| Ranked { index: entry.index, score: entry.relevance_score }).collect();
    Ok((ranked, Usage { output: Some(0), ..meter::embeddings(body).usage }))
}

#[cfg(test)]
mod tests;
