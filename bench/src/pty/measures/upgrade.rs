//! Bytes lost while a holder is replaced by another twenty times within a stream of 100 MiB.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Drained, start};
use crate::pty::peers::Peer;
use crate::pty::peers::orx::Orx;
use crate::pty::program::stream_line;
use crate::pty::results::Results;
use crate::report::median;
use crate::wire::Wire;

pub const NAME: &str = "100 MiB through 20 upgrades in place";

const BYTES: usize = 100 << 20;
const UPGRADES: usize = 20;

/// Measures orx.
pub fn measure_orx(results: &mut Results) -> Result<()> {
    let mut orx = Orx::open(false)?;
    let mut program = start(&mut orx, "stream")?;
    let directory = orx.directory("stream")?;
    let spec: serde_json::Value = serde_json::from_slice(&std::fs::read(directory.join("hold.json"))?)?;
    let socket = PathBuf::from(spec["socket"].as_str().context("no socket in hold.json")?);
    let viewer = Drained::begin(orx.attach("stream")?, None);
    program.ask(&format!("stream {BYTES}"), Duration::from_secs(5))?;
    let mut times = Vec::new();
    for _ in 0..UPGRADES {
        let began = std::time::Instant::now();
        match ask_holder(&socket, "hold.upgrade") {
            Ok(_) => times.push(began.elapsed().as_secs_f64() * 1e3),
            Err(error) => {
                results.lack(NAME, "orx", "bytes lost", format!("not measured: {error}"));
                return Ok(());
            }
        }
        std::thread::sleep(Duration::from_millis(60));
    }
    let lines: u64 = program.hear(Duration::from_secs(60))?.parse().context("lines")?;
    viewer.finish(Duration::ZERO)?;
    // Output that waits to be written reaches the log within its own pause.
    std::thread::sleep(Duration::from_millis(500));
    let log = std::fs::read(directory.join("output.log"))?;
    results.add(NAME, "orx", "upgrades", times.len() as f64, "");
    results.add(NAME, "orx", "median", median(times), "ms");
    results.add(NAME, "orx", "bytes lost", lost(&log, lines) as f64, "");
    Ok(())
}

/// Asks a holder at its own socket.
fn ask_holder(socket: &Path, method: &str) -> Result<serde_json::Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let mut wire = Wire::connect(socket).await?;
        let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}});
        let answer =
            tokio::time::timeout(Duration::from_secs(10), wire.call(call.to_string().as_bytes())).await??.to_vec();
        anyhow::Ok(answer)
    })?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    if let Some(error) = answer.get("error") {
        bail!("{}", error["message"].as_str().unwrap_or("it was refused"));
    }
    Ok(answer)
}

/// Bytes of the stream that are not in the log at their place.
fn lost(log: &[u8], lines: u64) -> u64 {
    let mut rest = log;
    let mut lost = 0;
    for number in 0..lines {
        let line = stream_line(number);
        match rest.strip_prefix(line.as_bytes()) {
            Some(after) => rest = after,
            None => lost += line.len() as u64,
        }
    }
    lost
}
