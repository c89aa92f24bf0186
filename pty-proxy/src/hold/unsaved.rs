//! What was read from the program's terminal and is not in the log yet, in memory that outlives this process: the keeper has
//! its descriptor, so that a holder that is killed between reading and writing loses nothing either.
//!
//! The memory is all zeros but for what was read: how much that was is told by its last byte that is none. Zeros at the
//! very end of a read are lost by that, which no terminal shows.

use std::fs::File;
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

use nix::libc;
use orx_sandbox::descriptors;

/// Bytes of output taken at once.
pub(super) const READ: usize = 64 * 1024;
/// The place in the log where what was read belongs, in front of it.
const HEAD: usize = size_of::<u64>();
/// The place of what belongs nowhere.
const NOWHERE: u64 = u64::MAX;

/// The memory of a holder's reads.
#[derive(Debug)]
pub(super) struct Unsaved {
    memory: NonNull<u8>,
    file: File,
}

impl Unsaved {
    /// Fresh memory.
    pub(super) fn new() -> Result<Self> {
        let file = descriptors::nameless(&[0; HEAD + READ])?;
        // SAFETY: the file is as long as the mapping, is this process's own, and is never made shorter.
        #[allow(unsafe_code)]
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                HEAD + READ,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let memory = NonNull::new(mapped.cast::<u8>()).ok_or_else(|| std::io::Error::other("no memory was mapped"))?;
        Ok(Self { memory, file })
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is that long, is written by this process alone while it lives, and lives as long as `self`.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts_mut(self.memory.as_ptr(), HEAD + READ)
        }
    }

    /// Room for a read of what belongs at this place of the log.
    pub(super) fn room(&mut self, place: Option<u64>) -> &mut [u8] {
        let (head, room) = self.bytes().split_at_mut(HEAD);
        head.copy_from_slice(&place.unwrap_or(NOWHERE).to_le_bytes());
        room
    }

    /// The first `count` bytes of the room are in the log by now.
    pub(super) fn clear(&mut self, count: usize) {
        let (_, room) = self.bytes().split_at_mut(HEAD);
        room.get_mut(..count).unwrap_or_default().fill(0);
    }
}

impl AsFd for Unsaved {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Unsaved {
    fn drop(&mut self) {
        // SAFETY: it was mapped with that length, and nothing borrows from it any more.
        #[allow(unsafe_code)]
        unsafe {
            libc::munmap(self.memory.as_ptr().cast(), HEAD + READ);
        }
    }
}

/// What another holder had read and not yet written to its log, which is `end` bytes long.
pub(super) fn left(memory: OwnedFd, end: u64) -> Result<Vec<u8>> {
    let file = File::from(memory);
    let mut bytes = vec![0; HEAD + READ];
    file.read_exact_at(&mut bytes, 0)?;
    let room = bytes.split_off(HEAD);
    let place = bytes.first_chunk().map_or(NOWHERE, |head| u64::from_le_bytes(*head));
    let length = room.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // A part of it may have been written, or all; a log that ends before its place has lost what was to be there.
    let written = end.checked_sub(place).and_then(|written| usize::try_from(written).ok());
    Ok(written.and_then(|written| room.get(written..length)).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_at(memory: &Unsaved, end: u64) -> Vec<u8> {
        left(memory.as_fd().try_clone_to_owned().unwrap(), end).unwrap()
    }

    #[test]
    fn what_was_read_and_not_written_is_found_by_another() {
        let mut memory = Unsaved::new().unwrap();
        assert_eq!(left_at(&memory, 0), b"");
        memory.room(Some(100))[..5].copy_from_slice(b"hello");
        assert_eq!(left_at(&memory, 100), b"hello");
        assert_eq!(left_at(&memory, 103), b"lo");
        assert_eq!(left_at(&memory, 105), b"");
        assert_eq!(left_at(&memory, 99), b"", "a log that lost something has no place for it");
        memory.clear(5);
        assert_eq!(left_at(&memory, 100), b"");
        memory.room(None)[..2].copy_from_slice(b"no");
        assert_eq!(left_at(&memory, 100), b"");
    }
}
