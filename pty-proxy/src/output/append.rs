//! A file that only grows, in whole records, up to a limit. A full or failing disk never stops the program: what could
//! not be written is counted, the file is cut back to its last whole record, and later records are tried again.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Most bytes of a file.
pub const LIMIT: u64 = 256 * 1024 * 1024;
/// Records are written together once they have this many bytes.
const TOGETHER: usize = 32 * 1024;
/// Records wait no longer than this to be written.
const AT_LATEST: Duration = Duration::from_millis(100);

/// A file that only grows.
#[derive(Debug)]
pub struct AppendFile {
    file: File,
    waiting: Vec<u8>,
    waiting_since: Option<Instant>,
    length: u64,
    limit: u64,
    lost: u64,
    full: bool,
    failure: Option<String>,
}

impl AppendFile {
    /// Opens or makes the file, private to its user.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, limit: u64) -> std::io::Result<Self> {
        let file = orx_sandbox::file::private_append(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, waiting: Vec::new(), waiting_since: None, length, limit, lost: 0, full: false, failure: None })
    }

    /// Adds a record at `now`. The record that passes the limit is replaced by `marker`, and nothing follows it.
    pub fn append(&mut self, record: &[u8], marker: &[u8], now: Instant) {
        if self.full {
            return;
        }
        if self.length + (self.waiting.len() + record.len()) as u64 > self.limit {
            self.full = true;
            self.put(marker, now);
        } else {
            self.put(record, now);
        }
    }

    /// Adds a record also beyond the limit: the last one.
    pub fn append_last(&mut self, record: &[u8], now: Instant) {
        self.put(record, now);
        self.flush();
    }

    fn put(&mut self, record: &[u8], now: Instant) {
        if self.waiting.is_empty() && record.len() >= TOGETHER {
            return self.write(record);
        }
        self.waiting.extend_from_slice(record);
        self.waiting_since.get_or_insert(now);
        if self.waiting.len() >= TOGETHER {
            self.flush();
        }
    }

    /// When what waits must be written.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + AT_LATEST)
    }

    /// Writes what waits when it is time.
    pub fn flush_if_due(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.flush();
        }
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_since = None;
        if waiting.is_empty() {
            return;
        }
        self.write(&waiting);
        self.waiting = waiting;
        self.waiting.clear();
    }

    fn write(&mut self, records: &[u8]) {
        match self.file.write_all(records) {
            Ok(()) => self.length += records.len() as u64,
            Err(error) => {
                self.lost += records.len() as u64;
                self.failure = Some(error.to_string());
                // Half a record must not stay; cutting needs no room.
                let _ = self.file.set_len(self.length);
            }
        }
    }

    /// Where the next record will be, in bytes from the beginning.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.length + self.waiting.len() as u64
    }

    /// Bytes that could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// What to tell a person of this file, called `name`: nothing when all is in it.
    #[must_use]
    pub fn complaint(&self, name: &str) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(format!("{} bytes could not be written to {name}: {failure}", self.lost));
        }
        self.full.then(|| format!("{name} ends where it reached its limit of {} bytes", self.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_ends_with_its_marker_at_the_limit() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let mut file = AppendFile::open(&path, 10).unwrap();
        let now = Instant::now();
        for record in [&b"12345"[..], b"6789", b"abc", b"d"] {
            file.append(record, b"[end]", now);
        }
        file.flush();
        assert_eq!(std::fs::read(&path).unwrap(), b"123456789[end]");
        assert!(file.complaint("log").unwrap().contains("limit of 10 bytes"));
    }

    #[test]
    fn records_wait_for_each_other_but_not_long() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let mut file = AppendFile::open(&path, LIMIT).unwrap();
        let now = Instant::now();
        file.append(b"a", b"", now);
        file.flush_if_due(now + Duration::from_millis(99));
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        file.flush_if_due(now + Duration::from_millis(100));
        assert_eq!(std::fs::read(&path).unwrap(), b"a");
        assert_eq!(file.due(), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_counted_and_said() {
        let mut file = AppendFile::open(Path::new("/dev/full"), LIMIT).unwrap();
        file.append(b"hello", b"", Instant::now());
        file.flush();
        assert_eq!(file.lost(), 5);
        assert!(file.complaint("output.log").unwrap().starts_with("5 bytes could not be written to output.log: "));
    }
}
