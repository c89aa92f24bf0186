//! A holder under test, and a small blocking client of its socket.

#![allow(dead_code, unreachable_pub)] // Each test binary uses its own part of this.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::hold::{Ended, HoldSpec, Holder, ScreenText, Started, TerminalSize, file, method};
use orx_protocol::id::SessionId;
use orx_protocol::process::ProcessIdentity;
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_protocol::{RpcError, codec, limits};
use orx_sandbox::environment::{self, Environment};
use orx_sandbox::{identity, spawn, tree};
use serde_json::{Value, json};

/// Longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const SIZE: TerminalSize = TerminalSize { cols: 80, rows: 24 };

/// Waits until `probe` gives something.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        let _ = nix::poll::poll(&mut [], 5u8);
    }
}

/// A session's directory, and the holder when it was started. What still runs at the end is killed.
pub struct Session {
    pub scratch: tempfile::TempDir,
    pub spec: HoldSpec,
    pub holder: Option<Holder>,
}

pub fn environment() -> Environment {
    let mut own = environment::base(&environment::own());
    own.insert("TERM".into(), "xterm-256color".into());
    own
}

pub fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|argument| (*argument).to_owned()).collect()
}

impl Session {
    /// A description that was not started yet.
    pub fn describe(argv: &[&str]) -> Self {
        let scratch = tempfile::Builder::new().prefix("hold").tempdir().unwrap();
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let socket = scratch.path().join("socket").display().to_string();
        let cwd = scratch.path().display().to_string();
        let spec = HoldSpec {
            session: SessionId::generate(),
            argv: words(argv),
            cwd,
            terminal: Some(SIZE),
            feed_input: false,
            deadline_ms: None,
            socket,
            confinement: None,
            caps: None,
        };
        Self { scratch, spec, holder: None }
    }

    pub fn on_pipes(mut self) -> Self {
        self.spec.terminal = None;
        self
    }

    /// A shell script on a terminal.
    pub fn shell(script: &str) -> Self {
        let mut session = Self::describe(&["/bin/sh", "-c", script]);
        session.start();
        session
    }

    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn start(&mut self) {
        match self.try_start() {
            Started::Running(holder) => self.holder = Some(holder),
            Started::Failed(why) => panic!("not started: {why}"),
        }
    }

    pub fn try_start(&self) -> Started {
        self.try_start_in(&environment())
    }

