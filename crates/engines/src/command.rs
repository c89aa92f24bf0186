//! Any program as an engine: the prompt on standard input, the answer on standard output.

use serde_json::{Map, Value};

use crate::driver::Driver;
use crate::report::{Outcome, first_line, plain};
use crate::{Context, EngineError, HeadlessRequest, Launch, Mode};

/// Any program.
pub(crate) struct Command;

impl Driver for Command {
    fn headless(&self, launch: &mut Launch, _context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        let command = request.command.clone().unwrap_or_default();
        if command.argv.is_empty() {
            return Err(EngineError::NoCommand { missing: "set `executors.command.argv`" });
        }
        launch.argv = command.argv;
        launch.argv.extend(match request.mode {
            Mode::Text => command.text_args,
            Mode::Apply => command.apply_args,
        });
        launch.argv.extend(request.extra_args.iter().cloned());
        Ok(())
    }

    /// All that it printed is its answer.
    fn read(&self, stdout: &[u8]) -> Outcome {
        plain(stdout)
    }

    /// Its lines are no events.
    fn progress(&self, _event: &Map<String, Value>) -> Option<String> {
        None
    }

    fn plain_progress(&self, line: &str) -> Option<String> {
        Some(first_line(line))
    }
}
