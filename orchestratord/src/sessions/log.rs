//! Reading what a session wrote, from where a reader left it, as plain lines.

use orx_protocol::api::session::Log;
use orx_protocol::hold::file;
use orx_protocol::launch::file as launch;
use orx_protocol::{ErrorKind, RpcError};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::channel;

/// Bytes read for one page at most.
const PAGE: usize = 512 * 1024;
/// A line without an end within this many bytes is given in pieces.
const LINE: usize = 64 * 1024;

/// Reads a page. With `ended`, a last line without an end is given too.
///
/// # Errors
/// `InvalidParams` for an offset beyond the end, `Storage` when the file cannot be read.
pub fn read(directory: &Path, stderr: bool, from: u64, limit: usize, ended: bool) -> Result<Log, RpcError> {
    let path = directory.join(if stderr { file::ERROR } else { file::OUTPUT });
    let Some((source, size)) = open_at(&path, from, "output")? else {
        return Ok(Log { lines: Vec::new(), next: 0, end: ended });
    };
    let failed = |error: std::io::Error| unreadable(&path, &error);
    let mut bytes = Vec::new();
    source.take(PAGE as u64).read_to_end(&mut bytes).map_err(failed)?;
    let reached_end = from + bytes.len() as u64 >= size;
    let (lines, used) = cut(&bytes, limit, ended && reached_end);
    let next = from + used as u64;
    Ok(Log { lines, next, end: ended && next >= size })
}

fn unreadable(path: &Path, error: &std::io::Error) -> RpcError {
    RpcError::new(ErrorKind::Storage, format!("{} cannot be read: {error}", path.display()))
}

/// A file at an offset, with its size; `None` while it is not there.
fn open_at(path: &Path, from: u64, what: &str) -> Result<Option<(File, u64)>, RpcError> {
    // Some of these files lie where the session's own processes can put others in their places.
    let mut source = match orx_sandbox::file::open_plain(path) {
        Ok(source) => source,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let size = source.metadata().map_err(|error| unreadable(path, &error))?.len();
    if from > size {
        return Err(RpcError::new(ErrorKind::InvalidParams, format!("`from` is {from}, the {what} has {size} bytes")));
    }
    source.seek(SeekFrom::Start(from)).map_err(|error| unreadable(path, &error))?;
    Ok(Some((source, size)))
}

/// Reads a page of the exchange with an agent that has no terminal, as a person reads it.
///
/// # Errors
/// As [`read`].
pub fn exchange(directory: &Path, from: u64, limit: usize, ended: bool) -> Result<Log, RpcError> {
    let path = channel::place(directory).join(launch::EXCHANGE);
    let Some((mut source, size)) = open_at(&path, from, "exchange")? else {
        return Ok(Log { lines: Vec::new(), next: 0, end: ended });
    };
    let failed = |error: std::io::Error| unreadable(&path, &error);
    let mut bytes = Vec::new();
    // A record is a line, however long; a page has at least one.
    loop {
        let before = bytes.len();
        source.by_ref().take(PAGE as u64).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.contains(&b'\n') || bytes.len() == before {
            break;
        }
    }
    let reached_end = from + bytes.len() as u64 >= size;
    let mut page = orx_channels::acp::render(&bytes, limit, ended && reached_end);
    if page.used == 0 && !reached_end {
        // What is being said fills the page: it is given as far as it goes.
        page = orx_channels::acp::render(bytes.get(..=last_end(&bytes)).unwrap_or(&bytes), limit, true);
    }
    let next = from + page.used as u64;
    Ok(Log { lines: page.lines, next, end: ended && next >= size })
}

fn last_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(bytes.len())
}

/// Cuts whole lines from the front; gives them and how many bytes they took.
fn cut(bytes: &[u8], limit: usize, with_rest: bool) -> (Vec<String>, usize) {
    let mut lines = Vec::new();
    let mut used = 0;
    while lines.len() < limit {
        let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) else { break };
        let end = rest.iter().take(LINE).position(|byte| *byte == b'\n');
        let (line, taken) = match end {
            Some(end) => (rest.get(..end).unwrap_or_default(), end + 1),
            None if rest.len() >= LINE => (rest.get(..LINE).unwrap_or_default(), LINE),
            None if with_rest => (rest, rest.len()),
            None => break,
        };
        lines.push(plain(line));
        used += taken;
    }
    (lines, used)
}

/// A line as a person would read it: no control sequences, and of what was overwritten by carriage returns the last.
/// What a program that draws a screen put on several rows stands side by side.
fn plain(line: &[u8]) -> String {
    let text = spaced(&String::from_utf8_lossy(line));
    let text = anstream::adapter::strip_str(&text).to_string();
    let rows = text.split(OTHER_ROW).map(|row| {
        let row = row.trim_end_matches('\r');
        row.rsplit('\r').next().unwrap_or(row)
    });
    let mut plain = String::with_capacity(text.len());
    for row in rows.filter(|row| !row.is_empty()) {
        if !plain.is_empty() && !plain.ends_with(' ') && !row.starts_with(' ') {
            plain.push(' ');
        }
        plain.extend(row.chars().filter(|c| !c.is_control() || *c == '\t'));
    }
    plain
}

