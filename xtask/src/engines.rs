//! The coding CLIs that demo and tests run: pinned versions from npm and PyPI, kept in the user's cache and linked into
//! `target/`.

pub mod python;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::shell;

/// How long one installation may take.
const LIMIT: Duration = Duration::from_secs(900);

/// The engines that the demo offers, in the order of listings.
pub const NAMES: [&str; 4] = ["claude", "codex", "gemini", "opencode"];

/// What else the tests run; `node` is the runtime of those that need a newer one than the machine has.
const FURTHER: [&str; 11] = [
    "node",
    "claude-agent-acp",
    "codex-acp",
    "qwen",
    "copilot",
    "pi",
    "continue",
    "cline",
    "aider",
    "mini",
    "openhands",
];

/// Installations that run side by side.
const ABREAST: usize = 4;

/// One coding CLI at the version that is wanted here.
#[derive(Debug)]
pub struct Engine {
    pub name: &'static str,
    pub package: String,
    pub version: String,
    /// The name of its program.
    program: String,
    /// The version of Python that it needs; one from npm has none.
    python: Option<String>,
    /// Further packages that it needs and does not name.
    with: Vec<String>,
}

/// Where an engine came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Present,
    Cache,
    Npm,
    Pypi,
}

impl Engine {
    /// The engine of this name, at the newest pinned version that the node on `PATH` can run; at the newest of all where
    /// it can run none, for the node that is installed beside it.
    pub fn pinned(name: &str) -> Result<Self> {
        let path = shell::root().join("tests/engines/versions.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let all: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        let mut known = NAMES.into_iter().chain(FURTHER);
        let name = known.find(|known| *known == name).ok_or_else(|| anyhow!("there is no engine `{name}`"))?;
        let entry = &all[name];
        let python = entry["python"].as_str().map(str::to_owned);
        let versions = entry["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fitting = if python.is_some() {
            versions.first()
        } else {
            let node = node_major()?;
            let fits = |version: &&Value| version["node"].as_u64().is_some_and(|least| node >= least);
            versions.iter().find(fits).or(versions.first())
        };
        let version = fitting.and_then(|version| version["version"].as_str());
        let version = version.with_context(|| format!("{}: {name} has no version", path.display()))?;
        let package =
            entry["package"].as_str().with_context(|| format!("{}: {name} has no `package`", path.display()))?;
        let with = entry["with"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(Self {
            name,
            package: package.to_owned(),
            version: version.to_owned(),
            program: entry["program"].as_str().unwrap_or(name).to_owned(),
            python,
            with: with.map(str::to_owned).collect(),
        })
    }

    /// Its directory below `target/`.
    pub fn directory(&self) -> PathBuf {
        shell::root().join("target/engines").join(self.name)
    }

    /// Its program below `target/`.
    pub fn program(&self) -> PathBuf {
        self.program_in(&self.directory())
    }

    fn program_in(&self, directory: &Path) -> PathBuf {
        let programs = if self.python.is_some() { "bin" } else { "node_modules/.bin" };
        directory.join(programs).join(&self.program)
    }

    fn is_in(&self, directory: &Path) -> bool {
        let has = match self.python {
            Some(_) => python::has_package(directory, &self.package, &self.version),
            None => has_package(directory, &self.package, &self.version),
        };
        has && self.program_in(directory).exists()
    }

    /// Sees to it that the engine is in its directory.
    pub fn install(&self) -> Result<Source> {
        let cached = shell::cache()?.join("engines").join(format!("{}-{}", self.name, self.version));
        place(&self.directory(), &cached, |directory| self.is_in(directory), || self.fetch(&cached))
    }

    fn fetch(&self, cached: &Path) -> Result<Source> {
        let is_whole = |directory: &Path| self.is_in(directory);
        match &self.python {
            Some(version) => {
                let mut packages = vec![format!("{}=={}", self.package, self.version)];
                packages.extend(self.with.iter().cloned());
                fetch_python(&packages, version, cached, is_whole)
            }
            None => fetch(self.name, &[format!("{}@{}", self.package, self.version)], cached, is_whole),
        }
    }
}

/// Sees to it that something is in its directory: linked from its place in the cache, where it is fetched to if need be.
pub fn place(
    directory: &Path,
    cached: &Path,
    is_in: impl Fn(&Path) -> bool,
    fetch: impl FnOnce() -> Result<Source>,
) -> Result<Source> {
    if is_in(directory) {
        if !cached.exists() {
            link_tree(directory, cached)?;
        }
        return Ok(Source::Present);
    }
    let source = if is_in(cached) { Source::Cache } else { fetch()? };
    link_tree(cached, directory)?;
    Ok(source)
}

/// Installs packages of PyPI into the cache, all in one virtual environment.
pub fn fetch_python(
    packages: &[String],
    version: &str,
    cached: &Path,
    is_whole: impl Fn(&Path) -> bool,
) -> Result<Source> {
    let install = |directory: &Path, log| python::install(packages, version, directory, log);
    beside(&packages.join(" "), cached, is_whole, install)?;
    Ok(Source::Pypi)
}

/// Installs packages of npm into the cache.
pub fn fetch(name: &str, packages: &[String], cached: &Path, is_whole: impl Fn(&Path) -> bool) -> Result<Source> {
    let npm = shell::find("npm").with_context(|| {
        format!("npm is not on PATH, so {name} cannot be installed: install Node.js, which brings npm")
    })?;
    let what = packages.join(" ");
    beside(&what, cached, is_whole, |directory, log| {
        std::fs::write(directory.join("package.json"), "{\"private\":true}\n")?;
        let mut command = Command::new(npm);
        command.args(["install", "--no-audit", "--no-fund", "--save-exact"]).args(packages).current_dir(directory);
        shell::run_into(&mut command, &log, LIMIT)
    })?;
    Ok(Source::Npm)
}

/// Installs beside the place in the cache first, so that a half installation is never taken for a whole one. A setup of
/// another checkout may do the same at this moment: whichever is there first is kept.
fn beside(
    what: &str,
    cached: &Path,
    is_whole: impl Fn(&Path) -> bool,
    install: impl FnOnce(&Path, File) -> Result<bool>,
) -> Result<()> {
    let failed = || format!("{what} could not be installed into {}", cached.display());
    let parent = cached.parent().context("a cache has a parent")?;
    std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    let fresh = tempfile::Builder::new().prefix(".installing-").tempdir_in(parent).with_context(failed)?;
    let log_path = fresh.path().join("install.log");
    let log = File::create(&log_path).with_context(|| format!("{} cannot be made", log_path.display()))?;
    let done = install(fresh.path(), log).with_context(failed)?;
    if !done || !is_whole(fresh.path()) {
        let said = std::fs::read_to_string(&log_path).unwrap_or_default();
        bail!("{}:\n{}", failed(), said.trim());
    }
    if is_whole(cached) {
        return Ok(());
    }
    match replace(fresh.path(), cached) {
        Err(_) if is_whole(cached) => Ok(()),
        placed => placed.map(|()| drop(fresh.keep())),
    }
}

/// Moves a directory to a place on the same file system, where another one may be.
fn replace(fresh: &Path, place: &Path) -> Result<()> {
    if place.exists() {
        std::fs::remove_dir_all(place).with_context(|| format!("{} cannot be replaced", place.display()))?;
    }
    std::fs::rename(fresh, place).with_context(|| format!("{} cannot be made", place.display()))
}

/// Whether a package is installed below a directory at this version.
pub fn has_package(directory: &Path, package: &str, version: &str) -> bool {
    let manifest = directory.join("node_modules").join(package).join("package.json");
    let installed = std::fs::read(manifest)
        .ok()
        .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
        .and_then(|manifest| manifest["version"].as_str().map(str::to_owned));
    installed.as_deref() == Some(version)
}

fn node_major() -> Result<u64> {
    let node = shell::find("node").context("node is not on PATH: install Node.js 20 or newer")?;
    let version = shell::output(Command::new(node).arg("--version"))?;
    version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .with_context(|| format!("node --version printed {version:?}"))
}

/// Makes `to` a copy of `from` that shares its files where the file system lets it; beside its place first, so that a copy
/// that was interrupted is never taken for a whole one.
fn link_tree(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("{} cannot be copied to {}", from.display(), to.display());
    let parent = to.parent().with_context(failed)?;
    std::fs::create_dir_all(parent).with_context(failed)?;
    let beside = tempfile::Builder::new().prefix(".copying-").tempdir_in(parent).with_context(failed)?;
    let fresh = beside.path().join("copy");
    for entry in walk(from).with_context(failed)? {
        let relative = entry.strip_prefix(from)?;
        let place = fresh.join(relative);
        let kind = entry.symlink_metadata().with_context(failed)?.file_type();
        if kind.is_dir() {
            std::fs::create_dir_all(&place).with_context(failed)?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&entry).with_context(failed)?;
            std::os::unix::fs::symlink(target, &place).with_context(failed)?;
        } else if std::fs::hard_link(&entry, &place).is_err() {
            std::fs::copy(&entry, &place).with_context(failed)?;
        }
    }
    replace(&fresh, to)
}

/// Everything below a directory, parents before children; the directory itself first.
fn walk(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![directory.to_owned()];
    let mut next = vec![directory.to_owned()];
    while let Some(directory) = next.pop() {
        let unreadable = || format!("{} cannot be read", directory.display());
        for entry in std::fs::read_dir(&directory).with_context(unreadable)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                next.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Installs every engine and says what it did. The installations wait for the network, so some run side by side.
pub fn install_all() -> Result<()> {
    let engines = NAMES.into_iter().chain(FURTHER).map(Engine::pinned).collect::<Result<Vec<_>>>()?;
    engines.chunks(ABREAST).try_for_each(install_abreast)
}

fn install_abreast(engines: &[Engine]) -> Result<()> {
    std::thread::scope(|scope| {
        let under_way: Vec<_> = engines
            .iter()
            .map(|engine| {
                let started = Instant::now();
                (engine, scope.spawn(move || engine.install().map(|source| (source, started.elapsed()))))
            })
            .collect();
        let mut failures = Vec::new();
        for (engine, thread) in under_way {
            match thread.join().unwrap_or_else(|_| Err(anyhow!("its installation panicked"))) {
                Ok((source, time)) => {
                    println!("  {:<10} {:<9} {}", engine.name, engine.version, came_from(source, time))
                }
                Err(error) => failures.push(format!("{} {}: {error:#}", engine.name, engine.version)),
            }
        }
        if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n")) }
    })
}

/// Words for where an engine came from.
pub fn came_from(source: Source, time: Duration) -> String {
    match source {
        Source::Present => "is there".to_owned(),
        Source::Cache => format!("from the cache, {}", shell::seconds(time)),
        Source::Npm => format!("from npm, {}", shell::seconds(time)),
        Source::Pypi => format!("from PyPI, {}", shell::seconds(time)),
    }
}
