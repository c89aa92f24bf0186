//! What is measured side by side: each holds programs on terminals for viewers that come and go.

mod direct;
mod dtach;
pub mod orx;
mod screen;
mod shpool;
mod tmux;
mod zellij;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

use super::usage;
use super::viewer::Viewer;

/// How long a helper of a peer may run.
const HELPER: Duration = Duration::from_secs(20);

/// A program that holds sessions.
pub trait Peer {
    /// Starts `argv` as a session with nobody attached.
    fn start(&mut self, session: &str, argv: &[String]) -> Result<()>;
    /// Somebody attaches.
    fn attach(&mut self, session: &str) -> Result<Box<dyn Viewer>>;
    /// Processes that hold sessions, without viewers and without the programs held.
    fn servers(&mut self) -> Result<Vec<i32>>;
    /// Whether several viewers may look at a session.
    fn takes_many(&self) -> bool {
        true
    }
    /// Whether a session goes on without a viewer.
    fn detaches(&self) -> bool {
        true
    }
    /// Whether its memory is fit for fifty sessions on this machine.
    fn is_light(&self) -> bool {
        true
    }
}

/// The names of all, in the order in which they are shown.
pub const ALL: [&str; 8] = ["direct", "orx", "orx socket", "tmux", "screen", "dtach", "shpool", "zellij"];

/// What may be left out or be missing.
pub const OTHERS: [&str; 5] = ["tmux", "screen", "dtach", "shpool", "zellij"];

/// A peer with a place of its own; it ends with what this gives.
pub fn open(name: &str) -> Result<Box<dyn Peer>> {
    Ok(match name {
        "direct" => Box::new(direct::Direct::default()),
        "orx" => Box::new(orx::Orx::open(true)?),
        "orx socket" => Box::new(orx::Orx::open(false)?),
        "tmux" => Box::new(tmux::Tmux(Place::new(name)?)),
        "screen" => Box::new(screen::Screen(Place::new(name)?)),
        "dtach" => Box::new(dtach::Dtach(Place::new(name)?)),
        "shpool" => Box::new(shpool::Shpool::open(Place::new(name)?)?),
        "zellij" => Box::new(zellij::Zellij(Place::new(name)?)),
        _ => bail!("there is no peer `{name}`; there are {}", ALL.join(", ")),
    })
}

/// Where `cargo xtask bench --setup-peers` puts what it builds.
pub fn built() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("orx/peers/bin"))
}

/// The file of a peer's program, from the user's `PATH` or from what was built.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(built()).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// What a peer says of its version, in a line.
pub fn version(name: &str) -> Option<String> {
    let program = find(name)?;
    let argument = match name {
        "tmux" => "-V",
        "shpool" => "version",
        _ => "--version",
    };
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned())
}

/// A home of its own for a peer, with an environment that holds nothing of the user's.
pub struct Place {
    program: PathBuf,
    home: TempDir,
    mark: String,
}

impl Place {
    fn new(name: &str) -> Result<Self> {
        let Some(program) = find(name) else { bail!("{name} is not installed") };
        let home = tempfile::Builder::new().prefix("orxp").tempdir_in("/tmp")?;
        let mark = home.path().to_string_lossy().into_owned();
        Ok(Self { program, home, mark })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// The peer's program, in its own environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        environment(&mut command, self.home.path());
        command.env(usage::MARK, &self.mark);
        command
    }

    /// Runs a helper to its end.
    pub fn run(&self, command: &mut Command) -> Result<()> {
        run(command)
    }

    /// Processes of the peer.
    pub fn processes(&self) -> Vec<i32> {
        usage::marked(&self.mark)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for pid in self.processes() {
            // It may be gone already.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// The environment that every peer and viewer gets.
pub fn environment(command: &mut Command, home: &Path) {
    command.env_clear();
    command
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("TERM", "xterm-256color")
        .env("COLORTERM", "truecolor")
        .env("LANG", "C.UTF-8")
        .env("SHELL", "/bin/sh");
}

/// Runs a helper to its end.
pub fn run(command: &mut Command) -> Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + HELPER;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            let mut said = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                // Whoever inherited the pipe may keep it open.
                if super::control::wait_readable(&stderr, Duration::from_millis(100)).is_ok() {
                    let mut buffer = [0; 512];
                    let count = std::io::Read::read(&mut stderr, &mut buffer)?;
                    said = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).trim().to_owned();
                }
            }
            bail!("{} failed ({status}): {said}", command.get_program().to_string_lossy());
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            bail!("{} did not end", command.get_program().to_string_lossy());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
