//! Turns whole requests and whole answers into another dialect. Streams are [`super::stream`].

use super::error::ApiError;
use super::json;
use super::loss::{Loss, Losses};
use super::model::{Request, ToolChoice, ToolInput};
use super::reply::Reply;
use super::tree::Node;
use super::{Dialect, DialectError, Usage};
use super::{anthropic, chat, gemini, ollama, responses};

/// A call, as far as its body does not say it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'c> {
    /// The caller's dialect.
    pub dialect: Dialect,
    /// The model that is named in the path, as Gemini does.
    pub path_model: Option<&'c str>,
    /// Whether the path asks for a stream, as Gemini's does.
    pub path_stream: Option<bool>,
    /// The call's identifier, unique: identifiers in the answer are made from it where the provider gives none.
    pub request_id: &'c str,
    /// Now, in seconds since 1970: some dialects date their answers.
    pub created: u64,
}

/// The provider that a request is written for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'c> {
    /// Its dialect.
    pub dialect: Dialect,
    /// The model, as the provider names it.
    pub model: &'c str,
    /// The most tokens of an answer where the dialect must say it and the caller did not.
    pub default_max_tokens: u64,
    /// Whether the model of an Anthropic provider decides by itself how long it thinks (`adaptive`), or is given a budget.
    pub adaptive_thinking: bool,
    /// Whether a chat provider takes `max_completion_tokens`, as OpenAI's models demand; others take `max_tokens`.
    pub max_completion_tokens: bool,
    /// Whether a Gemini model refuses calls of tools that carry no signature, as models from 3 on do. Calls that another model
    /// made are then marked as such.
    pub signed_calls: bool,
}

impl<'c> Target<'c> {
    /// A provider about which nothing more is known.
    #[must_use]
    pub const fn new(dialect: Dialect, model: &'c str) -> Self {
        Self {
            dialect,
            model,
            default_max_tokens: 8192,
            adaptive_thinking: false,
            max_completion_tokens: false,
            signed_calls: false,
        }
    }
}

/// What has to be known of a call to answer it in the caller's dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The caller's dialect.
    pub dialect: Dialect,
    /// The model, as the caller named it.
    pub model: String,
    /// Whether a stream is wanted.
    pub stream: bool,
    /// Whether a chat stream is to end with a chunk of usage.
    pub include_usage: bool,
    /// Tools that take free text; to a provider they are functions.
    pub custom_tools: Vec<String>,
    /// Whether the caller asked Ollama's `/api/generate`.
    pub generate: bool,
    /// Whether the caller wants Gemini's stream as one JSON array, which is what it gets without `alt=sse`.
    pub array: bool,
    /// The call's identifier.
    pub request_id: String,
    /// When the call came, in seconds since 1970.
    pub created: u64,
    /// An estimate of the prompt's tokens, told at the beginning of a stream whose provider counts only at its end.
    pub prompt_estimate: Option<u64>,
}

/// A request in another dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// The body for the provider.
    pub body: Vec<u8>,
    /// What could not be said.
    pub losses: Vec<Loss>,
    /// What is needed to answer.
    pub caller: Caller,
}

/// An answer in the caller's dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslatedReply {
    /// The body for the caller.
    pub body: Vec<u8>,
    /// What could not be said.
    pub losses: Vec<Loss>,
    /// Tokens.
    pub usage: Usage,
}

/// Why a whole answer cannot be handed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// It is not what the dialect says.
    #[error("the provider's answer cannot be read: {0}")]
    Unreadable(#[from] DialectError),
    /// It is an error in an answer of status 200.
    #[error("the provider answered an error: {}", .0.message)]
    Error(ApiError),
}

/// Reads a request of the caller's dialect into the common form.
///
/// # Errors
/// [`DialectError::Field`] with the place of what is wrong.
pub fn read_request<'t>(
    dialect: Dialect,
    tree: &'t json::Json<'t>,
    losses: &mut Losses,
) -> Result<Request<'t>, DialectError> {
    let root = Node::root(tree);
    root.object()?;
    match dialect {
        Dialect::Anthropic => anthropic::request::read(&root, losses),
        Dialect::Chat => chat::request::read(&root, losses),
        Dialect::Responses => responses::request::read(&root, losses),
        Dialect::Gemini => gemini::request::read(&root, losses),
        Dialect::Ollama => ollama::request::read(&root, losses),
    }
}

