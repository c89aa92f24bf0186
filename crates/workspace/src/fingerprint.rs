//! What must stay as it is in the user's repository, taken before and compared after.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::error::{Result, WorkspaceError};
use crate::repository::Repository;

/// The parts of a repository that orx never changes, but for the branches it publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The text of HEAD.
    pub head: Vec<u8>,
    /// Every reference and where it points.
    pub references: BTreeMap<String, String>,
    /// The bytes of the index; `None` when there is none.
    pub index: Option<Vec<u8>>,
    /// The log of the stash; `None` when there is none.
    pub stash: Option<Vec<u8>>,
    /// The bytes of the configuration.
    pub config: Option<Vec<u8>>,
}

impl Repository {
    /// Takes the fingerprint. Nothing is written.
    ///
    /// # Errors
    /// What could not be read.
    pub async fn snapshot(&self) -> Result<Fingerprint> {
        let listing = self
            .invoke("listing references")
            .arguments(&["for-each-ref", "--format=%(refname) %(objectname) %(symref)"])
            .text()
            .await?;
        let references = listing.lines().filter_map(|line| line.split_once(' '));
        let head = self.git_dir().join("HEAD");
        Ok(Fingerprint {
            references: references.map(|(name, target)| (name.to_owned(), target.to_owned())).collect(),
            head: fs::read(&head).map_err(WorkspaceError::file("reading", &head))?,
            index: optional(&self.git_dir().join("index"))?,
            stash: optional(&self.common_dir().join("logs/refs/stash"))?,
            config: optional(&self.common_dir().join("config"))?,
        })
    }
}

fn optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(WorkspaceError::file("reading", path)(error)),
    }
}
