//! The common form of a request. It borrows its texts from the JSON tree that it was read from.

use std::borrow::Cow;

use super::Dialect;
use super::json::Json;
use super::signature::Signature;

/// A text of a body.
pub type Text<'t> = Cow<'t, str>;

/// What a caller asks of a model.
#[derive(Debug, Clone, Default)]
pub struct Request<'t> {
    /// The model, as the caller named it; empty where the dialect names it in the path (Gemini).
    pub model: Text<'t>,
    /// Instructions, block by block: joining them would break the provider's prompt cache.
    pub system: Vec<System<'t>>,
    /// The conversation; neighbours are of different roles.
    pub messages: Vec<Message<'t>>,
    /// The tools that the caller runs.
    pub tools: Vec<Tool<'t>>,
    /// Which tool is to be used.
    pub tool_choice: Option<ToolChoice<'t>>,
    /// Whether several tools may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Sampling among the k likeliest.
    pub top_k: Option<u64>,
    /// Penalty for tokens that occurred.
    pub presence_penalty: Option<f64>,
    /// Penalty for tokens by how often they occurred.
    pub frequency_penalty: Option<f64>,
    /// Seed of sampling.
    pub seed: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Vec<Text<'t>>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a chat stream is to end with a chunk of usage.
    pub include_usage: bool,
    /// The form that the answer must have.
    pub format: Option<Format<'t>>,
    /// How much the model is to think.
    pub reasoning: Option<Reasoning>,
    /// Who the caller's user is, as an opaque text.
    pub user: Option<Text<'t>>,
    /// What keeps calls of one conversation on one prompt cache.
    pub cache_key: Option<Text<'t>>,
}

/// How long a provider is asked to keep the prompt up to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Five minutes: `{"type":"ephemeral"}`.
    FiveMinutes,
    /// An hour: `{"type":"ephemeral","ttl":"1h"}`.
    OneHour,
}

/// A block of instructions.
#[derive(Debug, Clone)]
pub struct System<'t> {
    /// The text.
    pub text: Text<'t>,
    /// A mark of the prompt cache at its end.
    pub cache: Option<Cache>,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The caller's: texts, images, results of tools.
    User,
    /// The model's: texts, reasoning, calls of tools.
    Assistant,
}

/// One turn.
#[derive(Debug, Clone)]
pub struct Message<'t> {
    /// Whose.
    pub role: Role,
    /// What.
    pub content: Vec<Block<'t>>,
}

