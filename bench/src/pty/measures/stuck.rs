//! A viewer that stops reading: what it costs the program beside one that reads, and how soon it is right again.

use anyhow::Result;
use std::time::{Duration, Instant};

use super::throughput::{BYTES, flood};
use super::{Drained, SETTLED, start};
use crate::pty::peers;
use crate::pty::program::END;
use crate::pty::results::Results;
use crate::pty::usage;
use crate::report::median;

pub const NAME: &str = "a viewer that stops reading";

const FLOODS: usize = 3;
/// Longer than this and the program counts as blocked.
const BLOCKED: Duration = Duration::from_secs(12);

/// Measures a peer.
pub fn measure(name: &str, results: &mut Results) -> Result<()> {
    let mut peer = peers::open(name)?;
    if !peer.detaches() {
        return Ok(());
    }
    if !peer.takes_many() {
        results.lack(NAME, name, "rate kept", "a session has one viewer there");
        return Ok(());
    }
    let mut program = start(peer.as_mut(), "stuck")?;
    let mut reading = peer.attach("stuck")?;
    reading.read_quiet(SETTLED)?;
    let (mut without, mut with, mut times, mut sizes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..FLOODS {
        let drained = Drained::begin(reading, Some(END));
        without.push(flood(&mut program)?);
        reading = drained.finish(Duration::from_secs(3))?.0;
        reading.read_quiet(SETTLED)?;
    }
    let before = usage::proportional(&peer.servers()?);
    let mut growth: f64 = 0.0;
    for _ in 0..FLOODS {
        let mut stuck = peer.attach("stuck")?;
        stuck.read_quiet(SETTLED)?;
        let drained = Drained::begin(reading, Some(END));
        program.ask(&format!("flood {BYTES}"), BLOCKED)?;
        let Ok(micros) = program.ask("go", BLOCKED) else {
            results.lack(NAME, name, "rate kept", "the program was blocked");
            drained.finish(Duration::ZERO)?;
            return Ok(());
        };
        with.push((BYTES >> 20) as f64 / (micros.parse::<f64>()? / 1e6));
        reading = drained.finish(Duration::from_secs(3))?.0;
        reading.read_quiet(SETTLED)?;
        growth = growth.max(usage::proportional(&peer.servers()?) - before);
        let began = Instant::now();
        match stuck.read_until(END, Duration::from_secs(5)) {
            Ok(shown) => {
                times.push(began.elapsed().as_secs_f64() * 1e3);
                sizes.push(shown.len() as f64 / 1024.0);
            }
            Err(_) => results.lack(NAME, name, "right again", "it never saw the end"),
        }
    }
    results.add(NAME, name, "rate kept", median(with) / median(without) * 100.0, "%");
    results.add(NAME, name, "memory grew", growth, "MiB");
    if !times.is_empty() {
        results.add(NAME, name, "right again", median(times), "ms");
        results.add(NAME, name, "bytes to that", median(sizes), "KiB");
    }
    Ok(())
}
