//! The suites, one file a room. A file that is not listed here would never run, so its absence fails.

mod activity;
mod adopt;
mod adopt_claude;
mod adopt_codex;
mod adopt_server;
mod bad_input;
mod channel_guard;
mod channel_life;
mod channels;
mod cli;
mod confined_runs;
mod delivery;
mod engines;
mod engines_gateway;
mod frames;
mod full_disk;
mod gateway;
mod handed;
mod http;
mod inbox;
mod inbox_depth;
mod inbox_rights;
mod inbox_screen;
mod interactive;
mod interrupt;
mod life;
mod life_mini;
mod life_silent;
mod lifecycle;
mod lives;
mod lives_again;
mod naming;
mod notify;
mod publish;
mod python_readme;
mod rewind;
mod run_commands;
mod run_control;
mod runs;
mod sandbox;
mod scripted;
mod servers;
mod settings;
mod several_lines;
mod socket;
mod survival;
mod takeover;
mod terminal;
mod upgrade;

use std::path::Path;

#[test]
fn every_file_here_is_listed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let listed = include_str!("mod.rs");
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "mod") else { continue };
        assert!(
            listed.lines().any(|line| line == format!("mod {module};")),
            "tests/tests/suite/{name} is not run: add `mod {module};` to tests/tests/suite/mod.rs"
        );
    }
}
