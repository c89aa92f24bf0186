//! Control groups, of version 2 and version 1: made where this process may make some below its own, never elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orx_protocol::api::confinement::LimitParams;
use orx_protocol::process::ProcessIdentity;

use crate::identity;

/// The group below its unit's own in which systemd starts the daemon (`DelegateSubgroup=`), so that others can be made
/// beside it.
const OWN_LEAF: &str = "daemon";
/// Microseconds over which processor time is shared out.
const PERIOD: u64 = 100_000;
/// How long the last processes of a group may take to leave it once they are dead.
const EMPTY_LIMIT: Duration = Duration::from_secs(2);

/// A mounted hierarchy, seen from this process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// Directory of this process's own group.
    own: PathBuf,
    /// Its controllers; empty for version 2, where the group itself names them.
    controllers: Vec<String>,
}

impl Hierarchy {
    /// Whether this process is in a group of its unit that was made for it alone; only version 2 needs one.
    fn has_leaf(&self) -> bool {
        self.controllers.is_empty() && self.own.file_name().is_some_and(|last| last == OWN_LEAF)
    }

    /// The group below which this process makes others.
    fn base(&self) -> &Path {
        self.own.parent().filter(|_| self.has_leaf()).unwrap_or(&self.own)
    }
}

/// Makes groups for the tree called `name`.
///
/// # Errors
/// The end of a sentence that says why not; nothing is left behind then.
pub(super) fn make(wished: &LimitParams, name: &str) -> Result<Vec<PathBuf>, String> {
    let wanted = wanted(wished);
    let hierarchies = present()?;
    if hierarchies.is_empty() {
        return Err("none are mounted".to_owned());
    }
    // What an earlier process of the tree left: nothing of that runs any more.
    remove(&named(&hierarchies, |found| found == name));
    let unified = hierarchies.iter().find(|hierarchy| hierarchy.controllers.is_empty());
    let mut why = None;
    if let Some(unified) = unified.filter(|unified| offers(unified.base(), &wanted)) {
        match make_unified(unified, &wanted, wished, name) {
            Ok(group) => return Ok(vec![group]),
            Err(refused) => why = Some(refused),
        }
    }
    make_split(&hierarchies, &wanted, wished, name).map_err(|refused| why.unwrap_or(refused))
}

/// Groups whose name begins with `prefix`, wherever this process makes groups: with those that were made before.
#[must_use]
pub fn beginning_with(prefix: &str) -> Vec<PathBuf> {
    present().map(|hierarchies| named(&hierarchies, |name| name.starts_with(prefix))).unwrap_or_default()
}

fn named(hierarchies: &[Hierarchy], fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = hierarchies.iter().filter_map(|hierarchy| fs::read_dir(hierarchy.base()).ok()).flatten();
    let is_wanted = |entry: &fs::DirEntry| {
        entry.file_name().to_str().is_some_and(&fits) && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    entries.filter_map(Result::ok).filter(is_wanted).map(|entry| entry.path()).collect()
}

/// The hierarchies of this machine.
fn present() -> Result<Vec<Hierarchy>, String> {
    let mounts =
        fs::read_to_string("/proc/self/mountinfo").map_err(|error| format!("/proc/self/mountinfo: {error}"))?;
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    Ok(hierarchies(&mounts, &own))
}

fn wanted(wished: &LimitParams) -> Vec<&'static str> {
    let parts = [
        ("memory", wished.memory_bytes.is_some()),
        ("cpu", wished.cpu_percent.is_some()),
        ("pids", wished.processes.is_some()),
    ];
    parts.into_iter().filter_map(|(name, is_wished)| is_wished.then_some(name)).collect()
}

/// Reads what is mounted and where this process is in it; see cgroups(7) and proc_pid_mountinfo(5).
fn hierarchies(mounts: &str, own: &str) -> Vec<Hierarchy> {
    let place = |controllers: &[&str]| {
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, named, path) = (fields.next()?, fields.next()?, fields.next()?);
            let fits = if controllers.is_empty() {
                named.is_empty()
            } else {
                named.split(',').any(|name| controllers.contains(&name))
            };
            fits.then(|| path.to_owned())
        })
    };
    mounts
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(3);
            let (root, point) = (before.next()?, before.next()?);
            let mut after = after.split(' ');
            let (kind, options) = (after.next()?, after.nth(1)?);
            let controllers: Vec<&str> = match kind {
                "cgroup2" => Vec::new(),
                "cgroup" => options.split(',').filter(|option| !matches!(*option, "rw" | "ro")).collect(),
                _ => return None,
            };
            let path = place(&controllers)?;
            let relative = Path::new(&path).strip_prefix(root).ok()?;
            let own = Path::new(point).join(relative);
            Some(Hierarchy { own, controllers: controllers.into_iter().map(str::to_owned).collect() })
        })
        .collect()
}

