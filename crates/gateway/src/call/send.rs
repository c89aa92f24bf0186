//! Sending a call along its way: each provider as often as the policy says, then the next, until one answers. Nothing is sent again
//! once the caller has had a byte.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use orx_router::failure::{Failure, KeyOwner};

use super::ask::Asked;
use super::exchange::{self, Begun};
use super::fit;
use super::plan::{self, Hop};
use super::settle::Draft;
use super::tries::{Failed, Tries, Unanswered, Unsent, unanswered};
use crate::answer::{self, Answer, Said, own};
use crate::attempt::{Attempt, Ended};
use crate::bill::Seen;
use crate::cache::entry::Entry;
use crate::cache::keeping::Keeping;
use crate::caller::Login;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::dialect::meter::{self, Ending, StreamMeter};
use crate::dialect::peek::Peek;
use crate::dialect::translate::{self, Call, Caller, ReplyError, Target};
use crate::dialect::{Dialect, DialectError, Usage, splice};
use crate::door::Ask;
use crate::inner::Inner;
use crate::provider::client::innermost;
use crate::provider::headers;
use crate::provider::upstream::{Shape, Upstream};
use crate::settings::Config;
use crate::stream::{Passage, Passing};

/// The largest answer that is read as a whole, in bytes.
const WHOLE: usize = 64 << 20;
/// Tokens of an answer where a provider has to be told and nobody said how many.
const DEFAULT_MAX_TOKENS: u64 = 8_192;

/// Sends a call until it is answered.
///
/// # Errors
/// The error that its caller is told.
pub(super) async fn along(
    gateway: Arc<Inner>,
    config: Arc<Config>,
    asked: Asked,
) -> Result<Response<Answer>, ApiError> {
    let mut way = plan::way(&gateway, &config, &asked, gateway.time.now())?;
    let mut draft = Draft::new(Arc::clone(&gateway), &asked, way.first.as_ref());
    let mut last: Option<Failed> = None;
    let mut parks = Vec::new();
    while let Some((hop, leave, expected)) = way.next(&gateway, &config, &asked, gateway.time.now()) {
        draft.goes_to(&config, &asked, &hop, expected).await;
        let (mut leave, mut tries) = (Some(leave), Tries::new(None));
        while let Some(own_leave) = leave.take() {
            let attempt = tries.begin(&gateway, &config, &asked, &hop, &mut draft, own_leave);
            let mut failed = match once(&gateway, &config, &asked, &hop, attempt).await {
                Ok(response) => {
                    draft.answered();
                    return Ok(response);
                }
                Err(failed) => failed.without_key(config.upstreams.get(&hop.route.provider)),
            };
            leave = tries.again(&gateway, &config, &asked, &mut way, &hop, &failed).await;
            parks.extend(failed.parks.take());
            last = Some(failed);
        }
    }
    unanswered(&gateway, &config, &asked, &way, Unanswered { draft, last, parks, cost: Some(0) }).await
}

/// What goes to a provider.
struct Outgoing {
    request: Request<Full<Bytes>>,
    dialect: Dialect,
    caller: Caller,
    /// Whether the request, and its answer, are of the caller's own dialect.
    is_kept: bool,
    hides_usage: bool,
    /// Tokens that were left out, so that it fits.
    left_out: u64,
}

