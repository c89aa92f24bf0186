//! A session on a terminal: what the program writes goes to the model, the files and the viewers; what is typed goes to
//! the program.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use orx_protocol::api::session::ScrollbackPage;
use orx_protocol::hold::{ScrollbackParams, TerminalSize, file};
use orx_protocol::process::Exit;
use orx_protocol::rpc::CallId;

use super::ahead::Reached;
use super::pipes::LOG_MARKER;
use super::state::{self, Rebuilt, ScreenState};
use super::watch::Watchers;
use crate::input::keys::KeyModes;
use crate::input::typist::Typist;
use crate::link::control::Control;
use crate::output::append::{AppendFile, LIMIT};
use crate::output::moments::Moments;
use crate::output::recording::Recording;
use crate::output::scrollback::Scrollback;
use crate::process::child::Terminal;
use crate::terminal::emulator::{Emulator, Passed};
use crate::terminal::history::Scrolled;
use crate::terminal::screen;

/// Sizes that follow each other faster than this are taken together.
const RESIZE_PAUSE: Duration = Duration::from_millis(15);
/// How often a terminal that nobody has open is looked at, while the program lives.
const REOPEN_POLL: Duration = Duration::from_millis(250);

/// A request that waits for its answer: the connection, and the request's identifier.
pub(super) type Ticket = (u64, CallId);

/// The files of a session on a terminal.
pub(super) struct TerminalFiles {
    output: AppendFile,
    recording: Recording,
    moments: Moments,
    scrollback: Scrollback,
    state: ScreenState,
}

impl TerminalFiles {
    pub(super) fn open(
        directory: &Path,
        size: TerminalSize,
        started_at_ms: u64,
        now: Instant,
    ) -> std::io::Result<Self> {
        let kind = std::env::var("TERM").unwrap_or_else(|_| "xterm-256color".to_owned());
        Ok(Self {
            output: AppendFile::open(&directory.join(file::OUTPUT), LIMIT)?,
            moments: Moments::open(&directory.join(file::MOMENTS), 0)?,
            scrollback: Scrollback::open(directory)?,
            recording: Recording::begin(&directory.join(file::RECORDING), size, &kind, started_at_ms, now)?,
            state: ScreenState::begin(directory, size)?,
        })
    }

    /// The files of another holder, of whose output `since` bytes came after it kept the screen.
    pub(super) fn go_on(directory: &Path, since: u64, now: Instant) -> std::io::Result<Self> {
        let recording = Recording::go_on(&directory.join(file::RECORDING), now)?;
        Ok(Self {
            output: AppendFile::open(&directory.join(file::OUTPUT), LIMIT)?,
            moments: Moments::open(&directory.join(file::MOMENTS), recording.position().1)?,
            scrollback: Scrollback::open(directory)?,
            recording,
            state: ScreenState::go_on(directory, since),
        })
    }
}

/// A session on a terminal.
pub(super) struct TerminalSession {
    terminal: Terminal,
    /// Nobody has the terminal open, when `Some`: it is looked at again at that time.
    closed_until: Option<Instant>,
    pub(super) emulator: Emulator,
    /// What viewers get of the last read.
    pub(super) passed: Passed,
    /// What scrolled away with that.
    scrolled: Scrolled,
    pub(super) typist: Typist<Ticket>,
    pub(super) control: Control,
    files: TerminalFiles,
    wanted_size: Option<TerminalSize>,
    resized_at: Instant,
    /// Requests for the screen that wait for the end of a synchronized update.
    pub(super) screens: Vec<Ticket>,
    /// Who is told of what changes.
    pub(super) watchers: Watchers,
}

impl TerminalSession {
    pub(super) fn new(terminal: Terminal, files: TerminalFiles, size: TerminalSize, now: Instant) -> Self {
        let mut emulator = Emulator::new(size);
        emulator.keep_history();
        Self {
            terminal,
            closed_until: None,
            emulator,
            passed: Passed::default(),
            scrolled: Scrolled::default(),
            typist: Typist::default(),
            control: Control::default(),
            files,
            wanted_size: None,
            resized_at: now.checked_sub(RESIZE_PAUSE).unwrap_or(now),
            screens: Vec::new(),
            watchers: Watchers::default(),
        }
    }

