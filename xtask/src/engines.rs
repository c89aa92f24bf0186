//! The coding CLIs that demo and tests run: pinned versions from npm, kept in the user's cache and linked into `target/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::shell;

/// How long one installation may take.
const LIMIT: Duration = Duration::from_secs(900);

/// The engines that are installed, in the order of listings.
pub const NAMES: [&str; 4] = ["claude", "codex", "gemini", "opencode"];

/// One coding CLI at the version that is wanted here.
#[derive(Debug)]
pub struct Engine {
    pub name: &'static str,
    pub package: String,
    pub version: String,
}

/// Where an engine came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Present,
    Cache,
    Npm,
}

impl Engine {
    /// The engine of this name, at the newest pinned version that the node on `PATH` can run.
    pub fn pinned(name: &str) -> Result<Self> {
        let path = shell::root().join("tests/engines/versions.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let all: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        let name =
            NAMES.into_iter().find(|known| *known == name).ok_or_else(|| anyhow!("there is no engine `{name}`"))?;
        let entry = &all[name];
        let node = node_major()?;
        let fitting = entry["versions"].as_array().and_then(|versions| {
            versions.iter().find(|version| version["node"].as_u64().is_some_and(|least| node >= least))
        });
        let version = fitting.and_then(|version| version["version"].as_str()).with_context(|| {
            format!("no version of {name} in {} runs on node {node}: install a newer node", path.display())
        })?;
        let package =
            entry["package"].as_str().with_context(|| format!("{}: {name} has no `package`", path.display()))?;
        Ok(Self { name, package: package.to_owned(), version: version.to_owned() })
    }

    /// Its directory below `target/`.
    pub fn directory(&self) -> PathBuf {
        shell::root().join("target/engines").join(self.name)
    }

    /// Its program below `target/`.
    pub fn program(&self) -> PathBuf {
        program(&self.directory(), self.name)
    }

    fn is_in(&self, directory: &Path) -> bool {
        let manifest = directory.join("node_modules").join(&self.package).join("package.json");
        let version = std::fs::read(manifest)
            .ok()
            .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
            .and_then(|manifest| manifest["version"].as_str().map(str::to_owned));
        version.as_deref() == Some(self.version.as_str()) && program(directory, self.name).exists()
    }

    /// Sees to it that the engine is in its directory.
    pub fn install(&self) -> Result<Source> {
        let directory = self.directory();
        let cached = shell::cache()?.join("engines").join(format!("{}-{}", self.name, self.version));
        if self.is_in(&directory) {
            if !cached.exists() {
                link_tree(&directory, &cached)?;
            }
            return Ok(Source::Present);
        }
        let source = if self.is_in(&cached) {
            Source::Cache
        } else {
            self.fetch(&cached)?;
            Source::Npm
        };
        if directory.exists() {
            std::fs::remove_dir_all(&directory)
                .with_context(|| format!("{} cannot be replaced", directory.display()))?;
        }
        link_tree(&cached, &directory)?;
        Ok(source)
    }

    /// Installs into the cache: beside its place first, so that a half installation is never taken for a whole one.
    fn fetch(&self, cached: &Path) -> Result<()> {
        let npm = shell::find("npm").with_context(|| {
            format!("npm is not on PATH, so {} cannot be installed: install Node.js, which brings npm", self.name)
        })?;
        let parent = cached.parent().context("a cache has a parent")?;
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        let fresh = tempfile::Builder::new().prefix(".installing-").tempdir_in(parent)?;
        std::fs::write(fresh.path().join("package.json"), "{\"private\":true}\n")?;
        let log_path = fresh.path().join("install.log");
        let log = std::fs::File::create(&log_path)?;
        let mut child = Command::new(npm)
            .args(["install", "--no-audit", "--no-fund", "--save-exact"])
            .arg(format!("{}@{}", self.package, self.version))
            .current_dir(fresh.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let status = shell::wait(&mut child, LIMIT, &format!("npm install {}@{}", self.package, self.version))?;
        if !status.success() || !self.is_in(fresh.path()) {
            let said = std::fs::read_to_string(&log_path).unwrap_or_default();
            bail!("npm could not install {}@{} ({status}):\n{}", self.package, self.version, said.trim());
        }
        if cached.exists() {
            std::fs::remove_dir_all(cached)?;
        }
        std::fs::rename(fresh.keep(), cached).with_context(|| format!("{} cannot be made", cached.display()))
    }
}

fn program(directory: &Path, name: &str) -> PathBuf {
    directory.join("node_modules/.bin").join(name)
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

/// Makes `to` a copy of `from` that shares its files where the file system lets it.
fn link_tree(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("{} cannot be copied to {}", from.display(), to.display());
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).with_context(failed)?;
    }
    for entry in walk(from)? {
        let relative = entry.strip_prefix(from)?;
        let place = to.join(relative);
        let kind = entry.symlink_metadata()?.file_type();
        if kind.is_dir() {
            std::fs::create_dir_all(&place).with_context(failed)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&entry)?, &place).with_context(failed)?;
        } else if std::fs::hard_link(&entry, &place).is_err() {
            std::fs::copy(&entry, &place).with_context(failed)?;
        }
    }
    Ok(())
}

/// Everything below a directory, parents before children; the directory itself first.
fn walk(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![directory.to_owned()];
    let mut next = vec![directory.to_owned()];
    while let Some(directory) = next.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                next.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Installs every engine and says what it did. The installations wait for the network, so they run side by side.
pub fn install_all() -> Result<()> {
    let engines = NAMES.into_iter().map(Engine::pinned).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let under_way: Vec<_> = engines
            .iter()
            .map(|engine| {
                let started = Instant::now();
                (engine, scope.spawn(move || engine.install().map(|source| (source, started.elapsed()))))
            })
            .collect();
        let mut failure = None;
        for (engine, thread) in under_way {
            match thread.join().unwrap_or_else(|_| Err(anyhow!("installing {} failed", engine.name))) {
                Ok((source, time)) => {
                    println!("  {:<10} {:<9} {}", engine.name, engine.version, came_from(source, time))
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    })
}

/// Words for where an engine came from.
pub fn came_from(source: Source, time: Duration) -> String {
    match source {
        Source::Present => "is there".to_owned(),
        Source::Cache => format!("from the cache, {}", shell::seconds(time)),
        Source::Npm => format!("from npm, {}", shell::seconds(time)),
    }
}
