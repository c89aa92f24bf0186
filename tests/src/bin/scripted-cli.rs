//! A stand-in for a coding CLI, for demonstrations and tests on machines without one: it reads its prompt on standard
//! input and does what the scenario says, through the engine `command`.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use orx_tests::model::{Acted, Scenario, act};

/// Does what a scenario file says to the prompt on standard input.
#[derive(Parser)]
struct Arguments {
    /// The scenario file.
    #[arg(long, env = "ORX_SCRIPTED_SCENARIO")]
    scenario: PathBuf,
    /// Refuse to write and to run commands.
    #[arg(long)]
    read_only: bool,
    /// Wait until this file exists before doing anything.
    #[arg(long)]
    wait_for_file: Option<PathBuf>,
    /// Never come to an end.
    #[arg(long)]
    hang: bool,
    /// Abort after the actions, before the answer.
    #[arg(long)]
    crash: bool,
    /// Print this many bytes before the answer.
    #[arg(long, default_value_t = 0)]
    flood: u64,
}

fn wait_for(file: &std::path::Path) {
    while !file.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let scenario = Scenario::load(&arguments.scenario)?;
    let mut prompt = String::new();
    std::io::stdin().read_to_string(&mut prompt).context("cannot read the prompt")?;
    let root = std::env::current_dir()?;
    if let Some(file) = &arguments.wait_for_file {
        wait_for(&root.join(file));
    }
    let otherwise = scenario.otherwise.clone().map(|step| vec![step]);
    let steps = scenario.find(&prompt, &prompt).map(|(_, rule)| rule.steps.clone()).or(otherwise);
    let steps = steps.context("the scenario has no rule for this prompt")?;
    let mut answer = String::new();
    for step in steps {
        if let Some(file) = &step.wait_for_file {
            wait_for(&root.join(file));
        }
        std::thread::sleep(std::time::Duration::from_millis(step.delay_ms));
        for action in &step.tools {
            match act(action, &root, arguments.read_only)? {
                Acted::Done(_) => {}
                Acted::Refused(why) => eprintln!("refused: {why}"),
            }
        }
        answer = step.text;
    }
    if arguments.hang {
        loop {
            std::thread::park();
        }
    }
    if arguments.crash {
        std::process::abort();
    }
    let mut out = std::io::stdout().lock();
    let line = [b'.'; 79];
    let mut printed = 0;
    while printed < arguments.flood {
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        printed += 80;
    }
    writeln!(out, "{answer}")?;
    Ok(())
}
