//! Sending a call along its way: each provider as often as the policy says, then the next, until one answers. Nothing is sent again
//! once the caller has had a byte.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use orx_protocol::event::kind;
use orx_router::failure::{Failure, KeyOwner, Progress};
use orx_router::parking::{self, Parking};
use orx_router::retry::{self, Again, Sofar};

use super::ask::Asked;
use super::park;
use super::plan::{self, Hop};
use super::settle::Draft;
use super::unreadable;
use crate::answer::{self, Answer, Said, own};
use crate::attempt::{Attempt, Begun, Ended};
use crate::bill::Seen;
use crate::caller::Login;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::dialect::meter::{self, Ending, StreamMeter};
use crate::dialect::translate::{self, Call, Caller, ReplyError, Target};
use crate::dialect::{Dialect, DialectError, Usage, splice};
use crate::door::Ask;
use crate::inner::Inner;
use crate::provider::client::{Unanswered, innermost};
use crate::provider::headers;
use crate::provider::upstream::{Shape, Upstream};
use crate::settings::Config;
use crate::stream::{Passage, Passing};

/// The largest answer that is read as a whole, in bytes.
const WHOLE: usize = 64 << 20;
/// The largest error that is read, in bytes.
const ERROR: usize = 1 << 20;
/// How long an error's body is waited for.
const ERROR_WAIT: Duration = Duration::from_secs(10);
/// Tokens of an answer where a provider has to be told and nobody said how many.
const DEFAULT_MAX_TOKENS: u64 = 8_192;

/// An attempt that failed.
struct Failed {
    failure: Failure,
    /// What the caller is told if nothing better comes.
    error: ApiError,
    /// The provider's own words, where the caller speaks its dialect.
    words: Option<(HeaderMap, Bytes)>,
    /// What parks its session, if nobody else takes the call.
    parks: Option<Parking>,
}

impl Failed {
    fn own(failure: Failure, route: &str, why: &str) -> Self {
        let kind = match failure {
            Failure::TimeoutBeforeHeaders | Failure::TimeoutInStream => ErrorKind::GatewayTimeout,
            _ => ErrorKind::BadGateway,
        };
        Self { failure, error: own(kind, &format!("{route}: {failure}: {why}"), ""), words: None, parks: None }
    }

    /// Of an error that stands in place of an answer.
    fn in_place(error: ApiError, owner: KeyOwner) -> Self {
        let failure = Failure::of_status(error.status, None, owner).unwrap_or(Failure::Malformed);
        Self { failure, error, words: None, parks: None }
    }
}

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
    tracing::debug!(call = asked.call, why = way.why, "A call is sent on.");
    let mut draft = Draft::new(Arc::clone(&gateway), &asked, &way);
    let mut last: Option<Failed> = None;
    let mut parks = Vec::new();
    while let Some((hop, leave, expected)) = way.next(&gateway, &config, &asked, gateway.time.now()) {
        draft.goes_to(&config, &asked, &hop, expected).await;
        let began_here = Instant::now();
        let (mut leave, mut attempts_here) = (Some(leave), 0);
        while let Some(own_leave) = leave.take() {
            attempts_here += 1;
            draft.row.attempts += 1;
            let attempt = Attempt::new(Begun {
                gateway: Arc::clone(&gateway),
                config: Arc::clone(&config),
                leave: own_leave,
                model: hop.model,
                row: Box::new(draft.row.clone()),
                conversation: asked.conversation.clone(),
                prompt: asked.prompt,
                is_ours: draft.row.billing == "key",
                is_login: asked.caller.login == Login::Own,
                began: asked.began,
                is_open: Arc::clone(&draft.is_open),
            });
            let mut failed = match once(&gateway, &config, &asked, &hop, attempt).await {
                Ok(response) => {
                    draft.answered();
                    return Ok(response);
                }
                Err(failed) => *failed,
            };
            let sofar = Sofar {
                attempts: attempts_here,
                elapsed_ms: u64::try_from(began_here.elapsed().as_millis()).unwrap_or(u64::MAX),
                failure: failed.failure,
                progress: Progress::Nothing,
            };
            tracing::info!(call = asked.call, route = %hop.route, error = failed.error.message, "An attempt failed.");
            let random = random();
            let again = gateway.control().again(&config.retry, &hop.route.provider, sofar, random, gateway.time.now());
            if let Again::After(pause) = again {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                leave = way.again(&gateway, &config, &asked, &hop, gateway.time.now());
            }
            if leave.is_none() {
                way.failed(&hop, failed.failure);
            }
            parks.extend(failed.parks.take());
            last = Some(failed);
        }
    }
    let parking =
        park::session(&gateway, &config, &asked, &way, last.as_ref().map(|failed| failed.failure), parks).await;
    let now = gateway.time.now();
    let Some(mut failed) = last else {
        let is_parked = parking.is_some() && asked.caller.payer.session.is_some();
        if let Some(error) = way.reached()
            && !is_parked
            && gateway.control().is_first_refusal(error)
        {
            let data = serde_json::json!({"message": error.to_string(), "call": asked.call});
            gateway.note(kind::BUDGET_REACHED, asked.caller.name().to_owned(), data);
        }
        let error = way.nobody(now);
        return Err(match &parking {
            Some(parking) => park::told_to_wait(&error.message, parking, now.wall_ms),
            None => error,
        });
    };
    if let Some(parking) = &parking
        && failed.error.status != 429
    {
        failed.error = park::told_to_wait(&failed.error.message, parking, now.wall_ms);
        failed.words = None;
    }
    let outcome = if matches!(failed.failure, Failure::Caller { .. }) { "refused" } else { "failed" };
    draft.failed(outcome, failed.error.status);
    let mut response = match failed.words {
        Some((provider, body)) => {
            let status = StatusCode::from_u16(failed.error.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let mut response = Response::new(Answer::Whole(Some(body)));
            *response.status_mut() = status;
            *response.headers_mut() = headers::returned(&provider);
            response
        }
        None => answer::error(asked.dialect, &failed.error),
    };
    // Some vendors say in a header or a body of their own when to come again, which another vendor's client does not read.
    if let Some(wait) = parking.and_then(|parking| parking.retry_after(now.wall_ms)) {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert_with(|| wait.into());
    }
    let route = (draft.row.provider.as_str(), draft.row.model.as_str());
    let said = Said { call: &asked.call, route, attempts: draft.row.attempts, cost: Some(0) };
    answer::say(response.headers_mut(), said);
    Ok(response)
}

