//! What the tests need beside Rust: tools of the machine, the coding CLIs, the SDKs, and cargo-deny.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{engines, judge, sdks, shell};

/// The version of cargo-deny that is installed where none is found.
const CARGO_DENY: &str = "0.20.2";
/// How long its installation may take.
const CARGO_DENY_LIMIT: Duration = Duration::from_secs(3600);

/// Programs of the machine, with the package that has them on Debian.
const TOOLS: [(&str, &str); 9] = [
    ("python3", "python3"),
    ("git", "git"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("cc", "build-essential"),
    ("bwrap", "bubblewrap"),
    ("dbus-daemon", "dbus-daemon"),
    ("tmux", "tmux"),
    ("redis-server", "redis-server"),
];

/// Fetches and checks everything.
pub fn run() -> Result<()> {
    tools()?;
    engines::install_all()?;
    judge::install()?;
    sdks::install()?;
    let deny = cargo_deny()?;
    println!("  {:<10} {}", "cargo-deny", deny.display());
    Ok(())
}

/// Checks the machine's own programs; names all that are missing at once.
pub fn tools() -> Result<()> {
    let missing: Vec<_> = TOOLS.iter().filter(|(program, _)| shell::find(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs = missing.iter().map(|(program, _)| *program).collect::<Vec<_>>().join(", ");
    let packages = missing.iter().map(|(_, package)| *package).collect::<Vec<_>>().join(" ");
    bail!("not on PATH: {programs}; on Debian and Ubuntu `apt-get install {packages}` brings them")
}

/// cargo-deny, installed into the cache when nobody has it.
pub fn cargo_deny() -> Result<PathBuf> {
    let tools = shell::cache()?.join("tools");
    let own = tools.join("bin/cargo-deny");
    if own.is_file() {
        return Ok(own);
    }
    if let Some(found) = shell::find("cargo-deny") {
        return Ok(found);
    }
    println!("  cargo-deny {CARGO_DENY} is built once into {} …", tools.display());
    let started = Instant::now();
    install_cargo_deny(&tools)
        .with_context(|| format!("cargo-deny could not be installed; `cargo install cargo-deny --locked --version {CARGO_DENY}` does it by hand"))?;
    println!("  cargo-deny is built, {}", shell::seconds(started.elapsed()));
    Ok(own)
}

fn install_cargo_deny(tools: &Path) -> Result<()> {
    std::fs::create_dir_all(tools)?;
    let build = tempfile::Builder::new().prefix(".building-").tempdir_in(tools)?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // A checker that runs for seconds is not worth minutes of optimising.
    command
        .args(["install", "cargo-deny", "--locked", "--quiet", "--version", CARGO_DENY, "--root"])
        .arg(tools)
        .current_dir(tools)
        .env("CARGO_TARGET_DIR", build.path())
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    shell::run(&mut command, CARGO_DENY_LIMIT)
}
