//! The requests in which a call for vectors is told to its provider: as it came, in another dialect, or in parts where the provider
//! takes no more at once.

use std::ops::Range;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use orx_router::Tokens;

use super::super::send;
use super::super::tries::Unsent;
use super::Errand;
use super::wanted::{Wanted, form};
use crate::answer::own;
use crate::caller::Login;
use crate::dialect::embed::{self, Form};
use crate::dialect::error::{ApiError, ErrorKind};
use crate::dialect::{Dialect, DialectError};
use crate::door::Ask;
use crate::provider::headers;
use crate::provider::upstream::{Shape, Upstream};

/// One request to a provider.
pub(super) struct Batch {
    pub(super) body: Bytes,
    /// How many texts it holds.
    pub(super) count: usize,
    pub(super) tokens: Tokens,
}

/// What a provider is asked.
pub(super) struct Plan {
    /// The form in which it answers.
    pub(super) form: Form,
    /// Whether it puts the texts in order itself.
    pub(super) ranks: bool,
    /// Whether its answer is the caller's as it comes.
    pub(super) is_kept: bool,
    /// How many numbers each vector is to have.
    pub(super) dimensions: Option<u64>,
    pub(super) batches: Vec<Batch>,
}

impl Errand<'_> {
    /// What this provider is asked.
    ///
    /// # Errors
    /// What it cannot be told.
    pub(super) fn plan(&self, ranks: bool) -> Result<Plan, Unsent> {
        let Self { asked, hop, tree, .. } = *self;
        let dialect = self.upstream()?.dialect_for(asked.dialect);
        match self.wanted {
            Wanted::Order(request) if ranks => {
                let body = send::edited(asked, &asked.body, &asked.found, hop, &mut false)?;
                let batch = Batch { body, count: request.documents.len(), tokens: asked.prompt };
                let form = Form { dialect, one: false };
                Ok(Plan { form, ranks, is_kept: true, dimensions: None, batches: vec![batch] })
            }
            Wanted::Order(request) => self.made(&request.to_embed(dialect)?, dialect),
            Wanted::Vectors(request) if dialect == asked.dialect => {
                self.fits(request)?;
                if request.has_tokens() && !self.is_first {
                    let message = "tokens of one model mean nothing to another: send the text";
                    return Err(DialectError::impossible("input", dialect, message).into());
                }
                let ranges = self.ranges(request);
                let is_part = ranges.len() > 1;
                // Gemini's requests name their model inside as well.
                let is_renamed = dialect == Dialect::Gemini && hop.name != asked.model;
                let mut batches = Vec::with_capacity(ranges.len());
                for (range, tokens) in ranges {
                    let count = range.len();
                    let body = if is_part || is_renamed {
                        embed::rewritten(form(asked), tree, range, &hop.name, is_part).into()
                    } else {
                        send::edited(asked, &asked.body, &asked.found, hop, &mut false)?
                    };
                    batches.push(Batch { body, count, tokens });
                }
                let dimensions = request.dimensions;
                Ok(Plan { form: form(asked), ranks, is_kept: !is_part, dimensions, batches })
            }
            Wanted::Vectors(request) => {
                self.fits(request)?;
                self.made(request, dialect)
            }
        }
    }

    /// Requests in another dialect than the caller's, or of the gateway's own.
    fn made(&self, request: &embed::Request<'_>, dialect: Dialect) -> Result<Plan, Unsent> {
        let mut batches = Vec::new();
        for (range, tokens) in self.ranges(request) {
            let count = range.len();
            let body = embed::write_request(request, range, dialect, &self.hop.name)?.into();
            batches.push(Batch { body, count, tokens });
        }
        let form = Form { dialect, one: false };
        Ok(Plan { form, ranks: false, is_kept: false, dimensions: request.dimensions, batches })
    }

    /// What goes into each request, with its tokens.
    fn ranges(&self, request: &embed::Request<'_>) -> Vec<(Range<usize>, Tokens)> {
        let provider = self.config.catalogue.provider(&self.hop.route.provider);
        let batch = provider.map(|provider| provider.batch).unwrap_or_default();
        let texts = batch.texts.and_then(|texts| usize::try_from(texts).ok());
        let tokens = request.tokens();
        let ranges = embed::batches(&tokens, embed::Limits { texts, tokens: batch.tokens });
        let sum = |range: &Range<usize>| tokens.get(range.clone()).unwrap_or_default().iter().sum();
        ranges.into_iter().map(|range| (range.clone(), Tokens(sum(&range)))).collect()
    }

    /// Whether the model has as many numbers as are wanted.
    fn fits(&self, request: &embed::Request<'_>) -> Result<(), Unsent> {
        let model = self.hop.model.and_then(|model| self.config.catalogue.get(model));
        let most = model.and_then(|model| model.dimensions);
        let Some((wanted, most)) = request.dimensions.zip(most).filter(|(wanted, most)| *wanted > u64::from(*most))
        else {
            return Ok(());
        };
        let field = if self.asked.dialect == Dialect::Gemini { "outputDimensionality" } else { "dimensions" };
        let message = format!("`{field}`: {wanted} are wanted, and a vector of {} has {most} numbers", self.hop.route);
        let error = own(ErrorKind::InvalidRequest, &message, "");
        Err(Unsent { error: ApiError { param: Some(field.to_owned()), ..error }, is_elsewhere: true })
    }

    fn upstream(&self) -> Result<&Upstream, Unsent> {
        self.config.upstreams.get(&self.hop.route.provider).ok_or_else(|| {
            let error = own(ErrorKind::Internal, &format!("{} is not set up", self.hop.route), "");
            Unsent { error, is_elsewhere: true }
        })
    }

    /// One of the requests.
    ///
    /// # Errors
    /// What no request can be made of.
    pub(super) fn request(&self, plan: &Plan, batch: &Batch) -> Result<Request<Full<Bytes>>, Unsent> {
        let Self { asked, hop, .. } = *self;
        let upstream = self.upstream()?;
        let dialect = plan.form.dialect;
        let is_own = asked.caller.login == Login::Own;
        let key = if is_own { None } else { upstream.key() };
        let is_same = dialect == asked.dialect;
        let shape = Shape {
            one: plan.form.one,
            query: asked.query.as_deref().filter(|_| is_same && dialect != Dialect::Gemini),
            ..Shape::default()
        };
        let ask = if plan.ranks { Ask::Rerank } else { Ask::Embed };
        let unbuilt = |error: http::Error| {
            let error = own(ErrorKind::InvalidRequest, &format!("{}: {error}", hop.route), "");
            Unsent { error, is_elsewhere: true }
        };
        let uri = upstream.uri(dialect, ask, &hop.name, shape).map_err(unbuilt)?;
        let body = Full::new(batch.body.clone());
        let mut request = Request::builder().method(Method::POST).uri(uri).body(body).map_err(unbuilt)?;
        *request.headers_mut() = match is_same {
            true => headers::passed(&asked.headers, key, is_own),
            false => headers::fresh(dialect, false, key),
        };
        Ok(request)
    }
}
