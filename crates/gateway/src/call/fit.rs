//! A call made to fit the context of the model that it goes to, where the operator wants that. What may be left out is `compress`'s to
//! say.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ask::Asked;
use super::plan::Hop;
use crate::caller::Login;
use crate::dialect::compress::{self, Budget};
use crate::dialect::peek::{self, Peek};
use crate::dialect::{DialectError, json};
use crate::door::Ask;
use crate::settings::Config;

/// Tokens of an answer where nobody says how many.
const ANSWER: u64 = 8_192;

/// A body that fits, as far as that can be told.
pub(super) struct Fitted<'a> {
    /// The body.
    pub(super) body: Bytes,
    /// What was found in it.
    pub(super) found: Cow<'a, Peek>,
    /// Tokens that were left out, an estimate.
    pub(super) left_out: u64,
}

/// Leaves out old results of tools where the prompt and its answer would be more than the model reads. Where that is not enough the
/// provider has the last word, since all of this is an estimate.
///
/// # Errors
/// As the body cannot be read.
pub(super) fn fit<'a>(config: &Config, asked: &'a Asked, hop: &Hop) -> Result<Fitted<'a>, DialectError> {
    let kept = || Fitted { body: asked.body.clone(), found: Cow::Borrowed(&asked.found), left_out: 0 };
    let model = hop.model.and_then(|model| config.catalogue.get(model));
    // What a caller pays for itself is not changed.
    let is_ours = asked.ask == Ask::Generate && asked.caller.login == Login::Operator;
    let Some((compress, context)) = config.compress.zip(model.and_then(|model| model.context)).filter(|_| is_ours)
    else {
        return Ok(kept());
    };
    let whole = context.0 * compress.at_percent / 100;
    let most = model.and_then(|model| model.max_output).map_or(ANSWER, |most| most.0);
    let answer = asked.found.max_tokens.unwrap_or(ANSWER).min(most).min(whole / 2);
    let budget = Budget { tokens: whole - answer, keep_recent: compress.keep_recent };
    if asked.prompt.0 <= budget.tokens {
        return Ok(kept());
    }
    let mut tree = json::parse(&asked.body)?;
    let report = compress::request(asked.dialect, &mut tree, &budget);
    if report.cut.is_empty() {
        return Ok(kept());
    }
    tracing::info!(
        call = asked.call,
        route = %hop.route,
        before = report.before,
        after = report.after,
        results = report.cut.len(),
        "Old results of tools were left out so that a prompt fits."
    );
    let body = Bytes::from(tree.to_text());
    let found = Cow::Owned(peek::peek(&body)?);
    Ok(Fitted { body, found, left_out: report.before.saturating_sub(report.after) })
}

/// Says among the headers how much was left out.
pub(super) fn say(headers: &mut HeaderMap, left_out: u64) {
    if left_out > 0 {
        headers.insert(HeaderName::from_static("x-orx-left-out-tokens"), HeaderValue::from(left_out));
    }
}
