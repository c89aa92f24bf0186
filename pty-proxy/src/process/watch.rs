//! How the end of the program is known: from the kernel while it is this process's child, else from the keeper that is its
//! parent, else from a descriptor of the process. What nobody knows is said to be unknown.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use orx_protocol::process::{Exit, ProcessIdentity};
use orx_sandbox::identity;

use super::child;

/// How often the end of a program is looked for of which the kernel gives no word.
const LOOK: Duration = Duration::from_millis(250);
/// How long the word of how the program ended may take after its end: whoever reaps it may be slow.
const WORD: Duration = Duration::from_secs(2);
/// How often that word is looked for.
const WORD_LOOK: Duration = Duration::from_millis(20);

/// The program, whose end is waited for.
#[derive(Debug)]
pub struct Watch {
    child: ProcessIdentity,
    parent: Parent,
    exit: Option<Exit>,
    /// When it was first seen to be gone.
    gone: Option<Instant>,
}

#[derive(Debug)]
enum Parent {
    /// This process.
    Own,
    /// Another one; a descriptor of the program where the kernel gives one.
    Other(Option<OwnedFd>),
}

impl Watch {
    /// A program that is a child of this process.
    #[must_use]
    pub fn own(child: ProcessIdentity) -> Self {
        Self { child, parent: Parent::Own, exit: None, gone: None }
    }

    /// A program that another process started; `exit` where its end is known already.
    #[must_use]
    pub fn other(child: ProcessIdentity, exit: Option<Exit>) -> Self {
        let descriptor = kernel::open(child.pid).filter(|_| identity::is_alive(child));
        Self { child, parent: Parent::Other(descriptor), exit, gone: None }
    }

    /// Looks; also collects whatever else ended below this process.
    pub fn look(&mut self, now: Instant) {
        for (pid, exit) in child::reap_all() {
            if pid == self.child.pid && matches!(self.parent, Parent::Own) {
                self.exit.get_or_insert(exit);
            }
        }
        let Parent::Other(descriptor) = &self.parent else { return };
        if self.exit.is_some() || identity::is_alive(self.child) {
            return;
        }
        self.gone.get_or_insert(now);
        self.exit = descriptor.as_ref().and_then(|descriptor| kernel::exit(descriptor.as_fd()));
    }

    /// The keeper says how a process ended.
    pub fn told(&mut self, pid: i32, exit: Exit) {
        if pid == self.child.pid {
            self.exit.get_or_insert(exit);
        }
    }

    /// How the program ended, where that is known.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Whether the program ended, and no further word of how is to be waited for.
    #[must_use]
    pub fn has_ended(&self, now: Instant) -> bool {
        self.exit.is_some() || self.gone.is_some_and(|gone| now >= gone + WORD)
    }

    /// Becomes readable when the program ends.
    #[must_use]
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        match &self.parent {
            Parent::Other(Some(descriptor)) if self.gone.is_none() && self.exit.is_none() => Some(descriptor.as_fd()),
            _ => None,
        }
    }

    /// When to look again although nothing happened.
    #[must_use]
    pub fn wakes_at(&self, now: Instant) -> Option<Instant> {
        match (&self.parent, self.exit, self.gone) {
            (Parent::Own, _, _) | (_, Some(_), _) => None,
            (Parent::Other(_), None, Some(gone)) => (now < gone + WORD).then_some(now + WORD_LOOK),
            (Parent::Other(Some(_)), None, None) => None,
            (Parent::Other(None), None, None) => Some(now + LOOK),
        }
    }

    /// Whether the program is this process's child.
    #[must_use]
    pub fn is_own(&self) -> bool {
        matches!(self.parent, Parent::Own)
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    //! Descriptors of processes, as Linux has them.

    use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use nix::libc;
    use orx_protocol::process::Exit;
    use orx_sandbox::spawn;

    /// `PIDFD_GET_INFO` (Linux 6.13) for a structure of [`Info`]'s size.
    const GET_INFO: libc::c_ulong = 0xc040_ff0b;
    /// `PIDFD_INFO_EXIT` (Linux 6.15): how the process ended, once its parent knows.
    const EXIT: u64 = 1 << 3;

    /// `struct pidfd_info` in its first version.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        identifiers: [u32; 11],
        exit_code: i32,
    }

    pub(super) fn open(pid: i32) -> Option<OwnedFd> {
        // SAFETY: the call takes two numbers and gives a new descriptor, which nothing else owns.
        #[allow(unsafe_code)]
        unsafe {
            let number = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            i32::try_from(number).ok().filter(|number| *number >= 0).map(|number| OwnedFd::from_raw_fd(number))
        }
    }

    /// How the process ended, where the kernel tells that to others than its parent.
    pub(super) fn exit(descriptor: BorrowedFd<'_>) -> Option<Exit> {
        let mut info = Info { mask: EXIT, ..Info::default() };
        // SAFETY: the kernel writes at most as many bytes as the request's number says, which is the size of `Info`.
        #[allow(unsafe_code)]
        let answer = unsafe { libc::ioctl(descriptor.as_raw_fd(), GET_INFO as _, &raw mut info) };
        (answer == 0 && info.mask & EXIT != 0).then(|| spawn::exit(ExitStatus::from_raw(info.exit_code)))
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn the_request_says_the_size_of_what_it_fills() {
            assert_eq!(std::mem::size_of::<super::Info>() as u64, (super::GET_INFO >> 16) & 0x3fff);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    //! Elsewhere there are none: the program is looked at now and then.

    use std::os::fd::{BorrowedFd, OwnedFd};

    use orx_protocol::process::Exit;

    pub(super) fn open(_pid: i32) -> Option<OwnedFd> {
        None
    }

    pub(super) fn exit(_descriptor: BorrowedFd<'_>) -> Option<Exit> {
        None
    }
}
