//! orx: its daemon and holders from the same build, seen through `orxctl attach` on a terminal or at its socket.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::process::Command;
use tokio::runtime::Runtime;

use super::Peer;
use crate::daemon::{self, Daemon};
use crate::pty::corpus::{COLUMNS, ROWS};
use crate::pty::viewer::{AtSocket, OnTerminal, Viewer};

/// No workers: nothing of them is measured here.
pub const SETTINGS: &str = "workers: {naming: 0, structure: 0, semantic: 0, manager: 0}\n";

pub struct Orx {
    pub daemon: Daemon,
    runtime: Runtime,
    sessions: BTreeMap<String, String>,
    is_client: bool,
}

impl Orx {
    /// A daemon in a home of its own; viewers are `orxctl attach` when `is_client`, else at the socket.
    pub fn open(is_client: bool) -> Result<Self> {
        Ok(Self {
            daemon: Daemon::start(SETTINGS)?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            sessions: BTreeMap::new(),
            is_client,
        })
    }

    /// Calls a method of the daemon.
    pub fn call(&self, method: &str, params: &serde_json::Value) -> Result<serde_json::Value> {
        let socket = self.daemon.socket();
        self.runtime.block_on(async {
            let client = orx_client::Client::connect(&socket).await?;
            Ok(client.call(method, params).await?)
        })
    }

    /// The session's identifier.
    pub fn id(&self, session: &str) -> Result<&str> {
        self.sessions.get(session).map(String::as_str).with_context(|| format!("no session {session}"))
    }

    /// The process that holds a session, as its directory says it now.
    pub fn holder(&self, session: &str) -> Result<i32> {
        let record = std::fs::read(self.directory(session)?.join("holder.json"))?;
        let record: serde_json::Value = serde_json::from_slice(&record)?;
        let pid = record["holder"]["pid"].as_i64().context("no holder in holder.json")?;
        Ok(i32::try_from(pid)?)
    }

    /// The directory of a session's files.
    pub fn directory(&self, session: &str) -> Result<std::path::PathBuf> {
        let told = self.call("session.get", &serde_json::json!({"session": self.id(session)?}))?;
        Ok(told["directory"].as_str().context("no directory in session.get")?.into())
    }

    /// The sessions' names.
    pub fn names(&self) -> Vec<String> {
        self.sessions.keys().cloned().collect()
    }
}

impl Peer for Orx {
    fn start(&mut self, session: &str, argv: &[String]) -> Result<()> {
        let created = self.call(
            "session.create",
            &serde_json::json!({"engine": "command", "argv": argv, "cwd": "/", "cols": COLUMNS, "rows": ROWS}),
        )?;
        let id = created["session"].as_str().context("no session in the answer of session.create")?;
        self.sessions.insert(session.to_owned(), id.to_owned());
        Ok(())
    }

    fn attach(&mut self, session: &str) -> Result<Box<dyn Viewer>> {
        let id = self.id(session)?;
        if !self.is_client {
            return Ok(Box::new(AtSocket::attach(&self.daemon.socket(), id)?));
        }
        let mut command = Command::new(daemon::binaries()?.join("orxctl"));
        super::environment(&mut command, self.daemon.home.path());
        command.env("ORX_SOCKET", self.daemon.socket()).args(["attach", id]);
        Ok(Box::new(OnTerminal::start(&command)?))
    }

    fn servers(&mut self) -> Result<Vec<i32>> {
        let mut pids = vec![i32::try_from(self.daemon.pid())?];
        for session in self.names() {
            pids.push(self.holder(&session)?);
        }
        Ok(pids)
    }
}

impl Drop for Orx {
    fn drop(&mut self) {
        for session in self.names() {
            if let Ok(id) = self.id(&session) {
                // What is gone already needs no end.
                let _ = self.call("session.stop", &serde_json::json!({"session": id, "grace_ms": 0}));
            }
        }
    }
}
