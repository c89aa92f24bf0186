//! What each sequence does to the screen: alacritty does nearly all of it; here is what it does otherwise than the
//! terminals that viewers have, what it leaves open, and the answers to queries.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Flags;
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, Color, CursorShape, CursorStyle, Handler, Hyperlink, KeyboardModes,
    KeyboardModesApplyBehavior, LineClearMode, Mode, ModifyOtherKeys, NamedColor, NamedMode, NamedPrivateMode,
    PrivateMode, Rgb, StandardCharset, TabulationClearMode,
};
use unicode_width::UnicodeWidthChar;

use super::answers;
use super::changes::reported_position;
use super::screen::{Saved, Screen, default_tabs};

/// Longest link kept with a cell, in bytes; the limit of other terminals too.
const LINK_LIMIT: usize = 2083;
/// Most titles and keyboard modes kept for their return.
const STACK_LIMIT: usize = 32;

macro_rules! as_alacritty_does {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(
            #[inline]
            fn $name(&mut self, $($argument: $kind),*) {
                Handler::$name(&mut self.term, $($argument),*);
            }
        )*
    };
}

impl Handler for Screen {
    as_alacritty_does! {
        goto(line: i32, column: usize);
        goto_line(line: i32);
        move_forward(columns: usize);
        move_backward(columns: usize);
        backspace();
        carriage_return();
        set_mode(mode: Mode);
        unset_mode(mode: Mode);
        set_keypad_application_mode();
        unset_keypad_application_mode();
        decaln();
    }

    #[inline]
    fn input(&mut self, character: char) {
        self.last_character = Some(character);
        if character >= '\u{300}' && character.width() == Some(0) && self.is_full_of_combining() {
            return;
        }
        let is_wide = character > '\u{ff}' && character.width() == Some(2);
        if is_wide && self.has_no_room_for_wide() {
            return;
        }
        self.keep_row_before_wrap(is_wide);
        if self.mode().contains(TermMode::INSERT) {
            self.insert(character);
        } else if self.overwrites_half() {
            self.overwrite(character);
        } else {
            self.term.input(character);
        }
    }

    fn save_cursor_position(&mut self) {
        self.term.save_cursor_position();
        let (origin, charset) = (self.mode().contains(TermMode::ORIGIN), self.tracked.charset);
        *self.saved_mut() = Saved { origin, charset };
    }

    fn restore_cursor_position(&mut self) {
        let saved = *self.saved_mut();
        if saved.origin != self.mode().contains(TermMode::ORIGIN) {
            self.set_named_mode(NamedPrivateMode::Origin, saved.origin);
        }
        self.set_active_charset(saved.charset);
        self.term.restore_cursor_position();
        let region = self.tracked.region.clone();
        let line = &mut self.term.grid_mut().cursor.point.line;
        if saved.origin {
            *line = (*line).clamp(Line(region.start), Line(region.end - 1));
        }
        let grid = self.term.grid_mut();
        if grid.cursor.input_needs_wrap {
            // A viewer's cursor comes to wait there by writing the cell again, after which the row no longer goes on.
            grid.cursor_cell().flags.remove(Flags::WRAPLINE);
        }
    }

    fn configure_charset(&mut self, index: CharsetIndex, charset: StandardCharset) {
        self.tracked.touched.charsets = true;
        self.term.configure_charset(index, charset);
    }

    fn terminal_attribute(&mut self, attribute: Attr) {
        self.select_style(attribute);
    }

    fn insert_blank(&mut self, count: usize) {
        let column = self.column();
        self.term.insert_blank(count);
        self.stop_waiting();
        self.mend(&[column, column + count, self.term.columns()]);
    }

    fn erase_chars(&mut self, count: usize) {
        let column = self.column();
        self.term.erase_chars(count);
        self.stop_waiting();
        self.mend(&[column, column + count]);
    }

