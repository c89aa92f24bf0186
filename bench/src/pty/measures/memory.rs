//! Proportional memory of what holds sessions: one idle, one with 10,000 lines behind its screen, and many of those.

use anyhow::Result;
use std::time::Duration;

use super::attach::LINES;
use super::start;
use crate::pty::peers::{self, Peer};
use crate::pty::results::Results;
use crate::pty::usage;

pub const NAME: &str = "memory (PSS) of servers and holders";

/// Sessions of those that are light, and of the others, whose fifty would fill the machine.
const MANY: usize = 50;
const FEW: usize = 5;

fn settled(peer: &mut dyn Peer) -> Result<f64> {
    std::thread::sleep(Duration::from_millis(1200));
    Ok(usage::proportional(&peer.servers()?))
}

/// Measures a peer.
pub fn measure(name: &str, results: &mut Results) -> Result<()> {
    let mut peer = peers::open(name)?;
    if !peer.detaches() {
        return Ok(());
    }
    let is_orx = name == "orx";
    let mut program = start(peer.as_mut(), "m0")?;
    let all = settled(peer.as_mut())?;
    // The daemon serves all sessions; what a session costs is its holder.
    let shared = if is_orx { peer.servers()?.first().map_or(0.0, |pid| usage::proportional(&[*pid])) } else { 0.0 };
    results.add(NAME, name, "idle", all - shared, "MiB");
    if is_orx {
        results.add(NAME, name, "daemon", shared, "MiB");
    }
    program.ask(&format!("lines {LINES}"), Duration::from_secs(30))?;
    results.add(NAME, name, "10,000 lines", settled(peer.as_mut())? - shared, "MiB");
    let count = if peer.is_light() { MANY } else { FEW };
    let mut programs = vec![program];
    for number in 1..count {
        let mut program = start(peer.as_mut(), &format!("m{number}"))?;
        program.ask(&format!("lines {LINES}"), Duration::from_secs(30))?;
        programs.push(program);
    }
    let total = settled(peer.as_mut())?;
    results.add(NAME, name, "50 x 10,000 lines", total * MANY as f64 / count as f64, "MiB");
    if count != MANY {
        results.lack(NAME, name, "50 x 10,000 lines", format!("ten times what {count} sessions take"));
    }
    Ok(())
}
