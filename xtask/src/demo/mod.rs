//! `cargo xtask demo`: a fresh daemon, a small repository whose test fails, a real coding CLI against a scripted model,
//! and at the end a branch that was checked from outside. It starts nothing that it does not end.

mod house;
mod project;
mod report;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{self, bold, dim, green, yellow};
use crate::{engines, setup};
use house::{Engine, House};
use project::Project;

/// What the run is asked to do.
const TASK: &str = "The test of the calculator fails: repair add() in calculator.py. \
                    Then add subtract(a, b) to it, with a test of its own.";
/// How long the programs may take to build.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);
/// How long the run may take: a CLI on Node.js needs seconds for each stage on a busy machine.
const RUN_LIMIT: Duration = Duration::from_secs(900);

/// How to demonstrate.
#[derive(clap::Args, Default)]
pub struct Arguments {
    /// The coding CLI that does the work.
    #[arg(long, value_parser = engines::NAMES.to_vec())]
    engine: Option<String>,
    /// Leave the daemon running afterwards and say how to look around.
    #[arg(long)]
    keep: bool,
    /// Use the debug build, which is there sooner.
    #[arg(long)]
    debug: bool,
}

/// Runs the demo; it succeeds only when the branch holds the change and its gate passed.
pub fn run(arguments: &Arguments) -> Result<()> {
    shell::catch_interrupts()?;
    let mut steps = Steps { started: Instant::now(), number: 0 };
    let wanted = arguments.engine.as_deref().unwrap_or("claude");
    println!("{}\n", bold(&format!("orx: one command from a task to a gated branch, made by {wanted}")));

    let programs = steps.long_step("Build the programs", || build(arguments.debug))?;
    let engine = steps.step(&format!("Find {wanted}"), || engine(arguments.engine.as_deref()))?;
    let mut house = House::prepare(programs, engine)?;
    let project = steps.step("Make a repository whose test fails", || {
        let project = Project::create(&house.directory().join("calculator"), &house.engine_settings())?;
        Ok((project.path().display().to_string(), project))
    })?;
    steps.step("Start the scripted model", || house.start_model().map(|url| (url, ())))?;
    steps.step("Start orchestratord and four workers", || house.start_daemon().map(|said| (said, ())))?;

    let outcome = steps.run(&house, &project);
    let outcome = outcome.and_then(|run| {
        let checked = steps.step("Check the branch from outside", || project.check(&run).map(|said| (said, ())));
        report::show(&house, &project, &run, steps.started.elapsed())?;
        checked
    });
    if let Err(error) = outcome {
        if !shell::interrupted() {
            house.keep_directory();
            println!("\n{}", house.places());
        }
        return Err(error);
    }
    if arguments.keep {
        println!("{}", house.keep(&project));
    } else {
        house.stop()?;
        println!("{}", dim("The daemon is ended and its directory removed; `--keep` leaves both."));
    }
    println!("\n{}", green("The branch holds the change and its gate passed."));
    Ok(())
}

/// Numbered steps with their time.
struct Steps {
    started: Instant,
    number: u32,
}

impl Steps {
    /// Does one step; it gives what to show beside its name, and its value.
    fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<(String, T)>) -> Result<T> {
        self.announce(name)?;
        self.finish(name, Instant::now(), work)
    }

    /// The same for work that shows its own progress: the line comes when it is done.
    fn long_step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<(String, T)>) -> Result<T> {
        if std::io::stderr().is_terminal() {
            println!("{}", dim(&format!("  {name}: minutes at the first time, seconds later")));
        }
        let started = Instant::now();
        let done = work()?;
        self.announce(name)?;
        self.finish(name, started, || Ok(done))
    }

    fn announce(&mut self, name: &str) -> Result<()> {
        self.number += 1;
        print!("{} {name:<40}", bold(&self.number.to_string()));
        Ok(std::io::stdout().flush()?)
    }

    fn finish<T>(&self, name: &str, started: Instant, work: impl FnOnce() -> Result<(String, T)>) -> Result<T> {
        match work() {
            Ok((said, value)) => {
                println!("{} {said}", dim(&format!("{:>7}", shell::seconds(started.elapsed()))));
                Ok(value)
            }
            Err(error) => {
                println!();
                Err(error.context(format!("{name}, after {}", shell::seconds(started.elapsed()))))
            }
        }
    }

    /// The run itself, which shows its own progress.
    fn run(&mut self, house: &House, project: &Project) -> Result<serde_json::Value> {
        self.number += 1;
        let engine = house.engine_name();
        println!("{} orxctl run \"…\" --engine {engine}\n  {}\n", bold(&self.number.to_string()), dim(TASK));
        let mut command = house.orxctl(&["run", TASK, "--engine", engine]);
        let ended = shell::run(command.current_dir(project.path()), RUN_LIMIT);
        println!();
        let run = house.newest_run(project.path());
        match (ended, run) {
            (Ok(()), run) => run,
            (Err(error), Ok(run)) if run["state"] != "running" => {
                let why = run["error"].as_str().unwrap_or("it says no reason").to_owned();
                Err(error.context(format!("the run ended as {}: {why}", run["state"])))
            }
            // It did not start, or was not awaited: what `orxctl run` said is the reason.
            (Err(error), Ok(_) | Err(_)) => Err(error),
        }
    }
}

fn build(debug: bool) -> Result<(String, std::path::PathBuf)> {
    let mut arguments = vec!["build", "--workspace", "--bins", "--locked"];
    if !debug {
        arguments.push("--release");
    }
    if !std::io::stderr().is_terminal() {
        arguments.push("--quiet");
    }
    println!(
        "  orx is built for {}, which takes minutes the first time …",
        if debug { "debugging" } else { "release" }
    );
    shell::run(&mut shell::cargo(&arguments), BUILD_LIMIT)?;
    let directory = shell::target().join(if debug { "debug" } else { "release" });
    Ok((directory.display().to_string(), directory))
}

/// The CLI: the one on `PATH`, else the pinned one from npm, else, and said so, the scripted one.
fn engine(wanted: Option<&str>) -> Result<(String, Engine)> {
    for tool in ["git", "python3"] {
        if shell::find(tool).is_none() {
            setup::tools().with_context(|| format!("the demo needs {tool}"))?;
        }
    }
    let name = wanted.unwrap_or("claude");
    if let Some(path) = shell::find(name) {
        return Ok((format!("{} (on PATH)", path.display()), Engine::OnPath(name.to_owned())));
    }
    if shell::find("npm").is_none() || shell::find("node").is_none() {
        if wanted.is_some() {
            bail!("{name} is not on PATH, and there is no npm to install it: install Node.js, or leave --engine away");
        }
        let said = yellow("npm is not installed, so no coding CLI can be: the scripted CLI does the work");
        return Ok((said, Engine::Scripted));
    }
    let engine = engines::Engine::pinned(name)?;
    let started = Instant::now();
    let source = engine.install()?;
    let said = format!("{} {}", engine.version, engines::came_from(source, started.elapsed()));
    Ok((said, Engine::Installed { name: name.to_owned(), program: engine.program() }))
}
