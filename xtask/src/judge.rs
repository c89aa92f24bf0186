//! The terminal that judges redraws in the tests: xterm.js without a window, at pinned versions, kept in the user's cache
//! as the coding CLIs are, and linked into `target/engines/xterm`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;

use crate::engines;
use crate::shell;

/// Its packages.
const PACKAGES: [(&str, &str); 2] = [("@xterm/headless", "6.0.0"), ("@xterm/addon-unicode11", "0.9.0")];

/// Where the tests look for it.
fn directory() -> PathBuf {
    shell::root().join("target/engines/xterm")
}

fn is_in(directory: &Path) -> bool {
    PACKAGES.iter().all(|(package, version)| engines::has_package(directory, package, version))
}

/// Sees to it that it is in its directory, and says what it did.
pub fn install() -> Result<()> {
    let started = Instant::now();
    let versions = PACKAGES.map(|(_, version)| version).join("-");
    let cached = shell::cache()?.join("engines").join(format!("xterm-{versions}"));
    let source = engines::place(&directory(), &cached, is_in, || {
        let packages = PACKAGES.map(|(package, version)| format!("{package}@{version}"));
        engines::fetch("xterm.js", &packages, &cached, is_in)
    })?;
    println!("  {:<10} {:<9} {}", "xterm.js", PACKAGES[0].1, engines::came_from(source, started.elapsed()));
    Ok(())
}
