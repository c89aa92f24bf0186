//! The connection to Codex's app-server.

use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::translate::PEER;
use crate::channel;
use crate::error::ChannelError;

/// Largest message that is read, in bytes.
const MESSAGE_MAX: usize = 32 * 1024 * 1024;
/// Most bytes that wait to be written.
const WRITE_MAX: usize = 8 * 1024 * 1024;
/// How long a message may take to be handed over.
const SEND: Duration = Duration::from_secs(15);
/// The handshake names a host; the socket has none.
const ADDRESS: &str = "ws://localhost/";

/// A WebSocket on a Unix socket.
#[derive(Debug)]
pub(crate) struct Connection(WebSocketStream<UnixStream>);

impl Connection {
    /// Connects.
    pub(crate) async fn open(socket: &Path) -> Result<Self, ChannelError> {
        let stream =
            UnixStream::connect(socket).await.map_err(|source| ChannelError::Unreachable { peer: PEER, source })?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX))
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_MAX);
        let connected = tokio_tungstenite::client_async_with_config(ADDRESS, stream, Some(config)).await;
        Ok(Self(connected.map_err(failed)?.0))
    }
}

fn failed(error: Error) -> ChannelError {
    match error {
        Error::Capacity(_) => ChannelError::Flood { peer: PEER, what: "a message", limit: MESSAGE_MAX },
        Error::Utf8(_) => ChannelError::Protocol { peer: PEER, why: "text that is no UTF-8".to_owned() },
        Error::Http(response) => {
            ChannelError::Protocol { peer: PEER, why: format!("HTTP status {}", response.status()) }
        }
        other => ChannelError::Broken { peer: PEER, why: other.to_string() },
    }
}

impl channel::Connection for Connection {
    type In = Value;
    type Out = Value;

    async fn next(&mut self) -> Result<Value, ChannelError> {
        loop {
            let message = self
                .0
                .next()
                .await
                .ok_or_else(|| ChannelError::Broken { peer: PEER, why: "it closed the connection".to_owned() })?;
            let bytes = match message.map_err(failed)? {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Close(_) => {
                    return Err(ChannelError::Broken { peer: PEER, why: "it closed the connection".to_owned() });
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            return serde_json::from_slice(&bytes).map_err(|error| ChannelError::Protocol {
                peer: PEER,
                why: format!("a message that is no JSON: {error}"),
            });
        }
    }

    async fn send(&mut self, message: Value) -> Result<(), ChannelError> {
        let sending = self.0.send(Message::text(message.to_string()));
        match tokio::time::timeout(SEND, sending).await {
            Ok(sent) => sent.map_err(failed),
            Err(_) => Err(ChannelError::Late { peer: PEER, what: "take a message", limit: SEND }),
        }
    }
}
