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
    /// Starts what `launch.json` in a launcher's directory describes: an engine's server and its interface, or an agent on
    /// pipes behind a socket. It is the first process of such a session; nobody else calls it.
    Launch {
        /// The launcher's directory, below the session's.
        #[arg(long)]
        directory: PathBuf,
    },
    /// Stands before the socket of an engine's server, which it takes away, and lets in the session's interface and whoever
    /// comes from outside the session. A launcher starts it; nobody else calls it.
    #[cfg(target_os = "linux")]
    Guard {
        /// The server's socket.
        #[arg(long)]
        server: PathBuf,
        /// The server's process.
        #[arg(long, value_name = "PID")]
        process: i32,
        /// The socket on which the server is reached from then on.
        #[arg(long)]
        listen: PathBuf,
    },
    /// Becomes the program of a session inside its sandbox. A holder starts it; nobody else calls it.
    Confined {
        /// The session's directory.
        #[arg(long)]
        directory: PathBuf,
    },
    /// The second step of `confined`, inside the namespaces that bubblewrap made.
    Inside {
        /// Descriptor of the pipe to the holder.
        #[arg(long, value_name = "DESCRIPTOR")]
        report: i32,
        /// Descriptor of the way to the gateway, and the gateway's port.
        #[arg(long, value_name = "DESCRIPTOR:PORT", value_parser = gateway)]
        gateway: Option<(i32, u16)>,
        /// Program and arguments.
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    /// Shows a pane of tmux in this terminal and types into it. It is the process of an adopted session.
    Mirror {
        /// tmux's socket; its default when absent.
        #[arg(long)]
        socket: Option<String>,
        /// The pane, such as %3.
        #[arg(long)]
        pane: String,
    },
    /// Plays a recording through the model of the screen and prints what a watcher of the session would have been told, a
    /// line of JSON each.
    Replay {
        /// An asciicast of version 2 or 3.
        cast: PathBuf,
    },
    /// Prints lines that scrolled out of a session's screen, as one line of JSON.
    Scrollback {
        /// The session's directory.
        #[arg(long)]
        directory: PathBuf,
        /// Number of the first line; the last ones when absent.
        #[arg(long)]
        from: Option<u64>,
        /// At most this many lines.
        #[arg(long, default_value_t = 1000)]
        limit: u32,
        /// With styles.
        #[arg(long)]
        styled: bool,
    },
    /// Prints the screen of a session's recording at a moment, as one line of JSON.
    Recorded {
        /// The session's directory.
        #[arg(long)]
        directory: PathBuf,
        /// Milliseconds since the recording began; its end when absent.
        #[arg(long)]
        at_ms: Option<u64>,
    },
    /// Prints as one line of JSON which version this is, and in which form it takes sessions over.
    About,
}

fn gateway(text: &str) -> Result<(i32, u16), String> {
    let parsed = text.split_once(':').and_then(|(number, port)| Some((number.parse().ok()?, port.parse().ok()?)));
    parsed.ok_or_else(|| format!("`{text}` is not DESCRIPTOR:PORT"))
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Hold { directory, take_over } => pty_proxy::hold::hold(&directory, take_over),
        Command::Launch { directory } => pty_proxy::launch::launch(&directory),
        #[cfg(target_os = "linux")]
        Command::Guard { server, process, listen } => pty_proxy::launch::guard(&server, process, &listen),
        Command::Confined { directory } => pty_proxy::process::confined::enter(&directory),
        Command::Inside { report, gateway, argv } => pty_proxy::process::confined::inside(report, gateway, argv),
        Command::Mirror { socket, pane } => pty_proxy::mirror::mirror(socket.as_deref(), &pane),
        Command::Replay { cast } => pty_proxy::replay::replay(&cast),
        Command::Scrollback { directory, from, limit, styled } => {
            pty_proxy::look::scrollback(&directory, from, limit, styled)
        }
        Command::Recorded { directory, at_ms } => pty_proxy::look::recorded(&directory, at_ms),
        Command::About => pty_proxy::hold::about(),
    }
}
