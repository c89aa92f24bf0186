//! The one place that writes to standard output and standard error.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;
use crate::text;

/// Where and how results are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether results are JSON.
    pub(crate) json: bool,
    /// Whether standard output takes colours.
    pub(crate) colour: bool,
    /// Whether standard error takes colours.
    error_colour: bool,
    /// Whether standard error is a terminal, where a line can be drawn anew.
    pub(crate) error_terminal: bool,
    /// Columns of the terminal; `None` when standard output is none and nothing is to be cut.
    pub(crate) columns: Option<usize>,
}

/// A colour of meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// As the rest.
    Plain,
    /// Good.
    Green,
    /// To be looked at.
    Yellow,
    /// Bad.
    Red,
    /// Less important.
    Dim,
    /// A heading.
    Bold,
}

impl Colour {
    /// The text in this colour, where colours are wanted.
    #[must_use]
    pub(crate) fn paint(self, text: &str, wanted: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Dim => "2",
            Self::Bold => "1",
        };
        if wanted && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// The colour of a state, verdict or level.
    #[must_use]
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "done" | "passed" | "completed" | "healthy" | "ok" | "ready" => Self::Green,
            "failed" | "error" | "fail" | "lost" => Self::Red,
            "running" | "in_progress" | "starting" | "degraded" | "draining" | "warn" | "unresponsive"
            | "cancelled" | "unknown" => Self::Yellow,
            "skipped" | "ended" | "todo" => Self::Dim,
            _ => Self::Plain,
        }
    }
}

/// Whether colours are wanted on a stream: `NO_COLOR` (any value but an empty one) and a dumb terminal say no.
fn colours(is_terminal: bool, lookup: impl Fn(&str) -> Option<String>) -> bool {
    let refused = lookup("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal && !refused && lookup("TERM").as_deref() != Some("dumb")
}

impl Output {
    /// The output of this process.
    #[must_use]
    pub(crate) fn of_process(json: bool) -> Self {
        let lookup = |name: &str| std::env::var(name).ok();
        let terminal = std::io::stdout().is_terminal();
        let error_terminal = std::io::stderr().is_terminal();
        let columns = terminal_size::terminal_size_of(std::io::stdout()).map(|(columns, _)| usize::from(columns.0));
        Self {
            json,
            colour: colours(terminal, lookup),
            error_colour: colours(error_terminal, lookup),
            error_terminal: error_terminal && lookup("TERM").as_deref() != Some("dumb"),
            columns: columns.filter(|columns| terminal && *columns > 0),
        }
    }

    /// The output of a test: no colours, this many columns.
    #[cfg(test)]
    pub(crate) const fn plain(columns: Option<usize>) -> Self {
        Self { json: false, colour: false, error_colour: false, error_terminal: false, columns }
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::of_output(&error))
    }

    /// Writes a text and a line end; nothing for an empty text.
    pub(crate) fn text(self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.bytes(format!("{text}{end}").as_bytes())
    }

    /// Writes a value as JSON, over several lines on a terminal.
    pub(crate) fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        let written =
            if self.columns.is_some() { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        let text =
            written.map_err(|error| Failure::failed(format!("the result could not be written as JSON: {error}")))?;
        self.text(&text::clean_json(&text))
    }

    /// Writes a value as JSON in one line.
    pub(crate) fn json_line<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::failed(format!("the result could not be written as JSON: {error}")))?;
        self.text(&text::clean_json(&text))
    }

    /// Writes a remark for a person to standard error; it is no part of the result.
    pub(crate) fn note(self, text: &str) {
        self.error_line(text);
    }

    /// Writes a warning to standard error.
    pub(crate) fn warning(self, text: &str) {
        let mark = Colour::Yellow.paint("warning:", self.error_colour);
        self.error_line(&format!("{mark} {text}"));
    }

    /// Writes why the command ended early, and what to do next.
    pub(crate) fn failure(self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        let mark = Colour::Red.paint("error:", self.error_colour);
        self.error_line(&format!("{mark} {}", text::clean(&failure.message)));
        if !failure.hint.is_empty() {
            let mark = Colour::Dim.paint("  hint:", self.error_colour);
            self.error_line(&format!("{mark} {}", text::clean(&failure.hint)));
        }
    }

    /// Writes to standard error without a line end.
    pub(crate) fn error_bytes(self, bytes: &[u8]) {
        let mut stderr = std::io::stderr().lock();
        // Standard error may be closed; there is nowhere left to say so.
        let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
    }

    fn error_line(self, text: &str) {
        self.error_bytes(format!("{text}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let with = |set: &'static [(&str, &str)]| {
            move |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        assert!(colours(true, with(&[])));
        assert!(!colours(false, with(&[])));
        assert!(!colours(true, with(&[("NO_COLOR", "1")])));
        assert!(colours(true, with(&[("NO_COLOR", "")])));
        assert!(!colours(true, with(&[("TERM", "dumb")])));
        assert_eq!(Colour::Red.paint("x", true), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Colour::Red.paint("x", false), "x");
    }
}
