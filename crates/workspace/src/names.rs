//! Names that git knows things by, checked once so that none of them can be taken for an option or an expression.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::error::{Result, WorkspaceError};

/// A full commit (or other object) identifier: 40 or 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }

    /// What git writes where there is no object of this identifier's algorithm.
    pub(crate) fn zero(&self) -> String {
        "0".repeat(self.0.len())
    }
}

impl FromStr for CommitId {
    type Err = WorkspaceError;

    fn from_str(text: &str) -> Result<Self> {
        let is_hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if matches!(text.len(), 40 | 64) && is_hexadecimal {
            Ok(Self(text.to_owned()))
        } else {
            Err(WorkspaceError::BadCommit { text: text.chars().take(80).collect() })
        }
    }
}

impl TryFrom<String> for CommitId {
    type Error = WorkspaceError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<CommitId> for String {
    fn from(commit: CommitId) -> Self {
        commit.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A branch's name without `refs/heads/`, valid by git-check-ref-format(1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchName(String);

impl BranchName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of its reference.
    pub(crate) fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Longest name that is taken: a reference is a file, whose name the file system limits.
const LONGEST: usize = 200;

impl FromStr for BranchName {
    type Err = WorkspaceError;

    fn from_str(text: &str) -> Result<Self> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(WorkspaceError::BadBranch { name: text.chars().take(80).collect(), why }),
        }
    }
}

fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > LONGEST {
        return Some("it is longer than 200 bytes");
    }
    if text == "@" || text == "HEAD" {
        return Some("the name is git's own");
    }
    if text.starts_with('-') {
        return Some("it begins with a dash");
    }
    if text.chars().any(|c| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')) {
        return Some("it holds a space, a control character or one of ~ ^ : ? * [ \\");
    }
    if text.contains("..") || text.contains("@{") || text.ends_with('.') {
        return Some("it holds `..` or `@{`, or ends with a dot");
    }
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if text.split('/').any(bad_part) {
        return Some("a part between slashes is empty, begins with a dot or ends with .lock");
    }
    None
}

/// Who a commit is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name.
    pub name: String,
    /// E-mail address.
    pub email: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self { name: "orx".to_owned(), email: "orx@localhost".to_owned() }
    }
}

impl Identity {
    /// The identity with what git would refuse or strip taken out; what is then empty is orx's own.
    pub(crate) fn cleaned(&self) -> Self {
        let fallback = Self::default();
        let clean = |text: &str, fallback: String| {
            let text: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
            let text = text
                .trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ',' | ':' | ';' | '"' | '\\' | '\''));
            if text.is_empty() { fallback } else { text.to_owned() }
        };
        Self { name: clean(&self.name, fallback.name), email: clean(&self.email, fallback.email) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_commit_identifiers_are_taken() {
        assert!("a".repeat(40).parse::<CommitId>().is_ok());
        assert!("0".repeat(64).parse::<CommitId>().is_ok());
        for bad in ["", "HEAD", "--all", "A23", "a".repeat(41).as_str(), "g".repeat(40).as_str()] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn branch_names_follow_gits_rules() {
        for good in ["main", "orx/run_01", "a.b/c-d", "übung", "feature/@work"] {
            assert!(good.parse::<BranchName>().is_ok(), "{good}");
        }
        for bad in [
            "", "-d", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "[a", "a\\b", ".a", "a/.b", "a//b", "/a", "a/",
            "a.lock", "a.", "@", "HEAD", "a@{1}", "a\nb", "a\u{7f}",
        ] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad}");
        }
        assert!("a".repeat(201).parse::<BranchName>().is_err());
    }

    #[test]
    fn an_identity_that_git_would_refuse_is_made_usable() {
        let odd = Identity { name: " <>\n".into(), email: "a@b\n<c>".into() };
        assert_eq!(odd.cleaned(), Identity { name: "orx".into(), email: "a@bc".into() });
    }
}
