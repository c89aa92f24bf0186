//! The daemon under measurement, and processes beside it: release binaries, ended with their handles.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The directory of this program: the product's binaries are there too.
pub fn binaries() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let directory = own.parent().context("this program is in no directory")?.to_owned();
    for name in ["orchestratord", "agentd", "pty-proxy"] {
        if !directory.join(name).is_file() {
            bail!("{name} is not beside {}: `cargo build --release` makes it", own.display());
        }
    }
    Ok(directory)
}

/// A process that ends with its handle.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This program again, as a floor.
pub fn floor(kind: &str, socket: &Path, next: Option<&Path>) -> Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["floor", kind]).arg(socket).args(next);
    Ok(Process(command.spawn()?))
}

/// No HTTP.
const OFF: &str = "off";

/// A running daemon with a home of its own.
pub struct Daemon {
    pub process: Process,
    pub home: TempDir,
    pub ready: Duration,
}

impl Daemon {
    /// Starts a daemon in `home` with `settings` as its file and waits for its first answer.
    pub fn start_in(home: TempDir, settings: &str) -> Result<Self> {
        std::fs::write(home.path().join("settings.yaml"), settings)?;
        Self::start_at(home, OFF)
    }

    /// Starts a daemon in `home`, whose settings are written, with HTTP at this address.
    pub fn start_at(home: TempDir, http: &str) -> Result<Self> {
        let (process, ready) = launch(&home, http)?;
        Ok(Self { process, home, ready })
    }

    /// Ends it with SIGKILL and starts it again in the same home.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.process.0.kill()?;
        self.process.0.wait()?;
        let (process, ready) = launch(&self.home, OFF)?;
        self.process = process;
        self.ready = ready;
        Ok(())
    }

    /// Starts a daemon in a home of its own.
    pub fn start(settings: &str) -> Result<Self> {
        Self::start_in(home()?, settings)
    }

    pub fn socket(&self) -> PathBuf {
        self.home.path().join("run/d.sock")
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// A daemon in `home`, and how long it took to its first answer.
fn launch(home: &TempDir, http: &str) -> Result<(Process, Duration)> {
    let log = std::fs::File::options().create(true).append(true).open(home.path().join("log"))?;
    let socket = home.path().join("run/d.sock");
    let started = Instant::now();
    let child = Command::new(binaries()?.join("orchestratord"))
        .args(["--http", http, "--home"])
        .arg(home.path())
        .arg("--socket")
        .arg(&socket)
        .arg("--config")
        .arg(home.path().join("settings.yaml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let process = Process(child);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut wire = crate::wire::Wire::connect(&socket).await?;
        wire.call(br#"{"jsonrpc":"2.0","id":1,"method":"health","params":{}}"#).await?;
        anyhow::Ok(())
    })?;
    Ok((process, started.elapsed()))
}

/// A short directory.
pub fn home() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("orxb").tempdir_in("/tmp")?)
}
