//! `cargo xtask bench`: the benchmarks of `bench/`, built for release together with the programs that they measure.

use std::time::Duration;

use anyhow::Result;

use crate::{peers, shell};

/// How long all benchmarks together may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Installs what `pty` compares orx with, instead of measuring.
    #[arg(long)]
    setup_peers: bool,
    /// Arguments for the benchmarks, such as the names of those to run.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds and runs them.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.setup_peers {
        return peers::setup();
    }
    shell::run(&mut shell::cargo(&["build", "--release", "--workspace", "--bins"]), LIMIT)?;
    let mut command = shell::cargo(&["bench", "--package", "orx-bench", "--"]);
    command.args(&arguments.rest);
    shell::run(&mut command, LIMIT)
}
