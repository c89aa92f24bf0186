//! What is seen of a request before it is sent anywhere: what it is for, how large it is, which conversation it belongs to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use http::HeaderMap;
use orx_router::Tokens;
use orx_router::capability::{Capabilities, Capability};
use orx_router::complexity::{self, Kind};

use crate::dialect::loss::Losses;
use crate::dialect::model::{Block, Role};
use crate::dialect::peek::Peek;
use crate::dialect::{Dialect, json, translate};

/// The largest body of a call without tools that is looked into for what it is for.
const LOOKED_INTO: usize = 64 * 1024;

/// Headers in which clients name their conversation: Claude Code, Codex, opencode.
const CONVERSATIONS: [&str; 5] =
    ["x-claude-code-session-id", "session-id", "session_id", "x-session-id", "x-session-affinity"];

/// What a call is for.
#[must_use]
pub fn kind(dialect: Dialect, body: &[u8], found: &Peek, input: Tokens) -> Kind {
    if found.tools > 0 || body.len() > LOOKED_INTO {
        return Kind::Main;
    }
    let plain = complexity::Features {
        tools: found.tools,
        messages: found.messages,
        input,
        max_output: found.max_tokens.map(Tokens),
        ..complexity::Features::default()
    };
    let Ok(tree) = json::parse(body) else { return complexity::kind(&plain) };
    let Ok(request) = translate::read_request(dialect, &tree, &mut Losses::default()) else {
        return complexity::kind(&plain);
    };
    let system = request.system.iter().map(|block| block.text.as_ref()).collect::<Vec<_>>().join("\n");
    let prompt = request.messages.iter().rev().find(|message| message.role == Role::User).and_then(|message| {
        message.content.iter().rev().find_map(|block| match block {
            Block::Text { text, .. } => Some(text.as_ref()),
            _ => None,
        })
    });
    complexity::kind(&complexity::Features {
        // Codex declares its tools where the top of the body does not show them.
        tools: request.tools.len(),
        system: &system,
        prompt: prompt.unwrap_or_default(),
        has_schema: request.format.is_some(),
        ..plain
    })
}

/// What a model has to be able to do, where the router is to choose one.
#[must_use]
pub fn needs(body: &[u8], found: &Peek) -> Capabilities {
    let has = |needle: &[u8]| memchr::memmem::find(body, needle).is_some();
    let mut needs = Capabilities::NONE;
    if found.tools > 0 {
        needs = needs.with(Capability::Tools);
    }
    if has(b"\"image_url\"") || has(b"\"input_image\"") || has(b"\"type\":\"image\"") || has(b"\"inlineData\"") {
        needs = needs.with(Capability::Vision);
    }
    needs
}

/// The conversation, under the name of its caller, so that no caller reaches into another's. One that names itself nowhere is known
/// by how it begins.
#[must_use]
pub fn conversation(
    caller: &str,
    headers: &HeaderMap,
    body: &[u8],
    found: &Peek,
    dialect: Dialect,
) -> Option<Arc<str>> {
    let named = CONVERSATIONS
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok().map(str::to_owned))
        .or_else(|| found.session(body, dialect));
    let name = match named {
        Some(name) => name,
        None => {
            let first = found.first_message.clone().and_then(|span| body.get(span))?;
            let mut hasher = DefaultHasher::new();
            (first, found.system_bytes, found.model.clone().and_then(|span| body.get(span))).hash(&mut hasher);
            format!("{:016x}", hasher.finish())
        }
    };
    Some(format!("{caller}/{name}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::peek::peek;
    use http::HeaderValue;

    #[test]
    fn side_calls_are_known_in_every_dialect() {
        let title = "You are a title generator. You output ONLY a thread title.";
        for (dialect, body) in [
            (
                Dialect::Anthropic,
                format!(r#"{{"model":"m","system":"{title}","messages":[{{"role":"user","content":"x"}}]}}"#),
            ),
            (
                Dialect::Chat,
                format!(
                    r#"{{"model":"m","messages":[{{"role":"system","content":"{title}"}},{{"role":"user","content":"x"}}]}}"#
                ),
            ),
            (Dialect::Responses, format!(r#"{{"model":"m","instructions":"{title}","input":"x"}}"#)),
            (
                Dialect::Gemini,
                format!(
                    r#"{{"systemInstruction":{{"parts":[{{"text":"{title}"}}]}},"contents":[{{"role":"user","parts":[{{"text":"x"}}]}}]}}"#
                ),
            ),
        ] {
            let found = peek(body.as_bytes()).unwrap();
            assert_eq!(kind(dialect, body.as_bytes(), &found, Tokens(50)), Kind::Title, "{dialect}");
        }
        let work = br#"{"model":"m","tools":[{"name":"t"}],"messages":[]}"#;
        assert_eq!(kind(Dialect::Anthropic, work, &peek(work).unwrap(), Tokens(50)), Kind::Main);
    }

    #[test]
    fn a_conversation_is_known_by_its_name_or_its_beginning() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
        let more = br#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}"#;
        let of = |caller: &str, headers: &HeaderMap, body: &[u8]| {
            conversation(caller, headers, body, &peek(body).unwrap(), Dialect::Chat).unwrap()
        };
        let none = HeaderMap::new();
        assert_eq!(of("a", &none, body), of("a", &none, more));
        assert_ne!(of("a", &none, body), of("b", &none, body));
        let named =
            HeaderMap::from_iter([(http::HeaderName::from_static("session-id"), HeaderValue::from_static("s"))]);
        assert_eq!(&*of("a", &named, body), "a/s");
    }
}
