//! Which headers go on to a provider and which come back from it. What belongs to one connection, to a key, or to orx stays here.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::dialect::Dialect;

/// Headers of one connection (RFC 9110, 7.6.1), and of a body that may be another one.
const OF_CONNECTION: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "host",
];

/// Headers that carry keys.
const KEYS: [&str; 5] = ["authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"];

/// Whether the caller names the header as one of its connection alone.
fn is_listed(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|text| text.split(',').any(|one| one.trim().eq_ignore_ascii_case(name.as_str())))
    })
}

/// Headers for a provider of the caller's own dialect: all that are the caller's, but for its key where the operator's is used.
/// Answers are wanted as they are: what is compressed cannot be metered as it passes.
#[must_use]
pub fn passed(caller: &HeaderMap, key: Option<&(HeaderName, HeaderValue)>, keeps_login: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(caller.len() + 2);
    for (name, value) in caller {
        let text = name.as_str();
        let stays = OF_CONNECTION.contains(&text)
            || text == "accept-encoding"
            || text.starts_with("x-orx-")
            || text == "origin"
            || text == "referer"
            || text.starts_with("sec-fetch-")
            || (KEYS.contains(&text) && (!keeps_login || text == "cookie"))
            || is_listed(caller, name);
        if !stays {
            headers.append(name.clone(), value.clone());
        }
    }
    with_key(&mut headers, key);
    headers
}

/// Headers for a provider of another dialect.
#[must_use]
pub fn fresh(dialect: Dialect, stream: bool, key: Option<&(HeaderName, HeaderValue)>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("orx/", env!("CARGO_PKG_VERSION"))));
    let accept = if stream { dialect.stream_content_type() } else { "application/json" };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    if dialect == Dialect::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    }
    with_key(&mut headers, key);
    headers
}

fn with_key(headers: &mut HeaderMap, key: Option<&(HeaderName, HeaderValue)>) {
    if let Some((name, value)) = key {
        headers.insert(name.clone(), value.clone());
    }
}

/// Headers of a provider's answer for a caller of its dialect.
#[must_use]
pub fn returned(provider: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(provider.len() + 5);
    for (name, value) in provider {
        let text = name.as_str();
        // Cookies of a provider are for the gateway alone, and what it says about pages is not about ours.
        let stays = OF_CONNECTION.contains(&text)
            || text.starts_with("x-orx-")
            || matches!(text, "set-cookie" | "alt-svc" | "strict-transport-security" | "server" | "date")
            || text.starts_with("access-control-")
            || is_listed(provider, name);
        if !stays {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    const CALLER: [(&str, &str); 10] = [
        ("host", "127.0.0.1:8090"),
        ("authorization", "Bearer orx-key"),
        ("anthropic-beta", "a,b"),
        ("x-claude-code-session-id", "s"),
        ("x-unheard-of", "kept"),
        ("x-orx-key", "k"),
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("accept-encoding", "gzip"),
        ("cookie", "c"),
    ];

    #[test]
    fn what_is_the_callers_goes_on_and_its_key_does_not() {
        let key = (HeaderName::from_static("x-api-key"), HeaderValue::from_static("operator"));
        let headers = passed(&map(&CALLER), Some(&key), false);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["anthropic-beta", "x-api-key", "x-claude-code-session-id", "x-unheard-of"]);
        let own = passed(&map(&CALLER), None, true);
        assert_eq!(own.get("authorization").unwrap(), "Bearer orx-key");
        assert!(own.get("cookie").is_none() && own.get("x-orx-key").is_none());
    }

    #[test]
    fn what_a_provider_says_of_its_quota_comes_back_and_its_cookies_do_not() {
        let provider = map(&[
            ("anthropic-ratelimit-tokens-remaining", "5"),
            ("retry-after", "3"),
            ("request-id", "r"),
            ("set-cookie", "s"),
            ("x-orx-cost-usd", "0"),
            ("transfer-encoding", "chunked"),
        ]);
        let mut names: Vec<String> = returned(&provider).keys().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(names, ["anthropic-ratelimit-tokens-remaining", "request-id", "retry-after"]);
    }
}
