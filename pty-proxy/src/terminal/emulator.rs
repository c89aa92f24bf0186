//! One program's terminal: takes what the program writes, keeps the model, answers queries, and gives what viewers and
//! recordings get: whole sequences, without queries.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use alacritty_terminal::vte::ansi::{CursorShape, CursorStyle, Processor, Timeout};
use orx_protocol::hold::{ScreenText, TerminalSize};

use super::answers;
use super::changes::reported_position;
use super::history::Scrolled;
use super::pass;
use super::redraw;
use super::run;
use super::scan::Scanner;
use super::screen::Screen;
use super::sequence::Query;
use super::style;

/// How long a synchronized update may stay open before the screen counts as drawn.
const SYNCHRONIZED_LIMIT: Duration = Duration::from_millis(150);

/// alacritty's own buffering of synchronized updates is off: the model follows the stream, so that answers are given
/// in order and a viewer can join at any time.
#[derive(Default)]
struct NoBuffering;

impl Timeout for NoBuffering {
    fn set_timeout(&mut self, _duration: Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}

/// What viewers get of some output.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Whole sequences, without queries.
    pub bytes: Vec<u8>,
    /// Parts of `bytes` that reach beyond the screen: only raw viewers get them, and no recording keeps them.
    pub private: Vec<Range<usize>>,
}

impl Passed {
    /// What recordings keep, and viewers get that are not raw ones.
    #[must_use]
    pub fn on_screen(&self) -> std::borrow::Cow<'_, [u8]> {
        if self.private.is_empty() {
            return std::borrow::Cow::Borrowed(&self.bytes);
        }
        let mut kept = Vec::with_capacity(self.bytes.len());
        let mut from = 0;
        for part in &self.private {
            kept.extend_from_slice(self.bytes.get(from..part.start).unwrap_or_default());
            from = part.end;
        }
        kept.extend_from_slice(self.bytes.get(from..).unwrap_or_default());
        std::borrow::Cow::Owned(kept)
    }
}

/// A program's terminal.
pub struct Emulator {
    scanner: Scanner,
    drawing: Drawing,
    synchronized_until: Option<Instant>,
}

/// The parser and what it draws on.
pub(super) struct Drawing {
    parser: Processor<NoBuffering>,
    pub(super) screen: Screen,
    /// As for [`run::advance`].
    astray: bool,
    /// The last that viewers got was a character.
    pub(super) follows_text: bool,
    defects: u64,
}

impl Drawing {
    /// A blank screen.
    fn new(size: TerminalSize, defects: u64) -> Self {
        Self { parser: Processor::new(), screen: Screen::new(size), astray: false, follows_text: false, defects }
    }

    /// Lets the model follow `bytes`. A defect in the model must not end somebody's session: it starts anew, blank.
    pub(super) fn draw(&mut self, bytes: &[u8]) {
        self.guard(|drawing| run::advance(&mut drawing.parser, &mut drawing.screen, &mut drawing.astray, bytes));
    }

    pub(super) fn guard(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            let history = self.screen.history.take();
            *self = Self::new(self.screen.size(), self.defects + 1);
            self.screen.history = history;
        }
    }

    pub(super) fn answer(&mut self, query: Query<'_>) {
        let screen = &mut self.screen;
        match query {
            Query::Version => screen.reply(answers::VERSION),
            Query::ColorScheme => screen.reply(answers::COLOR_SCHEME),
            Query::ExtendedCursorPosition => {
                let (row, column) = reported_position(screen);
                screen.reply(&format!("\x1b[?{row};{column};1R"));
            }
            Query::CellPixels => {
                let (width, height) = answers::CELL_PIXELS;
                screen.reply(&format!("\x1b[6;{height};{width}t"));
            }
            Query::Capabilities(names) => screen.reply(&answers::capabilities(names)),
            Query::Setting(setting) => {
                let answer = self.setting(setting);
                self.screen.reply(&answer);
            }
            Query::Silent => {}
        }
    }

    /// The answer to DECRQSS.
    fn setting(&self, setting: &[u8]) -> String {
        let screen = &self.screen;
        let told = match setting {
            b"m" => {
                let mut told = Vec::new();
                style::select(&screen.term.grid().cursor.template, &mut told);
                String::from_utf8_lossy(&told).into_owned()
            }
            b"r" => format!("{};{}r", screen.tracked.region.start + 1, screen.tracked.region.end),
            b" q" => format!("{} q", cursor_style_number(screen.cursor_style())),
            b"\"p" => "62;1\"p".to_owned(),
            _ => return "\x1bP0$r\x1b\\".to_owned(),
        };
        format!("\x1bP1$r{told}\x1b\\")
    }
}

