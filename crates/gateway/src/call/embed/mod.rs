//! Asking for vectors of texts, or for their order, along the call's way. A provider that takes only so many texts at once is asked
//! several times, each time with leave and a row of its own; all vectors of one answer are of one model.

mod requests;
mod wanted;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use orx_router::budget::Expected;
use orx_router::complexity::Kind;
use orx_router::failure::Failure;

use self::requests::{Batch, Plan};
use self::wanted::{Wanted, form};
use super::ask::Asked;
use super::exchange::{self, Begun};
use super::plan::{Hop, Way};
use super::settle::Draft;
use super::tries::{Failed, Tries, Unanswered, unanswered};
use super::{texts, unreadable};
use crate::answer::{self, Answer, Said};
use crate::attempt::{Attempt, Ended};
use crate::bill::Seen;
use crate::cache::entry::Entry;
use crate::control::Leave;
use crate::dialect::embed::{self, Vectors};
use crate::dialect::error::ApiError;
use crate::dialect::json::{self, Json};
use crate::dialect::rerank;
use crate::dialect::translate::ReplyError;
use crate::inner::Inner;
use crate::provider::headers;
use crate::settings::Config;

/// The largest answer that is read, in bytes: 2,048 vectors of 3,072 numbers with all their digits.
const LARGEST: usize = 160 << 20;

/// What came of one request.
struct Part {
    body: Bytes,
    headers: HeaderMap,
    vectors: Vectors,
}

/// What the parts of a call cost together.
struct Spent {
    failed: u64,
    cost: Option<u64>,
    /// Tokens at the provider that is being asked.
    tokens: u64,
    is_estimate: bool,
}

/// Asks until there is an answer.
///
/// # Errors
/// The error that its caller is told.
pub(super) async fn along(
    gateway: Arc<Inner>,
    config: Arc<Config>,
    mut asked: Asked,
) -> Result<Response<Answer>, ApiError> {
    let body = asked.body.clone();
    let tree = json::parse(&body).map_err(|error| unreadable(&error))?;
    let wanted = Wanted::read(&asked, &tree).map_err(|error| unreadable(&error))?;
    asked.prompt = wanted.tokens();
    let mut way = texts::way(&config, &asked, gateway.time.now())?;
    let mut draft = Draft::new(Arc::clone(&gateway), &asked, way.first.as_ref());
    let mut spent = Spent { failed: 0, cost: Some(0), tokens: 0, is_estimate: false };
    let (mut last, mut parks) = (None, Vec::new());
    while let Some((hop, leave, expected)) = way.next(&gateway, &config, &asked, gateway.time.now()) {
        let errand = Errand {
            gateway: &gateway,
            config: &config,
            asked: &asked,
            wanted: &wanted,
            tree: &tree,
            hop: &hop,
            is_first: way.first.as_ref().is_none_or(|first| first.model == hop.route.model),
        };
        match errand.run(&mut way, &mut draft, &mut spent, leave, expected).await {
            Ok(response) => return Ok(response),
            Err(mut failed) => {
                parks.extend(failed.parks.take());
                last = Some(*failed);
            }
        }
    }
    unanswered(&gateway, &config, &asked, &way, Unanswered { draft, last, parks, cost: spent.cost }).await
}

/// A call at one provider.
struct Errand<'a> {
    gateway: &'a Arc<Inner>,
    config: &'a Arc<Config>,
    asked: &'a Asked,
    wanted: &'a Wanted<'a>,
    tree: &'a Json<'a>,
    hop: &'a Hop,
    /// Whether it is the model that was to answer first.
    is_first: bool,
}

