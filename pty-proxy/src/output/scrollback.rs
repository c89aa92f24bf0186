//! Lines that scrolled out of the screen, in a file of compressed blocks, read by number.
//!
//! LZ4 by its Rust implementation: it needs no state between blocks, so a holder's memory stays as it is, and takes some
//! milliseconds a megabyte; what comes last waits uncompressed in blocks of its own, so that a holder that is killed loses
//! nothing. A file that reached its limit becomes the older one of two, and the one before goes.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orx_protocol::api::session::ScrollbackPage;
use orx_protocol::hold::file;

/// Bytes of lines in a compressed block.
const BLOCK: usize = 64 * 1024;
/// Bytes of one file.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;
/// Lines wait no longer than this to be written.
const AT_LATEST: Duration = Duration::from_millis(100);
/// Most bytes of lines in one page.
const PAGE: usize = 512 * 1024;
/// Bytes before each block: mark, number of the first line, lines, bytes, bytes as stored.
const HEAD: usize = 24;
const MARK: u32 = u32::from_be_bytes(*b"orx\x01");

/// A block of whole lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    offset: u64,
    first: u64,
    lines: u32,
    bytes: u32,
    stored: u32,
}

impl Block {
    fn is_compressed(&self) -> bool {
        self.stored != self.bytes
    }

    fn end(&self) -> u64 {
        self.offset + HEAD as u64 + u64::from(self.stored)
    }

    fn after(&self) -> u64 {
        self.first + u64::from(self.lines)
    }

    fn head(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let (mark, rest) = head.split_at_mut(4);
        mark.copy_from_slice(&MARK.to_le_bytes());
        let (first, rest) = rest.split_at_mut(8);
        first.copy_from_slice(&self.first.to_le_bytes());
        for (place, number) in rest.chunks_exact_mut(4).zip([self.lines, self.bytes, self.stored]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        head
    }

    fn parse(head: &[u8; HEAD], offset: u64) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let first = u64::from_le_bytes(head.get(4..12)?.try_into().ok()?);
        let block = Self { offset, first, lines: number(12)?, bytes: number(16)?, stored: number(20)? };
        let fits = block.stored <= block.bytes && block.bytes as usize <= 2 * PAGE;
        (number(0)? == MARK && fits).then_some(block)
    }
}

/// One of the files.
#[derive(Debug)]
struct Part {
    file: File,
    blocks: Vec<Block>,
    /// Where blocks are made; its room is used again.
    made: Vec<u8>,
}

impl Part {
    /// Reads which blocks there are, to the first that is not whole or does not go on where the one before ended.
    fn scan(file: File) -> Result<Self> {
        let size = file.metadata()?.len();
        let mut part = Self { file, blocks: Vec::new(), made: Vec::new() };
        let mut head = [0; HEAD];
        while part.file.read_exact_at(&mut head, part.end()).is_ok() {
            let next = part.blocks.last().map(Block::after);
            let Some(block) = Block::parse(&head, part.end()) else { break };
            if block.end() > size || next.is_some_and(|next| next != block.first) {
                break;
            }
            part.blocks.push(block);
        }
        Ok(part)
    }

    fn end(&self) -> u64 {
        self.blocks.last().map_or(0, Block::end)
    }

    /// The lines of a block.
    fn read(&self, block: &Block) -> Result<Vec<u8>> {
        let mut stored = vec![0; block.stored as usize];
        self.file.read_exact_at(&mut stored, block.offset + HEAD as u64)?;
        if !block.is_compressed() {
            return Ok(stored);
        }
        lz4_flex::block::decompress(&stored, block.bytes as usize).map_err(std::io::Error::other)
    }

