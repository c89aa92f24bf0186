//! Which files of a repository count: those that git would track, in a fixed order, with an account of what was left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ignore::WalkBuilder;
use serde::{Deserialize, Serialize};

use crate::error::IndexError;

/// Paths that are named for each reason of leaving out.
const EXAMPLES: usize = 5;

/// Bounds of what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest file that is read, in bytes (1 MiB).
    pub file_bytes: u64,
    /// Files that are read at most, first ones in path order (20 000).
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 1024 * 1024, files: 20_000 }
    }
}

/// Why a file was left out. Ignored and hidden files are not counted: they are not part of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Omission {
    /// It is larger than the limit.
    TooLarge,
    /// It comes after the limit on the number of files.
    TooMany,
    /// It holds bytes that no text holds.
    Binary,
    /// It could not be opened or read.
    Unreadable,
    /// Its name is not UTF-8.
    Name,
    /// The answer would have been too long with it.
    AnswerSize,
}

impl Omission {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "larger than the limit",
            Self::TooMany => "beyond the limit on the number of files",
            Self::Binary => "binary",
            Self::Unreadable => "unreadable",
            Self::Name => "name is not UTF-8",
            Self::AnswerSize => "the answer would have been too long",
        }
    }
}

/// Files that were left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omitted {
    /// Why.
    pub reason: Omission,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

/// An account of what was left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account(BTreeMap<Omission, Omitted>);

impl Account {
    pub(crate) fn add(&mut self, reason: Omission, path: &str) {
        let entry = self.0.entry(reason).or_insert_with(|| Omitted { reason, count: 0, examples: Vec::new() });
        entry.count += 1;
        if entry.examples.len() < EXAMPLES {
            entry.examples.push(path.to_owned());
        }
    }

    pub(crate) fn into_list(self) -> Vec<Omitted> {
        self.0.into_values().collect()
    }
}

/// A file that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Where to open it.
    pub(crate) location: PathBuf,
    /// Path below the root, with `/`.
    pub(crate) path: String,
    /// Size in bytes.
    pub(crate) bytes: u64,
    /// Time of the last change, in nanoseconds since the epoch; 0 where it is not known.
    pub(crate) changed_ns: i64,
}

/// What a walk found, in path order.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) files: Vec<Candidate>,
    pub(crate) account: Account,
}

/// Whether a directory is in a git repository or worktree.
fn is_versioned(root: &Path) -> bool {
    root.canonicalize().is_ok_and(|root| root.ancestors().any(|directory| directory.join(".git").exists()))
}

/// Walks a repository. Hidden and ignored files are skipped and symbolic links are not followed.
pub(crate) fn walk(root: &Path, limits: Limits) -> Result<Walked, IndexError> {
    let unusable = |source| IndexError::Root { path: root.to_owned(), source };
    std::fs::read_dir(root).map_err(unusable)?;
    let mut walked = Walked::default();
    let versioned = is_versioned(root);
    // In a repository the rules are git's: those of its own directories up to its root, which for a worktree is not the
    // repository around it. Elsewhere `.gitignore` counts too, but not that of directories above the root.
    let walker = WalkBuilder::new(root)
        .follow_links(false)
        .require_git(versioned)
        .parents(versioned)
        .sort_by_file_name(Ord::cmp)
        .build();
    for entry in walker {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                walked.account.add(Omission::Unreadable, &error.to_string());
                continue;
            }
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let Some(path) = relative.to_str() else {
            walked.account.add(Omission::Name, &relative.to_string_lossy());
            continue;
        };
        let Ok(metadata) = entry.metadata() else {
            walked.account.add(Omission::Unreadable, path);
            continue;
        };
        if metadata.len() > limits.file_bytes {
            walked.account.add(Omission::TooLarge, path);
        } else if walked.files.len() >= limits.files {
            walked.account.add(Omission::TooMany, path);
        } else {
            let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            walked.files.push(Candidate {
                path: path.to_owned(),
                bytes: metadata.len(),
                changed_ns: changed.and_then(|time| i64::try_from(time.as_nanos()).ok()).unwrap_or(0),
                location: entry.into_path(),
            });
        }
    }
    Ok(walked)
}
