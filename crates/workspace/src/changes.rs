//! What differs between a worktree and the last commit of orx there.
//!
//! One listing is the ground for guardrails, for diffs and for what is committed, so that none of them sees other files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::beneath::{self, Entry};
use crate::error::{Result, WorkspaceError};
use crate::git::LONG;
use crate::lines;
use crate::repository::blocking;
use crate::worktree::{Held, Worktree};

/// How a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// Its content or its executable bit is another.
    Modified,
    /// It is gone.
    Deleted,
    /// A file became a link, or the other way round.
    TypeChanged,
    /// A repository inside the worktree: a new one, or files in the directory of a submodule. What is in it cannot be
    /// committed, so a commit refuses as long as it is there.
    Submodule,
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Relative to the worktree; need not be UTF-8.
    pub path: PathBuf,
    /// How it changed.
    pub kind: ChangeKind,
    /// Git's mode before (`0o100644`, `0o100755`, `0o120000`, `0o160000`); 0 when it was not there.
    pub old_mode: u32,
    /// Git's mode now; 0 when it is gone.
    pub new_mode: u32,
    /// Size now in bytes; 0 when it is gone or is a directory.
    pub bytes: u64,
    /// Whether its beginning holds a zero byte, as git tells binary files from text.
    pub is_binary: bool,
    /// Where it points when it is a symbolic link; not followed.
    pub symlink_target: Option<PathBuf>,
}

impl Change {
    /// Whether this changes which files count as ignored, so that others may have dropped out of the listing.
    #[must_use]
    pub fn alters_ignore_rules(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == ".gitignore")
    }

    /// Whether this is a link that leads out of the worktree.
    #[must_use]
    pub fn escapes(&self) -> bool {
        let Some(target) = &self.symlink_target else { return false };
        let mut depth = self.path.components().count().saturating_sub(1);
        for component in target.components() {
            match component {
                std::path::Component::Normal(_) => depth += 1,
                std::path::Component::CurDir => {}
                std::path::Component::ParentDir if depth > 0 => depth -= 1,
                std::path::Component::ParentDir | std::path::Component::RootDir | std::path::Component::Prefix(_) => {
                    return true;
                }
            }
        }
        false
    }
}

pub(crate) const FILE: u32 = 0o100_644;
pub(crate) const EXECUTABLE: u32 = 0o100_755;
pub(crate) const SYMLINK: u32 = 0o120_000;
pub(crate) const GITLINK: u32 = 0o160_000;
/// Bytes that are looked at to tell binary files from text, as git does.
const SAMPLE: usize = 8000;

/// A line of `git diff-index --raw -z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) old_mode: u32,
    pub(crate) new_mode: u32,
    pub(crate) path: PathBuf,
}

/// Reads `:<old mode> <new mode> <old> <new> <status>\0<path>\0...`; `None` when it has another shape.
pub(crate) fn parse_raw(output: &[u8]) -> Option<Vec<Raw>> {
    let mut records = lines::zero_ended(output);
    let mut found = Vec::new();
    while let Some(head) = records.next() {
        let head = std::str::from_utf8(head).ok()?.strip_prefix(':')?;
        let mut fields = head.split(' ');
        let mut mode = || u32::from_str_radix(fields.next()?, 8).ok();
        let (old_mode, new_mode) = (mode()?, mode()?);
        found.push(Raw { old_mode, new_mode, path: lines::path(records.next()?) });
    }
    Some(found)
}

impl Worktree {
    /// What differs from the last commit of orx, by path. Ignored files are left out, by the rules that are in the
    /// worktree now. Nothing is written but the daemon's own index.
    ///
    /// # Errors
    /// [`WorkspaceError::Foreign`], [`WorkspaceError::WorktreeMissing`], or how git failed.
    pub async fn changes(&self) -> Result<Vec<Change>> {
        let held = self.begin().await?;
        self.list_changes(&held).await
    }

    pub(crate) async fn list_changes(&self, _held: &Held) -> Result<Vec<Change>> {
        // It exits with 1 where a file was touched, which is what the listing is for.
        let refreshed =
            self.invoke("looking at the files").arguments(&["update-index", "-q", "--refresh"]).run().await?;
        if !matches!(refreshed.captured.exit, orx_protocol::process::Exit::Code(0 | 1)) {
            return Err(refreshed.failure());
        }
        let tracked = self
            .invoke("comparing the files")
            .arguments(&["diff-index", "--raw", "-z", "--no-renames", "--ignore-submodules=dirty", "HEAD", "--"])
            .bytes()
            .await?;
        let untracked = self
            .invoke("listing new files")
            .arguments(&["ls-files", "--others", "--exclude-standard", "-z"])
            .deadline(LONG)
            .bytes()
            .await?;
        let tracked = parse_raw(&tracked).ok_or_else(|| WorkspaceError::Malformed {
            what: "comparing the files",
            path: self.path().to_owned(),
            detail: String::from_utf8_lossy(tracked.get(..tracked.len().min(200)).unwrap_or_default()).into_owned(),
        })?;
        let root = self.path().to_owned();
        let submodules = self.record.submodules.clone();
        blocking("looking at the files", move || combine(&root, &tracked, &untracked, &submodules))
            .await
            .map_err(WorkspaceError::file("looking at the files of", self.path()))
    }
}

