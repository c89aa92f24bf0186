//! Changes of the screen that several sequences share, or that alacritty makes otherwise than viewers' terminals do.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{CharsetIndex, Handler, NamedMode, NamedPrivateMode, PrivateMode};
use unicode_width::UnicodeWidthChar;

use super::screen::{PRIVATE_MODES, Screen};
use super::sequence::ALTERNATE_SCREEN_ALIASES;

/// Combining characters kept on one cell; a stream of nothing else must not fill the memory.
const COMBINING_LIMIT: usize = 16;
/// Bytes of answers that may wait for a program that asks and does not read.
const REPLY_LIMIT: usize = 64 * 1024;
/// Modes that the model does not need and viewers' terminals do: reverse video, X10 mouse, reverse wrap, the urxvt and
/// pixel encodings of the mouse, meta keys, and the colour scheme's changes.
const EXTRA_MODES: [u16; 9] = [5, 9, 45, 1015, 1016, 1034, 1036, 1039, 2031];
/// Save and restore the cursor, without the screen.
const SAVE_CURSOR_MODE: u16 = 1048;

impl Screen {
    /// Keeps an answer for the program; what is too much for it is dropped.
    pub(super) fn reply(&mut self, answer: &str) {
        if self.replies.len() + answer.len() <= REPLY_LIMIT {
            self.replies.extend_from_slice(answer.as_bytes());
        }
    }

    pub(super) fn last_line(&self) -> i32 {
        i32::from(self.size().rows) - 1
    }

    /// Moves the cursor by lines, within the scroll region when it is in there.
    pub(super) fn move_lines(&mut self, by: i32) {
        let region = self.tracked.region.clone();
        let last = self.last_line();
        let cursor = &mut self.term.grid_mut().cursor;
        let line = cursor.point.line.0;
        let target = line.saturating_add(by);
        cursor.point.line = Line(if by < 0 {
            target.max(if line >= region.start { region.start } else { 0 })
        } else {
            target.min(if line < region.end { region.end - 1 } else { last })
        });
        cursor.input_needs_wrap = false;
    }

    pub(super) fn next_tab(&self, from: usize) -> usize {
        let last = self.term.columns().saturating_sub(1);
        let stop = self.tracked.tabs.iter().enumerate().skip(from + 1).find(|(_, stop)| **stop);
        stop.map_or(last, |(column, _)| column.min(last))
    }

    pub(super) fn tab_forward(&mut self, count: u16) {
        for _ in 0..count {
            let cursor = &self.term.grid().cursor;
            let column = cursor.point.column.0;
            if cursor.input_needs_wrap || column + 1 >= self.term.columns() {
                return;
            }
            let next = self.next_tab(column);
            self.term.grid_mut().cursor.point.column = Column(next);
        }
    }

    /// Whether the cell that a combining character would join has its fill of them.
    pub(super) fn is_full_of_combining(&self) -> bool {
        let grid = self.term.grid();
        let row = &grid[grid.cursor.point.line];
        let mut column = grid.cursor.point.column.0;
        if !grid.cursor.input_needs_wrap {
            column = column.saturating_sub(1);
        }
        if row[Column(column)].flags.contains(Flags::WIDE_CHAR_SPACER) {
            column = column.saturating_sub(1);
        }
        row[Column(column)].zerowidth().is_some_and(|joined| joined.len() >= COMBINING_LIMIT)
    }

    pub(super) fn column(&self) -> usize {
        self.term.grid().cursor.point.column.0
    }

    /// Blanks what is left of wide characters that were cut in half before any of `columns` in the cursor's row;
    /// alacritty keeps the halves, and draws wrongly over them later.
    pub(super) fn mend(&mut self, columns: &[usize]) {
        let line = self.term.grid().cursor.point.line;
        let row = &mut self.term.grid_mut()[line][..];
        for column in columns {
            mend_before(row, *column);
        }
    }

    /// Draws a character in insert mode: the row moves first, so that no half of a wide character stays.
    pub(super) fn insert(&mut self, character: char) {
        let width = character.width().unwrap_or(0);
        if width > 0 && !self.term.grid().cursor.input_needs_wrap && self.column() + width < self.term.columns() {
            self.insert_blank(width);
            self.term.unset_mode(NamedMode::Insert.into());
            self.term.input(character);
            self.term.set_mode(NamedMode::Insert.into());
        } else {
            self.term.input(character);
            let line = self.term.grid().cursor.point.line;
            mend_whole(&mut self.term.grid_mut()[line][..]);
        }
    }

    /// DECSTR: the modes and settings of a program, without the screen.
    pub(super) fn soft_reset(&mut self) {
        let term = &mut self.term;
        for off in [NamedPrivateMode::Origin, NamedPrivateMode::CursorKeys] {
            term.unset_private_mode(off.into());
        }
        for on in [NamedPrivateMode::LineWrap, NamedPrivateMode::ShowCursor] {
            term.set_private_mode(on.into());
        }
        term.unset_mode(NamedMode::Insert.into());
        term.unset_keypad_application_mode();
        let point = term.grid().cursor.point;
        term.set_scrolling_region(1, None);
        let cursor = &mut term.grid_mut().cursor;
        cursor.point = point;
        cursor.template = Default::default();
        cursor.charsets = Default::default();
        term.grid_mut().saved_cursor = Default::default();
        term.set_active_charset(CharsetIndex::G0);
        self.tracked.charset = CharsetIndex::G0;
        self.tracked.region = 0..i32::from(self.size().rows);
    }

