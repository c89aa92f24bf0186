//! Reads the files of one conversation as they grow: a bounded part at each look, never a pipe or a link, and from near
//! the end where it begins. What they say is concluded in `orx-engines`.

use orx_engines::transcript::{Reader, RecordFile, Said};
use orx_sandbox::file::open_plain;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

/// Most bytes that one look reads of a file to which lines are added; of more only the end is read.
const PART: u64 = 512 * 1024;
/// Longest line that is kept until its end comes, in bytes.
const LINE: usize = 4 * 1024 * 1024;
/// Largest file that is read as a whole, in bytes.
const WHOLE: u64 = 4 * 1024 * 1024;

/// One file.
#[derive(Debug)]
struct Tail {
    file: RecordFile,
    /// Which file was read last, how large it was, and when it was changed, in nanoseconds since the epoch.
    seen: Option<(u64, u64, u64, i128)>,
    /// Up to where its lines were read.
    offset: u64,
    /// The beginning of a line whose end is not there yet.
    line: Vec<u8>,
    /// The end of a line that was not kept is not there yet.
    skips: bool,
}

impl Tail {
    fn new(file: RecordFile) -> Self {
        Self { file, seen: None, offset: 0, line: Vec::new(), skips: false }
    }

    /// Reads what is new; gives whether anything is.
    fn look(&mut self, reader: &mut Reader, now_ms: u64) -> io::Result<bool> {
        let file = open_plain(&self.file.path)?;
        let data = file.metadata()?;
        let changed = i128::from(data.mtime()) * 1_000_000_000 + i128::from(data.mtime_nsec());
        let seen = (data.dev(), data.ino(), data.len(), changed);
        if self.seen == Some(seen) {
            return Ok(false);
        }
        let is_whole = if self.file.whole {
            whole(&file, &data, reader)?
        } else {
            let is_other = self.seen.is_some_and(|(dev, ino, ..)| (dev, ino) != (data.dev(), data.ino()));
            if is_other || data.len() < self.offset {
                reader.missed();
                (self.offset, self.line, self.skips) = (0, Vec::new(), false);
            }
            self.lines(file, data.len(), reader, now_ms)?;
            true
        };
        // What was half written is looked at again.
        self.seen = is_whole.then_some(seen);
        Ok(is_whole)
    }

    fn lines(&mut self, mut file: File, length: u64, reader: &mut Reader, now_ms: u64) -> io::Result<()> {
        if length - self.offset > PART {
            // What is left out may have been anything.
            reader.missed();
            (self.offset, self.line, self.skips) = (length - PART, Vec::new(), true);
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut part = Vec::new();
        self.offset += file.take(PART).read_to_end(&mut part)? as u64;
        let mut rest = part.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
            rest = after;
            if std::mem::take(&mut self.skips) {
                self.line.clear();
                continue;
            }
            if self.line.is_empty() {
                reader.line(line, now_ms);
            } else {
                self.line.extend_from_slice(line);
                reader.line(&self.line, now_ms);
                self.line.clear();
            }
        }
        if self.line.len() + rest.len() > LINE {
            reader.missed();
            (self.line, self.skips) = (Vec::new(), true);
        } else if !self.skips {
            self.line.extend_from_slice(rest);
        }
        Ok(())
    }
}

