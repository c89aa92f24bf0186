//! Looking at files of a tree that somebody else writes to, without following a link out of it.
//!
//! Each part of a path is opened from its parent with `O_NOFOLLOW`, so a directory that is swapped for a symbolic link
//! is an error instead of a way out.

use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

/// The beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The bytes, up to the limit.
    pub bytes: Vec<u8>,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// Whether there is more than `bytes`.
    pub truncated: bool,
}

/// What is at a path, not following a link there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    File { size: u64, executable: bool },
    Symlink { target: PathBuf },
    Directory,
    Other,
}

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// Non-blocking, so that a pipe or device that was put there does not hold us up.
const FILE: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Opens the directory that holds `relative` and gives the last part's name.
fn parent(root: &Path, relative: &Path) -> Result<(OwnedFd, PathBuf)> {
    let mut parts = Vec::new();
    for component in relative.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Error::new(ErrorKind::InvalidInput, "the path leads out of the worktree"));
            }
        }
    }
    let name = parts.pop().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the path is empty"))?;
    let mut directory = nix::fcntl::open(root, DIRECTORY, Mode::empty())?;
    for part in parts {
        directory = openat(&directory, part, DIRECTORY, Mode::empty())?;
    }
    Ok((directory, PathBuf::from(name)))
}

fn is(stat: &FileStat, kind: nix::libc::mode_t) -> bool {
    stat.st_mode & nix::libc::S_IFMT == kind
}

fn size(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// What is at `relative` beneath `root`.
pub(crate) fn entry(root: &Path, relative: &Path) -> Result<Entry> {
    let (directory, name) = parent(root, relative)?;
    let stat = fstatat(&directory, &name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(if is(&stat, nix::libc::S_IFREG) {
        Entry::File { size: size(&stat), executable: stat.st_mode & nix::libc::S_IXUSR != 0 }
    } else if is(&stat, nix::libc::S_IFLNK) {
        Entry::Symlink { target: PathBuf::from(readlinkat(&directory, &name)?) }
    } else if is(&stat, nix::libc::S_IFDIR) {
        Entry::Directory
    } else {
        Entry::Other
    })
}

/// The first `limit` bytes of the regular file at `relative` beneath `root`.
pub(crate) fn content(root: &Path, relative: &Path, limit: usize) -> Result<Content> {
    let (directory, name) = parent(root, relative)?;
    read(File::from(openat(&directory, &name, FILE, Mode::empty())?), limit)
}

/// The first `limit` bytes of a regular file of the user's, reached through whatever links there are.
pub(crate) fn regular_file(path: &Path, limit: usize) -> Result<Content> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    read(File::from(nix::fcntl::open(path, flags, Mode::empty())?), limit)
}

fn read(file: File, limit: usize) -> Result<Content> {
    let stat = fstat(&file)?;
    if !is(&stat, nix::libc::S_IFREG) {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    // One byte more than wanted tells whether there is more, also of a file that grows.
    file.take(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut bytes)?;
    let truncated = bytes.len() > limit;
    bytes.truncate(limit);
    Ok(Content { bytes, size: size(&stat), truncated })
}

/// Whether the directory at `relative` holds nothing; what is no directory holds nothing either.
pub(crate) fn is_hollow(root: &Path, relative: &Path) -> Result<bool> {
    let opened =
        parent(root, relative).and_then(|(directory, name)| Ok(openat(&directory, &name, DIRECTORY, Mode::empty())?));
    let directory = match opened {
        Ok(directory) => directory,
        Err(error)
            if matches!(error.raw_os_error(), Some(nix::libc::ENOENT | nix::libc::ENOTDIR | nix::libc::ELOOP)) =>
        {
            return Ok(true);
        }
        Err(error) => return Err(error),
    };
    let mut directory = nix::dir::Dir::from_fd(directory)?;
    for entry in directory.iter() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn scratch() -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("tree");
        std::fs::create_dir_all(root.join("a/empty")).unwrap();
        std::fs::write(root.join("a/f"), b"hello").unwrap();
        std::fs::write(scratch.path().join("secret"), b"secret").unwrap();
        symlink(scratch.path(), root.join("out")).unwrap();
        symlink("../../secret", root.join("a/link")).unwrap();
        scratch
    }

    #[test]
    fn no_path_leads_out_of_the_tree() {
        let scratch = scratch();
        let root = scratch.path().join("tree");
        for bad in ["out/secret", "../secret", "/etc/passwd", "a/../../secret", "a/link", "", ".", "a"] {
            assert!(content(&root, Path::new(bad), 10).is_err(), "{bad}");
        }
        assert!(entry(&root, Path::new("out/secret")).is_err());
        assert!(
            content(&scratch.path().join("tree/out"), Path::new("secret"), 10).is_err(),
            "the root itself is a link"
        );
    }

    #[test]
    fn files_are_read_up_to_the_limit_and_pipes_do_not_block() {
        let scratch = scratch();
        let root = scratch.path().join("tree");
        let read = content(&root, Path::new("a/f"), 3).unwrap();
        assert_eq!((read.bytes.as_slice(), read.size, read.truncated), (b"hel".as_slice(), 5, true));
        assert!(!content(&root, Path::new("./a/f"), 5).unwrap().truncated);
        nix::unistd::mkfifo(&root.join("pipe"), Mode::S_IRWXU).unwrap();
        assert!(content(&root, Path::new("pipe"), 3).is_err());
        assert_eq!(entry(&root, Path::new("pipe")).unwrap(), Entry::Other);
        assert_eq!(entry(&root, Path::new("a/link")).unwrap(), Entry::Symlink { target: "../../secret".into() });
    }

    #[test]
    fn hollow_directories_are_told_from_full_ones() {
        let scratch = scratch();
        let root = scratch.path().join("tree");
        assert!(is_hollow(&root, Path::new("a/empty")).unwrap());
        assert!(is_hollow(&root, Path::new("missing")).unwrap());
        assert!(!is_hollow(&root, Path::new("a")).unwrap());
    }
}
