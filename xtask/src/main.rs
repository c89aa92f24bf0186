//! The project's own commands, `cargo xtask <command>`: what a person, a test run and the CI use alike.
//!
//! It builds, checks and shows orx; nothing of it is part of orx.

mod arch;
mod bench;
mod demo;
mod engines;
mod golden;
mod judge;
mod peers;
mod rows;
mod sdks;
mod setup;
mod shell;
mod test;

use clap::{Parser, Subcommand};

/// Work on orx: demonstrate it, test it, check it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one task through a pipeline with a real coding CLI against a scripted model, and show what came of it.
    Demo(demo::Arguments),
    /// Everything that must hold: format, lints, architecture, dependencies, documentation, and every test.
    Test(test::Arguments),
    /// What CI runs: all of `test`, then the demo.
    Ci,
    /// Fetch what the tests need: coding CLIs, SDKs and cargo-deny; check for python3, git, node and a C compiler.
    Setup,
    /// Check which crate may use which, and where SQL, spawning and the binary codec may be.
    Arch,
    /// Check that every row of docs/security-rows.md names a test that exists.
    Rows,
    /// Write docs/cli.md from the programs' own help.
    Golden(golden::Arguments),
    /// Run the benchmarks of bench/.
    Bench(bench::Arguments),
}

fn main() -> std::process::ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Ci => test::ci(),
        Command::Setup => setup::run(),
        Command::Arch => arch::run(),
        Command::Rows => rows::run(),
        Command::Golden(arguments) => golden::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{} {error:#}", shell::red("error:"));
            std::process::ExitCode::FAILURE
        }
    }
}
