//! Dialogs that are answered by keys, for engines that offer no better way: which part of a screen is the dialog, and
//! which keys mean yes and no in it. Data, one file an engine.
//!
//! A dialog is found only where a screen rule of the same engine is certain of it, and only when the choice that the keys
//! confirm is the one that is shown as chosen.

use orx_protocol::activity::{AgentState, Source};
use regex::Regex;
use semver::Version;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::region::Look;
use super::rules::Rules;

/// How sure a screen rule must be before keys are sent because of it, in percent.
pub const CERTAIN: u8 = 95;
/// Most rows of a dialog.
const ROWS: usize = 60;

/// How the dialogs of one engine are answered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// The engine.
    pub engine: String,
    /// The dialogs.
    pub dialogs: Vec<Answerable>,
}

/// One sort of dialog.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answerable {
    /// The screen rule by which it is known.
    pub rule: String,
    /// Its first row: the lowest that fits above its last one. Absent where what is asked about stands above without a mark
    /// that nothing else could draw; then all that is shown above belongs to it.
    #[serde(default, deserialize_with = "optional")]
    begins: Option<Regex>,
    /// Its last row: the lowest that fits.
    #[serde(deserialize_with = "expression")]
    ends: Regex,
    /// A row that must be in it for the keys to mean what they are for.
    #[serde(deserialize_with = "expression")]
    shows: Regex,
    /// The row that says best what it is about, the lowest that fits: its first group, or all that fits. The first row with
    /// words when absent.
    #[serde(default, deserialize_with = "optional")]
    title: Option<Regex>,
    /// Keys that allow it once.
    allow: Vec<String>,
    /// Keys that deny it.
    deny: Vec<String>,
}

/// A dialog that is on a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    /// The screen rule by which it is known.
    pub rule: String,
    /// Its rows, as they are shown.
    pub text: String,
    /// What it is about, in one line.
    pub title: String,
    /// The row of the screen on which it begins, from 0.
    pub first: usize,
    /// Keys that allow it once.
    pub allow: Vec<String>,
    /// Keys that deny it.
    pub deny: Vec<String>,
}

impl Answers {
    /// Reads the file of `engine`.
    ///
    /// # Errors
    /// What is wrong with it, with line and column where the text itself is.
    pub fn parse(engine: &str, text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! { with_snippet: false };
        let answers: Self = serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
        if answers.engine != engine {
            return Err(format!("it says that it is that of `{}`", answers.engine));
        }
        if let Some(dialog) = answers.dialogs.iter().find(|dialog| dialog.allow.is_empty() || dialog.deny.is_empty()) {
            return Err(format!("`{}` has no keys for yes or for no", dialog.rule));
        }
        Ok(answers)
    }

    /// The dialog that is on the screen, where that is certain.
    #[must_use]
    pub fn find(&self, rules: &Rules, version: Option<&Version>, look: &Look<'_>) -> Option<Dialog> {
        let matched = rules.matched(version, look);
        let rule = matched.iter().find(|matched| matched.source == Source::Screen)?.rule;
        if rule.state != AgentState::Blocked || rule.confidence < CERTAIN {
            return None;
        }
        let dialog = self.dialogs.iter().find(|dialog| dialog.rule == rule.name)?;
        let last = look.rows.iter().rposition(|row| dialog.ends.is_match(row))?;
        let above = look.rows.get(..last)?;
        let first = match &dialog.begins {
            Some(begins) => above.iter().rposition(|row| begins.is_match(row))?,
            None => {
                above.iter().position(|row| !row.trim().is_empty()).unwrap_or(last).max((last + 1).saturating_sub(ROWS))
            }
        };
        let rows: Vec<&str> = look.rows.get(first..=last)?.iter().map(|row| row.trim_end()).collect();
        if rows.len() > ROWS || !rows.iter().any(|row| dialog.shows.is_match(row)) {
            return None;
        }
        Some(Dialog {
            rule: rule.name.clone(),
            text: rows.join("\n"),
            title: dialog.title(&rows),
            first,
            allow: dialog.allow.clone(),
            deny: dialog.deny.clone(),
        })
    }
}

impl Answerable {
    fn title(&self, rows: &[&str]) -> String {
        let named = |row: &&str| {
            let found = self.title.as_ref()?.captures(row)?;
            found.get(1).or_else(|| found.get(0)).map(|part| part.as_str().trim().to_owned())
        };
        let worded = || rows.iter().find(|row| row.contains(char::is_alphanumeric)).map(|row| row.trim().to_owned());
        rows.iter().rev().find_map(named).or_else(worded).unwrap_or_else(|| "a dialog".to_owned())
    }
}

