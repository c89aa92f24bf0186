//! Handing open files to another process: beside a message on a socket, or by number to a program that this one starts or
//! becomes. What they are is said in the message or in a file that is handed over too.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Result, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Most descriptors of one message here; the kernel takes 253.
pub const AT_ONCE: usize = 8;

/// Sends bytes with descriptors beside them; gives how many bytes were sent. The descriptors stay open here.
///
/// # Errors
/// As `sendmsg(2)`.
pub fn send(stream: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control = if numbers.is_empty() { &[] } else { rights.as_slice() };
    Ok(sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// Receives bytes and the descriptors beside them; gives how many bytes came (0: the other end is closed). A message with
/// more than [`AT_ONCE`] descriptors is refused.
///
/// # Errors
/// As `recvmsg(2)`; `InvalidData` when descriptors were cut off.
pub fn receive(stream: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut space = nix::cmsg_space!([RawFd; AT_ONCE]);
    #[cfg(target_os = "linux")]
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = MsgFlags::empty();
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut descriptors = Vec::new();
    let truncated = message.flags.contains(MsgFlags::MSG_CTRUNC);
    if let Ok(all) = message.cmsgs() {
        for one in all {
            if let ControlMessageOwned::ScmRights(numbers) = one {
                // SAFETY: the kernel installed these descriptors with this message and nothing else owns them.
                #[allow(unsafe_code)]
                descriptors.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
            }
        }
    }
    if truncated {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "more descriptors came than there is room for",
        ));
    }
    Ok((message.bytes, descriptors))
}

/// Lets a descriptor pass to the next program of this process, or no longer.
///
/// # Errors
/// As `fcntl(2)`.
pub fn pass_on(descriptor: BorrowedFd<'_>, pass: bool) -> Result<()> {
    let flags = if pass { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(descriptor, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Takes over a descriptor that this program was started with; it is not passed on any further.
///
/// # Errors
/// When there is none of that number, or it is one of the standard streams.
pub fn inherited(number: RawFd) -> Result<OwnedFd> {
    if number <= 2 {
        return Err(std::io::Error::other(format!("descriptor {number} is a standard stream")));
    }
    // SAFETY: the borrow ends before the descriptor is owned, and is only used to see whether it is open.
    #[allow(unsafe_code)]
    let open = unsafe { fcntl(BorrowedFd::borrow_raw(number), FcntlArg::F_GETFD) };
    open.map_err(|errno| std::io::Error::other(format!("descriptor {number} is not open: {errno}")))?;
    // SAFETY: it is open, and was given to this program alone to own; callers name each number once.
    #[allow(unsafe_code)]
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    pass_on(owned.as_fd(), false)?;
    Ok(owned)
}

/// A file with these bytes that has no name, to be read from its beginning by whom its descriptor is handed to.
///
/// # Errors
/// When it cannot be made or written.
pub fn nameless(bytes: &[u8]) -> Result<File> {
    let mut file = unnamed()?;
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

#[cfg(target_os = "linux")]
fn unnamed() -> Result<File> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    Ok(File::from(memfd_create(c"orx", MFdFlags::MFD_CLOEXEC)?))
}

/// Written for macOS and not tested there: it has no files in memory.
#[cfg(not(target_os = "linux"))]
fn unnamed() -> Result<File> {
    let path = std::env::temp_dir().join(format!(".orx.{}", orx_protocol::id::ulid_text()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn descriptors_travel_beside_bytes() {
        let (here, there) = UnixStream::pair().unwrap();
        let file = nameless(b"content").unwrap();
        assert_eq!(send(here.as_fd(), b"two", &[file.as_fd(), here.as_fd()]).unwrap(), 3);
        let mut buffer = [0; 16];
        let (count, mut came) = receive(there.as_fd(), &mut buffer).unwrap();
        assert_eq!((&buffer[..count], came.len()), (&b"two"[..], 2));
        let mut text = String::new();
        File::from(came.remove(0)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        drop((here, came));
        assert_eq!(receive(there.as_fd(), &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn too_many_descriptors_are_refused() {
        let (here, there) = UnixStream::pair().unwrap();
        send(here.as_fd(), b"x", &[here.as_fd(); AT_ONCE + 1]).unwrap();
        assert!(receive(there.as_fd(), &mut [0; 4]).is_err());
    }

    #[test]
    fn only_open_descriptors_are_taken_over() {
        assert!(inherited(1).unwrap_err().to_string().contains("standard stream"));
        assert!(inherited(900_000).unwrap_err().to_string().contains("not open"));
    }
}