/// A piece of a turn.
#[derive(Debug, Clone)]
pub enum Block<'t> {
    /// Text.
    Text {
        /// The text.
        text: Text<'t>,
        /// A mark of the prompt cache at its end.
        cache: Option<Cache>,
    },
    /// An image.
    Image {
        /// Where it is.
        source: Media<'t>,
        /// A mark of the prompt cache at its end.
        cache: Option<Cache>,
    },
    /// A document, such as a PDF.
    Document {
        /// Where it is.
        source: Media<'t>,
        /// Its name.
        name: Option<Text<'t>>,
        /// A mark of the prompt cache at its end.
        cache: Option<Cache>,
    },
    /// Reasoning that may be read.
    Thinking {
        /// The text.
        text: Text<'t>,
        /// What its provider signed it with.
        signature: Option<Signature<'t>>,
    },
    /// Reasoning that only its provider can read.
    Redacted(Signature<'t>),
    /// A call of a tool.
    ToolCall(ToolCall<'t>),
    /// What a tool gave.
    ToolResult(ToolResult<'t>),
}

/// Where an image or document is.
#[derive(Debug, Clone)]
pub enum Media<'t> {
    /// In the body.
    Base64 {
        /// Its media type, such as `image/png`.
        media_type: Text<'t>,
        /// Its bytes, as base64.
        data: Text<'t>,
    },
    /// At an address that the provider fetches.
    Url(Text<'t>),
}

/// A call of a tool.
#[derive(Debug, Clone)]
pub struct ToolCall<'t> {
    /// Its identifier, by which its result is found.
    pub id: Text<'t>,
    /// The tool.
    pub name: Text<'t>,
    /// What the tool is called with.
    pub arguments: Arguments<'t>,
    /// Gemini's signature of the call.
    pub signature: Option<Text<'t>>,
    /// A mark of the prompt cache at its end.
    pub cache: Option<Cache>,
}

/// What a tool is called with.
#[derive(Debug, Clone)]
pub enum Arguments<'t> {
    /// The text of a JSON object, as a model wrote it: it may be cut or wrong.
    Text(Text<'t>),
    /// An object.
    Json(&'t Json<'t>),
    /// Free text, of a custom tool.
    Free(Text<'t>),
}

impl Arguments<'_> {
    /// The text of a JSON object, whole and valid. Free text becomes `{"input": …}`; the second value is false where a model's
    /// text was no object and had to be wrapped.
    pub(crate) fn object_text(&self) -> (Cow<'_, str>, bool) {
        match self {
            Self::Json(value @ Json::Object(_)) => (Cow::Owned(value.to_text()), true),
            Self::Json(value) => (Cow::Owned(format!("{{\"value\":{}}}", value.to_text())), false),
            Self::Free(text) => (Cow::Owned(wrapped("input", text)), true),
            Self::Text(text) if text.trim().is_empty() => (Cow::Borrowed("{}"), true),
            Self::Text(text) => {
                let is_object =
                    text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
                if is_object { (Cow::Borrowed(text), true) } else { (Cow::Owned(wrapped("arguments", text)), false) }
            }
        }
    }

    /// The text as it stands where arguments are a string.
    pub(crate) fn string_text(&self) -> Cow<'_, str> {
        match self {
            Self::Json(value) => Cow::Owned(value.to_text()),
            Self::Free(text) => Cow::Owned(wrapped("input", text)),
            Self::Text(text) if text.is_empty() => Cow::Borrowed("{}"),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }

    /// The text of a custom tool's input: the `input` of the object that stood for it, or all of it.
    pub(crate) fn free_text(&self) -> Cow<'_, str> {
        match self {
            Self::Free(text) => Cow::Borrowed(text),
            Self::Json(value) => match value.get("input").and_then(Json::as_str) {
                Some(input) => Cow::Borrowed(input),
                None => Cow::Owned(value.to_text()),
            },
            Self::Text(text) => unwrapped(text).map_or(Cow::Borrowed(text), Cow::Owned),
        }
    }
}

fn wrapped(key: &str, text: &str) -> String {
    let mut writer = super::write::Writer::default();
    writer.object(|w| w.str_at(key, text));
    String::from_utf8(writer.into_bytes()).unwrap_or_default()
}

/// The free text in the object that stands for a custom tool's input.
pub(crate) fn unwrapped(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        input: String,
    }
    serde_json::from_str::<Wrapped>(text).ok().map(|wrapped| wrapped.input)
}

/// What a tool gave.
#[derive(Debug, Clone)]
pub struct ToolResult<'t> {
    /// The identifier of the call.
    pub id: Text<'t>,
    /// The tool, where the dialect says it.
    pub name: Option<Text<'t>>,
    /// Texts, images and documents.
    pub content: Vec<Block<'t>>,
    /// Whether the tool failed.
    pub is_error: bool,
    /// Whether it answers a call of a custom tool.
    pub custom: bool,
    /// A mark of the prompt cache at its end.
    pub cache: Option<Cache>,
}

/// A tool that the caller runs.
#[derive(Debug, Clone)]
pub struct Tool<'t> {
    /// Its name.
    pub name: Text<'t>,
    /// What it is for.
    pub description: Option<Text<'t>>,
    /// What it takes.
    pub input: ToolInput<'t>,
    /// Whether arguments must fit the schema exactly.
    pub strict: Option<bool>,
    /// A mark of the prompt cache at its end.
    pub cache: Option<Cache>,
}

