//! Changes of the screen that several sequences share, or that alacritty makes otherwise than viewers' terminals do.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, CursorStyle, Handler, NamedMode, NamedPrivateMode, PrivateMode,
};
use unicode_width::UnicodeWidthChar;

use super::screen::{Blinking, PRIVATE_MODES, Screen, is_second_half};
use super::sequence::ALTERNATE_SCREEN_ALIASES;
use super::style::BLINK;

/// Combining characters kept on one cell; a stream of nothing else must not fill the memory.
const COMBINING_LIMIT: usize = 16;
/// Longest title, in characters.
const TITLE_LIMIT: usize = 1024;
/// Bytes of answers that may wait for a program that asks and does not read.
const REPLY_LIMIT: usize = 64 * 1024;
/// Modes that the model does not need and viewers' terminals do: reverse video, meta keys, and the colour scheme's
/// changes.
const EXTRA_MODES: [u16; 5] = [5, 1034, 1036, 1039, 2031];
/// What is told of the mouse: X10's clicks, clicks, drags, all motion.
const MOUSE_PROTOCOLS: [u16; 4] = [9, 1000, 1002, 1003];
/// How it is told: UTF-8, SGR, urxvt, SGR in pixels.
const MOUSE_ENCODINGS: [u16; 4] = [1005, 1006, 1015, PIXEL_MOUSE];
const PIXEL_MOUSE: u16 = 1016;
/// DECNKM, which is DECKPAM and DECKPNM as a mode.
const KEYPAD_MODE: u16 = 66;
/// Save and restore the cursor, without the screen.
const SAVE_CURSOR_MODE: u16 = 1048;

impl Screen {
    /// Keeps an answer for the program; what is too much for it is dropped.
    pub(super) fn reply(&mut self, answer: &str) {
        if self.replies.len() + answer.len() <= REPLY_LIMIT {
            self.replies.extend_from_slice(answer.as_bytes());
        }
    }

    /// Changes the pen. 21 is a double underline, as the terminals of today have it; a blinking text is kept in a flag of
    /// our own, since alacritty has none.
    pub(super) fn select_style(&mut self, attribute: Attr) {
        let attribute = if attribute == Attr::CancelBold { Attr::DoubleUnderline } else { attribute };
        let flags = &mut self.term.grid_mut().cursor.template.flags;
        match attribute {
            Attr::BlinkSlow | Attr::BlinkFast => flags.insert(BLINK),
            Attr::CancelBlink => flags.remove(BLINK),
            other => self.term.terminal_attribute(other),
        }
    }

    /// The cursor's style, from all that was said of it.
    pub(super) fn cursor_style(&self) -> CursorStyle {
        let style = self.tracked.style;
        let by_mode = self.tracked.blinking.filter(|blinking| blinking.is_latest || style.is_none());
        let style = style.unwrap_or_default();
        CursorStyle { blinking: by_mode.map_or(style.blinking, |blinking| blinking.on), ..style }
    }

    /// Sets the title, as far as it is visible.
    pub(super) fn set_own_title(&mut self, title: &str) {
        let visible = title.chars().filter(|character| !character.is_control()).take(TITLE_LIMIT).collect();
        self.tracked.title = Some(visible);
        self.tracked.touched.title = true;
    }

