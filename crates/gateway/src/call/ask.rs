//! What a caller asks, read off its request: never more of the body than routing and money need.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use orx_protocol::clock;
use orx_router::Tokens;
use orx_router::capability::Capability;
use orx_router::complexity::Kind;
use orx_router::strategy::Priority;

use super::unreadable;
use crate::answer::{self, Answer, own};
use crate::bill;
use crate::cache::Slot;
use crate::caller::Caller;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::dialect::peek::{self, Peek};
use crate::dialect::{Dialect, count, json};
use crate::door::{Ask, Door};
use crate::features;
use crate::settings::Config;

/// How long a caller may take to send its body, in seconds.
const BODY_SECONDS: u64 = 60;

/// The largest body whose tokens are taken from its bytes.
const COUNTED: usize = 256 * 1024;

/// What a caller asks.
pub(super) struct Asked {
    /// The call.
    pub(super) call: String,
    /// Who asks.
    pub(super) caller: Caller,
    /// The caller's dialect.
    pub(super) dialect: Dialect,
    /// What is asked.
    pub(super) ask: Ask,
    /// The model, as the caller names it.
    pub(super) model: String,
    /// Whether the path names it.
    pub(super) path_model: Option<String>,
    /// Whether the path asks for a stream.
    pub(super) path_stream: Option<bool>,
    /// Whether a stream is wanted.
    pub(super) stream: bool,
    /// Whether Gemini's stream is wanted as one array.
    pub(super) array: bool,
    /// Whether it is Ollama's `/api/generate`.
    pub(super) generate: bool,
    /// Whether vectors are asked in the form for one text.
    pub(super) one: bool,
    /// The query of the address.
    pub(super) query: Option<String>,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Bytes,
    /// What was found in it.
    pub(super) found: Peek,
    /// What it is for.
    pub(super) kind: Kind,
    /// The conversation it is of.
    pub(super) conversation: Option<Arc<str>>,
    /// An estimate of its prompt.
    pub(super) prompt: Tokens,
    /// Its type, where it says so.
    pub(super) task: Option<Capability>,
    /// How much it matters, where it says so.
    pub(super) priority: Option<Priority>,
    /// Where its answer is to be kept.
    pub(super) slot: Option<Slot>,
    /// When it came.
    pub(super) began: Instant,
    /// The same in milliseconds since the epoch.
    pub(super) at_ms: u64,
}

/// Reads a request.
///
/// # Errors
/// The error that its caller is told.
pub(super) async fn read(
    config: &Config,
    door: &Door<'_>,
    query: Option<&str>,
    headers: HeaderMap,
    body: Incoming,
    caller: Caller,
    call: &str,
) -> Result<Asked, ApiError> {
    let began = Instant::now();
    let body = whole(body, &headers, config.body_bytes).await?;
    let found = peek::peek(&body).map_err(|error| unreadable(&error))?;
    let path_model = door.model.as_deref().map(str::to_owned);
    let model = match &path_model {
        Some(model) => model.clone(),
        None => found.model_name(&body).map_err(|error| unreadable(&error))?.unwrap_or_default(),
    };
    // Ollama streams unless it is told not to; everybody else the other way round.
    let usual = door.dialect == Dialect::Ollama;
    let stream = door.ask == Ask::Generate && door.stream.unwrap_or_else(|| found.stream.unwrap_or(usual));
    let prompt = estimate(door, &body);
    let kind = match door.ask {
        Ask::Generate => features::kind(door.dialect, &body, &found, prompt),
        Ask::Count => Kind::Count,
        Ask::Embed => Kind::Embedding,
        Ask::Rerank => Kind::Rerank,
        Ask::Models | Ask::Model | Ask::Work(_) | Ask::S4(_) => Kind::Main,
    };
    let conversation = match kind {
        Kind::Main if door.ask == Ask::Generate => {
            features::conversation(caller.name(), &headers, &body, &found, door.dialect)
        }
        // Calls on the side and texts by themselves are of no conversation whose prompt somebody keeps.
        _ => None,
    };
    Ok(Asked {
        call: call.to_owned(),
        caller,
        dialect: door.dialect,
        ask: door.ask,
        model,
        path_model,
        path_stream: door.stream,
        stream,
        array: stream && door.dialect == Dialect::Gemini && !door.events,
        generate: door.generate,
        one: door.one,
        query: query.map(str::to_owned),
        headers,
        body,
        found,
        kind,
        conversation,
        prompt,
        task: None,
        priority: None,
        slot: None,
        began,
        at_ms: clock::now_ms(),
    })
}

