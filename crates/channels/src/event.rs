//! What channels report and what they take, in words that are no protocol's own.

use orx_protocol::activity::{AgentState, Observation, Source};
use orx_protocol::api::approval::{ApprovalKind, Decision, Subject};

/// What a channel reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelEvent {
    /// What the agent does, as its engine says.
    Observed(Observation),
    /// The engine's own name of the conversation that the session is in; another one when its user went to another.
    Conversation(String),
    /// The agent asks for a permission or an answer. Told again, with the same key, after a reconnection.
    Asked(Box<Ask>),
    /// What was asked needs no answer any more: somebody answered at the terminal, or the agent went on.
    Answered {
        /// Which.
        key: String,
    },
    /// Whether the engine took a decision.
    Delivered {
        /// Which.
        key: String,
        /// The reason when it did not.
        outcome: Result<(), String>,
    },
    /// The engine has the prompt.
    PromptAccepted {
        /// Which.
        id: u64,
    },
    /// The engine is through with the prompt, or never took it.
    PromptEnded {
        /// Which.
        id: u64,
        /// How.
        outcome: PromptOutcome,
    },
    /// After a connection: everything that is still asked has been told. What was asked before and is not among it was
    /// answered in the meantime.
    InStep,
    /// What the conversation used so far.
    Usage(Usage),
    /// The channel is over; nothing follows.
    Closed {
        /// Why, for a person.
        why: String,
        /// Whether opening it again later may help: the other end was gone or silent, and did not refuse.
        may_come_back: bool,
    },
}

/// How a prompt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptOutcome {
    /// The agent's turn came to its end.
    Done,
    /// Somebody stopped the turn.
    Interrupted,
    /// The turn failed, for this reason.
    Failed(String),
    /// The engine did not take the prompt, for this reason.
    Refused(String),
}

/// Tokens and cost; `None` where the engine does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens sent, cached ones included.
    pub input: Option<u64>,
    /// Tokens received.
    pub output: Option<u64>,
    /// Of the input, those from a cache.
    pub cached: Option<u64>,
    /// Tokens that the conversation holds now.
    pub context: Option<u64>,
    /// Tokens that it can hold.
    pub window: Option<u64>,
    /// Cost so far in millionths of a US dollar.
    pub cost_microusd: Option<u64>,
}

/// A permission or an answer that an agent asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Names it within the session, also over reconnections.
    pub key: String,
    /// What sort of thing is asked.
    pub kind: ApprovalKind,
    /// One line for a list.
    pub title: String,
    /// What exactly.
    pub subject: Subject,
}

/// What a channel is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelCommand {
    /// A text of the user for the agent. [`ChannelEvent::PromptAccepted`] or [`ChannelEvent::PromptEnded`] follows.
    Prompt {
        /// Names it in the events; never used twice in a session.
        id: u64,
        /// The text.
        text: String,
    },
    /// A decision. [`ChannelEvent::Delivered`] or [`ChannelEvent::Answered`] follows.
    Decide {
        /// What was asked.
        key: String,
        /// How it was decided.
        decision: Decision,
        /// The answer to a question.
        answer: Option<String>,
        /// Why; told to the agent where its protocol has a place for that.
        reason: Option<String>,
    },
    /// The agent's turn is to stop.
    Interrupt,
}

/// How sure an engine is of what it says about itself, in percent.
const CONFIDENCE: u8 = 99;

/// An observation by a protocol.
pub(crate) fn observed(state: AgentState, reason: impl Into<String>, at_ms: u64) -> ChannelEvent {
    ChannelEvent::Observed(Observation {
        source: Source::Protocol,
        state,
        reason: reason.into(),
        confidence: CONFIDENCE,
        at_ms,
        until_ms: None,
    })
}

/// As [`observed`], for a state that ends at a known time.
pub(crate) fn observed_until(
    state: AgentState,
    reason: impl Into<String>,
    at_ms: u64,
    until_ms: Option<u64>,
) -> ChannelEvent {
    match observed(state, reason, at_ms) {
        ChannelEvent::Observed(observation) => ChannelEvent::Observed(Observation { until_ms, ..observation }),
        other => other,
    }
}
