//! A daemon that answers as a test says, and the program run against it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use orx_protocol::error::{ErrorKind, RpcError};
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::limits::FRAME_KNOWN;
use orx_protocol::rpc::{self, Incoming};
use orx_sandbox::environment::Environment;
use orx_sandbox::{Captured, Program, capture};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

type Answer = Result<Value, RpcError>;
type Script = Arc<dyn Fn(&str, &Value) -> Reply + Send + Sync>;

/// What the fake says to one method.
pub(crate) enum Reply {
    /// An answer.
    Answer(Answer),
    /// An answer, then these notifications.
    Stream(Value, Vec<Value>),
    /// The same, then the connection ends, as at a restart of the daemon.
    Cut(Value, Vec<Value>),
    /// An answer, then the connection is given to the test.
    Switch(Value),
    /// The connection is closed without an answer.
    Hang,
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self::Answer(Ok(value))
    }
}

/// An error of a kind.
pub(crate) fn refuse(kind: ErrorKind, message: &str) -> Reply {
    Reply::Answer(Err(RpcError::new(kind, message).with_hint("a hint of the daemon")))
}

/// A scripted daemon in a directory of its own.
pub(crate) struct Fake {
    scratch: tempfile::TempDir,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    switched: tokio::sync::mpsc::Receiver<UnixStream>,
    _tasks: JoinSet<()>,
}

impl Fake {
    /// Listens and answers as `script` says.
    pub(crate) fn start(script: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(scratch.path().join("s")).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let (switch, switched) = tokio::sync::mpsc::channel(4);
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&calls);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen), switch.clone()));
            }
        });
        Self { scratch, calls, switched, _tasks: tasks }
    }

    /// The socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.scratch.path().join("s")
    }

    /// The directory of the fake, also the program's home.
    pub(crate) fn home(&self) -> PathBuf {
        self.scratch.path().join("home")
    }

    /// The parameters of the calls to a method, in their order.
    pub(crate) fn calls(&self, method: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| name == method).map(|(_, params)| params.clone()).collect()
    }

    /// The next connection that was switched over.
    pub(crate) async fn switched(&mut self) -> UnixStream {
        tokio::time::timeout(Duration::from_secs(20), self.switched.recv()).await.unwrap().unwrap()
    }

    /// Runs the program against this daemon.
    pub(crate) async fn orxctl(&self, arguments: &[&str]) -> Captured {
        self.orxctl_with(arguments, None).await
    }

    /// The same with standard input.
    pub(crate) async fn orxctl_with(&self, arguments: &[&str], input: Option<&[u8]>) -> Captured {
        run(self.environment(), arguments, input).await
    }

    /// The environment that points the program here.
    pub(crate) fn environment(&self) -> Environment {
        environment(&self.home().to_string_lossy(), &self.socket().to_string_lossy())
    }
}

/// An environment that points the program at these places.
pub(crate) fn environment(home: &str, socket: &str) -> Environment {
    let path = std::env::var("PATH").unwrap_or_default();
    [("ORX_HOME", home), ("ORX_SOCKET", socket), ("HOME", home), ("PATH", &path), ("TERM", "xterm-256color")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The command line of the program under test.
pub(crate) fn command(arguments: &[&str]) -> Vec<String> {
    [env!("CARGO_BIN_EXE_orxctl")].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect()
}

/// Runs the program to its end.
pub(crate) async fn run(environment: Environment, arguments: &[&str], input: Option<&[u8]>) -> Captured {
    let program = Program {
        argv: command(arguments),
        cwd: std::env::temp_dir(),
        environment,
        input: input.map(<[u8]>::to_vec),
        deadline: Duration::from_secs(60),
        output_limit: 1 << 20,
    };
    let captured = capture(program).await.unwrap();
    assert!(!captured.timed_out, "orxctl {arguments:?} hung: {}", captured.stderr_text());
    captured
}

/// The exit code of an ended program.
pub(crate) fn code(captured: &Captured) -> i32 {
    match captured.exit {
        orx_protocol::process::Exit::Code(code) => code,
        orx_protocol::process::Exit::Signal(signal) => panic!("ended by signal {signal}"),
    }
}

async fn serve(
    stream: UnixStream,
    script: Script,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    switch: tokio::sync::mpsc::Sender<UnixStream>,
) {
    let (mut reader, mut writer) = stream.into_split();
    let mut decoder = FrameDecoder::new(FRAME_KNOWN);
    loop {
        while let Some(body) = decoder.next().unwrap() {
            let Ok(Incoming::Call { id: Some(id), method, params }) = Incoming::parse(&body) else { return };
            let params: Value = params.map_or(json!({}), |params| serde_json::from_str(params.get()).unwrap());
            calls.lock().unwrap().push((method.to_string(), params.clone()));
            match script(&method, &params) {
                Reply::Answer(Ok(value)) => write(&mut writer, &rpc::success(&id, &value).unwrap()).await,
                Reply::Answer(Err(error)) => write(&mut writer, &rpc::failure(Some(&id), &error)).await,
                Reply::Stream(value, events) => {
                    write(&mut writer, &rpc::success(&id, &value).unwrap()).await;
                    notify(&mut writer, &events).await;
                }
                Reply::Cut(value, events) => {
                    write(&mut writer, &rpc::success(&id, &value).unwrap()).await;
                    notify(&mut writer, &events).await;
                    return;
                }
                Reply::Switch(value) => {
                    write(&mut writer, &rpc::success(&id, &value).unwrap()).await;
                    let _ = switch.send(reader.reunite(writer).unwrap()).await;
                    return;
                }
                Reply::Hang => return,
            }
        }
        match reader.read_buf(decoder.buffer()).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

async fn notify(writer: &mut OwnedWriteHalf, events: &[Value]) {
    for event in events {
        write(writer, &rpc::call(None, "event", event).unwrap()).await;
    }
}

async fn write(writer: &mut OwnedWriteHalf, body: &[u8]) {
    let mut framed = BytesMut::new();
    frame::encode(body, &mut framed).unwrap();
    // The program may have left already.
    let _ = writer.write_all(&framed).await;
}
