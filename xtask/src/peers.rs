//! What `orx-bench` measures orx beside: tmux, screen, dtach and nginx from the system, shpool and zellij built once into the cache,
//! the gateways of LiteLLM and Portkey installed there.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{engines, shell};

/// Programs of the machine, which are packages of the same name on Debian.
const PACKAGES: [&str; 4] = ["tmux", "screen", "dtach", "nginx"];
/// Programs that are built from the registry, and their versions.
const BUILT: [(&str, &str); 2] = [("shpool", "0.11.5"), ("zellij", "0.45.1")];
/// LiteLLM's gateway, of the last version whose parts are all published.
const LITELLM: &str = "litellm[proxy]==1.99.4";
/// Portkey's.
const PORTKEY: &str = "@portkey-ai/gateway@1.15.2";
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
    let (litellm, portkey) = (root.join("litellm"), root.join("portkey"));
    let has_litellm = |directory: &Path| directory.join("bin/litellm").is_file();
    if !has_litellm(&litellm) {
        println!("  {LITELLM} is installed once into {} …", root.display());
        engines::fetch_python(&[LITELLM.to_owned()], "3.11", &litellm, has_litellm)?;
    }
    let has_portkey = |directory: &Path| directory.join("node_modules/@portkey-ai/gateway").is_dir();
    if !has_portkey(&portkey) {
        println!("  {PORTKEY} is installed once into {} …", root.display());
        engines::fetch("portkey", &[PORTKEY.to_owned()], &portkey, has_portkey)?;
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