    pub(super) fn enter_alternate(&mut self) {
        if self.is_alternate() {
            self.term.save_cursor_position();
        } else {
            let mut behind = self.term.grid().clone();
            behind.saved_cursor = behind.cursor.clone();
            self.behind = Some(behind);
            self.term.swap_alt();
        }
    }

    pub(super) fn leave_alternate(&mut self) {
        if self.is_alternate() {
            self.term.swap_alt();
            self.behind = None;
        }
    }

    pub(super) fn set_named_mode(&mut self, mode: NamedPrivateMode, on: bool) {
        match (mode, on) {
            (NamedPrivateMode::SwapScreenAndSetRestoreCursor, true) => self.enter_alternate(),
            (NamedPrivateMode::SwapScreenAndSetRestoreCursor, false) if self.is_alternate() => self.leave_alternate(),
            (NamedPrivateMode::SwapScreenAndSetRestoreCursor, false) => self.term.restore_cursor_position(),
            // A terminal of one width has no other to change to.
            (NamedPrivateMode::ColumnMode, _) => {}
            (NamedPrivateMode::SyncUpdate, on) => self.tracked.synchronized = on,
            (NamedPrivateMode::BlinkingCursor, on) => {
                self.tracked.style.get_or_insert_default().blinking = on;
            }
            (NamedPrivateMode::Origin, false) => {
                self.term.unset_private_mode(mode.into());
                self.term.goto(0, 0);
            }
            (mode, on) => {
                self.tracked.touched.alternate_scroll |= matches!(mode, NamedPrivateMode::AlternateScroll);
                if on { self.term.set_private_mode(mode.into()) } else { self.term.unset_private_mode(mode.into()) }
            }
        }
    }

    pub(super) fn set_other_mode(&mut self, mode: u16, on: bool) {
        if ALTERNATE_SCREEN_ALIASES.contains(&mode) {
            self.set_named_mode(NamedPrivateMode::SwapScreenAndSetRestoreCursor, on);
        } else if mode == SAVE_CURSOR_MODE {
            if on { self.term.save_cursor_position() } else { self.term.restore_cursor_position() }
        } else if EXTRA_MODES.contains(&mode) {
            if on {
                self.tracked.extra_modes.insert(mode)
            } else {
                self.tracked.extra_modes.remove(&mode)
            };
        }
    }

    /// How DECRPM says a private mode's state: 0 not known, 1 set, 2 not set.
    pub(super) fn private_mode_state(&self, mode: PrivateMode) -> u8 {
        let told = |on: bool| if on { 1 } else { 2 };
        match mode {
            PrivateMode::Named(NamedPrivateMode::SyncUpdate) => told(self.tracked.synchronized),
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => 0,
            PrivateMode::Named(NamedPrivateMode::BlinkingCursor) => {
                told(self.tracked.style.is_some_and(|style| style.blinking))
            }
            PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor) => told(self.is_alternate()),
            PrivateMode::Named(name) => PRIVATE_MODES
                .iter()
                .find(|(_, known)| *known as u16 == name as u16)
                .map_or(0, |(flag, _)| told(self.mode().contains(*flag))),
            PrivateMode::Unknown(mode) if ALTERNATE_SCREEN_ALIASES.contains(&mode) => told(self.is_alternate()),
            PrivateMode::Unknown(_) => 0,
        }
    }
}

/// Blanks the halves of a wide character that was cut in two between `column` and the cell before it.
pub(super) fn mend_before(row: &mut [Cell], column: usize) {
    let has = |row: &[Cell], at: usize, flag| row.get(at).is_some_and(|cell| cell.flags.contains(flag));
    let Some(left) = column.checked_sub(1) else {
        if let Some(first) = row.first_mut() {
            first.flags.remove(Flags::WIDE_CHAR_SPACER);
        }
        return;
    };
    let first_half = has(row, left, Flags::WIDE_CHAR);
    let second_half = has(row, column, Flags::WIDE_CHAR_SPACER);
    if first_half
        && !second_half
        && let Some(cell) = row.get_mut(left)
    {
        cell.clear_wide();
    }
    if second_half
        && !first_half
        && let Some(cell) = row.get_mut(column)
    {
        cell.flags.remove(Flags::WIDE_CHAR_SPACER);
    }
}

/// Blanks all halves of wide characters in a row.
pub(super) fn mend_whole(row: &mut [Cell]) {
    for column in 0..=row.len() {
        mend_before(row, column);
    }
}

/// The row and column that a cursor report tells: from 1, within the scroll region when that is the origin.
pub(super) fn reported_position(screen: &Screen) -> (i32, usize) {
    let point = screen.term.grid().cursor.point;
    let origin = if screen.mode().contains(TermMode::ORIGIN) { screen.tracked.region.start } else { 0 };
    (point.line.0 - origin + 1, point.column.0 + 1)
}