/// A number for a pause; where the system gives none, the pause is none.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}

/// What goes to a provider.
struct Outgoing {
    request: Request<Full<Bytes>>,
    dialect: Dialect,
    caller: Caller,
    /// Whether the request, and its answer, are of the caller's own dialect.
    is_kept: bool,
    hides_usage: bool,
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
            // Another provider might take what this one cannot be told; what is wrong in itself none takes.
            let failure = if unsent.is_elsewhere { Failure::Malformed } else { Failure::Caller { status: 400 } };
            return Err(Box::new(Failed { failure, error: unsent.error, words: None, parks: None }));
        }
    };
    let Outgoing { request, dialect, caller, is_kept, hides_usage } = outgoing;
    let sent = gateway.client.send(request, config.timeouts.first_byte()).await;
    let response = match sent {
        Ok(response) => response,
        Err(Unanswered { failure, why }) => {
            attempt.end(Ended::Failed(failure));
            return Err(Box::new(Failed::own(failure, &route, &why)));
        }
    };
    let now_ms = gateway.time.now().wall_ms;
    let quota = park::quota(response.headers(), now_ms);
    let owner = if asked.caller.login == Login::Own { KeyOwner::Caller } else { KeyOwner::Operator };
    let (head, body) = response.into_parts();
    if !head.status.is_success() {
        let (mut failed, bytes) = refused(gateway, hop, &head, body, is_kept, owner).await;
        let mut quota = quota.unwrap_or_default();
        if head.status == StatusCode::TOO_MANY_REQUESTS {
            quota.read_body(&bytes, now_ms);
            failed.parks = parking::of_vendor(&hop.route.provider, &quota, now_ms, config.park_from_ms);
        }
        park::note(gateway, &hop.route.provider, quota, owner);
        attempt.end(Ended::Failed(failed.failure));
        return Err(Box::new(failed));
    }
    park::note(gateway, &hop.route.provider, quota.unwrap_or_default(), owner);
    attempt.answers();
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
    let bytes = match whole(body, config.timeouts.first_byte()).await {
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
            answer::say(&mut headers, said);
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

/// What was not sent.
struct Unsent {
    error: ApiError,
    /// Whether another provider might be told it.
    is_elsewhere: bool,
}

impl From<DialectError> for Unsent {
    fn from(error: DialectError) -> Self {
        Self { is_elsewhere: matches!(error, DialectError::Impossible { .. }), error: unreadable(&error) }
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
    let (body, headers) = if is_kept {
        let body = edited(asked, hop, &mut hides_usage)?;
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
        let translated = translate::request(&call, &target, &asked.body)?;
        for loss in &translated.losses {
            tracing::debug!(call = asked.call, ?loss, "A part of a request could not be said to its provider.");
        }
        caller = Caller { generate: asked.generate, array: asked.array, ..translated.caller };
        caller.prompt_estimate = Some(asked.prompt.0);
        (Bytes::from(translated.body), headers::fresh(dialect, asked.stream, key))
    } else {
        let message = format!("{} does not speak the dialect in which this is asked", hop.route);
        return Err(elsewhere(own(ErrorKind::BadGateway, &message, "name a model whose provider does")));
    };
    let shape = Shape {
        stream: asked.stream,
        generate: asked.generate && is_kept,
        query: asked.query.as_deref().filter(|_| is_kept && dialect != Dialect::Gemini),
    };
    let ask = if is_kept { asked.ask } else { Ask::Generate };
    let unbuilt =
        |error: http::Error| elsewhere(own(ErrorKind::InvalidRequest, &format!("{}: {error}", hop.route), ""));
    let uri = upstream.uri(dialect, ask, &hop.name, shape).map_err(unbuilt)?;
    let mut request = Request::builder().method(Method::POST).uri(uri).body(Full::new(body)).map_err(unbuilt)?;
    *request.headers_mut() = headers;
    Ok(Outgoing { request, dialect, caller, is_kept, hides_usage })
}

/// The caller's body with another model's name in it, where that is another; every other byte as it came.
fn edited(asked: &Asked, hop: &Hop, hides_usage: &mut bool) -> Result<Bytes, DialectError> {
    let names_it = asked.path_model.is_none() && hop.name != asked.model;
    let wants_usage = asked.dialect == Dialect::Chat && asked.stream && asked.ask == Ask::Generate;
    if !names_it && !wants_usage {
        return Ok(asked.body.clone());
    }
    let mut splice = if names_it { splice::model(&asked.found, &hop.name) } else { splice::Splice::default() };
    if wants_usage {
        let before = splice.clone();
        splice.include_usage(&asked.body, &asked.found)?;
        *hides_usage = splice != before;
    }
    if splice == splice::Splice::default() {
        return Ok(asked.body.clone());
    }
    Ok(splice.to_vec(&asked.body).into())
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

/// A status that is no success.
async fn refused(
    gateway: &Inner,
    hop: &Hop,
    head: &http::response::Parts,
    body: Incoming,
    is_kept: bool,
    owner: KeyOwner,
) -> (Failed, Bytes) {
    let now_ms = gateway.time.now().wall_ms;
    let status = head.status.as_u16();
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = retry_after.and_then(|value| retry::retry_after(value, now_ms));
    let failure = Failure::of_status(status, wait, owner).unwrap_or(Failure::Malformed);
    // What an error says is worth a little time; where it does not come, its status has to do.
    let reading = tokio::time::timeout(ERROR_WAIT, Limited::new(body, ERROR).collect());
    let bytes = reading.await.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut error = ApiError::read(status, retry_after, &bytes);
    match failure {
        // A refusal of the operator's key is no fault of the caller, who would take it for one of its own.
        Failure::ProviderKey { .. } => {
            error = own(
                ErrorKind::BadGateway,
                &format!("{}: {failure}: {}", hop.route, error.message),
                "correct the key in the environment of orchestratord",
            );
        }
        Failure::Malformed => {
            error = own(
                ErrorKind::BadGateway,
                &format!("{} answered {status}, which is no answer of an API", hop.route),
                "",
            );
        }
        _ => {}
    }
    let is_theirs = !matches!(failure, Failure::ProviderKey { .. } | Failure::Malformed);
    let words = (is_kept && is_theirs && !bytes.is_empty()).then(|| (head.headers.clone(), bytes.clone()));
    (Failed { failure, error, words, parks: None }, bytes)
}

fn is_streamed(headers: &HeaderMap, dialect: Dialect) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
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
    attempt.row.status = Some(200);
    let passage = Passage {
        from: passed.dialect,
        caller: passed.caller,
        hides_usage: passed.hides_usage,
        idle: config.timeouts.idle(),
    };
    let mut response = Response::new(Answer::Stream(Box::new(Passing::new(body, first, passage, attempt))));
    *response.headers_mut() = headers;
    Ok(response)
}

async fn whole(body: Incoming, wait: Duration) -> Result<Bytes, (Failure, String)> {
    match tokio::time::timeout(wait, Limited::new(body, WHOLE).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err((Failure::Malformed, format!("the answer is larger than {WHOLE} bytes")))
        }
        Ok(Err(error)) => Err((Failure::Cut, innermost(&*error))),
        Err(_) => Err((Failure::TimeoutInStream, format!("the answer did not end within {} ms", wait.as_millis()))),
    }
}

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
    let reading = match asked.ask {
        Ask::Embed | Ask::Rerank => meter::embeddings(&bytes),
        _ => meter::whole(dialect, &bytes),
    };
    match reading.ending {
        Ending::Failed(error) => Err(Box::new(Failed::in_place(error, owner))),
        Ending::Open => Err(malformed("it is no JSON, or was cut")),
        Ending::Complete => Ok((bytes, reading.usage, headers::returned(provider))),
    }
}
