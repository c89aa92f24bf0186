//! What an engine's headless run came to, read from what it printed and how it ended.
//!
//! Each CLI prints one JSON object a line. Its reader in the file of the CLI collects what the lines say into an
//! [`Outcome`]; here that is weighed against how the process ended. Lines that are no JSON and events that nobody knows
//! are passed over: the CLIs change weekly.

mod failure;
#[cfg(test)]
mod recorded;
mod stream;

use orx_protocol::api::run::Tokens;
use orx_protocol::hold::Ended;
use orx_protocol::process::{EndReason, Exit};

pub(crate) use failure::told;
pub use failure::{EngineFailure, FailureKind};
pub(crate) use stream::{count, events, first_line, microusd, object, shown_path, text};

use crate::EngineKind;

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageReport {
    /// The final answer; what was said last, where the run failed; empty when there is nothing.
    pub text: String,
    /// Tokens that the engine reported; an unknown count is `None`.
    pub tokens: Tokens,
    /// Cost in micro-dollars; `None` where the engine does not tell.
    pub cost_microusd: Option<u64>,
    /// The model that answered, as the engine names it; `None` where it does not.
    pub model: Option<String>,
    /// The engine's own name of the conversation, with which it can be resumed.
    pub engine_session: Option<String>,
    /// Tools that were called.
    pub tool_calls: u32,
    /// Why the run is no success; `None` is success.
    pub failure: Option<EngineFailure>,
}

/// What the lines of a CLI say.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The report as far as the lines tell it; `failure` is an error that the CLI reported.
    pub(crate) report: StageReport,
    /// Whether the CLI said that it came to its end.
    pub(crate) complete: bool,
    /// What it was struggling with when it said its last word.
    pub(crate) trouble: Option<String>,
}

/// All that was printed is the answer: of a program that prints nothing else.
pub(crate) fn plain(stdout: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(stdout).trim_end().to_owned();
    Outcome { report: StageReport { text, ..StageReport::default() }, complete: true, trouble: None }
}

/// Reads what a headless run printed and how it ended.
#[must_use]
pub fn report(kind: EngineKind, stdout: &[u8], stderr: &[u8], ended: &Ended) -> StageReport {
    let Outcome { mut report, complete, trouble } = kind.driver().read(stdout);
    report.failure = match ended.reason {
        EndReason::Exited => match ended.exit {
            Some(Exit::Code(0)) if report.failure.is_some() => report.failure,
            Some(Exit::Code(0)) if complete => None,
            Some(Exit::Code(0)) => Some(EngineFailure {
                kind: FailureKind::BadOutput,
                message: failure::sentence(&format!("{kind} ended without a result"), stderr),
            }),
            exit => Some(report.failure.unwrap_or_else(|| {
                let how = exit.map_or_else(|| "an unknown status".to_owned(), |exit| exit.to_string());
                failure::of_stderr(&format!("{kind} ended with {how}"), stderr)
            })),
        },
        EndReason::Deadline => Some(EngineFailure {
            kind: FailureKind::TimedOut,
            message: match trouble {
                Some(trouble) => format!("{kind} did not come to an end before its deadline; it last said: {trouble}"),
                None => format!("{kind} did not come to an end before its deadline"),
            },
        }),
        EndReason::Stopped => Some(crashed(ended, format!("{kind} was stopped"))),
        EndReason::SpawnFailed => Some(crashed(ended, format!("{kind} could not be started"))),
        EndReason::Lost => Some(crashed(ended, format!("the holder of {kind} disappeared, how it ended is not known"))),
    };
    report
}

fn crashed(ended: &Ended, what: String) -> EngineFailure {
    let message = match &ended.message {
        Some(message) => format!("{what}: {message}"),
        None => what,
    };
    EngineFailure { kind: FailureKind::Crashed, message }
}

/// One short line for a person about one line that the engine printed; `None` where there is nothing to tell.
#[must_use]
pub fn progress(kind: EngineKind, line: &str) -> Option<String> {
    let driver = kind.driver();
    let told = match object(line.as_bytes()) {
        Some(event) if kind != EngineKind::Command => driver.progress(&event),
        _ => driver.plain_progress(line),
    }?;
    Some(first_line(&told)).filter(|line| !line.is_empty())
}
