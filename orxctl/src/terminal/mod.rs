//! An attached terminal: the user's own terminal shows a session's and types into it.

mod encoded;
mod keys;
mod link;
mod raw;
pub(crate) mod safe;
mod screen;
mod tty;
mod viewer;

use std::io::{IsTerminal, stdin, stdout};

use orx_protocol::hold::TerminalSize;

use crate::failure::Failure;

pub(crate) use viewer::view;

/// How a viewer came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The user left.
    Detached,
    /// The session's process ended.
    Ended {
        /// Exit status, when it exited.
        code: Option<i32>,
        /// Signal, when a signal ended it.
        signal: Option<i32>,
    },
    /// A signal ended the viewer, or its terminal went away.
    Signalled,
    /// The connection ended, with a sentence that says why.
    Lost(String),
}

/// The size of this terminal; `None` where there is none.
pub(crate) fn size() -> Option<TerminalSize> {
    let (cols, rows) =
        terminal_size::terminal_size_of(stdout()).or_else(|| terminal_size::terminal_size_of(stdin()))?;
    (cols.0 > 0 && rows.0 > 0).then(|| TerminalSize { cols: cols.0, rows: rows.0 }.clamped())
}

/// Makes sure that there is a terminal to show a session on.
///
/// # Errors
/// `Usage`, with what can be used instead.
pub(crate) fn require() -> Result<(), Failure> {
    let missing = match (stdin().is_terminal(), stdout().is_terminal()) {
        (true, true) => return Ok(()),
        (false, _) => "standard input",
        (true, false) => "standard output",
    };
    Err(Failure::usage(format!("{missing} is not a terminal, and a session can only be attached to one"))
        .with_hint("start it with `orxctl new --detach`; `orxctl screen`, `logs`, `send` and `keys` need no terminal"))
}