/// One attempt.
async fn once(
    gateway: &Arc<Inner>,
    config: &Config,
    asked: &Asked,
    hop: &Hop,
    mut attempt: Attempt,
) -> Result<Response<Answer>, Box<Failed>> {
    let route = hop.route.to_string();
    let outgoing = match outgoing(config, asked, hop) {
        Ok(outgoing) => outgoing,
        Err(unsent) => {
            attempt.end(Ended::Unsent);
            return Err(Box::new(unsent.into()));
        }
    };
    let Outgoing { request, dialect, caller, is_kept, hides_usage, left_out } = outgoing;
    attempt.row.left_out_tokens = (left_out > 0).then_some(left_out);
    let Begun { head, body, owner } =
        exchange::begin(gateway, config, asked, hop, request, is_kept, &mut attempt).await?;
    let is_stream = asked.stream && is_streamed(&head.headers, dialect);
    if is_stream {
        return streamed(
            config,
            asked,
            &route,
            head.headers,
            body,
            Passed { dialect, caller, is_kept, hides_usage, owner },
            attempt,
        )
        .await;
    }
    let bytes = match exchange::whole(body, config.timeouts.first_byte(), WHOLE).await {
        Ok(bytes) => bytes,
        Err((failure, why)) => {
            attempt.end(Ended::Failed(failure));
            return Err(Box::new(Failed::own(failure, &route, &why)));
        }
    };
    match answered(asked, &route, &head.headers, bytes, dialect, &caller, is_kept, owner) {
        Ok((body, usage, mut headers)) => {
            let seen = Seen { usage, is_whole: true, is_stream: false, bytes: body.len() as u64 };
            let bill = (asked.ask != Ask::Count).then(|| attempt.bill(&seen));
            let row = &attempt.row;
            let said = Said {
                call: &asked.call,
                route: (&row.provider, &row.model),
                attempts: row.attempts,
                cost: bill.map_or(Some(0), |bill| bill.cost.map(|cost| cost.0)),
            };
            if let Some(slot) = asked.slot.as_ref().filter(|_| asked.ask != Ask::Count) {
                slot.keep(Entry {
                    provider: row.provider.to_string(),
                    model: row.model.to_string(),
                    content_type: text(&headers, header::CONTENT_TYPE),
                    cost_microusd: said.cost,
                    body: body.clone(),
                    ..Entry::default()
                });
            }
            answer::say(&mut headers, said);
            fit::say(&mut headers, left_out);
            attempt.row.status = Some(u64::from(head.status.as_u16()));
            attempt.end(if asked.ask == Ask::Count { Ended::Counted } else { Ended::Answered(seen) });
            let mut response = Response::new(Answer::Whole(Some(body)));
            *response.headers_mut() = headers;
            Ok(response)
        }
        Err(failed) => {
            attempt.end(Ended::Failed(failed.failure));
            Err(failed)
        }
    }
}

/// Makes what goes to a provider.
fn outgoing(config: &Config, asked: &Asked, hop: &Hop) -> Result<Outgoing, Unsent> {
    let elsewhere = |error: ApiError| Unsent { error, is_elsewhere: true };
    let missing = || elsewhere(own(ErrorKind::Internal, &format!("{} is not set up", hop.route), ""));
    let upstream = config.upstreams.get(&hop.route.provider).ok_or_else(missing)?;
    let dialect = upstream.dialect_for(asked.dialect);
    let is_kept = dialect == asked.dialect;
    let key = if asked.caller.login == Login::Own { None } else { upstream.key() };
    let mut caller = Caller {
        dialect: asked.dialect,
        model: asked.model.clone(),
        stream: asked.stream,
        include_usage: true,
        custom_tools: Vec::new(),
        generate: asked.generate,
        array: asked.array,
        request_id: asked.call.clone(),
        created: asked.at_ms / 1000,
        prompt_estimate: Some(asked.prompt.0),
    };
    let mut hides_usage = false;
    let fitted = fit::fit(config, asked, hop)?;
    let (body, headers) = if is_kept {
        let body = edited(asked, &fitted.body, &fitted.found, hop, &mut hides_usage)?;
        (body, headers::passed(&asked.headers, key, asked.caller.login == Login::Own))
    } else if asked.ask == Ask::Generate {
        let target = target(config, upstream, hop, dialect);
        let call = Call {
            dialect: asked.dialect,
            path_model: asked.path_model.as_deref(),
            path_stream: asked.path_stream,
            request_id: &asked.call,
            created: asked.at_ms / 1000,
        };
        let translated = translate::request(&call, &target, &fitted.body)?;
        for loss in &translated.losses {
            tracing::debug!(call = asked.call, ?loss, "A part of a request could not be said to its provider.");
        }
        caller = Caller { generate: asked.generate, array: asked.array, ..translated.caller };
        caller.prompt_estimate = Some(asked.prompt.0);
        (Bytes::from(translated.body), headers::fresh(dialect, asked.stream, key))
    } else {
        // A count, which is made here where its provider speaks another dialect.
        let message = format!("{} does not speak the dialect in which this is asked", hop.route);
        return Err(elsewhere(own(ErrorKind::BadGateway, &message, "name a model whose provider does")));
    };
    let shape = Shape {
        stream: asked.stream,
        generate: asked.generate && is_kept,
        one: false,
        query: asked.query.as_deref().filter(|_| is_kept && dialect != Dialect::Gemini),
    };
    let ask = if is_kept { asked.ask } else { Ask::Generate };
    let unbuilt =
        |error: http::Error| elsewhere(own(ErrorKind::InvalidRequest, &format!("{}: {error}", hop.route), ""));
    let uri = upstream.uri(dialect, ask, &hop.name, shape).map_err(unbuilt)?;
    let mut request = Request::builder().method(Method::POST).uri(uri).body(Full::new(body)).map_err(unbuilt)?;
    *request.headers_mut() = headers;
    Ok(Outgoing { request, dialect, caller, is_kept, hides_usage, left_out: fitted.left_out })
}

