//! The common form of a whole answer.

use super::Usage;
use super::model::{Block, Text};

/// What a model answered.
#[derive(Debug, Clone, Default)]
pub struct Reply<'t> {
    /// The provider's identifier of the answer.
    pub id: Option<Text<'t>>,
    /// The model that answered.
    pub model: Option<Text<'t>>,
    /// Texts, reasoning and calls of tools, in order.
    pub content: Vec<Block<'t>>,
    /// Why it ended.
    pub stop: Stop,
    /// The text at which it ended, where one of the caller's did it.
    pub stop_sequence: Option<Text<'t>>,
    /// Tokens.
    pub usage: Usage,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// The model had no more to say.
    #[default]
    EndTurn,
    /// It calls tools.
    ToolUse,
    /// The most tokens were reached.
    MaxTokens,
    /// A text of the caller's list came up.
    StopSequence,
    /// The model refused.
    Refusal,
    /// The provider's filter stepped in.
    Filter,
    /// The provider paused a long turn; sending it back goes on.
    Pause,
    /// The model's context is full.
    ContextFull,
}

impl Stop {
    /// The reason beside what was said: some dialects report an ordinary end although tools are called.
    pub(crate) const fn beside(self, calls_tools: bool) -> Self {
        match (self, calls_tools) {
            (Self::EndTurn, true) => Self::ToolUse,
            (stop, _) => stop,
        }
    }
}
