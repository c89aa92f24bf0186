//! The connection to opencode's server: one that events come on, and one for each request.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::translate::{Call, Input, PEER, Purpose};
use crate::channel;
use crate::error::ChannelError;

/// The user that the server knows.
const USER: &str = "opencode";
/// How long a request may take: a server that was just started loads its plugins with the first.
const ANSWER: Duration = Duration::from_secs(60);
/// Largest answer, in bytes.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// Largest event, in bytes.
const EVENT_MAX: usize = 16 * 1024 * 1024;
/// Most requests under way.
const CALLS: usize = 64;
/// The server says something at least every ten seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// A connection to the server.
pub(crate) struct Connection {
    address: SocketAddr,
    authority: String,
    credentials: String,
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
    pub(crate) async fn open(url: &str, password: &str) -> Result<Self, ChannelError> {
        let (address, authority) = place(url)?;
        let credentials = format!("Basic {}", STANDARD.encode(format!("{USER}:{password}")));
        let (mut sender, mut carrying) = dial(address).await?;
        let request = request(&authority, &credentials, "GET", "/event", None)?;
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
            address,
            authority,
            credentials,
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

/// The socket address of a URL on this machine, and its authority.
fn place(url: &str) -> Result<(SocketAddr, String), ChannelError> {
    let elsewhere = || ChannelError::Address(url.to_owned());
    let authority = url.strip_prefix("http://").ok_or_else(elsewhere)?.trim_end_matches('/');
    let address: SocketAddr = authority.replace("localhost:", "127.0.0.1:").parse().map_err(|_| elsewhere())?;
    if !address.ip().is_loopback() {
        return Err(elsewhere());
    }
    Ok((address, authority.to_owned()))
}

type Dialled = (SendRequest<Full<Bytes>>, BoxFuture<'static, Result<(), hyper::Error>>);

async fn dial(address: SocketAddr) -> Result<Dialled, ChannelError> {
    let stream =
        TcpStream::connect(address).await.map_err(|source| ChannelError::Unreachable { peer: PEER, source })?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    Ok((sender, Box::pin(connection)))
}

fn broken(error: hyper::Error) -> ChannelError {
    ChannelError::Broken { peer: PEER, why: error.to_string() }
}

fn request(
    authority: &str,
    credentials: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Request<Full<Bytes>>, ChannelError> {
    let text = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority)
        .header("authorization", credentials)
        .header("content-type", "application/json")
        .body(Full::new(text))
        .map_err(|error| ChannelError::Protocol { peer: PEER, why: format!("{path}: {error}") })
}

async fn call(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<(u16, Value), ChannelError> {
    let (mut sender, carrying) = dial(address).await?;
    let answering = async {
        let response: Response<Incoming> = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| ChannelError::Broken { peer: PEER, why: error.to_string() })?.to_bytes();
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        Ok((status, serde_json::from_slice(&body).unwrap_or_else(|_| text())))
    };
    let both = async {
        let mut answering = std::pin::pin!(answering);
        tokio::select! {
            biased;
            answered = &mut answering => answered,
            _ = carrying => answering.await,
        }
    };
    match tokio::time::timeout(ANSWER, both).await {
        Ok(answered) => answered,
        Err(_) => Err(ChannelError::Late { peer: PEER, what: "answer", limit: ANSWER }),
    }
}

async fn reply(address: SocketAddr, purpose: Purpose, request: Request<Full<Bytes>>) -> Input {
    let (status, body) = match call(address, request).await {
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
        let request = request(&self.authority, &self.credentials, call.method, &call.path, call.body.as_ref())?;
        self.calls.push(Box::pin(reply(self.address, call.purpose, request)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_never_leaves_the_machine() {
        assert_eq!(place("http://127.0.0.1:4096").unwrap().0, "127.0.0.1:4096".parse().unwrap());
        assert_eq!(place("http://localhost:1/").unwrap().0, "127.0.0.1:1".parse().unwrap());
        for url in ["http://10.0.0.1:4096", "https://127.0.0.1:1", "http://example.org:80", "http://0.0.0.0:80", ""] {
            assert!(matches!(place(url), Err(ChannelError::Address(_))), "{url}");
        }
    }

    #[test]
    fn events_are_cut_at_blank_lines() {
        assert_eq!(event_end(b"data: 1\n\ndata: 2\n\n"), Some((7, 2)));
        assert_eq!(event_end(b"data: 1\r\n\r\nx\n\n"), Some((7, 4)));
        assert_eq!(event_end(b"data: 1\n"), None);
        assert_eq!(data(b"event: x\ndata: {\ndata:}").as_deref(), Some("{\n}"));
        assert_eq!(data(b": keep"), None);
    }
}
