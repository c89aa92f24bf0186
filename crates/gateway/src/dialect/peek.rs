//! The keys of a request that routing and budgets need, found without parsing the body.
//!
//! The top level is walked, everything below is stepped over (`scan`). A body that does not balance is refused with line
//! and column; what is wrong deeper down is the provider's to refuse. Gemini names model and streaming in the path, not here.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::scan::{self, Broken, Skipped};
use super::{Dialect, DialectError};

/// Where a value stands in the body, in bytes.
pub type Span = Range<usize>;

/// What was found. Spans point into the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peek {
    /// The value of `model`, with its quotes.
    pub model: Option<Span>,
    /// `stream`.
    pub stream: Option<bool>,
    /// The most tokens of the answer: `max_tokens`, `max_completion_tokens`, `max_output_tokens`.
    pub max_tokens: Option<u64>,
    /// How many tools there are.
    pub tools: usize,
    /// Bytes of the tools.
    pub tools_bytes: usize,
    /// The value of `stream_options`.
    pub stream_options: Option<Span>,
    /// The value of `metadata`.
    pub metadata: Option<Span>,
    /// What names the conversation, besides `metadata`: `prompt_cache_key`, `session_id`, `user`, as they stand, with quotes.
    pub conversation: Option<Span>,
    /// Bytes of the instructions: `system`, `instructions`, `systemInstruction`.
    pub system_bytes: usize,
    /// How many messages there are: `messages`, `input`, `contents`.
    pub messages: usize,
    /// Bytes of the messages.
    pub messages_bytes: usize,
    /// The first message: with model and instructions it names a conversation that names itself nowhere.
    pub first_message: Option<Span>,
    /// Just after the opening brace: where a member can be put in.
    pub(crate) opening: usize,
    /// Whether there are no members at all.
    pub(crate) is_empty: bool,
}

/// Finds the keys.
///
/// # Errors
/// [`DialectError::Json`] where the body is no object or does not balance, [`DialectError::Field`] where a key that decides about
/// money or routing stands twice or is of the wrong kind.
pub fn peek(body: &[u8]) -> Result<Peek, DialectError> {
    walk(body).map_err(|stopped| match stopped {
        Stopped::Broken(broken) => located(body, broken),
        Stopped::Wrong(error) => error,
    })
}

enum Stopped {
    Broken(Broken),
    Wrong(DialectError),
}

