//! Which calls are the same: everything that an answer depends on, and whose answer it is. What names only the caller's conversation is
//! left out of it.

use std::ops::Range;

use http::HeaderMap;
use ring::digest;

use crate::dialect::Dialect;
use crate::dialect::json::{self, Json};
use crate::dialect::peek::Peek;
use crate::key::hex;

/// The digest of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// As text.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

/// Headers that change an answer.
const HEADERS: [&str; 3] = ["anthropic-version", "anthropic-beta", "openai-beta"];
/// The largest body that is looked into for what it asks.
const LOOKED_INTO: usize = 256 * 1024;

/// What a call is known by, beside its body.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Whose answers these are.
    pub tenant: &'a str,
    /// The door: dialect, what is asked, model of the path, form of the answer.
    pub door: &'a str,
    /// The query of the address.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The key of a call.
#[must_use]
pub fn exact(shape: Shape<'_>, body: &[u8], found: &Peek) -> Key {
    let mut hash = begin("exact", shape);
    for part in without(body, [found.metadata.clone(), found.conversation.clone()]) {
        hash.update(part);
    }
    end(hash)
}

/// What is asked last, and the key of everything else: calls that are the same but for that are held against each other. `None` where
/// more than words is asked, or too much.
#[must_use]
pub fn question(shape: Shape<'_>, dialect: Dialect, body: &[u8], found: &Peek) -> Option<(Key, String)> {
    if found.tools > 0 || body.len() > LOOKED_INTO {
        return None;
    }
    let mut tree = json::parse(body).ok()?;
    if let Json::Object(members) = &mut tree {
        members.retain(|(name, _)| {
            !["metadata", "user", "session_id", "prompt_cache_key", "stream_options"].contains(&name.as_ref())
        });
    }
    let asked = last(dialect, &mut tree)?;
    let text = words(asked)?;
    *asked = Json::Null;
    let mut hash = begin("alike", shape);
    hash.update(tree.to_text().as_bytes());
    Some((end(hash), text)).filter(|(_, text)| !text.trim().is_empty())
}

/// The content of the last message, where it is the user's.
fn last<'t, 'b>(dialect: Dialect, tree: &'t mut Json<'b>) -> Option<&'t mut Json<'b>> {
    let name = match dialect {
        Dialect::Anthropic | Dialect::Chat => "messages",
        Dialect::Responses => "input",
        Dialect::Gemini => "contents",
        Dialect::Ollama if tree.get("messages").is_some() => "messages",
        Dialect::Ollama => "prompt",
    };
    let messages = tree.get_mut(name)?;
    if messages.as_str().is_some() {
        return Some(messages);
    }
    let message = messages.as_array_mut()?.last_mut()?;
    // Gemini's first message need not say whose it is.
    if message.get("role").and_then(Json::as_str).is_some_and(|role| role != "user") {
        return None;
    }
    message.get_mut(if dialect == Dialect::Gemini { "parts" } else { "content" })
}

/// Text, or blocks of nothing but text.
fn words(content: &Json<'_>) -> Option<String> {
    if let Some(text) = content.as_str() {
        return Some(text.to_owned());
    }
    let is_plain = |block: &Json<'_>| match block.get("type").and_then(Json::as_str) {
        None => block.get("inlineData").is_none() && block.get("functionResponse").is_none(),
        Some(kind) => matches!(kind, "text" | "input_text"),
    };
    let blocks = content.as_array()?;
    let texts: Option<Vec<&str>> = blocks
        .iter()
        .map(|block| Some(block).filter(|block| is_plain(block))?.get("text").and_then(Json::as_str))
        .collect();
    texts.map(|texts| texts.join("\n"))
}

fn begin(sort: &str, shape: Shape<'_>) -> digest::Context {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut part = |text: &[u8]| {
        // The length before each part: no two calls are the same by where one part ends.
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for text in [sort, shape.tenant, shape.door, shape.query] {
        part(text.as_bytes());
    }
    for name in HEADERS {
        part(shape.headers.get(name).map(http::HeaderValue::as_bytes).unwrap_or_default());
    }
    hash
}

