//! Any program as an engine: the prompt on standard input, the answer on standard output.

use std::collections::BTreeMap;

use crate::report::{Outcome, StageReport};
use crate::{EngineError, HeadlessRequest, InteractiveRequest, Launch, Mode};

pub(crate) fn headless(
    environment: BTreeMap<String, String>,
    request: &HeadlessRequest,
) -> Result<Launch, EngineError> {
    let command = request.command.clone().unwrap_or_default();
    if command.argv.is_empty() {
        return Err(EngineError::NoCommand { missing: "set `executors.command.argv`" });
    }
    let mut argv = command.argv;
    argv.extend(match request.mode {
        Mode::Text => command.text_args,
        Mode::Apply => command.apply_args,
    });
    argv.extend(request.extra_args.iter().cloned());
    Ok(Launch { argv, environment, input: Some(request.prompt.clone()) })
}

pub(crate) fn interactive(
    environment: BTreeMap<String, String>,
    request: &InteractiveRequest,
) -> Result<Launch, EngineError> {
    if request.argv.is_empty() {
        return Err(EngineError::NoCommand { missing: "give them as `argv`" });
    }
    let mut argv = request.argv.clone();
    argv.extend(request.prompt.clone());
    Ok(Launch { argv, environment, input: None })
}

/// All that it printed is its answer.
pub(crate) fn read(stdout: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(stdout).trim_end().to_owned();
    Outcome { report: StageReport { text, ..StageReport::default() }, complete: true, trouble: None }
}
