//! The user's effective git settings, read as a list: a scan that runs nothing they name.

use std::path::{Path, PathBuf};

use crate::beneath;
use crate::error::Result;
use crate::git::Git;
use crate::lines;
use crate::names::Identity;

/// Every setting that git would apply in a repository, later ones overriding earlier ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    entries: Vec<(String, String)>,
}

/// Bytes that are read of a file of ignore rules.
const RULES_LIMIT: usize = 1024 * 1024;

impl Settings {
    /// Reads the settings of the repository with this git directory, the user's and the system's included.
    pub(crate) async fn scan(git: &Git, git_dir: &Path, root: &Path) -> Result<Self> {
        let invocation = git.as_user("reading the settings", git_dir, &["GIT_CONFIG_"]).shown_as(root);
        let output = invocation.arguments(&["--git-dir=.", "config", "--list", "-z"]).bytes().await?;
        Ok(Self::parse(&output))
    }

    fn parse(output: &[u8]) -> Self {
        let entry = |record: &[u8]| {
            let record = String::from_utf8_lossy(record).into_owned();
            // A name without a value is git's way to say true.
            record
                .split_once('\n')
                .map_or((record.clone(), "true".to_owned()), |(name, value)| (name.to_owned(), value.to_owned()))
        };
        Self { entries: lines::zero_ended(output).map(entry).collect() }
    }

    /// The value in force; `name` with its section and last part in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The middle parts of names `<section>.<middle>.<last>`, as of `remote.origin.url`.
    pub(crate) fn subsections(&self, section: &str, last: &str) -> Vec<String> {
        let prefix = format!("{section}.");
        let suffix = format!(".{last}");
        let middle = |name: &String| name.strip_prefix(&prefix)?.strip_suffix(&suffix).map(str::to_owned);
        let mut found: Vec<String> = self.entries.iter().filter_map(|(name, _)| middle(name)).collect();
        found.sort();
        found.dedup();
        found
    }

    /// Who the user's commits are by.
    pub(crate) fn identity(&self, git: &Git) -> Identity {
        let part = |variable: &str, names: [&str; 2]| {
            let set = names.iter().find_map(|name| self.get(name)).filter(|value| !value.is_empty());
            git.user_variable(variable).or(set).map(str::to_owned)
        };
        let fallback = Identity::default();
        Identity {
            name: part("GIT_AUTHOR_NAME", ["author.name", "user.name"]).unwrap_or(fallback.name),
            email: part("GIT_AUTHOR_EMAIL", ["author.email", "user.email"])
                .or_else(|| git.user_variable("EMAIL").map(str::to_owned))
                .unwrap_or(fallback.email),
        }
        .cleaned()
    }

    /// The rules of the user's own ignore file (`core.excludesFile` or its default place); empty where there is none.
    pub(crate) fn ignore_rules(&self, git: &Git, git_dir: &Path) -> Vec<u8> {
        let Some(path) = self.ignore_file(git, git_dir) else { return Vec::new() };
        beneath::regular_file(&path, RULES_LIMIT).map(|content| content.bytes).unwrap_or_default()
    }

    fn ignore_file(&self, git: &Git, git_dir: &Path) -> Option<PathBuf> {
        let home = git.user_variable("HOME").map(PathBuf::from);
        match self.get("core.excludesfile") {
            Some(path) => match path.strip_prefix("~/") {
                Some(rest) => Some(home?.join(rest)),
                None => Some(git_dir.join(path)),
            },
            None => {
                let base = git.user_variable("XDG_CONFIG_HOME").map(PathBuf::from);
                Some(base.or_else(|| Some(home?.join(".config")))?.join("git/ignore"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_is_in_force_and_a_bare_name_is_true() {
        let settings =
            Settings::parse(b"core.bare\nfalse\0user.name\nA\0user.name\nB\nC\0core.filemode\0remote.a.b.url\nx\0");
        assert_eq!(settings.get("user.name"), Some("B\nC"));
        assert_eq!(settings.get("core.filemode"), Some("true"));
        assert_eq!(settings.get("core.eol"), None);
        assert_eq!(settings.subsections("remote", "url"), ["a.b"]);
    }
}
