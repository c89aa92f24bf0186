//! Files that orx keeps for itself: private from the first instant, and replaced as a whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::libc;

/// Makes a directory and its parents; those that it makes are 0700. The last one must be a directory of this user that
/// nobody else can write to, and is made 0700 when it is not.
///
/// # Errors
/// When it cannot be made, is not a directory, or belongs to somebody else.
pub fn private_directory(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = std::fs::symlink_metadata(path)?;
    let refuse = |why: &str| Err(std::io::Error::other(format!("{} {why}", path.display())));
    if !metadata.is_dir() {
        return refuse("is not a directory");
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return refuse("belongs to another user");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Opens a file for writing, made 0600.
///
/// # Errors
/// When it cannot be opened.
pub fn private_append(path: &Path) -> Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Opens a file for reading where somebody else may have put it: no link is followed, and what is no plain file (a pipe,
/// whose opening would wait) is refused.
///
/// # Errors
/// When it cannot be opened, or is something else.
pub fn open_plain(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other(format!("{} is no plain file", path.display())));
    }
    Ok(file)
}

/// Which file is at `path`, in words that it shares with no other file that is there at the same time.
///
/// # Errors
/// When there is none.
pub fn which(path: &Path) -> Result<String> {
    std::fs::metadata(path).map(|metadata| format!("{}:{}", metadata.dev(), metadata.ino()))
}

/// Writes a file so that a reader sees the old content or the new, also after a crash.
///
/// # Errors
/// When it cannot be written; the old content then stands.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().ok_or_else(|| std::io::Error::other(format!("{} names no file", path.display())))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    let temporary = directory.join(format!(".{name}.{}.new", orx_protocol::id::ulid_text()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_replaced_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("a/b");
        private_directory(&directory).unwrap();
        assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        let path = directory.join("f");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        assert!(private_directory(&path).is_err());
    }

    #[test]
    fn what_somebody_else_put_there_is_opened_only_if_it_is_a_plain_file() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        std::fs::write(at("plain"), "text").unwrap();
        assert_eq!(std::io::read_to_string(open_plain(&at("plain")).unwrap()).unwrap(), "text");
        std::os::unix::fs::symlink(at("plain"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["link", "pipe", ".", "nothing"] {
            assert!(open_plain(&at(name)).is_err(), "{name}");
        }
    }
}
