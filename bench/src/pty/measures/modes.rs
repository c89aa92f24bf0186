//! Which modes and kinds of content a viewer gets that attaches after they were set.

use anyhow::Result;
use std::time::Duration;

use super::{SETTLED, start};
use crate::pty::modes::{NAMES, restored};
use crate::pty::peers;
use crate::pty::results::Results;

pub const NAME: &str = "modes and content restored, of 19";

/// Measures a peer.
pub fn measure(name: &str, results: &mut Results) -> Result<()> {
    let mut peer = peers::open(name)?;
    if !peer.detaches() {
        return Ok(());
    }
    let mut program = start(peer.as_mut(), "modes")?;
    program.ask("modes", Duration::from_secs(5))?;
    std::thread::sleep(Duration::from_millis(300));
    let mut viewer = peer.attach("modes")?;
    let mut shown = Vec::new();
    viewer.read(&mut shown, Duration::from_secs(2))?;
    shown.extend(viewer.read_quiet(SETTLED * 2)?);
    let found = restored(&shown);
    results.add(NAME, name, "restored", found.iter().filter(|one| **one).count() as f64, "");
    let missing: Vec<&str> = NAMES.iter().zip(found).filter(|(_, found)| !found).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        results.lack(NAME, name, "missing", missing.join(", "));
    }
    Ok(())
}
