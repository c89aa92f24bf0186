//! What all four APIs say alike: the newest prompt, how far its turn has come, and the tools that the CLI declared.

use serde_json::Value;

/// Which API a request came in on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Responses,
    /// OpenAI Chat Completions.
    Chat,
    /// Gemini.
    Gemini,
}

impl Wire {
    /// Its name in the request log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Responses => "responses",
            Self::Chat => "chat",
            Self::Gemini => "gemini",
        }
    }
}

/// One request, understood.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// The API.
    pub wire: Wire,
    /// The model that was asked for.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The newest prompt of the user.
    pub prompt: String,
    /// Rounds of tool calls since that prompt.
    pub turn: usize,
    /// All text of the request.
    pub text: String,
    /// Tools that the CLI declared.
    pub tools: Vec<String>,
    /// The working directory that the CLI states.
    pub cwd: Option<String>,
    /// The JSON schema that the answer must have.
    pub schema: Option<Value>,
    /// Whether it asks for a title or a summary beside the conversation.
    pub side_call: bool,
}

/// One message, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// Text of the user.
    Prompt(String),
    /// The model asked for tools.
    Calls,
    /// Anything else, as text.
    Other(String),
}

/// Texts that CLIs send in the user's name without the user.
const NOT_THE_USER: [&str; 8] = [
    "<system-reminder>",
    "<environment_context>",
    "<user_instructions>",
    "<permissions",
    "<session_context>",
    "<collaboration_mode>",
    "<skills_instructions>",
    "# AGENTS.md instructions",
];

/// Whether a text is the user's own.
pub(super) fn is_of_the_user(text: &str) -> bool {
    let text = text.trim_start();
    !text.is_empty() && !NOT_THE_USER.iter().any(|start| text.starts_with(start))
}

/// The user's words without what the CLI put around them.
pub(super) fn unwrapped(text: &str) -> &str {
    let before = |text: &'_ str, end: &str| text.find(end).unwrap_or(text.len());
    let own = text.split_once("</current_datetime>\n\n").map_or(text, |(_, rest)| rest);
    let own = own
        .strip_prefix("<user_input mode=\"act\">")
        .and_then(|rest| rest.strip_suffix("</user_input>"))
        .unwrap_or(own);
    let own = own
        .strip_prefix("Please solve this issue: ")
        .map_or(own, |rest| &rest[..before(rest, "\n\nYou can execute bash commands and edit files")]);
    &own[..before(own, "\n\n\n# *SEARCH/REPLACE block* Rules:")]
}

/// The newest prompt, and the rounds of tool calls since.
pub(super) fn newest(messages: &[Message]) -> (String, usize) {
    let last = messages.iter().rposition(|message| matches!(message, Message::Prompt(_)));
    let Some(last) = last else { return (String::new(), 0) };
    let prompt = match &messages[last] {
        Message::Prompt(text) => text.clone(),
        Message::Calls | Message::Other(_) => String::new(),
    };
    let turn = messages[last..].iter().filter(|message| **message == Message::Calls).count();
    (prompt, turn)
}

/// How the CLIs introduce the directory that they work in.
const INTRODUCTIONS: [&str; 7] = [
    "Primary working directory: ",
    "Working directory: ",
    "<cwd>",
    "- **Workspace Directories:**\n  - ",
    "urrent working directory: ",
    "urrent working directory is: ",
    "working in the directory: ",
];

/// The working directory that a text states.
pub(super) fn stated_cwd(text: &str) -> Option<String> {
    INTRODUCTIONS.iter().find_map(|introduction| {
        text.split(introduction).skip(1).find_map(|rest| {
            let path = rest.split(['\n', '<', ']']).next()?.trim();
            path.starts_with('/').then(|| path.to_owned())
        })
    })
}

/// All strings of a JSON value, each on lines of its own.
pub(super) fn strings(value: &Value, into: &mut String) {
    match value {
        Value::String(text) => {
            into.push_str(text);
            into.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(members) => members.values().for_each(|member| strings(member, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a system prompt is that of a side call.
pub(super) fn asks_for_a_title(system: &str) -> bool {
    let system = system.to_lowercase();
    system.contains("title") && (system.contains("generate") || system.contains("concise"))
}
