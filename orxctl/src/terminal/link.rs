//! The connection to a session's holder: what it shows, and a queue of what the user typed, or of the user's terminal itself.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use orx_client::{ClientError, Terminal, TerminalReader};
use orx_protocol::SessionId;
use orx_protocol::api::session::{AttachMode, AttachParams};
use orx_protocol::hold::TerminalSize;
use orx_protocol::terminal::modes::Set;
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_sandbox::descriptors;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;

/// Messages that may wait for a program that reads slowly: with the reads of [`super::tty`] some megabytes of paste.
const QUEUE: usize = 1024;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// What goes to the holder.
#[derive(Debug)]
enum Message {
    Frame(FromViewer),
    /// The user's terminal, of which the holder also reads the keys or not.
    Terminal(File, bool),
}

/// An attached connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// What comes from the holder.
    pub(crate) reader: TerminalReader,
    queue: mpsc::Sender<Message>,
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
                let sent = match message {
                    Message::Frame(frame) => writer.send(&frame).await,
                    Message::Terminal(terminal, keyboard) => {
                        let frame = FromViewer::Terminal { keyboard };
                        let begin = |stream: &tokio::net::UnixStream, bytes: &[u8]| {
                            descriptors::send(stream.as_fd(), bytes, &[terminal.as_fd()])
                        };
                        writer.send_beside(&frame, begin).await
                    }
                };
                if sent.is_err() {
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
        self.queue(Message::Frame(message))
    }

    /// Queues the user's terminal.
    ///
    /// # Errors
    /// [`NotSent`].
    pub(crate) fn hand_over(&self, terminal: File, keyboard: bool) -> Result<(), NotSent> {
        self.queue(Message::Terminal(terminal, keyboard))
    }

    fn queue(&self, message: Message) -> Result<(), NotSent> {
        self.queue.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => NotSent::Full,
            TrySendError::Closed(_) => NotSent::Closed,
        })
    }

    /// Sends what is queued and a farewell, for at most a moment, and closes; a holder that has the user's terminal has left it then.
    /// Gives what is set on that by now, where the holder said so.
    pub(crate) async fn close(mut self) -> Option<Set> {
        let mut set = None;
        let farewell = async {
            // A connection that is gone already needs no farewell.
            let _ = self.queue.send(Message::Frame(FromViewer::Detach)).await;
            drop(self.queue);
            self.sender.join_next().await;
            while let Ok(Some(frame)) = self.reader.next().await {
                if let ToViewer::Modes(newer) = frame {
                    set = Some(newer);
                }
            }
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        set
    }
}