/// The caller's body with another model's name in it, where that is another; every other byte as it came.
pub(super) fn edited(
    asked: &Asked,
    body: &Bytes,
    found: &Peek,
    hop: &Hop,
    hides_usage: &mut bool,
) -> Result<Bytes, DialectError> {
    let names_it = asked.path_model.is_none() && hop.name != asked.model;
    let wants_usage = asked.dialect == Dialect::Chat && asked.stream && asked.ask == Ask::Generate;
    if !names_it && !wants_usage {
        return Ok(body.clone());
    }
    let mut splice = if names_it { splice::model(found, &hop.name) } else { splice::Splice::default() };
    if wants_usage {
        let before = splice.clone();
        splice.include_usage(body, found)?;
        *hides_usage = splice != before;
    }
    if splice == splice::Splice::default() {
        return Ok(body.clone());
    }
    Ok(splice.to_vec(body).into())
}

fn target<'h>(config: &Config, upstream: &Upstream, hop: &'h Hop, dialect: Dialect) -> Target<'h> {
    let model = hop.model.and_then(|model| config.catalogue.get(model));
    let most = model.and_then(|model| model.max_output).map_or(DEFAULT_MAX_TOKENS, |most| most.0);
    let thinks = model.is_some_and(|model| {
        let needed = orx_router::capability::Capabilities::only(orx_router::capability::Capability::Thinking);
        model.capabilities.covers(needed)
    });
    let is_older_gemini = ["gemini-1", "gemini-2"].iter().any(|older| hop.name.starts_with(older));
    Target {
        default_max_tokens: most.min(DEFAULT_MAX_TOKENS),
        adaptive_thinking: dialect == Dialect::Anthropic && thinks,
        max_completion_tokens: upstream.is_openai(),
        signed_calls: dialect == Dialect::Gemini && !is_older_gemini,
        ..Target::new(dialect, &hop.name)
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn is_streamed(headers: &HeaderMap, dialect: Dialect) -> bool {
    let content_type = text(headers, header::CONTENT_TYPE);
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case(dialect.stream_content_type())
}

/// What a streamed answer passes by.
struct Passed {
    dialect: Dialect,
    caller: Caller,
    is_kept: bool,
    hides_usage: bool,
    owner: KeyOwner,
}

/// Hands a stream on once its first piece is no error: until then another provider may be asked.
async fn streamed(
    config: &Config,
    asked: &Asked,
    route: &str,
    provider: HeaderMap,
    mut body: Incoming,
    passed: Passed,
    mut attempt: Attempt,
) -> Result<Response<Answer>, Box<Failed>> {
    let first = loop {
        let next = tokio::time::timeout(config.timeouts.first_byte(), body.frame()).await;
        let (failure, why) = match next {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.is_empty() => continue,
                Ok(data) => break data,
                Err(_) => continue,
            },
            Ok(Some(Err(error))) => (Failure::Cut, innermost(&error)),
            Ok(None) => (Failure::Cut, "the stream had no events".to_owned()),
            Err(_) => (Failure::TimeoutInStream, "the stream did not begin".to_owned()),
        };
        attempt.end(Ended::Failed(failure));
        return Err(Box::new(Failed::own(failure, route, &why)));
    };
    let mut glance = StreamMeter::new(passed.dialect);
    glance.feed(&first);
    if let Some(error) = glance.failure() {
        let failed = Failed::in_place(error.clone(), passed.owner);
        attempt.end(Ended::Failed(failed.failure));
        return Err(Box::new(failed));
    }
    let mut headers = if passed.is_kept { headers::returned(&provider) } else { HeaderMap::with_capacity(6) };
    let content_type = if asked.array { "application/json" } else { asked.dialect.stream_content_type() };
    if !passed.is_kept || asked.array {
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    }
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    let row = &attempt.row;
    let said = Said { call: &asked.call, route: (&row.provider, &row.model), attempts: row.attempts, cost: None };
    answer::say(&mut headers, said);
    fit::say(&mut headers, attempt.row.left_out_tokens.unwrap_or(0));
    attempt.row.status = Some(200);
    let passage = Passage {
        from: passed.dialect,
        caller: passed.caller,
        hides_usage: passed.hides_usage,
        idle: config.timeouts.idle(),
        keeping: asked.slot.clone().map(|slot| Keeping::new(slot, &text(&headers, header::CONTENT_TYPE))),
    };
    let mut response = Response::new(Answer::Stream(Box::new(Passing::new(body, first, passage, attempt))));
    *response.headers_mut() = headers;
    Ok(response)
}

