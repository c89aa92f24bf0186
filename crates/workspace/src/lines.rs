//! Reading what git writes: records that end in a zero byte, and paths that need not be UTF-8.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path from bytes, without a trailing slash.
pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.strip_suffix(b"/").unwrap_or(bytes).to_vec()))
}

/// A path as bytes.
pub(crate) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// The records of output in which each ends in a zero byte.
pub(crate) fn zero_ended(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == 0).filter(|record| !record.is_empty())
}

/// The path that a command wrote as its only line; it may itself hold line ends.
pub(crate) fn only_path(output: &[u8]) -> PathBuf {
    path(output.strip_suffix(b"\n").unwrap_or(output))
}
