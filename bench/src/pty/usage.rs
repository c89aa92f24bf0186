//! What processes use, as the kernel counts it.

use anyhow::{Context, Result};
use std::path::PathBuf;

/// A variable that every process of a peer inherits, by which its processes are found.
pub const MARK: &str = "ORX_BENCH_PEER";

/// Processes of this user whose environment holds the mark with this value, and which are not programs on terminals.
pub fn marked(value: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={value}");
    let own = std::env::current_exe().ok();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .filter(|pid| executable(*pid).is_some_and(|path| Some(path) != own))
        .collect()
}

/// The file that a process runs.
pub fn executable(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Nanoseconds that a process was on a CPU, with all its threads that still live. 0 for one that is gone.
pub fn on_cpu(pid: i32) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    tasks
        .filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_ascii_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

/// Nanoseconds of all of them.
pub fn on_cpu_of(pids: &[i32]) -> u64 {
    pids.iter().map(|pid| on_cpu(*pid)).sum()
}

/// A figure of `/proc/<pid>/smaps_rollup`, in MiB.
pub fn memory(pid: i32, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with(name)).with_context(|| format!("no {name} for {pid}"))?;
    let kib: f64 = line.split_ascii_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib / 1024.0)
}

/// Proportional memory of all of them, in MiB.
pub fn proportional(pids: &[i32]) -> f64 {
    pids.iter().filter_map(|pid| memory(*pid, "Pss:").ok()).sum()
}