/// Reads a file as a whole; gives whether it was whole.
fn whole(file: &File, data: &Metadata, reader: &mut Reader) -> io::Result<bool> {
    if data.len() > WHOLE {
        reader.missed();
        return Ok(true);
    }
    let mut text = Vec::new();
    file.take(WHOLE).read_to_end(&mut text)?;
    let since = data.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(reader.document(&text, u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

/// The files of one conversation, and what they said.
#[derive(Debug)]
pub(super) struct Tails {
    tails: Vec<Tail>,
    reader: Reader,
    /// The process whose files they are was started at this time, in milliseconds since the epoch.
    began_ms: u64,
}

impl Tails {
    /// No files yet.
    pub(super) fn new(reader: Reader, began_ms: u64) -> Self {
        Self { tails: Vec::new(), reader, began_ms }
    }

    /// Adds the files that are not read yet.
    pub(super) fn add(&mut self, files: Vec<RecordFile>) {
        for file in files {
            if self.tails.iter().all(|tail| tail.file != file) {
                self.tails.push(Tail::new(file));
            }
        }
    }

    /// How many files are read.
    pub(super) fn len(&self) -> usize {
        self.tails.len()
    }

    /// Reads what is new in all of them; gives whether anything is. A file that cannot be read any more is let go, and what
    /// was known by it is not known any more.
    pub(super) fn look(&mut self, now_ms: u64) -> bool {
        let Self { tails, reader, .. } = self;
        let mut news = false;
        let mut lost: Vec<PathBuf> = Vec::new();
        for tail in tails.iter_mut() {
            match tail.look(reader, now_ms) {
                Ok(is_news) => news |= is_news,
                Err(error) => {
                    tracing::debug!(path = %tail.file.path.display(), %error, "A conversation's file cannot be read.");
                    lost.push(tail.file.path.clone());
                }
            }
        }
        if !lost.is_empty() {
            tails.retain(|tail| !lost.contains(&tail.file.path));
            reader.lost();
            for tail in tails.iter_mut() {
                *tail = Tail::new(tail.file.clone());
                // What is there still says what it says.
                let _ = tail.look(reader, now_ms);
            }
        }
        news || !lost.is_empty()
    }

    /// What they say of the process that runs; what was written before its start was said of another.
    pub(super) fn says(&self) -> Option<Said> {
        self.reader.says().filter(|said| said.at_ms >= self.began_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_engines::EngineKind;
    use orx_protocol::activity::AgentState::{self, Idle, Working};
    use std::io::Write;
    use std::path::Path;

    const USER: &str = r#"{"type":"message","message":{"role":"user"}}"#;
    const STOP: &str = r#"{"type":"message","message":{"role":"assistant","stopReason":"stop"}}"#;

    fn tails(path: &Path) -> Tails {
        let mut tails = Tails::new(Reader::of(EngineKind::Pi).unwrap(), 0);
        tails.add(vec![RecordFile { path: path.to_owned(), whole: false }]);
        tails
    }

    fn append(path: &Path, text: &str) {
        std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn state(tails: &Tails) -> Option<AgentState> {
        tails.says().map(|said| said.state)
    }

    #[test]
    fn lines_count_once_they_are_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.jsonl");
        append(&path, &format!("{USER}\n{}", &STOP[..20]));
        let mut tails = tails(&path);
        assert!(tails.look(1000));
        assert_eq!(state(&tails), Some(Working));
        assert!(!tails.look(1001), "nothing is new");
        append(&path, &STOP[20..]);
        assert!(tails.look(1002));
        assert_eq!(state(&tails), Some(Working));
        append(&path, "\n");
        tails.look(1003);
        assert_eq!(state(&tails), Some(Idle));
    }

    #[test]
    fn a_long_file_is_read_from_near_its_end_and_what_is_left_out_takes_the_word_away() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.jsonl");
        let filler = format!("{{\"type\":\"other\",\"text\":\"{}\"}}\n", "x".repeat(60_000));
        append(&path, &format!("{STOP}\n{}", filler.repeat(20)));
        let mut tails = tails(&path);
        tails.look(1000);
        assert_eq!(state(&tails), None, "the end of the turn is too far up");
        append(&path, &format!("{USER}\n"));
        tails.look(1001);
        assert_eq!(state(&tails), Some(Working));
        append(&path, &filler.repeat(20));
        tails.look(1002);
        assert_eq!(state(&tails), None);
        // A line that never ends takes no more room than a line may.
        for at in 0..12 {
            append(&path, &"y".repeat(500_000));
            tails.look(2000 + at);
            assert!(tails.tails[0].line.len() <= LINE);
        }
        append(&path, &format!("\n{STOP}\n"));
        tails.look(3000);
        assert_eq!(state(&tails), Some(Idle));
    }

    #[test]
    fn a_file_that_is_another_one_is_read_from_its_start_and_one_that_is_gone_says_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.jsonl");
        append(&path, &format!("{USER}\n{USER}\n{STOP}\n"));
        let mut tails = tails(&path);
        tails.look(1000);
        assert_eq!(state(&tails), Some(Idle));
        std::fs::write(&path, format!("{USER}\n")).unwrap();
        tails.look(1001);
        assert_eq!(state(&tails), Some(Working));
        std::fs::remove_file(&path).unwrap();
        assert!(tails.look(1002));
        assert_eq!((state(&tails), tails.len()), (None, 0));
        // A pipe in its place is not waited for.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        tails.add(vec![RecordFile { path: path.clone(), whole: false }]);
        assert!(tails.look(1003));
        assert_eq!((state(&tails), tails.len()), (None, 0));
    }

    #[test]
    fn a_document_that_is_half_written_is_read_again_and_an_old_one_is_another_process_s() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("7.json");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let mut tails = Tails::new(Reader::of(EngineKind::Claude).unwrap(), 5000);
        tails.add(vec![RecordFile { path: path.clone(), whole: true }]);
        write(r#"{"status":"idle","statusUpdatedAt":4000}"#);
        tails.look(6000);
        assert_eq!(state(&tails), None, "it was written before the process began");
        write(r#"{"status":"bu"#);
        assert!(!tails.look(6001) && !tails.look(6002));
        write(r#"{"status":"busy","statusUpdatedAt":6003}"#);
        assert!(tails.look(6003), "it is looked at until it is whole");
        assert_eq!(state(&tails), Some(Working));
        assert!(!tails.look(6004));
    }
}
