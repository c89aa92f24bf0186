//! Reading files and taking them apart: text, lines, symbols. Several at once, in the order given.

use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::language::Language;
use crate::symbols::{self, Symbol};
use crate::walk::{Candidate, Omission};

/// Bytes at the start of a file in which a zero byte makes it binary.
const SNIFF: usize = 8 * 1024;

/// Threads that take files apart; more would starve the machine's agents.
const THREADS: usize = 4;

/// How far a file's syntax was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parse {
    /// All of it.
    Full,
    /// It has errors; symbols around them are read.
    Partial,
    /// It took too long; its symbols are not known.
    GaveUp,
    /// There is no grammar for its language; its symbols are not known.
    Unsupported,
}

/// A file taken apart.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) text: String,
    pub(crate) lines: u64,
    pub(crate) language: Option<Language>,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) symbols_omitted: u64,
    pub(crate) parse: Parse,
    pub(crate) hash: i64,
}

/// Reads a file's text; bytes that are not UTF-8 are replaced, so that old encodings can still be searched.
fn read(location: &Path, limit: u64) -> Result<String, Omission> {
    let file = File::open(location).map_err(|_| Omission::Unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than allowed: the file may have grown since it was listed.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|_| Omission::Unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(Omission::TooLarge);
    }
    if bytes.iter().take(SNIFF).any(|byte| *byte == 0) {
        return Err(Omission::Binary);
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// A digest by which an unchanged text is recognised. It need not be the same in the next release: the index is derived.
fn digest(text: &str) -> i64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish().cast_signed()
}

fn take_apart(candidate: &Candidate, limit: u64) -> Result<Source, Omission> {
    let text = read(&candidate.location, limit)?;
    let name = candidate.path.rsplit('/').next().unwrap_or(&candidate.path);
    let language = Language::of(name);
    let outline = symbols::outline(&text, language);
    Ok(Source {
        lines: text.lines().count() as u64,
        hash: digest(&text),
        language,
        symbols: outline.symbols,
        symbols_omitted: outline.omitted,
        parse: outline.parse,
        text,
    })
}

/// Takes files apart on several threads; results are in the order of the files.
pub(crate) fn take_all_apart(candidates: &[Candidate], limit: u64) -> Vec<Result<Source, Omission>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
    let share = candidates.len().div_ceil(threads).max(1);
    if threads == 1 || candidates.len() < 2 * THREADS {
        return candidates.iter().map(|candidate| take_apart(candidate, limit)).collect();
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = candidates
            .chunks(share)
            .map(|part| (part, scope.spawn(|| part.iter().map(|one| take_apart(one, limit)).collect::<Vec<_>>())))
            .collect();
        parts
            .into_iter()
            .flat_map(|(part, thread)| {
                // A panic in a grammar costs the files of that part, not the index.
                thread.join().unwrap_or_else(|_| part.iter().map(|_| Err(Omission::Unreadable)).collect())
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_as_text_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        assert_eq!(read(directory.path(), 10), Err(Omission::Unreadable));
        assert_eq!(read(&directory.path().join("gone"), 10), Err(Omission::Unreadable));
        assert_eq!(read(&write("large", &[b'a'; 11]), 10), Err(Omission::TooLarge));
        assert_eq!(read(&write("binary", b"ab\0c"), 10), Err(Omission::Binary));
        assert_eq!(read(&write("latin", b"caf\xe9"), 10).as_deref(), Ok("caf\u{fffd}"));
        assert_eq!(read(&write("empty", b""), 10).as_deref(), Ok(""));
    }
}
