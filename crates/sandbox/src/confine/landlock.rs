//! Landlock: rights to files by what contains them, and scopes of signals and abstract sockets. Rights add up, so what is
//! kept from a program is left out of what it is granted, name by name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use orx_protocol::api::confinement::Confinement;

/// The newest interface whose rights this file knows; what an older kernel lacks is left out.
const KNOWN: ABI = ABI::V6;
/// Files of devices that any program uses.
const DEVICES: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
];

/// Version of the kernel's interface; `None` without it.
pub(super) fn version() -> Option<i32> {
    const CREATE_RULESET_VERSION: u32 = 1;
    // SAFETY: with no attributes, size 0 and this flag the call only tells a number, see landlock_create_ruleset(2).
    #[allow(unsafe_code)]
    let version = unsafe {
        nix::libc::syscall(
            nix::libc::SYS_landlock_create_ruleset,
            std::ptr::null::<nix::libc::c_void>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    i32::try_from(version).ok().filter(|version| *version > 0)
}

/// Confines this process, and all that it becomes or starts, to the plan's files and to signals and abstract sockets of
/// its own.
///
/// # Errors
/// When the kernel refuses, or confines less than files.
pub(super) fn restrict(plan: &Confinement) -> Result<(), RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    let reading = AccessFs::from_read(KNOWN);
    let hidden: BTreeSet<&Path> = plan.hidden.iter().map(Path::new).collect();
    // Names may be listed everywhere: what they stand for is what matters, and tools walk up from where they are.
    grant(&mut rules, Path::new("/"), AccessFs::ReadDir.into())?;
    for path in around(Path::new("/"), &hidden) {
        grant(&mut rules, &path, reading)?;
    }
    for path in plan.read.iter().flat_map(|path| around(Path::new(path), &hidden)) {
        grant(&mut rules, &path, reading)?;
    }
    for path in plan.write.iter().chain([&plan.temporary]) {
        grant(&mut rules, Path::new(path), AccessFs::from_all(KNOWN))?;
    }
    for path in DEVICES {
        grant(&mut rules, Path::new(path), AccessFs::from_file(KNOWN) | AccessFs::from_all(KNOWN))?;
    }
    rules.restrict_self().map(|_| ())
}

/// Confines this process to abstract sockets and signals of its own, where the kernel knows how. No right to files is
/// taken, so that a sandbox that an engine makes for its own commands still works.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn restrict_scopes() -> Result<(), RulesetError> {
    if version().is_none_or(|version| version < 6) {
        return Ok(());
    }
    let rules = Ruleset::default().scope(Scope::AbstractUnixSocket | Scope::Signal)?.create()?;
    rules.restrict_self().map(|_| ())
}

fn grant(rules: &mut RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<(), RulesetError> {
    // A path that went away meanwhile needs no right.
    let Ok(opened) = PathFd::new(path) else { return Ok(()) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    if !access.is_empty() {
        rules.add_rule(PathBeneath::new(opened, access))?;
    }
    Ok(())
}

/// Paths that together contain all that `directory` does but `hidden`.
fn around(directory: &Path, hidden: &BTreeSet<&Path>) -> Vec<PathBuf> {
    if hidden.contains(directory) {
        return Vec::new();
    }
    if !hidden.iter().any(|path| path.starts_with(directory)) {
        return vec![directory.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        // What a link leads to is granted at its own place.
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
        .flat_map(|entry| around(&entry.path(), hidden))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_left_out_and_all_around_it_is_there() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path();
        for name in ["a/secret/deep", "a/open", "b"] {
            std::fs::create_dir_all(top.join(name)).unwrap();
        }
        let secret = top.join("a/secret");
        let hidden = BTreeSet::from([secret.as_path()]);
        let mut found = around(top, &hidden);
        found.sort();
        assert_eq!(found, [top.join("a/open"), top.join("b")]);
        assert_eq!(around(top, &BTreeSet::new()), [top.to_owned()]);
    }
}
