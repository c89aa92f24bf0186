//! Calls that were answered before: which may have an answer out of the cache, and what is kept of the others. What is the same and
//! what is alike is `cache`'s to say.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use orx_protocol::{CallId, clock};
use serde::Deserialize;

use super::ask::{self, Asked};
use super::embed;
use super::settle::Draft;
use crate::answer::{self, Answer, Said};
use crate::cache::alike::Vector;
use crate::cache::entry::Entry;
use crate::cache::key::{self, Shape};
use crate::cache::{Cache, Slot};
use crate::caller::{Caller, Login};
use crate::door::Ask;
use crate::inner::Inner;
use crate::settings::Config;

/// The header in which a caller says what it wants of the cache, and is told what it got.
const HEADER: &str = "x-orx-cache";

/// What the cache has for a call.
pub(super) enum Found {
    /// An answer.
    Answer(Response<Answer>),
    /// Nothing: the answer is to be kept there.
    Missed(Slot),
    /// It is no call for the cache.
    Passed,
}

/// What the caller wants of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Any,
    /// A new answer, which is kept in the place of the old one.
    New,
    Nothing,
}

fn wish(headers: &HeaderMap) -> Wish {
    let says = |name: &str, word: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    if says(HEADER, "off") || says("cache-control", "no-store") {
        Wish::Nothing
    } else if says(HEADER, "refresh") || says("cache-control", "no-cache") {
        Wish::New
    } else {
        Wish::Any
    }
}

/// Looks for the answer to a call.
pub(super) async fn find(gateway: &Arc<Inner>, config: &Arc<Config>, asked: &Asked) -> Found {
    let Some(cache) = gateway.cache() else { return Found::Passed };
    let is_kind = match asked.ask {
        Ask::Generate => asked.found.tools == 0 || cache.settings.tools,
        Ask::Embed | Ask::Rerank => true,
        Ask::Count | Ask::Models | Ask::Model | Ask::Work(_) | Ask::S4(_) => false,
    };
    let wish = wish(&asked.headers);
    // What a login of the caller's own paid for is nobody else's.
    if !is_kind || wish == Wish::Nothing || asked.caller.login == Login::Own {
        return Found::Passed;
    }
    let (tenant, door) = (tenant(&cache, &asked.caller), door(asked));
    let shape = Shape {
        tenant: &tenant,
        door: &door,
        query: asked.query.as_deref().unwrap_or_default(),
        headers: &asked.headers,
    };
    let exact = key::exact(shape, &asked.body, &asked.found);
    if wish == Wish::Any
        && let Some(entry) = cache.get(exact).await
    {
        return Found::Answer(answer(gateway, asked, &entry, "hit"));
    }
    let mut alike = None;
    if let Some(semantic) = cache.settings.semantic.as_ref().filter(|_| asked.ask == Ask::Generate)
        && let Some((bucket, text)) = key::question(shape, asked.dialect, &asked.body, &asked.found)
        && let Some(vector) = vector_of(gateway, config, &asked.caller, &semantic.model, &text).await
    {
        if wish == Wish::Any
            && let Some(entry) = cache.near(bucket, &vector)
        {
            return Found::Answer(answer(gateway, asked, &entry, "near"));
        }
        alike = Some((bucket, vector));
    }
    Found::Missed(cache.slot(exact, alike, gateway.tasks.clone()))
}

/// Whose answers a caller gets: what has no name of that sort is by itself.
fn tenant(cache: &Cache, caller: &Caller) -> String {
    let of = cache.settings.of;
    match caller.payer.subject(of) {
        Some(subject) => format!("{of} {subject}"),
        None => format!("caller {}", caller.name()),
    }
}

fn door(asked: &Asked) -> String {
    format!(
        "{} {:?} {:?} stream {} array {} generate {}",
        asked.dialect, asked.ask, asked.path_model, asked.stream, asked.array, asked.generate
    )
}

/// Says that the cache had nothing.
pub(super) fn missed(response: &mut Response<Answer>) {
    if response.status().is_success() {
        response.headers_mut().insert(HEADER, HeaderValue::from_static("miss"));
    }
}

fn answer(gateway: &Arc<Inner>, asked: &Asked, entry: &Entry, word: &'static str) -> Response<Answer> {
    Draft::new(Arc::clone(gateway), asked, None).cached(entry);
    let mut response = answer::json(StatusCode::OK, entry.body.clone());
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(&entry.content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert(HEADER, HeaderValue::from_static(word));
    headers.insert(header::AGE, HeaderValue::from(clock::now_ms().saturating_sub(entry.at_ms) / 1000));
    let route = (entry.provider.as_str(), entry.model.as_str());
    answer::say(headers, Said { call: &asked.call, route, attempts: 0, cost: Some(0) });
    response
}

/// The vector of a text: a call of its own, metered and capped as every other. Without one the call goes on.
async fn vector_of(
    gateway: &Arc<Inner>,
    config: &Arc<Config>,
    caller: &Caller,
    model: &str,
    text: &str,
) -> Option<Vector> {
    #[derive(Deserialize)]
    struct Embedded {
        data: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        embedding: Vec<f32>,
    }
    let body = serde_json::to_vec(&serde_json::json!({"model": model, "input": text})).ok()?;
    let call = CallId::generate().to_string();
    let asked = ask::made(caller.clone(), &call, Ask::Embed, (model, body.into()), None, None).ok()?;
    let why = match embed::along(Arc::clone(gateway), Arc::clone(config), asked).await {
        Ok(response) if response.status().is_success() => {
            let bytes = response.into_body().collect().await.ok()?.to_bytes();
            match serde_json::from_slice::<Embedded>(&bytes) {
                Ok(Embedded { data }) => return data.into_iter().next().and_then(|one| Vector::new(one.embedding)),
                Err(error) => error.to_string(),
            }
        }
        Ok(response) => format!("it answered {}", response.status()),
        Err(error) => error.message,
    };
    tracing::warn!(model, why, "What is alike could not be looked for: the model that embeds did not.");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_says_what_it_wants_of_the_cache() {
        let of = |name: &'static str, value: &'static str| {
            wish(&HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))]))
        };
        assert_eq!(wish(&HeaderMap::new()), Wish::Any);
        assert_eq!(of("x-orx-cache", "off"), Wish::Nothing);
        assert_eq!(of("x-orx-cache", "Refresh"), Wish::New);
        assert_eq!(of("cache-control", "max-age=0, no-store"), Wish::Nothing);
        assert_eq!(of("cache-control", "no-cache"), Wish::New);
        assert_eq!(of("cache-control", "max-age=0"), Wish::Any);
    }
}
