//! Texts that people write in YAML: every refusal says where and what is near. What the texts mean, and what becomes of a refusal,
//! is for who reads them.

pub mod spell;

use serde::Deserialize;
use serde_saphyr::{DuplicateKeyPolicy, Location};

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.place())]
pub struct TextError {
    /// The file, or what else was read.
    pub origin: String,
    /// Line and column from 1, where they are known.
    pub at: Option<(u64, u64)>,
    /// What is wrong and what to do.
    pub message: String,
}

impl TextError {
    /// An error without a place.
    pub fn plain(origin: &str, message: impl Into<String>) -> Self {
        Self { origin: origin.to_owned(), at: None, message: message.into() }
    }

    fn place(&self) -> String {
        match self.at {
            Some((line, column)) => format!("{}:{line}:{column}: ", self.origin),
            None => format!("{}: ", self.origin),
        }
    }
}

/// Reads a text; `None` when it says nothing. `origin` is its name in errors.
///
/// # Errors
/// [`TextError`] with line and column.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str, origin: &str) -> Result<Option<T>, TextError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
    };
    if text.lines().all(|line| matches!(line.trim().chars().next(), None | Some('#'))) {
        return Ok(None);
    }
    serde_saphyr::from_str_with_options(text, options).map(Some).map_err(|error| explain(&error, origin))
}

/// Line and column of a place in a text, where they are known.
#[must_use]
pub fn place(location: Option<Location>) -> Option<(u64, u64)> {
    location.map(|location| (location.line(), location.column())).filter(|(line, _)| *line > 0)
}

fn explain(error: &serde_saphyr::Error, origin: &str) -> TextError {
    use serde_saphyr::Error;
    let inner = error.without_snippet();
    let message = match inner {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("name", variant, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is given twice"),
        other => bare(&other.to_string()),
    };
    TextError { origin: origin.to_owned(), at: place(error.location()), message }
}

/// The library's message without the place, which is told in front.
fn bare(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let cut = [" at line ", " (line "].iter().filter_map(|mark| first.rfind(mark)).min();
    cut.and_then(|cut| first.get(..cut)).unwrap_or(first).trim().to_owned()
}

fn unknown(what: &str, given: &str, known: &[&'static str]) -> String {
    match spell::nearest(given, known.iter().copied(), 1).first() {
        Some(name) => format!("unknown {what} `{given}`: did you mean `{name}`?"),
        None if known.is_empty() => format!("unknown {what} `{given}`: none is expected here"),
        None => format!("unknown {what} `{given}`: there are {}", known.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by a panic that it failed.
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        attempts: u8,
        #[serde(default)]
        kind: Kind,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        #[default]
        Quick,
        Thorough,
    }

    #[test]
    fn a_refusal_says_where_and_what_is_near() {
        for (text, said) in [
            ("attempts: 1\natempts: 2\n", "a.yaml:2:1: unknown key `atempts`: did you mean `attempts`?"),
            ("attempts: 1\nzebra: 2\n", "a.yaml:2:1: unknown key `zebra`: there are attempts, kind"),
            ("attempts: 1\nkind: thorogh\n", "a.yaml:2:7: unknown name `thorogh`: did you mean `thorough`?"),
            ("attempts: 1\nattempts: 2\n", "a.yaml:2:1: the key `attempts` is given twice"),
        ] {
            assert_eq!(read::<Shape>(text, "a.yaml").unwrap_err().to_string(), said);
        }
        assert_eq!(TextError::plain("a.yaml", "it is not there").to_string(), "a.yaml: it is not there");
    }

    #[test]
    fn a_text_without_a_word_says_nothing() {
        assert_eq!(read::<Shape>("\n# nothing yet\n", "a.yaml").unwrap(), None);
        assert_eq!(read("attempts: 3", "a.yaml").unwrap(), Some(Shape { attempts: 3, kind: Kind::Quick }));
    }
}
