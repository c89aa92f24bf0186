//! Tokens of one call, in one meaning for all dialects. What they cost is decided elsewhere.

/// Tokens of a call. What was not reported is `None`, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the prompt, neither read from nor written to a cache.
    pub input: Option<u64>,
    /// Of the prompt, read from the provider's cache.
    pub cache_read: Option<u64>,
    /// Of the prompt, written to the cache for five minutes (or for the provider's one duration).
    pub cache_write_5m: Option<u64>,
    /// Of the prompt, written to the cache for an hour.
    pub cache_write_1h: Option<u64>,
    /// Of the answer, with its reasoning.
    pub output: Option<u64>,
    /// Of the answer, the part that was reasoning.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// All tokens of the prompt, cached or not; `None` where none were reported.
    #[must_use]
    pub fn prompt(&self) -> Option<u64> {
        let parts = [self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h];
        if parts.iter().all(Option::is_none) {
            return None;
        }
        Some(parts.iter().flatten().fold(0, |sum: u64, part| sum.saturating_add(*part)))
    }

    /// Tokens written to caches.
    #[must_use]
    pub fn cache_write(&self) -> Option<u64> {
        match (self.cache_write_5m, self.cache_write_1h) {
            (None, None) => None,
            (five, hour) => Some(five.unwrap_or(0).saturating_add(hour.unwrap_or(0))),
        }
    }

    /// Whether nothing was reported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A later report of the same call: what it names counts, what it leaves out stays.
    pub const fn merge(&mut self, later: Self) {
        const fn newer(into: &mut Option<u64>, later: Option<u64>) {
            if later.is_some() {
                *into = later;
            }
        }
        newer(&mut self.input, later.input);
        newer(&mut self.cache_read, later.cache_read);
        newer(&mut self.cache_write_5m, later.cache_write_5m);
        newer(&mut self.cache_write_1h, later.cache_write_1h);
        newer(&mut self.output, later.output);
        newer(&mut self.reasoning, later.reasoning);
    }

    /// From a total that includes what was cached, as all but Anthropic count.
    pub(crate) fn from_totals(
        prompt: Option<u64>,
        cache_read: Option<u64>,
        cache_write: Option<u64>,
        output: Option<u64>,
        reasoning: Option<u64>,
    ) -> Self {
        let cached = cache_read.unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
        Self {
            input: prompt.map(|prompt| prompt.saturating_sub(cached)),
            cache_read,
            cache_write_5m: cache_write,
            cache_write_1h: None,
            output,
            reasoning,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_report_replaces_only_what_it_names() {
        let mut usage = Usage { input: Some(10), output: Some(1), ..Usage::default() };
        usage.merge(Usage { output: Some(7), ..Usage::default() });
        assert_eq!(usage, Usage { input: Some(10), output: Some(7), ..Usage::default() });
        assert_eq!(usage.prompt(), Some(10));
        assert_eq!(Usage::default().prompt(), None);
    }

    #[test]
    fn totals_are_split() {
        let usage = Usage::from_totals(Some(100), Some(80), None, Some(5), Some(2));
        assert_eq!((usage.input, usage.prompt()), (Some(20), Some(100)));
    }
}