    /// A cursor that waits behind the last column is on it from now on.
    pub(super) fn stop_waiting(&mut self) {
        self.term.grid_mut().cursor.input_needs_wrap = false;
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

    /// Whether a wide character meets the last column while lines do not wrap: it is not drawn, and the cursor no longer
    /// waits behind that column.
    pub(super) fn has_no_room_for_wide(&mut self) -> bool {
        let meets_end = !self.mode().contains(TermMode::LINE_WRAP) && self.column() + 1 >= self.term.columns();
        if meets_end {
            self.term.grid_mut().cursor.input_needs_wrap = false;
        }
        meets_end
    }

    pub(super) fn column(&self) -> usize {
        self.term.grid().cursor.point.column.0
    }

    /// Erases what is left of wide characters that were cut in half before any of `columns` in the cursor's row;
    /// alacritty keeps the halves, and draws wrongly over them later.
    pub(super) fn mend(&mut self, columns: &[usize]) {
        let line = self.term.grid().cursor.point.line;
        // Looked at first: a row that was borrowed to be changed counts as changed to its end.
        let row = &self.term.grid()[line][..];
        let halves = Flags::WIDE_CHAR.union(Flags::WIDE_CHAR_SPACER);
        let has_half = |at: usize| row.get(at).is_some_and(|cell| cell.flags.intersects(halves));
        if !columns.iter().any(|column| has_half(*column) || column.checked_sub(1).is_some_and(has_half)) {
            return;
        }
        let grid = self.term.grid_mut();
        let erased = Cell { bg: grid.cursor.template.bg, ..Cell::default() };
        let row = &mut grid[line][..];
        for column in columns {
            mend_before(row, *column, Some(&erased));
        }
    }

    /// Where the next character goes that is drawn over others: its row and column; `None` where a blank row scrolls in.
    fn next_place(&self) -> Option<(Line, usize)> {
        let cursor = &self.term.grid().cursor;
        let line = cursor.point.line;
        if !(cursor.input_needs_wrap && self.mode().contains(TermMode::LINE_WRAP)) {
            return Some((line, cursor.point.column.0));
        }
        let scrolls = line.0 + 1 == self.tracked.region.end || line.0 == self.last_line();
        (!scrolls).then_some((line + 1, 0))
    }

    /// Whether one of the two cells that the next character may take is half of a wide character.
    pub(super) fn overwrites_half(&self) -> bool {
        let Some((line, column)) = self.next_place() else { return false };
        let halves = Flags::WIDE_CHAR.union(Flags::WIDE_CHAR_SPACER);
        let row = &self.term.grid()[line][..];
        row.iter().skip(column).take(2).any(|cell| cell.flags.intersects(halves))
    }

    /// Draws a character where wide ones are: of those that are cut in two the other half becomes a blank of the pen.
    pub(super) fn overwrite(&mut self, character: char) {
        let Some((line, column)) = self.next_place() else { return self.term.input(character) };
        let row = &self.term.grid()[line][..];
        let width = character.width().unwrap_or(0);
        let last = column + width.saturating_sub(1);
        let fits = width > 0 && column + width <= row.len();
        let is_first_half = row.get(last).is_some_and(|cell| cell.flags.contains(Flags::WIDE_CHAR));
        let left = column.checked_sub(1).filter(|_| fits && is_second_half(row, column));
        let right = Some(last + 1).filter(|_| fits && is_first_half);
        self.term.input(character);
        let grid = self.term.grid_mut();
        let mut blank = grid.cursor.template.clone();
        blank.c = ' ';
        for half in left.into_iter().chain(right) {
            if let Some(cell) = grid[line][..].get_mut(half) {
                *cell = blank.clone();
            }
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
            // Nobody can show a viewer a cursor that is saved on a screen which is not there.
            self.term.grid_mut().saved_cursor = Default::default();
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
                self.tracked.blinking = Some(Blinking { on, is_latest: true });
            }
            (NamedPrivateMode::Origin, false) => {
                self.term.unset_private_mode(mode.into());
                self.term.goto(0, 0);
            }
            (
                NamedPrivateMode::ReportMouseClicks
                | NamedPrivateMode::ReportCellMouseMotion
                | NamedPrivateMode::ReportAllMouseMotion
                | NamedPrivateMode::Utf8Mouse
                | NamedPrivateMode::SgrMouse,
                on,
            ) => self.set_mouse(mode as u16, on),
            (mode, on) => {
                self.tracked.touched.alternate_scroll |= matches!(mode, NamedPrivateMode::AlternateScroll);
                if on { self.term.set_private_mode(mode.into()) } else { self.term.unset_private_mode(mode.into()) }
            }
        }
    }