    /// Goes on where another holder stopped.
    pub(super) fn go_on(terminal: Terminal, files: TerminalFiles, rebuilt: Rebuilt, now: Instant) -> Self {
        let size = rebuilt.emulator.screen().size();
        if !rebuilt.complete {
            // The program is asked to draw anew what the log does not have: a change of the size makes it do so.
            let other = TerminalSize { rows: if size.rows > 1 { size.rows - 1 } else { 2 }, ..size };
            let _ = terminal.resize(other).and_then(|()| terminal.resize(size));
        }
        let mut emulator = rebuilt.emulator;
        emulator.keep_history();
        Self { emulator, ..Self::new(terminal, files, size, now) }
    }

    /// The terminal itself, whoever has it open.
    pub(super) fn descriptor(&self) -> &std::fs::File {
        &self.terminal.master
    }

    /// Puts on disk what another holder would go on from; `every` is as for [`ScreenState::keep_if_due`].
    pub(super) fn keep(&mut self, every: u64) {
        self.files.state.keep_if_due(self.files.output.end(), &self.emulator, every);
    }

    /// The same at the end of a round.
    pub(super) fn keep_round(&mut self) {
        self.keep(state::EVERY);
    }

    /// Writes all that waits for its files.
    pub(super) fn flush(&mut self) {
        self.files.output.flush();
        self.files.recording.file().flush();
        self.files.scrollback.flush();
    }

    /// The master, while somebody has the terminal open.
    pub(super) fn master(&self) -> Option<&std::fs::File> {
        self.closed_until.is_none().then_some(&self.terminal.master)
    }

    pub(super) fn is_drained(&self) -> bool {
        self.closed_until.is_some()
    }

    /// A read ended like this.
    pub(super) fn reached(&mut self, reached: Reached, now: Instant) {
        match reached {
            Reached::Full => {}
            Reached::Empty => self.closed_until = None,
            Reached::Closed => self.closed_until = Some(now + REOPEN_POLL),
        }
    }

    /// Where the log ends, with what waits to be written to it.
    pub(super) fn log_end(&self) -> u64 {
        self.files.output.end()
    }

    /// Lets the model follow output of the program; what viewers get is in `passed`, and [`Self::keep_output`] is next.
    pub(super) fn draw(&mut self, output: &[u8], now: Instant) {
        self.emulator.accept_into(output, now, &mut self.passed);
        let replies = self.emulator.take_replies();
        self.typist.reply(&replies);
        let emulator = &self.emulator;
        self.typist.look(|| emulator.text().lines);
    }

    /// Puts output that was drawn into the session's files. From then on a holder that is killed loses none of it.
    pub(super) fn keep_output(&mut self, output: &[u8], now: Instant) {
        self.files.output.append(output, LOG_MARKER, now);
        self.files.output.flush();
        self.files.state.passed(output.len());
        self.watchers.output(output, now);
        self.files.recording.output(&self.passed.on_screen(), now);
        self.keep_moment();
        self.keep_scrolled(now);
    }

    /// Keeps a picture of the screen beside the recording now and then.
    fn keep_moment(&mut self) {
        let (at, end) = self.files.recording.position();
        if self.files.moments.is_due(end) {
            let screen = self.emulator.redraw().concat();
            self.files.moments.keep(at, end, self.emulator.screen().size(), &screen);
        }
    }

    /// Keeps the lines that scrolled away.
    fn keep_scrolled(&mut self, now: Instant) {
        self.emulator.take_scrolled_into(&mut self.scrolled);
        if self.scrolled.cleared {
            self.files.scrollback.clear();
        }
        if !self.scrolled.lines.is_empty() {
            // As with the output: a holder that is killed loses none of it.
            self.files.scrollback.append(&self.scrolled.lines, now);
            self.files.scrollback.flush();
        }
    }

