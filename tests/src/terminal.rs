//! A terminal for tests: a program on a PTY, its queries answered, its screen as text.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alacritty_terminal::event::{Event, EventListener, VoidListener, WindowSize};
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::Flags;
use alacritty_terminal::term::{Config, Term, TermMode};
use alacritty_terminal::vte::ansi::{Processor, Rgb};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Columns where a test names none.
const COLS: u16 = 100;
/// Rows where a test names none.
const ROWS: u16 = 40;

type Writer = Arc<Mutex<Box<dyn std::io::Write + Send>>>;

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands the terminal's answers back to the program.
#[derive(Clone)]
struct Answers(Writer);

impl EventListener for Answers {
    fn send_event(&self, event: Event) {
        let answer = match event {
            Event::PtyWrite(text) => text,
            Event::ColorRequest(_, format) => format(Rgb { r: 0, g: 0, b: 0 }),
            Event::TextAreaSizeRequest(format) => {
                format(WindowSize { num_lines: ROWS, num_cols: COLS, cell_width: 8, cell_height: 16 })
            }
            _ => return,
        };
        // A program that ended needs no answer.
        let _ = locked(&self.0).write_all(answer.as_bytes());
    }
}

#[derive(Clone, Copy)]
struct Size {
    cols: u16,
    rows: u16,
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        usize::from(self.rows)
    }

    fn screen_lines(&self) -> usize {
        usize::from(self.rows)
    }

    fn columns(&self) -> usize {
        usize::from(self.cols)
    }
}

/// Lines of scroll-back of a program's terminal.
const SCROLL_BACK: usize = 1000;

/// What a terminal shows that is given these bytes.
pub struct Screen<Listener: EventListener = VoidListener> {
    term: Term<Listener>,
    processor: Processor,
}

impl Screen {
    /// A blank one without scroll-back, whose answers nobody hears.
    #[must_use]
    pub fn new(cols: u16, rows: u16) -> Self {
        Self::with(cols, rows, 0, VoidListener)
    }
}

impl<Listener: EventListener> Screen<Listener> {
    fn with(cols: u16, rows: u16, scrolling_history: usize, listener: Listener) -> Self {
        let config = Config { kitty_keyboard: true, scrolling_history, ..Config::default() };
        Self { term: Term::new(config, &Size { cols, rows }, listener), processor: Processor::new() }
    }

    /// Shows bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.processor.advance(&mut self.term, bytes);
    }

    /// Takes another size.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.term.resize(Size { cols, rows });
    }

    /// A text a row, without trailing blanks.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let grid = self.term.grid();
        let rows = (0..grid.screen_lines()).map(|row| {
            let cells = &grid[Line(i32::try_from(row).unwrap_or(0))];
            let mut text = String::new();
            for cell in (0..grid.columns()).map(|column| &cells[Column(column)]) {
                if !cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
                    text.push(cell.c);
                    text.extend(cell.zerowidth().unwrap_or_default());
                }
            }
            text.trim_end_matches(' ').to_owned()
        });
        rows.collect()
    }

    /// The modes that are set.
    #[must_use]
    pub fn modes(&self) -> TermMode {
        *self.term.mode()
    }
}

/// How much of what is written is kept, in bytes.
const WRITTEN: usize = 64 * 1024;

/// A program on a terminal; it is ended when this is dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    writer: Writer,
    screen: Arc<Mutex<Screen<Answers>>>,
    written: Arc<Mutex<Vec<u8>>>,
    master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts a program with exactly this environment.
    ///
    /// # Errors
    /// When there is no terminal to be had or the program cannot be started.
    pub fn start(argv: &[String], environment: &BTreeMap<String, String>, cwd: &Path) -> anyhow::Result<Self> {
        Self::with_size(argv, environment, cwd, COLS, ROWS)
    }

    /// The same, on a terminal of this size.
    ///
    /// # Errors
    /// As [`Terminal::start`].
    pub fn with_size(
        argv: &[String],
        environment: &BTreeMap<String, String>,
        cwd: &Path,
        cols: u16,
        rows: u16,
    ) -> anyhow::Result<Self> {
        let pair = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 })?;
        let mut command = CommandBuilder::new(&argv[0]);
        command.args(&argv[1..]);
        command.env_clear();
        for (name, value) in environment {
            command.env(name, value);
        }
        command.cwd(cwd);
        let child = pair.slave.spawn_command(command)?;
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader()?;
        let writer: Writer = Arc::new(Mutex::new(pair.master.take_writer()?));
        let screen = Arc::new(Mutex::new(Screen::with(cols, rows, SCROLL_BACK, Answers(Arc::clone(&writer)))));
        let shown = Arc::clone(&screen);
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                locked(&shown).feed(&buffer[..count]);
                let mut kept = locked(&kept);
                kept.extend_from_slice(&buffer[..count]);
                let excess = kept.len().saturating_sub(WRITTEN);
                kept.drain(..excess);
            }
        });
        Ok(Self { child, writer, screen, written, master: pair.master })
    }

    /// Types bytes.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(locked(&self.writer).write_all(bytes)?)
    }

    /// Gives the terminal another size, of which the program is told.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn resize(&self, cols: u16, rows: u16) -> anyhow::Result<()> {
        // Whoever repaints must find the size that it was told.
        let mut screen = locked(&self.screen);
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 })?;
        screen.resize(cols, rows);
        Ok(())
    }

    /// The last that was written to the terminal, whether it shows it or not.
    #[must_use]
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&locked(&self.written)).into_owned()
    }

    /// The screen, a text a row, without trailing blanks.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        locked(&self.screen).lines()
    }

    /// The screen as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The modes that are set.
    #[must_use]
    pub fn modes(&self) -> TermMode {
        locked(&self.screen).modes()
    }

    /// Waits until the screen shows a text.
    ///
    /// # Errors
    /// When it does not within the time; the error shows the screen.
    pub async fn wait_for(&self, text: &str, within: Duration) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        while !self.text().contains(text) {
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "`{text}` never showed; the screen is\n{}",
                self.text()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(pid) = self.child.process_id().and_then(|pid| i32::try_from(pid).ok()) {
            // The program leads its own session, and so its own group.
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
