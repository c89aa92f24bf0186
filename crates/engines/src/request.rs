//! What is asked of an engine, and the launch that answers it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

/// What the daemon knows about its operator. Everything in it is the operator's: a repository's settings never reach it.
#[derive(Clone, Default)]
pub struct Context {
    /// The operator's environment as the daemon captured it. Engines inherit an exact selection of it.
    pub environment: BTreeMap<String, String>,
    /// Names of further variables that the operator lets through to engines, such as the key of an own provider.
    pub pass_environment: BTreeSet<String>,
    /// Where the model is, when it is not the vendor with the operator's own login.
    pub endpoint: Option<Endpoint>,
    /// Directory below which private homes are kept; used with an endpoint alone.
    pub private_homes: PathBuf,
    /// Programs to use instead of what `PATH` has, by engine name.
    pub binaries: BTreeMap<String, String>,
}

impl fmt::Debug for Context {
    /// Names only: the values hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("pass_environment", &self.pass_environment)
            .field("endpoint", &self.endpoint)
            .field("private_homes", &self.private_homes)
            .field("binaries", &self.binaries)
            .finish()
    }
}

/// A model endpoint: a router, a gateway or a scripted model.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its base, without `/v1`, such as `http://127.0.0.1:8090/llm`.
    pub url: String,
    /// The key that it accepts.
    pub key: String,
}

impl Endpoint {
    /// The base with `/v1`, as the OpenAI dialects want it.
    pub(crate) fn v1(&self) -> String {
        format!("{}/v1", self.url.trim_end_matches('/'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What an engine may do to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It reads and answers; it may not write.
    Text,
    /// It may write in its working directory and run commands, without asking.
    Apply,
}

/// One headless call: a prompt in, a final answer out.
#[derive(Debug, Clone)]
pub struct HeadlessRequest {
    /// The prompt. It is fed through standard input, so it may hold anything and be as long as it likes.
    pub prompt: String,
    /// What it may do.
    pub mode: Mode,
    /// Working directory, absolute.
    pub cwd: String,
    /// The model, in the engine's own words; its default when absent.
    pub model: Option<String>,
    /// Reasoning effort, in the engine's own words; its default when absent. An engine without such a setting ignores it.
    pub reasoning_effort: Option<String>,
    /// Further arguments, after those of orx.
    pub extra_args: Vec<String>,
    /// The program, for the engine `command`.
    pub command: Option<CommandSpec>,
}

/// The program behind the engine `command`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Arguments added in [`Mode::Text`], such as the program's own read-only flag. orx has no other means to keep an
    /// unknown program from writing.
    pub text_args: Vec<String>,
    /// Arguments added in [`Mode::Apply`].
    pub apply_args: Vec<String>,
}

/// A session in a terminal.
#[derive(Debug, Clone)]
pub struct InteractiveRequest {
    /// Working directory, absolute.
    pub cwd: String,
    /// What the session starts with; at most [`PROMPT_ARGUMENT_MAX`] bytes.
    pub prompt: Option<String>,
    /// Further arguments of a coding CLI; the whole command of the engine `command`.
    pub argv: Vec<String>,
    /// The name that its conversation is to have, where [`crate::conversation_at_launch`] says that it takes one.
    pub conversation: Option<String>,
}

/// A conversation to be taken up again in a terminal.
#[derive(Debug, Clone)]
pub struct ResumeRequest {
    /// Working directory, absolute: the one in which the conversation took place.
    pub cwd: String,
    /// Its name, as the engine has it.
    pub conversation: String,
    /// Further arguments of the CLI, as at its first launch.
    pub argv: Vec<String>,
}

/// Most bytes of a prompt that is handed over as an argument (Linux ends a single argument at 128 KiB).
pub const PROMPT_ARGUMENT_MAX: usize = 96 * 1024;

/// A program to start: nothing is added to it and nothing is interpreted by a shell.
#[derive(Clone, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments; the program of a coding CLI is an absolute path.
    pub argv: Vec<String>,
    /// The same where orx's own sandbox holds around it with the rights of the call's mode: for an engine that otherwise makes
    /// one of its own, which within another does not work everywhere. `None` where it makes no difference.
    pub confined_argv: Option<Vec<String>>,
    /// The exact environment.
    pub environment: BTreeMap<String, String>,
    /// What is fed to standard input; standard input is empty when absent.
    pub input: Option<String>,
}

impl Launch {
    /// Adds arguments.
    pub(crate) fn add(&mut self, arguments: &[&str]) {
        self.argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    }

    /// Hands the input over as arguments instead: for a CLI that reads no standard input.
    pub(crate) fn prompt_as_arguments(&mut self, template: &[&str]) -> Result<(), crate::EngineError> {
        let prompt = self.input.take().unwrap_or_default();
        if prompt.len() > PROMPT_ARGUMENT_MAX {
            return Err(crate::EngineError::PromptTooLong { size: prompt.len(), limit: PROMPT_ARGUMENT_MAX });
        }
        self.argv.extend(template.iter().map(|argument| argument.replace("{prompt}", &prompt)));
        Ok(())
    }

    /// Adds an option with its value, where there is one.
    pub(crate) fn add_option(&mut self, option: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(&[option, value]);
        }
    }
}

impl fmt::Debug for Launch {
    /// The environment by name only: the values hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("argv", &self.argv)
            .field("confined_argv", &self.confined_argv)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("input_bytes", &self.input.as_ref().map(String::len))
            .finish()
    }
}