impl Errand<'_> {
    async fn run(
        &self,
        way: &mut Way,
        draft: &mut Draft,
        spent: &mut Spent,
        leave: Leave,
        expected: Expected,
    ) -> Result<Response<Answer>, Box<Failed>> {
        let Self { gateway, config, asked, wanted, hop, .. } = *self;
        let ranks = matches!(wanted, Wanted::Order(_)) && texts::reranks(config, hop);
        if draft.is_answered() {
            // Parts were answered by a model that then gave out.
            *draft = draft.next();
        }
        if matches!(wanted, Wanted::Order(_)) {
            draft.row.kind = if ranks { Kind::Rerank } else { Kind::RerankByEmbeddings }.name().into();
        }
        draft.goes_to(config, asked, hop, expected).await;
        let plan = match self.plan(ranks) {
            Ok(plan) => plan,
            Err(unsent) => {
                Tries::new(None).begin(gateway, config, asked, hop, draft, leave).end(Ended::Unsent);
                return Err(gives_up(way, hop, Box::new(unsent.into())));
            }
        };
        (spent.tokens, spent.is_estimate) = (0, false);
        let mut parts = Vec::with_capacity(plan.batches.len());
        let mut leave = Some(leave);
        for batch in &plan.batches {
            let own_leave = match leave.take() {
                Some(leave) => leave,
                None => {
                    *draft = draft.next();
                    let now = gateway.time.now();
                    let Some((leave, expected)) = way.again(gateway, config, asked, hop, Some(batch.tokens), now)
                    else {
                        let stopped = Failure::Throttled { status: 429, retry_after_ms: None };
                        let failed = Box::new(Failed::new(stopped, way.stopped(gateway.time.now())));
                        return Err(gives_up(way, hop, failed));
                    };
                    draft.goes_to(config, asked, hop, expected).await;
                    leave
                }
            };
            parts.push(self.ask(&plan, batch, way, draft, spent, own_leave).await?);
        }
        self.answer(&plan, parts, spent).map_err(|failed| gives_up(way, hop, failed))
    }

    /// One batch, as often as the policy says.
    async fn ask(
        &self,
        plan: &Plan,
        batch: &Batch,
        way: &mut Way,
        draft: &mut Draft,
        spent: &mut Spent,
        mut leave: Leave,
    ) -> Result<Part, Box<Failed>> {
        let Self { gateway, config, asked, hop, .. } = *self;
        let mut tries = Tries::new(Some(batch.tokens));
        loop {
            let attempt = tries.begin(gateway, config, asked, hop, draft, leave);
            let failed = match self.once(plan, batch, attempt, spent).await {
                Ok(part) => {
                    draft.answered();
                    return Ok(part);
                }
                Err(failed) => Box::new(failed.without_key(config.upstreams.get(&hop.route.provider))),
            };
            spent.failed += 1;
            leave = match tries.again(gateway, config, asked, way, hop, &failed).await {
                Some(leave) => leave,
                None => return Err(failed),
            };
        }
    }

    async fn once(
        &self,
        plan: &Plan,
        batch: &Batch,
        mut attempt: Attempt,
        spent: &mut Spent,
    ) -> Result<Part, Box<Failed>> {
        let Self { gateway, config, asked, hop, .. } = *self;
        let route = hop.route.to_string();
        let request = match self.request(plan, batch) {
            Ok(request) => request,
            Err(unsent) => {
                attempt.end(Ended::Unsent);
                return Err(Box::new(unsent.into()));
            }
        };
        let is_kept = plan.form.dialect == asked.dialect;
        let Begun { head, body, owner } =
            exchange::begin(gateway, config, asked, hop, request, is_kept, &mut attempt).await?;
        let read = match exchange::whole(body, config.timeouts.first_byte(), LARGEST).await {
            Ok(bytes) => self.read(plan, batch, &bytes).map(|vectors| (bytes, vectors)).map_err(|error| match error {
                ReplyError::Error(error) => Failed::in_place(error, owner),
                ReplyError::Unreadable(error) => Failed::own(Failure::Malformed, &route, &error.to_string()),
            }),
            Err((failure, why)) => Err(Failed::own(failure, &route, &why)),
        };
        let (bytes, vectors) = match read {
            Ok(read) => read,
            Err(failed) => {
                attempt.end(Ended::Failed(failed.failure));
                return Err(Box::new(failed));
            }
        };
        let seen = Seen { usage: vectors.usage, is_whole: true, is_stream: false, bytes: 0 };
        let bill = attempt.bill(&seen);
        spent.cost = spent.cost.zip(bill.cost).map(|(sum, cost)| sum.saturating_add(cost.0));
        spent.tokens = spent.tokens.saturating_add(bill.usage.prompt().0);
        spent.is_estimate |= bill.is_estimate;
        attempt.row.status = Some(u64::from(head.status.as_u16()));
        attempt.end(Ended::Answered(seen));
        Ok(Part { body: bytes, headers: head.headers, vectors })
    }

    /// Reads an answer, and holds it against what was asked.
    fn read(&self, plan: &Plan, batch: &Batch, bytes: &[u8]) -> Result<Vectors, ReplyError> {
        if plan.ranks {
            let (_, usage) = rerank::check(bytes, batch.count)?;
            return Ok(Vectors { usage, ..Vectors::default() });
        }
        let expected = embed::Expected { count: batch.count, dimensions: plan.dimensions };
        let mut vectors = embed::read(plan.form, bytes, expected)?;
        if plan.is_kept {
            // They pass as they came; only that they are right was to be seen.
            vectors.rows = Vec::new();
        }
        Ok(vectors)
    }

    /// What the caller gets.
    fn answer(&self, plan: &Plan, parts: Vec<Part>, spent: &Spent) -> Result<Response<Answer>, Box<Failed>> {
        let Self { asked, wanted, hop, .. } = *self;
        let count = parts.len();
        let mut model = None;
        let (mut kept, mut rows) = (None, Vec::new());
        for part in parts {
            model = model.or(part.vectors.model);
            rows.extend(part.vectors.rows);
            kept = Some((part.body, part.headers));
        }
        let length = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != length) {
            let why = "its vectors have not all as many numbers";
            return Err(Box::new(Failed::own(Failure::Malformed, &hop.route.to_string(), why)));
        }
        let model = model.as_deref().unwrap_or(&hop.name);
        let mut response = match (kept, wanted) {
            (Some((body, provider)), _) if plan.is_kept => {
                let mut response = Response::new(Answer::Whole(Some(body)));
                *response.headers_mut() = headers::returned(&provider);
                response
            }
            (_, Wanted::Vectors(request)) => {
                let answer = embed::Answer { rows: &rows, model, tokens: spent.tokens, base64: request.base64 };
                answer::json(StatusCode::OK, embed::write(form(asked), &answer))
            }
            (_, Wanted::Order(request)) => {
                let ranked = rerank::by_vectors(&rows);
                answer::json(StatusCode::OK, rerank::write(request, &ranked, &asked.call, model, spent.tokens))
            }
        };
        if let (Some(slot), Answer::Whole(Some(body))) = (&asked.slot, response.body()) {
            slot.keep(Entry {
                provider: hop.route.provider.to_string(),
                model: hop.route.model.to_string(),
                content_type: "application/json".to_owned(),
                cost_microusd: spent.cost,
                body: body.clone(),
                ..Entry::default()
            });
        }
        let headers = response.headers_mut();
        let route = (hop.route.provider.as_str(), hop.route.model.as_str());
        answer::say(headers, Said { call: &asked.call, route, attempts: spent.failed + 1, cost: spent.cost });
        if matches!(wanted, Wanted::Order(_)) && !plan.ranks {
            headers.insert("x-orx-rerank", HeaderValue::from_static("embeddings"));
        }
        if spent.is_estimate && !plan.is_kept {
            headers.insert("x-orx-estimate", HeaderValue::from_static("true"));
        }
        if count > 1 {
            headers.insert("x-orx-batches", HeaderValue::from(count));
        }
        Ok(response)
    }
}

/// Notes that a hop leads no further.
fn gives_up(way: &mut Way, hop: &Hop, failed: Box<Failed>) -> Box<Failed> {
    way.failed(hop, failed.failure);
    failed
}
