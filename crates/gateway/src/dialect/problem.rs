//! What can be wrong with bytes of a dialect. What a provider answers in place of a result is [`super::error`].

use super::Dialect;

/// Why bytes cannot be read or turned into another dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// It is not JSON.
    #[error("invalid JSON at line {line}, column {column}: {message}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// It is JSON, but a field is missing or of the wrong kind.
    #[error("`{field}`: {message}")]
    Field {
        /// Where: `messages[3].content[0].type`.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The other dialect has no way to say it, and leaving it out would change what was asked.
    #[error("`{field}` cannot be said to a provider of the {dialect} dialect: {message}")]
    Impossible {
        /// Where: `n`.
        field: String,
        /// The dialect that cannot say it.
        dialect: Dialect,
        /// Why not.
        message: String,
    },
    /// One event of a stream is larger than it may be.
    #[error("an event of the stream is larger than {limit} bytes")]
    EventTooLarge {
        /// The most that is held, in bytes.
        limit: usize,
    },
}

impl DialectError {
    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Field { field: field.into(), message: message.into() }
    }

    pub(crate) fn impossible(field: impl Into<String>, dialect: Dialect, message: impl Into<String>) -> Self {
        Self::Impossible { field: field.into(), dialect, message: message.into() }
    }

    /// What whoever sent the bytes should do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Json { .. } => "correct the JSON at the named place",
            Self::Field { .. } => "correct the named field",
            Self::Impossible { .. } => {
                "leave the named field out, or choose a model whose provider speaks your dialect"
            }
            Self::EventTooLarge { .. } => "the provider's stream is damaged: try again, or choose another provider",
        }
    }

    /// Whether the same bytes could do better at another try: only a damaged stream could.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::EventTooLarge { .. })
    }
}

impl From<serde_json::Error> for DialectError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        // serde_json ends its texts with the place, which is told apart here.
        let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
        Self::Json { line, column, message }
    }
}
