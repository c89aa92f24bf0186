//! What a call cost in tokens, and whether its answer came whole, seen from the bytes as they pass.
//!
//! A stream in the caller's own dialect is handed on untouched; only lines that can say something about tokens, an end or an error
//! are parsed. Prices and ledgers are left to others.

use super::error::ApiError;
use super::json::{self, Json};
use super::sse::{Frame, Framing, Parser};
use super::{Dialect, DialectError, Usage};
use super::{anthropic, chat, gemini, ollama, responses};

/// The most bytes of an event that are held to be looked at. A larger one passes, but what it says is not known.
const HELD: usize = 8 * 1024 * 1024;

/// More tokens than any model takes or gives: such a number is a defect of the provider.
const ABSURD: u64 = 100_000_000;

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It has not ended yet, or it was cut: there was no last word.
    Open,
    /// As it should.
    Complete,
    /// With an error, though the status was 200.
    Failed(ApiError),
}

/// What is wrong with the tokens that were reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// None were reported.
    Missing,
    /// A number is negative, or none at all: it is left out.
    Invalid,
    /// A number is larger than any model allows: it is left out.
    Absurd,
    /// An event was too large to be looked at.
    Unseen,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Tokens; what was not reported, or was in doubt, is `None`.
    pub usage: Usage,
    /// What is wrong with them. An estimate has to stand in their place then.
    pub doubt: Option<Doubt>,
    /// How the answer ended.
    pub ending: Ending,
    /// The model that answered.
    pub model: Option<String>,
}

/// Reads a stream as it passes.
#[derive(Debug)]
pub struct StreamMeter {
    dialect: Dialect,
    parser: Option<Parser>,
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    /// The answer's own name, where its dialect repeats it to the end.
    name: Option<String>,
    events: u64,
    usage: Usage,
    doubt: Option<Doubt>,
    model: Option<String>,
    complete: bool,
    /// A reason of ending was there, after which a body may end without a further word.
    may_end: bool,
    failed: Option<ApiError>,
}

impl StreamMeter {
    /// For a stream of that dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        let framing = if dialect == Dialect::Ollama { Framing::Lines } else { Framing::Sse };
        Self { dialect, parser: Some(Parser::new(framing, HELD)), seen: Seen::default() }
    }

    /// Looks at bytes that pass.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { dialect, parser, seen } = self;
        let Some(reader) = parser else { return };
        let outcome = reader.feed(bytes, |frame| {
            seen.frame(*dialect, frame);
            Ok::<(), DialectError>(())
        });
        if outcome.is_err() {
            // The stream goes on to the caller; its end cannot be found any more.
            self.parser = None;
            self.seen.doubt = Some(Doubt::Unseen);
        }
    }

    /// What was seen so far; after the last byte, of the whole stream. `eof` where the body ended as HTTP says it should.
    #[must_use]
    pub fn finish(mut self, eof: bool) -> Reading {
        let complete = self.has_ended(eof);
        self.seen.reading(complete)
    }

    /// How the stream ended, once its last byte was seen. One that could not be looked at to its end is taken for whole where HTTP
    /// says that it is.
    pub fn ending(&mut self, eof: bool) -> Ending {
        let complete = self.has_ended(eof) || (eof && self.seen.doubt == Some(Doubt::Unseen));
        match &self.seen.failed {
            Some(error) => Ending::Failed(error.clone()),
            None if complete => Ending::Complete,
            None => Ending::Open,
        }
    }

    fn has_ended(&mut self, eof: bool) -> bool {
        let Self { dialect, parser, seen } = self;
        if let Some(reader) = parser {
            // Frames are looked at and cannot fail.
            let _infallible = reader.finish(|frame| {
                seen.frame(*dialect, frame);
                Ok::<(), DialectError>(())
            });
        }
        seen.complete || (eof && seen.may_end)
    }

    /// The error that the stream holds in place of an answer.
    #[must_use]
    pub const fn failure(&self) -> Option<&ApiError> {
        self.seen.failed.as_ref()
    }

    /// Tokens reported so far: what is billed where the caller goes away.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.seen.usage
    }

    /// The answer's own name, where its dialect repeats it to the end, and how many events of it passed.
    #[must_use]
    pub fn so_far(&self) -> (Option<&str>, u64) {
        (self.seen.name.as_deref(), self.seen.events)
    }

    /// Whether the last word came.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.seen.complete
    }
}

/// Reads a whole answer. `status` is its HTTP status.
#[must_use]
pub fn whole(dialect: Dialect, body: &[u8]) -> Reading {
    // What was said is stepped over: it says nothing of tokens, and is most of an answer.
    let is_wanted = |key: &str| !["choices", "content", "candidates", "output"].contains(&key);
    let mut seen = Seen::default();
    match json::parse_members(body, is_wanted) {
        Ok(tree) => {
            if let Some(error) = ApiError::of_body(&tree, 200) {
                seen.failed = Some(error);
            } else {
                seen.model = model_of(&tree);
                seen.report(dialect, usage_place(dialect, &tree));
            }
            seen.reading(true)
        }
        // It is no JSON, or was cut.
        Err(_) => seen.reading(false),
    }
}