    /// A page of the lines that scrolled away.
    pub(super) fn scrollback(&self, params: ScrollbackParams) -> std::io::Result<ScrollbackPage> {
        self.files.scrollback.page(params.from, params.limit as usize, params.styled)
    }

    /// Writes what is to be typed; gives the requests that are done by that.
    pub(super) fn write(&mut self, now: Instant, last_output: Instant) -> Vec<Ticket> {
        let mut done = Vec::new();
        loop {
            let next = self.typist.next(now, last_output);
            if next.is_empty() {
                return done;
            }
            match self.terminal.master.write(next) {
                Ok(count) => done.extend(self.typist.wrote(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return done,
            }
        }
    }

    /// Whether something waits to be typed that the terminal did not take yet.
    pub(super) fn wants_to_write(&mut self, now: Instant, last_output: Instant) -> bool {
        !self.typist.next(now, last_output).is_empty()
    }

    pub(super) fn want_size(&mut self, size: TerminalSize) {
        self.wanted_size = Some(screen::usable(size));
    }

    /// Gives the terminal the size that is wanted, when there is another one and it is time; gives that size.
    pub(super) fn take_size(&mut self, now: Instant, at_once: bool) -> Option<TerminalSize> {
        if !at_once && now < self.resized_at + RESIZE_PAUSE {
            return None;
        }
        let size = self.wanted_size.take().filter(|size| *size != self.emulator.screen().size())?;
        self.resized_at = now;
        // A program that is gone has no terminal to resize; the model still follows its viewers.
        let _ = self.terminal.resize(size);
        self.emulator.resize(size);
        self.keep_scrolled(now);
        self.watchers.resized(now);
        self.files.recording.resize(size, now);
        self.files.state.resized(self.files.output.end(), size);
        Some(size)
    }

    /// The modes that choose how keys are typed.
    pub(super) fn key_modes(&self) -> KeyModes {
        let screen = self.emulator.screen();
        KeyModes::new(screen.mode(), screen.keyboard_flags())
    }

    /// Does what is due at `now`.
    pub(super) fn expire(&mut self, now: Instant) {
        self.emulator.expire(now);
        self.files.output.flush_if_due(now);
        self.files.recording.file().flush_if_due(now);
        self.files.scrollback.flush_if_due(now);
    }

    /// Whether the closed terminal is to be looked at again.
    pub(super) fn looks_again(&self, now: Instant) -> bool {
        self.closed_until.is_some_and(|until| until <= now)
    }

    /// When something is due.
    pub(super) fn wakes_at(&mut self, now: Instant, last_output: Instant) -> Option<Instant> {
        let resize = self.wanted_size.map(|_| self.resized_at + RESIZE_PAUSE);
        [
            self.emulator.drawing_until(now),
            self.files.output.due(),
            self.files.recording.file().due(),
            self.files.scrollback.due(),
            self.typist.wakes_at(last_output),
            resize,
            self.closed_until,
            self.watchers.wakes_at(self.emulator.drawing_until(now)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Writes the end of the recording and all that waits.
    pub(super) fn end_files(&mut self, exit: Option<Exit>, now: Instant) {
        self.files.output.flush();
        self.files.scrollback.flush();
        self.files.recording.end(exit, now);
    }

    pub(super) fn lost(&mut self) -> u64 {
        self.files.output.lost() + self.files.recording.file().lost()
    }

    pub(super) fn complaints(&mut self) -> Vec<String> {
        let mut complaints: Vec<String> = self.files.output.complaint(file::OUTPUT).into_iter().collect();
        complaints.extend(self.files.recording.file().complaint(file::RECORDING));
        complaints.extend(self.files.scrollback.complaint());
        if self.emulator.defects() > 0 {
            complaints.push(format!("the model of the screen failed and began anew {} times", self.emulator.defects()));
        }
        complaints
    }
}
