//! The model of the screen: alacritty's grid and modes, and beside it what alacritty keeps to itself and a redraw needs
//! (title, tabs, scroll region, keyboard modes, the screen behind the alternate one).
//!
//! How sequences change it is in `handler`, how it is drawn elsewhere in [`super::redraw`]. It keeps no
//! scrollback: what scrolled away is in the session's log.

use std::collections::BTreeSet;
use std::ops::Range;

use alacritty_terminal::event::VoidListener;
use alacritty_terminal::grid::{self, Dimensions, Grid};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Config, Osc52, Term, TermMode};
use alacritty_terminal::vte::ansi::{
    CharsetIndex, CursorStyle, Handler, NamedMode, NamedPrivateMode, PrivateMode, Rgb,
};
use orx_protocol::api::session::Cursor;
use orx_protocol::hold::{ScreenText, TerminalSize};
use orx_protocol::limits::TERMINAL_MAX;

use super::changes::mend_whole;
use super::history::{History, keep_pushed_out};

/// Fewest columns of the model: a wide character needs two.
const MIN_COLUMNS: u16 = 2;
/// Columns between tab stops until a program sets its own.
const TAB_WIDTH: usize = 8;
/// Most colours that a program can set: 256, and foreground, background and cursor.
const COLORS: usize = 259;

/// The private modes that alacritty's mode flags hold.
pub(super) const PRIVATE_MODES: [(TermMode, NamedPrivateMode); 13] = [
    (TermMode::APP_CURSOR, NamedPrivateMode::CursorKeys),
    (TermMode::ORIGIN, NamedPrivateMode::Origin),
    (TermMode::LINE_WRAP, NamedPrivateMode::LineWrap),
    (TermMode::SHOW_CURSOR, NamedPrivateMode::ShowCursor),
    (TermMode::MOUSE_REPORT_CLICK, NamedPrivateMode::ReportMouseClicks),
    (TermMode::MOUSE_DRAG, NamedPrivateMode::ReportCellMouseMotion),
    (TermMode::MOUSE_MOTION, NamedPrivateMode::ReportAllMouseMotion),
    (TermMode::FOCUS_IN_OUT, NamedPrivateMode::ReportFocusInOut),
    (TermMode::UTF8_MOUSE, NamedPrivateMode::Utf8Mouse),
    (TermMode::SGR_MOUSE, NamedPrivateMode::SgrMouse),
    (TermMode::ALTERNATE_SCROLL, NamedPrivateMode::AlternateScroll),
    (TermMode::URGENCY_HINTS, NamedPrivateMode::UrgencyHints),
    (TermMode::BRACKETED_PASTE, NamedPrivateMode::BracketedPaste),
];

/// Keyboard modes of the kitty protocol on one screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keyboard {
    /// What `pop` goes back to, oldest first.
    pub(super) stack: Vec<u8>,
    /// The flags in force.
    pub(super) flags: u8,
}

/// What alacritty does not tell of its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) title: Option<String>,
    pub(super) titles: Vec<Option<String>>,
    pub(super) tabs: Vec<bool>,
    /// Scroll region as lines from the top, end excluded.
    pub(super) region: Range<i32>,
    pub(super) charset: CharsetIndex,
    /// What was saved with the cursor of the primary screen.
    pub(super) main_saved: Saved,
    /// What was saved with the cursor of the alternate screen.
    pub(super) alternate_saved: Saved,
    /// The saved cursor of the alternate screen while that is not shown.
    pub(super) alternate_cursor: grid::Cursor<Cell>,
    /// The scroll region when the alternate screen was entered last.
    pub(super) region_behind: Range<i32>,
    pub(super) style: Option<CursorStyle>,
    /// Whether the cursor blinks by mode 12, which leaves its shape alone.
    pub(super) blinking: Option<Blinking>,
    pub(super) main_keyboard: Keyboard,
    pub(super) alternate_keyboard: Keyboard,
    pub(super) modify_other_keys: u8,
    pub(super) mouse: Mouse,
    /// Modes that only viewers' terminals know.
    pub(super) extra_modes: BTreeSet<u16>,
    /// A synchronized update is open.
    pub(super) synchronized: bool,
    /// What the program ever changed, so that a redraw must put it right also on a terminal that saw the change.
    pub(super) touched: Touched,
}

