//! A first look at a repository, for engines: its files, what it is built with, how a change is verified.

use std::path::Path;

use crate::record::Facts;
use crate::settings::Gate;
use crate::settings::init::Tooling;

/// Most lines of the map.
const LINES: usize = 400;
/// Most entries of one directory in the map.
const ENTRIES: usize = 40;
/// Deepest directory in the map.
const DEPTH: usize = 6;

/// Looks at a worktree that was just made, so that only what git knows is in it.
pub(crate) fn look(root: &Path, gates: &[Gate]) -> Facts {
    let mut map = Vec::new();
    walk(root, "", 0, &mut map);
    if map.len() >= LINES {
        map.push("...".to_owned());
    }
    let tooling = Tooling::of(root);
    let mut found = Vec::new();
    for (is_there, name) in [
        (tooling.python, "Python"),
        (tooling.rust, "Rust with Cargo"),
        (tooling.node, "Node.js with npm"),
        (tooling.go, "Go"),
        (root.join("Makefile").is_file(), "make"),
        (root.join("Dockerfile").is_file(), "a Dockerfile"),
    ] {
        if is_there {
            found.push(format!("- {name}\n"));
        }
    }
    let verify = gates
        .iter()
        .filter(|gate| gate.enabled)
        .map(|gate| {
            let command = crate::gates::shown(gate);
            let required = if gate.required { "required" } else { "advisory" };
            format!("- {}: `{command}` ({required})\n", gate.name)
        })
        .collect();
    Facts { map: map.join("\n"), tooling: found.concat(), verify }
}

fn walk(root: &Path, below: &str, depth: usize, map: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(root.join(below)) else { return };
    let mut names: Vec<(String, bool)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.file_type().ok()?.is_dir())))
        .filter(|(name, _)| name != ".git")
        .collect();
    names.sort();
    let more = names.len().saturating_sub(ENTRIES);
    names.truncate(ENTRIES);
    for (name, is_directory) in names {
        if map.len() >= LINES {
            return;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let shown: String = path.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        if !is_directory {
            map.push(shown);
        } else if depth < DEPTH {
            map.push(format!("{shown}/"));
            walk(root, &path, depth + 1, map);
        } else {
            map.push(format!("{shown}/ ..."));
        }
    }
    if more > 0 && map.len() < LINES {
        map.push(format!("{below}/ ... {more} more"));
    }
}
