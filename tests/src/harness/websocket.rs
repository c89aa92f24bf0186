//! A WebSocket client for tests: JSON-RPC bodies as text messages, and whatever else a test wants to send.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Http;

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to `/ws`.
#[derive(Debug)]
pub struct WebSocket {
    stream: WebSocketStream<TcpStream>,
    next_id: u64,
}

impl WebSocket {
    /// Opens a connection with the token and these further headers.
    ///
    /// # Errors
    /// The status with which the daemon refused the upgrade.
    pub async fn open(http: &Http, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let bearer = format!("Bearer {}", http.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        Self::open_bare(http, path, &all).await
    }

    /// Opens a connection with these headers alone.
    ///
    /// # Errors
    /// The status with which the daemon refused the upgrade.
    ///
    /// # Panics
    /// When nobody listens, or the answer is no HTTP.
    pub async fn open_bare(http: &Http, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{}{path}", http.address).into_client_request().expect("the address is good");
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        let stream = TcpStream::connect(http.address).await.expect("the daemon listens");
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((stream, _)) => Ok(Self { stream, next_id: 1 }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the upgrade failed: {error}"),
        }
    }

    /// Sends any message; gives whether the daemon took it.
    pub async fn send(&mut self, message: Message) -> bool {
        self.stream.send(message).await.is_ok()
    }

    /// The next message; `None` at the end of the connection.
    ///
    /// # Panics
    /// When nothing comes in time.
    pub async fn receive(&mut self) -> Option<Message> {
        tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("a message in time")?.ok()
    }

    /// Calls a method.
    ///
    /// # Errors
    /// The JSON-RPC error object that was answered.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.next_id;
        self.next_id += 1;
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        assert!(self.send(Message::text(body.to_string())).await, "`{method}` could not be sent");
        while let Some(message) = self.receive().await {
            let Message::Text(text) = message else { continue };
            let mut answer: Value = serde_json::from_str(&text).expect("the daemon sends JSON");
            if answer["id"] == json!(id) {
                return if answer.get("error").is_some() {
                    Err(answer["error"].take())
                } else {
                    Ok(answer["result"].take())
                };
            }
        }
        panic!("`{method}` was not answered: the connection ended")
    }

    /// The code with which the daemon closes; `None` when it just ends the connection.
    pub async fn close_code(&mut self) -> Option<u16> {
        while let Some(message) = self.receive().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    }

    /// The TCP connection below.
    #[must_use]
    pub fn into_tcp(self) -> TcpStream {
        self.stream.into_inner()
    }
}
