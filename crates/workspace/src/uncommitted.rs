//! What the user has not committed, found without touching the user's index, not even to refresh it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::beneath;
use crate::error::{Result, WorkspaceError};
use crate::git::LONG;
use crate::layout::{Layout, object_directories};
use crate::lines;
use crate::repository::{Repository, blocking};

/// Paths of the user's checkout that differ from its HEAD.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uncommitted {
    /// In the index and not in HEAD.
    pub staged: Vec<PathBuf>,
    /// In the checkout and not in the index.
    pub modified: Vec<PathBuf>,
    /// Not known to git; a directory stands for all that is in it.
    pub untracked: Vec<PathBuf>,
}

impl Uncommitted {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.staged.is_empty() && self.modified.is_empty() && self.untracked.is_empty()
    }
}

/// Settings that decide how files are compared. None of them names a program.
const COMPARING: [(&str, &str); 10] = [
    ("core.filemode", "core.fileMode"),
    ("core.ignorecase", "core.ignoreCase"),
    ("core.symlinks", "core.symlinks"),
    ("core.autocrlf", "core.autocrlf"),
    ("core.eol", "core.eol"),
    ("core.precomposeunicode", "core.precomposeUnicode"),
    ("core.trustctime", "core.trustctime"),
    ("core.checkstat", "core.checkStat"),
    ("core.sparsecheckout", "core.sparseCheckout"),
    ("core.sparsecheckoutcone", "core.sparseCheckoutCone"),
];
const RULES_LIMIT: usize = 4 * 1024 * 1024;

impl Repository {
    /// What differs between the user's HEAD, index and checkout. Filters do not run, so a large file whose timestamp
    /// alone changed counts as modified. Content of submodules is not looked at.
    ///
    /// # Errors
    /// How git failed, or what could not be read.
    pub async fn uncommitted(&self) -> Result<Uncommitted> {
        let settings = self.settings().await?;
        let head = self.head().await?;
        let scratch =
            tempfile::tempdir().map_err(WorkspaceError::file("making a directory in", &std::env::temp_dir()))?;
        let git_dir = scratch.path().join("git");
        let git_dir_text =
            git_dir.to_str().map(str::to_owned).ok_or(WorkspaceError::BadPlace { path: git_dir.clone() })?;
        let common = self.common_dir().to_owned();
        let rules = |name: &str| {
            beneath::regular_file(&common.join("info").join(name), RULES_LIMIT).map(|content| content.bytes)
        };
        let mut ignore_rules = settings.ignore_rules(&self.git, self.git_dir());
        ignore_rules.push(b'\n');
        ignore_rules.extend(rules("exclude").unwrap_or_default());
        let objects = common.join("objects");
        let layout = Layout {
            object_format: self.object_format().to_owned(),
            alternates: object_directories(&objects).map_err(WorkspaceError::file("reading", &objects))?,
            commit: head.commit,
            exact_bytes: false,
            ignore_rules,
            shallow: fs::read(common.join("shallow")).ok(),
            identity: None,
        };
        let attributes = rules("attributes").unwrap_or_default();
        let sparse = beneath::regular_file(&self.git_dir().join("info/sparse-checkout"), RULES_LIMIT).ok();
        let users = self.git_dir().to_owned();
        let failed = WorkspaceError::file("copying the index of", self.root());
        blocking("copying the index", move || {
            layout.write(&git_dir)?;
            fs::write(git_dir.join("info/attributes"), attributes)?;
            if let Some(sparse) = sparse {
                fs::write(git_dir.join("info/sparse-checkout"), sparse.bytes)?;
            }
            copy_index(&users, &git_dir)
        })
        .await
        .map_err(failed)?;
        let mut status = self.git.hardened("looking for uncommitted changes", self.root());
        for (found, name) in COMPARING {
            if let Some(value) = settings.get(found).filter(|value| value.chars().all(|c| c.is_ascii_alphanumeric())) {
                status = status.setting(name, value);
            }
        }
        let output = status
            .argument(format!("--git-dir={git_dir_text}"))
            .arguments(&[
                "--work-tree=.",
                "status",
                "--porcelain=v1",
                "-z",
                "--no-renames",
                "--ignore-submodules=dirty",
            ])
            .argument("--untracked-files=normal")
            .deadline(LONG)
            .bytes()
            .await?;
        Ok(parse(&output))
    }
}

/// Copies an index with its time, which git compares with the files' times, and the parts a split one is made of.
fn copy_index(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "index" || name.to_string_lossy().starts_with("sharedindex.") {
            let target = to.join(&name);
            fs::copy(entry.path(), &target)?;
            fs::File::options().write(true).open(&target)?.set_modified(entry.metadata()?.modified()?)?;
        }
    }
    Ok(())
}

/// Reads `XY <path>\0...`.
fn parse(output: &[u8]) -> Uncommitted {
    let mut found = Uncommitted::default();
    for record in lines::zero_ended(output) {
        let (Some(index), Some(checkout), Some(path)) = (record.first(), record.get(1), record.get(3..)) else {
            continue;
        };
        let path = lines::path(path);
        if *index == b'?' {
            found.untracked.push(path);
            continue;
        }
        if *checkout != b' ' {
            found.modified.push(path.clone());
        }
        if *index != b' ' {
            found.staged.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_status_line_count() {
        let found = parse(b"MM a b\0 D c\0A  d\0?? e/\0");
        assert_eq!(found.staged, [PathBuf::from("a b"), "d".into()]);
        assert_eq!(found.modified, [PathBuf::from("a b"), "c".into()]);
        assert_eq!(found.untracked, [PathBuf::from("e")]);
    }
}
