//! An attached terminal: a connection of its own that a JSON request switches over to binary frames.

use std::path::Path;

use bytes::BytesMut;
use orx_protocol::api::session::{AttachParams, Attached, TERMINAL_CODEC};
use orx_protocol::codec;
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::limits::{FRAME_KNOWN, FRAME_TERMINAL};
use orx_protocol::rpc::{self, CallId, Incoming};
use orx_protocol::terminal::{FromViewer, ToViewer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::client::ConnectOptions;
use crate::connection::{open, refusal};
use crate::error::ClientError;

/// Room that is kept free in the buffer before each read, in bytes.
const READ_CHUNK: usize = 16 * 1024;

/// An attached terminal.
#[derive(Debug)]
pub struct Terminal {
    reader: TerminalReader,
    writer: TerminalWriter,
}

/// The half that receives what the terminal shows.
#[derive(Debug)]
pub struct TerminalReader {
    half: OwnedReadHalf,
    decoder: FrameDecoder,
}

/// The half that sends what the user types.
#[derive(Debug)]
pub struct TerminalWriter {
    half: OwnedWriteHalf,
    buffer: BytesMut,
}

impl Terminal {
    /// Attaches to a session.
    ///
    /// # Errors
    /// `NotReachable`; `Rpc` as the daemon answered; `Timeout`, `Closed`; `Protocol` for another codec.
    pub async fn attach(path: &Path, params: AttachParams) -> Result<Self, ClientError> {
        let options = ConnectOptions::default();
        let deadline = options.deadline;
        tokio::time::timeout(deadline, Self::switch_over(path, params, options))
            .await
            .unwrap_or_else(|_| Err(ClientError::Timeout { method: "session.attach".to_owned(), after: deadline }))
    }

    async fn switch_over(path: &Path, params: AttachParams, options: ConnectOptions) -> Result<Self, ClientError> {
        let stream = open(path, options.connect_patience).await?;
        let (read_half, write_half) = stream.into_split();
        let mut reader = TerminalReader { half: read_half, decoder: FrameDecoder::new(FRAME_KNOWN) };
        let mut writer = TerminalWriter { half: write_half, buffer: BytesMut::new() };
        let id = CallId::Number(1);
        let body = rpc::call(Some(&id), "session.attach", &params)?;
        writer.send_body(&body).await?;
        loop {
            let body = reader.body().await?.ok_or(ClientError::Closed)?;
            match Incoming::parse(&body) {
                Ok(Incoming::Answer { id: answered, outcome }) if answered == id => {
                    let attached: Attached = serde_json::from_str(outcome?.get()).map_err(|error| {
                        ClientError::Protocol(format!("the result of `session.attach` has another shape: {error}"))
                    })?;
                    if attached.codec != TERMINAL_CODEC {
                        return Err(ClientError::Protocol(format!(
                            "the terminal's codec is `{}`, this client knows `{TERMINAL_CODEC}`",
                            attached.codec
                        )));
                    }
                    break;
                }
                // A notification may come before the answer.
                Ok(Incoming::Call { id: None, .. }) => {}
                Ok(_) => return Err(ClientError::Protocol("something other than the answer came first".to_owned())),
                Err(bad) => {
                    return Err(refusal(&body).map_or(ClientError::Protocol(bad.error.message), ClientError::Rpc));
                }
            }
        }
        reader.decoder.set_limit(FRAME_TERMINAL);
        Ok(Self { reader, writer })
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// As [`TerminalWriter::send`].
    pub async fn send(&mut self, message: &FromViewer) -> Result<(), ClientError> {
        self.writer.send(message).await
    }

    /// The next frame; `None` when the connection ended.
    ///
    /// # Errors
    /// As [`TerminalReader::next`].
    pub async fn next(&mut self) -> Result<Option<ToViewer>, ClientError> {
        self.reader.next().await
    }

    /// Both halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (TerminalReader, TerminalWriter) {
        (self.reader, self.writer)
    }
}

impl TerminalReader {
    /// The next frame; `None` when the connection ended. It may be dropped while it waits without losing bytes.
    ///
    /// # Errors
    /// `Protocol` for bytes that are no frame of a terminal.
    pub async fn next(&mut self) -> Result<Option<ToViewer>, ClientError> {
        match self.body().await? {
            Some(body) => codec::decode(&body).map(Some).map_err(|error| ClientError::Protocol(error.to_string())),
            None => Ok(None),
        }
    }

    async fn body(&mut self) -> Result<Option<bytes::Bytes>, ClientError> {
        loop {
            match self.decoder.next() {
                Ok(Some(body)) => return Ok(Some(body)),
                Ok(None) => {}
                Err(error) => return Err(ClientError::Protocol(error.to_string())),
            }
            let buffer = self.decoder.buffer();
            buffer.reserve(READ_CHUNK);
            match self.half.read_buf(buffer).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "the terminal's connection could not be read");
                    return Ok(None);
                }
            }
        }
    }
}

impl TerminalWriter {
    /// Sends one frame. Do not drop this while it waits: half a frame would be sent.
    ///
    /// # Errors
    /// `Closed` when the connection ended; `TooLarge` for input that fits no frame.
    pub async fn send(&mut self, message: &FromViewer) -> Result<(), ClientError> {
        let body = encoded(message)?;
        self.send_body(&body).await
    }

    /// Sends one frame whose first bytes `begin` writes, together with what it passes beside them: a descriptor, say. It gives how
    /// many that were, and must not wait. As for [`Self::send`], this must not be dropped while it waits.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub async fn send_beside(
        &mut self,
        message: &FromViewer,
        mut begin: impl FnMut(&UnixStream, &[u8]) -> std::io::Result<usize>,
    ) -> Result<(), ClientError> {
        self.buffer.clear();
        frame::encode(&encoded(message)?, &mut self.buffer)
            .map_err(|error| ClientError::Protocol(error.to_string()))?;
        let stream: &UnixStream = self.half.as_ref();
        let begun = loop {
            stream.writable().await.map_err(|_| ClientError::Closed)?;
            match stream.try_io(Interest::WRITABLE, || begin(stream, &self.buffer)) {
                Ok(begun) => break begun,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(ClientError::Closed),
            }
        };
        let rest = self.buffer.get(begun..).unwrap_or_default();
        self.half.write_all(rest).await.map_err(|_| ClientError::Closed)
    }

    async fn send_body(&mut self, body: &[u8]) -> Result<(), ClientError> {
        self.buffer.clear();
        frame::encode(body, &mut self.buffer).map_err(|error| ClientError::Protocol(error.to_string()))?;
        self.half.write_all(&self.buffer).await.map_err(|_| ClientError::Closed)
    }
}

fn encoded(message: &FromViewer) -> Result<Vec<u8>, ClientError> {
    codec::encode(message).map_err(|_| ClientError::TooLarge {
        method: "terminal input".to_owned(),
        size: match message {
            FromViewer::Input(bytes) | FromViewer::Show(bytes) => bytes.len(),
            FromViewer::Resize { .. }
            | FromViewer::TakeControl
            | FromViewer::Detach
            | FromViewer::Terminal { .. }
            | FromViewer::Ready
            | FromViewer::Understood { .. }
            | FromViewer::Redraw => 0,
        },
        limit: FRAME_TERMINAL,
    })
}