    fn write(&mut self, first: u64, lines: u32, text: &[u8], compress: bool) -> Result<()> {
        let bytes = u32::try_from(text.len()).map_err(std::io::Error::other)?;
        self.made.resize(HEAD + if compress { lz4_flex::block::get_maximum_output_size(text.len()) } else { 0 }, 0);
        let room = self.made.get_mut(HEAD..).unwrap_or_default();
        let compressed = if compress { lz4_flex::block::compress_into(text, room).ok() } else { None };
        let stored = match compressed.filter(|short| *short < text.len()) {
            Some(short) => {
                self.made.truncate(HEAD + short);
                u32::try_from(short).map_err(std::io::Error::other)?
            }
            None => {
                self.made.truncate(HEAD);
                self.made.extend_from_slice(text);
                bytes
            }
        };
        let block = Block { offset: self.end(), first, lines, bytes, stored };
        self.made.get_mut(..HEAD).unwrap_or_default().copy_from_slice(&block.head());
        self.file.write_all_at(&self.made, block.offset)?;
        self.blocks.push(block);
        Ok(())
    }
}

/// The scrollback of a session, as its holder keeps it.
#[derive(Debug)]
pub struct Scrollback {
    directory: PathBuf,
    older: Option<Part>,
    current: Part,
    /// Lines that are in no compressed block yet; those before `written` are in the file.
    tail: Vec<u8>,
    tail_lines: u32,
    written: usize,
    written_lines: u32,
    /// How many blocks of the current file are compressed ones.
    settled: usize,
    next: u64,
    waiting_since: Option<Instant>,
    failure: Option<String>,
}

impl Scrollback {
    /// Opens or makes the files of a session's directory; a torn end is cut off.
    ///
    /// # Errors
    /// When a file cannot be opened or read.
    pub fn open(directory: &Path) -> Result<Self> {
        // Made private first, then opened so that it can be written anywhere.
        let path = directory.join(file::SCROLLBACK);
        drop(orx_sandbox::file::private_append(&path)?);
        let current = Part::scan(File::options().read(true).write(true).open(path)?)?;
        current.file.set_len(current.end())?;
        Self::with(directory, current)
    }

    /// The lines that are there, to be read alone.
    ///
    /// # Errors
    /// When a file cannot be opened or read.
    pub fn read(directory: &Path) -> Result<Self> {
        let current = match File::open(directory.join(file::SCROLLBACK)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::open("/dev/null"),
            opened => opened,
        };
        Self::with(directory, Part::scan(current?)?)
    }

    fn with(directory: &Path, current: Part) -> Result<Self> {
        let older = File::open(directory.join(file::SCROLLBACK_OLDER)).ok().map(Part::scan).transpose()?;
        let last = current.blocks.last().or(older.as_ref().and_then(|older| older.blocks.last()));
        let next = last.map_or(0, Block::after);
        let settled = current.blocks.len();
        Ok(Self {
            directory: directory.to_owned(),
            older,
            current,
            tail: Vec::new(),
            tail_lines: 0,
            written: 0,
            written_lines: 0,
            settled,
            next,
            waiting_since: None,
            failure: None,
        })
    }

