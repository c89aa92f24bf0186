//! A terminal for tests: a program on a PTY, its queries answered, its screen as text.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alacritty_terminal::event::{Event, EventListener, WindowSize};
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::{Config, Term};
use alacritty_terminal::vte::ansi::{Processor, Rgb};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Columns.
const COLS: u16 = 100;
/// Rows.
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

struct Size;

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        usize::from(ROWS)
    }

    fn screen_lines(&self) -> usize {
        usize::from(ROWS)
    }

    fn columns(&self) -> usize {
        usize::from(COLS)
    }
}

/// A program on a terminal; it is ended when this is dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    writer: Writer,
    screen: Arc<Mutex<Term<Answers>>>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts a program with exactly this environment.
    ///
    /// # Errors
    /// When there is no terminal to be had or the program cannot be started.
    pub fn start(argv: &[String], environment: &BTreeMap<String, String>, cwd: &Path) -> anyhow::Result<Self> {
        let pair = native_pty_system().openpty(PtySize { rows: ROWS, cols: COLS, pixel_width: 0, pixel_height: 0 })?;
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
        let screen = Arc::new(Mutex::new(Term::new(Config::default(), &Size, Answers(Arc::clone(&writer)))));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut processor: Processor = Processor::new();
            let mut buffer = [0; 8192];
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                processor.advance(&mut *locked(&shown), &buffer[..count]);
            }
        });
        Ok(Self { child, writer, screen, _master: pair.master })
    }

    /// Types bytes.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(locked(&self.writer).write_all(bytes)?)
    }

    /// The screen as text, a line a row.
    #[must_use]
    pub fn text(&self) -> String {
        let screen = locked(&self.screen);
        let grid = screen.grid();
        let rows = (0..ROWS).map(|row| {
            let cells = &grid[Line(i32::from(row))];
            let row: String = (0..usize::from(COLS)).map(|column| cells[Column(column)].c).collect();
            row.trim_end().to_owned()
        });
        rows.collect::<Vec<_>>().join("\n")
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