/// Puts the listings together and looks at each file, following no link.
fn combine(root: &Path, tracked: &[Raw], untracked: &[u8], submodules: &[PathBuf]) -> std::io::Result<Vec<Change>> {
    let mut changes: BTreeMap<PathBuf, Change> = BTreeMap::new();
    let modules_changed = tracked.iter().any(|raw| raw.path == Path::new(".gitmodules"));
    for raw in tracked {
        if raw.old_mode == GITLINK && raw.new_mode == 0 && !modules_changed {
            // An empty directory that something tidied away is no removal of the submodule.
            continue;
        }
        let kind = match (raw.old_mode, raw.new_mode) {
            (_, GITLINK) => ChangeKind::Submodule,
            (_, 0) => ChangeKind::Deleted,
            (0, _) => ChangeKind::Added,
            (old, new) if kind_bits(old) == kind_bits(new) => ChangeKind::Modified,
            _ => ChangeKind::TypeChanged,
        };
        insert(root, &mut changes, raw.path.clone(), kind, raw.old_mode, raw.new_mode)?;
    }
    for record in lines::zero_ended(untracked) {
        // A directory in this listing is a repository of its own: git would store a pointer and drop its files.
        let kind = if record.ends_with(b"/") { ChangeKind::Submodule } else { ChangeKind::Added };
        let mode = if kind == ChangeKind::Submodule { GITLINK } else { 0 };
        insert(root, &mut changes, lines::path(record), kind, 0, mode)?;
    }
    for path in submodules {
        let is_here = tracked.iter().all(|raw| raw.path != *path || raw.new_mode == GITLINK);
        if is_here && !beneath::is_hollow(root, path)? {
            insert(root, &mut changes, path.clone(), ChangeKind::Submodule, GITLINK, GITLINK)?;
        }
    }
    Ok(changes.into_values().collect())
}

/// The part of a mode that says file, link or submodule.
fn kind_bits(mode: u32) -> u32 {
    mode & 0o170_000
}

fn insert(
    root: &Path,
    changes: &mut BTreeMap<PathBuf, Change>,
    path: PathBuf,
    kind: ChangeKind,
    old_mode: u32,
    new_mode: u32,
) -> std::io::Result<()> {
    let mut change =
        Change { path: path.clone(), kind, old_mode, new_mode, bytes: 0, is_binary: false, symlink_target: None };
    if !matches!(kind, ChangeKind::Deleted | ChangeKind::Submodule) {
        match beneath::entry(root, &path) {
            Ok(Entry::File { size, executable }) => {
                change.new_mode = if executable { EXECUTABLE } else { FILE };
                change.bytes = size;
                let sample = beneath::content(root, &path, SAMPLE);
                change.is_binary = sample.is_ok_and(|sample| sample.bytes.contains(&0));
            }
            Ok(Entry::Symlink { target }) => {
                change.new_mode = SYMLINK;
                change.bytes = u64::try_from(lines::bytes(&target).len()).unwrap_or(u64::MAX);
                change.symlink_target = Some(target);
            }
            // What is neither a file nor a link is never committed.
            Ok(Entry::Directory | Entry::Other) => {}
            // A file that went away since the listing is what the next listing will tell.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    changes.insert(path, change);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_lines_are_read_and_other_shapes_refused() {
        let zero = "0".repeat(40);
        let text = format!(":100644 100755 {zero} {zero} M\0a b\0:000000 120000 {zero} {zero} A\0l\n\0");
        let raw = parse_raw(text.as_bytes()).unwrap();
        assert_eq!(raw[0], Raw { old_mode: FILE, new_mode: EXECUTABLE, path: "a b".into() });
        assert_eq!(raw[1], Raw { old_mode: 0, new_mode: SYMLINK, path: "l\n".into() });
        assert_eq!(parse_raw(b"100644\0a\0"), None);
        assert_eq!(parse_raw(b":100644 100644 a b M\0"), None);
        assert_eq!(parse_raw(b""), Some(vec![]));
    }

    #[test]
    fn links_that_lead_out_are_known() {
        let link = |path: &str, target: &str| Change {
            path: path.into(),
            kind: ChangeKind::Added,
            old_mode: 0,
            new_mode: SYMLINK,
            bytes: 0,
            is_binary: false,
            symlink_target: Some(target.into()),
        };
        assert!(!link("a/b", "../c").escapes());
        assert!(link("a/b", "../../c").escapes());
        assert!(link("b", "/etc/passwd").escapes());
        assert!(link("b", "x/../../y").escapes());
        assert!(!link("b", "x/../y").escapes());
    }
}