/// The number of DECSCUSR.
pub(super) fn cursor_style_number(style: CursorStyle) -> u8 {
    let steady = u8::from(!style.blinking);
    match style.shape {
        CursorShape::Underline => 3 + steady,
        CursorShape::Beam => 5 + steady,
        CursorShape::Block | CursorShape::HollowBlock | CursorShape::Hidden => 1 + steady,
    }
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator").field("screen", &self.drawing.screen).finish_non_exhaustive()
    }
}

impl Emulator {
    /// A blank terminal.
    #[must_use]
    pub fn new(size: TerminalSize) -> Self {
        Self { scanner: Scanner::default(), drawing: Drawing::new(size, 0), synchronized_until: None }
    }

    /// Takes what the program wrote at `now` and gives what viewers get of it.
    pub fn accept(&mut self, output: &[u8], now: Instant) -> Passed {
        let mut passed = Passed::default();
        self.accept_into(output, now, &mut passed);
        passed
    }

    /// The same with a `passed` that was used before, whose room is used again.
    pub fn accept_into(&mut self, output: &[u8], now: Instant, passed: &mut Passed) {
        passed.bytes.clear();
        passed.private.clear();
        passed.bytes.reserve(output.len());
        let drawing = &mut self.drawing;
        self.scanner.scan(output, |piece| pass::take(drawing, piece, passed));
        if !drawing.screen.tracked.synchronized {
            self.synchronized_until = None;
        } else if self.synchronized_until.is_none() {
            self.synchronized_until = Some(now + SYNCHRONIZED_LIMIT);
        }
    }

    /// When the open synchronized update runs out; `None` when none is open at `now`.
    #[must_use]
    pub fn drawing_until(&self, now: Instant) -> Option<Instant> {
        self.synchronized_until.filter(|until| *until > now)
    }

    /// Ends a synchronized update that ran out of time.
    pub fn expire(&mut self, now: Instant) {
        if self.synchronized_until.is_some_and(|until| until <= now) {
            self.drawing.screen.tracked.synchronized = false;
            self.synchronized_until = None;
        }
    }

    /// Takes the answers that wait for the program.
    pub fn take_replies(&mut self) -> Vec<u8> {
        self.drawing.screen.take_replies()
    }

    /// Gives the terminal another size.
    pub fn resize(&mut self, size: TerminalSize) {
        let screen = &mut self.drawing.screen;
        if catch_unwind(AssertUnwindSafe(|| screen.resize(size))).is_err() {
            self.drawing = Drawing::new(size, self.drawing.defects + 1);
        }
    }

    /// The screen.
    #[must_use]
    pub fn screen(&self) -> &Screen {
        &self.drawing.screen
    }

    /// From now on lines that scroll away wait to be taken.
    pub fn keep_history(&mut self) {
        self.drawing.screen.history.get_or_insert_default();
    }

    /// Takes what scrolled away since the last look; nothing unless [`Self::keep_history`] was asked for.
    pub fn take_scrolled(&mut self) -> Scrolled {
        let mut scrolled = Scrolled::default();
        self.take_scrolled_into(&mut scrolled);
        scrolled
    }

    /// The same in the place of what was taken before, whose room is used again.
    pub fn take_scrolled_into(&mut self, before: &mut Scrolled) {
        match &mut self.drawing.screen.history {
            Some(history) => history.take(before),
            None => *before = Scrolled::default(),
        }
    }

    /// The screen as text.
    #[must_use]
    pub fn text(&self) -> ScreenText {
        self.screen().text()
    }

    /// Bytes that make any terminal show the screen as it is now, in parts that end between sequences.
    #[must_use]
    pub fn redraw(&self) -> Vec<Vec<u8>> {
        redraw::redraw(self.screen(), self.drawing.follows_text)
    }

    /// Bytes of the output that are part of a sequence or character whose rest did not arrive yet; `None` when such a part was
    /// dropped already.
    #[must_use]
    pub fn unfinished(&self) -> Option<usize> {
        self.scanner.unfinished()
    }

    /// How often the model failed and started anew.
    #[must_use]
    pub fn defects(&self) -> u64 {
        self.drawing.defects
    }
}