    fn clear_line(&mut self, mode: LineClearMode) {
        let column = self.column();
        self.term.clear_line(mode);
        self.mend(&[column, column + 1]);
    }

    fn scroll_down(&mut self, count: usize) {
        // Lines that come in from above have the terminal's ground in xterm.js, not that of the pen.
        let template = &mut self.term.grid_mut().cursor.template;
        let ground = std::mem::replace(&mut template.bg, Color::Named(NamedColor::Background));
        self.term.scroll_down(count);
        self.term.grid_mut().cursor.template.bg = ground;
    }

    fn insert_blank_lines(&mut self, count: usize) {
        self.stop_waiting();
        if self.tracked.region.contains(&self.term.grid().cursor.point.line.0) {
            self.term.insert_blank_lines(count);
            self.term.carriage_return();
        }
    }

    fn delete_lines(&mut self, count: usize) {
        self.stop_waiting();
        if self.tracked.region.contains(&self.term.grid().cursor.point.line.0) {
            self.term.delete_lines(count);
            self.term.carriage_return();
        }
    }

    fn scroll_up(&mut self, count: usize) {
        self.keep_rows(count);
        self.term.scroll_up(count);
    }

    fn linefeed(&mut self) {
        self.keep_row_before_feed();
        self.stop_waiting();
        self.term.newline();
    }

    fn reverse_index(&mut self) {
        self.stop_waiting();
        self.term.reverse_index();
    }

    fn goto_col(&mut self, column: usize) {
        let last = self.term.columns().saturating_sub(1);
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.column = Column(column.min(last));
        cursor.input_needs_wrap = false;
    }

    fn move_up(&mut self, lines: usize) {
        self.move_lines(-i32::try_from(lines).unwrap_or(i32::MAX));
    }

    fn move_down(&mut self, lines: usize) {
        self.move_lines(i32::try_from(lines).unwrap_or(i32::MAX));
    }

    fn move_up_and_cr(&mut self, lines: usize) {
        self.move_up(lines);
        self.goto_col(0);
    }

    fn move_down_and_cr(&mut self, lines: usize) {
        self.move_down(lines);
        self.goto_col(0);
    }

    fn put_tab(&mut self, count: u16) {
        self.tab_forward(count);
    }

    fn move_forward_tabs(&mut self, count: u16) {
        self.tab_forward(count);
    }

    fn move_backward_tabs(&mut self, count: u16) {
        for _ in 0..count {
            let cursor = &self.term.grid().cursor;
            if cursor.input_needs_wrap || cursor.point.column.0 == 0 {
                return;
            }
            let before = self.tracked.tabs.iter().take(cursor.point.column.0).rposition(|stop| *stop);
            self.term.grid_mut().cursor.point.column = Column(before.unwrap_or(0));
        }
    }

    fn set_horizontal_tabstop(&mut self) {
        let column = self.term.grid().cursor.point.column.0;
        if let Some(stop) = self.tracked.tabs.get_mut(column) {
            *stop = true;
        }
        self.tracked.touched.tabs = true;
    }

    fn clear_tabs(&mut self, mode: TabulationClearMode) {
        let column = self.term.grid().cursor.point.column.0;
        match mode {
            TabulationClearMode::Current => {
                if let Some(stop) = self.tracked.tabs.get_mut(column) {
                    *stop = false;
                }
            }
            TabulationClearMode::All => self.tracked.tabs.fill(false),
        }
        self.tracked.touched.tabs = true;
    }

    fn set_tabs(&mut self, _interval: u16) {
        self.tracked.tabs = default_tabs(self.term.columns());
        self.tracked.touched.tabs = true;
    }

    fn delete_chars(&mut self, count: usize) {
        // alacritty would also blank cells before the cursor when more is to be deleted than is there.
        let column = self.column();
        let columns = self.term.columns();
        let count = count.min(columns - column);
        if self.is_on_second_half() {
            // What moves here may be a second half too, which is not that of the first half before the cursor.
            self.erase_chars(1);
        }
        self.term.delete_chars(count);
        self.stop_waiting();
        self.mend(&[column, columns - count]);
    }

