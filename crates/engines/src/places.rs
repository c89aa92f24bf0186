//! Where engines keep what is theirs beside the working directory: what a sandbox must let one write, and what it keeps
//! from the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Context, EngineKind, descriptor, home, resumption};

/// Mark of an entry that is a directory.
const DIRECTORY: char = '/';

/// What an engine writes beside `cwd`: its private home where its model is an endpoint, else its own places in the
/// user's home. What is not there yet is made, so that it can be let write.
///
/// `environment` is that of the engine's process: it may have moved those places.
#[must_use]
pub fn writable_paths(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    environment: &BTreeMap<String, String>,
) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if context.endpoint.is_some() && kind != EngineKind::Command {
        found.extend([home::of(kind, context, cwd), home::shared(kind, context)]);
    }
    let known = descriptor::of(kind);
    if known.conversation.launch.iter().any(|argument| argument.contains("{conversations}")) {
        found.push(resumption::directory(kind, context));
    }
    for entry in &known.writes {
        if let Some(path) = resolved(entry, environment) {
            make(&path, entry);
            found.push(path);
        }
    }
    found
}

/// Where the other engines keep their logins.
#[must_use]
pub fn logins_of_others(kind: EngineKind, environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let others = EngineKind::ALL.into_iter().filter(|other| *other != kind);
    others.flat_map(|other| &descriptor::of(other).logins).filter_map(|entry| resolved(entry, environment)).collect()
}

/// The path of an entry: `$NAME` is the value of a variable, all else is below the home directory.
fn resolved(entry: &str, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let value = |name: &str| environment.get(name).filter(|value| Path::new(value).is_absolute());
    let entry = entry.trim_end_matches(DIRECTORY);
    match entry.strip_prefix('$') {
        Some(name) => value(name).map(PathBuf::from),
        None => value("HOME").map(|home| Path::new(home).join(entry)),
    }
}

/// Makes what is not there. That it cannot be made shows when the engine does not find it.
fn make(path: &Path, entry: &str) {
    if path.exists() {
        return;
    }
    if entry.ends_with(DIRECTORY) {
        let _ = orx_sandbox::file::private_directory(path);
    } else if entry.ends_with(".json") {
        let _ = orx_sandbox::file::replace(path, b"{}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_writes_its_own_places_and_sees_no_other_s_login() {
        let home = tempfile::tempdir().unwrap();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut environment = BTreeMap::from([("HOME".to_owned(), text(home.path()))]);
        let context = Context::default();
        let found = writable_paths(EngineKind::Claude, &context, "/w", &environment);
        assert!(found.contains(&home.path().join(".claude")) && found.contains(&home.path().join(".claude.json")));
        assert!(home.path().join(".claude").is_dir() && home.path().join(".claude.json").is_file());
        let moved = home.path().join("elsewhere");
        environment.insert("CODEX_HOME".to_owned(), text(&moved));
        assert!(writable_paths(EngineKind::Codex, &context, "/w", &environment).contains(&moved));
        let logins = logins_of_others(EngineKind::Codex, &environment);
        assert!(logins.contains(&home.path().join(".claude/.credentials.json")));
        assert!(!logins.contains(&home.path().join(".codex/auth.json")));
        assert!(writable_paths(EngineKind::Command, &context, "/w", &environment).is_empty());
    }
}
