//! Hooks: programs that a CLI runs at points of its work. How they are installed for one session alone, what a CLI asks
//! by them, and how they answer. Pure: the daemon writes the files, and `orxctl hook` carries payload and answer. What a
//! hook says of the agent's state is concluded in `orx-session`.

mod changes;
mod claude;
mod copilot;
pub(crate) mod gemini;
mod pi;
mod qwen;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use orx_protocol::api::approval::{ApprovalKind, ApprovalState, Subject};
use serde_json::Value;

use crate::EngineKind;

/// How long a question waits in its hook for a daemon that is away, in seconds, where the engine shows no dialog meanwhile: a
/// restart is shorter, and a person at the terminal waits for nothing.
const AWAY: u64 = 20;

/// A hook's payload that is not what its CLI sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// Hooks of this CLI are not known.
    #[error("hooks of {0} are not known; there are those of claude, copilot, gemini, pi and qwen")]
    NoHooks(EngineKind),
    /// A member is missing or is something else.
    #[error("the hook's payload has no text `{0}`: is it what the engine hands to its hooks?")]
    Member(&'static str),
}

/// What is to be written and passed so that a CLI calls its hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The file, below the session's directory.
    pub file: &'static str,
    /// What is in it.
    pub content: String,
    /// The arguments with which the CLI finds it, in the place of those that were given.
    pub argv: Vec<String>,
    /// Variables by which the CLI finds it.
    pub environment: Vec<(&'static str, String)>,
}

/// How hooks are installed for one session, in a file in `directory`, so that the user's own files stay as they are.
/// `argv` is the whole command line, `environment` the CLI's, `program` what the hooks call, and `read` reads a settings file
/// that is named already. `None` where the CLI has no hooks, or its command line switches them off.
#[must_use]
pub fn install(
    kind: EngineKind,
    argv: &[String],
    environment: &BTreeMap<String, String>,
    program: &str,
    directory: &Path,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<Installation> {
    match kind {
        EngineKind::Claude => claude::install(argv, program, directory, read),
        EngineKind::Copilot => Some(copilot::install(argv, program, directory)),
        EngineKind::Gemini => gemini::install(argv, environment, program, directory, read),
        EngineKind::Pi => Some(pi::install(argv, program, directory)),
        EngineKind::Qwen => qwen::install(argv, environment, program, directory, read),
        _ => None,
    }
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
    /// The agent is about to ask this in a dialog, which the hook cannot answer.
    Foretells(Box<Question>),
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

/// How a CLI asks its user what a hook of its may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Its dialog is on the screen while the hook runs: whoever is first decides.
    Beside,
    /// Its dialog comes after a hook that said nothing, and none is there before.
    Before {
        /// How long the CLI waits for the hook.
        patience: Duration,
    },
}

/// How the hooks of a CLI ask; `None` where they answer nothing.
#[must_use]
pub const fn asking(kind: EngineKind) -> Option<Asking> {
    match kind {
        EngineKind::Claude | EngineKind::Pi => Some(Asking::Beside),
        EngineKind::Copilot => Some(Asking::Before { patience: copilot::PATIENCE }),
        EngineKind::Qwen => Some(Asking::Before { patience: qwen::PATIENCE }),
        _ => None,
    }
}

/// A payload with the names of members that all others have, as which it is kept, understood and told on.
#[must_use]
pub fn plain(kind: EngineKind, payload: Value) -> Value {
    if kind == EngineKind::Copilot { copilot::plain(payload) } else { payload }
}

/// Understands what a hook was told. The payload is [`plain`]. `read` reads a file that a tool is about to replace.
///
/// # Errors
/// [`BadPayload`].
pub fn understand(
    kind: EngineKind,
    payload: &Value,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<Heard, BadPayload> {
    match kind {
        EngineKind::Claude => claude::understand(payload, read),
        EngineKind::Copilot => copilot::understand(payload, read),
        EngineKind::Gemini => gemini::understand(payload, read),
        EngineKind::Pi => pi::understand(payload, read),
        EngineKind::Qwen => qwen::understand(payload, read),
        _ => Err(BadPayload::NoHooks(kind)),
    }
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
    match kind {
        EngineKind::Claude | EngineKind::Qwen => claude::answer(payload, answer),
        EngineKind::Copilot => copilot::answer(answer),
        EngineKind::Pi => pi::answer(answer),
        _ => None,
    }
}

/// What the hook prints so that the CLI does not do what it intends, or asks its user before that.
#[must_use]
pub fn hold_back(kind: EngineKind, is_denied: bool, reason: &str) -> Option<String> {
    match kind {
        EngineKind::Claude | EngineKind::Copilot | EngineKind::Qwen => Some(claude::hold_back(is_denied, reason)),
        EngineKind::Gemini => Some(gemini::hold_back(is_denied, reason)),
        EngineKind::Pi => Some(pi::hold_back(is_denied, reason)),
        _ => None,
    }
}
