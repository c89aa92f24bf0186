//! Amp, written from its documentation: it prints events in the shape of Claude Code's.

use serde_json::{Map, Value};

use crate::driver::Driver;
use crate::report::Outcome;
use crate::{Context, EngineError, HeadlessRequest, Launch, claude};

/// The engine.
pub(crate) struct Amp;

impl Driver for Amp {
    fn headless(&self, launch: &mut Launch, _context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        // It chooses its models itself; what is asked for is its mode.
        launch.add_option("--mode", request.model.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        launch.add(&["--dangerously-allow-all", "--stream-json", "--execute"]);
        Ok(())
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        claude::read(stdout)
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        claude::progress(event)
    }
}
