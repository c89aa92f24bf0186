//! What the scripted model says in these tests.

use crate::model::{Action, Rule, Step, When};

/// A prompt, and the file that is made because of it where nobody forbids it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// What the agent is told.
    pub prompt: &'static str,
    /// The file, in the working directory.
    pub file: &'static str,
}

/// The turn that is allowed.
pub const FIRST: Turn = Turn { prompt: "write the first", file: "first.txt" };
/// The turn after the resumption, which is denied.
pub const SECOND: Turn = Turn { prompt: "write the second", file: "second.txt" };

impl Turn {
    /// The last line of the model in this turn.
    #[must_use]
    pub fn last_words(&self) -> String {
        last_words(self.prompt)
    }
}

fn last_words(prompt: &str) -> String {
    format!("Finished: {prompt}.")
}

/// The steps of a turn in which the model calls tools, one after another, and then says that it is done.
#[must_use]
pub fn called(prompt: &str, actions: Vec<Action>) -> Vec<Step> {
    let call = |action| Step { text: "I will.".to_owned(), tools: vec![action], ..Step::default() };
    let end = Step { text: last_words(prompt), ..Step::default() };
    actions.into_iter().map(call).chain([end]).collect()
}

/// The rule of such a turn, for prompts that have these words.
#[must_use]
pub fn rule(prompt: &str, actions: Vec<Action>) -> Rule {
    stepwise(prompt, called(prompt, actions))
}

/// A rule with these steps, for prompts that have these words.
#[must_use]
pub fn stepwise(prompt: &str, steps: Vec<Step>) -> Rule {
    Rule { name: prompt.to_owned(), when: When { prompt: vec![prompt.to_owned()], ..When::default() }, steps }
}

/// The model has a file written.
#[must_use]
pub fn write(path: &str) -> Action {
    Action::WriteFile { path: path.to_owned(), content: "hello\n".to_owned() }
}

/// The model has a command run.
#[must_use]
pub fn run(command: &str) -> Action {
    Action::Run { command: command.to_owned() }
}
