//! Which of the questions of coding CLIs are answered while nobody is attached, and how soon.

use anyhow::Result;
use std::time::Duration;

use super::start;
use crate::pty::peers;
use crate::pty::queries::QUERIES;
use crate::pty::results::Results;
use crate::report::median;

pub const NAME: &str = "queries answered with nobody attached, of 15";

/// Measures a peer.
pub fn measure(name: &str, results: &mut Results) -> Result<()> {
    let mut peer = peers::open(name)?;
    if !peer.detaches() {
        return Ok(());
    }
    let mut program = start(peer.as_mut(), "queries")?;
    std::thread::sleep(Duration::from_millis(300));
    let told = program.ask("queries", Duration::from_secs(10))?;
    let times: Vec<Option<f64>> = told.split(' ').map(|word| word.parse().ok()).collect();
    let answered: Vec<f64> = times.iter().flatten().copied().collect();
    results.add(NAME, name, "answered", answered.len() as f64, "");
    if !answered.is_empty() {
        results.add(NAME, name, "median", median(answered), "us");
    }
    let missing: Vec<&str> =
        QUERIES.iter().zip(&times).filter(|(_, time)| time.is_none()).map(|(query, _)| query.0).collect();
    if !missing.is_empty() {
        results.lack(NAME, name, "silent", missing.join(", "));
    }
    Ok(())
}
