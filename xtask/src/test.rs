//! `cargo xtask test`: everything that must hold, one named and timed step after the other; the first failure stops.

use std::io::{Read, Seek};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{self, bold, green, red, yellow};
use crate::{arch, demo, golden, rows, setup};

/// How long a step may take: a cold build on a slow machine, with room.
const LIMIT: Duration = Duration::from_secs(3600);
/// How long the advisory database may take to come.
const FETCH_LIMIT: Duration = Duration::from_secs(120);

/// Which part to run.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only these steps, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "STEP,…")]
    only: Vec<String>,
    /// Arguments for `cargo test`, such as the name of a test.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// What came of a step that did not fail.
enum Outcome {
    Holds,
    /// It could not be looked at here; the reason.
    NotChecked(&'static str),
}

struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Arguments) -> Result<Outcome>,
}

const STEPS: [Step; 12] = [
    Step { name: "setup", what: "tools, coding CLIs and SDKs", run: |_| holds(setup::run()) },
    Step { name: "fmt", what: "format", run: |_| holds(cargo(&["fmt", "--all", "--check"])) },
    Step { name: "arch", what: "architecture", run: |_| holds(arch::run()) },
    Step { name: "rows", what: "security rows", run: |_| holds(rows::run()) },
    Step { name: "deny", what: "licences, bans and sources of dependencies", run: |_| holds(deny()) },
    Step { name: "advisories", what: "known vulnerabilities of dependencies", run: |_| advisories() },
    Step {
        name: "clippy",
        what: "lints",
        run: |_| holds(cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])),
    },
    Step { name: "doc", what: "documentation", run: |_| holds(doc()) },
    Step { name: "build", what: "programs", run: |_| holds(cargo(&["build", "--workspace", "--bins", "--locked"])) },
    Step {
        name: "golden",
        what: "command line as documented",
        run: |_| holds(golden::run(&golden::Arguments { check: true })),
    },
    Step { name: "units", what: "systemd units", run: |_| units() },
    Step { name: "test", what: "tests", run: |arguments| holds(test(arguments)) },
];

fn holds(done: Result<()>) -> Result<Outcome> {
    done.map(|()| Outcome::Holds)
}

/// Runs the steps.
pub fn run(arguments: &Arguments) -> Result<()> {
    let names = STEPS.map(|step| step.name).join(", ");
    if let Some(unknown) = arguments.only.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        bail!("there is no step `{unknown}`; there are {names}");
    }
    let started = Instant::now();
    let wanted = |step: &&Step| arguments.only.is_empty() || arguments.only.iter().any(|name| name == step.name);
    let mut times = Vec::new();
    let mut unchecked = Vec::new();
    for step in STEPS.iter().filter(wanted) {
        println!("{} {}", bold(&format!("▸ {}", step.name)), step.what);
        let step_started = Instant::now();
        let done = (step.run)(arguments);
        let time = shell::seconds(step_started.elapsed());
        match done {
            Ok(Outcome::Holds) => println!("{} {} {time}\n", green("✓"), step.name),
            Ok(Outcome::NotChecked(reason)) => {
                println!("{} {} {}\n", yellow("?"), step.name, yellow(&format!("NOT CHECKED: {reason}")));
                unchecked.push(step.name);
            }
            Err(error) => {
                println!("{} {} {time}", red("✗"), step.name);
                return Err(
                    error.context(format!("step `{0}` failed; `cargo xtask test --only {0}` runs it alone", step.name))
                );
            }
        }
        times.push(format!("{} {time}", step.name));
    }
    println!(
        "{} in {}: {}",
        green("everything that was checked holds"),
        shell::seconds(started.elapsed()),
        times.join(", ")
    );
    if !unchecked.is_empty() {
        println!("{}", yellow(&format!("NOT CHECKED: {}", unchecked.join(", "))));
    }
    Ok(())
}

/// Runs what CI runs.
pub fn ci() -> Result<()> {
    run(&Arguments { only: Vec::new(), rest: Vec::new() })?;
    demo::run(&demo::Arguments::default())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    shell::run(&mut shell::cargo(arguments), LIMIT)
}

fn doc() -> Result<()> {
    let mut command = shell::cargo(&["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"]);
    shell::run(command.env("RUSTDOCFLAGS", "-D warnings"), LIMIT)
}

fn test(arguments: &Arguments) -> Result<()> {
    // The tests start the programs of this build, so a stale one would be tested in place of the code.
    cargo(&["build", "--workspace", "--bins", "--locked"])?;
    let mut command = shell::cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    if !arguments.rest.is_empty() {
        command.arg("--").args(&arguments.rest);
    }
    shell::run(&mut command, LIMIT)
}

fn deny() -> Result<()> {
    let mut command = Command::new(setup::cargo_deny()?);
    command.args(["--all-features", "check", "bans", "licenses", "sources"]).current_dir(shell::root());
    shell::run(&mut command, LIMIT)
}

/// The advisories need a database from the network: without it nothing is known, and that is said.
fn advisories() -> Result<Outcome> {
    let deny = setup::cargo_deny()?;
    let mut said = tempfile::tempfile()?;
    let mut fetching = Command::new(&deny)
        .args(["fetch", "db"])
        .current_dir(shell::root())
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stderr(said.try_clone()?)
        .spawn()
        .context("cargo-deny could not be started")?;
    let fetched = shell::wait(&mut fetching, FETCH_LIMIT, "fetching the advisory database");
    if !fetched.as_ref().is_ok_and(ExitStatus::success) {
        let mut text = String::new();
        said.rewind()?;
        said.read_to_string(&mut text)?;
        if let Err(error) = fetched {
            println!("  {error:#}");
        }
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3) {
            println!("  {line}");
        }
        return Ok(Outcome::NotChecked("the advisory database cannot be fetched, so vulnerabilities are unknown"));
    }
    let mut command = Command::new(&deny);
    command.args(["--all-features", "check", "--disable-fetch", "advisories"]).current_dir(shell::root());
    holds(shell::run(&mut command, LIMIT))
}

/// Units are checked by systemd itself where it is there.
fn units() -> Result<Outcome> {
    let Some(analyze) = shell::find("systemd-analyze") else {
        return Ok(Outcome::NotChecked("there is no systemd-analyze here"));
    };
    let directory = shell::root().join("systemd");
    let mut units = Vec::new();
    for entry in std::fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "service" || extension == "socket") {
            units.push(path);
        }
    }
    if units.is_empty() {
        bail!("{} has no units", directory.display());
    }
    units.sort();
    // The programs are not installed where the units say on a machine that only builds them.
    let output = Command::new(analyze).arg("verify").arg("--user").args(&units).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    // systemd before 254 does not know this key, says so, and works without it.
    let known = |line: &str| line.contains("is not executable") || line.contains("DelegateSubgroup");
    let wrong: Vec<&str> = said.lines().filter(|line| line.contains("/systemd/") && !known(line)).collect();
    if wrong.is_empty() {
        println!("  {} units", units.len());
        Ok(Outcome::Holds)
    } else {
        bail!("systemd-analyze verify says:\n{}", wrong.join("\n"))
    }
}
