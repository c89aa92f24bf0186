//! Draws a screen on another terminal: bytes that bring any terminal, whatever it shows now, to the same text, styles,
//! cursor and modes, on both screens, so that the program's further output continues there as on the first one.

use std::ops::Range;

use alacritty_terminal::grid::{self, Cursor, Dimensions, Grid};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{CharsetIndex, NamedPrivateMode, StandardCharset};

use super::emulator::cursor_style_number;
use super::screen::{Keyboard, PRIVATE_MODES, Saved, Screen, Tracked, is_second_half, last_column, shown};
use super::style::{Pen, Style};

/// A part is closed when it has this many bytes; a viewer's frame holds several.
const PART: usize = 512 * 1024;
/// Shortest run of blank cells that is skipped or erased instead of written.
const RUN: usize = 6;

/// The parts of a redraw.
struct Parts {
    done: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Parts {
    /// Between any two sequences: a place where a part may end.
    fn may_end(&mut self) {
        if self.open.len() >= PART {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    fn write(&mut self, text: &str) {
        self.open.extend_from_slice(text.as_bytes());
    }
}

/// Bytes that make any terminal show `screen`, in parts that end between sequences. `after_text` is whether a character was
/// written last: then one is written last here too, since some terminals join a combining one to nothing else.
#[must_use]
pub fn redraw(screen: &Screen, after_text: bool) -> Vec<Vec<u8>> {
    let mut parts = Parts { done: Vec::new(), open: Vec::with_capacity(8 * 1024) };
    let tracked = &screen.tracked;
    let mode = screen.mode();
    // One picture at once where the terminal can; the plain state of all that drawing depends on.
    parts.write("\x1b[?2026h\x1b[?1049l\x1b[?25l\x1b[?6l\x1b[4l\x1b[20l\x1b[?7h\x1b[r");
    parts.write("\x1b(B\x1b)B\x1b*B\x1b+B\x0f");
    let mut pen = Pen::reset(&mut parts.open);
    settings(screen, &mut parts);
    let grid = screen.term.grid();
    match &screen.behind {
        Some(behind) => {
            tabs(tracked, &mut parts);
            keyboard(screen, &tracked.main_keyboard, &mut parts);
            clear(&mut pen, &mut parts);
            draw_grid(behind, &mut pen, &mut parts);
            region(&tracked.region_behind, screen, &mut parts);
            enter_alternate(behind, tracked.main_saved, &mut pen, &mut parts);
            parts.write("\x1b[r");
            keyboard(screen, &tracked.alternate_keyboard, &mut parts);
            save_cursor(grid, &grid.saved_cursor, tracked.alternate_saved, &mut pen, &mut parts, "\x1b7");
        }
        None => {
            let never = grid::Cursor::default();
            if tracked.alternate_cursor != never || tracked.alternate_saved != Saved::default() {
                parts.write("\x1b[?1049h");
                let alternate = &tracked.alternate_cursor;
                let blank = Grid::new(grid.screen_lines(), grid.columns(), 0);
                save_cursor(&blank, alternate, tracked.alternate_saved, &mut pen, &mut parts, "\x1b7");
                parts.write("\x1b[?1049l");
                pen = Pen::reset(&mut parts.open);
            }
            keyboard(screen, screen.keyboard(), &mut parts);
            // Before the screen is drawn, since a cursor that waits behind the last column is saved by writing there.
            save_cursor(grid, &grid.saved_cursor, tracked.main_saved, &mut pen, &mut parts, "\x1b7");
        }
    }
    tabs(tracked, &mut parts);
    clear(&mut pen, &mut parts);
    draw_grid(grid, &mut pen, &mut parts);
    region(&tracked.region, screen, &mut parts);
    if mode.contains(TermMode::ORIGIN) {
        parts.write("\x1b[?6h");
    }
    place_cursor(grid, &grid.cursor, origin(screen), &mut pen, &mut parts);
    charsets(&grid.cursor, &mut parts);
    shift(tracked.charset, &mut parts);
    last_modes(mode, &mut parts);
    if !tracked.synchronized {
        parts.write("\x1b[?2026l");
    }
    if after_text {
        last_character(screen, &mut pen, &mut parts);
    }
    parts.done.push(parts.open);
    parts.done
}

/// Bytes that bring the cursor of any terminal to where it is in `screen`, with all that a returning cursor brings back.
pub(super) fn cursor_of(screen: &Screen) -> Vec<u8> {
    let mut parts = Parts { done: Vec::new(), open: Vec::new() };
    let touched = screen.tracked.touched;
    let mode = screen.mode();
    if touched.origin {
        parts.write(if mode.contains(TermMode::ORIGIN) { "\x1b[?6h" } else { "\x1b[?6l" });
    }
    let grid = screen.term.grid();
    if touched.charsets {
        parts.write("\x1b(B\x1b)B\x1b*B\x1b+B\x0f");
    }
    let mut pen = if touched.links { Pen::reset(&mut parts.open) } else { Pen::reset_but_link(&mut parts.open) };
    place_cursor(grid, &grid.cursor, origin(screen), &mut pen, &mut parts);
    if touched.charsets {
        charsets(&grid.cursor, &mut parts);
        shift(screen.tracked.charset, &mut parts);
    }
    parts.open
}

/// Bytes that draw the cell before the cursor again, with what joined it; none at the beginning of a row.
pub(super) fn cell_before_cursor_of(screen: &Screen) -> Vec<u8> {
    let Some((row, column)) = screen.before_cursor() else { return Vec::new() };
    let mut parts = Parts { done: Vec::new(), open: Vec::new() };
    let inserts = screen.mode().contains(TermMode::INSERT);
    if screen.tracked.touched.charsets {
        parts.write("\x1b(B\x0f");
    }
    if inserts {
        parts.write("\x1b[4l");
    }
    let mut pen = Pen::reset(&mut parts.open);
    let line = screen.term.grid().cursor.point.line.0 - origin(screen);
    parts.write(&format!("\x1b[{};{}H", line + 1, column + 1));
    draw_cell(row, column, &mut pen, &mut parts);
    pen.change(&Style::plain(), &mut parts.open);
    if inserts {
        parts.write("\x1b[4h");
    }
    parts.open.extend(cursor_of(screen));
    parts.open
}

/// Bytes for a terminal that shows the other screen now: what some have for each screen and others for both.
pub(super) fn switched(screen: &Screen) -> Vec<u8> {
    let tracked = &screen.tracked;
    let whole = 0..i32::from(screen.size().rows);
    let mut parts = Parts { done: Vec::new(), open: Vec::new() };
    if tracked.region != whole || tracked.region_behind != whole {
        parts.write("\x1b[r");
        region(&tracked.region, screen, &mut parts);
    }
    tabs(tracked, &mut parts);
    parts.open
}

/// Bytes that have a terminal show the alternate screen, which the program entered in a way that keeps no cursor for the
/// return: what was kept before stays kept.
pub(super) fn entered(screen: &Screen) -> Vec<u8> {
    let mut parts = Parts { done: Vec::new(), open: Vec::new() };
    if let Some(behind) = &screen.behind {
        parts.write("\x1b(B\x1b)B\x1b*B\x1b+B\x0f\x1b[?6l");
        let mut pen = Pen::reset(&mut parts.open);
        enter_alternate(behind, screen.tracked.main_saved, &mut pen, &mut parts);
        parts.open.extend(switched(screen));
        parts.open.extend(cursor_of(screen));
        // With the ground of the pen that the cursor has now.
        parts.write("\x1b[2J");
    }
    parts.open
}

/// Shows the alternate screen. Doing so keeps a cursor: that which is to be there afterwards.
fn enter_alternate(behind: &Grid<Cell>, saved: Saved, pen: &mut Pen, parts: &mut Parts) {
    save_cursor(behind, &behind.saved_cursor, saved, pen, parts, "\x1b[?1049h");
}

/// Bytes that set the tab stops, and bring the cursor back.
pub(super) fn tabs_of(screen: &Screen) -> Vec<u8> {
    let mut parts = Parts { done: Vec::new(), open: Vec::new() };
    tabs(&screen.tracked, &mut parts);
    parts.open.extend(cursor_of(screen));
    parts.open
}

/// The line, counted from the top, in which the cursor's lines begin.
fn origin(screen: &Screen) -> i32 {
    if screen.mode().contains(TermMode::ORIGIN) { screen.tracked.region.start } else { 0 }
}

/// The scroll region, where it is not the whole screen.
fn region(region: &Range<i32>, screen: &Screen, parts: &mut Parts) {
    if *region != (0..i32::from(screen.size().rows)) {
        parts.write(&format!("\x1b[{};{}r", region.start + 1, region.end));
    }
}

/// Writes the character before the cursor again, with the pen that wrote it.
fn last_character(screen: &Screen, pen: &mut Pen, parts: &mut Parts) {
    let Some((row, column)) = screen.before_cursor() else { return };
    let cursor = &screen.term.grid().cursor;
    if row.get(column).is_none_or(|cell| Style::of(cell) != Style::of(&cursor.template)) {
        return;
    }
    parts.write(&format!("\x1b[{};{}H", cursor.point.line.0 - origin(screen) + 1, column + 1));
    if screen.mode().contains(TermMode::INSERT) {
        let width = if is_second_half(row, column + 1) { 2 } else { 1 };
        parts.write(&format!("\x1b[{width}P"));
    }
    draw_cell(row, column, pen, parts);
}

/// Bytes that bring the settings of any terminal, but for what is drawn and where the cursor is, to those of `screen`.
pub(super) fn settings_of(screen: &Screen) -> Vec<u8> {
    let mut parts = Parts { done: Vec::new(), open: Vec::new() };
    settings(screen, &mut parts);
    keyboard(screen, screen.keyboard(), &mut parts);
    parts.open
}

/// What does not depend on the cursor: title, colours, and the modes of keyboard and mouse.
fn settings(screen: &Screen, parts: &mut Parts) {
    let tracked = &screen.tracked;
    let touched = tracked.touched;
    if touched.title {
        parts.write(&format!("\x1b]2;{}\x1b\\", screen.title()));
    }
    if touched.colors {
        parts.write("\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\");
        for (index, color) in screen.set_colors() {
            let value = format!("rgb:{:02x}/{:02x}/{:02x}", color.r, color.g, color.b);
            match index {
                0..=255 => parts.write(&format!("\x1b]4;{index};{value}\x1b\\")),
                _ => parts.write(&format!("\x1b]{};{value}\x1b\\", index - 256 + 10)),
            }
        }
    }
    if touched.modify_other_keys {
        parts.write(&format!("\x1b[>4;{}m", tracked.modify_other_keys));
    }
    cursor_style(tracked, parts);
    let mode = screen.mode();
    parts.write(if mode.contains(TermMode::APP_KEYPAD) { "\x1b=" } else { "\x1b>" });
    let mut off = Vec::new();
    let mut on = Vec::new();
    for (flag, name) in PRIVATE_MODES {
        let is_mouse = flag.intersects(TermMode::MOUSE_MODE | TermMode::UTF8_MOUSE | TermMode::SGR_MOUSE);
        let touches_drawing = matches!(
            name,
            NamedPrivateMode::Origin
                | NamedPrivateMode::LineWrap
                | NamedPrivateMode::ShowCursor
                | NamedPrivateMode::UrgencyHints
        );
        let untouched = matches!(name, NamedPrivateMode::AlternateScroll) && !touched.alternate_scroll;
        if !touches_drawing && !untouched && !is_mouse {
            if mode.contains(flag) { on.push(name as u16) } else { off.push(name as u16) }
        }
    }
    // Resetting one of a kind ends all of it.
    off.extend([1000, 1005, 1006]);
    let mouse = &tracked.mouse;
    on.extend(mouse.protocol.iter().chain(&mouse.encodings).chain(&tracked.extra_modes).copied());
    for (modes, last) in [(off, 'l'), (on, 'h')] {
        if !modes.is_empty() {
            let list = modes.iter().map(u16::to_string).collect::<Vec<_>>().join(";");
            parts.write(&format!("\x1b[?{list}{last}"));
        }
    }
}

/// The tab stops; leaves the cursor somewhere.
fn tabs(tracked: &Tracked, parts: &mut Parts) {
    if tracked.touched.tabs {
        parts.write("\x1b[3g");
        for (column, _) in tracked.tabs.iter().enumerate().filter(|(_, stop)| **stop) {
            parts.write(&format!("\x1b[{}G\x1bH", column + 1));
        }
    }
}

/// The cursor's shape, and whether it blinks; where both say so, the one said last is written last.
fn cursor_style(tracked: &Tracked, parts: &mut Parts) {
    let blinking = tracked.blinking.map(|blinking| (blinking, if blinking.on { "\x1b[?12h" } else { "\x1b[?12l" }));
    if let Some((_, text)) = blinking.filter(|(blinking, _)| !blinking.is_latest) {
        parts.write(text);
    }
    parts.write(&format!("\x1b[{} q", tracked.style.map_or(0, cursor_style_number)));
    if let Some((_, text)) = blinking.filter(|(blinking, _)| blinking.is_latest) {
        parts.write(text);
    }
}

/// The keyboard modes of the screen that is shown, with what a program's `pop` goes back to.
fn keyboard(screen: &Screen, keyboard: &Keyboard, parts: &mut Parts) {
    if !screen.tracked.touched.kitty {
        return;
    }
    parts.write("\x1b[<64u");
    let mut entries = keyboard.stack.iter().chain([&keyboard.flags]);
    if let Some(first) = entries.next() {
        parts.write(&format!("\x1b[={first};1u"));
    }
    for flags in entries {
        parts.write(&format!("\x1b[>{flags}u"));
    }
}

/// Erases the screen; erasing below from home leaves a viewer's scrollback as it is.
fn clear(pen: &mut Pen, parts: &mut Parts) {
    pen.change(&Style::plain(), &mut parts.open);
    parts.write("\x1b[H\x1b[J");
}

fn draw_grid(grid: &Grid<Cell>, pen: &mut Pen, parts: &mut Parts) {
    let mut wrapped = false;
    let lines = i32::try_from(grid.screen_lines()).unwrap_or(0);
    for line in 0..lines {
        let row = &grid[Line(line)][..];
        let next = if line + 1 < lines { grid[Line(line + 1)][..].first() } else { None };
        wrapped = draw_row(row, next, line, wrapped, pen, parts);
    }
}

/// Draws a row; gives whether it wraps into the next, which then must follow without a move of the cursor. `next` is the
/// first cell of the next row, when there is one.
fn draw_row(row: &[Cell], next: Option<&Cell>, line: i32, wrapped: bool, pen: &mut Pen, parts: &mut Parts) -> bool {
    let wraps = next.is_some() && row.last().is_some_and(|cell| cell.flags.contains(Flags::WRAPLINE));
    let before_wide = next.is_some_and(|cell| cell.flags.contains(Flags::WIDE_CHAR));
    let used = row.iter().rposition(|cell| !is_blank(cell)).map_or(0, |last| last + 1);
    let end = if wraps { row.len() } else { used.max(usize::from(wrapped)) };
    if end == 0 {
        return false;
    }
    if !wrapped {
        parts.write(&format!("\x1b[{}H", line + 1));
    }
    let mut column = 0;
    while column < end {
        parts.may_end();
        let Some(cell) = row.get(column) else { break };
        // The wide character that did not fit here puts this gap by itself when it wraps, with its own style: a gap of
        // another style is put for it.
        let gap = wraps
            && before_wide
            && column + 1 == row.len()
            && cell.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER)
            && Style::of(cell) == Style::plain()
            && next.is_some_and(|next| Style::of(next) == Style::plain());
        if gap || is_second_half(row, column) {
            column += 1;
            continue;
        }
        let run = if column == 0 && wrapped { 0 } else { erased_run(row, column, end - usize::from(wraps)) };
        if run >= RUN {
            let style = Style::of(cell);
            if style != Style::plain() {
                pen.change(&style, &mut parts.open);
                parts.write(&format!("\x1b[{run}X"));
            }
            column += run;
            if column < row.len() {
                parts.write(&format!("\x1b[{run}C"));
            }
            continue;
        }
        draw_cell(row, column, pen, parts);
        column += 1;
    }
    wraps
}

fn draw_cell(row: &[Cell], column: usize, pen: &mut Pen, parts: &mut Parts) {
    let Some(cell) = row.get(column) else { return };
    pen.change(&Style::of(cell), &mut parts.open);
    let (character, joined) = shown(row, column);
    let mut buffer = [0; 4];
    for character in [&character].into_iter().chain(joined) {
        parts.open.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
    }
    let next = column + if is_second_half(row, column + 1) { 2 } else { 1 };
    // Terminals disagree on the width of joined characters: the next one is put where it belongs.
    if !joined.is_empty() && next < row.len() {
        parts.write(&format!("\x1b[{}G", next + 1));
    }
}

/// Whether a cell is as the cleared screen has it.
fn is_blank(cell: &Cell) -> bool {
    (cell.c == ' ' || cell.c == '\t') && is_empty(cell) && Style::of(cell) == Style::plain()
}

fn is_empty(cell: &Cell) -> bool {
    let layout =
        Flags::WRAPLINE.union(Flags::WIDE_CHAR).union(Flags::WIDE_CHAR_SPACER).union(Flags::LEADING_WIDE_CHAR_SPACER);
    !cell.flags.intersects(layout) && cell.zerowidth().is_none_or(<[char]>::is_empty)
}

/// How many cells from `column` on are as erasing with one ground leaves them.
fn erased_run(row: &[Cell], column: usize, end: usize) -> usize {
    let Some(first) = row.get(column) else { return 0 };
    let style = Style::of(first);
    if !style.is_ground() {
        return 0;
    }
    row.iter()
        .take(end)
        .skip(column)
        .take_while(|cell| cell.c == ' ' && is_empty(cell) && Style::of(cell) == style)
        .count()
}

/// Puts the cursor and its style; a cursor that waits behind the last column waits there again.
fn place_cursor(grid: &Grid<Cell>, cursor: &Cursor<Cell>, origin: i32, pen: &mut Pen, parts: &mut Parts) {
    let point = cursor.point;
    let row = &grid[point.line][..];
    let line = (point.line.0 - origin).max(0) + 1;
    let last = last_column(grid);
    if cursor.input_needs_wrap && point.column == last {
        let column = if is_second_half(row, last.0) { Column(last.0.saturating_sub(1)) } else { last };
        parts.write(&format!("\x1b[{line};{}H", column.0 + 1));
        draw_cell(row, column.0, pen, parts);
    } else {
        parts.write(&format!("\x1b[{line};{}H", point.column.0 + 1));
    }
    pen.change(&Style::of(&cursor.template), &mut parts.open);
}

/// Saves the cursor where the program saved it, for its later return, by the sequence `save`. What that depends on is plain
/// before and after.
fn save_cursor(grid: &Grid<Cell>, cursor: &Cursor<Cell>, saved: Saved, pen: &mut Pen, parts: &mut Parts, save: &str) {
    let limit = |at: i32| at.clamp(0, i32::try_from(grid.screen_lines()).unwrap_or(i32::MAX) - 1);
    let mut cursor = cursor.clone();
    cursor.point.line = Line(limit(cursor.point.line.0));
    cursor.point.column = cursor.point.column.min(last_column(grid));
    if saved.origin {
        parts.write("\x1b[?6h");
    }
    place_cursor(grid, &cursor, 0, pen, parts);
    charsets(&cursor, parts);
    shift(saved.charset, parts);
    parts.write(save);
    if saved.origin {
        parts.write("\x1b[?6l");
    }
    parts.write("\x1b(B\x1b)B\x1b*B\x1b+B\x0f");
}

/// Puts a set of characters in use, where it is not the first.
fn shift(charset: CharsetIndex, parts: &mut Parts) {
    parts.write(match charset {
        CharsetIndex::G0 => "",
        CharsetIndex::G1 => "\x0e",
        CharsetIndex::G2 => "\x1bn",
        CharsetIndex::G3 => "\x1bo",
    });
}

fn charsets(cursor: &Cursor<Cell>, parts: &mut Parts) {
    for (index, name) in
        [(CharsetIndex::G0, '('), (CharsetIndex::G1, ')'), (CharsetIndex::G2, '*'), (CharsetIndex::G3, '+')]
    {
        if cursor.charsets[index] == StandardCharset::SpecialCharacterAndLineDrawing {
            parts.write(&format!("\x1b{name}0"));
        }
    }
}

/// The modes that drawing depends on, set when all is drawn.
fn last_modes(mode: TermMode, parts: &mut Parts) {
    let settings = [
        (TermMode::LINE_WRAP, false, "\x1b[?7l"),
        (TermMode::INSERT, true, "\x1b[4h"),
        (TermMode::LINE_FEED_NEW_LINE, true, "\x1b[20h"),
        (TermMode::SHOW_CURSOR, true, "\x1b[?25h"),
    ];
    for (flag, when, text) in settings {
        if mode.contains(flag) == when {
            parts.write(text);
        }
    }
}
