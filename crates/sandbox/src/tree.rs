//! Ending whole process trees, matched by pid and start time so that a recycled pid is never hit.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orx_protocol::process::ProcessIdentity;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::identity;

/// How often a dying tree is looked at.
const POLL: Duration = Duration::from_millis(10);
/// How long processes may take to disappear after SIGKILL before the end is reported as incomplete.
const FORCE_LIMIT: Duration = Duration::from_secs(5);

/// The living descendants of `pid`, children before grandchildren; `pid` itself is not among them.
#[must_use]
pub fn descendants(pid: i32) -> Vec<ProcessIdentity> {
    let mut children: HashMap<i32, Vec<ProcessIdentity>> = HashMap::new();
    for other in identity::processes() {
        if let Some(stat) = identity::stat(other).filter(|stat| !stat.zombie) {
            children.entry(stat.parent).or_default().push(ProcessIdentity { pid: other, start_time: stat.start_time });
        }
    }
    let mut found = Vec::new();
    let mut next = vec![pid];
    while let Some(parent) = next.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            next.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// The same as a glance: without a look at every process of the machine, and without those that are born or lose their
/// parent meanwhile. For who is shown what runs, not for who ends it.
#[must_use]
pub fn descendants_at_a_glance(pid: i32) -> Vec<ProcessIdentity> {
    let mut found = Vec::new();
    let mut next = vec![pid];
    while let Some(parent) = next.pop() {
        let Some(children) = children(parent) else { return descendants(pid) };
        for child in children.into_iter().filter_map(identity::of) {
            next.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// The children of a process, none where it is gone; `None` where the kernel does not tell.
fn children(pid: i32) -> Option<Vec<i32>> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return std::path::Path::new("/proc/self/task").exists().then(Vec::new);
    };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match std::fs::read_to_string(task.path().join("children")) {
            Ok(list) => found.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            // A thread that ended meanwhile has none; a kernel without such files has none of any.
            Err(_) if task.path().exists() => return None,
            Err(_) => {}
        }
    }
    Some(found)
}

/// Living processes by the value that the variable `name` has in their environment: what a holder left behind when it was
/// itself killed. Linux only; elsewhere none are found.
#[must_use]
pub fn marked(name: &str) -> HashMap<String, Vec<ProcessIdentity>> {
    let prefix = format!("{name}=").into_bytes();
    let mut found: HashMap<String, Vec<ProcessIdentity>> = HashMap::new();
    for pid in identity::processes() {
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { continue };
        let value = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_slice()));
        if let (Some(value), Some(process)) =
            (value.and_then(|value| std::str::from_utf8(value).ok()), identity::of(pid))
        {
            found.entry(value.to_owned()).or_default().push(process);
        }
    }
    found
}

/// Program and arguments of a process, as it shows them. Linux only.
#[must_use]
pub fn command_line(pid: i32) -> Option<Vec<String>> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    (!words.is_empty()).then_some(words)
}

/// Sends a signal to a process if it is still that process.
pub fn signal(process: ProcessIdentity, signal: Signal) {
    if identity::is_alive(process) {
        // It may end between the look and the signal; then there is nothing left to do.
        let _ = kill(Pid::from_raw(process.pid), signal);
    }
}

/// Ends every process that `members` gives: first politely, after `grace` by force, until none is left. `members` is
/// asked again on each round, since a dying tree may still fork. Blocks the calling thread.
///
/// Returns whether the tree is gone.
pub fn end(members: impl Fn() -> Vec<ProcessIdentity>, grace: Duration) -> bool {
    for process in members() {
        signal(process, Signal::SIGTERM);
        signal(process, Signal::SIGCONT);
    }
    if wait_until_gone(&members, grace) {
        return true;
    }
    let deadline = Instant::now() + FORCE_LIMIT;
    while Instant::now() < deadline {
        for process in members() {
            signal(process, Signal::SIGKILL);
        }
        if wait_until_gone(&members, POLL) {
            return true;
        }
    }
    members().is_empty()
}

#[allow(clippy::disallowed_methods)] // The kernel offers no event for the end of processes that are not our children.
fn wait_until_gone(members: &impl Fn() -> Vec<ProcessIdentity>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if members().is_empty() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// A process and its descendants, for [`end`].
#[must_use]
pub fn with_descendants(root: ProcessIdentity) -> Vec<ProcessIdentity> {
    let mut members: Vec<ProcessIdentity> = identity::is_alive(root).then_some(root).into_iter().collect();
    if !members.is_empty() {
        members.extend(descendants(root.pid));
    }
    members
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_glance_finds_what_a_whole_look_finds() {
        let environment = crate::environment::base(&crate::environment::own());
        let argv = ["sh", "-c", "sleep 60 & sleep 60 & wait"].map(str::to_owned);
        let streams = [std::process::Stdio::null(), std::process::Stdio::null(), std::process::Stdio::null()];
        let mut shell = crate::spawn::on_streams(&argv, std::path::Path::new("/"), &environment, streams).unwrap();
        let pid = i32::try_from(shell.id()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while descendants(pid).len() < 2 {
            assert!(Instant::now() < deadline, "the shell starts two programs");
            std::thread::yield_now();
        }
        let by_pid = |mut found: Vec<ProcessIdentity>| {
            found.sort_unstable_by_key(|process| process.pid);
            found
        };
        assert_eq!(by_pid(descendants_at_a_glance(pid)), by_pid(descendants(pid)));
        for process in descendants(pid) {
            signal(process, Signal::SIGKILL);
        }
        shell.wait().unwrap();
        assert_eq!(descendants_at_a_glance(pid), []);
    }
}