/// Writes the common form of a request for a provider.
///
/// # Errors
/// [`DialectError::Impossible`] where leaving something out would change what was asked.
pub fn write_request(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, DialectError> {
    match target.dialect {
        Dialect::Anthropic => anthropic::request_out::write(request, target, losses),
        Dialect::Chat => chat::request_out::write(request, target, losses),
        Dialect::Responses => responses::request_out::write(request, target, losses),
        Dialect::Gemini => gemini::request_out::write(request, target, losses),
        Dialect::Ollama => ollama::request::write(request, target, losses),
    }
}

/// Turns a whole request into the provider's dialect.
///
/// # Errors
/// See [`DialectError`]; nothing may be sent then.
pub fn request(call: &Call<'_>, target: &Target<'_>, body: &[u8]) -> Result<Translated, DialectError> {
    let tree = json::parse(body)?;
    let mut losses = Losses::default();
    let mut request = read_request(call.dialect, &tree, &mut losses)?;
    if let Some(model) = call.path_model {
        request.model = model.into();
    }
    if let Some(stream) = call.path_stream {
        request.stream = stream;
    }
    settle_tool_choice(&mut request, &mut losses);
    let written = write_request(&request, target, &mut losses)?;
    let custom_tools = request
        .tools
        .iter()
        .filter(|tool| matches!(tool.input, ToolInput::Free(_)))
        .map(|tool| tool.name.clone().into_owned())
        .collect();
    let caller = Caller {
        dialect: call.dialect,
        model: request.model.into_owned(),
        stream: request.stream,
        include_usage: request.include_usage,
        custom_tools,
        generate: call.dialect == Dialect::Ollama && tree.get("prompt").is_some(),
        array: false,
        request_id: call.request_id.to_owned(),
        created: call.created,
        prompt_estimate: None,
    };
    Ok(Translated { body: written, losses: losses.into_vec(), caller })
}

/// A choice may name a tool that could not be translated, or there may be no tools at all: providers refuse either.
fn settle_tool_choice(request: &mut Request<'_>, losses: &mut Losses) {
    let gone = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => !request.tools.iter().any(|tool| tool.name == *name),
        Some(ToolChoice::Any | ToolChoice::Auto | ToolChoice::None) => request.tools.is_empty(),
        None => false,
    };
    if gone {
        if !matches!(request.tool_choice, Some(ToolChoice::Auto | ToolChoice::None)) {
            losses.note(
                "tool_choice",
                "the tool that it asks for is not among those that can be sent: the model decides",
            );
        }
        request.tool_choice = None;
    }
}

/// Reads a whole answer of a provider into the common form.
///
/// # Errors
/// [`ReplyError`]: it is of another form, or an error.
pub fn read_reply<'t>(dialect: Dialect, tree: &'t json::Json<'t>, seed: &str) -> Result<Reply<'t>, ReplyError> {
    if let Some(error) = ApiError::of_body(tree, 200) {
        return Err(ReplyError::Error(error));
    }
    let root = Node::root(tree);
    Ok(match dialect {
        Dialect::Anthropic => anthropic::reply::read(&root)?,
        Dialect::Chat => chat::reply::read(&root, seed)?,
        Dialect::Responses => responses::reply::read(&root)?,
        Dialect::Gemini => gemini::reply::read(&root, seed)?,
        Dialect::Ollama => ollama::reply::read(&root, seed)?,
    })
}

/// Writes the common form of an answer for the caller.
#[must_use]
pub fn write_reply(reply: &Reply<'_>, caller: &Caller, losses: &mut Losses) -> Vec<u8> {
    match caller.dialect {
        Dialect::Anthropic => anthropic::reply::write(reply, caller),
        Dialect::Chat => chat::reply::write(reply, caller),
        Dialect::Responses => responses::reply::write(reply, caller),
        Dialect::Gemini => gemini::reply::write(reply, caller, losses),
        Dialect::Ollama => ollama::reply::write(reply, caller, losses),
    }
}

/// Turns a whole answer of a provider of the dialect `from` into the caller's.
///
/// # Errors
/// [`ReplyError`]: the caller is told by [`ApiError::body`].
pub fn reply(from: Dialect, caller: &Caller, body: &[u8]) -> Result<TranslatedReply, ReplyError> {
    let tree = json::parse(body)?;
    let mut losses = Losses::default();
    let reply = read_reply(from, &tree, &caller.request_id)?;
    let body = write_reply(&reply, caller, &mut losses);
    Ok(TranslatedReply { body, losses: losses.into_vec(), usage: reply.usage })
}
