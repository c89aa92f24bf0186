//! How large a request is and what it is for, from what is cheap to see of it: its size, its tools, its first words. A
//! call on the side (a title, a classification) needs no dear model.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::amount::Tokens;

/// How large a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    /// Up to 100 tokens.
    Trivial,
    /// Up to 1,000 tokens.
    Simple,
    /// Up to 10,000 tokens.
    Moderate,
    /// Up to 50,000 tokens.
    Complex,
    /// More.
    Expert,
}

impl Band {
    /// The band of a prompt of so many tokens.
    #[must_use]
    pub const fn of(prompt: Tokens) -> Self {
        match prompt.0 {
            0..=100 => Self::Trivial,
            101..=1_000 => Self::Simple,
            1_001..=10_000 => Self::Moderate,
            10_001..=50_000 => Self::Complex,
            _ => Self::Expert,
        }
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trivial => "trivial",
            Self::Simple => "simple",
            Self::Moderate => "moderate",
            Self::Complex => "complex",
            Self::Expert => "expert",
        })
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The work itself.
    Main,
    /// A title for a conversation.
    Title,
    /// A choice among few answers.
    Classifier,
    /// A short text about another one.
    Summary,
    /// A count of tokens.
    Count,
    /// Vectors of texts.
    Embedding,
    /// Texts put in order.
    Rerank,
    /// Texts put in order by vectors, of a provider that does not do it itself.
    RerankByEmbeddings,
}

impl Kind {
    /// Whether it is a call on the side.
    #[must_use]
    pub const fn is_side_call(self) -> bool {
        matches!(self, Self::Title | Self::Classifier | Self::Summary | Self::Count)
    }

    /// Whether nothing is written for it.
    #[must_use]
    pub const fn is_of_texts(self) -> bool {
        matches!(self, Self::Embedding | Self::Rerank | Self::RerankByEmbeddings)
    }
}

impl Kind {
    /// Its name, as a ledger has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Title => "title",
            Self::Classifier => "classifier",
            Self::Summary => "summary",
            Self::Count => "count",
            Self::Embedding => "embedding",
            Self::Rerank => "rerank",
            Self::RerankByEmbeddings => "rerank_by_embeddings",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is seen of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Features<'a> {
    /// Tools that it offers.
    pub tools: usize,
    /// Messages of its conversation.
    pub messages: usize,
    /// Its prompt, as far as it can be estimated.
    pub input: Tokens,
    /// What its answer may have.
    pub max_output: Option<Tokens>,
    /// Whether its answer is held to a JSON schema.
    pub has_schema: bool,
    /// Whether it only asks for a count of tokens.
    pub is_count: bool,
    /// Its system prompt, or the beginning of it.
    pub system: &'a str,
    /// The last thing that its user said, or the beginning of it.
    pub prompt: &'a str,
}

/// Bytes of a text that are looked at: what a call on the side is for stands at its beginning.
const LOOKED_AT: usize = 2048;
/// Longest prompt of a call that is taken for a classification by its shape alone.
const SHORT: Tokens = Tokens(4_000);
/// A summary of more than this decides about the rest of its conversation: it is the work itself.
const COMPACTION: Tokens = Tokens(10_000);

/// What the coding CLIs say in their calls on the side.
const KNOWN: [(Kind, &str); 13] = [
    // Claude Code
    (Kind::Title, "Analyze if this message indicates a new conversation topic"),
    (Kind::Title, "Generate a concise, sentence-case title"),
    (Kind::Title, "Please write a 5-10 word title"),
    (Kind::Summary, "Summarize this coding conversation in under"),
    (Kind::Classifier, "Your task is to process Bash commands that an AI coding agent wants to run"),
    (Kind::Classifier, "determine if this is a new topic"),
    // opencode
    (Kind::Title, "You are a title generator"),
    (Kind::Title, "Generate a title for this conversation"),
    // Gemini CLI
    (Kind::Classifier, "You are a specialized Task Routing AI"),
    (Kind::Classifier, "determine who should logically speak next"),
    // Continue, Qwen Code, Goose
    (Kind::Title, "reply with a title for the chat"),
    (Kind::Title, "Generate a short title"),
    (Kind::Title, "description of this session in four words or less"),
];

