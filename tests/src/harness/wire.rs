//! The wire as any program may speak it: frames and JSON over a blocking socket, written here a second time on purpose,
//! so that the tests do not share a mistake with `orx-client`.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long an answer may take that a test says nothing about.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What came from the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A body.
    Body(Value),
    /// The daemon closed the connection.
    Closed,
    /// Nothing came in time.
    Nothing,
}

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: UnixStream,
    read: Vec<u8>,
    next_id: u64,
}

impl Wire {
    /// Connects, or says why not.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_connect(path: &Path) -> std::io::Result<Self> {
        Ok(Self { stream: UnixStream::connect(path)?, read: Vec::new(), next_id: 1 })
    }

    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    #[track_caller]
    pub fn connect(path: &Path) -> Self {
        Self::try_connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The socket itself.
    #[must_use]
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Sends bytes as they are; gives whether the daemon took them all.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends one frame with this body.
    pub fn send_body(&mut self, body: &[u8]) -> bool {
        self.send_bytes(&framed(body))
    }

    /// Sends a request and gives its identifier.
    pub fn request(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send_body(&body(id, method, params));
        id
    }

    /// Calls a method; `None` when the connection ended before the answer, so that nobody knows what became of it.
    ///
    /// # Panics
    /// When neither an answer nor the end comes.
    #[track_caller]
    pub fn try_call(&mut self, method: &str, params: &Value) -> Option<Result<Value, Value>> {
        let id = self.request(method, params);
        loop {
            match self.receive(PATIENCE) {
                Received::Body(body) if body.get("method").is_some() => {}
                Received::Body(mut body) => {
                    assert_eq!(body["id"], json!(id), "`{method}`: another request was answered: {body}");
                    let failed = body.get("error").is_some();
                    return Some(if failed { Err(body["error"].take()) } else { Ok(body["result"].take()) });
                }
                Received::Closed => return None,
                Received::Nothing => panic!("`{method}` was not answered within {} s", PATIENCE.as_secs()),
            }
        }
    }

    /// Calls a method.
    ///
    /// # Errors
    /// The JSON-RPC error object that was answered.
    ///
    /// # Panics
    /// When no answer comes.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        self.try_call(method, params).unwrap_or_else(|| panic!("`{method}`: the daemon closed the connection"))
    }

    /// Calls a method that must succeed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn result(&mut self, method: &str, params: &Value) -> Value {
        self.call(method, params).unwrap_or_else(|error| panic!("`{method}` failed: {error}"))
    }

    /// The next body, waiting at most `patience`.
    ///
    /// # Panics
    /// When bytes come that are no frame of JSON.
    #[track_caller]
    pub fn receive(&mut self, patience: Duration) -> Received {
        let deadline = Instant::now() + patience;
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(body) = self.take_frame() {
                return Received::Body(serde_json::from_slice(&body).expect("the daemon sends JSON"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Nothing;
            }
            self.stream.set_read_timeout(Some(left)).expect("a positive duration is accepted");
            match self.stream.read(&mut chunk) {
                Ok(0) => return Received::Closed,
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Received::Nothing;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Received::Closed,
            }
        }
    }

    /// The next body.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn body(&mut self) -> Value {
        match self.receive(PATIENCE) {
            Received::Body(body) => body,
            other => panic!("no body came: {other:?}"),
        }
    }

    /// The kind of the error that comes next.
    ///
    /// # Panics
    /// When no error comes.
    #[track_caller]
    pub fn error_kind(&mut self) -> String {
        let body = self.body();
        body["error"]["data"]["kind"].as_str().unwrap_or_else(|| panic!("no error: {body}")).to_owned()
    }

    /// Waits until the daemon closes, reading what comes before.
    ///
    /// # Panics
    /// When it does not close in time.
    #[track_caller]
    pub fn closed_within(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            match self.receive(deadline.saturating_duration_since(Instant::now())) {
                Received::Body(_) => {}
                Received::Closed => return,
                Received::Nothing => panic!("the daemon did not close within {} ms", patience.as_millis()),
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let head: [u8; 4] = self.read.get(..4)?.try_into().ok()?;
        let end = 4 + u32::from_be_bytes(head) as usize;
        if self.read.len() < end {
            return None;
        }
        let rest = self.read.split_off(end);
        let frame = std::mem::replace(&mut self.read, rest);
        Some(frame[4..].to_vec())
    }
}

/// A frame with this body.
///
/// # Panics
/// When the body is larger than a frame can say.
#[must_use]
pub fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a frame's length has 32 bits");
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// The body of a request.
#[must_use]
pub fn body(id: u64, method: &str, params: &Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string().into_bytes()
}
