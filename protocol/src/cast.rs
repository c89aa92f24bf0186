//! Reading asciicast recordings, versions 2 and 3, line by line.

use std::time::Duration;

use crate::hold::TerminalSize;
use serde::Deserialize;

/// A recording that cannot be read: where, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct CastError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// What happens in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The program wrote this.
    Output(String),
    /// The terminal got another size.
    Resize(TerminalSize),
    /// The program ended with this status.
    Exit(String),
    /// Input, markers and what later versions may add: nothing that shows.
    Other,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the recording began.
    pub at: Duration,
    /// What happens.
    pub what: Happening,
}

/// The events of a recording, read as they are asked for.
#[derive(Debug)]
pub struct Cast<'a> {
    /// The terminal's size at the beginning.
    pub size: TerminalSize,
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    at: Duration,
    /// Version 3 gives the time since the event before, version 2 since the beginning.
    is_relative: bool,
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Deserialize)]
struct HeaderTwo {
    width: u16,
    height: u16,
}

#[derive(Deserialize)]
struct HeaderThree {
    term: Term,
}

#[derive(Deserialize)]
struct Term {
    cols: u16,
    rows: u16,
}

impl<'a> Cast<'a> {
    /// Reads the head of a recording.
    ///
    /// # Errors
    /// When the first line is no header of version 2 or 3, or names no usable size.
    pub fn open(text: &'a str) -> Result<Self, CastError> {
        let mut lines = text.lines().enumerate();
        let wrong = |line: usize, what: String| CastError { line: line + 1, what };
        let Some((number, header)) = lines.by_ref().find(|(_, line)| !is_blank(line)) else {
            return Err(wrong(0, "the recording is empty; an asciicast begins with a header".to_owned()));
        };
        let head = |error: serde_json::Error| wrong(number, format!("this is no header of an asciicast: {error}"));
        let Version { version } = serde_json::from_str(header).map_err(head)?;
        let (cols, rows) = match version {
            2 => serde_json::from_str(header).map(|head: HeaderTwo| (head.width, head.height)).map_err(head)?,
            3 => {
                serde_json::from_str(header).map(|head: HeaderThree| (head.term.cols, head.term.rows)).map_err(head)?
            }
            other => {
                return Err(wrong(number, format!("this is version {other} of asciicast; versions 2 and 3 are read")));
            }
        };
        if cols == 0 || rows == 0 {
            return Err(wrong(number, format!("a terminal of {cols}x{rows} shows nothing")));
        }
        Ok(Self { size: TerminalSize { cols, rows }, lines, at: Duration::ZERO, is_relative: version == 3 })
    }
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

impl Iterator for Cast<'_> {
    type Item = Result<Event, CastError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, line) = self.lines.by_ref().find(|(_, line)| !is_blank(line))?;
        let wrong = |what: String| CastError { line: number + 1, what };
        let event = serde_json::from_str::<(f64, String, String)>(line)
            .map_err(|error| wrong(format!("this is no event `[seconds, \"code\", \"data\"]`: {error}")))
            .and_then(|(seconds, code, data)| {
                let time = Duration::try_from_secs_f64(seconds)
                    .map_err(|_| wrong(format!("{seconds} s is no time of an event")))?;
                self.at = if self.is_relative { self.at.saturating_add(time) } else { time.max(self.at) };
                let what = match code.as_str() {
                    "o" => Happening::Output(data),
                    "r" => Happening::Resize(
                        size(&data)
                            .ok_or_else(|| wrong(format!("`{}` is no size such as 80x24", data.escape_debug())))?,
                    ),
                    "x" => Happening::Exit(data),
                    _ => Happening::Other,
                };
                Ok(Event { at: self.at, what })
            });
        Some(event)
    }
}

fn size(text: &str) -> Option<TerminalSize> {
    let (cols, rows) = text.split_once('x')?;
    let size = TerminalSize { cols: cols.parse().ok()?, rows: rows.parse().ok()? };
    (size.cols > 0 && size.rows > 0).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"version": 3, "term": {"cols": 80, "rows": 24}}"#;

    fn read(text: &str) -> Result<Vec<Event>, CastError> {
        Cast::open(text)?.collect()
    }

    #[test]
    fn times_of_both_versions_are_told_from_the_beginning() {
        let three =
            format!("{HEADER}\n[0.5, \"o\", \"a\"]\n# a comment\n\n[0.25, \"r\", \"90x30\"]\n[1, \"x\", \"0\"]\n");
        let two =
            "{\"version\":2,\"width\":80,\"height\":24}\n[0.5,\"o\",\"a\"]\n[0.75,\"r\",\"90x30\"]\n[1.75,\"x\",\"0\"]";
        let events = read(&three).unwrap();
        assert_eq!(events, read(two).unwrap());
        let times: Vec<u128> = events.iter().map(|event| event.at.as_millis()).collect();
        assert_eq!(times, [500, 750, 1750]);
        assert_eq!(events[1].what, Happening::Resize(TerminalSize { cols: 90, rows: 30 }));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        for (text, line, what) in [
            ("", 1, "empty"),
            ("hello", 1, "no header"),
            ("{\"version\": 1}", 1, "version 1"),
            ("{\"version\": 3}", 1, "missing field `term`"),
            ("{\"version\": 3, \"term\": {\"cols\": 0, \"rows\": 4}}", 1, "0x4"),
            (&format!("{HEADER}\n[0.1, \"o\", \"x\"]\n[0.1, \"o\"]"), 3, "no event"),
            (&format!("{HEADER}\n[-1, \"o\", \"x\"]"), 2, "-1 s"),
            (&format!("{HEADER}\n[1e300, \"o\", \"x\"]"), 2, "no time"),
            (&format!("{HEADER}\n\n[0, \"r\", \"0x0\"]"), 3, "no size"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.what.contains(what), "{text}: {error}");
        }
    }
}
