//! How many texts go into one request: as many as its provider takes.

use std::ops::Range;

/// What one request may hold at most; `None` where it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Texts.
    pub texts: Option<usize>,
    /// Tokens of all of them together.
    pub tokens: Option<u64>,
}

/// The texts of each request, in order, by their places. A text that is above the limit by itself goes alone: whether it is too long
/// is its provider's to say.
#[must_use]
pub fn batches(tokens: &[u64], limits: Limits) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut start, mut sum) = (0, 0_u64);
    for (at, own) in tokens.iter().enumerate() {
        let is_full = limits.texts.is_some_and(|most| at - start >= most)
            || limits.tokens.is_some_and(|most| sum.saturating_add(*own) > most);
        if is_full && at > start {
            found.push(start..at);
            (start, sum) = (at, 0);
        }
        sum = sum.saturating_add(*own);
    }
    if start < tokens.len() {
        found.push(start..tokens.len());
    }
    found
}
