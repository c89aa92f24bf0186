//! Cuts what a program writes into whole sequences, however the reads cut it, with bounded memory.
//!
//! What a sequence means is decided in [`super::sequence`]; runs of text and of sequences that need no decision come
//! out as one piece, so that the usual stream costs one pass and no copies.

use memchr::{memchr2, memchr3_iter};

use super::sequence::Sequence;

/// Longest OSC, DCS, APC, PM or SOS string that is kept together, in bytes; longer ones are dropped.
const STRING_LIMIT: usize = 1024 * 1024;
/// Longest CSI or ESC sequence, in bytes; longer ones are dropped.
const SEQUENCE_LIMIT: usize = 1024;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ENQ: u8 = 0x05;

/// A part of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text, and sequences that draw or set something and ask for nothing.
    Plain(&'a [u8]),
    /// One whole sequence that needs a decision.
    Decide(Sequence<'a>),
}

/// What is dropped until its end, after a limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dropping {
    Nothing,
    Sequence,
    String { bell_ends: bool },
}

/// The cutter; it keeps an unfinished sequence until the rest arrives.
#[derive(Debug)]
pub struct Scanner {
    held: Vec<u8>,
    /// How much of `held` is known not to hold the end of its string.
    searched: usize,
    dropping: Dropping,
    /// The last that came out was a character, which REP repeats then.
    after_text: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { held: Vec::new(), searched: 0, dropping: Dropping::Nothing, after_text: false }
    }
}

/// Where a sequence ends.
enum End {
    /// At this length.
    At(usize),
    /// Not within what is there.
    Open(Dropping),
}

impl Scanner {
    /// Bytes of an unfinished sequence that wait for its rest; `None` within a string that is dropped.
    #[must_use]
    pub fn unfinished(&self) -> Option<usize> {
        (self.dropping == Dropping::Nothing).then_some(self.held.len())
    }

    /// Cuts `input`, giving each piece in order.
    pub fn scan(&mut self, input: &[u8], mut give: impl FnMut(Piece<'_>)) {
        let input = self.skip_dropped(input);
        if input.is_empty() {
            return;
        }
        if self.held.is_empty() {
            self.searched = 0;
            let rest = self.cut(input, &mut give);
            self.hold(rest);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(input);
            let rest = self.cut(&joined, &mut give);
            let from = joined.len() - rest.len();
            if from == 0 {
                // The common case of a long string that arrives in many reads: no copy.
                self.hold(&[]);
                self.held = joined;
                self.bound();
            } else {
                let rest = joined.split_off(from);
                self.hold(&rest);
            }
        }
    }

    fn hold(&mut self, rest: &[u8]) {
        self.held.clear();
        self.held.extend_from_slice(rest);
        self.bound();
    }

    /// Starts dropping when what is held is too long.
    fn bound(&mut self) {
        if self.held.len() <= SEQUENCE_LIMIT {
            if self.held.capacity() > 64 * 1024 {
                self.held.shrink_to(4096);
            }
            return;
        }
        let End::Open(kind) = sequence_end(&self.held, &mut self.searched) else { return };
        let limit = if kind == Dropping::Sequence { SEQUENCE_LIMIT } else { STRING_LIMIT };
        if self.held.len() > limit {
            self.dropping = kind;
            self.held = Vec::new();
            self.searched = 0;
        }
    }

    /// The part of `input` after what is being dropped.
    fn skip_dropped<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let end = match self.dropping {
            Dropping::Nothing => return input,
            Dropping::Sequence => input
                .iter()
                .position(|byte| matches!(*byte, 0x40..=0x7e | CAN | SUB | ESC))
                .map(|at| (at, input.get(at))),
            Dropping::String { bell_ends } => input
                .iter()
                .position(|byte| matches!(*byte, CAN | SUB | ESC) || (bell_ends && *byte == BEL))
                .map(|at| (at, input.get(at))),
        };
        let Some((at, byte)) = end else { return &[] };
        self.dropping = Dropping::Nothing;
        // An escape begins the next sequence (or is the terminator, which alone does nothing).
        let from = if byte == Some(&ESC) { at } else { at + 1 };
        input.get(from..).unwrap_or_default()
    }