/// Stands for a move of the cursor to another row; no line has it in itself.
const OTHER_ROW: char = '\n';
/// Most blanks for one move of the cursor to the right: no terminal is wider.
const BLANKS: usize = 1000;

/// Puts what a move of the cursor leaves between two texts in place of the move: blanks, or [`OTHER_ROW`].
fn spaced(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut spaced = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| !matches!(c, '0'..='9' | ';')).unwrap_or(piece.len());
        let (parameters, rest) = piece.split_at(end);
        match rest.chars().next() {
            // From the margin it goes to a column, as a program that draws a screen does.
            Some('C') if spaced.ends_with('\r') => spaced.push(OTHER_ROW),
            Some('C') => {
                let count = parameters.parse().unwrap_or(1).clamp(1, BLANKS);
                spaced.extend(std::iter::repeat_n(' ', count));
            }
            Some('A' | 'B' | 'E' | 'F' | 'H' | 'd' | 'f') => spaced.push(OTHER_ROW),
            Some('G') => spaced.push(' '),
            _ => {
                spaced.push_str("\u{1b}[");
                spaced.push_str(piece);
                continue;
            }
        }
        spaced.push_str(rest.get(1..).unwrap_or_default());
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_without_loss_and_a_begun_line_waits() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(file::OUTPUT), "one\ntwo\nthr").unwrap();
        let first = read(directory.path(), false, 0, 1, false).unwrap();
        assert_eq!((first.lines.as_slice(), first.end), (["one".to_owned()].as_slice(), false));
        let second = read(directory.path(), false, first.next, 10, false).unwrap();
        assert_eq!(second.lines, ["two"]);
        let third = read(directory.path(), false, second.next, 10, true).unwrap();
        assert_eq!((third.lines.as_slice(), third.end), (["thr".to_owned()].as_slice(), true));
        assert!(read(directory.path(), false, 99, 10, true).is_err());
        assert!(read(directory.path(), true, 0, 10, true).unwrap().end);
    }

    #[test]
    fn an_exchange_reads_as_a_conversation_page_by_page() {
        let directory = tempfile::tempdir().unwrap();
        let chunk = |text: &str| {
            let update = serde_json::json!({"sessionUpdate": "agent_message_chunk", "content": {"text": text}});
            let message = serde_json::json!({"method": "session/update", "params": {"update": update}});
            format!("{}\n", serde_json::json!({"at_ms": 1, "by": "agent", "message": message}))
        };
        let prompt = serde_json::json!({"id": 1, "method": "session/prompt", "params": {"prompt": [{"text": "go"}]}});
        let prompt = format!("{}\n", serde_json::json!({"at_ms": 1, "by": "client", "message": prompt}));
        let place = channel::place(directory.path());
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join(launch::EXCHANGE), format!("{prompt}{}{prompt}{}", chunk("one"), chunk("tw")))
            .unwrap();
        let first = exchange(directory.path(), 0, 2, false).unwrap();
        assert_eq!(first.lines, ["> go"], "what is being said waits for its end");
        let second = exchange(directory.path(), first.next, 10, false).unwrap();
        assert_eq!((second.lines.as_slice(), second.end), (["one".to_owned(), "> go".to_owned()].as_slice(), false));
        let third = exchange(directory.path(), second.next, 10, true).unwrap();
        assert_eq!((third.lines.as_slice(), third.end), (["tw".to_owned()].as_slice(), true));
        assert!(exchange(directory.path(), 1 << 40, 10, true).is_err());
        // What the session puts in its place is not read.
        let secret = directory.path().join("secret");
        std::fs::rename(place.join(launch::EXCHANGE), &secret).unwrap();
        std::os::unix::fs::symlink(&secret, place.join(launch::EXCHANGE)).unwrap();
        assert!(exchange(directory.path(), 0, 10, true).is_err());
    }

    #[test]
    fn control_sequences_never_reach_a_reader() {
        assert_eq!(plain(b"\x1b[31mred\x1b[0m \x1b]0;title\x07done\r"), "red done");
        assert_eq!(plain(b"10%\r50%\r100%"), "100%");
        assert_eq!(plain(b"a\x08\x00\x9bb\xff"), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn what_was_drawn_apart_is_not_run_together() {
        assert_eq!(plain(b"Claude\x1b[1CCode\x1b[3Cv2\x1b[C!"), "Claude Code   v2 !");
        assert_eq!(
            plain(b"\x1b[2;3H\x1b[1mfirst\x1b[0m\x1b[3;1Hsecond\r\x1b[1B\x1b[2Athird\x1b[999G\xe2\x94\x82"),
            "first second third \u{2502}"
        );
        assert_eq!(plain(b"drawn\x1b[K\r\x1b[40C\x1b[1B"), "drawn");
        assert_eq!(plain(b"\x1b[?25l\x1b[99999Cx\x1b["), format!("{}x", " ".repeat(BLANKS)));
    }
}
