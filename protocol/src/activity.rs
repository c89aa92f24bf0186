//! What the agent inside a session is doing, as far as it is known, and the observations from which that is concluded.
//! How observations are weighed belongs to `orx-session`.

use serde::{Deserialize, Serialize};

/// What an agent is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Its program is starting and takes no prompt yet.
    Starting,
    /// It works on a prompt.
    Working,
    /// It has nothing to do and takes a prompt.
    Idle,
    /// It asked its user something that is no permission: a question, a choice, a plan to be confirmed.
    WaitingInput,
    /// It waits for a permission.
    Blocked,
    /// Its calls of models are refused until a time, by its provider or a cap.
    RateLimited,
    /// Its own turn is over while helpers that it started still work.
    SubagentsRunning,
    /// Its program ended well.
    Done,
    /// Its program ended badly, or it said that it cannot go on.
    Failed,
    /// Its process is gone and nobody knows how it ended.
    Lost,
    /// No source says what it does.
    #[default]
    Unknown,
}

impl AgentState {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Working => "working",
            Self::Idle => "idle",
            Self::WaitingInput => "waiting_input",
            Self::Blocked => "blocked",
            Self::RateLimited => "rate_limited",
            Self::SubagentsRunning => "subagents_running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a person is needed before it goes on.
    #[must_use]
    pub const fn needs_somebody(self) -> bool {
        matches!(self, Self::WaitingInput | Self::Blocked | Self::Failed | Self::Lost)
    }
}

/// Where an observation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The engine's structured channel: app-server, HTTP server, ACP.
    Protocol,
    /// A hook that the engine called.
    Hook,
    /// The window title.
    Title,
    /// A notification of the terminal: OSC 9, 99, 777, bell.
    Notification,
    /// What the program says of its progress: OSC 9;4.
    Progress,
    /// A rule over the screen's text.
    Screen,
    /// The engine's own record of the conversation.
    Transcript,
    /// Its processes: ended, reading its terminal, using the processor.
    Process,
    /// The gateway: nobody takes its calls of models until a time.
    Gateway,
}

/// One look at an agent by one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Who looked.
    pub source: Source,
    /// What it saw.
    pub state: AgentState,
    /// By what it saw that, for a person: a rule's name, a hook's name, a title.
    pub reason: String,
    /// How sure the source is, in percent.
    pub confidence: u8,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Until when the state lasts, where the source knows: the end of a rate limit. Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// What an agent is doing, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Activity {
    /// The state.
    pub state: AgentState,
    /// Why this state, for a person.
    pub reason: String,
    /// How sure it is, in percent; 0 for `unknown`.
    pub confidence: u8,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
    /// Until when it lasts, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}
