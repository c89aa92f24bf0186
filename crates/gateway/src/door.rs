//! Which paths are doors of models' APIs: the dialect that is spoken there, and what is asked. What may be asked, and by whom, is
//! left to the callers.

use std::borrow::Cow;

use crate::dialect::Dialect;

/// What is asked at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// An answer of a model.
    Generate,
    /// How many tokens a request has.
    Count,
    /// Vectors of texts.
    Embed,
    /// Which of some texts fit a question.
    Rerank,
    /// Which models there are.
    Models,
    /// What one model is.
    Model,
    /// A piece of work in S0's words.
    Work(Work),
    /// A question in S4's words.
    S4(S4),
}

/// What S4 asks of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S4 {
    /// Vectors of texts.
    Embeddings,
    /// An answer to messages.
    Chat,
    /// Which of some texts fit a question.
    Rerank,
}

/// A piece of work (S0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A task of any type.
    Execute,
    /// Code by its description.
    Generate,
    /// What is to be said of code.
    Review,
    /// What code does.
    Explain,
    /// An answer to a message.
    Chat,
}

/// A door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door<'p> {
    /// What is spoken there. OpenAI's embeddings and reranks count as chat.
    pub dialect: Dialect,
    /// What is asked.
    pub ask: Ask,
    /// The model, where the path names it.
    pub model: Option<Cow<'p, str>>,
    /// Whether a stream is asked for, where the path says so.
    pub stream: Option<bool>,
    /// Whether a stream is to be server-sent events, where the query says so: Gemini's is an array without that.
    pub events: bool,
    /// Whether it is Ollama's `/api/generate`.
    pub generate: bool,
    /// Whether vectors are asked in the form for one text: Gemini's `embedContent`, Ollama's older `/api/embeddings`.
    pub one: bool,
    /// The key that stands in the path before the door's own: for callers that can be given no header.
    pub key: Option<&'p str>,
    /// The path without that.
    pub path: &'p str,
}

/// What stands before a key in a path.
const KEY: &str = "/key/";

/// The door that a path is; `None` for what is no door of a model's API.
#[must_use]
pub fn find<'p>(method: &str, path: &'p str, query: Option<&str>) -> Option<Door<'p>> {
    let (key, path) = match path.strip_prefix(KEY).and_then(|rest| rest.find('/').map(|at| rest.split_at(at))) {
        Some((key, path)) => (Some(key), path),
        None => (None, path),
    };
    let door = |dialect, ask| Door {
        dialect,
        ask,
        model: None,
        stream: None,
        events: true,
        generate: false,
        one: false,
        key,
        path,
    };
    let found = match (method, path) {
        ("POST", "/v1/messages") => door(Dialect::Anthropic, Ask::Generate),
        ("POST", "/v1/messages/count_tokens") => door(Dialect::Anthropic, Ask::Count),
        ("POST", "/v1/chat/completions") => door(Dialect::Chat, Ask::Generate),
        ("POST", "/v1/responses") => door(Dialect::Responses, Ask::Generate),
        ("POST", "/v1/embeddings") => door(Dialect::Chat, Ask::Embed),
        ("POST", "/v1/rerank" | "/rerank") => door(Dialect::Chat, Ask::Rerank),
        ("POST", "/api/chat") => door(Dialect::Ollama, Ask::Generate),
        ("POST", "/api/generate") => Door { generate: true, ..door(Dialect::Ollama, Ask::Generate) },
        ("POST", "/api/embed") => door(Dialect::Ollama, Ask::Embed),
        ("POST", "/api/embeddings") => Door { one: true, ..door(Dialect::Ollama, Ask::Embed) },
        ("POST", "/api/v1/models/embeddings") => door(Dialect::Chat, Ask::S4(S4::Embeddings)),
        ("POST", "/api/v1/models/chat") => door(Dialect::Chat, Ask::S4(S4::Chat)),
        ("POST", "/api/v1/models/rerank") => door(Dialect::Chat, Ask::S4(S4::Rerank)),
        ("POST", "/execute") => door(Dialect::Chat, Ask::Work(Work::Execute)),
        ("POST", "/generate") => door(Dialect::Chat, Ask::Work(Work::Generate)),
        ("POST", "/review") => door(Dialect::Chat, Ask::Work(Work::Review)),
        ("POST", "/explain") => door(Dialect::Chat, Ask::Work(Work::Explain)),
        ("POST", "/chat") => door(Dialect::Chat, Ask::Work(Work::Chat)),
        ("GET", "/api/tags") => door(Dialect::Ollama, Ask::Models),
        ("GET", "/v1/models") => door(Dialect::Chat, Ask::Models),
        ("GET", "/v1beta/models") => door(Dialect::Gemini, Ask::Models),
        _ => return in_path(method, path, query, &door),
    };
    Some(found)
}

