//! The connection to a session's holder: what it shows, and a queue of what the user typed.

use std::path::Path;

use orx_client::{ClientError, Terminal, TerminalReader};
use orx_protocol::SessionId;
use orx_protocol::api::session::{AttachMode, AttachParams};
use orx_protocol::hold::TerminalSize;
use orx_protocol::terminal::FromViewer;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;

/// Messages that may wait for a program that reads slowly: with the reads of [`super::tty`] some megabytes of paste.
const QUEUE: usize = 1024;

/// An attached connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// What comes from the holder.
    pub(crate) reader: TerminalReader,
    queue: mpsc::Sender<FromViewer>,
    sender: JoinSet<()>,
}

/// What could not be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// The program has not read what was typed before.
    Full,
    /// The connection is gone.
    Closed,
}

impl Link {
    /// Attaches to a session.
    ///
    /// # Errors
    /// As the daemon says.
    pub(crate) async fn open(
        path: &Path,
        session: SessionId,
        size: TerminalSize,
        mode: AttachMode,
        raw: bool,
    ) -> Result<Self, ClientError> {
        let terminal =
            Terminal::attach(path, AttachParams { session, cols: size.cols, rows: size.rows, mode, raw }).await?;
        let (reader, mut writer) = terminal.split();
        let (queue, mut messages) = mpsc::channel(QUEUE);
        let mut sender = JoinSet::new();
        sender.spawn(async move {
            while let Some(message) = messages.recv().await {
                if writer.send(&message).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { reader, queue, sender })
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`NotSent`].
    pub(crate) fn send(&self, message: FromViewer) -> Result<(), NotSent> {
        self.queue.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => NotSent::Full,
            TrySendError::Closed(_) => NotSent::Closed,
        })
    }

    /// Sends what is queued and a farewell, for at most a moment, and closes.
    pub(crate) async fn close(mut self) {
        let farewell = async {
            // A connection that is gone already needs no farewell.
            let _ = self.queue.send(FromViewer::Detach).await;
            drop(self.queue);
            self.sender.join_next().await;
        };
        let _ = tokio::time::timeout(std::time::Duration::from_millis(500), farewell).await;
    }
}