/// Reads an answer of at most `limit` bytes.
type WholeAnswer = (Bytes, Usage, HeaderMap);

/// Reads a whole answer and says what its caller gets.
#[allow(clippy::too_many_arguments)] // Each is of another thing; none two belong together.
fn answered(
    asked: &Asked,
    route: &str,
    provider: &HeaderMap,
    bytes: Bytes,
    dialect: Dialect,
    caller: &Caller,
    is_kept: bool,
    owner: KeyOwner,
) -> Result<WholeAnswer, Box<Failed>> {
    let malformed = |why: &str| Box::new(Failed::own(Failure::Malformed, route, why));
    if asked.stream {
        // It was to be a stream. What came instead may be an error; an answer it is not.
        return Err(match meter::whole(dialect, &bytes).ending {
            Ending::Failed(error) => Box::new(Failed::in_place(error, owner)),
            Ending::Complete | Ending::Open => malformed("a stream was asked for, and something else came"),
        });
    }
    if !is_kept {
        return match translate::reply(dialect, caller, &bytes) {
            Ok(reply) => {
                let mut headers = HeaderMap::with_capacity(6);
                headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
                Ok((reply.body.into(), reply.usage, headers))
            }
            Err(ReplyError::Error(error)) => Err(Box::new(Failed::in_place(error, owner))),
            Err(ReplyError::Unreadable(error)) => Err(malformed(&error.to_string())),
        };
    }
    let reading = meter::whole(dialect, &bytes);
    match reading.ending {
        Ending::Failed(error) => Err(Box::new(Failed::in_place(error, owner))),
        Ending::Open => Err(malformed("it is no JSON, or was cut")),
        Ending::Complete => Ok((bytes, reading.usage, headers::returned(provider))),
    }
}
