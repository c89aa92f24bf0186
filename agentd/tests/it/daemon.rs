//! A small daemon: it accepts workers on a real socket, starts the program, and keeps sequences in memory.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use orx_protocol::WorkerId;
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::limits::FRAME_KNOWN;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};

/// Bounds a wait, so that a defect is a failure and not a hang.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("this should have happened long ago")
}

pub(crate) struct Daemon {
    pub(crate) directory: TempDir,
    listener: Option<UnixListener>,
    /// Records by sequence and key.
    kept: HashMap<(String, String), (u64, Value)>,
    counters: HashMap<String, u64>,
}

/// A worker's connection.
pub(crate) struct Link {
    stream: UnixStream,
    decoder: FrameDecoder,
    /// What it registered with.
    pub(crate) registration: Value,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut daemon = Self { directory, listener: None, kept: HashMap::new(), counters: HashMap::new() };
        daemon.listen();
        daemon
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("d.sock")
    }

    pub(crate) fn listen(&mut self) {
        self.stop();
        self.listener = Some(UnixListener::bind(self.socket()).unwrap());
    }

    pub(crate) fn stop(&mut self) {
        self.listener = None;
        let _ = std::fs::remove_file(self.socket());
    }

    #[allow(clippy::disallowed_methods)] // The test starts the program that it tests.
    pub(crate) fn spawn(&self, role: &str, more: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_agentd"))
            .args(["--role", role])
            .args(more)
            .env_clear()
            .env("ORX_HOME", self.directory.path().join("home"))
            .env("ORX_SOCKET", self.socket())
            .env("ORX_LOG", "debug")
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    pub(crate) async fn accept(&self) -> Link {
        let (stream, _) = soon(self.listener.as_ref().unwrap().accept()).await.unwrap();
        Link { stream, decoder: FrameDecoder::new(FRAME_KNOWN), registration: Value::Null }
    }

    /// The next worker that registers.
    pub(crate) async fn worker(&self) -> Link {
        let mut link = self.accept().await;
        let request = link.receive().await.unwrap();
        assert_eq!(request["method"], "worker.register");
        link.registration = request["params"].clone();
        link.answer(&request, json!({ "worker": WorkerId::generate() })).await;
        link
    }

    /// Starts the program and waits for it.
    pub(crate) async fn start_worker(&self, role: &str, more: &[&str]) -> (Child, Link) {
        let child = self.spawn(role, more);
        (child, self.worker().await)
    }

    /// Dispatches a request and serves what the worker asks meanwhile; the answer's body.
    pub(crate) async fn dispatch(&mut self, link: &mut Link, id: &str, method: &str, params: Value) -> Value {
        link.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        loop {
            let body = soon(link.receive()).await.expect("the worker left");
            match body["method"].as_str() {
                None => {
                    assert_eq!(body["id"], id);
                    return body;
                }
                Some("sequence.allocate") => {
                    let kept = self.allocate(&body["params"]);
                    link.answer(&body, kept).await;
                }
                Some("worker.list") => {
                    let worker = json!({
                        "worker": WorkerId::generate(), "role": "naming", "state": "ready", "pid": 7, "capacity": 2,
                        "in_flight": 0, "capabilities": [], "version": "1", "answered": 0, "supervised": true,
                    });
                    link.answer(&body, json!({ "workers": [worker], "supervised": [] })).await;
                }
                Some(other) => panic!("the worker asked for {other}"),
            }
        }
    }

    pub(crate) async fn result(&mut self, link: &mut Link, id: &str, method: &str, params: Value) -> Value {
        let body = self.dispatch(link, id, method, params).await;
        assert!(body.get("error").is_none(), "{body}");
        body["result"].clone()
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    fn allocate(&mut self, params: &Value) -> Value {
        let text = |name: &str| params[name].as_str().unwrap().to_owned();
        let place = (text("name"), text("key"));
        let repeated = self.kept.contains_key(&place);
        let counter = self.counters.entry(text("name")).or_default();
        let (value, record) = self.kept.entry(place).or_insert_with(|| {
            *counter += 1;
            let number = counter.to_string();
            let record = params["record"].to_string().replace("\"{n}\"", &number).replace("{n}", &number);
            (*counter, serde_json::from_str(&record).unwrap())
        });
        json!({ "value": value, "record": record, "repeated": repeated })
    }
}

impl Link {
    pub(crate) async fn receive(&mut self) -> Option<Value> {
        loop {
            if let Some(body) = self.decoder.next().unwrap() {
                return Some(serde_json::from_slice(&body).unwrap());
            }
            let buffer = self.decoder.buffer();
            buffer.reserve(4096);
            if soon(self.stream.read_buf(buffer)).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn send(&mut self, value: &Value) {
        let mut out = BytesMut::new();
        frame::encode(&serde_json::to_vec(value).unwrap(), &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    pub(crate) async fn answer(&mut self, request: &Value, result: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })).await;
    }
}
