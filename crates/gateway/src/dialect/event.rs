//! The common form of a stream: blocks that follow each other, none inside another.

use super::Usage;
use super::error::ApiError;
use super::reply::Stop;
use super::signature::Signature;

/// One step of a streamed answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'e> {
    /// It begins.
    Start {
        /// The provider's identifier of the answer.
        id: Option<&'e str>,
        /// The model that answers.
        model: Option<&'e str>,
        /// Tokens known by now.
        usage: Usage,
    },
    /// A block begins.
    Open(Open<'e>),
    /// More of the open block: text, reasoning, or a piece of the text of a tool's arguments.
    Delta(&'e str),
    /// The open block ends. Reasoning may have been signed.
    Close(Option<Signature<'e>>),
    /// The answer ends as it should.
    Finish {
        /// Why.
        stop: Stop,
        /// The text at which it ended.
        stop_sequence: Option<&'e str>,
        /// Tokens.
        usage: Usage,
    },
    /// It ends as it should not.
    Error(&'e ApiError),
}

/// What sort of block begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Open<'e> {
    /// Text.
    Text,
    /// Reasoning.
    Thinking,
    /// Reasoning that only its provider can read; no delta follows.
    Redacted(Signature<'e>),
    /// A call of a tool.
    Tool {
        /// Its identifier.
        id: &'e str,
        /// The tool.
        name: &'e str,
        /// Gemini's signature of the call.
        signature: Option<&'e str>,
    },
}
