//! A small HTTP client that sends what a test wants, also what a browser or an attacker would send.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon's HTTP side, with the local user's token.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens.
    pub address: SocketAddr,
    /// The token, sent unless a request says otherwise.
    pub token: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header as text; empty when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Http {
    /// Sends a request with the token.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.send_bare(method, path, &all, body).await
    }

    /// Sends a request with these headers alone; `host` is added unless it is among them.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn send_bare(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let exchange = async {
            let stream = TcpStream::connect(self.address).await?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let method = Method::from_bytes(method.as_bytes())?;
            let mut request = Request::builder().method(method).uri(path);
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
                request = request.header("host", self.address.to_string());
            }
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
            let driving = tokio::spawn(connection);
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            driving.abort();
            anyhow::Ok(Reply { status: head.status, headers: head.headers, body })
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => panic!("{method} {path}: {error:#}"),
            Err(_) => panic!("{method} {path}: no answer within {} s", PATIENCE.as_secs()),
        }
    }

    /// Calls a method through `POST /rpc`.
    pub async fn rpc(&self, method: &str, params: &Value) -> Reply {
        let body = String::from_utf8(super::wire::body(1, method, params)).expect("JSON is UTF-8");
        self.send("POST", "/rpc", &[("content-type", "application/json")], &body).await
    }

    /// Sends bytes and gives all that comes until the daemon closes or `patience` is over; the flag says whether it closed.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn raw(&self, bytes: &[u8], patience: Duration) -> (Vec<u8>, bool) {
        let mut stream = TcpStream::connect(self.address).await.expect("the daemon listens");
        let mut received = Vec::new();
        // A daemon that refuses at the first byte may close before it has taken the rest.
        let _ = stream.write_all(bytes).await;
        let reading = async {
            let mut chunk = [0; 4096];
            while let Ok(count) = stream.read(&mut chunk).await {
                if count == 0 {
                    break;
                }
                received.extend_from_slice(&chunk[..count]);
            }
        };
        let closed = tokio::time::timeout(patience, reading).await.is_ok();
        (received, closed)
    }
}
