//! Writes that are on disk when they are answered: state and event in one transaction, full sync.

use anyhow::Result;

use crate::daemon::{Daemon, home};
use crate::report::{Report, median};
use crate::wire::{closed_loop, percentile};

/// One row and one sync at a time, without any daemon: what a single caller can have at best.
fn single_commits() -> Result<f64> {
    let home = home()?;
    let database = rusqlite::Connection::open(home.path().join("floor.db"))?;
    database.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT);",
    )?;
    let started = std::time::Instant::now();
    let rows = 2000;
    for row in 0..rows {
        database.execute("INSERT INTO t (k, v) VALUES (?1, ?2)", (row, "a value of some length for the row"))?;
    }
    Ok(f64::from(rows) / started.elapsed().as_secs_f64())
}

/// Measures `record.put` over the socket.
pub fn measure(report: &mut Report, rounds: usize) -> Result<()> {
    let daemon = Daemon::start("workers: {naming: 0, structure: 0, semantic: 0, manager: 0}\n")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for callers in [1, 8, 100] {
        let (mut rates, mut p50, mut p99, mut floors) = (vec![], vec![], vec![], vec![]);
        for round in 0..rounds {
            floors.push(single_commits()?);
            let calls = if callers == 1 { 2000 } else { 60_000 / callers };
            let (rate, sorted) = runtime.block_on(closed_loop(&daemon.socket(), callers, calls, move |connection, call| {
                format!(
                    r#"{{"jsonrpc":"2.0","id":{call},"method":"record.put","params":{{"collection":"bench","key":"{callers}-{round}-{connection}-{call}","value":{{"text":"a value of some length for the row","n":{call}}}}}}}"#
                )
                .into_bytes()
            }))?;
            rates.push(rate);
            p50.push(percentile(&sorted, 50.0));
            p99.push(percentile(&sorted, 99.0));
        }
        let rate = median(rates);
        let floor = median(floors);
        let goal: Option<(&'static str, bool)> =
            (callers == 100).then_some(("at 100 callers >= 20,000/s", rate >= 20_000.0));
        report.plain(&format!("durable accept, {callers} callers: rate"), rate, "/s", goal);
        report.against(
            &format!("durable accept, {callers} callers: rate to one commit a row"),
            rate,
            floor,
            "/s",
            None,
        );
        report.plain(&format!("durable accept, {callers} callers: p50"), median(p50), "us", None);
        report.plain(&format!("durable accept, {callers} callers: p99"), median(p99), "us", None);
    }
    Ok(())
}