/// What is saved with a cursor, beside what alacritty saves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Saved {
    /// Whether the scroll region was the cursor's origin.
    pub(super) origin: bool,
    /// The set of characters in use.
    pub(super) charset: CharsetIndex,
}

/// The mouse modes in force, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mouse {
    /// What is told.
    pub(super) protocol: Option<u16>,
    /// How it is told: the last counts that a viewer's terminal knows.
    pub(super) encodings: Vec<u16>,
}

/// What mode 12 said of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blinking {
    pub(super) on: bool,
    /// It was said after the cursor got its style, so it counts.
    pub(super) is_latest: bool,
}

/// Settings that a redraw leaves alone until a program changed them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) tabs: bool,
    pub(super) colors: bool,
    pub(super) kitty: bool,
    pub(super) modify_other_keys: bool,
    pub(super) alternate_scroll: bool,
    pub(super) title: bool,
    pub(super) links: bool,
    pub(super) charsets: bool,
    pub(super) origin: bool,
}

impl Tracked {
    fn new(size: TerminalSize) -> Self {
        Self {
            title: None,
            titles: Vec::new(),
            tabs: default_tabs(usize::from(size.cols)),
            region: 0..i32::from(size.rows),
            charset: CharsetIndex::default(),
            main_saved: Saved::default(),
            alternate_saved: Saved::default(),
            alternate_cursor: grid::Cursor::default(),
            region_behind: 0..i32::from(size.rows),
            style: None,
            blinking: None,
            main_keyboard: Keyboard::default(),
            alternate_keyboard: Keyboard::default(),
            modify_other_keys: 0,
            mouse: Mouse::default(),
            extra_modes: BTreeSet::new(),
            synchronized: false,
            touched: Touched::default(),
        }
    }

    /// What a full reset (RIS) leaves: the title, and that what was touched stays touched.
    pub(super) fn reset(&mut self, size: TerminalSize) {
        let (touched, title) = (self.touched, self.title.take());
        let blinking = self.blinking.map(|_| Blinking { on: false, is_latest: false });
        *self = Self { touched, title, blinking, ..Self::new(size) };
    }
}

pub(super) fn default_tabs(columns: usize) -> Vec<bool> {
    (0..columns).map(|column| column % TAB_WIDTH == 0).collect()
}

/// The screen of a program.
pub struct Screen {
    pub(super) term: Term<VoidListener>,
    /// The primary screen while the alternate one is shown.
    pub(super) behind: Option<Grid<Cell>>,
    pub(super) tracked: Tracked,
    /// Answers to queries, for the program to read.
    pub(super) replies: Vec<u8>,
    /// The character that was drawn last, which REP repeats.
    pub(super) last_character: Option<char>,
    /// What scrolls away, where somebody takes it.
    pub(super) history: Option<History>,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("size", &self.size()).field("tracked", &self.tracked).finish_non_exhaustive()
    }
}

/// Size in alacritty's terms.
struct Extent(TerminalSize);

impl Dimensions for Extent {
    fn total_lines(&self) -> usize {
        usize::from(self.0.rows)
    }

    fn screen_lines(&self) -> usize {
        usize::from(self.0.rows)
    }

    fn columns(&self) -> usize {
        usize::from(self.0.cols)
    }
}

/// The size that a screen gets when one of `size` is asked for: within the limits of the contract and of the model.
#[must_use]
pub fn usable(size: TerminalSize) -> TerminalSize {
    let size = size.clamped();
    TerminalSize { cols: size.cols.max(MIN_COLUMNS), ..size }
}

fn blank_term(size: TerminalSize) -> Term<VoidListener> {
    let config = Config { scrolling_history: 0, kitty_keyboard: false, osc52: Osc52::Disabled, ..Config::default() };
    Term::new(config, &Extent(size), VoidListener)
}

impl Screen {
    /// A blank screen.
    #[must_use]
    pub fn new(size: TerminalSize) -> Self {
        let size = usable(size);
        Self {
            term: blank_term(size),
            behind: None,
            tracked: Tracked::new(size),
            replies: Vec::new(),
            last_character: None,
            history: None,
        }
    }

