//! What `orx-bench pty` measures orx beside: tmux, screen and dtach from the system, shpool and zellij built once into the
//! cache.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell;

/// Programs of the machine, which are packages of the same name on Debian.
const PACKAGES: [&str; 3] = ["tmux", "screen", "dtach"];
/// Programs that are built from the registry, and their versions.
const BUILT: [(&str, &str); 2] = [("shpool", "0.11.5"), ("zellij", "0.45.1")];
/// How long one may take to build; zellij is large.
const LIMIT: Duration = Duration::from_secs(7200);

/// Builds what is missing, and names what only the system's packages bring.
pub fn setup() -> Result<()> {
    let root = shell::cache()?.join("peers");
    for (name, version) in BUILT {
        if root.join("bin").join(name).is_file() || shell::find(name).is_some() {
            println!("  {name:<10} is there");
            continue;
        }
        println!("  {name} {version} is built once into {} …", root.display());
        let started = Instant::now();
        build(name, version, &root).with_context(|| {
            format!("{name} could not be built; the benchmarks say so and measure the others without it")
        })?;
        println!("  {name} is built, {}", shell::seconds(started.elapsed()));
    }
    let missing: Vec<&str> = PACKAGES.into_iter().filter(|name| shell::find(name).is_none()).collect();
    if !missing.is_empty() {
        bail!("not on PATH: {}; `apt-get install {}` brings them", missing.join(", "), missing.join(" "));
    }
    Ok(())
}

fn build(name: &str, version: &str, root: &Path) -> Result<()> {
    std::fs::create_dir_all(root)?;
    let target = tempfile::Builder::new().prefix(".building-").tempdir_in(root)?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["install", name, "--locked", "--quiet", "--version", version, "--root"])
        .arg(root)
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target.path());
    shell::run(&mut command, LIMIT)
}
