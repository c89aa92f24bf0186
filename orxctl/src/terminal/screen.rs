//! Writing to the user's terminal from a thread of its own, so that a terminal that takes no more (Ctrl+S, a slow link)
//! does not keep the user from leaving.

use std::io::Write;
use std::time::Duration;

use tokio::sync::mpsc::{self, error::SendError};
use tokio::task::JoinSet;

/// Pieces that may wait for the terminal, of up to 64 KiB each: what waits is old when a terminal that had stopped takes it.
const QUEUE: usize = 4;
/// How long a terminal may take to show the last bytes.
const LAST: Duration = Duration::from_millis(500);

/// The terminal's output.
#[derive(Debug)]
pub(crate) struct Screen {
    queue: mpsc::Sender<Vec<u8>>,
    thread: JoinSet<()>,
}

impl Screen {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        let (queue, mut pieces) = mpsc::channel::<Vec<u8>>(QUEUE);
        let mut thread = JoinSet::new();
        thread.spawn_blocking(move || {
            while let Some(piece) = pieces.blocking_recv() {
                let mut stdout = std::io::stdout().lock();
                if stdout.write_all(&piece).and_then(|()| stdout.flush()).is_err() {
                    return;
                }
            }
        });
        Self { queue, thread }
    }

    /// A place in the queue; waiting for one may be given up.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn reserve(&self) -> impl Future<Output = Result<mpsc::OwnedPermit<Vec<u8>>, SendError<()>>> + use<> {
        self.queue.clone().reserve_owned()
    }

    /// Writes something short if there is room for it.
    pub(crate) fn try_write(&self, bytes: Vec<u8>) {
        // A remark that has no room is not worth a wait.
        let _ = self.queue.try_send(bytes);
    }

    /// Writes the last bytes and ends, even where the terminal takes nothing any more.
    pub(crate) async fn finish(mut self, bytes: Vec<u8>) {
        let written = async {
            let sent = self.queue.send(bytes).await;
            drop(self.queue);
            if sent.is_ok() {
                self.thread.join_next().await;
            }
        };
        let _ = tokio::time::timeout(LAST, written).await;
    }
}
