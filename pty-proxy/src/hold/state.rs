//! What a holder leaves on disk so that another can rebuild its screen: the sizes that the terminal had, each with its place
//! in the log, and now and then the whole screen. With the log after that place they give the screen of any moment.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use orx_protocol::hold::{TerminalSize, file};
use serde::{Deserialize, Serialize};

use super::pipes::LOG_MARKER;
use crate::journal;
use crate::output::append::LIMIT;
use crate::terminal::emulator::Emulator;

/// Bytes of output after which the screen is kept again: rebuilding takes no longer than reading so much does.
pub(super) const EVERY: u64 = 4 * 1024 * 1024;
/// Bytes taken at once when a screen is rebuilt.
const READ: usize = 64 * 1024;

/// The head of a kept screen: a line of JSON, followed by bytes that draw it.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// The place in the log from which to go on.
    at: u64,
    cols: u16,
    rows: u16,
    /// Bytes that follow.
    length: u64,
}

/// The keeping of a session's screen.
#[derive(Debug)]
pub(super) struct ScreenState {
    directory: PathBuf,
    /// Output since the screen was kept.
    since: u64,
}

impl ScreenState {
    /// Begins with a terminal of `size`.
    pub(super) fn begin(directory: &Path, size: TerminalSize) -> Result<Self> {
        let state = Self { directory: directory.to_owned(), since: 0 };
        state.write_size(0, size)?;
        Ok(state)
    }

    /// Goes on after another holder, of whose output `since` bytes came after the last kept screen.
    pub(super) fn go_on(directory: &Path, since: u64) -> Self {
        Self { directory: directory.to_owned(), since }
    }

    /// The terminal has another size from this place in the log on.
    pub(super) fn resized(&self, at: u64, size: TerminalSize) {
        if let Err(error) = self.write_size(at, size) {
            journal::note(&format!("{} could not be written: {error}", file::SIZES));
        }
    }

    fn write_size(&self, at: u64, size: TerminalSize) -> Result<()> {
        let mut sizes = orx_sandbox::file::private_append(&self.directory.join(file::SIZES))?;
        sizes.write_all(format!("{at} {} {}\n", size.cols, size.rows).as_bytes())
    }

    /// So many bytes of output came.
    pub(super) fn passed(&mut self, count: usize) {
        self.since = self.since.saturating_add(count as u64);
    }

    /// Keeps the screen when `every` bytes came since the last time; `end` is the end of the log.
    pub(super) fn keep_if_due(&mut self, end: u64, emulator: &Emulator, every: u64) {
        if self.since < every {
            return;
        }
        // Within a string that is dropped there is no place from which to go on; a later one will do.
        let Some(unfinished) = emulator.unfinished() else { return };
        match self.keep(end.saturating_sub(unfinished as u64), emulator) {
            Ok(()) => self.since = 0,
            Err(error) => {
                journal::note(&format!("{} could not be written: {error}", file::SCREEN_STATE));
                // Tried again after as much output as before, not at once.
                self.since = 0;
            }
        }
    }

    /// A reader sees the old screen or the new; what a machine that fails leaves is not needed, since no session outlives it.
    fn keep(&self, at: u64, emulator: &Emulator) -> Result<()> {
        let parts = emulator.redraw();
        let size = emulator.screen().size();
        let length = parts.iter().map(|part| part.len() as u64).sum();
        let mut bytes = serde_json::to_vec(&Head { at, cols: size.cols, rows: size.rows, length })?;
        bytes.push(b'\n');
        bytes.extend(parts.into_iter().flatten());
        let path = self.directory.join(file::SCREEN_STATE);
        let fresh = self.directory.join(format!("{}.new", file::SCREEN_STATE));
        let _ = std::fs::remove_file(&fresh);
        let written = orx_sandbox::file::private_append(&fresh)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| std::fs::rename(&fresh, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&fresh);
        }
        written
    }
}

/// A screen that was rebuilt.
pub(super) struct Rebuilt {
    pub(super) emulator: Emulator,
    /// Output since the last kept screen.
    pub(super) since: u64,
    /// Whether the log goes to the end; past its limit the screen may be behind.
    pub(super) complete: bool,
}

/// Rebuilds the screen of `directory`'s session; `size` is what its terminal began with.
pub(super) fn rebuild(directory: &Path, size: TerminalSize, now: Instant) -> Rebuilt {
    let (mut emulator, from) = kept_screen(directory, now).unwrap_or_else(|| (Emulator::new(size), 0));
    let mut at = from;
    match replay(directory, &mut emulator, &mut at, now) {
        Ok(()) => {}
        Err(error) => journal::note(&format!("the log could not be read to its end: {error}")),
    }
    // These were answered by the holder that read the questions.
    drop(emulator.take_replies());
    Rebuilt { emulator, since: at - from, complete: at < LIMIT }
}

fn kept_screen(directory: &Path, now: Instant) -> Option<(Emulator, u64)> {
    let mut file = BufReader::new(File::open(directory.join(file::SCREEN_STATE)).ok()?);
    let mut line = String::new();
    file.read_line(&mut line).ok()?;
    let head: Head = serde_json::from_str(&line).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let end = std::fs::metadata(directory.join(file::OUTPUT)).ok()?.len();
    if bytes.len() as u64 != head.length || head.at > end {
        return None;
    }
    let mut emulator = Emulator::new(TerminalSize { cols: head.cols, rows: head.rows }.clamped());
    emulator.accept(&bytes, now);
    Some((emulator, head.at))
}