fn end(hash: digest::Context) -> Key {
    let mut key = Key([0; 32]);
    key.0.copy_from_slice(hash.finish().as_ref());
    key
}

/// A body without some of its parts.
fn without(body: &[u8], parts: [Option<Range<usize>>; 2]) -> impl Iterator<Item = &[u8]> {
    let mut parts: Vec<Range<usize>> = parts.into_iter().flatten().collect();
    parts.sort_by_key(|part| part.start);
    let ends = parts.iter().map(|part| part.start).chain([body.len()]).collect::<Vec<_>>();
    let starts = [0].into_iter().chain(parts.into_iter().map(|part| part.end)).collect::<Vec<_>>();
    starts.into_iter().zip(ends).filter_map(move |(start, end)| body.get(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::peek::peek;

    fn shape<'a>(tenant: &'a str, headers: &'a HeaderMap) -> Shape<'a> {
        Shape { tenant, door: "chat generate", query: "", headers }
    }

    fn of(tenant: &str, body: &str) -> Key {
        exact(shape(tenant, &HeaderMap::new()), body.as_bytes(), &peek(body.as_bytes()).unwrap())
    }

    #[test]
    fn what_an_answer_depends_on_is_in_its_key_and_the_name_of_the_conversation_is_not() {
        let body =
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":{"user_id":"a"},"temperature":0}"#;
        assert_eq!(of("a", body), of("a", &body.replace(r#""a""#, r#""b""#)));
        for other in [body.replace("0}", "1}"), body.replace("\"x\"", "\"y\""), body.replace("\"m\"", "\"n\"")] {
            assert_ne!(of("a", body), of("a", &other), "{other}");
        }
        assert_ne!(of("a", body), of("b", body));
        let beta = HeaderMap::from_iter([(
            http::HeaderName::from_static("anthropic-beta"),
            http::HeaderValue::from_static("one"),
        )]);
        assert_ne!(of("a", body), exact(shape("a", &beta), body.as_bytes(), &peek(body.as_bytes()).unwrap()));
    }

    #[test]
    fn what_is_asked_last_is_told_from_everything_else() {
        let none = HeaderMap::new();
        let ask = |dialect, body: &str| {
            question(shape("a", &none), dialect, body.as_bytes(), &peek(body.as_bytes()).unwrap())
        };
        for (dialect, body) in [
            (
                Dialect::Chat,
                r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"ASK"}]}"#,
            ),
            (
                Dialect::Anthropic,
                r#"{"model":"m","system":"s","messages":[{"role":"user","content":[{"type":"text","text":"ASK"}]}]}"#,
            ),
            (Dialect::Responses, r#"{"model":"m","input":"ASK"}"#),
            (
                Dialect::Responses,
                r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"ASK"}]}]}"#,
            ),
            (Dialect::Gemini, r#"{"contents":[{"parts":[{"text":"ASK"}]}]}"#),
            (Dialect::Ollama, r#"{"model":"m","prompt":"ASK"}"#),
            (Dialect::Ollama, r#"{"model":"m","messages":[{"role":"user","content":"ASK"}]}"#),
        ] {
            let (key, text) = ask(dialect, body).unwrap();
            assert_eq!(text, "ASK", "{body}");
            assert_eq!(ask(dialect, &body.replace("ASK", "other")).unwrap().0, key, "{body}");
            let changed = body.replacen('{', r#"{"temperature":1,"#, 1);
            assert_ne!(ask(dialect, &changed).unwrap().0, key, "{body}");
        }
        for body in [
            r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}"#,
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{}}]}]}"#,
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"tool_result","content":"x"}]}]}"#,
            r#"{"model":"m","tools":[{"name":"t"}],"messages":[{"role":"user","content":"x"}]}"#,
            r#"{"model":"m","messages":[{"role":"user","content":" "}]}"#,
            r#"{"model":"m","messages":[]}"#,
            r#"{"model":"m"}"#,
        ] {
            assert_eq!(ask(Dialect::Anthropic, body), None, "{body}");
        }
    }
}
