//! What may be written where: SQL, starting of programs, the binary codec, and which packages take the lints.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::edges::OUTSIDE;

/// Something that has its room.
struct Rule {
    /// What to look for in a line of code.
    words: &'static [&'static str],
    /// Files and directories, from the root, that may have it.
    rooms: &'static [&'static str],
    /// The rule, for a person.
    says: &'static str,
}

const RULES: [Rule; 3] = [
    Rule {
        words: &["SELECT ", "INSERT INTO ", "INSERT OR ", "DELETE FROM ", "CREATE TABLE ", "ALTER TABLE ", "PRAGMA "],
        rooms: &["crates/store/", "crates/index/"],
        says: "SQL belongs to crates/store, and to crates/index for what can be rebuilt",
    },
    Rule {
        words: &["process::Command", "Command::new("],
        rooms: &["crates/sandbox/"],
        says: "only crates/sandbox starts programs",
    },
    Rule {
        words: &["bincode::", "use bincode"],
        rooms: &["protocol/src/codec.rs", "protocol/src/terminal/"],
        says: "bincode stays behind protocol/src/codec.rs",
    },
];

/// Every place that breaks a rule, as a sentence.
pub fn check(root: &Path, members: &[(String, PathBuf)]) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for (name, directory) in members.iter().filter(|(name, _)| !OUTSIDE.contains(&name.as_str())) {
        let manifest = directory.join("Cargo.toml");
        let text =
            std::fs::read_to_string(&manifest).with_context(|| format!("{} cannot be read", manifest.display()))?;
        if !takes_the_lints(&text) {
            broken.push(format!("{name} does not take the workspace's lints: add `[lints]` with `workspace = true`"));
        }
        for file in rust_files(&directory.join("src"))? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            let shown = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            broken.extend(check_file(&shown, &text));
        }
    }
    Ok(broken)
}

fn takes_the_lints(manifest: &str) -> bool {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[lints]")
        .nth(1)
        .is_some_and(|line| line.trim() == "workspace = true")
}

fn check_file(file: &str, text: &str) -> Vec<String> {
    if file.ends_with("/tests.rs") || file.contains("/tests/") {
        return Vec::new();
    }
    let mut broken = Vec::new();
    for (number, line) in code(text) {
        for rule in &RULES {
            let found = rule.words.iter().any(|word| line.contains(word)) && !line.contains("clap::Command");
            if found && !rule.rooms.iter().any(|room| file.starts_with(room)) {
                broken.push(format!("{file}:{number}: {}: {}", rule.says, line.trim()));
            }
        }
    }
    broken
}

/// The lines of code with their numbers, without comments and without the tests at the end of a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.split(" // ").next().unwrap_or(line)))
}

/// Every Rust file below a directory, but for build results.
pub fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut next = vec![directory.to_owned()];
    while let Some(directory) = next.pop() {
        let entries =
            std::fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.file_type()?.is_dir() {
                if !hidden && entry.file_name() != "target" && entry.file_name() != "node_modules" {
                    next.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_its_room_is_named() {
        let sql = "fn f() {\n    query(\"SELECT 1\");\n}\n";
        assert_eq!(check_file("crates/store/src/x.rs", sql), Vec::<String>::new());
        assert_eq!(
            check_file("orchestratord/src/x.rs", sql),
            [
                "orchestratord/src/x.rs:2: SQL belongs to crates/store, and to crates/index for what can be rebuilt: query(\"SELECT 1\");"
            ]
        );
        assert_eq!(check_file("crates/client/src/x.rs", "use std::process::Command;\n").len(), 1);
        assert_eq!(check_file("orxctl/src/x.rs", "    let c = bincode::encode();\n").len(), 1);
    }

    #[test]
    fn comments_and_tests_may_speak_of_anything() {
        let text = "// bincode\nfn f() {} // SELECT x\n#[cfg(test)]\nmod tests {\n    use std::process::Command;\n}\n";
        assert_eq!(check_file("orxctl/src/x.rs", text), Vec::<String>::new());
    }

    #[test]
    fn the_lints_are_taken_by_two_lines() {
        assert!(takes_the_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!takes_the_lints("[lints.rust]\nunsafe_code = \"deny\"\n"));
    }
}
