//! REST over the method table: which verb and path calls which method, and how a path, a query and a body become its
//! parameters. Pure.
//!
//! Every method can also be called as `POST /api/v1/<noun>/<verb>` with its parameters as the body, so that no method is
//! out of reach of REST.

use orx_protocol::{ErrorKind, RpcError};
use serde_json::{Map, Value};

/// One REST route: HTTP verb, path below `/api/v1`, method.
pub const ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/workers", "worker.list"),
    ("POST", "/workers/{worker}/drain", "worker.drain"),
    ("GET", "/sessions", "session.list"),
    ("POST", "/sessions", "session.create"),
    ("GET", "/sessions/{session}", "session.get"),
    ("DELETE", "/sessions/{session}", "session.stop"),
    ("POST", "/sessions/{session}/send", "session.send"),
    ("GET", "/sessions/{session}/messages", "session.messages"),
    ("POST", "/sessions/{session}/keys", "session.keys"),
    ("POST", "/sessions/{session}/interrupt", "session.interrupt"),
    ("POST", "/sessions/{session}/resize", "session.resize"),
    ("GET", "/sessions/{session}/screen", "session.screen"),
    ("GET", "/sessions/{session}/log", "session.log"),
    ("GET", "/sessions/{session}/scrollback", "session.scrollback"),
    ("GET", "/sessions/{session}/recording", "session.recording"),
    ("POST", "/sessions/{session}/wait", "session.wait"),
    ("POST", "/sessions/{session}/stop", "session.stop"),
    ("POST", "/sessions/{session}/pause", "session.pause"),
    ("POST", "/sessions/{session}/continue", "session.continue"),
    ("POST", "/sessions/{session}/finish", "session.finish"),
    ("POST", "/sessions/{session}/cancel", "session.cancel"),
    ("POST", "/sessions/{session}/resume", "session.resume"),
    ("POST", "/sessions/{session}/retry", "session.retry"),
    ("GET", "/sessions/{session}/checkpoints", "session.checkpoints"),
    ("POST", "/sessions/{session}/checkpoints", "session.checkpoint"),
    ("POST", "/sessions/{session}/restore", "session.restore"),
    ("GET", "/approvals", "approval.list"),
    ("POST", "/approvals/decide", "approval.decide"),
    ("GET", "/approvals/{approval}", "approval.get"),
    ("GET", "/rules", "rule.list"),
    ("POST", "/rules", "rule.add"),
    ("DELETE", "/rules/{rule}", "rule.remove"),
    ("GET", "/adoptable", "session.adoptable"),
    ("POST", "/adopt", "session.adopt"),
    ("GET", "/llm/providers", "llm.providers"),
    ("GET", "/llm/budget", "llm.budget"),
    ("GET", "/llm/usage", "llm.usage"),
    ("POST", "/llm/mark", "llm.mark"),
    ("POST", "/llm/route", "llm.route"),
    ("GET", "/keys", "key.list"),
    ("POST", "/keys", "key.add"),
    ("DELETE", "/keys/{name}", "key.revoke"),
    ("GET", "/notifications", "notification.list"),
    ("GET", "/runs", "run.list"),
    ("POST", "/runs", "run.start"),
    ("GET", "/runs/{run}", "run.get"),
    ("POST", "/runs/{run}/wait", "run.wait"),
    ("POST", "/runs/{run}/cancel", "run.cancel"),
    ("POST", "/runs/{run}/resume", "run.resume"),
    ("POST", "/runs/{run}/clean", "run.clean"),
    ("GET", "/runs/{run}/artifact", "run.artifact"),
    ("GET", "/events", "event.list"),
];

