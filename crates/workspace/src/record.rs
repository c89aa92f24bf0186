//! What the daemon's git directory remembers of its worktree: where it is, how it is recognised, what it began from.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::beneath;
use crate::lines;
use crate::names::CommitId;

/// The record's file in the daemon's git directory.
pub(crate) const FILE: &str = "orx-worktree";
/// The file with the token in the agent's `.git`.
pub(crate) const TOKEN_FILE: &str = "orx-worktree";
const HEADER: &[u8] = b"orx worktree 1";
const LIMIT: usize = 16 * 1024 * 1024;

/// A worktree's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) base: CommitId,
    pub(crate) worktree: PathBuf,
    pub(crate) repository: PathBuf,
    /// The same text is in the agent's `.git`, which it may delete.
    pub(crate) token: String,
    /// How the directory is recognised when the token is gone.
    pub(crate) directory: DirectoryMark,
    /// Submodules of the base commit, which are left unpopulated.
    pub(crate) submodules: Vec<PathBuf>,
}

/// Inode and time of birth. The device number is left out: it may differ after each boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectoryMark {
    pub(crate) inode: u64,
    /// Nanoseconds since the epoch; 0 where the file system does not know.
    pub(crate) born_ns: u128,
}

impl DirectoryMark {
    /// The mark of the directory at `path`; `None` when there is none or a link is in its place.
    pub(crate) fn of(path: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let born = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                Ok(Some(Self { inode: metadata.ino(), born_ns: born.map_or(0, |born| born.as_nanos()) }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Record {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let DirectoryMark { inode, born_ns } = self.directory;
        let (inode, born, count) = (inode.to_string(), born_ns.to_string(), self.submodules.len().to_string());
        let mut fields: Vec<&[u8]> = vec![
            HEADER,
            self.base.as_str().as_bytes(),
            lines::bytes(&self.worktree),
            lines::bytes(&self.repository),
            self.token.as_bytes(),
            inode.as_bytes(),
            born.as_bytes(),
            count.as_bytes(),
        ];
        fields.extend(self.submodules.iter().map(|path| lines::bytes(path)));
        let mut bytes = fields.join(&0);
        bytes.push(0);
        bytes
    }

    /// `None` for what is no whole record.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.strip_suffix(&[0])?.split(|byte| *byte == 0);
        if fields.next()? != HEADER {
            return None;
        }
        let text = |field: &[u8]| std::str::from_utf8(field).ok().map(str::to_owned);
        let record = Self {
            base: text(fields.next()?)?.parse().ok()?,
            worktree: lines::path(fields.next()?),
            repository: lines::path(fields.next()?),
            token: text(fields.next()?)?,
            directory: DirectoryMark {
                inode: text(fields.next()?)?.parse().ok()?,
                born_ns: text(fields.next()?)?.parse().ok()?,
            },
            submodules: {
                let count: usize = text(fields.next()?)?.parse().ok()?;
                let paths: Vec<PathBuf> = fields.map(lines::path).collect();
                (paths.len() == count).then_some(paths)?
            },
        };
        Some(record)
    }

    /// Reads the record of a daemon's git directory; `None` when there is none.
    pub(crate) fn load(git_dir: &Path) -> std::io::Result<Option<Self>> {
        match beneath::content(git_dir, Path::new(FILE), LIMIT) {
            Ok(content) => Ok(Self::parse(&content.bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the directory at `path` is the one that was made for this record.
    pub(crate) fn matches(&self, path: &Path) -> std::io::Result<bool> {
        let Some(found) = DirectoryMark::of(path)? else { return Ok(false) };
        let same = found == self.directory && found.born_ns != 0;
        let token = || beneath::content(path, &Path::new(".git").join(TOKEN_FILE), 64);
        Ok(same || token().is_ok_and(|content| content.bytes == self.token.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_record_round_trips_with_any_path_and_a_torn_one_is_none() {
        let odd = PathBuf::from(std::ffi::OsString::from_vec(b"/tmp/\xff\n x".to_vec()));
        let record = Record {
            base: "a".repeat(40).parse().unwrap(),
            worktree: odd.clone(),
            repository: "/r".into(),
            token: "01ARZ".into(),
            directory: DirectoryMark { inode: 7, born_ns: 1_700_000_000_000_000_000 },
            submodules: vec!["lib/a".into(), odd],
        };
        let bytes = record.to_bytes();
        assert_eq!(Record::parse(&bytes), Some(record));
        for end in 0..bytes.len() - 1 {
            assert_eq!(Record::parse(&bytes[..end]), None, "a cut record was taken for a whole one");
        }
        assert_eq!(Record::parse(b"something else\0"), None);
    }
}
