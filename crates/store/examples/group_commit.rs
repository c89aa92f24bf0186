//! Measures durable operations a second through the store, with 1, 8 and 100 callers that each wait for their answer
//! before they ask again. The first argument is a directory on the disk to be measured (the temporary directory when
//! absent); the second is how many seconds each measurement takes (3 when absent).
//!
//! `cargo run --release -p orx-store --example group_commit -- /var/tmp 3`

use std::error::Error;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orx_store::{Store, Transaction, records, sequences};
use serde_json::value::RawValue;
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Clone, Copy)]
enum Work {
    /// A row of 100 bytes through plain SQL.
    Row,
    /// `sequence.next` with its event.
    Sequence,
    /// `record.put` with its event.
    Record,
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let directory = tempfile::tempdir_in(directory)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<34} {:>10.1} us", "4 KiB overwrite + fdatasync, p50", sync_floor(directory.path())?)?;
    writeln!(
        out,
        "{:<10} {:>8} {:>12} {:>12} {:>10} {:>10}",
        "operation", "callers", "durable/s", "per commit", "p50 us", "p99 us"
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for (name, work) in [("row", Work::Row), ("sequence", Work::Sequence), ("record", Work::Record)] {
        for callers in [1, 8, 100] {
            let path = directory.path().join(format!("{name}-{callers}.db"));
            let figures = runtime.block_on(measure(&path, work, callers, Duration::from_secs(seconds)))?;
            writeln!(
                out,
                "{name:<10} {callers:>8} {:>12.0} {:>12.1} {:>10.0} {:>10.0}",
                figures.rate, figures.per_commit, figures.p50, figures.p99
            )?;
        }
    }
    Ok(())
}

struct Figures {
    rate: f64,
    per_commit: f64,
    p50: f64,
    p99: f64,
}

async fn measure(path: &Path, work: Work, callers: usize, time: Duration) -> Result<Figures, Failure> {
    let store = Store::open(path)?;
    store.write(|tx| tx.execute("CREATE TABLE bench (id INTEGER PRIMARY KEY, body TEXT)", &[])).await?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let store = store.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < time {
                let asked = Instant::now();
                store.write(move |tx| operate(tx, work, caller)).await?;
                latencies.push(asked.elapsed());
            }
            Ok::<_, Failure>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let statistics = store.statistics()?;
    store.close().await?;
    latencies.sort_unstable();
    Ok(Figures {
        rate: latencies.len() as f64 / elapsed,
        per_commit: statistics.operations as f64 / statistics.commits as f64,
        p50: micros(&latencies, 0.5),
        p99: micros(&latencies, 0.99),
    })
}

fn operate(tx: &mut Transaction<'_>, work: Work, caller: usize) -> Result<(), orx_store::StoreError> {
    match work {
        Work::Row => {
            let body = "x".repeat(100);
            tx.execute("INSERT INTO bench (body) VALUES (?1)", &[(&body).into()])?;
        }
        Work::Sequence => {
            sequences::next(tx, "bench", None)?;
        }
        Work::Record => {
            let value = format!(r#"{{"caller":{caller},"text":"{}"}}"#, "x".repeat(80));
            let value =
                RawValue::from_string(value).map_err(|error| orx_store::StoreError::Invalid(error.to_string()))?;
            records::put(tx, "bench", &format!("key-{caller}"), &value)?;
        }
    }
    Ok(())
}

/// Median time of what no durable write can avoid, in microseconds.
fn sync_floor(directory: &Path) -> Result<f64, Failure> {
    let mut file = std::fs::File::create(directory.join("floor"))?;
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    let mut times = Vec::new();
    for round in 0..500_u32 {
        let begun = Instant::now();
        file.rewind()?;
        file.write_all(&[round.to_le_bytes()[0]; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(micros(&times, 0.5))
}

fn micros(sorted: &[Duration], part: f64) -> f64 {
    let index = (sorted.len() as f64 * part) as usize;
    sorted.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}
