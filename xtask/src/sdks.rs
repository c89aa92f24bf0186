//! The vendors' own SDKs, which the tests run against the gateway: at pinned versions, kept in the user's cache as the coding CLIs
//! are, and linked into `target/engines/sdks-python` and `target/engines/sdks-node`.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::engines;
use crate::shell;

/// Packages of PyPI.
const PYTHON: [(&str, &str); 3] = [("anthropic", "2.14.0"), ("openai", "3.57.0"), ("google-genai", "3.6.1")];
/// The version of Python that all of them run on.
const INTERPRETER: &str = "3.11";
/// Packages of npm.
const NODE: [(&str, &str); 3] = [("@anthropic-ai/sdk", "1.14.0"), ("openai", "7.59.0"), ("@google/genai", "3.3.0")];

/// Sees to it that they are in their directories, and says what it did.
pub fn install() -> Result<()> {
    one("sdks-python", &PYTHON, engines::python::has_package, |packages, cached, is_in| {
        engines::fetch_python(&pinned(packages, "=="), INTERPRETER, cached, is_in)
    })?;
    one("sdks-node", &NODE, engines::has_package, |packages, cached, is_in| {
        engines::fetch("the SDKs", &pinned(packages, "@"), cached, is_in)
    })
}

fn one(
    name: &str,
    packages: &[(&str, &str)],
    has: fn(&Path, &str, &str) -> bool,
    fetch: impl FnOnce(&[(&str, &str)], &Path, &dyn Fn(&Path) -> bool) -> Result<engines::Source>,
) -> Result<()> {
    let started = Instant::now();
    let versions = packages.iter().map(|(_, version)| *version).collect::<Vec<_>>().join("-");
    let cached = shell::cache()?.join("engines").join(format!("{name}-{versions}"));
    let is_in = |directory: &Path| packages.iter().all(|(package, version)| has(directory, package, version));
    let directory = shell::root().join("target/engines").join(name);
    let source = engines::place(&directory, &cached, is_in, || fetch(packages, &cached, &is_in))?;
    println!("  {name:<10} {versions} {}", engines::came_from(source, started.elapsed()));
    Ok(())
}

fn pinned(packages: &[(&str, &str)], sign: &str) -> Vec<String> {
    packages.iter().map(|(package, version)| format!("{package}{sign}{version}")).collect()
}
