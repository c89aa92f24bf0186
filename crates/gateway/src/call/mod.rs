//! One call of a model: read, planned, sent along its chain of providers until one answers, answered.

mod ask;
mod cached;
mod embed;
mod exchange;
mod fit;
mod park;
mod plan;
mod preload;
mod s4;
mod send;
mod settle;
mod texts;
mod tries;
mod work;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use orx_protocol::CallId;
use orx_router::budget::{AtLimit, BudgetError};
use orx_router::parking;

use ask::Asked;
use cached::Found;

use crate::answer::{self, Answer, own};
use crate::caller::{self, Unknown};
use crate::control::Barrier;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::dialect::{Dialect, DialectError};
use crate::door::{Ask, Door};
use crate::inner::Inner;
use crate::models;
use crate::settings::Config;

/// Answers a request that came to a door.
pub(crate) async fn serve(gateway: Arc<Inner>, door: Door<'_>, request: Request<Incoming>) -> Response<Answer> {
    let call = CallId::generate().to_string();
    let dialect = spoken(&door, &request);
    let mut response = match dispatch(gateway, &door, dialect, &call, request).await {
        Ok(response) => response,
        Err(error) if matches!(door.ask, Ask::S4(_)) => s4::refused(&error),
        Err(error) => answer::error(dialect, &error),
    };
    if !response.headers().contains_key("x-orx-request-id") {
        answer::say(response.headers_mut(), answer::Said { call: &call, route: ("", ""), attempts: 0, cost: None });
    }
    response
}

/// The dialect of errors and lists: `/v1/models` is OpenAI's, Anthropic's and Google's. Anthropic's clients say their version, and
/// Google's have a header of their own for the key.
fn spoken(door: &Door<'_>, request: &Request<Incoming>) -> Dialect {
    let is_list = matches!(door.ask, Ask::Models | Ask::Model) && door.dialect == Dialect::Chat;
    let says = |name: &str| is_list && request.headers().contains_key(name);
    if says("anthropic-version") {
        Dialect::Anthropic
    } else if says("x-goog-api-key") || says("x-goog-api-client") {
        Dialect::Gemini
    } else {
        door.dialect
    }
}

async fn dispatch(
    gateway: Arc<Inner>,
    door: &Door<'_>,
    dialect: Dialect,
    call: &str,
    request: Request<Incoming>,
) -> Result<Response<Answer>, ApiError> {
    let (head, body) = request.into_parts();
    let caller = caller::identify(&gateway.keys, &gateway.named, &*gateway.callers, &head.headers, door.key)
        .await
        .map_err(unknown)?;
    match door.ask {
        Ask::Models => Ok(models::list(&gateway.config(), dialect)),
        Ask::Model => models::one(&gateway.config(), dialect, door.model.as_deref().unwrap_or_default()),
        Ask::Work(kind) => {
            let config = gateway.config();
            let body = ask::whole(body, &head.headers, config.body_bytes).await?;
            Ok(work::serve(gateway, config, kind, caller, call, &body).await)
        }
        Ask::S4(kind) => {
            let config = gateway.config();
            let body = ask::whole(body, &head.headers, config.body_bytes).await?;
            s4::serve(gateway, config, kind, caller, call, &body).await
        }
        Ask::Generate | Ask::Count | Ask::Embed | Ask::Rerank => {
            let config = gateway.config();
            let query = head.uri.query();
            let mut asked = ask::read(&config, door, query, head.headers, body, caller, call).await?;
            if let Some(counted) = ask::counted_here(&config, &asked) {
                return Ok(counted);
            }
            if preload::is_wanted(&asked.headers, asked.ask) {
                let asked = preload::shorten(asked).map_err(|error| unreadable(&error))?;
                return send::along(gateway, config, asked).await;
            }
            match cached::find(&gateway, &config, &asked).await {
                Found::Answer(answer) => return Ok(answer),
                Found::Missed(slot) => asked.slot = Some(slot),
                Found::Passed => return sent(gateway, config, asked).await,
            }
            let mut response = sent(gateway, config, asked).await?;
            cached::missed(&mut response);
            Ok(response)
        }
    }
}

/// Sends a call on, by what is asked.
async fn sent(gateway: Arc<Inner>, config: Arc<Config>, asked: Asked) -> Result<Response<Answer>, ApiError> {
    match asked.ask {
        Ask::Embed | Ask::Rerank => embed::along(gateway, config, asked).await,
        _ => send::along(gateway, config, asked).await,
    }
}

fn unknown(error: Unknown) -> ApiError {
    let kind = match error {
        Unknown::NoKey | Unknown::Wrong => ErrorKind::Authentication,
        Unknown::Ended(_) | Unknown::Revoked(_) => ErrorKind::Permission,
    };
    own(kind, &error.to_string(), "")
}

fn unreadable(error: &DialectError) -> ApiError {
    let field = match error {
        DialectError::Field { field, .. } | DialectError::Impossible { field, .. } => Some(field.clone()),
        DialectError::Json { .. } | DialectError::EventTooLarge { .. } => None,
    };
    ApiError { param: field, ..own(ErrorKind::InvalidRequest, &error.to_string(), error.hint()) }
}

/// What a caller is told where nobody was asked: the cap first, since nothing but money helps there.
fn barred(route: &str, barrier: &Barrier, now_ms: u64) -> ApiError {
    let message = format!("{route} is not asked: {barrier}");
    let after = |wait: Option<u64>| wait.map(|wait| wait.div_ceil(1000).max(1).to_string());
    match barrier {
        Barrier::NoKey { .. } => own(ErrorKind::Unavailable, &message, "or name a model whose provider has a key"),
        Barrier::Breaker(refused) => ApiError {
            retry_after: after(refused.retry_after_ms),
            ..own(ErrorKind::Unavailable, &message, "`orxctl providers` shows the breakers and can reset them")
        },
        Barrier::Limited(limited) => {
            ApiError { retry_after: after(limited.retry_after_ms), ..own(ErrorKind::RateLimited, &message, "") }
        }
        Barrier::Budget(BudgetError::PriceUnknown { .. }) => {
            own(ErrorKind::Billing, &message, "give the model a `price` in the provider file")
        }
        // Clients that wait by themselves wait for a limit of requests, and for nothing that is called a matter of money.
        Barrier::Budget(error) if error.at_limit() == Some(AtLimit::Park) => {
            let hint = "wait until then, or raise the cap";
            let wait = parking::wait_for_cap(error, now_ms);
            ApiError { retry_after: after(wait), ..own(ErrorKind::RateLimited, &message, hint) }
        }
        Barrier::Budget(BudgetError::Money { .. } | BudgetError::Tokens { .. }) => {
            own(ErrorKind::Billing, &message, "wait until the cap begins anew, take a cheaper model, or raise the cap")
        }
    }
}