    /// Its size.
    #[must_use]
    pub fn size(&self) -> TerminalSize {
        let narrow = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        TerminalSize { cols: narrow(self.term.columns()), rows: narrow(self.term.screen_lines()) }
    }

    /// The modes that are set.
    #[must_use]
    pub fn mode(&self) -> TermMode {
        *self.term.mode()
    }

    /// Flags of the kitty keyboard protocol in force.
    #[must_use]
    pub fn keyboard_flags(&self) -> u8 {
        self.keyboard().flags
    }

    /// The title that the program set; empty when it set none.
    #[must_use]
    pub fn title(&self) -> &str {
        self.tracked.title.as_deref().unwrap_or_default()
    }

    /// Takes the answers that wait for the program.
    pub fn take_replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.replies)
    }

    pub(super) fn is_alternate(&self) -> bool {
        self.term.mode().contains(TermMode::ALT_SCREEN)
    }

    pub(super) fn keyboard(&self) -> &Keyboard {
        if self.is_alternate() { &self.tracked.alternate_keyboard } else { &self.tracked.main_keyboard }
    }

    pub(super) fn keyboard_mut(&mut self) -> &mut Keyboard {
        if self.is_alternate() { &mut self.tracked.alternate_keyboard } else { &mut self.tracked.main_keyboard }
    }

    /// What was saved with the cursor of the screen that is shown.
    pub(super) fn saved_mut(&mut self) -> &mut Saved {
        if self.is_alternate() { &mut self.tracked.alternate_saved } else { &mut self.tracked.main_saved }
    }

    /// The colours that the program set.
    pub(super) fn set_colors(&self) -> Vec<(usize, Rgb)> {
        let colors = self.term.colors();
        (0..COLORS).filter_map(|index| Some((index, colors[index]?))).collect()
    }

    /// Resets the colours to what the terminal has by itself.
    pub(super) fn reset_colors(&mut self) {
        for index in 0..COLORS {
            self.term.reset_color(index);
        }
    }

    /// Gives the screen another size; the primary screen's lines are wrapped anew.
    ///
    /// alacritty's own resize keeps a thousand spare rows for its scrollback, so the grids move to a new terminal.
    pub fn resize(&mut self, size: TerminalSize) {
        let size = usable(size);
        if size == self.size() {
            return;
        }
        let (lines, columns) = (usize::from(size.rows), usize::from(size.cols));
        let is_alternate = self.is_alternate();
        let mut next = blank_term(size);
        self.copy_modes(&mut next);
        let mut shown = std::mem::replace(self.term.grid_mut(), Grid::new(1, usize::from(MIN_COLUMNS), 0));
        if is_alternate {
            shown.resize(false, lines, columns);
            shown.truncate();
        } else {
            wrap_anew(&mut shown, lines, columns, self.history.as_mut());
        }
        mend(&mut shown);
        if let Some(behind) = self.behind.as_mut() {
            wrap_anew(behind, lines, columns, self.history.as_mut());
            mend(behind);
            *next.grid_mut() = behind.clone();
        }
        if is_alternate {
            next.set_private_mode(NamedPrivateMode::SwapScreenAndSetRestoreCursor.into());
        }
        *next.grid_mut() = shown;
        self.term = next;
        self.tracked.region = 0..i32::from(size.rows);
        self.tracked.region_behind = self.tracked.region.clone();
        let kept = &mut self.tracked.alternate_cursor.point;
        kept.line = kept.line.min(Line(i32::from(size.rows) - 1));
        kept.column = kept.column.min(Column(columns - 1));
        let tabs = &mut self.tracked.tabs;
        let known = tabs.len();
        tabs.resize(columns, false);
        for (column, stop) in tabs.iter_mut().enumerate().skip(known) {
            *stop = column % TAB_WIDTH == 0;
        }
    }

    /// Sets on `next` what is set here, but for the screens.
    fn copy_modes(&self, next: &mut Term<VoidListener>) {
        let mode = self.mode();
        for (flag, name) in PRIVATE_MODES {
            let private = PrivateMode::Named(name);
            if mode.contains(flag) != next.mode().contains(flag) {
                if mode.contains(flag) { next.set_private_mode(private) } else { next.unset_private_mode(private) }
            }
        }
        if mode.contains(TermMode::INSERT) {
            next.set_mode(NamedMode::Insert.into());
        }
        if mode.contains(TermMode::LINE_FEED_NEW_LINE) {
            next.set_mode(NamedMode::LineFeedNewLine.into());
        }
        if mode.contains(TermMode::APP_KEYPAD) {
            next.set_keypad_application_mode();
        }
        next.set_active_charset(self.tracked.charset);
        for (index, color) in self.set_colors() {
            next.set_color(index, color);
        }
    }

    /// The screen as text.
    #[must_use]
    pub fn text(&self) -> ScreenText {
        let size = self.size();
        let grid = self.term.grid();
        let lines = (0..i32::from(size.rows)).map(|line| row_text(&grid[Line(line)][..])).collect();
        let point = grid.cursor.point;
        let on_wide = grid[point.line][point.column].flags.contains(Flags::WIDE_CHAR_SPACER);
        ScreenText {
            cols: size.cols,
            rows: size.rows,
            lines,
            cursor: Cursor {
                row: u16::try_from(point.line.0).unwrap_or(0),
                col: u16::try_from(point.column.0.saturating_sub(usize::from(on_wide))).unwrap_or(0),
                visible: self.mode().contains(TermMode::SHOW_CURSOR),
            },
            title: self.title().to_owned(),
        }
    }
}

