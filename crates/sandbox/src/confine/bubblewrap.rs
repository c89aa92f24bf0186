//! The command line of bubblewrap for a plan. Pure.

use std::collections::BTreeMap;

use orx_protocol::api::confinement::{Confinement, Network};

use super::secrets::{NAME_SERVICE, SHARED_TEMPORARY, SOCKETS};

/// What is done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mount<'a> {
    Write,
    Read,
    Hide,
    Temporary(&'a str),
}

/// What a path is, as far as it matters here; asked of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Directory,
    Other,
    Missing,
}

/// Flags that make the namespaces. The network's own is made unless the session reaches what its user reaches.
pub(super) fn namespaces(network: bool) -> Vec<String> {
    let mut flags: Vec<&str> = vec!["--unshare-user", "--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL"];
    if nix::unistd::geteuid().is_root() {
        // Without it, a sandbox that an engine makes for its own commands could not map root's identifier again. It
        // counts inside the session's own user namespace alone.
        flags.extend(["--cap-add", "CAP_SETFCAP"]);
    }
    if network {
        flags.push("--unshare-net");
    }
    flags.into_iter().map(str::to_owned).collect()
}

/// Arguments of `bwrap` up to the program that it starts. Mounts are made from the outside in, so that a deeper path
/// goes before one that contains it.
pub(super) fn arguments(plan: &Confinement, cwd: &str, sort: impl Fn(&str) -> Sort) -> Vec<String> {
    let mut arguments = namespaces(plan.network != Network::On);
    let mut push = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    push(&["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
    let mut mounts: BTreeMap<&str, Mount<'_>> = BTreeMap::new();
    mounts.extend(NAME_SERVICE.iter().map(|path| (*path, Mount::Read)));
    mounts.extend(plan.write.iter().map(|path| (path.as_str(), Mount::Write)));
    mounts.extend(plan.read.iter().map(|path| (path.as_str(), Mount::Read)));
    mounts.extend(SHARED_TEMPORARY.iter().map(|path| (*path, Mount::Temporary(&plan.temporary))));
    mounts.extend(
        SOCKETS
            .iter()
            .chain(plan.hidden.iter().map(String::as_str).collect::<Vec<_>>().iter())
            .map(|path| (*path, Mount::Hide)),
    );
    let mut emptied = Vec::new();
    // A path sorts before those below it, since the separator sorts before what names are made of but for a few
    // punctuation marks, and those do not bring a child before its parent.
    for (path, mount) in mounts {
        match (mount, sort(path)) {
            (_, Sort::Missing) => {}
            (Mount::Write, _) => push(&["--bind", path, path]),
            (Mount::Read, _) => push(&["--ro-bind", path, path]),
            (Mount::Temporary(own), Sort::Directory) => push(&["--bind", own, path]),
            (Mount::Hide, Sort::Directory) => {
                push(&["--tmpfs", path]);
                emptied.push(path);
            }
            (Mount::Hide | Mount::Temporary(_), Sort::Other) => push(&["--ro-bind", "/dev/null", path]),
        }
    }
    for path in emptied {
        push(&["--remount-ro", path]);
    }
    push(&["--chdir", cwd]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(plan: &Confinement) -> String {
        let sort = |path: &str| match path {
            "/run/nscd" => Sort::Missing,
            path if path.ends_with("token") || path.ends_with("netrc") => Sort::Other,
            path if path.starts_with("/var/run") => Sort::Missing,
            _ => Sort::Directory,
        };
        arguments(plan, "/home/p/work", sort).join(" ")
    }

    #[test]
    fn what_lies_deeper_is_mounted_later() {
        let plan = Confinement {
            write: vec!["/home/p/work".to_owned(), "/tmp/x/work".to_owned(), "/state/orx/engines/a".to_owned()],
            read: vec!["/home/p/work/.git/hooks".to_owned()],
            hidden: vec!["/home/p/.ssh".to_owned(), "/home/p/.netrc".to_owned(), "/state/orx".to_owned()],
            temporary: "/state/orx/sessions/1/tmp".to_owned(),
            ..Confinement::default()
        };
        let words = words(&plan);
        let at = |text: &str| words.find(text).unwrap_or_else(|| panic!("{text} is missing in {words}"));
        assert!(at("--tmpfs /state/orx") < at("--bind /state/orx/engines/a"));
        assert!(at("--bind /state/orx/sessions/1/tmp /tmp") < at("--bind /tmp/x/work"));
        assert!(at("--bind /home/p/work ") < at("--ro-bind /home/p/work/.git/hooks"));
        assert!(at("--bind /state/orx/engines/a") < at("--remount-ro /state/orx"));
        assert!(at("--tmpfs /home/p/.ssh") > at("--ro-bind / /"));
        assert!(words.contains("--ro-bind /dev/null /home/p/.netrc"));
        assert!(!words.contains("--unshare-net"), "{words}");
        assert!(!words.contains("/run/nscd"), "{words}");
    }

    #[test]
    fn a_closed_network_is_a_namespace_of_its_own() {
        for network in [Network::Off, Network::Gateway] {
            assert!(words(&Confinement { network, ..Confinement::default() }).contains("--unshare-net"));
        }
    }
}
