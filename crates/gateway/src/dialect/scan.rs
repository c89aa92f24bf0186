//! Stepping over JSON values without reading them: strings by eight bytes and then by `memchr`, containers by their depth.
//!
//! What is stepped over is checked for balance alone; whoever forwards it leaves the rest to the provider.

/// The deepest nesting that is followed, as `serde_json` has it.
const MAX_DEPTH: usize = 128;

/// Why a scan stopped, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

/// What was stepped over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Just after the value.
    pub(crate) end: usize,
    /// Elements of an array, members of an object; 0 for others.
    pub(crate) count: usize,
    /// Where the first element ends.
    pub(crate) first_end: usize,
}

const fn broken(at: usize, what: &'static str) -> Broken {
    Broken { at, what }
}

/// The first byte from `at` that is no space.
pub(crate) fn spaces(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// Steps over a string whose opening quote is at `at`; the place just after its closing one.
///
/// Only quotes are looked for: texts of code are full of other escapes. Whether one is escaped is told by the backslashes before it.
#[inline]
pub(crate) fn string(text: &[u8], at: usize) -> Result<usize, Broken> {
    let start = at + 1;
    let mut position = start;
    loop {
        let rest = text.get(position..).unwrap_or_default();
        let Some(offset) = quote(rest) else { return Err(broken(text.len(), "a string is not closed")) };
        let end = position + offset;
        let before = text.get(start..end).unwrap_or_default();
        if before.last() != Some(&b'\\') {
            return Ok(end + 1);
        }
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Ok(end + 1);
        }
        position = end + 1;
    }
}

/// The first quote. Most strings of a request are short: a call of `memchr` costs more than they do.
#[inline]
fn quote(rest: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let (words, _) = rest.as_chunks::<8>();
    let near = words.get(..NEAR).unwrap_or(words);
    for (index, bytes) in near.iter().enumerate() {
        let quotes = u64::from_le_bytes(*bytes) ^ (ONES * 0x22);
        // A byte of this is high where the byte was a quote; above a match there may be false ones, below none.
        let found = quotes.wrapping_sub(ONES) & !quotes & HIGHS;
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let done = near.len() * 8;
    Some(done + memchr::memchr(b'"', rest.get(done..)?)?)
}

/// How many times eight bytes are looked at before `memchr` is called.
const NEAR: usize = 8;

/// Steps over the value that begins at `at`.
pub(crate) fn value(text: &[u8], at: usize) -> Result<Skipped, Broken> {
    let plain = |end| Skipped { end, count: 0, first_end: end };
    match text.get(at) {
        Some(b'"') => string(text, at).map(plain),
        Some(b'{' | b'[') => container(text, at),
        Some(b't') => literal(text, at, b"true").map(plain),
        Some(b'f') => literal(text, at, b"false").map(plain),
        Some(b'n') => literal(text, at, b"null").map(plain),
        Some(b'-' | b'0'..=b'9') => {
            let mut end = at + 1;
            while let Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') = text.get(end) {
                end += 1;
            }
            Ok(plain(end))
        }
        Some(_) => Err(broken(at, "a value is expected")),
        None => Err(broken(at, "the text ends where a value is expected")),
    }
}

fn literal(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Broken> {
    let end = at + word.len();
    if text.get(at..end) == Some(word) { Ok(end) } else { Err(broken(at, "a value is expected")) }
}

/// Steps over an object or array whose opening bracket is at `at`.
fn container(text: &[u8], at: usize) -> Result<Skipped, Broken> {
    // One bit a level: whether it is an object.
    let mut objects: u128 = 0;
    let mut depth = 0_usize;
    let mut commas = 0;
    let mut filled = false;
    let mut first_end = 0;
    let mut position = at;
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => {
                position = string(text, position)?;
                filled = true;
                continue;
            }
            b'{' | b'[' => {
                if depth == MAX_DEPTH {
                    return Err(broken(position, "it is nested too deeply"));
                }
                filled |= depth > 0;
                objects = objects << 1 | u128::from(*byte == b'{');
                depth += 1;
            }
            b'}' | b']' => {
                if (objects & 1 == 1) != (*byte == b'}') {
                    return Err(broken(position, "a bracket closes what another opened"));
                }
                objects >>= 1;
                depth -= 1;
                if depth == 0 {
                    if commas == 0 {
                        first_end = position;
                    }
                    return Ok(Skipped { end: position + 1, count: if filled { commas + 1 } else { 0 }, first_end });
                }
            }
            b',' if depth == 1 => {
                if commas == 0 {
                    first_end = position;
                }
                commas += 1;
            }
            b' ' | b'\n' | b'\r' | b'\t' | b',' | b':' => {}
            _ => filled = true,
        }
        position += 1;
    }
    Err(broken(text.len(), "the text ends inside an object or array"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_stepped_over() {
        for (text, end, count) in [
            (r#""a\"b\\" ,"#, 8, 0),
            (r#"[1,[2,3],{"a":","}] "#, 19, 3),
            ("[] ", 2, 0),
            ("{ } ", 3, 0),
            (r#"{"a":[]}"#, 8, 1),
            ("[[]]", 4, 1),
            ("-1.5e+3,", 7, 0),
            ("null", 4, 0),
        ] {
            let skipped = value(text.as_bytes(), 0).unwrap();
            assert_eq!((skipped.end, skipped.count), (end, count), "{text}");
        }
    }

    #[test]
    fn quotes_are_found_at_every_offset_and_behind_every_escape() {
        for length in 0..80 {
            let plain = format!("\"{}\"x\"", "é".repeat(length));
            assert_eq!(string(plain.as_bytes(), 0).unwrap(), plain.len() - 2, "{length}");
            let escaped = format!("\"{}\\\\\\\"{}\"x\"", "a".repeat(length), "b".repeat(length));
            assert_eq!(string(escaped.as_bytes(), 0).unwrap(), escaped.len() - 2, "{length}");
        }
    }

    #[test]
    fn what_does_not_balance_is_told() {
        for (text, at) in [("[1}", 2), (r#"{"a":"b"#, 7), ("[1,", 3), ("tru", 0), ("", 0), ("\"a\\", 3)] {
            assert_eq!(value(text.as_bytes(), 0).unwrap_err().at, at, "{text}");
        }
        assert!(value("[".repeat(200).as_bytes(), 0).is_err());
    }
}
