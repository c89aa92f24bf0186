//! Viewers: a client program on a terminal of its own, as a person has it; or orx's own socket, as a front end has it.

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use orx_protocol::codec;
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::limits::FRAME_TERMINAL;
use orx_protocol::terminal::{FromViewer, ToViewer};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::corpus::{COLUMNS, ROWS};

/// Bytes read at once.
const READ: usize = 64 * 1024;

/// Somebody who looks at a session.
pub trait Viewer: Send {
    /// Adds what is shown next to `out` and says how many bytes that were; 0 when nothing came within `limit` or it is over.
    fn read(&mut self, out: &mut Vec<u8>, limit: Duration) -> Result<usize>;
    /// Types.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// Its client program.
    fn pid(&self) -> Option<i32>;

    /// Reads until `text` was shown; gives all that came.
    fn read_until(&mut self, text: &str, limit: Duration) -> Result<Vec<u8>> {
        let deadline = Instant::now() + limit;
        let mut out = Vec::new();
        let mut searched = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let tail = out.len().saturating_sub(300);
                bail!(
                    "`{text}` was not shown within {} ms, but {:?}",
                    limit.as_millis(),
                    String::from_utf8_lossy(out.get(tail..).unwrap_or_default())
                );
            }
            self.read(&mut out, left)?;
            if contains(out.get(searched..).unwrap_or_default(), text.as_bytes()) {
                return Ok(out);
            }
            searched = out.len().saturating_sub(text.len());
        }
    }

    /// Reads until nothing came for `quiet`; gives all that came.
    fn read_quiet(&mut self, quiet: Duration) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        while self.read(&mut out, quiet)? > 0 {}
        Ok(out)
    }
}

/// Whether `text` is in `bytes`.
pub fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// A program on a terminal of its own. It ends with its terminal.
pub struct OnTerminal {
    master: File,
    child: Child,
    buffer: Vec<u8>,
}

impl OnTerminal {
    /// Starts `command` on a new terminal of the usual size.
    pub fn start(command: &Command) -> Result<Self> {
        let size = Winsize { ws_row: ROWS as u16, ws_col: COLUMNS as u16, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None)?;
        for end in [&pair.master, &pair.slave] {
            nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        }
        // setsid makes the terminal the program's own, in the process that becomes the program.
        let mut started = Command::new("setsid");
        started.arg("--ctty").arg(command.get_program()).args(command.get_args());
        started.env_clear();
        for (name, value) in command.get_envs() {
            started.env(name, value.unwrap_or_default());
        }
        let slave = File::from(pair.slave);
        let child = started
            .stdin(Stdio::from(slave.try_clone()?))
            .stdout(Stdio::from(slave.try_clone()?))
            .stderr(Stdio::from(slave))
            .spawn()
            .with_context(|| format!("{} on a terminal", command.get_program().to_string_lossy()))?;
        Ok(Self { master: File::from(pair.master), child, buffer: vec![0; READ] })
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the program did not end");
            }
            let mut out = Vec::new();
            self.read(&mut out, Duration::from_millis(5))?;
        }
        Ok(())
    }
}

/// Whether something can be read within `limit`.
fn is_readable(source: BorrowedFd<'_>, limit: Duration) -> Result<bool> {
    let mut sources = [PollFd::new(source, PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    match poll(&mut sources, timeout) {
        Ok(count) => Ok(count > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Viewer for OnTerminal {
    fn read(&mut self, out: &mut Vec<u8>, limit: Duration) -> Result<usize> {
        if !is_readable(self.master.as_fd(), limit)? {
            return Ok(0);
        }
        match self.master.read(&mut self.buffer) {
            Ok(count) => {
                out.extend_from_slice(self.buffer.get(..count).unwrap_or_default());
                Ok(count)
            }
            // The program is gone.
            Err(_) => Ok(0),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.master.write_all(bytes)?;
        Ok(())
    }

    fn pid(&self) -> Option<i32> {
        i32::try_from(self.child.id()).ok()
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A viewer at orx's own socket.
pub struct AtSocket {
    stream: UnixStream,
    decoder: FrameDecoder,
    buffer: Vec<u8>,
}

impl AtSocket {
    /// Attaches to a session.
    pub fn attach(socket: &Path, session: &str) -> Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        let params = serde_json::json!({"session": session, "cols": COLUMNS, "rows": ROWS, "mode": "control"});
        let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "session.attach", "params": params});
        stream.write_all(&crate::wire::framed(call.to_string().as_bytes()))?;
        let mut decoder = FrameDecoder::new(FRAME_TERMINAL);
        let mut buffer = vec![0; READ];
        loop {
            if let Some(answer) = decoder.next()? {
                let answer: serde_json::Value = serde_json::from_slice(&answer)?;
                if let Some(error) = answer.get("error") {
                    bail!("session.attach: {error}");
                }
                return Ok(Self { stream, decoder, buffer });
            }
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                bail!("the connection was closed");
            }
            decoder.buffer().extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }

    fn take(&mut self, out: &mut Vec<u8>) -> Result<usize> {
        let before = out.len();
        while let Some(body) = self.decoder.next()? {
            if let ToViewer::Screen(bytes) | ToViewer::Output(bytes) = codec::decode(&body)? {
                out.extend_from_slice(&bytes);
            }
        }
        Ok(out.len() - before)
    }
}

impl Viewer for AtSocket {
    fn read(&mut self, out: &mut Vec<u8>, limit: Duration) -> Result<usize> {
        let deadline = Instant::now() + limit;
        loop {
            let taken = self.take(out)?;
            if taken > 0 {
                return Ok(taken);
            }
            if !is_readable(self.stream.as_fd(), deadline.saturating_duration_since(Instant::now()))? {
                return Ok(0);
            }
            let count = self.stream.read(&mut self.buffer)?;
            if count == 0 {
                return Ok(0);
            }
            self.decoder.buffer().extend_from_slice(self.buffer.get(..count).unwrap_or_default());
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let body = codec::encode(&FromViewer::Input(bytes.to_vec()))?;
        let mut framed = bytes::BytesMut::new();
        frame::encode(&body, &mut framed)?;
        self.stream.write_all(&framed)?;
        Ok(())
    }

    fn pid(&self) -> Option<i32> {
        None
    }
}
