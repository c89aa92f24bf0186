//! How a session with a structured channel is started: what `pty-proxy launch` is told, and what it leaves in the session's
//! directory. It runs as the session's own process, so that server and interface are one tree with one end.
//!
//! What goes over a channel belongs to `orx-channels`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The directory of a launcher, below its session's (0700): the one place there that the session's own processes may write to
/// and read.
pub const DIRECTORY: &str = "channel";

/// Names of the files in a launcher's directory (files 0600).
pub mod file {
    /// [`super::LaunchSpec`], written by the daemon before the holder starts.
    pub const SPEC: &str = "launch.json";
    /// [`super::Served`], written by the launcher once the server answers.
    pub const SERVED: &str = "served.json";
    /// What the server writes.
    pub const SERVER_LOG: &str = "server.log";
    /// [`super::Record`]s, one a line: everything that went between an agent on pipes and its client.
    pub const EXCHANGE: &str = "exchange.jsonl";
}

/// Stands for the server's address in the arguments of an interface.
pub const ADDRESS: &str = "{address}";

/// What a launcher is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchSpec {
    /// A server in the background, and the engine's interface on the session's terminal as its client.
    Serve(Serve),
    /// An agent on pipes behind a socket, with a record of what went both ways.
    Relay(Relay),
}

/// A server with an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serve {
    /// The server's program and arguments.
    pub server: Vec<String>,
    /// How it is known that it answers.
    pub ready: Ready,
    /// How long it may take to answer, in milliseconds.
    pub limit_ms: u64,
    /// The path of the socket on which the server is reached instead, where it cannot tell its clients apart: its own is
    /// taken away, and whoever stands before it lets in the interface and those from outside the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarded: Option<String>,
    /// The interface; [`ADDRESS`] in an argument is replaced by the server's address.
    pub interface: Vec<String>,
    /// What runs instead when the server does not come up: the engine as it is without a channel.
    pub alone: Vec<String>,
}

/// How a server is known to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// It accepts connections on this Unix socket. The address is `unix://` and the path, or that of the guarded one.
    Socket(String),
    /// It says so on a line of its output: what follows this text, up to a blank, is the address.
    Line(String),
}

/// An agent on pipes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Program and arguments.
    pub agent: Vec<String>,
    /// Path of the socket on which the relay is spoken to.
    pub socket: String,
}

/// What a launcher leaves once the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Where the server answers; `None` when it did not come up.
    pub address: Option<String>,
    /// Why it did not come up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Who wrote what a [`Record`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writer {
    /// The agent.
    Agent,
    /// Its client.
    Client,
}

/// One line of [`file::EXCHANGE`]: a message, a note or noise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Who wrote it.
    pub by: Writer,
    /// A message between agent and client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
    /// A note of the client for itself; the agent does not get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<RawValue>>,
    /// A line of the agent that is no message, cut to 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<String>,
}

/// A line from the client to the relay: one of the two.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToRelay {
    /// For the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
    /// For the record alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<RawValue>>,
}

/// A line from the relay to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Bytes that [`file::EXCHANGE`] has now; all of them are whole lines.
    pub bytes: u64,
}

/// Longest line of an agent or a client, in bytes; an agent that writes a longer one is ended.
pub const LINE_MAX: usize = 32 * 1024 * 1024;
/// Most bytes of [`file::EXCHANGE`]; an agent that makes it longer is ended.
pub const EXCHANGE_MAX: u64 = 1024 * 1024 * 1024;
