//! Scenario files: what the scripted model answers to which prompt.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// A scenario: rules in order, the first that fits answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, for a reader of the file.
    #[serde(default)]
    pub description: String,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The answer where no rule fits; without it such a request is refused with status 400.
    #[serde(default)]
    pub otherwise: Option<Step>,
}

/// One rule: when it fits, and what is said turn by turn.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name in the request log.
    pub name: String,
    /// When it fits.
    #[serde(default)]
    pub when: When,
    /// The answers, one a turn: the first to the prompt, the next to the results of its tools, and so on. The last one
    /// is repeated without its tools, should the CLI go on asking.
    pub steps: Vec<Step>,
}

/// Conditions; all that are given must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The newest prompt has this on its first line `orx-stage: ...`.
    #[serde(default)]
    pub stage: Option<String>,
    /// The newest prompt has this on its first line `orx-item: ...`.
    #[serde(default)]
    pub item: Option<String>,
    /// The newest prompt contains each of these.
    #[serde(default)]
    pub prompt: Vec<String>,
    /// The conversation, tool results included, contains each of these.
    #[serde(default)]
    pub conversation: Vec<String>,
}

/// One answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What the model says.
    #[serde(default)]
    pub text: String,
    /// What it asks the CLI to do.
    #[serde(default)]
    pub tools: Vec<Action>,
    /// Tokens that the answer reports.
    #[serde(default)]
    pub usage: Usage,
    /// What goes wrong, one a request, before the answer is given.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// How long the first failure takes to come, in milliseconds.
    #[serde(default)]
    pub failure_delay_ms: u64,
    /// The answer waits until this file exists: an absolute path, or one below the CLI's working directory.
    #[serde(default)]
    pub wait_for_file: Option<String>,
    /// The answer waits this long, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// Pause between the pieces of a streamed answer, in milliseconds.
    #[serde(default)]
    pub piece_delay_ms: u64,
}

/// What a coding CLI can be asked to do. Paths are relative to its working directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Read a file.
    ReadFile {
        /// The file.
        path: String,
    },
    /// Write a whole file.
    WriteFile {
        /// The file.
        path: String,
        /// All of it.
        content: String,
    },
    /// Replace whole lines that occur once: Codex edits by lines, the others by text.
    EditFile {
        /// The file.
        path: String,
        /// What is there.
        old: String,
        /// What is to be there.
        new: String,
    },
    /// Run a command line.
    Run {
        /// The command line.
        command: String,
    },
    /// Call a tool of one CLI alone, as that CLI declares it: questions, helpers.
    Call {
        /// The tool.
        tool: String,
        /// Its arguments, handed over as they are.
        arguments: serde_json::Value,
    },
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens sent, cached ones included.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// Of the input, those from the cache.
    #[serde(default)]
    pub cached: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { input: 1000, output: 50, cached: 0 }
    }
}

/// Something that goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Failure {
    /// An HTTP status with the error body of the API that was called.
    Status {
        /// The status.
        code: u16,
        /// Header `retry-after`, in seconds.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// Status 429 with the words of the API's vendor for an account whose limit is reached for so long.
    AccountLimit {
        /// Seconds.
        resets_in_s: u64,
    },
    /// The connection is closed without an answer.
    Drop,
    /// The connection is closed in the middle of the answer.
    DropMidway,
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// When it cannot be read, is not of the documented shape, or a rule has no steps.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads the text of a scenario file.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = serde_json::from_str(text)?;
        for rule in &scenario.rules {
            anyhow::ensure!(!rule.steps.is_empty(), "rule `{}` has no steps", rule.name);
        }
        Ok(scenario)
    }

    /// A scenario in which every prompt is answered alike.
    #[must_use]
    pub fn always(steps: Vec<Step>) -> Self {
        Self { rules: vec![Rule { name: "always".to_owned(), when: When::default(), steps }], ..Self::default() }
    }

    /// The rule for a prompt, by its index.
    #[must_use]
    pub fn find(&self, prompt: &str, conversation: &str) -> Option<(usize, &Rule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.when.fits(prompt, conversation))
    }
}

impl Rule {
    /// The answer of a turn, counted from 0.
    #[must_use]
    pub fn step(&self, turn: usize) -> Step {
        match (self.steps.get(turn), self.steps.last()) {
            (Some(step), _) => step.clone(),
            (None, Some(last)) => Step { tools: Vec::new(), ..last.clone() },
            (None, None) => Step::default(),
        }
    }
}

impl When {
    fn fits(&self, prompt: &str, conversation: &str) -> bool {
        let marked = |wanted: &Option<String>, marker: &str| {
            wanted.as_deref().is_none_or(|wanted| marker_value(prompt, marker) == Some(wanted))
        };
        marked(&self.stage, "orx-stage:")
            && marked(&self.item, "orx-item:")
            && self.prompt.iter().all(|text| prompt.contains(text))
            && self.conversation.iter().all(|text| conversation.contains(text))
    }
}

/// What the first line that starts with the marker says: a prompt may quote earlier prompts further down.
fn marker_value<'a>(prompt: &'a str, marker: &str) -> Option<&'a str> {
    prompt.lines().find_map(|line| line.trim().strip_prefix(marker)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_answers() {
        let scenario = Scenario::parse(
            r#"{"rules": [
                {"name": "a", "when": {"stage": "fix", "item": "W002"}, "steps": [{"text": "1"}]},
                {"name": "b", "when": {"prompt": ["red", "blue"]}, "steps": [{"text": "2"}]}
            ]}"#,
        )
        .unwrap();
        let name = |prompt: &str| scenario.find(prompt, prompt).map(|(_, rule)| rule.name.as_str());
        assert_eq!(name("orx-stage: fix\norx-item: W002\norx-stage: plan"), Some("a"));
        assert_eq!(name("orx-stage: plan\norx-item: W002\norx-stage: fix"), None);
        assert_eq!(name("orx-stage: fix\norx-item: W0021"), None);
        assert_eq!(name("blue and red"), Some("b"));
    }

    #[test]
    fn a_misspelt_member_is_refused() {
        assert!(Scenario::parse(r#"{"rules": [{"name": "a", "step": []}]}"#).is_err());
        assert!(Scenario::parse(r#"{"rules": [{"name": "a", "steps": []}]}"#).is_err());
    }

    #[test]
    fn the_last_answer_is_repeated_without_its_tools() {
        let run = Action::Run { command: "true".to_owned() };
        let rule =
            Scenario::always(vec![Step { text: "x".to_owned(), tools: vec![run], ..Step::default() }]).rules.remove(0);
        assert_eq!(rule.step(0).tools.len(), 1);
        assert_eq!((rule.step(7).tools.len(), rule.step(7).text.as_str()), (0, "x"));
    }
}