/// How long a prompt is. By its bytes, which is quick and never too little; where that is much it is counted, since most of it may be
/// pictures.
fn estimate(door: &Door<'_>, body: &Bytes) -> Tokens {
    let by_bytes = bill::prompt(body.len(), None);
    if body.len() <= COUNTED || door.ask != Ask::Generate {
        return by_bytes;
    }
    json::parse(body).map_or(by_bytes, |tree| by_bytes.min(Tokens(count::request(door.dialect, &tree).total())))
}

/// A request that the gateway makes itself, in OpenAI's dialect.
///
/// # Errors
/// The error that its caller is told; it would be a defect here.
pub(super) fn made(
    caller: Caller,
    call: &str,
    ask: Ask,
    (model, body): (&str, Bytes),
    task: Option<Capability>,
    priority: Option<Priority>,
) -> Result<Asked, ApiError> {
    let found = peek::peek(&body).map_err(|error| unreadable(&error))?;
    Ok(Asked {
        call: call.to_owned(),
        caller,
        dialect: Dialect::Chat,
        ask,
        model: model.to_owned(),
        path_model: None,
        path_stream: None,
        stream: false,
        array: false,
        generate: false,
        one: false,
        query: None,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
        prompt: bill::prompt(body.len(), None),
        body,
        found,
        kind: match ask {
            Ask::Embed => Kind::Embedding,
            Ask::Rerank => Kind::Rerank,
            _ => Kind::Main,
        },
        conversation: None,
        task,
        priority,
        slot: None,
        began: Instant::now(),
        at_ms: clock::now_ms(),
    })
}

/// The whole body of a request.
///
/// # Errors
/// The error that its caller is told.
pub(super) async fn whole(body: Incoming, headers: &HeaderMap, limit: usize) -> Result<Bytes, ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        // A form or plain text is what a foreign page can send without asking.
        let message = format!("the body's type is `{}`, it must be application/json", essence.escape_default());
        return Err(ApiError { status: 415, ..own(ErrorKind::InvalidRequest, &message, "") });
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        let message = "a body that is compressed cannot be read here";
        return Err(ApiError { status: 415, ..own(ErrorKind::InvalidRequest, message, "send it as it is") });
    }
    let too_large = || {
        let message = format!("the body is above the limit of {limit} bytes");
        own(ErrorKind::TooLarge, &message, "`gateway.body_bytes` of the settings can raise it")
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limit) {
        return Err(too_large());
    }
    let reading = Limited::new(body, limit).collect();
    match tokio::time::timeout(std::time::Duration::from_secs(BODY_SECONDS), reading).await {
        Err(_) => Err(own(ErrorKind::Timeout, &format!("the body did not arrive within {BODY_SECONDS} s"), "")),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Ok(Err(error)) => Err(own(ErrorKind::InvalidRequest, &format!("the body could not be read: {error}"), "")),
    }
}

/// The answer to a count of tokens that no provider can give: an estimate, with a header that says so.
pub(super) fn counted_here(config: &Config, asked: &Asked) -> Option<Response<Answer>> {
    if asked.ask != Ask::Count {
        return None;
    }
    let found = config.catalogue.find(&asked.model).ok();
    let model = found.and_then(|found| found.models.first().copied()).and_then(|index| config.catalogue.get(index));
    let upstream = model.and_then(|model| config.upstreams.get(&model.route.provider));
    let counts = |dialect| matches!(dialect, Dialect::Anthropic | Dialect::Gemini);
    let is_theirs = upstream.is_none_or(|upstream| {
        let dialect = upstream.dialect_for(asked.dialect);
        dialect == asked.dialect && counts(dialect) && upstream.is_configured()
    });
    if model.is_some() && is_theirs {
        return None;
    }
    let tree = json::parse(&asked.body).ok()?;
    let tokens = count::request(asked.dialect, &tree).total();
    let body = match asked.dialect {
        Dialect::Gemini => format!(r#"{{"totalTokens":{tokens}}}"#),
        _ => format!(r#"{{"input_tokens":{tokens}}}"#),
    };
    let mut response = answer::json(StatusCode::OK, body);
    response.headers_mut().insert("x-orx-estimate", HeaderValue::from_static("true"));
    Some(response)
}
