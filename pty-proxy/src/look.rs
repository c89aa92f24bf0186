//! Looking into a session's directory without its holder, which may be gone: one question, one line of JSON.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::output::scrollback::Scrollback;
use crate::replay;

/// Prints a page of the lines that scrolled away.
#[must_use]
pub fn scrollback(directory: &Path, from: Option<u64>, limit: u32, styled: bool) -> ExitCode {
    say(Scrollback::read(directory).and_then(|kept| kept.page(from, limit as usize, styled)))
}

/// Prints the screen of a recording at a moment.
#[must_use]
pub fn recorded(directory: &Path, at_ms: Option<u64>) -> ExitCode {
    say(replay::screen_at(directory, at_ms.map(Duration::from_millis)))
}

/// Prints what was found, or on standard error why nothing was.
fn say<E: std::fmt::Display>(found: Result<impl Serialize, E>) -> ExitCode {
    let line = found
        .map_err(|error| error.to_string())
        .and_then(|found| serde_json::to_string(&found).map_err(|error| error.to_string()));
    // Who asked and does not listen loses only the answer.
    match line {
        Ok(line) => {
            let _ = writeln!(std::io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}