    /// Adds whole lines, each with its line feed.
    pub fn append(&mut self, lines: &[u8], now: Instant) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', lines).map(|at| at + 1) {
            self.tail.extend_from_slice(lines.get(from..end).unwrap_or_default());
            from = end;
            self.tail_lines += 1;
            self.next += 1;
            if self.tail.len() >= BLOCK {
                self.attempt(Self::settle);
            }
        }
        if self.written < self.tail.len() {
            self.waiting_since.get_or_insert(now);
        }
    }

    /// Forgets all lines, as the program asked for; their numbers are not used again.
    pub fn clear(&mut self) {
        (self.tail, self.tail_lines, self.written, self.written_lines) = (Vec::new(), 0, 0, 0);
        self.settled = 0;
        self.current.blocks.clear();
        self.waiting_since = None;
        if self.older.take().is_some() {
            let gone = std::fs::remove_file(self.directory.join(file::SCROLLBACK_OLDER));
            self.failure = gone.err().map(|error| error.to_string());
        }
        // An empty block keeps the count of lines.
        let next = self.next;
        self.attempt(|own| {
            own.current.file.set_len(0)?;
            own.current.write(next, 0, b"", false)?;
            own.settled = own.current.blocks.len();
            Ok(())
        });
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
        self.waiting_since = None;
        self.attempt(|own| {
            let first = own.next - u64::from(own.tail_lines) + u64::from(own.written_lines);
            let fresh = own.tail.get(own.written..).unwrap_or_default();
            if !fresh.is_empty() {
                own.current.write(first, own.tail_lines - own.written_lines, fresh, false)?;
                (own.written, own.written_lines) = (own.tail.len(), own.tail_lines);
            }
            Ok(())
        });
    }

    /// Puts one compressed block in the place of the uncompressed ones at the end.
    fn settle(&mut self) -> Result<()> {
        let first = self.next - u64::from(self.tail_lines);
        self.current.blocks.truncate(self.settled);
        let mut tail = std::mem::take(&mut self.tail);
        let lines = std::mem::take(&mut self.tail_lines);
        (self.written, self.written_lines, self.waiting_since) = (0, 0, None);
        let written = self.current.write(first, lines, &tail, true);
        tail.clear();
        self.tail = tail;
        written?;
        self.current.file.set_len(self.current.end())?;
        self.settled = self.current.blocks.len();
        if self.current.end() >= FILE_LIMIT { self.rotate() } else { Ok(()) }
    }

    fn rotate(&mut self) -> Result<()> {
        let path = self.directory.join(file::SCROLLBACK);
        std::fs::rename(&path, self.directory.join(file::SCROLLBACK_OLDER))?;
        drop(orx_sandbox::file::private_append(&path)?);
        let fresh = Part::scan(File::options().read(true).write(true).open(path)?)?;
        self.older = Some(std::mem::replace(&mut self.current, fresh));
        self.settled = 0;
        Ok(())
    }

    /// Does what may fail on a full disk: lines are lost then, which is said at the end.
    fn attempt(&mut self, change: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(error) = change(self) {
            self.failure = Some(error.to_string());
            // The next block must go on where this one ends.
            self.settled = self.settled.min(self.current.blocks.len());
        }
    }

    /// What to tell a person: nothing when all is in the file.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        self.failure.as_ref().map(|failure| format!("lines could not be written to {}: {failure}", file::SCROLLBACK))
    }

    /// A page of lines from `from` on; the last `limit` ones when absent. Styles are left out unless `styled`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page(&self, from: Option<u64>, limit: usize, styled: bool) -> Result<ScrollbackPage> {
        let parts = self.older.iter().chain([&self.current]);
        let settled: Vec<(&Part, &Block)> = parts
            .flat_map(|part| {
                let count = if std::ptr::eq(part, &self.current) { self.settled } else { part.blocks.len() };
                part.blocks.iter().take(count).map(move |block| (part, block))
            })
            .collect();
        let tail_first = self.next - u64::from(self.tail_lines);
        let first = settled.first().map_or(tail_first, |(_, block)| block.first);
        let from = from.unwrap_or_else(|| self.next.saturating_sub(limit as u64)).max(first).min(self.next);
        let mut page = Page { lines: Vec::new(), at: from, room: PAGE, limit, styled };
        for (part, block) in settled.iter().filter(|(_, block)| block.after() > from) {
            if !page.is_full() {
                page.add(block.first, &part.read(block)?);
            }
        }
        if !page.is_full() {
            page.add(tail_first, &self.tail);
        }
        Ok(ScrollbackPage { lines: page.lines, first, next: page.at, total: self.next })
    }
}

/// A page that is being filled.
struct Page {
    lines: Vec<String>,
    /// The number of the next line.
    at: u64,
    room: usize,
    limit: usize,
    styled: bool,
}

impl Page {
    fn is_full(&self) -> bool {
        self.lines.len() >= self.limit || self.room == 0
    }

