//! What no change may do: judged on the real change list and the real content, before anything is committed.
//!
//! Links that lead out of the worktree and repositories inside it are refused whatever the settings say.

mod patterns;
pub mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use orx_workspace::{Change, ChangeKind};

use crate::settings::{GuardrailMode, Guardrails};

use patterns::Patterns;

/// Guardrails, ready to judge.
#[derive(Debug, Clone)]
pub struct Guard {
    settings: Guardrails,
    allowed: Patterns,
    forbidden: Patterns,
    forbidden_new: Patterns,
}

/// Paths that one violation names.
const NAMED: usize = 10;

impl Guard {
    /// Guardrails by these settings.
    ///
    /// # Errors
    /// A sentence about a pattern that is none.
    pub fn new(settings: &Guardrails) -> Result<Self, String> {
        let read = |member: &str, patterns: &[String]| {
            Patterns::new(patterns).map_err(|error| format!("guardrails.{member}: {error}"))
        };
        Ok(Self {
            allowed: read("allowed_patterns", &settings.allowed_patterns)?,
            forbidden: read("forbidden_patterns", &settings.forbidden_patterns)?,
            forbidden_new: read("forbidden_new_files", &settings.forbidden_new_files)?,
            settings: settings.clone(),
        })
    }

    /// Whether added text is searched for secrets.
    #[must_use]
    pub const fn checks_secrets(&self) -> bool {
        self.settings.enabled && self.settings.check_secrets
    }

    /// What is wrong with the paths of a change, one sentence each.
    #[must_use]
    pub fn paths(&self, changes: &[Change]) -> Vec<String> {
        let mut violations = Vec::new();
        for change in changes {
            let path = change.path.to_string_lossy();
            if change.escapes() {
                let target = change.symlink_target.as_deref().unwrap_or(std::path::Path::new("?")).display();
                violations.push(format!("{path} is a symbolic link that leads out of the repository, to {target}"));
            }
            if change.kind == ChangeKind::Submodule {
                violations.push(format!("{path} is a repository inside the repository: remove its .git"));
            }
        }
        if !self.settings.enabled {
            return violations;
        }
        let named = |changes: Vec<&Change>| {
            let names: Vec<String> =
                changes.iter().take(NAMED).map(|change| change.path.to_string_lossy().into_owned()).collect();
            let more = changes.len().saturating_sub(NAMED);
            if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
        };
        let refused: Vec<&Change> =
            changes.iter().filter(|change| !self.allows(&change.path.to_string_lossy())).collect();
        if !refused.is_empty() {
            let why = match self.settings.mode {
                GuardrailMode::Blacklist => "may not be changed (guardrails.forbidden_patterns, forbidden_paths)",
                GuardrailMode::Allowlist => "are not among the files that may be changed (guardrails.allowed_patterns)",
            };
            violations.push(format!("{} {why}", named(refused)));
        }
        let new: Vec<&Change> = changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Added && self.settings.check_new_files)
            .filter(|change| self.forbidden_new.matches(&change.path.to_string_lossy()))
            .collect();
        if !new.is_empty() {
            violations.push(format!(
                "{} may not be made (guardrails.forbidden_new_files): such files are kept by orx itself",
                named(new)
            ));
        }
        let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        if count > self.settings.max_files_changed {
            violations.push(format!(
                "{count} files are changed and {} may be (guardrails.max_files_changed)",
                self.settings.max_files_changed
            ));
        }
        violations
    }

    fn allows(&self, path: &str) -> bool {
        match self.settings.mode {
            GuardrailMode::Allowlist => self.allowed.matches(path),
            GuardrailMode::Blacklist => {
                !self.forbidden.matches(path)
                    && !self.settings.forbidden_paths.iter().any(|forbidden| forbidden == path)
            }
        }
    }
}

/// Numbers of the lines that a unified diff adds, by file. A file that the diff does not show line by line is not in it.
#[must_use]
pub fn added_lines(diff: &str) -> BTreeMap<String, BTreeSet<usize>> {
    let mut files: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let mut file: Option<String> = None;
    let (mut number, mut left_old, mut left_new) = (0_usize, 0_usize, 0_usize);
    for line in diff.lines() {
        if left_old > 0 || left_new > 0 {
            match line.chars().next() {
                Some('+') => {
                    if let Some(file) = &file {
                        files.entry(file.clone()).or_default().insert(number);
                    }
                    number += 1;
                    left_new = left_new.saturating_sub(1);
                }
                Some('-') => left_old = left_old.saturating_sub(1),
                Some('\\') => {}
                _ => {
                    number += 1;
                    left_old = left_old.saturating_sub(1);
                    left_new = left_new.saturating_sub(1);
                }
            }
            continue;
        }
        if let Some(path) = line.strip_prefix("+++ ") {
            file = path.strip_prefix("b/").map(|path| path.trim_end_matches('\t').to_owned());
        } else if let Some((old, new)) = hunk(line) {
            (number, left_old, left_new) = (new.0, old.1, new.1);
            if let Some(file) = &file {
                files.entry(file.clone()).or_default();
            }
        }
    }
    files
}

