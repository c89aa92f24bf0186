//! A caller with one connection that is kept, and crowds of them: bare sockets, so that what is measured is not the caller.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a call took.
pub struct Timing {
    pub first: Duration,
    pub total: Duration,
}

/// A connection with its request.
pub struct Caller {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Caller {
    pub fn connect(address: SocketAddr, path: &str, body: &str, headers: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\n{headers}anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Self { stream, request: request.into_bytes(), buffer: Vec::with_capacity(64 * 1024) })
    }

    /// One call: when its first byte came, and its last.
    pub fn call(&mut self) -> Result<Timing> {
        let began = Instant::now();
        self.stream.write_all(&self.request)?;
        self.buffer.clear();
        let mut first = None;
        let mut chunk = [0; 64 * 1024];
        loop {
            let count = self.stream.read(&mut chunk).context("no answer")?;
            if count == 0 {
                bail!("the connection ended: {}", String::from_utf8_lossy(&self.buffer));
            }
            first.get_or_insert_with(|| began.elapsed());
            self.buffer.extend_from_slice(&chunk[..count]);
            if is_whole(&self.buffer)? {
                return Ok(Timing { first: first.unwrap_or_default(), total: began.elapsed() });
            }
        }
    }
}

fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        bail!("{}", String::from_utf8_lossy(answer));
    }
    match head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        Some(length) => Ok(answer.len() >= end + 4 + length.trim().parse::<usize>()?),
        None => Ok(answer.ends_with(b"0\r\n\r\n")),
    }
}

/// Calls of many connections at once; how many a second.
pub fn many(
    address: SocketAddr,
    path: &str,
    body: &str,
    headers: &str,
    connections: usize,
    calls: usize,
) -> Result<f64> {
    let each = calls / connections;
    let mut callers =
        (0..connections).map(|_| Caller::connect(address, path, body, headers)).collect::<Result<Vec<Caller>>>()?;
    for caller in &mut callers {
        caller.call()?;
    }
    let began = Instant::now();
    let threads: Vec<_> = callers
        .into_iter()
        .map(|mut caller| {
            std::thread::spawn(move || -> Result<()> {
                for _ in 0..each {
                    caller.call()?;
                }
                Ok(())
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a caller failed"))??;
    }
    Ok((each * connections) as f64 / began.elapsed().as_secs_f64())
}

/// How many of so many streams that never end have begun while all others are open.
pub fn hold(address: SocketAddr, path: &str, body: &str, headers: &str, count: usize) -> Result<usize> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        let mut caller = Caller::connect(address, path, body, headers)?;
        caller.stream.write_all(&caller.request)?;
        open.push(caller);
    }
    let mut begun = 0;
    for caller in &mut open {
        let mut chunk = [0; 4096];
        let count = caller.stream.read(&mut chunk)?;
        begun += usize::from(chunk[..count].starts_with(b"HTTP/1.1 200"));
    }
    Ok(begun)
}