/// Sizes by their place, later ones after earlier ones.
fn sizes(directory: &Path) -> Vec<(u64, TerminalSize)> {
    let text = std::fs::read_to_string(directory.join(file::SIZES)).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let at = words.next()?.parse().ok()?;
            let size = TerminalSize { cols: words.next()?.parse().ok()?, rows: words.next()?.parse().ok()? };
            Some((at, size.clamped()))
        })
        .collect()
}

fn replay(directory: &Path, emulator: &mut Emulator, at: &mut u64, now: Instant) -> Result<()> {
    let mut log = File::open(directory.join(file::OUTPUT))?;
    let mut end = log.metadata()?.len();
    if end >= LIMIT && tail(&mut log, end)? == LOG_MARKER {
        end -= LOG_MARKER.len() as u64;
    }
    log.seek(SeekFrom::Start(*at))?;
    let begun = *at;
    let mut buffer = vec![0; READ];
    let stops =
        sizes(directory).into_iter().filter(|(place, _)| *place >= begun).map(|(place, size)| (place, Some(size)));
    for (place, size) in stops.chain(std::iter::once((end, None))) {
        let place = place.min(end);
        while *at < place {
            let room = usize::try_from(place - *at).unwrap_or(READ).min(READ);
            let count = log.read(buffer.get_mut(..room).unwrap_or_default())?;
            if count == 0 {
                return Ok(());
            }
            emulator.accept(buffer.get(..count).unwrap_or_default(), now);
            // Bounded, also when a log is full of questions.
            drop(emulator.take_replies());
            *at += count as u64;
        }
        if let Some(size) = size
            && size != emulator.screen().size()
        {
            emulator.resize(size);
        }
    }
    Ok(())
}

fn tail(log: &mut File, end: u64) -> Result<Vec<u8>> {
    let length = (LOG_MARKER.len() as u64).min(end);
    log.seek(SeekFrom::Start(end - length))?;
    let mut bytes = Vec::new();
    log.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: TerminalSize = TerminalSize { cols: 40, rows: 10 };
    const LARGE: TerminalSize = TerminalSize { cols: 60, rows: 12 };

    /// A log of what a holder would have written, with its state; gives the model that the holder had.
    fn write(directory: &Path, keep_every: u64, parts: &[(&[u8], Option<TerminalSize>)]) -> Emulator {
        let now = Instant::now();
        let mut state = ScreenState::begin(directory, SMALL).unwrap();
        let mut emulator = Emulator::new(SMALL);
        let mut log = orx_sandbox::file::private_append(&directory.join(file::OUTPUT)).unwrap();
        let mut end = 0;
        for (bytes, size) in parts {
            emulator.accept(bytes, now);
            log.write_all(bytes).unwrap();
            end += bytes.len() as u64;
            state.passed(bytes.len());
            if let Some(size) = size {
                emulator.resize(*size);
                state.resized(end, *size);
            }
            state.keep_if_due(end, &emulator, keep_every);
        }
        emulator
    }

    const PARTS: [(&[u8], Option<TerminalSize>); 5] = [
        (b"\x1b[?1049h\x1b[?2004h\x1b[31mred\x1b]2;title\x07", None),
        (b"\r\nsecond \xe2\x94", Some(LARGE)),
        (b"\x82 row\x1b[5;3Hfar \x1b[1", None),
        (b"mbold\x1b[0m \x1b]0;oth", Some(SMALL)),
        (b"er\x07end", None),
    ];

    #[test]
    fn a_screen_is_rebuilt_from_the_log_alone_and_from_any_kept_screen() {
        for keep_every in [u64::MAX, 1, 30] {
            for until in 0..=PARTS.len() {
                let scratch = tempfile::tempdir().unwrap();
                let held = write(scratch.path(), keep_every, &PARTS[..until]);
                let mut rebuilt = rebuild(scratch.path(), SMALL, Instant::now());
                assert!(rebuilt.complete);
                assert_eq!(rebuilt.emulator.text(), held.text(), "kept every {keep_every}, {until} parts");
                assert_eq!(rebuilt.emulator.redraw(), held.redraw(), "kept every {keep_every}, {until} parts");
                assert_eq!(rebuilt.emulator.take_replies(), b"");
                // A sequence that was cut goes on.
                let mut held = held;
                for (bytes, _) in &PARTS[until..] {
                    held.accept(bytes, Instant::now());
                    rebuilt.emulator.accept(bytes, Instant::now());
                }
                assert_eq!(rebuilt.emulator.text(), held.text());
            }
        }
    }

    #[test]
    fn a_damaged_or_foreign_kept_screen_is_not_used() {
        let scratch = tempfile::tempdir().unwrap();
        let held = write(scratch.path(), 1, &PARTS);
        let path = scratch.path().join(file::SCREEN_STATE);
        let whole = std::fs::read(&path).unwrap();
        for damaged in
            [&whole[..whole.len() - 1], b"{}\n", b"", b"{\"at\":999999,\"cols\":9,\"rows\":9,\"length\":0}\n"]
        {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(rebuild(scratch.path(), SMALL, Instant::now()).emulator.text(), held.text());
        }
        std::fs::remove_file(scratch.path().join(file::OUTPUT)).unwrap();
        let blank = rebuild(scratch.path(), SMALL, Instant::now());
        assert!(blank.emulator.text().lines.iter().all(String::is_empty));
    }
}
