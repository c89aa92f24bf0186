//! Which process is meant: a pid with its start time, which no later process shares.

use orx_protocol::process::ProcessIdentity;

/// The identity of the process that has `pid` now, or `None` when there is none (a zombie counts as none: it has ended).
#[must_use]
pub fn of(pid: i32) -> Option<ProcessIdentity> {
    platform::stat(pid).filter(|stat| !stat.zombie).map(|stat| ProcessIdentity { pid, start_time: stat.start_time })
}

/// This process.
#[must_use]
pub fn own() -> Option<ProcessIdentity> {
    i32::try_from(std::process::id()).ok().and_then(of)
}

/// Whether that very process still runs.
#[must_use]
pub fn is_alive(process: ProcessIdentity) -> bool {
    of(process.pid) == Some(process)
}

/// The boot of the machine that these processes are of; `None` where the system does not say.
#[must_use]
pub fn boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|boot| !boot.is_empty())
}

pub(crate) use platform::{processes, stat};

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) parent: i32,
    pub(crate) start_time: u64,
    pub(crate) zombie: bool,
}

#[cfg(target_os = "linux")]
mod platform {
    use std::io::Read;

    use super::Stat;

    /// More bytes than a stat line has: some fifty numbers and a short name.
    const STAT: usize = 2048;

    /// Reads `/proc/<pid>/stat`; see proc_pid_stat(5). The name in brackets may hold anything, so fields count from its end.
    pub(crate) fn stat(pid: i32) -> Option<Stat> {
        // In one read: all processes are looked at often.
        let mut buffer = [0; STAT];
        let count = std::fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut buffer).ok()?;
        let text = String::from_utf8_lossy(buffer.get(..count)?);
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let start_time = fields.nth(17)?.parse().ok()?;
        Some(Stat { parent, start_time, zombie: matches!(state, "Z" | "X") })
    }

    /// Every process id there is.
    pub(crate) fn processes() -> Vec<i32> {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }
}

/// Written for macOS and not tested there: `ps` is the documented interface that needs no private structure.
#[cfg(not(target_os = "linux"))]
mod platform {
    use super::Stat;

    #[allow(clippy::disallowed_methods)] // This crate is where spawning lives.
    fn ps(arguments: &[&str]) -> Option<String> {
        let output = std::process::Command::new("/bin/ps").args(arguments).env("LC_ALL", "C").output().ok()?;
        String::from_utf8(output.stdout).ok()
    }

    pub(crate) fn stat(pid: i32) -> Option<Stat> {
        let text = ps(&["-o", "ppid=,state=,lstart=", "-p", &pid.to_string()])?;
        let mut fields = text.split_ascii_whitespace();
        let parent = fields.next()?.parse().ok()?;
        let state = fields.next()?;
        let started: Vec<&str> = fields.collect();
        // The text of the start time is as good as a number here: it is only compared.
        let start_time =
            started.join(" ").bytes().fold(0u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
        Some(Stat { parent, start_time, zombie: state.starts_with('Z') })
    }

    pub(crate) fn processes() -> Vec<i32> {
        ps(&["-A", "-o", "pid="])
            .map(|text| text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_pid() {
        let own = own().unwrap();
        assert!(is_alive(own));
        assert!(!is_alive(ProcessIdentity { start_time: own.start_time + 1, ..own }));
        assert_eq!(of(-5), None);
    }
}
