//! A scripted daemon: it accepts on a real socket and does what the test says.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use orx_client::{Client, ConnectOptions};
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::limits::FRAME_TERMINAL;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Bounds a wait, so that a defect is a failure and not a hang.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("this should have happened long ago")
}

/// The listening side.
pub(crate) struct Server {
    directory: TempDir,
    listener: Option<UnixListener>,
}

/// One accepted connection.
pub(crate) struct Peer {
    pub(crate) stream: UnixStream,
    pub(crate) decoder: FrameDecoder,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut server = Self { directory: tempfile::tempdir().unwrap(), listener: None };
        server.restart();
        server
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("d.sock")
    }

    /// Stops listening.
    pub(crate) fn stop(&mut self) {
        self.listener = None;
        let _ = std::fs::remove_file(self.path());
    }

    /// Listens anew; connections that nobody accepted are gone.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.listener = Some(UnixListener::bind(self.path()).unwrap());
    }

    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = soon(self.listener.as_ref().unwrap().accept()).await.unwrap();
        Peer { stream, decoder: FrameDecoder::new(FRAME_TERMINAL) }
    }

    pub(crate) async fn connect(&self) -> (Client, Peer) {
        self.connect_with(ConnectOptions::default()).await
    }

    pub(crate) async fn connect_with(&self, options: ConnectOptions) -> (Client, Peer) {
        let path = self.path();
        let (client, peer) = tokio::join!(Client::connect_with(&path, options), self.accept());
        (client.unwrap(), peer)
    }
}

impl Peer {
    /// The next body; `None` when the client closed.
    pub(crate) async fn receive_body(&mut self) -> Option<bytes::Bytes> {
        loop {
            if let Some(body) = self.decoder.next().unwrap() {
                return Some(body);
            }
            let buffer = self.decoder.buffer();
            buffer.reserve(4096);
            if self.stream.read_buf(buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn receive(&mut self) -> Option<Value> {
        self.receive_body().await.map(|body| serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send(&mut self, value: &Value) {
        self.send_bytes(&framed(&serde_json::to_vec(value).unwrap())).await;
    }

    /// Answers the next request.
    pub(crate) async fn answer_next(&mut self, result: Value) {
        let request = self.receive().await.unwrap();
        self.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })).await;
    }
}

pub(crate) fn framed(body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    frame::encode(body, &mut out).unwrap();
    out
}
