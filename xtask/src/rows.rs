//! `cargo xtask rows`: docs/security-rows.md says which test holds which row of what must hold under attack and fault.
//! A row that names no existing test is a promise that nobody keeps.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::arch::source;
use crate::shell;

const PAGE: &str = "docs/security-rows.md";

/// Checks the page against the tests that are there.
pub fn run() -> Result<()> {
    let rows = check(shell::root())?;
    println!("  {rows} rows, each held by tests that exist");
    Ok(())
}

fn check(root: &Path) -> Result<usize> {
    let page = root.join(PAGE);
    let text = std::fs::read_to_string(&page).with_context(|| format!("{} cannot be read", page.display()))?;
    let tests = tests(root)?;
    let rows = rows(&text);
    if rows.is_empty() {
        bail!("{PAGE} has no rows");
    }
    let mut wrong = Vec::new();
    for row in &rows {
        if row.tests.is_empty() {
            wrong.push(format!("{PAGE}:{}: the row names no test: {}", row.line, row.promise));
        }
        for test in &row.tests {
            if !tests.contains(test) {
                wrong.push(format!("{PAGE}:{}: there is no test `{test}`", row.line));
            }
        }
    }
    if wrong.is_empty() { Ok(rows.len()) } else { bail!("{}", wrong.join("\n")) }
}

struct Row {
    line: usize,
    promise: String,
    tests: Vec<String>,
}

/// The rows of the page's tables: the promise in the first column, the tests in backquotes in the last.
fn rows(text: &str) -> Vec<Row> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| What "))
        .filter_map(|(number, line)| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let tests = cells.last()?.split('`').skip(1).step_by(2);
            Some(Row {
                line: number + 1,
                promise: (*cells.first()?).to_owned(),
                tests: tests.map(|name| name.rsplit("::").next().unwrap_or(name).to_owned()).collect(),
            })
        })
        .collect()
}

/// The name of every function that follows a test attribute.
fn tests(root: &Path) -> Result<std::collections::BTreeSet<String>> {
    let mut names = std::collections::BTreeSet::new();
    for file in source::rust_files(root)? {
        let text = std::fs::read_to_string(&file)?;
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
                if is_test {
                    names.extend(rest.split('(').next().map(str::to_owned));
                }
                is_test = false;
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_held_by_a_test_that_exists() {
        check(shell::root()).unwrap();
    }

    #[test]
    fn rows_are_read_with_their_tests() {
        let page = "# x\n| What must hold | Tests |\n| --- | --- |\n| a | `one`, `suite::two` |\n| b | nothing |\n";
        let rows = rows(page);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].tests, ["one", "two"]);
        assert!(rows[1].tests.is_empty());
    }
}
