//! How opencode's server is spoken to: one connection a request, on loopback alone, with its password where it has one.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::translate::PEER;
use crate::error::ChannelError;

/// The user that a server knows which names none.
const USER: &str = "opencode";
/// The header that says which directory a request is about.
const DIRECTORY: &str = "x-opencode-directory";
/// How long a request may take: a server that was just started loads its plugins with the first.
pub(super) const ANSWER: Duration = Duration::from_secs(60);
/// Largest answer, in bytes.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// A server of opencode, and as whom it is spoken to about what.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Its address, on loopback.
    pub url: String,
    /// The user that it knows; its usual one when absent.
    pub user: Option<String>,
    /// Its password, where it has one.
    pub password: Option<String>,
    /// The directory whose conversations are meant; its own when absent.
    pub directory: Option<String>,
}

impl std::fmt::Debug for Server {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// A connection, and what drives it.
pub(super) type Dialled = (SendRequest<Full<Bytes>>, BoxFuture<'static, Result<(), hyper::Error>>);

impl Server {
    /// A request to it.
    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, ChannelError> {
        let (_, authority) = place(&self.url)?;
        let text = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", authority)
            .header("content-type", "application/json");
        if let Some(password) = &self.password {
            let user = self.user.as_deref().unwrap_or(USER);
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            request = request.header("authorization", format!("Basic {credentials}"));
        }
        if let Some(directory) = &self.directory {
            request = request.header(DIRECTORY, encoded(directory));
        }
        request
            .body(Full::new(text))
            .map_err(|error| ChannelError::Protocol { peer: PEER, why: format!("{path}: {error}") })
    }

    /// Connects.
    pub(super) async fn dial(&self) -> Result<Dialled, ChannelError> {
        let (address, _) = place(&self.url)?;
        let stream =
            TcpStream::connect(address).await.map_err(|source| ChannelError::Unreachable { peer: PEER, source })?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        Ok((sender, Box::pin(connection)))
    }

    /// Sends a request and gives the answer's status and body; one that is no JSON is a text.
    pub(super) async fn call(&self, request: Request<Full<Bytes>>) -> Result<(u16, Value), ChannelError> {
        let (mut sender, carrying) = self.dial().await?;
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
}

pub(super) fn broken(error: hyper::Error) -> ChannelError {
    ChannelError::Broken { peer: PEER, why: error.to_string() }
}

/// A text as it is written in a URL or a header.
pub(super) fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
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
    fn a_directory_is_named_whatever_it_is_called() {
        assert_eq!(encoded("/wörk x"), "%2Fw%C3%B6rk%20x");
        let server = Server {
            url: "http://127.0.0.1:1".to_owned(),
            directory: Some("/a\nb".to_owned()),
            password: Some("p".to_owned()),
            ..Server::default()
        };
        let request = server.request("GET", "/path", None).unwrap();
        assert_eq!(request.headers()[DIRECTORY], "%2Fa%0Ab");
        assert_eq!(request.headers()["authorization"], "Basic b3BlbmNvZGU6cA==");
        let open = Server { url: "http://[::1]:1".to_owned(), ..Server::default() };
        assert!(!open.request("GET", "/path", None).unwrap().headers().contains_key("authorization"));
    }
}
