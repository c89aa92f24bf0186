//! A line on standard error that says what is waited for, once the wait is longer than a second.

use std::time::{Duration, Instant};

use crate::figures;
use crate::output::Output;
use crate::text;

/// Waits shorter than this are not spoken of.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the line is drawn anew on a terminal.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// What is waited for.
#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    started: Instant,
    text: String,
    shown: bool,
}

impl Progress {
    /// Begins a wait.
    pub(crate) fn new(output: Output, text: impl Into<String>) -> Self {
        Self { output, started: Instant::now(), text: text.into(), shown: false }
    }

    /// Says something else from now on.
    pub(crate) fn set(&mut self, text: impl Into<String>) {
        let text = text::clean_line(&text.into());
        if text != self.text {
            self.text = text;
            self.tick();
        }
    }

    /// Draws the line where it is due; elsewhere than on a terminal it is written once.
    pub(crate) fn tick(&mut self) {
        let elapsed = self.started.elapsed();
        if elapsed < PATIENCE || self.output.json || (self.shown && !self.output.error_terminal) {
            return;
        }
        if self.output.error_terminal {
            let line = format!("{} ({})", self.text, figures::duration_ms(figures::milliseconds(elapsed)));
            let columns = self.output.columns.unwrap_or(80).saturating_sub(1);
            self.output.error_bytes(format!("\r\u{1b}[K{}", text::shorten(&line, columns)).as_bytes());
        } else {
            self.output.note(&format!("{} ...", self.text));
        }
        self.shown = true;
    }

    /// Takes the line away, so that something else can be written.
    pub(crate) fn clear(&mut self) {
        if self.shown && self.output.error_terminal {
            self.output.error_bytes(b"\r\x1b[K");
        }
    }

    /// Waits for `work` with the line on display.
    pub(crate) async fn during<T>(mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.clear();
                    return done;
                }
                _ = ticks.tick() => self.tick(),
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