    fn clear_screen(&mut self, mode: ClearMode) {
        if matches!(mode, ClearMode::Saved) {
            return self.clear_history();
        }
        let above = matches!(mode, ClearMode::Above);
        let column = self.column();
        // A cursor that waits behind the last column leaves that column as it is, as when a line is cleared.
        let waits = matches!(mode, ClearMode::Below) && self.term.grid().cursor.input_needs_wrap;
        let kept = waits.then(|| self.term.grid_mut().cursor_cell().clone());
        self.term.clear_screen(mode);
        if let Some(kept) = kept {
            *self.term.grid_mut().cursor_cell() = kept;
        }
        self.mend(&[column, column + 1]);
        // alacritty leaves the first line when the cursor is on the second.
        if above && self.term.grid().cursor.point.line.0 == 1 {
            self.term.grid_mut().reset_region(Line(0)..Line(1));
        }
    }

    fn reset_state(&mut self) {
        self.leave_alternate(false);
        self.clear_history();
        self.term.reset_state();
        self.reset_colors();
        let size = self.size();
        self.tracked.reset(size);
    }

    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let rows = usize::from(self.size().rows);
        let bottom = bottom.unwrap_or(rows).min(rows);
        if top >= bottom {
            return;
        }
        let line = |number: usize| i32::try_from(number).unwrap_or(0);
        self.tracked.region = line(top) - 1..line(bottom);
        self.term.set_scrolling_region(top, Some(bottom));
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        self.tracked.touched.charsets |= index != self.tracked.charset;
        self.tracked.charset = index;
        self.term.set_active_charset(index);
    }

    fn set_hyperlink(&mut self, link: Option<Hyperlink>) {
        self.tracked.touched.links = true;
        let keep = |link: &Hyperlink| link.uri.len() + link.id.as_ref().map_or(0, String::len) <= LINK_LIMIT;
        self.term.set_hyperlink(link.filter(keep));
    }

    fn set_title(&mut self, title: Option<String>) {
        self.set_own_title(title.as_deref().unwrap_or_default());
    }

    fn push_title(&mut self) {
        if self.tracked.titles.len() >= STACK_LIMIT {
            self.tracked.titles.remove(0);
        }
        self.tracked.titles.push(self.tracked.title.clone());
    }

    fn pop_title(&mut self) {
        if let Some(title) = self.tracked.titles.pop() {
            self.tracked.title = title;
        }
    }

    fn set_cursor_style(&mut self, style: Option<CursorStyle>) {
        self.tracked.style = style;
        if let Some(blinking) = &mut self.tracked.blinking {
            blinking.is_latest = false;
        }
    }

    fn set_cursor_shape(&mut self, shape: CursorShape) {
        self.tracked.style.get_or_insert_default().shape = shape;
    }

    fn set_color(&mut self, index: usize, color: Rgb) {
        self.tracked.touched.colors = true;
        self.term.set_color(index, color);
    }

    fn reset_color(&mut self, index: usize) {
        self.term.reset_color(index);
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            PrivateMode::Named(name) => self.set_named_mode(name, true),
            PrivateMode::Unknown(number) => self.set_other_mode(number, true),
        }
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            PrivateMode::Named(name) => self.set_named_mode(name, false),
            PrivateMode::Unknown(number) => self.set_other_mode(number, false),
        }
    }

    fn push_keyboard_mode(&mut self, mode: KeyboardModes) {
        self.tracked.touched.kitty = true;
        let keyboard = self.keyboard_mut();
        if keyboard.stack.len() >= STACK_LIMIT {
            keyboard.stack.remove(0);
        }
        keyboard.stack.push(keyboard.flags);
        keyboard.flags = mode.bits();
    }

    fn pop_keyboard_modes(&mut self, count: u16) {
        self.tracked.touched.kitty = true;
        let keyboard = self.keyboard_mut();
        for _ in 0..count {
            match keyboard.stack.pop() {
                Some(flags) => keyboard.flags = flags,
                None => {
                    keyboard.flags = 0;
                    break;
                }
            }
        }
    }

    fn set_keyboard_mode(&mut self, mode: KeyboardModes, behavior: KeyboardModesApplyBehavior) {
        self.tracked.touched.kitty = true;
        let flags = &mut self.keyboard_mut().flags;
        match behavior {
            KeyboardModesApplyBehavior::Replace => *flags = mode.bits(),
            KeyboardModesApplyBehavior::Union => *flags |= mode.bits(),
            KeyboardModesApplyBehavior::Difference => *flags &= !mode.bits(),
        }
    }

    fn set_modify_other_keys(&mut self, mode: ModifyOtherKeys) {
        self.tracked.touched.modify_other_keys = true;
        self.tracked.modify_other_keys = match mode {
            ModifyOtherKeys::Reset => 0,
            ModifyOtherKeys::EnableExceptWellDefined => 1,
            ModifyOtherKeys::EnableAll => 2,
        };
    }

    fn report_modify_other_keys(&mut self) {
        let mode = self.tracked.modify_other_keys;
        self.reply(&format!("\x1b[>4;{mode}m"));
    }

    fn report_keyboard_mode(&mut self) {
        let flags = self.keyboard().flags;
        self.reply(&format!("\x1b[?{flags}u"));
    }

    fn identify_terminal(&mut self, intermediate: Option<char>) {
        match intermediate {
            None => self.reply(answers::PRIMARY_ATTRIBUTES),
            Some('>') => self.reply(answers::SECONDARY_ATTRIBUTES),
            Some('=') => self.reply(answers::TERTIARY_ATTRIBUTES),
            Some(_) => {}
        }
    }

    fn device_status(&mut self, kind: usize) {
        match kind {
            5 => self.reply("\x1b[0n"),
            6 => {
                let (row, column) = reported_position(self);
                self.reply(&format!("\x1b[{row};{column}R"));
            }
            _ => {}
        }
    }

    fn report_mode(&mut self, mode: Mode) {
        let told = |on: bool| if on { 1 } else { 2 };
        let state = match mode {
            Mode::Named(NamedMode::Insert) => told(self.mode().contains(TermMode::INSERT)),
            Mode::Named(NamedMode::LineFeedNewLine) => told(self.mode().contains(TermMode::LINE_FEED_NEW_LINE)),
            Mode::Unknown(_) => 0,
        };
        self.reply(&format!("\x1b[{};{state}$y", mode.raw()));
    }

    fn report_private_mode(&mut self, mode: PrivateMode) {
        let state = self.private_mode_state(mode);
        self.reply(&format!("\x1b[?{};{state}$y", mode.raw()));
    }

    fn text_area_size_pixels(&mut self) {
        let size = self.size();
        let (width, height) = answers::CELL_PIXELS;
        let (width, height) = (u32::from(size.cols) * u32::from(width), u32::from(size.rows) * u32::from(height));
        self.reply(&format!("\x1b[4;{height};{width}t"));
    }

    fn text_area_size_chars(&mut self) {
        let size = self.size();
        self.reply(&format!("\x1b[8;{};{}t", size.rows, size.cols));
    }

    fn dynamic_color_sequence(&mut self, prefix: String, index: usize, terminator: &str) {
        let known = index <= NamedColor::Cursor as usize;
        let color =
            if known { self.term.colors()[index] } else { None }.unwrap_or_else(|| answers::default_color(index));
        let Rgb { r, g, b } = color;
        self.reply(&format!("\x1b]{prefix};rgb:{r:02x}{r:02x}/{g:02x}{g:02x}/{b:02x}{b:02x}{terminator}"));
    }
}
