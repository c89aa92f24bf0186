//! What a coding CLI's own file has to say: all that its data cannot.

use std::path::Path;

use serde_json::{Map, Value};

use crate::report::Outcome;
use crate::{Context, Endpoint, EngineError, HeadlessRequest, Launch};

/// The code of one engine. The common part of every launch is in [`crate::launch`].
pub(crate) trait Driver: Sync {
    /// Completes the launch of a headless call: `launch` has the program, the environment with the endpoint's variables, and
    /// the prompt as its input.
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError>;

    /// Completes the launch of a session in a terminal where the data does not say all.
    fn terminal(&self, _launch: &mut Launch, _context: &Context, _cwd: &str) {}

    /// Makes files ready that every launch relies on, the user's own login or not.
    fn prepare(&self, _context: &Context, _cwd: &str) -> Result<(), EngineError> {
        Ok(())
    }

    /// Fills the private home, so that no first-run, trust or key dialog is left to show.
    fn prepare_home(&self, _private: &Path, _endpoint: &Endpoint, _cwd: &str) -> Result<(), EngineError> {
        Ok(())
    }

    /// Reads what a headless call printed.
    fn read(&self, stdout: &[u8]) -> Outcome;

    /// One short line for a person about an event of the stream.
    fn progress(&self, event: &Map<String, Value>) -> Option<String>;

    /// The same about a line that is no event, for an engine that prints for people.
    fn plain_progress(&self, _line: &str) -> Option<String> {
        None
    }
}
