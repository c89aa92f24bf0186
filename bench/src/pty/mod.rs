//! orx beside what else keeps terminals: tmux, screen, dtach, shpool and zellij, and a terminal without anything between,
//! measured in one run by the same programs.

mod bars;
mod control;
mod corpus;
mod measures;
mod modes;
pub mod peers;
mod program;
mod queries;
mod results;
pub mod usage;
mod viewer;

use anyhow::{Result, bail};
use std::path::Path;
use std::time::Instant;

use measures::{attach, echo, line, memory, recording, stuck, survival, throughput, upgrade};
use results::Results;

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Peers beside orx and the bare terminal; all that are installed when absent
    #[arg(long, value_delimiter = ',', value_parser = peers::OTHERS)]
    peers: Option<Vec<String>>,
    /// Measures; all when absent
    #[arg(long, value_delimiter = ',', value_parser = MEASURES)]
    only: Option<Vec<String>>,
}

const MEASURES: [&str; 11] =
    ["throughput", "recording", "echo", "attach", "memory", "queries", "modes", "stuck", "line", "survival", "upgrade"];

/// The program on the terminal.
pub fn program(socket: &Path) -> Result<()> {
    program::run(socket)
}

/// Measures, and prints what was measured beside its bars.
pub fn measure(arguments: &Arguments, rounds: usize, json: bool) -> Result<()> {
    let mut results = Results::default();
    let chosen: Vec<&str> = peers::OTHERS
        .into_iter()
        .filter(|peer| arguments.peers.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one == peer)))
        .collect();
    let mut present = vec!["direct", "orx", "orx socket"];
    results.peers.push(("orx".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    for peer in peers::OTHERS {
        if !chosen.contains(&peer) {
            results.peers.push((peer.to_owned(), "left out of this run".to_owned()));
        } else if let Some(version) = peers::version(peer) {
            results.peers.push((peer.to_owned(), version));
            present.push(peer);
        } else {
            results
                .peers
                .push((peer.to_owned(), "NOT INSTALLED: `cargo xtask bench --setup-peers` says how".to_owned()));
        }
    }
    let is_wanted = |name: &str| arguments.only.as_ref().is_none_or(|only| only.iter().any(|one| one == name));
    for measure in MEASURES.into_iter().filter(|measure| is_wanted(measure)) {
        for peer in &present {
            let began = Instant::now();
            if let Err(error) = one(measure, peer, rounds, &mut results) {
                eprintln!("  {measure}, {peer}: {error:#}");
                results.lack(title(measure), peer, "failed", format!("{error:#}"));
            }
            eprintln!("  {measure}, {peer}: {:.1} s", began.elapsed().as_secs_f64());
        }
    }
    results.verdicts = bars::judge(&results);
    results.print(json)
}

/// The heading of a measure.
fn title(measure: &str) -> &'static str {
    match measure {
        "throughput" => throughput::NAME,
        "recording" => recording::NAME,
        "echo" => echo::NAME,
        "attach" => attach::NAME,
        "memory" => memory::NAME,
        "queries" => measures::queries::NAME,
        "modes" => measures::modes::NAME,
        "stuck" => stuck::NAME,
        "line" => line::NAME,
        "survival" => survival::NAME,
        _ => upgrade::NAME,
    }
}

fn one(measure: &str, peer: &str, rounds: usize, results: &mut Results) -> Result<()> {
    // At the socket there is no other holder than under `orxctl attach`: what is asked of holders is measured once.
    let is_second = peer == "orx socket";
    match measure {
        "throughput" => throughput::measure(peer, rounds, results),
        "echo" => echo::measure(peer, rounds, results),
        "attach" => attach::measure(peer, results),
        "stuck" => stuck::measure(peer, results),
        _ if is_second => Ok(()),
        "memory" => memory::measure(peer, results),
        "queries" => measures::queries::measure(peer, results),
        "modes" => measures::modes::measure(peer, results),
        "survival" if peer == "orx" => survival::measure_orx(results),
        "survival" => survival::measure(peer, results),
        "line" if peer == "orx" => line::measure_orx(results),
        "recording" if peer == "orx" => recording::measure_orx(results),
        "upgrade" if peer == "orx" => upgrade::measure_orx(results),
        "line" | "recording" | "upgrade" => Ok(()),
        _ => bail!("there is no measure `{measure}`"),
    }
}
