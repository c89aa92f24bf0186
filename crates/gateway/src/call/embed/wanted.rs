//! What a caller wants to know of texts, read off its request before anybody is asked.

use orx_router::Tokens;

use super::super::ask::Asked;
use crate::dialect::embed::{self, Form};
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::{DialectError, rerank};
use crate::door::Ask;

/// What is wanted.
pub(super) enum Wanted<'t> {
    /// Vectors of texts.
    Vectors(embed::Request<'t>),
    /// An order of texts.
    Order(rerank::Request<'t>),
}

impl<'t> Wanted<'t> {
    /// Reads it off a request.
    ///
    /// # Errors
    /// [`DialectError`] with the place of what is wrong.
    pub(super) fn read(asked: &Asked, tree: &'t Json<'t>) -> Result<Self, DialectError> {
        let mut losses = Losses::default();
        let wanted = match asked.ask {
            Ask::Rerank => Self::Order(rerank::read(tree, &mut losses)?),
            _ => Self::Vectors(embed::read_request(form(asked), tree, &mut losses)?),
        };
        for loss in losses.as_slice() {
            tracing::debug!(call = asked.call, ?loss, "Only a provider of the caller's dialect is told this.");
        }
        Ok(wanted)
    }

    /// An estimate of its tokens.
    pub(super) fn tokens(&self) -> Tokens {
        Tokens(match self {
            Self::Vectors(request) => request.tokens().iter().sum(),
            Self::Order(request) => request.tokens(),
        })
    }
}

/// The form in which the caller asks for vectors.
pub(super) const fn form(asked: &Asked) -> Form {
    Form { dialect: asked.dialect, one: asked.one }
}