/// The tokens of an answer to `/v1/embeddings`, `/api/embed`, `batchEmbedContents`, or a rerank, in the forms that providers give them.
#[must_use]
pub fn embeddings(body: &[u8]) -> Reading {
    #[derive(serde::Deserialize)]
    struct Body<'b> {
        #[serde(borrow)]
        usage: Option<Json<'b>>,
        #[serde(borrow)]
        meta: Option<Json<'b>>,
        #[serde(borrow)]
        prompt_eval_count: Option<Json<'b>>,
        #[serde(borrow, rename = "usageMetadata")]
        usage_metadata: Option<Json<'b>>,
        #[serde(borrow)]
        error: Option<Json<'b>>,
        model: Option<String>,
    }
    let mut seen = Seen::default();
    // Vectors are large and are stepped over.
    let Ok(parsed) = serde_json::from_slice::<Body<'_>>(body) else { return seen.reading(false) };
    if parsed.error.is_some_and(|error| error != Json::Null) {
        seen.failed = json::parse(body).ok().and_then(|tree| ApiError::of_body(&tree, 200));
        return seen.reading(true);
    }
    seen.model = parsed.model;
    let usage = parsed.usage.as_ref();
    let of = |key: &str| usage.and_then(|usage| usage.get(key));
    // Cohere: {"meta":{"billed_units":{"search_units":1}}}, {"meta":{"tokens":{"input_tokens":9}}}.
    let meta = parsed.meta.as_ref();
    let tokens = meta.and_then(|meta| meta.get("tokens").or_else(|| meta.get("billed_units")));
    let reported = of("prompt_tokens")
        .or_else(|| of("input_tokens"))
        .or_else(|| of("total_tokens"))
        .or_else(|| tokens.and_then(|tokens| tokens.get("input_tokens")))
        .or_else(|| parsed.usage_metadata.as_ref().and_then(|usage| usage.get("promptTokenCount")))
        .or(parsed.prompt_eval_count.as_ref());
    match reported {
        Some(value) => {
            seen.check(value);
            seen.usage =
                Usage { input: value.as_u64().filter(|count| *count <= ABSURD), output: Some(0), ..Usage::default() };
        }
        None => seen.doubt = Some(Doubt::Missing),
    }
    seen.reading(true)
}

/// The object that holds the tokens of a whole answer.
fn usage_place<'j, 'b>(dialect: Dialect, tree: &'j Json<'b>) -> Option<&'j Json<'b>> {
    match dialect {
        Dialect::Anthropic | Dialect::Chat | Dialect::Responses => tree.get("usage"),
        Dialect::Gemini => tree.get("usageMetadata"),
        Dialect::Ollama => Some(tree),
    }
}

fn model_of(tree: &Json<'_>) -> Option<String> {
    tree.get("model").or_else(|| tree.get("modelVersion")).and_then(Json::as_str).map(str::to_owned)
}

const COUNTS: [&str; 16] = [
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "promptTokenCount",
    "candidatesTokenCount",
    "cachedContentTokenCount",
    "thoughtsTokenCount",
    "prompt_eval_count",
    "eval_count",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
];

impl Seen {
    fn reading(self, complete: bool) -> Reading {
        let ending = match (self.failed, complete) {
            (Some(error), _) => Ending::Failed(error),
            (None, true) => Ending::Complete,
            (None, false) => Ending::Open,
        };
        let missing = self.usage.is_empty() || self.usage.prompt().is_none();
        let doubt = self.doubt.or((missing || self.usage.output.is_none()).then_some(Doubt::Missing));
        Reading { usage: self.usage, doubt, ending, model: self.model }
    }

    fn check(&mut self, value: &Json<'_>) {
        match value {
            Json::Number(number) => match number.as_u64() {
                Some(count) if count <= ABSURD => {}
                Some(_) => self.doubt = Some(Doubt::Absurd),
                None if number.as_f64().is_some_and(|count| count > 0.0) => self.doubt = Some(Doubt::Absurd),
                None => self.doubt = Some(Doubt::Invalid),
            },
            Json::Null => {}
            Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => self.doubt = Some(Doubt::Invalid),
        }
    }

    /// Takes a report of tokens: numbers that cannot be are told and left out.
    fn report(&mut self, dialect: Dialect, place: Option<&Json<'_>>) {
        let Some(place) = place else { return };
        if let Json::Object(members) = place {
            for (key, value) in members {
                match value {
                    Json::Object(details) => {
                        for (_, value) in details.iter().filter(|(key, _)| COUNTS.contains(&&**key)) {
                            self.check(value);
                        }
                    }
                    value if COUNTS.contains(&&**key) => self.check(value),
                    _ => {}
                }
            }
        }
        let mut usage = match dialect {
            Dialect::Anthropic => anthropic::usage_of(place),
            Dialect::Chat => chat::usage_of(place),
            Dialect::Responses => responses::usage_of(place),
            Dialect::Gemini => gemini::usage_of(place),
            Dialect::Ollama => ollama::usage_of(place),
        };
        for count in [
            &mut usage.input,
            &mut usage.cache_read,
            &mut usage.cache_write_5m,
            &mut usage.cache_write_1h,
            &mut usage.output,
            &mut usage.reasoning,
        ] {
            *count = count.filter(|count| *count <= ABSURD);
        }
        self.usage.merge(usage);
    }

