//! Hooks: programs that a CLI runs at points of its work. How they are installed for one session alone, what a CLI asks
//! by them, and how they answer. Pure: the daemon writes the files, and `orxctl hook` carries payload and answer. What a
//! hook says of the agent's state is concluded in `orx-session`.

mod claude;

use std::path::Path;

use orx_protocol::api::approval::{ApprovalKind, ApprovalState, Subject};
use serde_json::Value;

use crate::EngineKind;

/// A hook's payload that is not what its CLI sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// Hooks of this CLI are not known.
    #[error("hooks of {0} are not known; there are those of claude")]
    NoHooks(EngineKind),
    /// A member is missing or is something else.
    #[error("the hook's payload has no text `{0}`: is it what the engine hands to its hooks?")]
    Member(&'static str),
}

/// What is to be written and passed so that a CLI calls its hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Name of the file in the session's directory.
    pub file: &'static str,
    /// What is in it.
    pub content: String,
    /// The arguments with which the CLI finds it, in the place of those that were given.
    pub argv: Vec<String>,
}

/// How hooks are installed for one session, in a file in `directory`, so that the user's own files stay as they are.
/// `argv` is the whole command line, `program` what the hooks call, and `read` reads a settings file that the command line
/// names already. `None` where the CLI has no hooks, or its command line switches them off.
#[must_use]
pub fn install(
    kind: EngineKind,
    argv: &[String],
    program: &str,
    directory: &Path,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<Installation> {
    if kind == EngineKind::Claude { claude::install(argv, program, directory, read) } else { None }
}

/// What a hook was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The name of the point in the CLI's own words.
    pub point: String,
    /// The CLI's own name of the conversation.
    pub conversation: Option<String>,
    /// Where it keeps the conversation.
    pub transcript: Option<String>,
    /// What it means.
    pub meaning: Meaning,
}

/// What a call of a hook means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The agent asks, and the hook may answer. Boxed, as it is much larger than the rest.
    Asks(Box<Question>),
    /// The agent is about to do this, with or without asking.
    Intends(Box<Question>),
    /// What was asked under this name was done or failed: nobody is asked any more.
    WentOn(Asker),
    /// The user's prompt was taken.
    Prompted(String),
    /// A turn is over, of the main agent or of a helper.
    TurnEnded(Option<String>),
    /// The conversation is over.
    Ended,
    /// Nothing that anybody waits for.
    Noticed,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What sort.
    pub kind: ApprovalKind,
    /// What exactly.
    pub subject: Subject,
    /// Who asks what, in short.
    pub asker: Asker,
}

/// By what a later call is known to be about the same thing: CLIs do not name their questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The helper that asks; `None`: the main agent.
    pub helper: Option<String>,
    /// A digest of tool and arguments.
    pub digest: String,
}

impl Asker {
    /// The key of a question: who asks what, and by which call of the hook.
    #[must_use]
    pub fn key(&self, call: &str) -> String {
        format!("{}{call}", self.prefix())
    }

    /// The beginning that the keys of all calls about this have.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}{}/", Self::prefix_of(self.helper.as_deref()), self.digest)
    }

    /// The beginning that the keys of everything have that this agent asks.
    #[must_use]
    pub fn prefix_of(helper: Option<&str>) -> String {
        format!("hook/{}/", helper.unwrap_or("-").replace('/', "_"))
    }
}

/// Understands what a hook was told. `read` reads a file that a tool is about to replace.
///
/// # Errors
/// [`BadPayload`].
pub fn understand(
    kind: EngineKind,
    payload: &Value,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<Heard, BadPayload> {
    if kind == EngineKind::Claude { claude::understand(payload, read) } else { Err(BadPayload::NoHooks(kind)) }
}

/// A decision for the CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Where the approval stands.
    pub state: ApprovalState,
    /// The reason that was given.
    pub reason: Option<&'a str>,
    /// The answer to a question.
    pub answer: Option<&'a str>,
}

/// What the hook prints so that the CLI takes the decision; `None`: nothing, and the CLI asks its user as ever.
#[must_use]
pub fn answer(kind: EngineKind, payload: &Value, answer: Answer<'_>) -> Option<String> {
    (kind == EngineKind::Claude).then(|| claude::answer(payload, answer)).flatten()
}

/// What the hook prints so that the CLI does not do what it intends, or asks its user before that.
#[must_use]
pub fn hold_back(kind: EngineKind, is_denied: bool, reason: &str) -> Option<String> {
    (kind == EngineKind::Claude).then(|| claude::hold_back(is_denied, reason))
}