fn offers(group: &Path, wanted: &[&str]) -> bool {
    let there = words(&group.join("cgroup.controllers"));
    wanted.iter().all(|name| there.contains(*name))
}

fn words(path: &Path) -> BTreeSet<String> {
    fs::read_to_string(path).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn set(group: &Path, file: &str, value: &str) -> Result<(), String> {
    let path = group.join(file);
    fs::write(&path, value).map_err(at(&path))
}

fn make_unified(hierarchy: &Hierarchy, wanted: &[&str], wished: &LimitParams, name: &str) -> Result<PathBuf, String> {
    let (base, is_leaf) = (hierarchy.base(), hierarchy.has_leaf());
    let given = words(&base.join("cgroup.subtree_control"));
    if !wanted.iter().all(|controller| given.contains(*controller)) {
        // A group with processes may not give its controllers on, and moving them would keep systemd from restarting it.
        if !is_leaf {
            return Err(format!(
                "{} is shared with other programs: run orchestratord as the systemd unit that comes with it, under systemd 254 or newer",
                base.display()
            ));
        }
        let plus: Vec<String> = wanted.iter().map(|controller| format!("+{controller}")).collect();
        set(base, "cgroup.subtree_control", &plus.join(" "))?;
    }
    let group = base.join(name);
    fs::create_dir(&group).map_err(at(&group))?;
    let limited = (|| {
        if let Some(bytes) = wished.memory_bytes {
            set(&group, "memory.max", &bytes.to_string())?;
            if group.join("memory.swap.max").exists() {
                set(&group, "memory.swap.max", "0")?;
            }
        }
        if let Some(percent) = wished.cpu_percent {
            set(&group, "cpu.max", &format!("{} {PERIOD}", u64::from(percent) * PERIOD / 100))?;
        }
        wished.processes.map_or(Ok(()), |count| set(&group, "pids.max", &count.to_string()))
    })();
    limited.map(|()| group.clone()).inspect_err(|_: &String| drop(fs::remove_dir(&group)))
}

fn make_split(
    hierarchies: &[Hierarchy],
    wanted: &[&str],
    wished: &LimitParams,
    name: &str,
) -> Result<Vec<PathBuf>, String> {
    let mut groups: Vec<PathBuf> = Vec::new();
    let made = wanted.iter().try_for_each(|controller| {
        let hierarchy = hierarchies.iter().find(|hierarchy| hierarchy.controllers.iter().any(|own| own == controller));
        let own = &hierarchy.ok_or_else(|| format!("the controller `{controller}` is not there for this process"))?.own;
        let group = own.join(name);
        if !groups.contains(&group) {
            fs::create_dir(&group).map_err(at(&group))?;
            groups.push(group.clone());
        }
        limit_split(&group, controller, wished)
    });
    match made {
        Ok(()) => Ok(groups),
        Err(why) => {
            for group in groups {
                // It is empty and was just made.
                let _ = fs::remove_dir(group);
            }
            Err(why)
        }
    }
}

fn limit_split(group: &Path, controller: &str, wished: &LimitParams) -> Result<(), String> {
    match (controller, wished.memory_bytes, wished.cpu_percent, wished.processes) {
        ("memory", Some(bytes), _, _) => {
            set(group, "memory.limit_in_bytes", &bytes.to_string())?;
            if group.join("memory.memsw.limit_in_bytes").exists() {
                set(group, "memory.memsw.limit_in_bytes", &bytes.to_string())?;
            }
            Ok(())
        }
        ("cpu", _, Some(percent), _) => {
            set(group, "cpu.cfs_period_us", &PERIOD.to_string())?;
            set(group, "cpu.cfs_quota_us", &(u64::from(percent) * PERIOD / 100).to_string())
        }
        ("pids", _, _, Some(count)) => set(group, "pids.max", &count.to_string()),
        _ => Ok(()),
    }
}

/// Puts this process into a group.
pub(super) fn enter(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), std::process::id().to_string())
}

/// The living processes of the groups.
#[must_use]
pub fn members(groups: &[PathBuf]) -> Vec<ProcessIdentity> {
    let mut pids: Vec<i32> =
        groups.iter().flat_map(|group| words(&group.join("cgroup.procs"))).filter_map(|pid| pid.parse().ok()).collect();
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter().filter_map(identity::of).collect()
}