/// What a request is for.
#[must_use]
pub fn kind(features: &Features<'_>) -> Kind {
    if features.is_count {
        return Kind::Count;
    }
    // Whoever offers tools is at work.
    if features.tools > 0 {
        return Kind::Main;
    }
    let (system, prompt) = (beginning(features.system), beginning(features.prompt));
    if let Some((kind, _)) = KNOWN.iter().find(|(_, words)| system.contains(words) || prompt.contains(words)) {
        return if *kind == Kind::Summary && features.input > COMPACTION { Kind::Main } else { *kind };
    }
    let is_short = features.input <= SHORT && features.messages <= 2;
    let few_words = features.max_output.is_some_and(|most| most <= Tokens(16));
    if is_short && (features.has_schema || few_words) { Kind::Classifier } else { Kind::Main }
}

fn beginning(text: &str) -> &str {
    let end = (0..=LOOKED_AT.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_end_where_they_end() {
        for (tokens, band) in [
            (0, Band::Trivial),
            (100, Band::Trivial),
            (101, Band::Simple),
            (1_000, Band::Simple),
            (1_001, Band::Moderate),
            (10_000, Band::Moderate),
            (10_001, Band::Complex),
            (50_000, Band::Complex),
            (50_001, Band::Expert),
            (u64::MAX, Band::Expert),
        ] {
            assert_eq!(Band::of(Tokens(tokens)), band, "{tokens}");
        }
    }

    #[test]
    fn calls_on_the_side_are_known_by_their_words_or_shape() {
        let plain = Features { messages: 1, input: Tokens(500), ..Features::default() };
        let title = "You are a title generator. You output ONLY a thread title.";
        for (name, features, expected) in [
            ("count", Features { is_count: true, tools: 24, ..plain }, Kind::Count),
            ("work", Features { tools: 24, ..plain }, Kind::Main),
            ("work that speaks of titles", Features { tools: 1, system: title, ..plain }, Kind::Main),
            ("a plain question", plain, Kind::Main),
            ("opencode's title", Features { system: title, ..plain }, Kind::Title),
            (
                "title asked in the prompt",
                Features { prompt: "Please write a 5-10 word title for", ..plain },
                Kind::Title,
            ),
            (
                "Gemini CLI's router",
                Features { system: "You are a specialized Task Routing AI.", has_schema: true, ..plain },
                Kind::Classifier,
            ),
            ("a schema", Features { has_schema: true, ..plain }, Kind::Classifier),
            ("a schema and much to read", Features { has_schema: true, input: Tokens(4_001), ..plain }, Kind::Main),
            ("a schema in a conversation", Features { has_schema: true, messages: 3, ..plain }, Kind::Main),
            ("one word", Features { max_output: Some(Tokens(1)), ..plain }, Kind::Classifier),
            ("some words", Features { max_output: Some(Tokens(17)), ..plain }, Kind::Main),
            (
                "a summary",
                Features { prompt: "Summarize this coding conversation in under 50 characters.", ..plain },
                Kind::Summary,
            ),
            (
                "a compaction",
                Features {
                    prompt: "Summarize this coding conversation in under 50 characters.",
                    input: Tokens(10_001),
                    ..plain
                },
                Kind::Main,
            ),
        ] {
            assert_eq!(kind(&features), expected, "{name}");
            assert_eq!(expected.is_side_call(), expected != Kind::Main);
        }
    }

    #[test]
    fn only_the_beginning_is_looked_at() {
        let late = format!("{}You are a title generator", "ä".repeat(1_024));
        assert_eq!(kind(&Features { system: &late, ..Features::default() }), Kind::Main);
        let odd = format!("x{}", "ä".repeat(2_000));
        assert_eq!(kind(&Features { system: &odd, ..Features::default() }), Kind::Main);
    }
}
