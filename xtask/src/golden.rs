//! `cargo xtask golden`: docs/cli.md is what the programs say of themselves, so that a change of the command line shows
//! in review, and the page never differs from the programs.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::shell;

const PAGE: &str = "docs/cli.md";
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

/// Whether to write or to compare.
#[derive(clap::Args)]
pub struct Arguments {
    /// Fail when the page differs instead of writing it.
    #[arg(long)]
    pub check: bool,
}

/// Writes the page, or compares it.
pub fn run(arguments: &Arguments) -> Result<()> {
    shell::run(&mut shell::cargo(&["build", "--quiet", "--workspace", "--bins"]), BUILD_LIMIT)?;
    let page = page(&shell::target().join("debug"))?;
    let path = shell::root().join(PAGE);
    if !arguments.check {
        return std::fs::write(&path, page).with_context(|| format!("{} cannot be written", path.display()));
    }
    if std::fs::read_to_string(&path).unwrap_or_default() != page {
        bail!("{PAGE} is not what the programs say: run `cargo xtask golden` and look at the difference");
    }
    println!("  {PAGE} is what the programs say");
    Ok(())
}

fn page(programs: &Path) -> Result<String> {
    let mut page = String::from("# Command line\n\nWritten by `cargo xtask golden` from the programs' own help.\n");
    for program in ["orxctl", "orchestratord", "agentd"] {
        describe(&programs.join(program), program, &[], &mut page)?;
    }
    Ok(page)
}

/// Describes a command and, for each name under `Commands:`, that one too.
fn describe(program: &Path, name: &str, path: &[String], page: &mut String) -> Result<()> {
    let help = shell::output(
        Command::new(program).args(path).arg("--help").env_clear().env("COLUMNS", "100").env("NO_COLOR", "1"),
    )?;
    let heading = "#".repeat(2 + path.len().min(2));
    let title = [name.to_owned()].iter().chain(path).cloned().collect::<Vec<_>>().join(" ");
    let help: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    write!(page, "\n{heading} {title}\n\n```text\n{help}```\n")?;
    for command in commands(&help) {
        let mut path = path.to_vec();
        path.push(command);
        describe(program, name, &path, page)?;
    }
    Ok(())
}

fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn commands_are_read_from_help() {
        let help = "Usage: x\n\nCommands:\n  up    Start it\n        and more\n  down  End it\n  help  Print\n\nOptions:\n  -h\n";
        assert_eq!(commands(help), ["up", "down"]);
    }
}
