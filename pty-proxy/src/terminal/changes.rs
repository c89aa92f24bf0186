//! Changes of the screen that several sequences share, or that alacritty makes otherwise than viewers' terminals do.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, CursorStyle, Handler, NamedMode, NamedPrivateMode, PrivateMode,
};
use unicode_width::UnicodeWidthChar;

use super::screen::{Blinking, PRIVATE_MODES, Saved, Screen, is_second_half};
use super::sequence::ALTERNATE_SCREEN_ALIASES;
use super::style::{BLINK, is_overlined, set_overlined};

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
/// Those that are told as SGR.
const SGR_MOUSE_ENCODINGS: [u16; 2] = [1006, PIXEL_MOUSE];
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
            other if other != Attr::Reset && is_overlined(*flags) => {
                set_overlined(flags, false);
                self.term.terminal_attribute(other);
                self.overline(true);
            }
            other => self.term.terminal_attribute(other),
        }
    }

    /// Whether the pen draws a line above the text from now on.
    pub(super) fn overline(&mut self, on: bool) {
        set_overlined(&mut self.term.grid_mut().cursor.template.flags, on);
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

    /// The cell before the cursor, where the last character is: its row and column. `None` at the beginning of a row.
    pub(super) fn before_cursor(&self) -> Option<(&[Cell], usize)> {
        let grid = self.term.grid();
        let cursor = &grid.cursor;
        let row = &grid[cursor.point.line][..];
        let waits = cursor.input_needs_wrap;
        let column = if waits { cursor.point.column.0 } else { cursor.point.column.0.checked_sub(1)? };
        Some((row, if is_second_half(row, column) { column - 1 } else { column }))
    }

    /// Whether the cursor is within a wide character.
    pub(super) fn is_on_second_half(&self) -> bool {
        let grid = self.term.grid();
        is_second_half(&grid[grid.cursor.point.line][..], grid.cursor.point.column.0)
    }

    /// IND: a line down in the same column.
    pub(super) fn index(&mut self) {
        self.keep_row_before_feed();
        self.stop_waiting();
        self.term.linefeed();
    }

    /// VPR: lines down that no scroll region ends, but that which is the cursor's origin.
    pub(super) fn lines_down(&mut self, count: u16) {
        let is_within = self.mode().contains(TermMode::ORIGIN);
        let last = if is_within { self.tracked.region.end - 1 } else { self.last_line() };
        let line = &mut self.term.grid_mut().cursor.point.line;
        *line = Line((line.0 + i32::from(count)).min(last));
        self.stop_waiting();
    }

    /// Where the next character goes that is drawn over others: its row and column; `None` where a blank row scrolls in.
    fn next_place(&self) -> Option<(Line, usize)> {
        let cursor = &self.term.grid().cursor;
        let line = cursor.point.line;
        if !(cursor.input_needs_wrap && self.mode().contains(TermMode::LINE_WRAP)) {
            return Some((line, cursor.point.column.0));
        }
        if line.0 + 1 == self.tracked.region.end {
            return None;
        }
        Some((if line.0 == self.last_line() { line } else { line + 1 }, 0))
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
        if width > 0 && !fits && is_second_half(row, column) {
            self.blank_before_cursor();
        }
        let row = &self.term.grid()[line][..];
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

    /// Draws a character in insert mode: the row moves first, and of wide characters that are cut in two the halves become
    /// blanks of the pen.
    pub(super) fn insert(&mut self, character: char) {
        let width = character.width().unwrap_or(0);
        if width == 0 {
            return self.term.input(character);
        }
        if self.mode().contains(TermMode::LINE_WRAP) {
            let waits = self.term.grid().cursor.input_needs_wrap;
            if waits || self.column() + width > self.term.columns() {
                self.wrap(!waits);
            }
        }
        let cursor = &self.term.grid().cursor;
        let (line, column) = (cursor.point.line, cursor.point.column.0);
        let mut blank = cursor.template.clone();
        blank.c = ' ';
        self.shift_right(line, column, width, &blank);
        self.term.unset_mode(NamedMode::Insert.into());
        self.term.input(character);
        self.term.set_mode(NamedMode::Insert.into());
    }

    /// Moves what is in a row from `column` on to the right, and blanks what it leaves.
    fn shift_right(&mut self, line: Line, column: usize, count: usize, blank: &Cell) {
        let row = &mut self.term.grid_mut()[line][..];
        if is_second_half(row, column) {
            row.iter_mut().skip(column - 1).take(2).for_each(|half| *half = blank.clone());
        }
        if let Some(part) = row.get_mut(column..) {
            part.rotate_right(count.min(part.len()));
            part.iter_mut().take(count).for_each(|cell| *cell = blank.clone());
        }
        if let Some(last) = row.last_mut().filter(|cell| cell.flags.contains(Flags::WIDE_CHAR)) {
            *last = blank.clone();
        }
    }

    /// Blanks the first half of a wide character whose second half a gap takes.
    fn blank_before_cursor(&mut self) {
        let grid = self.term.grid_mut();
        let mut blank = grid.cursor.template.clone();
        blank.c = ' ';
        let point = grid.cursor.point;
        if let Some(left) = point.column.0.checked_sub(1) {
            grid[point.line][Column(left)] = blank;
        }
    }

    /// Goes on in the next row; `leaves_gap` is whether a wide character did not fit into this one.
    fn wrap(&mut self, leaves_gap: bool) {
        let ends_region = self.term.grid().cursor.point.line.0 + 1 == self.tracked.region.end;
        let is_last = self.term.grid().cursor.point.line.0 == self.last_line();
        let cuts_wide = self.is_on_second_half();
        if leaves_gap {
            if cuts_wide {
                self.blank_before_cursor();
            }
            let grid = self.term.grid_mut();
            let mut gap = grid.cursor.template.clone();
            gap.c = ' ';
            gap.flags.insert(Flags::LEADING_WIDE_CHAR_SPACER);
            *grid.cursor_cell() = gap;
        }
        let grid = self.term.grid_mut();
        grid.cursor_cell().flags.insert(Flags::WRAPLINE);
        if ends_region {
            self.term.linefeed();
        } else if !is_last {
            grid.cursor.point.line += 1;
        }
        self.goto_col(0);
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
        *self.saved_mut() = Saved::default();
        self.tracked.synchronized = false;
        self.set_active_charset(CharsetIndex::G0);
        self.tracked.region = 0..i32::from(self.size().rows);
    }

    /// Shows the alternate screen, blank; the cursor is kept for the return, or left as it is.
    pub(super) fn enter_alternate(&mut self, keeps_cursor: bool) {
        if self.is_alternate() {
            return;
        }
        if keeps_cursor {
            self.save_cursor_position();
        }
        self.behind = Some(self.term.grid().clone());
        self.term.swap_alt();
        self.term.grid_mut().saved_cursor = std::mem::take(&mut self.tracked.alternate_cursor);
        self.tracked.region_behind = self.tracked.region.clone();
    }

    /// Shows the primary screen again; the cursor that was saved there returns, or stays where it is.
    pub(super) fn leave_alternate(&mut self, restores_cursor: bool) {
        if !self.is_alternate() {
            return;
        }
        let cursor = self.term.grid().cursor.clone();
        self.tracked.alternate_cursor = self.term.grid().saved_cursor.clone();
        self.term.swap_alt();
        if let Some(behind) = self.behind.take() {
            *self.term.grid_mut() = behind;
        }
        if restores_cursor {
            self.restore_cursor_position();
        } else {
            self.term.grid_mut().cursor = cursor;
        }
    }

    pub(super) fn set_named_mode(&mut self, mode: NamedPrivateMode, on: bool) {
        match (mode, on) {
            (NamedPrivateMode::SwapScreenAndSetRestoreCursor, true) if self.is_alternate() => {
                self.save_cursor_position()
            }
            (NamedPrivateMode::SwapScreenAndSetRestoreCursor, true) => self.enter_alternate(true),
            (NamedPrivateMode::SwapScreenAndSetRestoreCursor, false) if self.is_alternate() => {
                self.leave_alternate(true);
            }
            (NamedPrivateMode::SwapScreenAndSetRestoreCursor, false) => self.restore_cursor_position(),
            // A terminal of one width has no other to change to.
            (NamedPrivateMode::ColumnMode, _) => {}
            (NamedPrivateMode::SyncUpdate, on) => self.tracked.synchronized = on,
            (NamedPrivateMode::BlinkingCursor, on) => {
                self.tracked.blinking = Some(Blinking { on, is_latest: true });
            }
            (NamedPrivateMode::Origin, true) => {
                self.tracked.touched.origin = true;
                self.term.set_private_mode(mode.into());
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

    /// What is told of the mouse, and how: of each the last that was set counts. Resetting any ends what is told; how it is
    /// told is kept of each kind, since some terminals know one kind only.
    fn set_mouse(&mut self, mode: u16, on: bool) {
        let mouse = &mut self.tracked.mouse;
        if MOUSE_PROTOCOLS.contains(&mode) {
            mouse.protocol = on.then_some(mode);
        } else {
            let is_sgr = |mode: &u16| SGR_MOUSE_ENCODINGS.contains(mode);
            mouse.encodings.retain(|kept| is_sgr(kept) != is_sgr(&mode));
            mouse.encodings.extend(on.then_some(mode));
        }
        for (flag, name) in PRIVATE_MODES {
            let number = name as u16;
            if flag.intersects(TermMode::MOUSE_MODE | TermMode::UTF8_MOUSE | TermMode::SGR_MOUSE) {
                let is_set = mouse.protocol == Some(number) || mouse.encodings.last() == Some(&number);
                let private = PrivateMode::Named(name);
                if is_set { self.term.set_private_mode(private) } else { self.term.unset_private_mode(private) }
            }
        }
    }

    pub(super) fn set_other_mode(&mut self, mode: u16, on: bool) {
        if ALTERNATE_SCREEN_ALIASES.contains(&mode) {
            if on { self.enter_alternate(false) } else { self.leave_alternate(false) }
        } else if mode == SAVE_CURSOR_MODE {
            if on { self.save_cursor_position() } else { self.restore_cursor_position() }
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
                told(self.tracked.mouse.encodings.last() == Some(&mode))
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
        if let Some(first) = row.first_mut().filter(|cell| cell.flags.contains(Flags::WIDE_CHAR_SPACER)) {
            match erased {
                Some(erased) => *first = erased.clone(),
                None => first.flags.remove(Flags::WIDE_CHAR_SPACER),
            }
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