    /// Gives the pieces of `bytes` and returns the unfinished rest.
    fn cut<'a>(&mut self, bytes: &'a [u8], give: &mut impl FnMut(Piece<'_>)) -> &'a [u8] {
        let slice = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
        let mut plain = 0;
        let mut at = 0;
        // Where the last sequence ended.
        let mut text = 0;
        let is_text = |from: usize, to: usize, before: bool| match slice(from, to).last() {
            Some(byte) => *byte >= 0x20 && *byte != 0x7f,
            None => before,
        };
        let mut come_out = |plain: usize, at: usize, next: Option<Piece<'_>>| {
            if plain < at {
                give(Piece::Plain(slice(plain, at)));
            }
            if let Some(next) = next {
                give(next);
            }
        };
        let rest = loop {
            let Some(found) = memchr2(ESC, ENQ, slice(at, bytes.len())) else {
                break complete_text(bytes, at);
            };
            at += found;
            if bytes.get(at) == Some(&ENQ) {
                come_out(plain, at, Some(Piece::Decide(Sequence::Enquiry)));
                at += 1;
                (plain, text, self.after_text) = (at, at, false);
                continue;
            }
            let sequence = slice(at, bytes.len());
            match sequence_end(sequence, &mut self.searched) {
                End::Open(_) => break at,
                End::At(length) => {
                    self.searched = 0;
                    let follows_text = is_text(text, at, self.after_text);
                    if let Some(sequence) = Sequence::to_decide(slice(at, at + length)) {
                        let sequence = if follows_text { sequence } else { sequence.without_text() };
                        come_out(plain, at, Some(Piece::Decide(sequence)));
                        plain = at + length;
                    }
                    at += length;
                    (text, self.after_text) = (at, false);
                    if is_interrupted(slice(at - length, at)) {
                        // What interrupts it may be kept from the model or from viewers: it ends here for both.
                        come_out(plain, at, Some(Piece::Plain(TERMINATOR)));
                        plain = at;
                    }
                }
            }
        };
        come_out(plain, rest, None);
        self.after_text = is_text(text, rest.max(text), self.after_text);
        slice(rest.max(plain), bytes.len())
    }
}

/// Ends any sequence, and does nothing by itself.
const TERMINATOR: &[u8] = b"\x1b\\";

/// Whether a sequence ends only because another one begins.
fn is_interrupted(sequence: &[u8]) -> bool {
    let last = sequence.last().copied().unwrap_or_default();
    match sequence.get(1) {
        _ if matches!(last, CAN | SUB) => false,
        None => true,
        Some(b'[') => sequence.len() < 3 || last < 0x40,
        Some(b']') => last != BEL && !sequence.ends_with(TERMINATOR),
        Some(b'P') => last != 0x9c && !sequence.ends_with(TERMINATOR),
        Some(b'X' | b'^' | b'_') => !sequence.ends_with(TERMINATOR),
        Some(_) => last < 0x30,
    }
}

/// The end of `bytes` less an unfinished character, which begins not before `from`.
fn complete_text(bytes: &[u8], from: usize) -> usize {
    let length = bytes.len();
    for back in 1..=3.min(length - from.min(length)) {
        let Some(&byte) = bytes.get(length - back) else { break };
        if byte & 0xc0 == 0x80 {
            continue;
        }
        let needed = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if needed > back { length - back } else { length };
    }
    length
}

/// How long the sequence is that begins with the escape at the start of `bytes`; `None` when its end is not in there.
pub(super) fn sequence_length(bytes: &[u8]) -> Option<usize> {
    match sequence_end(bytes, &mut 0) {
        End::At(length) => Some(length),
        End::Open(_) => None,
    }
}

