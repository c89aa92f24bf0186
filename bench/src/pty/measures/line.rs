//! Floods that no screen is made for, through a real holder: one line of a gigabyte, a sequence that does not end for a
//! hundred megabytes, and a hundred megabytes of noise. What is asked: how long, with how much memory at most, and how
//! long somebody waits meanwhile who asks for the screen.

use anyhow::{Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};

use crate::pty::peers::{Peer, orx::Orx};
use crate::pty::results::Results;
use crate::pty::usage;

pub const NAME: &str = "endless line";

const LINE: u64 = 1_000_000_000;
const STRING: u64 = 100_000_000;
const NOISE: u64 = 100_000_000;
/// What is on the screen at the end.
const END: &str = "the flood has ended";
/// How often somebody asks for the screen.
const LOOK: Duration = Duration::from_millis(50);
/// The longest that all may take.
const LIMIT: Duration = Duration::from_secs(900);

/// Measures orx.
pub fn measure_orx(results: &mut Results) -> Result<()> {
    let script = format!(
        "head -c {LINE} /dev/zero | tr '\\0' x; printf '\\033]2;'; head -c {STRING} /dev/zero | tr '\\0' y; printf '\\030'; \
         head -c {NOISE} /dev/urandom; printf '\\030\\033c\\033[H{END}'; exec sleep 600"
    );
    let mut orx = Orx::open(false)?;
    let began = Instant::now();
    orx.start(NAME, &["/bin/sh".to_owned(), "-c".to_owned(), script])?;
    let session = json!({"session": orx.id(NAME)?});
    let holder = orx.holder(NAME)?;
    let (mut memory, mut wait) = (0.0_f64, Duration::ZERO);
    loop {
        let asked = Instant::now();
        let screen = orx.call("session.screen", &session)?;
        wait = wait.max(asked.elapsed());
        memory = memory.max(usage::memory(holder, "Private_Dirty:")?);
        if screen["lines"].as_array().into_iter().flatten().any(|line| line.as_str().is_some_and(|l| l.contains(END))) {
            break;
        }
        ensure!(began.elapsed() < LIMIT, "it did not end within {} s", LIMIT.as_secs());
        std::thread::sleep(LOOK);
    }
    results.add(NAME, "orx", "1.2 GB", began.elapsed().as_secs_f64(), "s");
    results.add(NAME, "orx", "memory at most", memory, "MiB");
    results.add(NAME, "orx", "longest answer", wait.as_secs_f64() * 1e3, "ms");
    let mut kept = 0;
    for entry in std::fs::read_dir(orx.directory(NAME)?)? {
        kept += entry?.metadata()?.len();
    }
    results.add(NAME, "orx", "files", kept as f64 / f64::from(1 << 20), "MiB");
    Ok(())
}
