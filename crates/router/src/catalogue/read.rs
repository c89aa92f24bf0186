//! Reading the text of a catalogue: every refusal says where and what is near.

use orx_protocol::{ErrorKind, RpcError};
use serde_saphyr::{DuplicateKeyPolicy, Location};

use super::file::File;
use super::spell;

/// What is wrong with the text of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.place())]
pub struct CatalogueError {
    /// The name of the text.
    pub origin: String,
    /// Line and column from 1, where they are known.
    pub at: Option<(u64, u64)>,
    /// What is wrong and what to do.
    pub message: String,
}

impl CatalogueError {
    fn place(&self) -> String {
        match self.at {
            Some((line, column)) => format!("{}:{line}:{column}: ", self.origin),
            None => format!("{}: ", self.origin),
        }
    }
}

impl From<CatalogueError> for RpcError {
    fn from(error: CatalogueError) -> Self {
        Self::new(ErrorKind::Configuration, error.to_string()).with_hint("correct the named place and load it again")
    }
}

/// Reads one text.
pub(super) fn parse(text: &str, origin: &str) -> Result<File, CatalogueError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
    };
    if text.lines().all(|line| matches!(line.trim().chars().next(), None | Some('#'))) {
        return Ok(File::default());
    }
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error, origin))
}

pub(super) fn place(location: Option<Location>) -> Option<(u64, u64)> {
    location.map(|location| (location.line(), location.column())).filter(|(line, _)| *line > 0)
}

fn explain(error: &serde_saphyr::Error, origin: &str) -> CatalogueError {
    use serde_saphyr::Error;
    let inner = error.without_snippet();
    let message = match inner {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("name", variant, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is given twice"),
        other => bare(&other.to_string()),
    };
    CatalogueError { origin: origin.to_owned(), at: place(error.location()), message }
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
        None => format!("unknown {what} `{given}`: there are {}", known.join(", ")),
    }
}
