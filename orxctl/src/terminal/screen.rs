//! Writing to the user's terminal. What it does not take at once waits here, within bounds, so that a terminal that takes
//! no more (Ctrl+S, a slow link) does not keep the user from leaving.

use std::io::Result;
use std::time::Duration;

use crate::terminal::tty::Display;

/// Bytes that may wait for the terminal until nothing more is read for it: what waits is old when a terminal that had
/// stopped takes it.
const ROOM: usize = 256 * 1024;
/// How long a terminal may take to show the last bytes.
const LAST: Duration = Duration::from_millis(500);

/// The terminal's output.
#[derive(Debug)]
pub(crate) struct Screen {
    display: Display,
    /// What the terminal has not taken, from `taken` on.
    waiting: Vec<u8>,
    taken: usize,
}

impl Screen {
    /// Opens the terminal.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open() -> Result<Self> {
        Ok(Self { display: Display::open()?, waiting: Vec::new(), taken: 0 })
    }

    /// Whether more may be given to it.
    pub(crate) const fn has_room(&self) -> bool {
        self.waiting.len() < ROOM
    }

    /// Whether something waits for the terminal.
    pub(crate) const fn is_behind(&self) -> bool {
        self.taken < self.waiting.len()
    }

    /// Writes at once, or puts behind what waits already.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        if !self.is_behind() {
            while !rest.is_empty() {
                let count = self.display.write(rest)?;
                if count == 0 {
                    break;
                }
                rest = rest.get(count..).unwrap_or_default();
            }
        }
        self.waiting.extend_from_slice(rest);
        Ok(())
    }

    /// Writes something short, if there is room for it.
    pub(crate) fn remark(&mut self, bytes: &[u8]) {
        if self.has_room() {
            // A terminal that is gone is found by what reads from it.
            let _ = self.write(bytes);
        }
    }

    /// Lets the terminal take some of what waits; may be given up.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) async fn catch_up(&mut self) -> Result<()> {
        self.display.has_room().await?;
        self.taken += self.display.write(self.waiting.get(self.taken..).unwrap_or_default())?;
        if !self.is_behind() {
            self.waiting.clear();
            self.taken = 0;
        }
        Ok(())
    }

    /// Writes the last bytes, even where the terminal takes nothing any more.
    pub(crate) async fn finish(mut self, bytes: &[u8]) {
        let written = async {
            self.write(bytes)?;
            while self.is_behind() {
                self.catch_up().await?;
            }
            Ok::<(), std::io::Error>(())
        };
        // Nobody is left to be told.
        let _ = tokio::time::timeout(LAST, written).await;
    }
}
