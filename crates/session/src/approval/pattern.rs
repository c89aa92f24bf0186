//! The patterns of rules: globs over a whole text, and over the components of a path.

use globset::{GlobBuilder, GlobMatcher};

/// Most characters of a pattern.
const LENGTH: usize = 16 * 1024;

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` cannot be used: {why}")]
pub struct BadPattern {
    /// The pattern, its beginning where it is long.
    pub pattern: String,
    /// Why.
    pub why: String,
}

/// A pattern made ready.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    matcher: GlobMatcher,
    literal: Option<String>,
}

impl Pattern {
    /// A glob over a text: `*` stands for anything, blanks and separators included.
    pub(super) fn text(pattern: &str) -> Result<Self, BadPattern> {
        Self::new(pattern, false)
    }

    /// A glob over an absolute path: `*` stays within a component, `**` goes over several.
    pub(super) fn path(pattern: &str) -> Result<Self, BadPattern> {
        if !pattern.starts_with('/') {
            return Err(bad(pattern, "it must be a glob over an absolute path, such as `/home/ann/src/**`"));
        }
        Self::new(pattern, true)
    }

    fn new(pattern: &str, by_component: bool) -> Result<Self, BadPattern> {
        if pattern.is_empty() {
            return Err(bad(pattern, "it is empty"));
        }
        if pattern.chars().count() > LENGTH {
            return Err(bad(pattern, &format!("it has more than {LENGTH} characters")));
        }
        let glob = GlobBuilder::new(pattern)
            .literal_separator(by_component)
            .backslash_escape(true)
            .build()
            .map_err(|error| bad(pattern, &error.kind().to_string()))?;
        Ok(Self { matcher: glob.compile_matcher(), literal: literal(pattern) })
    }

    /// Whether the pattern fits the whole text.
    pub(super) fn fits(&self, text: &str) -> bool {
        match &self.literal {
            Some(literal) => literal == text,
            None => self.matcher.is_match(text),
        }
    }

    /// Whether the pattern stands for exactly this text and nothing else.
    pub(super) fn is_exactly(&self, text: &str) -> bool {
        self.literal.as_deref() == Some(text)
    }
}

fn bad(pattern: &str, why: &str) -> BadPattern {
    BadPattern { pattern: pattern.chars().take(80).collect(), why: why.to_owned() }
}

const fn has_meaning(character: char) -> bool {
    matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | ',' | '\\')
}

/// The pattern that stands for exactly this text.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if has_meaning(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// The one text that a pattern without wildcards stands for.
fn literal(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => out.push(rest.next()?),
            '*' | '?' | '[' | '{' => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn globs_cover_whole_texts_and_whole_components() {
        let text = |pattern: &str, given: &str| Pattern::text(pattern).unwrap().fits(given);
        assert!(text("git *", "git log --oneline a/b"));
        assert!(!text("git *", "git") && !text("git *", "xgit log") && !text("git", "git log"));
        assert!(text("npm {test,run lint}", "npm run lint") && text("a\\*b", "a*b") && !text("a\\*b", "axb"));
        let path = |pattern: &str, given: &str| Pattern::path(pattern).unwrap().fits(given);
        assert!(path("/w/*.rs", "/w/a.rs") && !path("/w/*.rs", "/w/x/a.rs") && path("/w/**", "/w/x/a.rs"));
        assert!(!path("/w/**", "/ww/a"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (pattern, word) in [("", "empty"), ("[", "unclosed"), ("{a", "unclosed")] {
            assert!(Pattern::text(pattern).unwrap_err().to_string().contains(word), "{pattern}");
        }
        assert!(Pattern::text(&"x".repeat(LENGTH + 1)).is_err());
        assert!(Pattern::path("src/**").unwrap_err().to_string().contains("absolute"));
    }

    proptest! {
        #[test]
        fn an_escaped_text_stands_for_itself_alone(text in "[ -~äö\n]{1,40}", other in "[ -~äö\n]{1,40}") {
            let pattern = Pattern::text(&escape(&text)).unwrap();
            prop_assert!(pattern.fits(&text) && pattern.is_exactly(&text));
            prop_assert_eq!(pattern.fits(&other), text == other);
        }
    }
}
