//! The connection to opencode's server: one that events come on, and one for each request.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode};
use serde_json::Value;

use super::server::{ANSWER, Server, broken};
use super::translate::{Call, Input, PEER, Purpose};
use crate::channel;
use crate::error::ChannelError;

/// Largest event, in bytes.
const EVENT_MAX: usize = 16 * 1024 * 1024;
/// Most requests under way.
const CALLS: usize = 64;
/// The server says something at least every ten seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// A connection to the server.
pub(crate) struct Connection {
    server: Server,
    events: Incoming,
    buffer: BytesMut,
    /// Drives the connection that events come on.
    carrying: BoxFuture<'static, Result<(), hyper::Error>>,
    calls: FuturesUnordered<BoxFuture<'static, Input>>,
    /// Keeps the connection of the events open.
    _sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects and listens to the server's events.
    pub(crate) async fn open(server: &Server) -> Result<Self, ChannelError> {
        let request = server.request("GET", "/event", None)?;
        let (mut sender, mut carrying) = server.dial().await?;
        let response = tokio::select! {
            response = sender.send_request(request) => response.map_err(broken)?,
            ended = &mut carrying => {
                let why = ended.err().map_or_else(|| "it closed the connection".to_owned(), |error| error.to_string());
                return Err(ChannelError::Broken { peer: PEER, why });
            }
        };
        if response.status() != StatusCode::OK {
            let why = format!("status {}", response.status());
            return Err(ChannelError::Refused { what: "/event".to_owned(), why });
        }
        Ok(Self {
            server: server.clone(),
            events: response.into_body(),
            buffer: BytesMut::new(),
            carrying,
            calls: FuturesUnordered::new(),
            _sender: sender,
        })
    }

    /// The next whole event in the buffer.
    fn event(&mut self) -> Result<Option<Value>, ChannelError> {
        while let Some((end, skip)) = event_end(&self.buffer) {
            let event = self.buffer.split_to(end);
            self.buffer.advance(skip);
            if let Some(data) = data(&event) {
                return serde_json::from_str(&data).map(Some).map_err(|error| ChannelError::Protocol {
                    peer: PEER,
                    why: format!("an event that is no JSON: {error}"),
                });
            }
        }
        if self.buffer.len() > EVENT_MAX {
            return Err(ChannelError::Flood { peer: PEER, what: "an event", limit: EVENT_MAX });
        }
        Ok(None)
    }
}

/// Where an event ends, and the bytes of the end.
fn event_end(buffer: &[u8]) -> Option<(usize, usize)> {
    let at = |mark: &[u8]| buffer.windows(mark.len()).position(|window| window == mark);
    match (at(b"\n\n"), at(b"\r\n\r\n")) {
        (Some(short), Some(long)) if long < short => Some((long, 4)),
        (Some(short), _) => Some((short, 2)),
        (None, Some(long)) => Some((long, 4)),
        (None, None) => None,
    }
}

/// The data of an event; none for a comment.
fn data(event: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(event);
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

async fn reply(server: Server, purpose: Purpose, request: Request<Full<Bytes>>) -> Input {
    let (status, body) = match server.call(request).await {
        Ok(answered) => answered,
        Err(error) => (0, Value::String(error.to_string())),
    };
    Input::Reply { purpose, status, body }
}

impl channel::Connection for Connection {
    type In = Input;
    type Out = Call;

    async fn next(&mut self) -> Result<Input, ChannelError> {
        loop {
            if let Some(event) = self.event()? {
                return Ok(Input::Event(event));
            }
            let closed = || ChannelError::Broken { peer: PEER, why: "it closed the connection".to_owned() };
            tokio::select! {
                Some(reply) = self.calls.next() => return Ok(reply),
                frame = self.events.frame() => {
                    let frame = frame.ok_or_else(closed)?.map_err(broken)?;
                    if let Ok(bytes) = frame.into_data() {
                        self.buffer.extend_from_slice(&bytes);
                    }
                }
                ended = &mut self.carrying => {
                    return Err(ended.err().map_or_else(closed, broken));
                }
                () = tokio::time::sleep(SILENCE) => {
                    return Err(ChannelError::Late { peer: PEER, what: "say anything", limit: SILENCE });
                }
            }
        }
    }

    async fn send(&mut self, call: Call) -> Result<(), ChannelError> {
        if self.calls.len() >= CALLS {
            return Err(ChannelError::Late { peer: PEER, what: "answer so many requests", limit: ANSWER });
        }
        let request = self.server.request(call.method, &call.path, call.body.as_ref())?;
        self.calls.push(Box::pin(reply(self.server.clone(), call.purpose, request)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_at_blank_lines() {
        assert_eq!(event_end(b"data: 1\n\ndata: 2\n\n"), Some((7, 2)));
        assert_eq!(event_end(b"data: 1\r\n\r\nx\n\n"), Some((7, 4)));
        assert_eq!(event_end(b"data: 1\n"), None);
        assert_eq!(data(b"event: x\ndata: {\ndata:}").as_deref(), Some("{\n}"));
        assert_eq!(data(b": keep"), None);
    }
}
