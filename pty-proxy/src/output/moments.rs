//! Pictures of the screen along a recording, so that a moment late in a long one is found without playing all of it: one
//! JSON object a line, each a whole redraw and where the recording goes on after it.

use std::path::Path;
use std::time::{Duration, Instant};

use orx_protocol::hold::TerminalSize;
use serde::{Deserialize, Serialize};

use super::append::AppendFile;

/// Bytes of recording between two pictures.
const EVERY: u64 = 4 * 1024 * 1024;
/// Most bytes of all pictures of a session.
const LIMIT: u64 = 32 * 1024 * 1024;

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Microseconds since the recording began.
    pub at_us: u64,
    /// Where the recording goes on, in bytes from its beginning.
    pub offset: u64,
    /// The size of the screen.
    pub size: TerminalSize,
    /// Bytes that draw it.
    pub screen: String,
}

/// The pictures of a recording that goes on.
#[derive(Debug)]
pub struct Moments {
    file: AppendFile,
    next: u64,
}

impl Moments {
    /// Opens or makes the file; `end` is that of the recording.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, end: u64) -> std::io::Result<Self> {
        super::recording::cut_to_whole_lines(path)?;
        Ok(Self { file: AppendFile::open(path, LIMIT)?, next: end + EVERY })
    }

    /// Whether it is time for a picture, now that the recording ends at `end`.
    #[must_use]
    pub fn is_due(&self, end: u64) -> bool {
        end >= self.next
    }

    /// Keeps a picture.
    pub fn keep(&mut self, at: Duration, offset: u64, size: TerminalSize, screen: &[u8]) {
        self.next = offset + EVERY;
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let moment = Moment { at_us, offset, size, screen: String::from_utf8_lossy(screen).into_owned() };
        if let Ok(mut line) = serde_json::to_vec(&moment) {
            line.push(b'\n');
            self.file.append(&line, b"", Instant::now());
            self.file.flush();
        }
    }
}

/// The last picture of a file not after `at`.
#[must_use]
pub fn last_before(path: &Path, at: Option<Duration>) -> Option<Moment> {
    let text = std::fs::read_to_string(path).ok()?;
    let limit = at.map_or(u64::MAX, |at| u64::try_from(at.as_micros()).unwrap_or(u64::MAX));
    text.lines().rev().filter_map(|line| serde_json::from_str::<Moment>(line).ok()).find(|moment| moment.at_us <= limit)
}
