//! The client of the benchmarks: the leanest one that speaks frames, so that it is the servers that are measured.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A framed connection.
pub struct Wire {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub async fn connect(path: &Path) -> Result<Self> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match UnixStream::connect(path).await {
                Ok(stream) => return Ok(Self { stream, buffer: vec![0; 64 * 1024] }),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| path.display().to_string());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    pub async fn send(&mut self, body: &[u8]) -> Result<()> {
        self.stream.write_all(&framed(body)).await?;
        Ok(())
    }

    pub async fn receive(&mut self) -> Result<&[u8]> {
        let mut have = 0;
        loop {
            let count = self.stream.read(&mut self.buffer[have..]).await?;
            if count == 0 {
                bail!("the connection was closed");
            }
            have += count;
            if have >= 4 {
                let length =
                    u32::from_be_bytes([self.buffer[0], self.buffer[1], self.buffer[2], self.buffer[3]]) as usize;
                if have >= 4 + length {
                    return Ok(&self.buffer[4..4 + length]);
                }
            }
        }
    }

    pub async fn call(&mut self, body: &[u8]) -> Result<&[u8]> {
        self.send(body).await?;
        self.receive().await
    }
}

/// A body with its length before it.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

/// Closed-loop callers on connections of their own; gives requests a second and the latencies in microseconds, sorted.
pub async fn closed_loop(
    socket: &Path,
    connections: usize,
    calls: usize,
    body: impl Fn(usize, usize) -> Vec<u8> + Send + Sync + Clone + 'static,
) -> Result<(f64, Vec<f64>)> {
    let mut tasks = Vec::new();
    let mut wires = Vec::new();
    for _ in 0..connections {
        let mut wire = Wire::connect(socket).await?;
        for warm in 0..20 {
            wire.call(&body(usize::MAX, warm)).await?;
        }
        wires.push(wire);
    }
    let started = Instant::now();
    for (connection, mut wire) in wires.into_iter().enumerate() {
        let body = body.clone();
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::with_capacity(calls);
            for call in 0..calls {
                let request = body(connection, call);
                let began = Instant::now();
                wire.call(&request).await?;
                latencies.push(began.elapsed().as_secs_f64() * 1e6);
            }
            anyhow::Ok(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let rate = latencies.len() as f64 / started.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    Ok((rate, latencies))
}

/// A percentile of sorted values.
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let position = ((sorted.len() as f64 - 1.0) * percent / 100.0).round().max(0.0) as usize;
    sorted.get(position).copied().unwrap_or(0.0)
}
