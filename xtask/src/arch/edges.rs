//! The allowed dependencies between the workspace's packages, checked against what cargo resolves.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// Package, and the workspace packages that it may use. A package that is not listed may use none.
const ALLOWED: [(&str, &[&str]); 17] = [
    ("orx-protocol", &[]),
    ("orx-channels", &["orx-protocol"]),
    ("orx-client", &["orx-protocol"]),
    ("orx-sandbox", &["orx-protocol"]),
    ("orx-store", &["orx-protocol"]),
    ("orx-index", &["orx-protocol"]),
    ("orx-yaml", &[]),
    ("orx-router", &["orx-protocol", "orx-yaml"]),
    ("orx-session", &["orx-protocol"]),
    ("orx-workspace", &["orx-protocol", "orx-sandbox"]),
    ("orx-engines", &["orx-protocol", "orx-sandbox"]),
    ("orx-gateway", &["orx-protocol", "orx-router", "orx-store"]),
    ("orx-pipeline", &["orx-protocol", "orx-yaml", "orx-store", "orx-workspace", "orx-engines", "orx-sandbox"]),
    ("pty-proxy", &["orx-protocol", "orx-sandbox"]),
    ("agentd", &["orx-protocol", "orx-client", "orx-index"]),
    // `orxctl up` starts the daemon, and starting is the sandbox's; `orxctl doctor` looks for every engine, daemon or not.
    ("orxctl", &["orx-protocol", "orx-client", "orx-sandbox", "orx-engines"]),
    (
        "orchestratord",
        &[
            "orx-protocol",
            "orx-channels",
            "orx-client",
            "orx-sandbox",
            "orx-store",
            "orx-workspace",
            "orx-engines",
            "orx-gateway",
            "orx-router",
            "orx-session",
            "orx-pipeline",
            "orx-index",
        ],
    ),
];

/// Packages that are no part of the product and may use any of it.
pub const OUTSIDE: [&str; 3] = ["orx-tests", "orx-bench", "xtask"];

/// Libraries that belong to one room: package, and who may use it.
const OWNED: [(&str, &[&str]); 9] = [
    ("rusqlite", &["orx-store", "orx-index"]),
    ("bincode", &["orx-protocol"]),
    ("portable-pty", &["pty-proxy"]),
    ("axum", &["orchestratord"]),
    ("hyper-rustls", &["orx-gateway"]),
    ("moka", &["orx-gateway"]),
    ("redis", &["orx-gateway"]),
    ("ring", &["orx-gateway"]),
    ("rustls", &["orx-gateway"]),
];

/// What cargo knows of the workspace.
pub fn metadata(root: &Path) -> Result<Value> {
    let text = shell::output(
        shell::cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(root),
    )?;
    serde_json::from_str(&text).context("cargo metadata printed no JSON")
}

/// Name and directory of every package of the workspace.
pub fn members(metadata: &Value) -> Result<Vec<(String, PathBuf)>> {
    packages(metadata)?
        .iter()
        .map(|package| {
            let manifest = Path::new(text(package, "manifest_path")?);
            let directory = manifest.parent().context("a manifest lies in a directory")?;
            Ok((text(package, "name")?.to_owned(), directory.to_owned()))
        })
        .collect()
}

fn packages(metadata: &Value) -> Result<&Vec<Value>> {
    metadata["packages"].as_array().context("cargo metadata has no packages")
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name].as_str().with_context(|| format!("cargo metadata has no {name}"))
}

/// Every edge that is not allowed, as a sentence.
pub fn check(metadata: &Value) -> Result<Vec<String>> {
    let packages = packages(metadata)?;
    let names = packages.iter().map(|package| text(package, "name")).collect::<Result<Vec<_>>>()?;
    let mut broken = Vec::new();
    for package in packages {
        let name = text(package, "name")?;
        if OUTSIDE.contains(&name) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            broken.push(format!("{name} is new: give it a line in xtask/src/arch/edges.rs that says what it may use"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Tests may use what they like.
            if dependency["kind"] == "dev" {
                continue;
            }
            let used = text(dependency, "name")?;
            if names.contains(&used) && !allowed.contains(&used) {
                broken.push(format!("{name} uses {used}, and may use only {}", listed(allowed)));
            }
            if let Some((_, owners)) = OWNED.iter().find(|(owned, _)| *owned == used)
                && !owners.contains(&name)
            {
                broken.push(format!("{name} uses {used}, which belongs to {}", listed(owners)));
            }
        }
    }
    Ok(broken)
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "nothing of the workspace".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> =
            dependencies.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
        json!({"name": name, "manifest_path": format!("/w/{name}/Cargo.toml"), "dependencies": dependencies})
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_named() {
        let metadata = json!({"packages": [
            package("orx-protocol", &[("orx-store", None), ("bincode", None)]),
            package("orx-store", &[("orx-protocol", None), ("rusqlite", None)]),
            package("orx-client", &[("orx-store", Some("dev")), ("rusqlite", None)]),
            package("orx-tests", &[("orx-store", None)]),
            package("orx-new", &[]),
        ]});
        assert_eq!(
            check(&metadata).unwrap(),
            [
                "orx-protocol uses orx-store, and may use only nothing of the workspace",
                "orx-client uses rusqlite, which belongs to orx-store, orx-index",
                "orx-new is new: give it a line in xtask/src/arch/edges.rs that says what it may use",
            ]
        );
    }
}