/// The method and parameters of a REST request. `query` is the raw query text, `body` the body's object, if any.
///
/// # Errors
/// `MethodNotFound` for a path that is no route; `InvalidParams` for a query that is no list of `name=value`.
pub fn resolve(
    verb: &str,
    path: &str,
    query: Option<&str>,
    body: Option<Map<String, Value>>,
) -> Result<(String, Map<String, Value>), RpcError> {
    let mut params = body.unwrap_or_default();
    for (name, value) in query_pairs(query.unwrap_or(""))? {
        params.insert(name, value);
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let mut other_verbs = Vec::new();
    for (route_verb, pattern, method) in ROUTES {
        let Some(found) = fits(pattern, &segments) else { continue };
        if *route_verb != verb {
            other_verbs.push(*route_verb);
            continue;
        }
        params.extend(found.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))));
        return Ok(((*method).to_owned(), params));
    }
    if let ("POST", [noun, action]) = (verb, segments.as_slice()) {
        return Ok((format!("{}.{action}", orx_protocol::legacy::role(noun)), params));
    }
    let hint =
        if other_verbs.is_empty() { String::new() } else { format!("this path takes {}", other_verbs.join(", ")) };
    Err(RpcError::new(ErrorKind::MethodNotFound, format!("there is no route {verb} /api/v1{path}")).with_hint(hint))
}

fn fits<'a>(pattern: &'a str, segments: &[&'a str]) -> Option<Vec<(&'a str, &'a str)>> {
    let wanted: Vec<&str> = pattern.split('/').filter(|segment| !segment.is_empty()).collect();
    if wanted.len() != segments.len() {
        return None;
    }
    let mut found = Vec::new();
    for (wanted, segment) in wanted.into_iter().zip(segments) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => found.push((name, *segment)),
            None if wanted == *segment => {}
            None => return None,
        }
    }
    Some(found)
}

/// Reads a query; a value that is a whole number or `true`/`false` becomes that.
fn query_pairs(query: &str) -> Result<Vec<(String, Value)>, RpcError> {
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, "true"));
        let (name, value) = (decode(name)?, decode(value)?);
        let value = match value.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number if number.parse::<u64>().is_ok() => Value::from(number.parse::<u64>().unwrap_or_default()),
            text => Value::String(text.to_owned()),
        };
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Percent-decoding with `+` as a blank (application/x-www-form-urlencoded).
fn decode(text: &str) -> Result<String, RpcError> {
    let bad = || {
        RpcError::new(
            ErrorKind::InvalidParams,
            format!("the query part `{}` is not percent-encoded UTF-8", text.escape_default()),
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().ok_or_else(bad)?, rest.next().ok_or_else(bad)?];
                let digits = std::str::from_utf8(&digits).map_err(|_| bad())?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verb: &str, path: &str, query: &str, expected: &str) {
        let (method, params) = resolve(verb, path, Some(query), None).unwrap();
        assert_eq!(format!("{method} {}", Value::Object(params)), expected);
    }

    #[test]
    fn routes_become_methods_and_parameters() {
        check("GET", "/sessions", "all=true", r#"session.list {"all":true}"#);
        check("GET", "/sessions/ses_1/log", "from=3&limit=5", r#"session.log {"from":3,"limit":5,"session":"ses_1"}"#);
        check(
            "GET",
            "/runs/run_1/artifact",
            "path=artifacts%2Fpatch.diff",
            r#"run.artifact {"path":"artifacts/patch.diff","run":"run_1"}"#,
        );
        check("POST", "/naming/allocate_capability", "", "naming.allocate_capability {}");
        check("POST", "/struct/project_map", "", "structure.project_map {}");
    }

    #[test]
    fn every_route_names_a_method_of_the_table() {
        for (_, _, method) in ROUTES {
            assert!(crate::api::methods().iter().any(|known| known.name == *method), "{method}");
        }
    }

    #[test]
    fn what_is_no_route_is_named() {
        let error = resolve("PUT", "/sessions", None, None).unwrap_err();
        assert_eq!((error.kind(), error.data.hint.as_str()), (ErrorKind::MethodNotFound, "this path takes GET, POST"));
        assert!(resolve("GET", "/", None, None).is_err());
        assert!(resolve("GET", "/sessions", Some("a=%zz"), None).is_err());
        assert!(resolve("GET", "/sessions", Some("a=%"), None).is_err());
    }
}
