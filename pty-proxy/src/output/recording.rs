//! A terminal session as asciicast v3: what viewers saw, with times, sizes and the exit. What was typed is never kept.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use orx_protocol::hold::TerminalSize;
use orx_protocol::process::Exit;

use super::append::{AppendFile, LIMIT};
use super::json::write_string;

/// The recording of a session.
#[derive(Debug)]
pub struct Recording {
    file: AppendFile,
    /// When the recording began, or would have, had one holder written all of it without a pause.
    begun: Instant,
    last: Instant,
    line: Vec<u8>,
}

impl Recording {
    /// Begins a recording; `started_at_ms` is the wall clock at `now`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn begin(
        path: &Path,
        size: TerminalSize,
        kind: &str,
        started_at_ms: u64,
        now: Instant,
    ) -> std::io::Result<Self> {
        let mut file = AppendFile::open(path, LIMIT)?;
        let header = serde_json::json!({
            "version": 3,
            "term": {"cols": size.cols, "rows": size.rows, "type": kind},
            "timestamp": started_at_ms / 1000,
        });
        file.append(format!("{header}\n").as_bytes(), b"", now);
        file.flush();
        Ok(Self { file, begun: now, last: now, line: Vec::new() })
    }

    /// Goes on with the recording of another holder: the time since its last event is that since the file was last written
    /// to, and an event marks the place.
    ///
    /// # Errors
    /// When the file cannot be opened or brought in order.
    pub fn go_on(path: &Path, now: Instant) -> std::io::Result<Self> {
        let idle = std::fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .map_or(Duration::ZERO, |at| at.elapsed().unwrap_or_default());
        cut_to_whole_lines(path)?;
        let file = AppendFile::open(path, LIMIT)?;
        let last = now.checked_sub(idle).unwrap_or(now);
        let begun = last.checked_sub(length(path)).unwrap_or(last);
        let mut recording = Self { file, begun, last, line: Vec::new() };
        recording.event('m', "another holder goes on", now);
        Ok(recording)
    }

    /// Keeps output: whole sequences. Bytes that are not UTF-8 are kept as replacement characters.
    pub fn output(&mut self, bytes: &[u8], now: Instant) {
        if !bytes.is_empty() {
            // The checked way is several times faster than the one that mends, which is seldom needed.
            match std::str::from_utf8(bytes) {
                Ok(text) => self.event('o', text, now),
                Err(_) => self.event('o', &String::from_utf8_lossy(bytes), now),
            }
        }
    }

    /// Keeps a change of size.
    pub fn resize(&mut self, size: TerminalSize, now: Instant) {
        self.event('r', &format!("{}x{}", size.cols, size.rows), now);
    }

    /// Keeps the exit and writes all that waits. A signal is kept as shells say it: 128 and its number.
    pub fn end(&mut self, exit: Option<Exit>, now: Instant) {
        let status = match exit {
            Some(Exit::Code(code)) => code.to_string(),
            Some(Exit::Signal(signal)) => (128 + signal).to_string(),
            None => return self.file.flush(),
        };
        self.write_line('x', &status, now);
        let line = std::mem::take(&mut self.line);
        self.file.append_last(&line, now);
    }

    fn event(&mut self, code: char, data: &str, now: Instant) {
        self.write_line(code, data, now);
        self.file.append(&self.line, b"[0.0, \"m\", \"the recording reached its limit here\"]\n", now);
    }

    fn write_line(&mut self, code: char, data: &str, now: Instant) {
        let interval = now.saturating_duration_since(self.last).as_micros();
        self.last = now;
        self.line.clear();
        let head = format!("[{}.{:06}, \"{code}\", ", interval / 1_000_000, interval % 1_000_000);
        self.line.extend_from_slice(head.as_bytes());
        write_string(data, &mut self.line);
        self.line.extend_from_slice(b"]\n");
    }

    /// The time of the last event since the beginning, and where the next one will be, in bytes.
    #[must_use]
    pub fn position(&self) -> (Duration, u64) {
        (self.last.saturating_duration_since(self.begun), self.file.end())
    }

    /// The file.
    pub fn file(&mut self) -> &mut AppendFile {
        &mut self.file
    }
}

/// How long a recording is by its events.
fn length(path: &Path) -> Duration {
    let text = std::fs::read(path).unwrap_or_default();
    let intervals = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let interval = line.strip_prefix(b"[")?.split(|byte| *byte == b',').next()?;
        std::str::from_utf8(interval).ok()?.parse::<f64>().ok()
    });
    Duration::try_from_secs_f64(intervals.sum()).unwrap_or_default()
}

/// Longest line that a holder may have left unfinished, in bytes.
const LAST_LINE: u64 = 1024 * 1024;

/// Takes off what a holder that died began to write.
pub(super) fn cut_to_whole_lines(path: &Path) -> std::io::Result<()> {
    let mut file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let end = file.metadata()?.len();
    let from = end.saturating_sub(LAST_LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.by_ref().take(LAST_LINE).read_to_end(&mut tail)?;
    let whole = from + tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    if whole < end { file.set_len(whole) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_intervals_and_the_exit_is_last() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("r.cast");
        let start = Instant::now();
        let size = TerminalSize { cols: 80, rows: 24 };
        let mut recording = Recording::begin(&path, size, "xterm-256color", 5000, start).unwrap();
        recording.output("é\u{1b}[31m\"\n".as_bytes(), start + Duration::from_millis(1500));
        recording.resize(TerminalSize { cols: 90, rows: 30 }, start + Duration::from_millis(1500));
        recording.end(Some(Exit::Signal(9)), start + Duration::from_secs(2));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let header: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(
            header,
            serde_json::json!({"version": 3, "term": {"cols": 80, "rows": 24, "type": "xterm-256color"}, "timestamp": 5})
        );
        assert_eq!(lines[1], "[1.500000, \"o\", \"é\\u001b[31m\\\"\\n\"]");
        assert_eq!(lines[2], "[0.000000, \"r\", \"90x30\"]");
        assert_eq!(lines[3], "[0.500000, \"x\", \"137\"]");
    }

    #[test]
    fn another_holder_goes_on_after_the_last_whole_event() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("r.cast");
        let start = Instant::now();
        let mut recording = Recording::begin(&path, TerminalSize { cols: 80, rows: 24 }, "xterm", 5000, start).unwrap();
        recording.output(b"one", start);
        recording.file().flush();
        drop(recording);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"[0.5, \"o\", \"tw"].concat()).unwrap();
        let mut recording = Recording::go_on(&path, Instant::now()).unwrap();
        recording.output(b"two", Instant::now());
        recording.end(None, Instant::now());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.as_bytes().starts_with(&whole));
        let events: Vec<serde_json::Value> =
            text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        let shown: Vec<_> =
            events.iter().map(|event| (event[1].as_str().unwrap(), event[2].as_str().unwrap())).collect();
        assert_eq!(shown, [("o", "one"), ("m", "another holder goes on"), ("o", "two")]);
    }
}
