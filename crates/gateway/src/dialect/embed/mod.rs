//! Vectors of texts: what OpenAI's `/v1/embeddings`, Ollama's `/api/embed` and Gemini's `embedContent` ask and answer, in one common
//! form. Which model makes them, and along which chain, is decided elsewhere; so is what becomes of the vectors.
//!
//! Vectors are of 32-bit numbers, as every provider computes them: shorter digits on the way mean the same vector.

mod batch;
mod reply;
mod request;
mod request_out;
mod row;

use std::borrow::Cow;

pub use batch::{Limits, batches};
pub use reply::{Answer, Vectors, read, write};
pub use request::read as read_request;
pub use request_out::{rewritten, write as write_request};

use super::Dialect;

/// How a door asks for vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The dialect; OpenAI's is that of chat.
    pub dialect: Dialect,
    /// Whether it is the form for one text: Gemini's `embedContent`, Ollama's older `/api/embeddings`.
    pub one: bool,
}

/// What a vector is to be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'t> {
    /// A text.
    Text(Cow<'t, str>),
    /// So many tokens of one model's own, which mean nothing to another.
    Tokens(u64),
    /// Pictures and other parts beside text, in the dialect's own words; an estimate of its tokens.
    Parts(u64),
}

/// A request for vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'t> {
    /// What they are to be made of, in order; never empty.
    pub items: Vec<Item<'t>>,
    /// How many numbers each is to have.
    pub dimensions: Option<u64>,
    /// Whether they are wanted as base64 of their numbers' bytes.
    pub base64: bool,
    /// Whether a text that is too long is cut: where not, it is an error.
    pub truncate: Option<bool>,
    /// What they are for, in Gemini's words.
    pub task: Option<Cow<'t, str>>,
    /// The member that holds the items, for errors.
    pub(crate) place: &'static str,
}

impl<'t> Request<'t> {
    /// A request that the gateway makes itself.
    #[must_use]
    pub fn of_texts(texts: Vec<Cow<'t, str>>) -> Self {
        Self {
            items: texts.into_iter().map(Item::Text).collect(),
            dimensions: None,
            base64: false,
            truncate: None,
            task: None,
            place: "documents",
        }
    }

    /// An estimate of the tokens of each item.
    #[must_use]
    pub fn tokens(&self) -> Vec<u64> {
        self.items.iter().map(Item::tokens).collect()
    }

    /// Whether one of the items is of a model's own tokens.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Tokens(_)))
    }
}

impl Item<'_> {
    /// An estimate of its tokens, on the high side.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        match self {
            Self::Text(Cow::Borrowed(text)) => (text.len() as u64).div_ceil(3),
            Self::Text(Cow::Owned(text)) => (text.len() as u64).div_ceil(3),
            Self::Tokens(count) | Self::Parts(count) => *count,
        }
    }
}

/// What an answer has to be to be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// How many vectors.
    pub count: usize,
    /// Of how many numbers, where the caller said so.
    pub dimensions: Option<u64>,
}

#[cfg(test)]
mod tests;
