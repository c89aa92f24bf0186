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
        /// Goes on where another holder stopped, with what the file behind this descriptor hands over.
        #[arg(long, value_name = "DESCRIPTOR")]
        take_over: Option<i32>,
    },
    /// Starts what `launch.json` in a session's directory describes: an engine's server and its interface, or an agent on
    /// pipes behind a socket. It is the first process of such a session; nobody else calls it.
    Launch {
        /// The session's directory.
        #[arg(long)]
        directory: PathBuf,
    },
    /// Prints as one line of JSON which version this is, and in which form it takes sessions over.
    About,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Hold { directory, take_over } => pty_proxy::hold::hold(&directory, take_over),
        Command::Launch { directory } => pty_proxy::launch::launch(&directory),
        Command::About => pty_proxy::hold::about(),
    }
}
