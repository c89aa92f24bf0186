//! The `pty-proxy` program: its command line. What it does is in the library.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Holds sessions of orx: one process per session.
#[derive(Debug, Parser)]
#[command(name = "pty-proxy", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the session that `hold.json` in a directory describes, and holds it in the background to its end.
    ///
    /// Prints one line of JSON once the program runs or could not be started, and exits 0 or 1.
    Hold {
        /// The session's directory.
        #[arg(long)]
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Hold { directory } => pty_proxy::hold::hold(&directory),
    }
}
