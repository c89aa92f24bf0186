//! The files of a git directory, written by hand so that no template, default or setting of anybody else gets in.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use crate::lines;
use crate::names::{CommitId, Identity};

/// The branch of a run in its own git directories.
pub(crate) const BRANCH: &str = "work";

/// Attributes that come before any in the tree: files are taken and given back byte for byte, and no driver is named.
const ATTRIBUTES: &str = "* -text !eol !ident !filter !working-tree-encoding !diff !merge\n";
/// Alternates of alternates that git follows.
const DEPTH: usize = 5;
const ALTERNATES_LIMIT: usize = 1024 * 1024;

/// What a git directory is to hold.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// `sha1` or `sha256`.
    pub(crate) object_format: String,
    /// Object directories that are read besides its own.
    pub(crate) alternates: Vec<PathBuf>,
    /// Where the branch stands.
    pub(crate) commit: CommitId,
    /// Whether files are stored byte for byte, whatever attributes the tree names.
    pub(crate) exact_bytes: bool,
    /// Rules for files that are not committed, besides those in the tree.
    pub(crate) ignore_rules: Vec<u8>,
    /// The text of the user's `shallow` file.
    pub(crate) shallow: Option<Vec<u8>>,
    /// Set for the agent's own: who its commits are by.
    pub(crate) identity: Option<Identity>,
}

impl Layout {
    /// Writes the directory, which must not be there yet.
    pub(crate) fn write(&self, git_dir: &Path) -> Result<()> {
        fs::create_dir(git_dir)?;
        for directory in ["info", "objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            fs::create_dir_all(git_dir.join(directory))?;
        }
        let mut alternates = Vec::new();
        for path in &self.alternates {
            alternates.extend_from_slice(lines::bytes(path));
            alternates.push(b'\n');
        }
        fs::write(git_dir.join("objects/info/alternates"), alternates)?;
        fs::write(git_dir.join("HEAD"), format!("ref: refs/heads/{BRANCH}\n"))?;
        fs::write(git_dir.join("refs/heads").join(BRANCH), format!("{}\n", self.commit))?;
        fs::write(git_dir.join("config"), self.config())?;
        fs::write(git_dir.join("info/exclude"), &self.ignore_rules)?;
        if self.exact_bytes {
            fs::write(git_dir.join("info/attributes"), ATTRIBUTES)?;
        }
        if let Some(shallow) = &self.shallow {
            fs::write(git_dir.join("shallow"), shallow)?;
        }
        Ok(())
    }

    fn config(&self) -> String {
        let is_default = self.object_format == "sha1";
        let mut config = format!("[core]\n\trepositoryformatversion = {}\n\tfilemode = true\n", u8::from(!is_default));
        config.push_str(&format!(
            "\tbare = {}\n\tlogallrefupdates = true\n\tautocrlf = false\n",
            self.identity.is_none()
        ));
        if !is_default {
            config.push_str(&format!("[extensions]\n\tobjectFormat = {}\n", self.object_format));
        }
        if let Some(Identity { name, email }) = &self.identity {
            config.push_str(&format!("[user]\n\tname = {}\n\temail = {}\n", quoted(name), quoted(email)));
            // A signing key may ask its owner for a passphrase, and nobody is there to answer.
            config.push_str("[commit]\n\tgpgSign = false\n");
        }
        config
    }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// An object directory and all that it reads from, as absolute paths.
///
/// # Errors
/// When a path holds a line end, which the format cannot hold unquoted, or cannot be read.
pub(crate) fn object_directories(first: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![fs::canonicalize(first)?];
    let mut level = found.clone();
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for directory in &level {
            let Ok(content) = crate::beneath::regular_file(&directory.join("info/alternates"), ALTERNATES_LIMIT) else {
                continue;
            };
            let named =
                content.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"));
            for line in named {
                // What is not there is passed over, as git does.
                if let Ok(path) = fs::canonicalize(directory.join(lines::path(line)))
                    && !found.contains(&path)
                {
                    found.push(path.clone());
                    next.push(path);
                }
            }
        }
        level = next;
    }
    match found.iter().find(|path| lines::bytes(path).contains(&b'\n')) {
        Some(path) => Err(Error::other(format!("the path {} holds a line end", path.display()))),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternates_of_alternates_are_found_and_circles_end() {
        let scratch = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(scratch.path()).unwrap();
        for name in ["a", "b", "c"] {
            fs::create_dir_all(root.join(name).join("info")).unwrap();
        }
        fs::write(root.join("a/info/alternates"), "# note\n../b\n/nonexistent\n").unwrap();
        fs::write(root.join("b/info/alternates"), format!("{}\n", root.join("c").display())).unwrap();
        fs::write(root.join("c/info/alternates"), "../a\n").unwrap();
        let found = object_directories(&root.join("a")).unwrap();
        assert_eq!(found, [root.join("a"), root.join("b"), root.join("c")]);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_setting() {
        assert_eq!(quoted("a\"b\\"), "\"a\\\"b\\\\\"");
    }
}
