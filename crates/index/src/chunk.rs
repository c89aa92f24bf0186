//! Pieces of a file that are found as one: a symbol where it is short, otherwise a window of lines.

use crate::symbols::Symbol;

/// Lines of a piece at most.
const LINES: u32 = 60;

/// Bytes of a piece at most; a longer line is cut.
const BYTES: usize = 8 * 1024;

/// A piece of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// First line, from 1.
    pub(crate) line: u32,
    /// The name of the innermost symbol that holds its first line, with its parents.
    pub(crate) symbol: Option<String>,
    pub(crate) text: String,
}

/// Cuts a text into pieces that begin where symbols begin. Every character is in exactly one of them, line ends aside;
/// each line of a piece is one line of the file, or a part of one that is too long. `joint` joins names.
pub(crate) fn cut(text: &str, symbols: &[Symbol], joint: &str) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut starts = symbols.iter().map(|symbol| symbol.line).peekable();
    let mut fresh = true;
    for (number, line) in (1u32..).zip(text.lines()) {
        while starts.peek().is_some_and(|start| *start <= number) {
            starts.next();
            fresh = true;
        }
        let mut rest = line;
        loop {
            let full = chunks
                .last()
                .is_none_or(|chunk| number - chunk.line >= LINES || chunk.text.len() + rest.len().min(BYTES) > BYTES);
            if fresh || full {
                chunks.push(Chunk { line: number, symbol: holder(symbols, number, joint), text: String::new() });
                fresh = false;
            }
            let end = rest.floor_char_boundary(BYTES);
            let (piece, remainder) = rest.split_at(end);
            if let Some(chunk) = chunks.last_mut() {
                chunk.text.push_str(piece);
                chunk.text.push('\n');
            }
            if remainder.is_empty() {
                break;
            }
            rest = remainder;
            fresh = true;
        }
    }
    chunks.retain(|chunk| !chunk.text.trim().is_empty());
    chunks
}

/// The innermost symbol around a line, with its parents: the last one that begins before the line and has not ended.
fn holder(symbols: &[Symbol], line: u32, joint: &str) -> Option<String> {
    let around = symbols.iter().rev().find(|symbol| symbol.line <= line && line <= symbol.end_line)?;
    Some(match &around.parent {
        Some(parent) => format!("{parent}{joint}{}", around.name),
        None => around.name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::symbols::outline;

    #[test]
    fn pieces_begin_at_symbols_and_know_their_holder() {
        let text = "// head\nfn a() {\n  1\n}\nstruct B;\nimpl B {\n  fn c() {}\n}\n";
        let chunks = cut(text, &outline(text, Some(Language::Rust)).symbols, "::");
        let seen: Vec<_> = chunks.iter().map(|chunk| (chunk.line, chunk.symbol.as_deref())).collect();
        assert_eq!(seen, [(1, None), (2, Some("a")), (5, Some("B")), (7, Some("B::c"))]);
    }

    #[test]
    fn no_character_is_lost_and_no_piece_is_too_long() {
        let long = format!("start {}\nend\n{}", "é".repeat(20_000), "line\n".repeat(200));
        let chunks = cut(&long, &[], ".");
        let joined: String = chunks.iter().map(|chunk| chunk.text.replace('\n', "")).collect();
        assert_eq!(joined, long.replace('\n', ""));
        assert!(chunks.iter().all(|chunk| chunk.text.len() <= BYTES + LINES as usize));
        assert!(chunks.iter().all(|chunk| chunk.text.lines().count() <= LINES as usize));
    }
}
