//! Looking at processes from outside, through `/proc`, and ending those that a test left behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use orx_protocol::process::ProcessIdentity;
use orx_sandbox::{identity, tree};

use super::deadline::eventually_or;

/// How long processes may take to disappear after SIGKILL.
const GONE: Duration = Duration::from_secs(10);

/// Open descriptors of a process.
#[must_use]
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// What each open descriptor of a process points to, such as `socket:[4711]`.
#[must_use]
pub fn descriptor_targets(pid: u32) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    entries
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

/// Threads of a process.
#[must_use]
pub fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Resident memory of a process, in KiB.
#[must_use]
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// Processes that have to do with `directory`: it is in their command line, their environment or their working
/// directory. The directory's name is unique to one test, so these are that test's processes, wherever they moved.
#[must_use]
pub fn of_directory(directory: &Path) -> Vec<ProcessIdentity> {
    let needle = directory.to_string_lossy().into_owned().into_bytes();
    let own = std::process::id();
    let mentions = |path: PathBuf| std::fs::read(path).is_ok_and(|text| contains(&text, &needle));
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let base = PathBuf::from(format!("/proc/{pid}"));
            mentions(base.join("cmdline"))
                || mentions(base.join("environ"))
                || std::fs::read_link(base.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
        })
        .filter_map(|pid| identity::of(i32::try_from(pid).ok()?))
        .collect()
}

/// Processes whose environment says that they belong to this session, wherever they moved.
#[must_use]
pub fn of_session(session: &str) -> Vec<u32> {
    let mark = format!("ORX_SESSION={session}").into_bytes();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark)
        })
        .collect()
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}

/// All processes of a session: those that carry its name, and what they started, whatever that made of its environment.
#[must_use]
pub fn tree_of_session(session: &str) -> Vec<ProcessIdentity> {
    let marked = of_session(session).into_iter().filter_map(|pid| identity::of(i32::try_from(pid).ok()?));
    with_descendants(marked.collect())
}

/// Ends all processes of a session without warning: keepers and holders first, since a keeper replaces its holder.
///
/// # Panics
/// When some would not go.
#[track_caller]
pub fn kill_tree(session: &str, tree: &[ProcessIdentity]) {
    let holds = |process: &ProcessIdentity| {
        let line = tree::command_line(process.pid).unwrap_or_default();
        line.get(1).is_some_and(|word| word == "hold")
    };
    for process in tree.iter().filter(|process| holds(process)) {
        tree::signal(*process, Signal::SIGKILL);
    }
    let left = end_all(|| alive_of_session(session, tree));
    assert!(left.is_empty(), "processes outlived SIGKILL: {left:?}");
}

/// Waits until nothing of a session is left: neither a process that carries its name nor one of its `tree` of before.
///
/// # Panics
/// When something is left after this time.
#[track_caller]
pub fn until_gone(session: &str, tree: &[ProcessIdentity], limit: Duration) {
    let gone = || alive_of_session(session, tree).is_empty().then_some(());
    eventually_or("the end of every process of the session", limit, gone).unwrap_or_else(|late| {
        let left = alive_of_session(session, tree).into_iter();
        let left: Vec<_> = left.map(|process| (process.pid, tree::command_line(process.pid))).collect();
        panic!("{late}: {left:?}")
    });
}

fn alive_of_session(session: &str, tree: &[ProcessIdentity]) -> Vec<ProcessIdentity> {
    let mut alive = tree_of_session(session);
    alive.extend(with_descendants(tree.iter().copied().filter(|process| identity::is_alive(*process)).collect()));
    alive.sort_unstable_by_key(|process| process.pid);
    alive.dedup();
    alive
}

fn with_descendants(mut members: Vec<ProcessIdentity>) -> Vec<ProcessIdentity> {
    let below: Vec<ProcessIdentity> = members.iter().flat_map(|process| tree::descendants(process.pid)).collect();
    members.extend(below);
    members.sort_unstable_by_key(|process| process.pid);
    members.dedup();
    members
}

/// Ends every process that has to do with `directory`, and all that these started. Gives those that would not go.
pub fn end_all_of(directory: &Path, also: &[ProcessIdentity]) -> Vec<ProcessIdentity> {
    end_all(|| {
        let mut members: Vec<ProcessIdentity> =
            also.iter().copied().filter(|process| identity::is_alive(*process)).collect();
        members.extend(of_directory(directory));
        with_descendants(members)
    })
}

/// Kills all that `members` gives until it gives none; gives those that would not go in time.
fn end_all(members: impl Fn() -> Vec<ProcessIdentity>) -> Vec<ProcessIdentity> {
    let started = std::time::Instant::now();
    loop {
        let left = members();
        if left.is_empty() || started.elapsed() > GONE {
            return left;
        }
        for process in &left {
            tree::signal(*process, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
