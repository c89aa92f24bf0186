//! mini-swe-agent. It prints for people, so its answer is cut out of that.

use serde_json::{Map, Value};

use crate::driver::Driver;
use crate::report::{Outcome, first_line, told};
use crate::{Context, EngineError, HeadlessRequest, Launch};

/// Columns of what it prints: lines are broken there, and with them the answer.
const COLUMNS: &str = "1000";

/// The engine.
pub(crate) struct Mini;

impl Driver for Mini {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.environment.insert("COLUMNS".to_owned(), COLUMNS.to_owned());
        launch.environment.insert("MSWEA_SILENT_STARTUP".to_owned(), "1".to_owned());
        let model = match (&context.endpoint, request.model.as_deref()) {
            (Some(_), Some(model)) if !model.contains('/') => Some(format!("openai/{model}")),
            (_, model) => model.map(str::to_owned),
        };
        launch.add_option("--model", model.as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        launch.add(&["--yolo", "--exit-immediately"]);
        launch.prompt_as_arguments(&["--task={prompt}"])
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        let printed = String::from_utf8_lossy(stdout);
        let mut outcome = Outcome::default();
        outcome.report.tool_calls =
            u32::try_from(printed.lines().filter(|line| *line == "Tool:").count()).unwrap_or(u32::MAX);
        let Some((_, end)) = printed.rsplit_once("\nExit:\n") else { return outcome };
        let (said, saved) = end.split_once("\nSaved trajectory to").map_or((end, false), |(said, _)| (said, true));
        outcome.complete = saved;
        outcome.report.text = said.trim().to_owned();
        if is_reason(&outcome.report.text) {
            outcome.report.failure = Some(told(&outcome.report.text, None));
        }
        outcome
    }

    fn progress(&self, _event: &Map<String, Value>) -> Option<String> {
        None
    }

    fn plain_progress(&self, line: &str) -> Option<String> {
        let line = first_line(line);
        line.starts_with("mini-swe-agent (step ").then_some(line)
    }
}

/// Whether an end is no answer but the name of what ended it, such as `LimitsExceeded`.
fn is_reason(text: &str) -> bool {
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric()) && text.starts_with(|c: char| c.is_ascii_uppercase());
    is_name && ["Error", "Exceeded", "Exception", "Interruption"].iter().any(|end| text.ends_with(end))
}
