//! Lines that scroll out of the screen at its top, as text with styles: rows that a program's line was wrapped into are one
//! line again, so that no later width matters. Where they are kept is not its business.

use alacritty_terminal::grid::{Dimensions, Grid};
use alacritty_terminal::index::Line;
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{Color, NamedColor};

use super::screen::{Screen, is_second_half, shown};
use super::style::{self, STYLE_FLAGS};

/// A line longer than this is cut, in bytes: a program may write one without end.
const LINE_LIMIT: usize = 16 * 1024;
/// Bytes that wait to be taken; what comes beyond is lost to whoever does not take them.
const WAITING_LIMIT: usize = 4 * 1024 * 1024;

/// Flags of cells that hold no character of their own, or a wide one.
const LAYOUT: Flags = Flags::WIDE_CHAR.union(Flags::WIDE_CHAR_SPACER).union(Flags::LEADING_WIDE_CHAR_SPACER);

/// Lines that scrolled away and were not taken yet.
#[derive(Debug, Default)]
pub struct History {
    /// Whole lines, each with a line feed at its end.
    lines: Vec<u8>,
    /// A line of which the rest is still on the screen.
    open: Vec<u8>,
    cleared: bool,
}

/// What scrolled away since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scrolled {
    /// The program asked to forget all that scrolled away before these lines.
    pub cleared: bool,
    /// Lines with styles, each with a line feed at its end.
    pub lines: Vec<u8>,
}

/// How a cell looks, but for its link.
#[derive(PartialEq, Clone, Copy)]
struct Look {
    foreground: Color,
    background: Color,
    flags: Flags,
    underline: Option<Color>,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let underline = if cell.extra.is_some() { cell.underline_color() } else { None };
        Self { foreground: cell.fg, background: cell.bg, flags: cell.flags.intersection(STYLE_FLAGS), underline }
    }
}

/// Whether a cell shows one printable ASCII character and nothing else.
fn is_ascii(cell: &Cell) -> bool {
    matches!(cell.c, ' '..='~') && cell.extra.is_none() && !cell.flags.intersects(LAYOUT)
}

impl History {
    /// Keeps a row that goes.
    pub(super) fn keep(&mut self, row: &[Cell]) {
        let goes_on = row.last().is_some_and(|cell| cell.flags.contains(Flags::WRAPLINE));
        let plain = Look::of(&Cell::default());
        let is_blank = |cell: &Cell| {
            let is_plain = matches!(cell.fg, Color::Named(NamedColor::Foreground))
                && matches!(cell.bg, Color::Named(NamedColor::Background))
                && !cell.flags.intersects(STYLE_FLAGS);
            cell.c == ' ' && is_plain && cell.extra.is_none()
        };
        let end = if goes_on { row.len() } else { row.iter().rposition(|cell| !is_blank(cell)).map_or(0, |at| at + 1) };
        let mut look = plain;
        let mut rest = row.get(..end).unwrap_or_default();
        while let Some((cell, after)) = rest.split_first() {
            let column = end - rest.len();
            if !is_ascii(cell) && (is_second_half(row, column) || cell.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER))
            {
                rest = after;
                continue;
            }
            let now = Look::of(cell);
            if now != look {
                self.open.extend_from_slice(b"\x1b[");
                style::select(cell, &mut self.open);
                look = now;
            }
            if is_ascii(cell) {
                // Most cells look as the one before: they are taken together.
                let is_alike = |next: &&Cell| {
                    is_ascii(next) && next.flags == cell.flags && next.fg == cell.fg && next.bg == cell.bg
                };
                let (run, after) = rest.split_at(1 + after.iter().take_while(is_alike).count());
                self.open.extend(run.iter().map(|cell| u8::try_from(cell.c).unwrap_or(b' ')));
                rest = after;
                continue;
            }
            let (character, joined) = shown(row, column);
            let mut buffer = [0; 4];
            for character in [&character].into_iter().chain(joined) {
                self.open.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            }
            rest = after;
        }
        if look != plain {
            self.open.extend_from_slice(b"\x1b[0m");
        }
        if !goes_on || self.open.len() >= LINE_LIMIT {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        if self.lines.len() + self.open.len() < WAITING_LIMIT {
            self.lines.append(&mut self.open);
            self.lines.push(b'\n');
        }
        self.open.clear();
    }

    fn clear(&mut self) {
        *self = Self { cleared: true, ..Self::default() };
    }

    /// Takes what scrolled away since the last look, in the place of what was taken before, whose room is used again.
    pub fn take(&mut self, before: &mut Scrolled) {
        before.lines.clear();
        std::mem::swap(&mut before.lines, &mut self.lines);
        before.cleared = std::mem::take(&mut self.cleared);
    }
}

impl Screen {
    /// Keeps the upper `count` rows, which are about to scroll away; only the primary screen's do, and only at its top.
    pub(super) fn keep_rows(&mut self, count: usize) {
        if self.tracked.region.start != 0 || self.is_alternate() {
            return;
        }
        let Some(history) = &mut self.history else { return };
        let count = i32::try_from(count).unwrap_or(i32::MAX).min(self.tracked.region.end);
        for line in 0..count {
            history.keep(&self.term.grid()[Line(line)][..]);
        }
    }

    /// As [`Self::keep_rows`], when the cursor is where the next line feed scrolls.
    pub(super) fn keep_row_before_feed(&mut self) {
        if self.history.is_some() && self.term.grid().cursor.point.line.0 + 1 == self.tracked.region.end {
            self.keep_rows(1);
        }
    }

    /// As [`Self::keep_row_before_feed`], when drawing the next character begins a new row.
    pub(super) fn keep_row_before_wrap(&mut self, is_wide: bool) {
        let cursor = &self.term.grid().cursor;
        let wraps = cursor.input_needs_wrap || (is_wide && cursor.point.column.0 + 1 >= self.term.columns());
        if wraps && self.mode().contains(TermMode::LINE_WRAP) {
            self.keep_row_before_feed();
        }
    }

    /// Forgets what scrolled away, as a program may ask for.
    pub(super) fn clear_history(&mut self) {
        if let Some(history) = &mut self.history {
            history.clear();
        }
    }
}

/// Keeps rows that a smaller screen has no place for.
pub(super) fn keep_pushed_out(grid: &Grid<Cell>, history: Option<&mut History>) {
    let Some(history) = history else { return };
    for line in -i32::try_from(grid.history_size()).unwrap_or(0)..0 {
        history.keep(&grid[Line(line)][..]);
    }
}
