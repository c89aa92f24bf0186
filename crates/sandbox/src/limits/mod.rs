//! Limits of a session's process tree: by a control group where the system lets this user make one, else by what each
//! process can be limited to by itself. What is not held is said.

mod cgroup;

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, setrlimit};
use orx_protocol::api::confinement::{Caps, Enforcer, LimitParams, Limits};

pub use cgroup::{beginning_with, members, out_of_memory, remove};

/// Least memory that can be asked for, in bytes: below it no coding CLI starts.
pub const LEAST_MEMORY: u64 = 64 << 20;
/// Most processor time that can be asked for, in hundredths of one processor.
pub const MOST_CPU: u32 = 100_000;
/// Least number of processes that can be asked for.
pub const LEAST_PROCESSES: u32 = 8;
/// How much lower the priority of a tree is whose processor time no group limits.
const NICENESS: i32 = 10;

/// A limit could not be set.
#[derive(Debug, thiserror::Error)]
#[error("a limit could not be set: {what}: {source}")]
pub struct LimitError {
    what: String,
    source: io::Error,
}

/// A wish is out of range; the sentence names the member.
///
/// # Errors
/// The sentence.
pub fn check(wished: &LimitParams) -> Result<(), String> {
    if let Some(bytes) = wished.memory_bytes
        && !(LEAST_MEMORY..=1 << 50).contains(&bytes)
    {
        return Err(format!("`memory_bytes` is {bytes}, it must be {LEAST_MEMORY} (64 MiB) or more"));
    }
    if let Some(percent) = wished.cpu_percent
        && !(1..=MOST_CPU).contains(&percent)
    {
        return Err(format!("`cpu_percent` is {percent}, it must be 1 to {MOST_CPU}, where 100 is one processor"));
    }
    if let Some(count) = wished.processes
        && !(LEAST_PROCESSES..=1 << 22).contains(&count)
    {
        return Err(format!("`processes` is {count}, it must be {LEAST_PROCESSES} or more"));
    }
    Ok(())
}

/// Makes ready what holds the wished limits of the tree called `name`; gives what is said of it and what the holder does.
#[must_use]
pub fn prepare(wished: LimitParams, name: &str) -> (Limits, Caps) {
    let LimitParams { memory_bytes, cpu_percent, processes } = wished;
    match cgroup::make(&wished, name) {
        Ok(groups) => {
            let limits = Limits { memory_bytes, cpu_percent, processes, enforced_by: Enforcer::Cgroup, why: None };
            let groups = groups.iter().map(|group| group.to_string_lossy().into_owned()).collect();
            (limits, Caps { wished, groups, ..Caps::default() })
        }
        Err(why) => without_group(wished, &why),
    }
}

/// The limits that each process has by itself. Its data is limited and not its address space, of which engines that
/// compile at run time reserve far more than they use.
fn without_group(wished: LimitParams, why: &str) -> (Limits, Caps) {
    let LimitParams { memory_bytes, cpu_percent, processes } = wished;
    let mut sentences = vec![format!("no control group can be made ({why})")];
    if memory_bytes.is_some() {
        sentences.push("the memory is limited for each process by itself".to_owned());
    }
    if cpu_percent.is_some() {
        sentences.push("the processor time is not limited, the tree runs at a lower priority".to_owned());
    }
    if processes.is_some() {
        sentences.push("the number of processes is not limited".to_owned());
    }
    let enforced_by = if memory_bytes.is_some() { Enforcer::Rlimit } else { Enforcer::None };
    let limits =
        Limits { memory_bytes, cpu_percent: None, processes: None, enforced_by, why: Some(sentences.join("; ")) };
    let caps = Caps { wished, data_bytes: memory_bytes, niceness: cpu_percent.map(|_| NICENESS), groups: Vec::new() };
    (limits, caps)
}

/// Puts this process under the limits; what it becomes and starts stays under them.
///
/// # Errors
/// [`LimitError`] naming the limit.
pub fn apply(caps: &Caps) -> Result<(), LimitError> {
    for group in &caps.groups {
        cgroup::enter(Path::new(group)).map_err(|source| LimitError { what: group.clone(), source })?;
    }
    if let Some(bytes) = caps.data_bytes {
        setrlimit(Resource::RLIMIT_DATA, bytes, bytes)
            .map_err(|errno| LimitError { what: "memory".to_owned(), source: errno.into() })?;
    }
    if let Some(niceness) = caps.niceness {
        // SAFETY: setpriority touches no memory; a priority that cannot be lowered leaves the usual one.
        #[allow(unsafe_code)]
        let _ = unsafe { nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, niceness) };
    }
    Ok(())
}

/// The groups of a session's caps.
#[must_use]
pub fn groups(caps: Option<&Caps>) -> Vec<PathBuf> {
    caps.map(|caps| caps.groups.iter().map(PathBuf::from).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_held_is_said() {
        let wished = LimitParams { memory_bytes: Some(1 << 30), cpu_percent: Some(150), processes: Some(100) };
        let (limits, caps) = without_group(wished, "it is read-only");
        assert_eq!((limits.memory_bytes, limits.cpu_percent, limits.processes), (Some(1 << 30), None, None));
        assert_eq!((limits.enforced_by, caps.data_bytes, caps.niceness), (Enforcer::Rlimit, Some(1 << 30), Some(10)));
        let why = limits.why.unwrap();
        assert!(why.contains("read-only") && why.contains("each process") && why.contains("not limited"), "{why}");
        let (limits, _) = without_group(LimitParams { processes: Some(9), ..LimitParams::default() }, "x");
        assert_eq!(limits.enforced_by, Enforcer::None);
    }

    #[test]
    fn wishes_out_of_range_are_named() {
        let of = |memory_bytes, cpu_percent, processes| check(&LimitParams { memory_bytes, cpu_percent, processes });
        assert!(of(Some(1 << 20), None, None).unwrap_err().contains("memory_bytes"));
        assert!(of(None, Some(0), None).unwrap_err().contains("cpu_percent"));
        assert!(of(None, None, Some(1)).unwrap_err().contains("processes"));
        assert_eq!(of(Some(1 << 30), Some(50), Some(64)), Ok(()));
    }
}
