//! What was read from the program's terminal and is not in the log yet, in memory that outlives this process: the keeper has
//! its descriptor, so that a holder that is killed between reading and writing loses nothing either.
//!
//! There are two places for reads, so that one can be filled while the other is drawn. Each is all zeros but for what was
//! read: how much that was is told by its last byte that is none, or by where the other one goes on. Zeros at the very
//! end of all are lost by that, which no terminal shows.

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
/// Bytes of one place for reads: a multiple of every usual size of a page, since each is mapped by itself.
const PLACE: usize = 2 * READ;
/// The place of what belongs nowhere.
const NOWHERE: u64 = u64::MAX;

/// The memory of a holder's reads.
#[derive(Debug)]
pub(super) struct Unsaved {
    file: File,
    free: Vec<Room>,
}

impl Unsaved {
    /// Fresh memory.
    pub(super) fn new() -> Result<Self> {
        let file = descriptors::nameless(&[])?;
        file.set_len(2 * PLACE as u64)?;
        let free = vec![Room::map(&file, PLACE)?, Room::map(&file, 0)?];
        Ok(Self { file, free })
    }

    /// A place for a read of what belongs at `place` of the log; `None` while both are in use.
    pub(super) fn room(&mut self, place: Option<u64>) -> Option<Room> {
        let mut room = self.free.pop()?;
        room.begin(place);
        Some(room)
    }

    /// Takes a place back, of which `count` bytes were filled and are in the log by now.
    pub(super) fn give_back(&mut self, mut room: Room, count: usize) {
        room.bytes().get_mut(..count).unwrap_or_default().fill(0);
        self.free.push(room);
    }
}

impl AsFd for Unsaved {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// One place for reads.
#[derive(Debug)]
pub(super) struct Room {
    memory: NonNull<u8>,
}

// SAFETY: the mapping belongs to this value alone, whichever thread has it.
#[allow(unsafe_code)]
unsafe impl Send for Room {}

impl Room {
    fn map(file: &File, offset: usize) -> Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(std::io::Error::other)?;
        // SAFETY: the file is as long as both mappings, is this process's own, and is never made shorter.
        #[allow(unsafe_code)]
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                HEAD + READ,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let memory = NonNull::new(mapped.cast::<u8>()).ok_or_else(|| std::io::Error::other("no memory was mapped"))?;
        Ok(Self { memory })
    }

    fn all(&mut self) -> (&mut [u8], &mut [u8]) {
        // SAFETY: the mapping is that long, is written through this value alone, and lives as long as it.
        #[allow(unsafe_code)]
        let all = unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), HEAD + READ) };
        all.split_at_mut(HEAD)
    }

    fn begin(&mut self, place: Option<u64>) {
        self.all().0.copy_from_slice(&place.unwrap_or(NOWHERE).to_le_bytes());
    }

    /// All of it.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.all().1
    }

    /// The first `count` bytes.
    pub(super) fn filled(&mut self, count: usize) -> &[u8] {
        self.bytes().get(..count).unwrap_or_default()
    }
}

impl Drop for Room {
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
    let mut reads = vec![read_at(&file, 0)?];
    // An older holder's memory has one place.
    if file.metadata()?.len() > PLACE as u64 {
        reads.push(read_at(&file, PLACE as u64)?);
    }
    reads.sort_by_key(|(place, _)| *place);
    let mut found: Vec<u8> = Vec::new();
    for (place, mut bytes) in reads {
        let after = end + found.len() as u64;
        // A part of it may have been written, or all; a log that ends before its place has lost what was to be there.
        match (after.checked_sub(place), place.checked_sub(after)) {
            (Some(written), _) => {
                let written = usize::try_from(written).unwrap_or(usize::MAX);
                found.extend(bytes.drain(..).skip(written));
            }
            // The read before it ended with zeros.
            (None, Some(gap)) if !found.is_empty() && !bytes.is_empty() && gap <= READ as u64 => {
                found.resize(found.len() + usize::try_from(gap).unwrap_or(0), 0);
                found.append(&mut bytes);
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The place in the log of what a place for reads holds, and what that is.
fn read_at(file: &File, offset: u64) -> Result<(u64, Vec<u8>)> {
    let mut bytes = vec![0; HEAD + READ];
    file.read_exact_at(&mut bytes, offset)?;
    let mut room = bytes.split_off(HEAD);
    room.truncate(room.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    Ok((bytes.first_chunk().map_or(NOWHERE, |head| u64::from_le_bytes(*head)), room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_at(memory: &Unsaved, end: u64) -> Vec<u8> {
        left(memory.as_fd().try_clone_to_owned().unwrap(), end).unwrap()
    }

    fn read(memory: &mut Unsaved, place: Option<u64>, bytes: &[u8]) -> Room {
        let mut room = memory.room(place).unwrap();
        room.bytes()[..bytes.len()].copy_from_slice(bytes);
        room
    }

    #[test]
    fn what_was_read_and_not_written_is_found_by_another() {
        let mut memory = Unsaved::new().unwrap();
        assert_eq!(left_at(&memory, 0), b"");
        let room = read(&mut memory, Some(100), b"hello");
        assert_eq!(left_at(&memory, 100), b"hello");
        assert_eq!(left_at(&memory, 103), b"lo");
        assert_eq!(left_at(&memory, 105), b"");
        assert_eq!(left_at(&memory, 99), b"", "a log that lost something has no place for it");
        memory.give_back(room, 5);
        assert_eq!(left_at(&memory, 100), b"");
        let room = read(&mut memory, None, b"no");
        assert_eq!(left_at(&memory, 100), b"");
        memory.give_back(room, 2);
    }

    #[test]
    fn what_is_read_ahead_goes_on_where_the_other_read_ends() {
        let mut memory = Unsaved::new().unwrap();
        let first = read(&mut memory, Some(100), b"hello");
        let ahead = read(&mut memory, Some(105), b" world");
        assert!(memory.room(None).is_none());
        assert_eq!(left_at(&memory, 100), b"hello world");
        assert_eq!(left_at(&memory, 107), b"orld");
        memory.give_back(first, 5);
        assert_eq!(left_at(&memory, 105), b" world");
        let third = read(&mut memory, Some(111), b"!");
        assert_eq!(left_at(&memory, 105), b" world!");
        memory.give_back(ahead, 6);
        assert_eq!(left_at(&memory, 111), b"!");
        memory.give_back(third, 1);
        assert_eq!(left_at(&memory, 112), b"");
    }

    #[test]
    fn zeros_between_two_reads_are_not_lost() {
        let mut memory = Unsaved::new().unwrap();
        let first = read(&mut memory, Some(0), b"a\0\0");
        let ahead = read(&mut memory, Some(3), b"b");
        assert_eq!(left_at(&memory, 0), b"a\0\0b");
        memory.give_back(first, 3);
        memory.give_back(ahead, 1);
    }
}