/// What a tool takes.
#[derive(Debug, Clone)]
pub enum ToolInput<'t> {
    /// An object of this JSON schema.
    Schema(Cow<'t, Json<'t>>),
    /// An object; the caller said no more.
    Any,
    /// Free text, of this form where one is given.
    Free(Option<&'t Json<'t>>),
}

/// Which tool is to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'t> {
    /// The model decides.
    Auto,
    /// None.
    None,
    /// One of them, at least.
    Any,
    /// This one.
    Named(Text<'t>),
}

/// The form that the answer must have.
#[derive(Debug, Clone)]
pub enum Format<'t> {
    /// Any JSON object.
    Object,
    /// JSON of a schema.
    Schema {
        /// The schema's name.
        name: Option<Text<'t>>,
        /// The schema.
        schema: Cow<'t, Json<'t>>,
        /// Whether it must fit exactly.
        strict: Option<bool>,
    },
}

/// How much the model is to think. What is `None` was not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reasoning {
    /// Whether it is to think at all.
    pub enabled: Option<bool>,
    /// In words.
    pub effort: Option<Effort>,
    /// The most tokens of thought.
    pub budget: Option<u64>,
    /// Whether the caller wants to read the reasoning.
    pub visible: Option<bool>,
}

/// How hard the model is to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// As little as there is.
    Minimal,
    /// Little.
    Low,
    /// As usual.
    Medium,
    /// Much.
    High,
    /// More than much.
    ExtraHigh,
    /// As much as there is.
    Max,
}

impl Effort {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Minimal, "minimal"),
        (Self::Low, "low"),
        (Self::Medium, "medium"),
        (Self::High, "high"),
        (Self::ExtraHigh, "xhigh"),
        (Self::Max, "max"),
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(_, known)| *known == name).map(|(effort, _)| effort)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(effort, _)| *effort == self).map_or("medium", |(_, name)| name)
    }

    /// Tokens of thought that stand for it where a dialect counts them.
    pub(crate) const fn budget(self) -> u64 {
        match self {
            Self::Minimal => 1024,
            Self::Low => 2048,
            Self::Medium => 8192,
            Self::High => 16_384,
            Self::ExtraHigh => 32_768,
            Self::Max => 65_536,
        }
    }

    /// The word for a number of tokens.
    pub(crate) const fn of_budget(tokens: u64) -> Self {
        match tokens {
            0..=1024 => Self::Minimal,
            1025..=4096 => Self::Low,
            4097..=12_288 => Self::Medium,
            _ => Self::High,
        }
    }
}

impl Reasoning {
    /// The effort that was asked for, in words, from whichever of the two was said.
    pub(crate) fn effort_or_budget(&self) -> Option<Effort> {
        self.effort.or_else(|| self.budget.map(Effort::of_budget))
    }
}

/// Adds a block to the conversation: to the last turn where the role is the same.
pub(crate) fn push<'t>(messages: &mut Vec<Message<'t>>, role: Role, block: Block<'t>) {
    match messages.last_mut() {
        Some(last) if last.role == role => last.content.push(block),
        _ => messages.push(Message { role, content: vec![block] }),
    }
}

/// Whether a turn has anything that a provider of `dialect` can be sent: reasoning of others and empty texts are not.
pub(crate) fn says_something(message: &Message<'_>, dialect: Dialect) -> bool {
    message.content.iter().any(|block| match block {
        Block::Text { text, .. } => !text.is_empty(),
        Block::Thinking { signature, .. } => signature.as_ref().is_some_and(|signature| signature.origin == dialect),
        Block::Redacted(signature) => signature.origin == dialect,
        Block::Image { .. } | Block::Document { .. } | Block::ToolCall(_) | Block::ToolResult(_) => true,
    })
}

/// The tool whose call has this identifier.
pub(crate) fn tool_of_call<'m>(messages: &'m [Message<'_>], id: &str) -> Option<&'m str> {
    messages.iter().rev().flat_map(|message| message.content.iter().rev()).find_map(|block| match block {
        Block::ToolCall(call) if call.id == id => Some(&*call.name),
        _ => None,
    })
}