    pub fn try_start_in(&self, environment: &Environment) -> Started {
        std::fs::write(self.file(file::SPEC), serde_json::to_vec(&self.spec).unwrap()).unwrap();
        let directory = self.path().display().to_string();
        let argv = words(&[env!("CARGO_BIN_EXE_pty-proxy"), "hold", "--directory", &directory]);
        let streams = [Stdio::null(), Stdio::piped(), Stdio::inherit()];
        let child = spawn::on_streams(&argv, self.path(), environment, streams).unwrap();
        let output = child.wait_with_output().unwrap();
        let started: Started = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.success(), matches!(started, Started::Running(_)));
        started
    }

    pub fn holder(&self) -> &Holder {
        self.holder.as_ref().unwrap()
    }

    pub fn connect(&self) -> Client {
        Client::new(UnixStream::connect(&self.spec.socket).unwrap())
    }

    pub fn call(&self, name: &str, params: Value) -> Value {
        self.connect().call(name, params).unwrap()
    }

    pub fn screen(&self) -> ScreenText {
        serde_json::from_value(self.call(method::SCREEN, json!({}))).unwrap()
    }

    /// Waits until the screen shows `text`.
    pub fn shows(&self, text: &str) -> ScreenText {
        let mut client = self.connect();
        eventually(&format!("{text:?} on the screen"), || {
            let screen: ScreenText = serde_json::from_value(client.call(method::SCREEN, json!({})).unwrap()).unwrap();
            screen.lines.iter().any(|line| line.contains(text)).then_some(screen)
        })
    }

    pub fn wait(&self) -> Ended {
        if let Ok(stream) = UnixStream::connect(&self.spec.socket)
            && let Ok(value) = Client::new(stream).call(method::WAIT, json!({}))
        {
            return serde_json::from_value(value).unwrap();
        }
        self.ended()
    }

    pub fn stop(&self, grace_ms: u64) -> Ended {
        serde_json::from_value(self.call(method::STOP, json!({"grace_ms": grace_ms}))).unwrap()
    }

    /// The record of the end.
    pub fn ended(&self) -> Ended {
        let path = self.file(file::ENDED);
        eventually("the record of the end", || serde_json::from_slice(&std::fs::read(&path).ok()?).ok())
    }

    pub fn output(&self) -> Vec<u8> {
        std::fs::read(self.file(file::OUTPUT)).unwrap()
    }

    /// Descriptors that the holder has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.holder().holder.pid)).unwrap().count()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(holder) = &self.holder else { return };
        // The keeper first, which would start another holder.
        let tree = [holder.keeper, Some(holder.holder), Some(holder.child)];
        let tree: Vec<ProcessIdentity> = tree.into_iter().flatten().flat_map(tree::with_descendants).collect();
        for process in tree {
            tree::signal(process, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

pub fn gone(process: ProcessIdentity) {
    eventually("the end of a process", || (!identity::is_alive(process)).then_some(()));
}

/// The process whose id a script wrote to a file.
pub fn written_process(path: &Path) -> ProcessIdentity {
    eventually("a written process id", || {
        let text = std::fs::read_to_string(path).ok()?;
        identity::of(text.strip_suffix('\n')?.parse().ok()?)
    })
}

/// A blocking client.
pub struct Client {
    pub stream: UnixStream,
    decoder: FrameDecoder,
    next: i64,
}

impl Client {
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, decoder: FrameDecoder::new(limits::FRAME_TERMINAL), next: 0 }
    }

    pub fn send_body(&mut self, body: &[u8]) {
        let mut out = BytesMut::new();
        frame::encode(body, &mut out).unwrap();
        self.stream.write_all(&out).unwrap();
    }

    pub fn request(&mut self, name: &str, params: Value) -> i64 {
        self.next += 1;
        let body = json!({"jsonrpc": "2.0", "id": self.next, "method": name, "params": params});
        self.send_body(body.to_string().as_bytes());
        self.next
    }

    /// The next frame, or `None` at the end of the stream.
    pub fn frame(&mut self) -> Option<bytes::Bytes> {
        loop {
            if let Some(body) = self.decoder.next().unwrap() {
                return Some(body);
            }
            let mut buffer = [0; 65536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.decoder.buffer().extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    pub fn answer(&mut self) -> Option<(Value, Result<Value, RpcError>)> {
        let body: Value = serde_json::from_slice(&self.frame()?).unwrap();
        let result = match body.get("error") {
            Some(error) => Err(serde_json::from_value(error.clone()).unwrap()),
            None => Ok(body["result"].clone()),
        };
        Some((body["id"].clone(), result))
    }

    pub fn call(&mut self, name: &str, params: Value) -> Result<Value, RpcError> {
        let id = self.request(name, params);
        let (answered, result) = self
            .answer()
            .unwrap_or((json!(id), Err(RpcError::new(orx_protocol::ErrorKind::Unavailable, "the connection ended"))));
        assert_eq!(answered, json!(id));
        result
    }

    /// Becomes a viewer.
    pub fn attach(mut self, size: TerminalSize, mode: &str) -> Viewer {
        self.call(method::ATTACH, json!({"size": size, "mode": mode})).unwrap();
        Viewer { client: self }
    }
}

/// An attached viewer.
pub struct Viewer {
    pub client: Client,
}

impl Viewer {
    pub fn send(&mut self, frame: &FromViewer) {
        let body = codec::encode(frame).unwrap();
        self.client.send_body(&body);
    }

    pub fn types(&mut self, text: &str) {
        self.send(&FromViewer::Input(text.as_bytes().to_vec()));
    }

    pub fn next(&mut self) -> Option<ToViewer> {
        self.client.frame().map(|body| codec::decode(&body).unwrap())
    }

    /// Reads until `found` gives something of a frame.
    pub fn until<T>(&mut self, mut found: impl FnMut(&ToViewer) -> Option<T>) -> T {
        loop {
            let frame = self.next().expect("the stream ended before the frame that was waited for");
            if let Some(found) = found(&frame) {
                return found;
            }
        }
    }

    pub fn told_control(&mut self) -> bool {
        self.until(|frame| if let ToViewer::Control { held } = frame { Some(*held) } else { None })
    }

    /// Reads output until it holds `text`; gives all of it.
    pub fn output_until(&mut self, text: &str) -> Vec<u8> {
        let mut output = Vec::new();
        self.until(|frame| {
            if let ToViewer::Output(bytes) = frame {
                output.extend_from_slice(bytes);
            }
            output.windows(text.len()).any(|window| window == text.as_bytes()).then_some(())
        });
        output
    }
}

impl Viewer {
    /// Reads to the end of the stream.
    pub fn until_end(&mut self) -> bool {
        while self.next().is_some() {}
        true
    }

    /// Reads until a terminal of this viewer shows `text`; gives how many bytes that took.
    pub fn until_shown(&mut self, text: &str, size: TerminalSize) -> usize {
        let mut model = pty_proxy::terminal::emulator::Emulator::new(size);
        let mut count = 0;
        self.until(|frame| {
            let (ToViewer::Screen(bytes) | ToViewer::Output(bytes)) = frame else { return None };
            count += bytes.len();
            model.accept(bytes, Instant::now());
            model.text().lines.iter().any(|line| line.contains(text)).then_some(())
        });
        count
    }
}