fn expression<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Regex, D::Error> {
    let text = String::deserialize(deserializer)?;
    Regex::new(&text).map_err(|error| D::Error::custom(format!("`{text}` is no expression: {error}")))
}

fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
    expression(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "engine: x\ntested: ['1.0.0']\nrules:\n\
        - { name: ask, state: blocked, reason: r, confidence: 96, when: { contains: 'Allow it?' } }\n\
        - { name: guess, state: blocked, reason: r, confidence: 90, when: { contains: 'Maybe?' } }\n\
        - { name: inline, state: blocked, reason: r, confidence: 96, when: { in: last 1, contains: '[y/n]' } }\n";
    const ANSWERS: &str = "engine: x\ndialogs:\n\
        - { rule: ask, begins: '^╭', ends: '^╰', shows: '❯ 1\\. Yes', allow: [enter], deny: [escape] }\n\
        - { rule: guess, begins: '^╭', ends: '^╰', shows: 'Yes', allow: [enter], deny: [escape] }\n\
        - { rule: inline, ends: '\\[y/n\\]$', shows: '\\[y/n\\]$', title: '^run: (.*)$', allow: [y], deny: [n] }\n";

    fn find(screen: &str) -> Option<Dialog> {
        let rows: Vec<String> = screen.lines().map(str::to_owned).collect();
        let look = Look { title: "", notification: "", rows: &rows, cursor: None };
        Answers::parse("x", ANSWERS).unwrap().find(&Rules::parse("x", RULES).unwrap(), None, &look)
    }

    #[test]
    fn a_dialog_is_its_own_rows_and_only_what_is_certain_is_one() {
        let dialog =
            find("old ╭\n╭──\n│ old Allow it?\n╰──\ntext\n╭──\n│ Allow it?  \n│ ❯ 1. Yes\n│   2. No\n╰──\n~").unwrap();
        assert_eq!(dialog.text, "╭──\n│ Allow it?\n│ ❯ 1. Yes\n│   2. No\n╰──");
        assert_eq!((dialog.allow, dialog.deny), (vec!["enter".to_owned()], vec!["escape".to_owned()]));
        // Another choice is the chosen one, the rule is not sure, or the dialog is not whole.
        assert_eq!(find("╭──\n│ Allow it?\n│   1. Yes\n│ ❯ 2. No\n╰──"), None);
        assert_eq!(find("╭──\n│ Maybe?\n│ ❯ 1. Yes\n╰──"), None);
        assert_eq!(find("│ Allow it?\n│ ❯ 1. Yes\n╰──"), None);
        assert_eq!(find("╭──\n│ Allow it?\n│ ❯ 1. Yes"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn what_stands_above_an_inline_question_belongs_to_it() {
        let dialog = find("\n> do it\nrun: ls\n\nrun: rm -rf x\nOn? [y/n]\n\n").unwrap();
        assert_eq!((dialog.first, dialog.text.as_str()), (1, "> do it\nrun: ls\n\nrun: rm -rf x\nOn? [y/n]"));
        assert_eq!((dialog.title.as_str(), dialog.allow), ("rm -rf x", vec!["y".to_owned()]));
        // Of a very high screen the rows next to it.
        let long = format!("{}On? [y/n]", "row\n".repeat(200));
        assert_eq!(find(&long).unwrap().text.lines().count(), ROWS);
        assert_eq!(find("> do it\n[y/n]\nmore"), None);
        assert_eq!(find("[y/n]").unwrap().title, "[y/n]");
    }

    #[test]
    fn a_bad_file_is_refused_with_the_place() {
        for (text, what) in [
            ("engine: y\ndialogs: []\n", "that of `y`"),
            ("engine: x\ndialogs: []\nmore: 1\n", "line 3"),
            (
                "engine: x\ndialogs:\n- { rule: a, begins: '(', ends: b, shows: c, allow: [y], deny: [n] }\n",
                "no expression",
            ),
            ("engine: x\ndialogs:\n- { rule: a, begins: a, ends: b, shows: c, allow: [], deny: [n] }\n", "no keys"),
        ] {
            let error = Answers::parse("x", text).unwrap_err();
            assert!(error.contains(what), "{text}\n{error}");
        }
    }
}
