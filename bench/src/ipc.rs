//! Round trips over the socket.

use anyhow::Result;
use std::path::Path;

use crate::daemon::{Daemon, floor, home};
use crate::report::{RatioGoal, Report, median};
use crate::wire::{closed_loop, percentile};

/// A request of about 230 bytes.
fn body(method: &'static str) -> impl Fn(usize, usize) -> Vec<u8> + Send + Sync + Clone + 'static {
    move |connection, call| {
        let params = if method == "health" {
            String::from("{}")
        } else {
            format!(r#"{{"path":"src/listen/unix.rs","text":"{}","n":{call}}}"#, "x".repeat(110))
        };
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":{params}}}"#,
            connection.wrapping_add(call) & 0xffff
        )
        .into_bytes()
    }
}

struct Loop {
    rate: f64,
    p50: f64,
    p99: f64,
}

fn measure_once(socket: &Path, method: &'static str, connections: usize) -> Result<Loop> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let calls = (40_000 / connections).max(300);
    let (rate, sorted) = runtime.block_on(closed_loop(socket, connections, calls, body(method)))?;
    Ok(Loop { rate, p50: percentile(&sorted, 50.0), p99: percentile(&sorted, 99.0) })
}

/// Pins this process and what it starts to one CPU, as far as the system lets it.
fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = nix::sched::CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)?;
    Ok(())
}

fn cpus() -> Vec<usize> {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (0..count).collect()
}

/// Measures both hops pinned and unpinned, floors and daemon in turn.
pub fn measure(report: &mut Report, rounds: usize) -> Result<()> {
    let all = cpus();
    for (pinned, connections) in [(true, 1), (false, 8), (false, 64)] {
        pin(if pinned { &[0] } else { &all })?;
        let outcome = with_servers(report, rounds, pinned, connections);
        pin(&all)?;
        outcome?;
    }
    Ok(())
}

fn with_servers(report: &mut Report, rounds: usize, pinned: bool, connections: usize) -> Result<()> {
    let scratch = home()?;
    let path = |name: &str| scratch.path().join(name);
    let _echo = floor("echo", &path("echo"), None)?;
    let _behind = floor("echo", &path("behind"), None)?;
    let _splice = floor("splice", &path("splice"), Some(&path("behind")))?;
    let daemon = Daemon::start("workers: {naming: 0, structure: 0, semantic: 0, manager: 0}\n")?;
    let _worker = floor("worker", &daemon.socket(), None)?;
    let mut loops: [Vec<Loop>; 4] = [vec![], vec![], vec![], vec![]];
    for _ in 0..rounds {
        loops[0].push(measure_once(&path("echo"), "bench.echo", connections)?);
        loops[1].push(measure_once(&daemon.socket(), "health", connections)?);
        loops[2].push(measure_once(&path("splice"), "bench.echo", connections)?);
        loops[3].push(measure_once(&daemon.socket(), "bench.echo", connections)?);
    }
    let of = |which: usize, field: fn(&Loop) -> f64| median(loops[which].iter().map(field).collect());
    let place = if pinned { "one CPU" } else { "all CPUs" };
    let goal_one: Option<RatioGoal> = pinned.then_some(("p50 <= 1.8 x echo", |ratio| ratio <= 1.8));
    let goal_two: Option<RatioGoal> = pinned.then_some(("p50 <= 1.6 x splice", |ratio| ratio <= 1.6));
    report.against(
        &format!("health, {connections} conn., {place}: p50"),
        of(1, |l| l.p50),
        of(0, |l| l.p50),
        "us",
        goal_one,
    );
    report.against(
        &format!("health, {connections} conn., {place}: p99"),
        of(1, |l| l.p99),
        of(0, |l| l.p99),
        "us",
        None,
    );
    report.against(
        &format!("health, {connections} conn., {place}: rate"),
        of(1, |l| l.rate),
        of(0, |l| l.rate),
        "/s",
        None,
    );
    report.against(
        &format!("dispatch, {connections} conn., {place}: p50"),
        of(3, |l| l.p50),
        of(2, |l| l.p50),
        "us",
        goal_two,
    );
    report.against(
        &format!("dispatch, {connections} conn., {place}: p99"),
        of(3, |l| l.p99),
        of(2, |l| l.p99),
        "us",
        None,
    );
    report.against(
        &format!("dispatch, {connections} conn., {place}: rate"),
        of(3, |l| l.rate),
        of(2, |l| l.rate),
        "/s",
        None,
    );
    Ok(())
}
