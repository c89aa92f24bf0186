//! The coding CLIs that tests run, and a person's own files that must not be touched while they do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orx_engines::EngineKind;

use super::{Settings, binary};

/// Where the CLIs are installed.
fn installed() -> PathBuf {
    std::env::var_os("ORX_TEST_ENGINES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/engines"), PathBuf::from)
}

/// The program of an engine.
///
/// # Panics
/// When it is not installed; the message says how to.
#[must_use]
pub fn program(kind: EngineKind) -> PathBuf {
    find(kind.name(), kind.program().unwrap_or_else(|| kind.name()))
}

/// A program of an installed package.
fn find(package: &str, name: &str) -> PathBuf {
    let directory = installed().join(package);
    let places = [directory.join("node_modules/.bin").join(name), directory.join("bin").join(name)];
    let found = places.iter().find(|place| place.exists());
    let found = found.unwrap_or_else(|| {
        panic!(
            "{package} is not installed for the tests ({} is missing): `cargo xtask setup` installs it",
            places[0].display()
        )
    });
    found.canonicalize().expect("a program that exists has a path")
}

/// The directory of the SDKs for a language, `python` or `node`.
///
/// # Panics
/// When they are not installed; the message says how to.
#[must_use]
pub fn sdks(language: &str) -> PathBuf {
    let directory = installed().join(format!("sdks-{language}"));
    directory.canonicalize().unwrap_or_else(|_| {
        let place = directory.display();
        panic!("the SDKs for {language} are not installed for the tests ({place} is missing): `cargo xtask setup` installs them")
    })
}

/// The node that is installed beside the engines, for what needs a newer one than the machine may have.
///
/// # Panics
/// When it is not installed; the message says how to.
#[must_use]
pub fn node() -> PathBuf {
    find("node", "node")
}

/// Tells a daemon where an engine is, and what else that needs to run.
///
/// # Panics
/// When it is not installed.
pub fn install(settings: &mut Settings, kind: EngineKind) {
    settings.set(&format!("engines.binaries.{kind}"), program(kind).to_string_lossy().into_owned());
    let (ours, wanted) = (binary::search_path(), search_path(kind, &binary::search_path()));
    if ours != wanted {
        settings.variable("PATH", wanted);
    }
}

/// Tells a daemon where a program is that speaks ACP for an engine.
///
/// # Panics
/// When it is not installed.
pub fn install_adapter(settings: &mut Settings, name: &str) {
    settings.set(&format!("engines.binaries.{name}"), find(name, name).to_string_lossy().into_owned());
}

/// `PATH` with which an engine runs: where it needs a newer node than the machine may have, the one that is installed
/// beside it comes first.
#[must_use]
pub fn search_path(kind: EngineKind, path: &str) -> String {
    if kind != EngineKind::Qwen {
        return path.to_owned();
    }
    let node = installed().join("node/node_modules/.bin");
    let node = node.canonicalize().unwrap_or(node);
    format!("{}:{path}", node.display())
}

/// Files in which a person keeps the settings of their CLIs, below the home directory.
const OWN: [(&str, &str); 10] = [
    (".claude.json", "{\"mine\":true}"),
    (".codex/config.toml", "model = \"mine\"\n"),
    (".gemini/settings.json", "{\"mine\":true}"),
    (".config/opencode/opencode.json", "{\"username\":\"me\"}"),
    (".qwen/settings.json", "{\"mine\":true}"),
    (".copilot/config.json", "{\"mine\":true}"),
    (".pi/agent/models.json", "{\"providers\":{}}"),
    (".continue/config.yaml", "name: mine\n"),
    (".cline/data/settings/providers.json", "{\"mine\":true}"),
    (".aider.conf.yml", "dark-mode: true\n"),
];

/// Variables in which a person keeps their keys.
pub const KEYS: [&str; 5] =
    ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "COPILOT_GITHUB_TOKEN", "LLM_API_KEY"];

/// Writes a person's own files into their home directory, and gives all that is then below it.
///
/// # Panics
/// When that cannot be written.
#[must_use]
pub fn person(home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    for (name, text) in OWN {
        let path = home.join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("a directory is made");
        std::fs::write(path, text).expect("a file is written");
    }
    files(home)
}

/// All files and directories below a directory, files with their content.
///
/// # Panics
/// When the directory cannot be read.
#[must_use]
pub fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("a directory can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap_or_default());
        }
    }
    found
}
