//! `session.adoptable` and `session.adopt`: agents and conversations that began elsewhere, looked after from now on.

use serde::{Deserialize, Serialize};

use crate::id::SessionId;

/// Where something that can be adopted is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A pane of tmux, which stays tmux's: it is shown, typed into and recorded, and not ended with the session.
    Tmux,
    /// A background agent of Claude Code, or a thread that Codex's own server (`codex app-server daemon`) has loaded.
    Agent,
    /// A conversation that an engine keeps: a thread of Codex, a session of Claude Code, Gemini CLI or another.
    Conversation,
    /// A running server of opencode, by its address.
    Server,
    /// A worktree of a repository: a new session works in it.
    Worktree,
}

impl Origin {
    /// Every origin that can be looked through.
    pub const ALL: [Self; 4] = [Self::Tmux, Self::Agent, Self::Conversation, Self::Worktree];

    /// The word in requests and listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tmux => "tmux",
            Self::Agent => "agent",
            Self::Conversation => "conversation",
            Self::Server => "server",
            Self::Worktree => "worktree",
        }
    }
}

/// Something that can be adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it is.
    pub origin: Origin,
    /// Its name there, for [`AdoptParams`].
    pub target: String,
    /// Its engine; `command` where none was recognised, `None` where any will do.
    pub engine: Option<String>,
    /// Its directory.
    pub cwd: String,
    /// What is known of it, in a line.
    pub title: Option<String>,
    /// The session that looks after it already.
    pub session: Option<SessionId>,
    /// The conversation that a background agent has, where its engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
}

/// Parameters of `session.adoptable`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptableParams {
    /// The directory of the conversations and worktrees that are looked for, absolute; without it neither is.
    #[serde(default)]
    pub cwd: Option<String>,
}

/// Result of `session.adoptable`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoptable {
    /// By origin.
    pub candidates: Vec<Candidate>,
    /// What could not be looked through, and why.
    pub notes: Vec<String>,
}

/// Parameters of `session.adopt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptParams {
    /// Where it is.
    pub origin: Origin,
    /// Its name there: `%3` or `<socket>:%3`, an agent's or conversation's name, a server's address, a worktree's path.
    pub target: String,
    /// The engine of a conversation or a background agent, or for a worktree.
    #[serde(default)]
    pub engine: Option<String>,
    /// The directory in which a conversation took place, absolute.
    #[serde(default)]
    pub cwd: Option<String>,
    /// A line for a person.
    #[serde(default)]
    pub title: Option<String>,
}
