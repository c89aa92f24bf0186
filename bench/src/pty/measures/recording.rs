//! What the recording takes of a holder's work: the recording alone is fed with what viewers get of the corpus, as in a
//! holder, and held against all that holder and daemon took for the same corpus.

use anyhow::Result;
use orx_protocol::hold::TerminalSize;
use pty_proxy::output::recording::Recording;
use pty_proxy::terminal::emulator::{Emulator, Passed};
use std::time::Instant;

use super::throughput;
use crate::pty::corpus::{COLUMNS, Corpus, ROWS, SEED};
use crate::pty::results::Results;
use crate::report::median;

pub const NAME: &str = "recording";

/// What a holder reads at once while a program floods it.
const READ: usize = 16 * 1024;
const ROUNDS: usize = 5;

/// Nanoseconds that this thread was on a CPU.
fn on_cpu() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_ascii_whitespace().next().unwrap_or_default().parse()?)
}

/// Measures the recording.
pub fn measure_orx(results: &mut Results) -> Result<()> {
    let size = TerminalSize { cols: COLUMNS as u16, rows: ROWS as u16 };
    let bytes = usize::try_from(throughput::BYTES)?;
    let now = Instant::now();
    let mut emulator = Emulator::new(size);
    let passed: Vec<Passed> =
        Corpus::bytes(SEED, bytes).chunks(READ).map(|output| emulator.accept(output, now)).collect();
    let mut costs = Vec::new();
    for _ in 0..ROUNDS {
        let place = tempfile::Builder::new().prefix("orxr").tempdir_in("/tmp")?;
        let mut recording = Recording::begin(&place.path().join("recording.cast"), size, "xterm-256color", 0, now)?;
        let before = on_cpu()?;
        for passed in &passed {
            recording.output(&passed.on_screen(), now);
        }
        recording.file().flush();
        costs.push((on_cpu()? - before) as f64 / 1e6 / (throughput::BYTES >> 20) as f64);
    }
    let cost = median(costs);
    results.add(NAME, "orx", "CPU", cost, "ms/MiB");
    if let Some(all) = results.value(throughput::NAME, "orx socket", "CPU") {
        results.add(NAME, "orx", "share", cost / all * 100.0, "%");
    }
    Ok(())
}