    /// What is told of the mouse, and how: of each the last that was set counts, and resetting any of them ends it.
    fn set_mouse(&mut self, mode: u16, on: bool) {
        let mouse = &mut self.tracked.mouse;
        let place = if MOUSE_PROTOCOLS.contains(&mode) { &mut mouse.protocol } else { &mut mouse.encoding };
        *place = on.then_some(mode);
        for (flag, name) in PRIVATE_MODES {
            let number = name as u16;
            if flag.intersects(TermMode::MOUSE_MODE | TermMode::UTF8_MOUSE | TermMode::SGR_MOUSE) {
                let is_set = mouse.protocol == Some(number) || mouse.encoding == Some(number);
                let private = PrivateMode::Named(name);
                if is_set { self.term.set_private_mode(private) } else { self.term.unset_private_mode(private) }
            }
        }
    }

    pub(super) fn set_other_mode(&mut self, mode: u16, on: bool) {
        if ALTERNATE_SCREEN_ALIASES.contains(&mode) {
            self.set_named_mode(NamedPrivateMode::SwapScreenAndSetRestoreCursor, on);
        } else if mode == SAVE_CURSOR_MODE {
            if on { self.term.save_cursor_position() } else { self.term.restore_cursor_position() }
        } else if mode == KEYPAD_MODE {
            if on { self.term.set_keypad_application_mode() } else { self.term.unset_keypad_application_mode() }
        } else if MOUSE_PROTOCOLS.contains(&mode) || MOUSE_ENCODINGS.contains(&mode) {
            self.set_mouse(mode, on);
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
            PrivateMode::Named(NamedPrivateMode::BlinkingCursor) => told(self.cursor_style().blinking),
            PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor) => told(self.is_alternate()),
            PrivateMode::Named(name) => PRIVATE_MODES
                .iter()
                .find(|(_, known)| *known as u16 == name as u16)
                .map_or(0, |(flag, _)| told(self.mode().contains(*flag))),
            PrivateMode::Unknown(mode) if ALTERNATE_SCREEN_ALIASES.contains(&mode) => told(self.is_alternate()),
            PrivateMode::Unknown(KEYPAD_MODE) => told(self.mode().contains(TermMode::APP_KEYPAD)),
            PrivateMode::Unknown(mode) if MOUSE_PROTOCOLS.contains(&mode) => {
                told(self.tracked.mouse.protocol == Some(mode))
            }
            // Pixels are those of a viewer's terminal, and of none while there is no viewer.
            PrivateMode::Unknown(PIXEL_MOUSE) => 0,
            PrivateMode::Unknown(mode) if MOUSE_ENCODINGS.contains(&mode) => {
                told(self.tracked.mouse.encoding == Some(mode))
            }
            PrivateMode::Unknown(mode) if EXTRA_MODES.contains(&mode) => told(self.tracked.extra_modes.contains(&mode)),
            PrivateMode::Unknown(_) => 0,
        }
    }
}

/// Blanks the halves of a wide character that was cut in two between `column` and the cell before it: they become `erased`,
/// or keep their style without one.
fn mend_before(row: &mut [Cell], column: usize, erased: Option<&Cell>) {
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
        match erased {
            Some(erased) => *cell = erased.clone(),
            None => cell.clear_wide(),
        }
    }
    if second_half
        && !first_half
        && let Some(cell) = row.get_mut(column)
    {
        match erased {
            Some(erased) => *cell = erased.clone(),
            None => cell.flags.remove(Flags::WIDE_CHAR_SPACER),
        }
    }
}

/// Blanks all halves of wide characters in a row.
pub(super) fn mend_whole(row: &mut [Cell]) {
    for column in 0..=row.len() {
        mend_before(row, column, None);
    }
}

/// The row and column that a cursor report tells: from 1, within the scroll region when that is the origin.
pub(super) fn reported_position(screen: &Screen) -> (i32, usize) {
    let point = screen.term.grid().cursor.point;
    let origin = if screen.mode().contains(TermMode::ORIGIN) { screen.tracked.region.start } else { 0 };
    (point.line.0 - origin + 1, point.column.0 + 1)
}
