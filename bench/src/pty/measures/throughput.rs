//! How fast a program may write, and what that costs, with one viewer that reads, and with nobody attached.

use anyhow::{Context, Result};
use std::time::Duration;

use super::{Drained, SETTLED, start};
use crate::pty::control::Program;
use crate::pty::peers;
use crate::pty::program::END;
use crate::pty::results::Results;
use crate::pty::usage;
use crate::report::median;

pub const NAME: &str = "throughput, 16 MiB of a coding agent's output";

/// Bytes of a flood.
pub const BYTES: u64 = 16 << 20;
const MIB: f64 = (BYTES >> 20) as f64;
/// Floods a round.
const FLOODS: usize = 2;
/// The slowest peer needs some seconds.
const LIMIT: Duration = Duration::from_secs(40);

/// Lets the program write the corpus; gives MiB a second.
pub fn flood(program: &mut Program) -> Result<f64> {
    program.ask(&format!("flood {BYTES}"), LIMIT)?;
    let micros: f64 = program.ask("go", LIMIT)?.parse().context("microseconds")?;
    Ok(MIB / (micros / 1e6))
}

/// Measures a peer.
pub fn measure(name: &str, rounds: usize, results: &mut Results) -> Result<()> {
    let (mut rates, mut costs, mut shares, mut alone) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let mut peer = peers::open(name)?;
        let mut program = start(peer.as_mut(), "flood")?;
        if peer.detaches() {
            alone.push(flood(&mut program)?);
        }
        let mut viewer = peer.attach("flood")?;
        viewer.read_quiet(SETTLED)?;
        let mut pids = peer.servers()?;
        pids.extend(viewer.pid().filter(|pid| !pids.contains(pid)));
        if name == "direct" {
            pids.clear();
        }
        for _ in 0..FLOODS {
            let before = usage::on_cpu_of(&pids);
            let drained = Drained::begin(viewer, Some(END));
            rates.push(flood(&mut program)?);
            let (back, shown) = drained.finish(Duration::from_secs(3))?;
            viewer = back;
            viewer.read_quiet(SETTLED)?;
            costs.push((usage::on_cpu_of(&pids) - before) as f64 / 1e6 / MIB);
            shares.push(shown as f64 / BYTES as f64 * 100.0);
        }
    }
    results.add(NAME, name, "rate", median(rates), "MiB/s");
    if name != "direct" {
        results.add(NAME, name, "CPU", median(costs), "ms/MiB");
        results.add(NAME, name, "nobody attached", median(alone), "MiB/s");
    }
    results.add(NAME, name, "viewer got", median(shares), "%");
    Ok(())
}