/// Whether the kernel ended a process of the groups because their memory was used up.
#[must_use]
pub fn out_of_memory(groups: &[PathBuf]) -> bool {
    let files = groups.iter().flat_map(|group| [group.join("memory.events"), group.join("memory.oom_control")]);
    files.filter_map(|file| fs::read_to_string(file).ok()).any(|text| {
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
    })
}

/// Removes the groups of a tree that is gone; what is left in them is killed first. Blocks for a moment at most.
pub fn remove(groups: &[PathBuf]) {
    let deadline = Instant::now() + EMPTY_LIMIT;
    for group in groups {
        // Version 2 kills all of a group at once; version 1 has no such file.
        let _ = fs::write(group.join("cgroup.kill"), "1");
        while let Err(error) = fs::remove_dir(group) {
            if error.kind() == io::ErrorKind::NotFound || Instant::now() >= deadline {
                break;
            }
            for process in members(std::slice::from_ref(group)) {
                crate::tree::signal(process, nix::sys::signal::Signal::SIGKILL);
            }
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_of_each_hierarchy_is_found() {
        let split = "33 31 0:29 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                     34 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
                     27 1 254:0 / / rw - ext4 /dev/vda rw\n";
        let own = "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/user.slice/x.service\n";
        let found = hierarchies(split, own);
        let places: Vec<&str> = found.iter().map(|hierarchy| hierarchy.own.to_str().unwrap()).collect();
        assert_eq!(
            places,
            ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/cpu/", "/sys/fs/cgroup/unified/user.slice/x.service"]
        );
        assert!(found[2].controllers.is_empty());
        assert!(hierarchies("", own).is_empty());
    }

    #[test]
    fn a_group_of_version_two_holds_what_was_wished() {
        let top = tempfile::tempdir().unwrap();
        let unit = top.path().join("x.service");
        let own = unit.join(OWN_LEAF);
        fs::create_dir_all(&own).unwrap();
        // As systemd delegates: what the unit has is not given on to the daemon's own group below it.
        fs::write(unit.join("cgroup.controllers"), "cpu memory pids").unwrap();
        fs::write(own.join("cgroup.controllers"), "").unwrap();
        fs::write(unit.join("cgroup.subtree_control"), "").unwrap();
        let wished = LimitParams { memory_bytes: Some(1 << 30), cpu_percent: Some(150), processes: Some(64) };
        let hierarchy = Hierarchy { own, controllers: Vec::new() };
        assert!(offers(hierarchy.base(), &wanted(&wished)));
        let group = make_unified(&hierarchy, &wanted(&wished), &wished, "ses_1").unwrap();
        assert_eq!(group, unit.join("ses_1"));
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(read(group.join("memory.max")), (1_u64 << 30).to_string());
        assert_eq!(read(group.join("cpu.max")), "150000 100000");
        assert_eq!(read(group.join("pids.max")), "64");
        assert_eq!(read(unit.join("cgroup.subtree_control")), "+memory +cpu +pids");
    }

    #[test]
    fn groups_are_found_again_by_their_names() {
        let top = tempfile::tempdir().unwrap();
        let at = |path: &str| top.path().join(path);
        for path in ["unit/daemon", "unit/orx-1", "unit/orx-2", "split/orx-1", "split/other"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("split/orx-file"), "").unwrap();
        let hierarchies = [
            Hierarchy { own: at("unit/daemon"), controllers: Vec::new() },
            Hierarchy { own: at("split"), controllers: vec!["memory".to_owned()] },
            Hierarchy { own: at("nowhere"), controllers: vec!["cpu".to_owned()] },
        ];
        let mut found = named(&hierarchies, |name| name.starts_with("orx-"));
        found.sort();
        assert_eq!(found, [at("split/orx-1"), at("unit/orx-1"), at("unit/orx-2")]);
    }

    #[test]
    fn a_group_that_others_share_is_left_alone() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("cgroup.subtree_control"), "").unwrap();
        let wished = LimitParams { memory_bytes: Some(1 << 30), ..LimitParams::default() };
        let hierarchy = Hierarchy { own: top.path().to_owned(), controllers: Vec::new() };
        let refused = make_unified(&hierarchy, &wanted(&wished), &wished, "ses_1").unwrap_err();
        assert!(refused.contains("shared with other programs"), "{refused}");
        assert!(!top.path().join("ses_1").exists());
    }

    #[test]
    fn an_end_by_memory_is_seen_in_both_versions() {
        let top = tempfile::tempdir().unwrap();
        let groups = [top.path().to_owned()];
        assert!(!out_of_memory(&groups));
        fs::write(top.path().join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n").unwrap();
        assert!(!out_of_memory(&groups));
        fs::write(top.path().join("memory.events"), "low 0\noom 1\noom_kill 1\n").unwrap();
        assert!(out_of_memory(&groups));
    }
}
