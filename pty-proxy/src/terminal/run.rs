//! Runs of printable ASCII, most of what programs write, drawn as a whole instead of character by character. The screen
//! is the same as by the parser alone; only what cannot tell the difference takes this road.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::Column;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Flags;
use alacritty_terminal::vte::ansi::{Handler, Processor, StandardCharset, Timeout};

use super::scan::sequence_length;
use super::screen::Screen;

/// Shorter runs are left to the parser.
const SHORTEST: usize = 4;

const ESC: u8 = 0x1b;

/// Lets the screen follow `bytes`, which begin and end between sequences. `astray` is kept from call to call: whether the
/// parser may be within something that it takes for a sequence still, so that all is left to it until the next whole one.
pub(super) fn advance<T: Timeout>(parser: &mut Processor<T>, screen: &mut Screen, astray: &mut bool, bytes: &[u8]) {
    let slice = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
    // What the parser gets next begins here.
    let mut left = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            ESC => {
                let rest = slice(at, bytes.len());
                let length = sequence_length(rest).unwrap_or(rest.len());
                *astray = !is_whole(slice(at, at + length));
                at += length;
            }
            0x20..=0x7e => {
                let run = printable_prefix(slice(at, bytes.len()));
                if run >= SHORTEST && !*astray {
                    if left < at {
                        parser.advance(screen, slice(left, at));
                    }
                    screen.draw_run(slice(at, at + run));
                    left = at + run;
                }
                at += run;
            }
            0x80.. => {
                let length = slice(at, bytes.len()).iter().take_while(|byte| **byte >= 0x80).count();
                // A broken character may wait in the parser for its rest.
                *astray |= std::str::from_utf8(slice(at, at + length)).is_err();
                at += length;
            }
            _ => at += 1,
        }
    }
    if left < bytes.len() {
        parser.advance(screen, slice(left, bytes.len()));
    }
}

/// Whether any parser is back at text after these bytes, which begin with an escape.
fn is_whole(sequence: &[u8]) -> bool {
    match sequence.get(1) {
        Some(b']') => sequence.ends_with(b"\x07") || sequence.ends_with(b"\x1b\\"),
        Some(b'P' | b'X' | b'^' | b'_') => sequence.ends_with(b"\x1b\\"),
        Some(_) => sequence.iter().skip(1).all(|byte| matches!(byte, 0x20..=0x7e)),
        None => false,
    }
}

/// How many bytes at the beginning are printable ASCII.
fn printable_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let is_printable = |word: u64| {
        let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
        let above_tilde = word.wrapping_add(ONES) | word;
        (below_blank | above_tilde) & HIGH == 0
    };
    let (words, _) = bytes.as_chunks::<8>();
    let whole = words.iter().take_while(|word| is_printable(u64::from_le_bytes(**word))).count() * 8;
    let rest = bytes.get(whole..).unwrap_or_default();
    whole + rest.iter().take_while(|byte| matches!(byte, 0x20..=0x7e)).count()
}

impl Screen {
    /// Draws printable ASCII.
    fn draw_run(&mut self, text: &[u8]) {
        let is_ascii = self.term.grid().cursor.charsets[self.tracked.charset] == StandardCharset::Ascii;
        let is_simple = is_ascii && !self.mode().contains(TermMode::INSERT);
        let mut rest = text;
        while let Some((&first, after)) = rest.split_first() {
            let drawn = if is_simple && !self.term.grid().cursor.input_needs_wrap { self.draw_in_row(rest) } else { 0 };
            if drawn > 0 {
                rest = rest.get(drawn..).unwrap_or_default();
            } else {
                // A new row, or what no run can do.
                self.input(char::from(first));
                rest = after;
            }
        }
        self.last_character = text.last().map(|byte| char::from(*byte));
    }

