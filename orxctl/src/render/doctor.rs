//! The checks of `orxctl doctor`.

use serde::Serialize;

use crate::output::{Colour, Output};
use crate::text;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Nothing to do.
    Ok,
    /// Something is missing or odd, and orx works without.
    Warn,
    /// orx does not work so.
    Fail,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    /// How it came out.
    pub(crate) level: Level,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fix: String,
}

impl Check {
    /// Nothing to do.
    pub(crate) fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, message: message.into(), fix: String::new() }
    }

    /// Something to look at.
    pub(crate) fn warn(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, message: message.into(), fix: fix.into() }
    }

    /// Something to do.
    pub(crate) fn fail(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, message: message.into(), fix: fix.into() }
    }
}

/// One line a check, with what to do below those that are not well, and the sum.
pub(crate) fn report(checks: &[Check], output: Output) -> String {
    let widest = checks.iter().map(|check| text::width(check.name)).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let word = check.level.as_str();
        let level = Colour::of_word(word).paint(&text::pad(word, 4), output.colour);
        out.push_str(&format!("{level}  {}  {}\n", text::pad(check.name, widest), text::clean_line(&check.message)));
        if !check.fix.is_empty() {
            out.push_str(&format!("{}-> {}\n", " ".repeat(8 + widest), text::clean_line(&check.fix)));
        }
    }
    let of = |level: Level| checks.iter().filter(|check| check.level == level).count();
    out.push_str(&format!("\n{} ok, {} to look at, {} failed\n", of(Level::Ok), of(Level::Warn), of(Level::Fail)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_says_what_to_do() {
        let checks = [
            Check::ok("git", "git version 2.47.0 at /usr/bin/git"),
            Check::warn("daemon", "does not run", "orxctl up"),
            Check::fail("home", "/h is open to others (mode 0755)", "chmod 700 /h"),
        ];
        insta::assert_snapshot!(report(&checks, Output::plain(None)));
        insta::assert_snapshot!(serde_json::to_string_pretty(&checks).unwrap());
    }
}
