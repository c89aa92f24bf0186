//! Benchmarks of orx as a user gets it: release binaries, real sockets, real terminals, real disks. Every figure is a ratio
//! to a floor measured in the same run, since single times say more about the machine than about the program.
//!
//! Run `cargo xtask bench`, or this program from a release build with the product's binaries beside it.

mod daemon;
mod durable;
mod floor;
mod gateway;
mod ipc;
mod memory;
mod pty;
mod report;
mod start;
mod terminal;
mod wire;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Prints the figures as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Rounds, of which the median is given: 5 when absent, 3 for `pty`.
    #[arg(long, global = true)]
    rounds: Option<usize>,
}

#[derive(Subcommand)]
enum What {
    /// Everything.
    All,
    /// Round trips: client, daemon, client; and client, daemon, worker, client.
    Ipc,
    /// Writes that are on disk when they are answered.
    Durable,
    /// Terminal throughput and keystroke echo.
    Terminal,
    /// From the start of the daemon to its first answer.
    Start,
    /// Resident memory.
    Memory,
    /// Calls of models through the gateway: what they cost more than direct ones.
    Gateway,
    /// Holders of terminals side by side: orx, tmux, screen, dtach, shpool, zellij.
    Pty(pty::Arguments),
    /// A server of a floor, started by this program itself.
    #[command(hide = true)]
    Floor {
        /// `echo`, `splice` or `worker`.
        kind: String,
        /// Its socket; of `worker` the daemon's.
        socket: PathBuf,
        /// The next socket of `splice`.
        next: Option<PathBuf>,
    },
    /// A program on a terminal, started by this program itself.
    #[command(hide = true)]
    Child {
        /// `flood` or `echo`.
        kind: String,
        /// Bytes of `flood`.
        bytes: Option<u64>,
    },
    /// A program on a terminal that does what a socket tells it, started by this program itself.
    #[command(hide = true)]
    Program {
        /// The socket.
        socket: PathBuf,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut report = report::Report::default();
    let usual = if matches!(arguments.what, What::Pty(_)) { 3 } else { 5 };
    let rounds = arguments.rounds.unwrap_or(usual).max(1);
    match arguments.what {
        What::Floor { kind, socket, next } => return floor::serve(&kind, &socket, next.as_deref()),
        What::Child { kind, bytes } => return terminal::child(&kind, bytes.unwrap_or(0)),
        What::Program { socket } => return pty::program(&socket),
        What::Pty(wanted) => return pty::measure(&wanted, rounds, arguments.json),
        What::All => {
            ipc::measure(&mut report, rounds)?;
            durable::measure(&mut report, rounds)?;
            terminal::measure(&mut report, rounds)?;
            start::measure(&mut report, rounds)?;
            memory::measure(&mut report)?;
            gateway::measure(&mut report, rounds)?;
        }
        What::Ipc => ipc::measure(&mut report, rounds)?,
        What::Durable => durable::measure(&mut report, rounds)?,
        What::Terminal => terminal::measure(&mut report, rounds)?,
        What::Start => start::measure(&mut report, rounds)?,
        What::Memory => memory::measure(&mut report)?,
        What::Gateway => gateway::measure(&mut report, rounds)?,
    }
    report.print(arguments.json)
}
