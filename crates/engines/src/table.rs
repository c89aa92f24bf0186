//! The table of engines in the README, held to what the data says.

use std::path::Path;

use crate::{EngineKind, can_resume, conversation_at_launch};

/// The table as it has to be.
fn table() -> String {
    let mut table =
        "| engine | | headless | terminal | taken up again | channels | tested |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for kind in EngineKind::ALL.into_iter().filter(|kind| *kind != EngineKind::Command) {
        let known = kind.descriptor();
        let headless = match (&known.headless.none, &known.headless.always_writes) {
            (Some(_), _) => "no",
            (None, Some(_)) => "writing stages",
            (None, None) => "all stages",
        };
        let terminal = match (&known.terminal.none, known.terminal.alternate_screen) {
            (Some(_), _) => "no",
            (None, true) => "full screen",
            (None, false) => "inline",
        };
        let resumed = match (conversation_at_launch(kind), can_resume(kind)) {
            (_, false) => "no",
            (true, true) => "by orx's name",
            (false, true) => "by its own name",
        };
        let channels = known.channels.names().join(", ");
        let channels = if channels.is_empty() { "–" } else { &channels };
        let tested = match (&known.tested, &known.untested) {
            (Some(version), _) => version.clone(),
            (None, why) => format!("untested: {}", why.as_deref().unwrap_or_default()),
        };
        let (title, name) = (&known.title, kind.name());
        table.push_str(&format!(
            "| {title} | `{name}` | {headless} | {terminal} | {resumed} | {channels} | {tested} |\n"
        ));
    }
    table
}

#[test]
fn the_readme_has_the_table_of_engines() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let table = table();
    assert!(readme.contains(&table), "put this table into README.md:\n{table}");
}

#[test]
fn what_is_tested_is_what_is_installed_for_the_tests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/engines/versions.json");
    let pinned: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for kind in EngineKind::ALL {
        let versions = pinned[kind.name()]["versions"].as_array().cloned().unwrap_or_default();
        let installed: Vec<&str> = versions.iter().filter_map(|version| version["version"].as_str()).collect();
        match &kind.descriptor().tested {
            Some(tested) => assert!(installed.contains(&tested.as_str()), "{kind} {tested} is not among {installed:?}"),
            None => assert!(installed.is_empty(), "{kind} is installed for the tests and called untested"),
        }
    }
}

#[test]
fn hooks_are_listed_where_they_are_understood() {
    for kind in EngineKind::ALL {
        let heard = crate::hooks::understand(kind, &serde_json::json!({}), &|_| None);
        let is_known = heard != Err(crate::hooks::BadPayload::NoHooks(kind));
        assert_eq!(kind.descriptor().channels.hooks, is_known, "{kind}");
    }
}
