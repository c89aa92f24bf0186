//! From the start of a viewer until it shows the last line, with 10,000 lines behind the screen.

use anyhow::Result;
use std::time::{Duration, Instant};

use super::{SETTLED, start};
use crate::pty::peers;
use crate::pty::results::Results;
use crate::report::median;
use crate::wire::percentile;

pub const NAME: &str = "attach with 10,000 lines of scrollback";

pub const LINES: usize = 10_000;
const TIMES: usize = 20;

/// Measures a peer.
pub fn measure(name: &str, results: &mut Results) -> Result<()> {
    let mut peer = peers::open(name)?;
    if !peer.detaches() {
        return Ok(());
    }
    let mut program = start(peer.as_mut(), "lines")?;
    program.ask(&format!("lines {LINES}"), Duration::from_secs(30))?;
    // A peer that draws from a thread of its own may still be at it.
    std::thread::sleep(Duration::from_secs(1));
    let last = format!("line {LINES} is the last");
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let began = Instant::now();
        let mut viewer = peer.attach("lines")?;
        let shown = match viewer.read_until(&last, Duration::from_secs(3)) {
            Ok(shown) => shown,
            Err(error) => {
                results.lack(NAME, name, "screen shown", format!("never: {}", first_words(&error)));
                return Ok(());
            }
        };
        times.push(began.elapsed().as_secs_f64() * 1e3);
        let rest = viewer.read_quiet(SETTLED)?;
        bytes.push((shown.len() + rest.len()) as f64);
        drop(viewer);
        std::thread::sleep(Duration::from_millis(30));
    }
    times.sort_by(f64::total_cmp);
    results.add(NAME, name, "p50", percentile(&times, 50.0), "ms");
    results.add(NAME, name, "p99", percentile(&times, 99.0), "ms");
    results.add(NAME, name, "bytes", median(bytes), "");
    Ok(())
}

fn first_words(error: &anyhow::Error) -> String {
    error.to_string().chars().take(80).collect()
}
