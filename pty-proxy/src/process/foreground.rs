//! Who waits for a line on the terminal, as far as the kernel tells: best effort, and `None` where it tells nothing.

use std::os::fd::AsFd;

use nix::unistd::{Pid, getpgid, tcgetpgrp};
use orx_protocol::process::ProcessIdentity;
use orx_protocol::watch::Reader;

/// Most processes of the foreground that are looked at.
const LOOKED_AT: usize = 64;

/// Looks at the foreground of the terminal behind `master`, among `members`; `child` is the session's own program.
#[must_use]
pub fn reader(master: impl AsFd, members: &[ProcessIdentity], child: i32) -> Option<Reader> {
    let foreground = tcgetpgrp(master).ok()?;
    let group = members
        .iter()
        .map(|process| process.pid)
        .filter(|pid| getpgid(Some(Pid::from_raw(*pid))) == Ok(foreground))
        .take(LOOKED_AT);
    let mut is_known = false;
    for pid in group {
        match reads_terminal(pid) {
            Some(true) => return Some(if pid == child { Reader::Own } else { Reader::Other }),
            Some(false) => is_known = true,
            None => {}
        }
    }
    is_known.then_some(Reader::Nobody)
}

/// Whether a process is blocked in reading a terminal; `None` where the kernel does not say.
#[cfg(target_os = "linux")]
fn reads_terminal(pid: i32) -> Option<bool> {
    if let Ok(call) = std::fs::read_to_string(format!("/proc/{pid}/syscall")) {
        return Some(read_of(&call).is_some_and(|descriptor| is_terminal(pid, descriptor)));
    }
    let waits = std::fs::read_to_string(format!("/proc/{pid}/wchan")).ok()?;
    // `0` is what a kernel says that does not tell.
    (waits != "0" && !waits.is_empty()).then(|| waits.contains("tty_read"))
}

#[cfg(not(target_os = "linux"))]
fn reads_terminal(_pid: i32) -> Option<bool> {
    None
}

/// The descriptor that a process reads from, by the line of `/proc/<pid>/syscall`: number and arguments.
#[cfg(target_os = "linux")]
fn read_of(call: &str) -> Option<u64> {
    let mut words = call.split_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    if number != nix::libc::SYS_read {
        return None;
    }
    u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok()
}

#[cfg(target_os = "linux")]
fn is_terminal(pid: i32, descriptor: u64) -> bool {
    let target = std::fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap_or_default();
    let target = target.to_string_lossy();
    target.starts_with("/dev/pts/") || target.starts_with("/dev/tty")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_told_from_other_calls() {
        let read = nix::libc::SYS_read;
        assert_eq!(read_of(&format!("{read} 0x3 0x7ffd 0x1 0x0 0x0 0x0 0x7f 0x7f")), Some(3));
        assert_eq!(read_of(&format!("{} 0x0 0x1", read + 7)), None);
        assert_eq!(read_of("running"), None);
        assert_eq!(read_of(""), None);
    }
}