/// Where the sequence ends that begins with the escape at the start of `bytes`. `searched` remembers how far a string
/// was looked through already.
fn sequence_end(bytes: &[u8], searched: &mut usize) -> End {
    let Some(&kind) = bytes.get(1) else { return End::Open(Dropping::Sequence) };
    match kind {
        b'[' => control_end(bytes, 2, 0x40),
        b']' => string_end(bytes, searched, true, false),
        b'P' => string_end(bytes, searched, false, true),
        b'X' | b'^' | b'_' => string_end(bytes, searched, false, false),
        0x20..=0x7e | ESC | CAN | SUB => control_end(bytes, 1, 0x30),
        // Parsers disagree on whether a sequence may begin behind these: it ends here, for all.
        _ => End::At(1),
    }
}

/// The end of a CSI or ESC sequence, whose final byte is at least `first_final`.
fn control_end(bytes: &[u8], from: usize, first_final: u8) -> End {
    for (at, &byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            ESC => return End::At(at),
            CAN | SUB => return End::At(at + 1),
            0x7f => {}
            _ if byte >= first_final && byte < 0x7f => return End::At(at + 1),
            _ => {}
        }
    }
    End::Open(Dropping::Sequence)
}

fn string_end(bytes: &[u8], searched: &mut usize, bell_ends: bool, c1_ends: bool) -> End {
    let from = (*searched).max(2).min(bytes.len());
    let tail = bytes.get(from..).unwrap_or_default();
    let ends = |byte: u8| matches!(byte, ESC | CAN | SUB) || (bell_ends && byte == BEL) || (c1_ends && byte == 0x9c);
    // Three needles find nearly every end; the rare others are looked for only when these find none before them.
    let third = if bell_ends { BEL } else { CAN };
    let quick = memchr3_iter(ESC, third, SUB, tail).next();
    let before = quick.map_or(tail, |at| tail.get(..at).unwrap_or_default());
    let rare = if bell_ends { CAN } else { 0x9c };
    let found = if ends(rare) { memchr::memchr(rare, before).or(quick) } else { quick };
    let Some(found) = found else {
        *searched = bytes.len();
        return End::Open(Dropping::String { bell_ends });
    };
    let at = from + found;
    if bytes.get(at) != Some(&ESC) {
        return End::At(at + 1);
    }
    match bytes.get(at + 1) {
        Some(b'\\') => End::At(at + 2),
        // Any other escape ends the string and begins a sequence of its own.
        Some(_) => End::At(at),
        None => {
            *searched = at;
            End::Open(Dropping::String { bell_ends })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(input: &[u8], step: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut scanner = Scanner::default();
        let (mut plain, mut decided) = (Vec::new(), Vec::new());
        for chunk in input.chunks(step.max(1)) {
            scanner.scan(chunk, |piece| match piece {
                Piece::Plain(bytes) => plain.extend_from_slice(bytes),
                Piece::Decide(sequence) => decided.push(sequence.bytes().to_vec()),
            });
        }
        (plain, decided)
    }

    #[test]
    fn sequences_come_out_whole_at_any_cut() {
        let input =
            "a\x1b[31mé\x1b[6n日\x1b]11;?\x07x\x1bP+q544e\x1b\\\x1b_Ga=q\x1b\\\x05end\x1b]0;title\x1b\\!".as_bytes();
        let whole = pieces(input, input.len());
        assert_eq!(whole.0, "a\x1b[31mé日xend!".as_bytes());
        assert_eq!(
            whole.1,
            ["\x1b[6n", "\x1b]11;?\x07", "\x1bP+q544e\x1b\\", "\x1b_Ga=q\x1b\\", "\x05", "\x1b]0;title\x1b\\"]
                .map(|text| text.as_bytes().to_vec())
        );
        for step in 1..input.len() {
            assert_eq!(pieces(input, step), whole, "step {step}");
        }
    }

    #[test]
    fn nothing_half_is_given() {
        let mut scanner = Scanner::default();
        let mut given = Vec::new();
        scanner.scan("ok\u{1f600}\x1b[38;2;1".as_bytes(), |piece| {
            if let Piece::Plain(bytes) = piece {
                given.extend_from_slice(bytes);
            }
        });
        assert_eq!(given, "ok\u{1f600}".as_bytes());
        scanner.scan(b";2;3mred\xf0\x9f", |piece| {
            if let Piece::Plain(bytes) = piece {
                given.extend_from_slice(bytes);
            }
        });
        assert_eq!(given, "ok\u{1f600}\x1b[38;2;1;2;3mred".as_bytes());
    }

    #[test]
    fn a_string_without_end_is_dropped_and_the_stream_goes_on() {
        let mut scanner = Scanner::default();
        let mut given = Vec::new();
        let mut take = |scanner: &mut Scanner, bytes: &[u8]| {
            scanner.scan(bytes, |piece| {
                if let Piece::Plain(bytes) = piece {
                    given.extend_from_slice(bytes);
                }
            });
        };
        take(&mut scanner, b"a\x1b]52;c;");
        for _ in 0..40 {
            take(&mut scanner, &[b'x'; 64 * 1024]);
        }
        assert!(scanner.held.capacity() < 2 * STRING_LIMIT);
        take(&mut scanner, b"\x07b");
        assert_eq!(given, b"ab");
    }

    #[test]
    fn a_sequence_that_another_one_interrupts_ends_there_for_all() {
        for (input, plain) in [
            ("\x1b[12\x1b[6nA", "\x1b[12\x1b\\A"),
            ("\x1b]8;;http://a\x1b[cA", "\x1b]8;;http://a\x1b\\A"),
            ("\x1b(\x1b[cA", "\x1b(\x1b\\A"),
            ("\x1b\x1b[31mA", "\x1b\x1b\\\x1b[31mA"),
            ("\x1b]8;;\x1b\\\x1b[cA", "\x1b]8;;\x1b\\A"),
            ("\x1b[1\x18\x1b[cA", "\x1b[1\x18A"),
            ("\x1b\n[6nA", "\x1b\x1b\\\n[6nA"),
            ("\x1b\x7f[6nA", "\x1b\x1b\\\x7f[6nA"),
            ("\x1b\u{e9}[6nA", "\x1b\x1b\\\u{e9}[6nA"),
        ] {
            for step in 1..=input.len() {
                assert_eq!(pieces(input.as_bytes(), step).0, plain.as_bytes(), "{input:?} by {step}");
            }
        }
    }

    #[test]
    fn only_what_follows_a_character_is_repeated() {
        let repeated = |chunks: &[&str]| {
            let mut scanner = Scanner::default();
            let mut count = 0;
            for chunk in chunks {
                scanner.scan(chunk.as_bytes(), |piece| {
                    count += usize::from(matches!(piece, Piece::Decide(Sequence::Repeat(..))));
                });
            }
            count
        };
        assert_eq!(repeated(&["a\x1b[3b"]), 1);
        assert_eq!(repeated(&["\x1b[31ma", "\x1b[3", "b"]), 1);
        assert_eq!(repeated(&["a\x1b[31m\x1b[3b"]), 0);
        assert_eq!(repeated(&["a\r", "\x1b[3b\x1b[2b"]), 0);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_cut_alike_however_they_arrive(input in prop::collection::vec(prop_oneof![Just(0x1bu8), Just(b'['), Just(b']'), Just(b'P'), Just(7u8), Just(b'\\'), Just(b'n'), Just(b';'), any::<u8>()], 0..200), step in 1usize..20) {
            prop_assert_eq!(pieces(&input, step), pieces(&input, input.len().max(1)));
        }
    }
}