/// What a cell shows: its character, and those that join it. A half of a wide character whose other half was overwritten
/// shows nothing.
pub(super) fn shown(row: &[Cell], column: usize) -> (char, &[char]) {
    let Some(cell) = row.get(column) else { return (' ', &[]) };
    let widowed = cell.flags.contains(Flags::WIDE_CHAR) && !is_second_half(row, column + 1);
    if widowed {
        return (' ', &[]);
    }
    let character = if cell.c.is_control() { ' ' } else { cell.c };
    (character, cell.zerowidth().unwrap_or_default())
}

/// Whether a cell is the second half of the wide character before it.
pub(super) fn is_second_half(row: &[Cell], column: usize) -> bool {
    let has = |at: usize, flag| row.get(at).is_some_and(|cell| cell.flags.contains(flag));
    column > 0 && has(column, Flags::WIDE_CHAR_SPACER) && has(column - 1, Flags::WIDE_CHAR)
}

fn row_text(row: &[Cell]) -> String {
    let mut text = String::with_capacity(row.len());
    for column in 0..row.len() {
        if is_second_half(row, column) {
            continue;
        }
        let (character, joined) = shown(row, column);
        text.push(character);
        text.extend(joined);
    }
    text.truncate(text.trim_end_matches(' ').len());
    text
}

/// Rows that a narrower screen may need while its lines are wrapped anew.
const ROWS_IN_BETWEEN: usize = 4 * TERMINAL_MAX as usize;

/// Gives a grid another size and wraps its lines anew. Rows below what was written give way before rows at the top are
/// lost: alacritty counts the blank ones as content, and without a history what it pushes out is gone.
fn wrap_anew(grid: &mut Grid<Cell>, lines: usize, columns: usize, history: Option<&mut History>) {
    grid.update_history(ROWS_IN_BETWEEN);
    if columns != grid.columns() {
        let rows = i32::try_from(grid.screen_lines()).unwrap_or(i32::MAX);
        let written = (0..rows).rev().find(|row| !grid[Line(*row)].is_clear()).unwrap_or(0);
        let used = written.max(grid.cursor.point.line.0).saturating_add(1);
        let used = usize::try_from(used).unwrap_or(1);
        grid.resize(true, used, grid.columns());
        grid.resize(true, used, columns);
    }
    grid.resize(true, lines, columns);
    keep_pushed_out(grid, history);
    grid.update_history(0);
    grid.truncate();
}

/// Blanks the halves of wide characters that a resize cut in two.
fn mend(grid: &mut Grid<Cell>) {
    for line in 0..i32::try_from(grid.screen_lines()).unwrap_or(0) {
        mend_whole(&mut grid[Line(line)][..]);
    }
}

/// The last column of a grid.
pub(super) fn last_column(grid: &Grid<Cell>) -> Column {
    Column(grid.columns().saturating_sub(1))
}