impl From<Broken> for Stopped {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<DialectError> for Stopped {
    fn from(error: DialectError) -> Self {
        Self::Wrong(error)
    }
}

fn walk(body: &[u8]) -> Result<Peek, Stopped> {
    let mut found = Peek::default();
    let mut seen = Seen::default();
    let start = scan::spaces(body, 0);
    if body.get(start) != Some(&b'{') {
        return Err(Broken { at: start, what: "the body has to be a JSON object" }.into());
    }
    found.opening = start + 1;
    let mut at = scan::spaces(body, start + 1);
    if body.get(at) == Some(&b'}') {
        found.is_empty = true;
        return ends(body, at + 1).map(|()| found);
    }
    loop {
        if body.get(at) != Some(&b'"') {
            return Err(Broken { at, what: "a key is expected" }.into());
        }
        let key_end = scan::string(body, at)?;
        let key = body.get(at + 1..key_end - 1).unwrap_or_default();
        at = scan::spaces(body, key_end);
        if body.get(at) != Some(&b':') {
            return Err(Broken { at, what: "a colon is expected after a key" }.into());
        }
        at = scan::spaces(body, at + 1);
        let value = scan::value(body, at)?;
        if memchr::memchr(b'\\', key).is_some() {
            let quoted = body.get(key_end - key.len() - 2..key_end).unwrap_or_default();
            let plain: String = serde_json::from_slice(quoted).map_err(DialectError::from)?;
            member(body, plain.as_bytes(), at, value, &mut found, &mut seen)?;
        } else {
            member(body, key, at, value, &mut found, &mut seen)?;
        }
        at = scan::spaces(body, value.end);
        match body.get(at) {
            Some(b',') => at = scan::spaces(body, at + 1),
            Some(b'}') => return ends(body, at + 1).map(|()| found),
            Some(_) => return Err(Broken { at, what: "a comma or a closing brace is expected" }.into()),
            None => return Err(Broken { at, what: "the text ends inside an object" }.into()),
        }
    }
}

fn ends(body: &[u8], at: usize) -> Result<(), Stopped> {
    let at = scan::spaces(body, at);
    if at == body.len() { Ok(()) } else { Err(Broken { at, what: "there is more after the end" }.into()) }
}

/// Keys that were there already: readers disagree on which of two counts, so what was budgeted might not be what is done.
#[derive(Default)]
struct Seen {
    model: bool,
    stream: bool,
    max_tokens: bool,
    stream_options: bool,
}

fn once(seen: &mut bool, key: &str) -> Result<(), DialectError> {
    if std::mem::replace(seen, true) {
        return Err(DialectError::field(key, "it stands twice in the body; leave one out"));
    }
    Ok(())
}

fn member(
    body: &[u8],
    key: &[u8],
    at: usize,
    value: Skipped,
    found: &mut Peek,
    seen: &mut Seen,
) -> Result<(), DialectError> {
    let span = at..value.end;
    let text = body.get(span.clone()).unwrap_or_default();
    let length = value.end - at;
    match key {
        b"model" => {
            once(&mut seen.model, "model")?;
            if text.first() != Some(&b'"') {
                return Err(DialectError::field("model", "a string is needed here"));
            }
            found.model = Some(span);
        }
        b"stream" => {
            once(&mut seen.stream, "stream")?;
            found.stream = match text {
                b"true" => Some(true),
                b"false" => Some(false),
                b"null" => None,
                _ => return Err(DialectError::field("stream", "true or false is needed here")),
            };
        }
        b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens" => {
            let name = std::str::from_utf8(key).unwrap_or("max_tokens");
            // Two different ones may stand beside each other; the larger is what can be spent.
            if key == b"max_tokens" {
                once(&mut seen.max_tokens, name)?;
            }
            if text != b"null" {
                let tokens = serde_json::from_slice::<u64>(text)
                    .map_err(|_| DialectError::field(name, "a whole number that is not negative is needed here"))?;
                found.max_tokens = Some(found.max_tokens.unwrap_or(0).max(tokens));
            }
        }
        b"tools" => {
            found.tools = value.count;
            found.tools_bytes = length;
        }
        b"stream_options" => {
            once(&mut seen.stream_options, "stream_options")?;
            found.stream_options = Some(span);
        }
        b"metadata" => found.metadata = Some(span),
        b"prompt_cache_key" | b"session_id" => found.conversation = Some(span),
        b"user" if found.conversation.is_none() => found.conversation = Some(span),
        b"system" | b"instructions" | b"systemInstruction" | b"system_instruction" => found.system_bytes = length,
        b"messages" | b"input" | b"contents" => {
            found.messages = if text.first() == Some(&b'[') { value.count } else { 1 };
            found.messages_bytes = length;
            found.first_message = match text.first() {
                Some(b'[') if value.count > 0 => Some(at + 1..value.first_end),
                Some(b'[') => None,
                _ => Some(span),
            };
        }
        _ => {}
    }
    Ok(())
}

/// The error with line and column: `serde_json`'s where it finds the same text wrong, for its messages are the known ones.
fn located(body: &[u8], broken: Broken) -> DialectError {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(body) {
        return error.into();
    }
    let before = body.get(..broken.at).unwrap_or(body);
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let column = 1 + before.len() - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    DialectError::Json { line, column, message: broken.what.to_owned() }
}

impl Peek {
    /// The model that is named.
    ///
    /// # Errors
    /// [`DialectError::Json`] where the text is no valid string.
    pub fn model_name(&self, body: &[u8]) -> Result<Option<String>, DialectError> {
        let Some(text) = self.model.clone().and_then(|span| body.get(span)) else { return Ok(None) };
        Ok(Some(serde_json::from_slice(text)?))
    }

    /// What names the caller's conversation in the body, as its client puts it there: Claude Code in `metadata.user_id`, Codex in
    /// `prompt_cache_key`.
    #[must_use]
    pub fn session(&self, body: &[u8], dialect: Dialect) -> Option<String> {
        #[derive(Deserialize)]
        struct Metadata {
            user_id: Option<String>,
            session_id: Option<String>,
        }
        #[derive(Deserialize)]
        struct UserId {
            session_id: Option<String>,
        }
        if let Some(text) = self.metadata.clone().and_then(|span| body.get(span))
            && let Ok(metadata) = serde_json::from_slice::<Metadata>(text)
        {
            if metadata.session_id.is_some() {
                return metadata.session_id;
            }
            if let Some(user_id) = metadata.user_id.filter(|_| dialect == Dialect::Anthropic) {
                // Older versions write `user_…_account_…_session_<uuid>`, newer ones a JSON text.
                if let Ok(UserId { session_id: Some(session) }) = serde_json::from_str(&user_id) {
                    return Some(session);
                }
                if let Some((_, session)) = user_id.rsplit_once("_session_") {
                    return Some(session.to_owned());
                }
            }
        }
        let text = self.conversation.clone().and_then(|span| body.get(span))?;
        serde_json::from_slice(text).ok()
    }
}

#[cfg(test)]
mod tests;