/// A door whose path names its model: `/v1beta/models/<model>:<verb>`, and a model by itself.
fn in_path<'p>(
    method: &str,
    path: &'p str,
    query: Option<&str>,
    door: &dyn Fn(Dialect, Ask) -> Door<'p>,
) -> Option<Door<'p>> {
    let gemini = path.strip_prefix("/v1beta/models/");
    let rest = gemini.or_else(|| path.strip_prefix("/v1/models/")).filter(|rest| !rest.is_empty())?;
    if method == "GET" {
        let dialect = if gemini.is_some() { Dialect::Gemini } else { Dialect::Chat };
        return Some(Door { model: Some(decoded(rest)?), ..door(dialect, Ask::Model) });
    }
    let (model, verb) = rest.rsplit_once(':').filter(|_| method == "POST")?;
    let events = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    let (ask, stream) = match verb {
        "generateContent" => (Ask::Generate, Some(false)),
        "streamGenerateContent" => (Ask::Generate, Some(true)),
        "countTokens" => (Ask::Count, Some(false)),
        "embedContent" | "batchEmbedContents" => (Ask::Embed, Some(false)),
        _ => return None,
    };
    let one = verb == "embedContent";
    Some(Door { model: Some(decoded(model)?), stream, events, one, ..door(Dialect::Gemini, ask) })
}

/// A name without its percent signs; `None` for what is no text then.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_doors() {
        for (method, path, query, dialect, ask, model, stream) in [
            ("POST", "/v1/messages", Some("beta=true"), Dialect::Anthropic, Ask::Generate, None, None),
            ("POST", "/v1/messages/count_tokens", None, Dialect::Anthropic, Ask::Count, None, None),
            ("POST", "/v1/chat/completions", None, Dialect::Chat, Ask::Generate, None, None),
            ("POST", "/v1/responses", None, Dialect::Responses, Ask::Generate, None, None),
            ("GET", "/v1/models/gpt-6.2-sol", None, Dialect::Chat, Ask::Model, Some("gpt-6.2-sol"), None),
            (
                "POST",
                "/v1beta/models/gemini-3.5-pro:streamGenerateContent",
                Some("alt=sse"),
                Dialect::Gemini,
                Ask::Generate,
                Some("gemini-3.5-pro"),
                Some(true),
            ),
            ("POST", "/v1/models/a%2Fb:countTokens", None, Dialect::Gemini, Ask::Count, Some("a/b"), Some(false)),
            ("POST", "/api/generate", None, Dialect::Ollama, Ask::Generate, None, None),
            ("GET", "/api/tags", None, Dialect::Ollama, Ask::Models, None, None),
            ("POST", "/api/v1/models/rerank", None, Dialect::Chat, Ask::S4(S4::Rerank), None, None),
        ] {
            let door = find(method, path, query).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(
                (door.dialect, door.ask, door.model.as_deref(), door.stream),
                (dialect, ask, model, stream),
                "{path}"
            );
        }
        let keyed = find("POST", "/key/orx-abc/v1/messages", None).unwrap();
        assert_eq!((keyed.key, keyed.path), (Some("orx-abc"), "/v1/messages"));
        assert!(!find("POST", "/v1beta/models/m:streamGenerateContent", Some("alt=json")).unwrap().events);
        for (path, one) in [
            ("/v1beta/models/m:embedContent", true),
            ("/v1beta/models/m:batchEmbedContents", false),
            ("/api/embeddings", true),
            ("/api/embed", false),
            ("/v1/embeddings", false),
        ] {
            let door = find("POST", path, None).unwrap();
            assert_eq!((door.ask, door.one), (Ask::Embed, one), "{path}");
        }
    }

    #[test]
    fn other_paths_are_no_doors() {
        for (method, path) in [
            ("GET", "/v1/messages"),
            ("POST", "/api/v1/sessions"),
            ("POST", "/v1beta/models/m:tunedModels"),
            ("POST", "/v1beta/models/m%zz:generateContent"),
            ("POST", "/v1beta/models/%ff:generateContent"),
            ("GET", "/v1/models/"),
            ("GET", "/api/v1/models/chat"),
            ("POST", "/api/v1/models/audio"),
            ("POST", "/key/abc"),
            ("GET", "/"),
        ] {
            assert_eq!(find(method, path, None), None, "{method} {path}");
        }
    }
}
