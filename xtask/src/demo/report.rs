//! What came of the demo's run, for a person.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::house::House;
use super::project::Project;
use crate::shell::{self, bold, dim, green, red};

/// Prints branch, difference, verdicts, tokens, time and places.
pub fn show(house: &House, project: &Project, run: &Value, elapsed: Duration) -> Result<()> {
    let text = |name: &str| run[name].as_str().unwrap_or("unknown").to_owned();
    let row = |name: &str, value: &str| println!("  {:<10} {value}", dim(name));
    let (branch, base) = (text("branch"), text("base_commit"));
    println!("\n{}", bold("What came of it"));
    row("branch", &branch);
    for commit in run["commits"].as_array().into_iter().flatten() {
        let name: String = commit["commit"].as_str().unwrap_or_default().chars().take(12).collect();
        row("commit", &format!("{name} {}", commit["subject"].as_str().unwrap_or_default()));
    }
    for gate in run["gates"].as_array().into_iter().flatten() {
        row("gate", &gate_line(gate));
    }
    row("tokens", &tokens(run));
    row("time", &format!("{} for the run, {} for the demo", run_time(run), shell::seconds(elapsed)));
    row("run", &text("directory"));
    row("worktree", run["worktree"].as_str().unwrap_or("removed"));
    row("daemon", &house.directory().display().to_string());
    for warning in run["warnings"].as_array().into_iter().flatten() {
        row("note", warning.as_str().unwrap_or_default());
    }
    let (stat, diff) = project.diff(&base, &branch)?;
    println!("\n{stat}\n\n{diff}\n");
    Ok(())
}

fn gate_line(gate: &Value) -> String {
    let verdict = gate["verdict"].as_str().unwrap_or("unknown");
    let shown = if verdict == "passed" { green(verdict) } else { red(verdict) };
    let item = gate["item"].as_str().unwrap_or("the whole");
    let need = if gate["required"] == true { "required" } else { "advisory" };
    format!(
        "{} {shown} {}",
        gate["gate"].as_str().unwrap_or("?"),
        dim(&format!("{item}, {need}, {} ms", gate["duration_ms"]))
    )
}

fn tokens(run: &Value) -> String {
    let side =
        |name: &str| run["tokens"][name].as_u64().map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    let cost = run["cost_microusd"].as_u64().map_or_else(
        || "cost unknown".to_owned(),
        |micro| format!("${}.{:06}, as the CLI prices its model", micro / 1_000_000, micro % 1_000_000),
    );
    format!("{} in, {} out, {cost}", side("input"), side("output"))
}

fn run_time(run: &Value) -> String {
    match (run["created_at_ms"].as_u64(), run["ended_at_ms"].as_u64()) {
        (Some(from), Some(to)) => shell::seconds(Duration::from_millis(to.saturating_sub(from))),
        _ => "unknown".to_owned(),
    }
}