/// Begin and length of both sides of a hunk's head.
fn hunk(line: &str) -> Option<((usize, usize), (usize, usize))> {
    let (sides, _) = line.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = sides.split_once(" +")?;
    let side = |text: &str| match text.split_once(',') {
        Some((begin, length)) => Some((begin.parse().ok()?, length.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    Some((side(old)?, side(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, kind: ChangeKind, target: Option<&str>) -> Change {
        Change {
            path: path.into(),
            kind,
            old_mode: 0,
            new_mode: 0o100_644,
            bytes: 1,
            is_binary: false,
            symlink_target: target.map(Into::into),
        }
    }

    fn judged(settings: &Guardrails, paths: &[&str]) -> Vec<String> {
        let changes: Vec<Change> = paths.iter().map(|path| change(path, ChangeKind::Added, None)).collect();
        Guard::new(settings).unwrap().paths(&changes)
    }

    #[test]
    fn the_default_refuses_what_s3_refuses() {
        let settings = Guardrails::default();
        for bad in [
            ".env",
            "a.env",
            "config/.env.local",
            "prod.env.bak",
            "my_secrets.txt",
            "secrets/x.txt",
            "a/secrets.yaml",
            "k.pem",
            "d/id.key",
            ".git/config",
            "pr_body.md",
            "docs/review.md",
            "x.orx.md",
        ] {
            assert_eq!(judged(&settings, &[bad]).len(), 1, "{bad}");
        }
        for good in ["src/app.py", "environment.py", "keys.md", "README.md", ".github/workflows/ci.yml", ".gitignore"] {
            assert_eq!(judged(&settings, &[good]), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn an_allow_list_allows_nothing_else_and_an_empty_one_nothing() {
        let mut settings = Guardrails { mode: GuardrailMode::Allowlist, ..Guardrails::default() };
        assert_eq!(judged(&settings, &["a.py"]).len(), 1);
        settings.allowed_patterns = vec!["src/**/*.py".to_owned(), "docs/**".to_owned()];
        assert_eq!(judged(&settings, &["src/a.py", "src/b/c.py", "docs/x/y.md"]), Vec::<String>::new());
        assert!(judged(&settings, &["lib/a.py"])[0].starts_with("lib/a.py are not among"));
    }

    #[test]
    fn counts_new_files_links_and_repositories_are_judged() {
        let settings = Guardrails { max_files_changed: 1, ..Guardrails::default() };
        assert!(judged(&settings, &["a", "b"])[0].starts_with("2 files are changed and 1 may be"));
        let guard = Guard::new(&Guardrails::default()).unwrap();
        assert_eq!(guard.paths(&[change("review.md", ChangeKind::Modified, None)]), Vec::<String>::new());
        let off = Guard::new(&Guardrails { enabled: false, ..Guardrails::default() }).unwrap();
        let escape = change("a/l", ChangeKind::Added, Some("../../etc/passwd"));
        assert!(off.paths(&[escape])[0].contains("leads out of the repository, to ../../etc/passwd"));
        assert!(off.paths(&[change("dep", ChangeKind::Submodule, None)])[0].contains("a repository inside"));
        assert_eq!(off.paths(&[change(".env", ChangeKind::Added, None)]), Vec::<String>::new());
        let broken = Guardrails { forbidden_patterns: vec!["a{b".to_owned()], ..Guardrails::default() };
        assert!(Guard::new(&broken).is_ok(), "braces are plain text to S3");
    }

    #[test]
    fn added_lines_are_counted_by_file() {
        let diff = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,3 @@\n one\n-two\n+zwei\n+++ not a file\n@@ -9 +10 @@ f\n-x\n+y\ndiff --git a/b b/b\n--- /dev/null\n+++ b/b\n@@ -0,0 +1 @@\n+n\n\\ No newline at end of file\n";
        let lines = added_lines(diff);
        assert_eq!(lines["a.py"].iter().copied().collect::<Vec<_>>(), [2, 3, 10]);
        assert_eq!(lines["b"].iter().copied().collect::<Vec<_>>(), [1]);
    }
}