    /// Draws what fits into the cursor's row; gives how many characters that were, none where wide characters are.
    fn draw_in_row(&mut self, text: &[u8]) -> usize {
        let columns = self.term.columns();
        let grid = self.term.grid_mut();
        let point = grid.cursor.point;
        let template = grid.cursor.template.clone();
        let end = columns.min(point.column.0 + text.len());
        let row = &mut grid[point.line];
        // One more than is drawn: the second half of a character whose first half is overwritten.
        let touched = &row[Column(point.column.0)..Column(columns.min(end + 1))];
        let halves = Flags::WIDE_CHAR.union(Flags::WIDE_CHAR_SPACER);
        if touched.iter().any(|cell| cell.flags.intersects(halves)) {
            return 0;
        }
        for (cell, byte) in row[Column(point.column.0)..Column(end)].iter_mut().zip(text) {
            cell.c = char::from(*byte);
            cell.fg = template.fg;
            cell.bg = template.bg;
            cell.flags = template.flags;
            if cell.extra.is_some() || template.extra.is_some() {
                cell.extra.clone_from(&template.extra);
            }
        }
        let cursor = &mut grid.cursor;
        cursor.input_needs_wrap = end == columns;
        cursor.point.column = Column(end.min(columns - 1));
        end - point.column.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::scan::{Piece, Scanner};
    use alacritty_terminal::vte::ansi::StdSyncHandler;
    use orx_protocol::hold::TerminalSize;
    use proptest::prelude::*;

    const SIZE: TerminalSize = TerminalSize { cols: 20, rows: 5 };

    /// All of a screen that a run can change.
    fn picture(screen: &Screen) -> String {
        let grid = screen.term.grid();
        let rows: Vec<String> =
            (0..5).map(|line| format!("{:?}", &grid[alacritty_terminal::index::Line(line)][..])).collect();
        format!("{rows:#?} {:?} {:?} {:?}", grid.cursor, screen.last_character, screen.mode())
    }

    fn drawn(input: &[u8], step: usize, by_runs: bool) -> String {
        let mut scanner = Scanner::default();
        let mut parser = Processor::<StdSyncHandler>::new();
        let mut screen = Screen::new(SIZE);
        let mut astray = false;
        for chunk in input.chunks(step.max(1)) {
            scanner.scan(chunk, |piece| {
                let Piece::Plain(bytes) = piece else { return };
                if by_runs {
                    advance(&mut parser, &mut screen, &mut astray, bytes);
                } else {
                    parser.advance(&mut screen, bytes);
                }
            });
        }
        picture(&screen)
    }

    fn token() -> impl Strategy<Value = Vec<u8>> {
        let text = |text: &str| Just(text.as_bytes().to_vec());
        prop_oneof![
            6 => "[ -~]{1,30}".prop_map(String::into_bytes),
            2 => prop_oneof![text("日本語"), text("é"), text("👩\u{200d}💻"), text("e\u{301}"), text("─│╭")],
            1 => prop_oneof![Just(vec![0xff]), Just(vec![0xe6, 0x97]), Just(vec![0xc3]), Just(vec![0x7f]), Just(vec![0x80])],
            2 => prop_oneof![text("\r\n"), text("\r"), text("\n"), text("\t"), text("\x08"), text("\x0e"), text("\x0f")],
            6 => prop_oneof![
                text("\x1b[31m"), text("\x1b[48;5;20m"), text("\x1b[m"), text("\x1b[4:3m"), text("\x1b[58;5;3m"),
                text("\x1b[H"), text("\x1b[3;18H"), text("\x1b[K"), text("\x1b[2J"), text("\x1b[5D"), text("\x1b[A"),
                text("\x1b[4h"), text("\x1b[4l"), text("\x1b[?7l"), text("\x1b[?7h"), text("\x1b(0"), text("\x1b(B"),
                text("\x1b)0"), text("\x1b7"), text("\x1b8"), text("\x1bc"), text("\x1b[?1049h"), text("\x1b[?1049l"),
                text("\x1b]8;id=1;http://a/\x07"), text("\x1b]8;;\x1b\\"), text("\x1b[2;4r"), text("\x1b[3P"), text("\x1b[2@"),
            ],
            1 => prop_oneof![text("\x1b[12"), text("\x1b"), text("\x1b]0;abc"), text("\x18"), text("\x1b%"), text("\x1b[\x7f")],
            1 => prop::collection::vec(any::<u8>(), 1..6),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 20_000 }))]
        #[test]
        fn runs_leave_the_screen_that_the_parser_leaves(tokens in prop::collection::vec(token(), 1..40), step in 1usize..60) {
            let input = tokens.concat();
            prop_assert!(drawn(&input, step, true) == drawn(&input, step, false), "{}", input.escape_ascii());
        }
    }
}
