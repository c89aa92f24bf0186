//! From which processes a process descends, as the kernel tells: what a program says of itself does not matter here.

use orx_protocol::process::ProcessIdentity;

use crate::identity;

/// More generations than any tree has; a chain that is longer is cut.
pub const GENERATIONS: usize = 256;

/// The process with `pid` and its ancestors, itself first. A chain that changes while it is read ends early.
#[must_use]
pub fn chain(pid: i32) -> Vec<ProcessIdentity> {
    let mut found: Vec<ProcessIdentity> = Vec::new();
    let mut next = pid;
    while found.len() < GENERATIONS && next > 0 {
        let Some(stat) = identity::stat(next) else { break };
        // A parent is older than its child: a younger one took over a number that was free again.
        if found.last().is_some_and(|child| child.start_time < stat.start_time) {
            break;
        }
        found.push(ProcessIdentity { pid: next, start_time: stat.start_time });
        next = stat.parent;
    }
    found
}

/// The value that a variable had when the process became its program. `None` also where this process may not look.
#[must_use]
pub fn variable(pid: i32, name: &str) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{name}=");
    let value = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
    String::from_utf8(value.to_vec()).ok()
}

/// The name that a process goes by, as the kernel shows it; a process can choose its own.
#[must_use]
pub fn name(pid: i32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|text| text.trim_end().to_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_chain_begins_with_the_process_and_goes_on_with_its_parents() {
        let own = identity::own().unwrap();
        let chain = chain(own.pid);
        assert_eq!(chain.first(), Some(&own));
        assert_eq!(chain.get(1).map(|parent| parent.pid), Some(nix::unistd::getppid().as_raw()));
        assert_eq!(super::chain(-1), []);
        assert_eq!(variable(own.pid, "PATH"), std::env::var("PATH").ok());
        assert_eq!(variable(own.pid, "PAT"), None);
    }
}