    fn frame(&mut self, dialect: Dialect, frame: Frame<'_>) {
        self.events += 1;
        if self.complete || self.failed.is_some() || !can_matter(dialect, frame.data) {
            return;
        }
        if frame.data.trim_ascii() == b"[DONE]" {
            self.complete = dialect == Dialect::Chat;
            return;
        }
        let Ok(tree) = json::parse(frame.data) else { return };
        if self.model.is_none() {
            self.model = model_of(&tree)
                .or_else(|| tree.get("message").and_then(model_of))
                .or_else(|| tree.get("response").and_then(model_of));
        }
        let sort = tree.get("type").and_then(Json::as_str).unwrap_or_default();
        match dialect {
            Dialect::Anthropic => match sort {
                "message_start" => self.report(dialect, tree.get("message").and_then(|message| message.get("usage"))),
                "message_delta" => self.report(dialect, tree.get("usage")),
                "message_stop" => self.complete = true,
                "error" => self.failed = ApiError::of_body(&tree, 200),
                _ => {}
            },
            Dialect::Chat => {
                self.failed = ApiError::of_body(&tree, 200);
                self.report(dialect, tree.get("usage").filter(|usage| **usage != Json::Null));
                let choice = tree.get("choices").and_then(Json::as_array).and_then(<[_]>::first);
                self.may_end |= choice.and_then(|choice| choice.get("finish_reason")).and_then(Json::as_str).is_some();
            }
            Dialect::Responses => match sort {
                "response.created" => {
                    let name = tree.get("response").and_then(|response| response.get("id")).and_then(Json::as_str);
                    self.name = name.map(str::to_owned);
                }
                "response.completed" | "response.incomplete" => {
                    self.report(dialect, tree.get("response").and_then(|response| response.get("usage")));
                    self.complete = true;
                }
                "response.failed" => {
                    self.report(dialect, tree.get("response").and_then(|response| response.get("usage")));
                    self.failed = tree.get("response").and_then(|response| ApiError::of_body(response, 200));
                }
                "error" => {
                    self.failed = Some(ApiError::of_body(&tree, 200).unwrap_or_else(|| {
                        let message = tree.get("message").and_then(Json::as_str).unwrap_or("the provider failed");
                        ApiError::new(super::error::ErrorKind::Internal, message)
                    }));
                }
                _ => {}
            },
            Dialect::Gemini => {
                self.failed = ApiError::of_body(&tree, 200);
                self.report(dialect, tree.get("usageMetadata"));
                let candidate = tree.get("candidates").and_then(Json::as_array).and_then(<[_]>::first);
                self.may_end |= candidate.is_some_and(|candidate| candidate.get("finishReason").is_some())
                    || tree.get("promptFeedback").is_some_and(|feedback| feedback.get("blockReason").is_some());
            }
            Dialect::Ollama => {
                self.failed = ApiError::of_body(&tree, 200);
                if tree.get("done") == Some(&Json::Bool(true)) {
                    self.report(dialect, Some(&tree));
                    self.complete = true;
                }
            }
        }
    }
}

/// Whether an event can say something: most are pieces of text and cannot.
fn can_matter(dialect: Dialect, data: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(data, needle).is_some();
    match dialect {
        // The type stands at the beginning, and pieces of text all have the same.
        Dialect::Anthropic => {
            let head = data.get(..48).unwrap_or(data);
            memchr::memmem::find(head, b"content_block_").is_none() && (has(b"\"message_") || has(b"\"error\""))
        }
        Dialect::Chat => {
            has(b"\"usage\":{")
                || has(b"\"usage\": {")
                || has(b"\"finish_reason\":\"")
                || has(b"\"finish_reason\": \"")
                || has(b"\"error\"")
                || data.trim_ascii() == b"[DONE]"
        }
        Dialect::Responses => {
            let head = data.get(..64).unwrap_or(data);
            let is_delta = memchr::memmem::find(head, b".delta\"").is_some();
            !is_delta
                && (has(b"response.created")
                    || has(b"response.completed")
                    || has(b"response.incomplete")
                    || has(b"response.failed")
                    || has(b"\"error\""))
        }
        Dialect::Gemini => has(b"sageMetadata\"") || has(b"finishReason") || has(b"\"error\"") || has(b"blockReason"),
        Dialect::Ollama => has(b"\"done\":true") || has(b"\"done\": true") || has(b"\"error\""),
    }
}

#[cfg(test)]
mod tests;