    /// Adds lines of a block whose first has the number `first`.
    fn add(&mut self, first: u64, text: &[u8]) {
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        for (number, line) in (first..).zip(lines) {
            if number < self.at {
                continue;
            }
            if self.is_full() {
                return;
            }
            let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
            let line = if self.styled { line.into_owned() } else { plain(&line) };
            self.room = self.room.saturating_sub(line.len() + 1);
            self.lines.push(line);
            self.at = number + 1;
        }
    }
}

/// A line without its styles, which are all the sequences that a line has.
fn plain(line: &str) -> String {
    let mut pieces = line.split("\x1b[");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str(piece.split_once('m').map_or("", |(_, after)| after));
    }
    text.truncate(text.trim_end_matches(' ').len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    fn lines(range: std::ops::Range<u64>) -> Vec<u8> {
        range.map(|number| format!("\x1b[0;31mline\x1b[0m {number}\n")).collect::<String>().into_bytes()
    }

    fn plain_lines(range: std::ops::Range<u64>) -> Vec<String> {
        range.map(|number| format!("line {number}")).collect()
    }

    #[test]
    fn lines_are_read_by_number_across_blocks_and_after_a_crash() {
        let scratch = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut kept = Scrollback::open(scratch.path()).unwrap();
        kept.append(&lines(0..10_000), now);
        kept.flush_if_due(now + AT_LATEST);
        kept.append(&lines(10_000..10_003), now);
        kept.flush();
        let size = std::fs::metadata(scratch.path().join(file::SCROLLBACK)).unwrap().len();
        assert!(size < 100_000, "{size} bytes");
        // Nothing is ended orderly: another one opens what is there.
        for kept in [&kept, &Scrollback::open(scratch.path()).unwrap()] {
            let page = kept.page(None, 5, false).unwrap();
            assert_eq!((page.lines, page.first, page.next, page.total), (plain_lines(9998..10_003), 0, 10_003, 10_003));
            assert_eq!(kept.page(Some(0), 2, true).unwrap().lines[1], "\x1b[0;31mline\x1b[0m 1");
            let (mut all, mut from) = (Vec::new(), 0);
            while from < 10_003 {
                let page = kept.page(Some(from), 700, false).unwrap();
                from = page.next;
                all.extend(page.lines);
            }
            assert_eq!(all, plain_lines(0..10_003));
            assert_eq!(kept.page(Some(20_000), 5, false).unwrap().lines, Vec::<String>::new());
        }
    }

    #[test]
    fn a_torn_end_is_cut_off_and_the_numbers_go_on() {
        let scratch = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let path = scratch.path().join(file::SCROLLBACK);
        for torn in 1..40 {
            let mut kept = Scrollback::open(scratch.path()).unwrap();
            kept.clear();
            let first = kept.next;
            kept.append(&lines(0..3), now);
            kept.flush();
            let whole = std::fs::metadata(&path).unwrap().len();
            kept.append(&lines(3..5), now);
            kept.flush();
            OpenOptions::new().write(true).open(&path).unwrap().set_len(whole + torn).unwrap();
            let mut kept = Scrollback::open(scratch.path()).unwrap();
            kept.append(&lines(9..10), now);
            let page = kept.page(Some(0), 10, false).unwrap();
            assert_eq!(page.lines, ["line 0", "line 1", "line 2", "line 9"]);
            assert_eq!((page.first, page.total), (first, first + 4));
        }
    }

    #[test]
    fn what_is_cleared_is_gone_from_the_disk_too() {
        let scratch = tempfile::tempdir().unwrap();
        let mut kept = Scrollback::open(scratch.path()).unwrap();
        kept.append(&lines(0..5000), Instant::now());
        kept.flush();
        kept.clear();
        assert!(std::fs::metadata(scratch.path().join(file::SCROLLBACK)).unwrap().len() < 100);
        kept.append(b"after\n", Instant::now());
        kept.flush();
        let page = Scrollback::open(scratch.path()).unwrap().page(Some(0), 10, false).unwrap();
        assert_eq!((page.lines, page.first, page.total), (vec!["after".to_owned()], 5000, 5001));
        assert_eq!(kept.complaint(), None);
    }
}
