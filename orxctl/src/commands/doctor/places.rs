//! Checks of files and directories.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use orx_protocol::limits::SOCKET_PATH;
use orx_protocol::places::Places;

use super::Check;
use crate::commands::token;
use crate::figures;

/// Free space below which the daemon is in danger, and below which it is soon, in bytes.
const SPACE_FAIL: u64 = 200 << 20;
const SPACE_WARN: u64 = 2 << 30;
/// Open files that a daemon with some tens of sessions needs.
const FILES: u64 = 1024;

/// Checks of the daemon's places.
pub(super) fn checks(places: &Places, config_named: bool) -> Vec<Check> {
    let mut checks =
        vec![home(&places.home), config(&places.config, config_named), socket(&places.socket), token(&places.token())];
    checks.push(space(&places.home));
    checks.push(open_files());
    checks
}

/// What is wrong with the owner or mode of a private thing.
fn exposed(metadata: &std::fs::Metadata, mask: u32) -> Option<String> {
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        Some("belongs to another user".to_owned())
    } else if mode & mask != 0 {
        Some(format!("is open to others (mode {mode:04o})"))
    } else {
        None
    }
}

fn home(path: &Path) -> Check {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Check::ok("home", format!("{shown} is not there yet; `orxctl up` makes it"))
        }
        Err(error) => {
            Check::fail("home", format!("{shown}: {error}"), "set ORX_HOME (or --home) to a directory of yours")
        }
        Ok(metadata) if !metadata.is_dir() => Check::fail(
            "home",
            format!("{shown} is not a directory"),
            "set ORX_HOME (or --home) to a directory of yours",
        ),
        Ok(metadata) => match exposed(&metadata, 0o077) {
            Some(why) => Check::fail("home", format!("{shown} {why}"), format!("chmod 700 {shown}")),
            None if nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_err() => {
                Check::fail("home", format!("{shown} cannot be written to"), "look at its permissions and its disk")
            }
            None => Check::ok("home", shown.to_string()),
        },
    }
}

fn config(path: &Path, named: bool) -> Check {
    let shown = path.display();
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && named => Check::fail(
            "config",
            format!("{shown} is named by --config or ORX_CONFIG and is not there"),
            "write it, or name another: the daemon refuses to start without it",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Check::ok("config", format!("{shown} is not there; the defaults hold"))
        }
        Err(error) => Check::fail("config", format!("{shown}: {error}"), format!("chmod 600 {shown}, or move it away")),
        Ok(text) => {
            let parsed = serde_saphyr::from_str::<serde_json::Value>(&text);
            let metadata = std::fs::metadata(path);
            match (parsed, metadata.ok().and_then(|metadata| exposed(&metadata, 0o022))) {
                (Err(error), _) => Check::fail(
                    "config",
                    format!("{shown} is not YAML: {error}"),
                    "correct it; the daemon refuses to start with it",
                ),
                (Ok(_), Some(why)) => Check::fail("config", format!("{shown} {why}"), format!("chmod go-w {shown}")),
                (Ok(_), None) => Check::ok("config", shown.to_string()),
            }
        }
    }
}

fn socket(path: &Path) -> Check {
    let shown = path.display();
    let length = path.as_os_str().len();
    if length > SOCKET_PATH {
        let message = format!("{shown} has {length} bytes, {SOCKET_PATH} are possible");
        return Check::fail("socket", message, "set ORX_SOCKET (or --socket) to a shorter path");
    }
    if let Some(why) =
        path.parent().and_then(|parent| std::fs::metadata(parent).ok()).and_then(|parent| exposed(&parent, 0o022))
    {
        return Check::fail(
            "socket",
            format!("the directory of {shown} {why}"),
            "use a directory that only you can write to",
        );
    }
    match std::fs::symlink_metadata(path) {
        Err(_) => Check::ok("socket", format!("{shown} is not there; `orxctl up` makes it")),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Check::fail("socket", format!("{shown} is no socket"), "move it away, or set ORX_SOCKET (or --socket)")
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Check::ok("socket", shown.to_string()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                Check::warn("socket", format!("{shown} is left over: nothing listens"), "orxctl up replaces it")
            }
            Err(error) => {
                Check::fail("socket", format!("{shown}: {error}"), "the daemon serves the user that started it")
            }
        },
    }
}

fn token(path: &Path) -> Check {
    let shown = path.display();
    match token::look(path) {
        Err(error) => Check::fail("token", format!("{shown}: {error}"), "look at the permissions of its directory"),
        Ok(file) if !file.exists => Check::ok("token", format!("{shown} is not there yet; the daemon makes it")),
        Ok(file) if !file.private => Check::fail(
            "token",
            format!("{shown} is open to others, or no plain file of yours"),
            format!("rm {shown}, then restart the daemon, which makes a new one"),
        ),
        Ok(_) => Check::ok("token", format!("{shown} (mode 0600)")),
    }
}

fn space(home: &Path) -> Check {
    let existing = home.ancestors().find(|path| path.exists()).unwrap_or(home);
    match nix::sys::statvfs::statvfs(existing) {
        Err(error) => Check::warn("disk", format!("{}: {error}", existing.display()), "look at the disk of ORX_HOME"),
        Ok(figures) => {
            #[allow(clippy::useless_conversion)] // The width of these types differs between systems.
            let free = u64::from(figures.blocks_available()).saturating_mul(u64::from(figures.fragment_size()));
            let message = format!("{} free at {}", figures::size(free), existing.display());
            match free {
                0..SPACE_FAIL => {
                    Check::fail("disk", message, "make room: on a full disk the daemon acknowledges nothing")
                }
                SPACE_FAIL..SPACE_WARN => Check::warn("disk", message, "make room before long"),
                _ => Check::ok("disk", message),
            }
        }
    }
}

fn open_files() -> Check {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard < FILES => Check::warn(
            "open files",
            format!("at most {hard}"),
            format!("raise the limit to {FILES} or more: ulimit -n"),
        ),
        Ok((_, hard)) => Check::ok("open files", format!("up to {hard}")),
        Err(error) => Check::warn("open files", format!("the limit is unknown: {error}"), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Level;

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_home_must_be_private() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("home");
        assert_eq!(home(&path).level, Level::Ok);
        std::fs::create_dir(&path).unwrap();
        mode(&path, 0o755);
        assert_eq!(home(&path).level, Level::Fail);
        mode(&path, 0o700);
        assert_eq!(home(&path).level, Level::Ok);
        assert_eq!(home(Path::new("/dev/null")).level, Level::Fail);
    }

    #[test]
    fn a_settings_file_must_be_yaml_that_nobody_else_writes() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("c.yaml");
        assert_eq!(config(&path, false).level, Level::Ok);
        assert_eq!(config(&path, true).level, Level::Fail);
        std::fs::write(&path, "a: [").unwrap();
        assert_eq!(config(&path, true).level, Level::Fail);
        std::fs::write(&path, "a: 1\n").unwrap();
        mode(&path, 0o644);
        assert_eq!(config(&path, true).level, Level::Ok);
        mode(&path, 0o666);
        assert_eq!(config(&path, true).level, Level::Fail);
    }

    #[test]
    fn a_socket_is_absent_left_over_alive_or_none() {
        let scratch = tempfile::tempdir().unwrap();
        mode(scratch.path(), 0o700);
        let path = scratch.path().join("s");
        assert_eq!(socket(&path).level, Level::Ok);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(socket(&path).level, Level::Ok);
        drop(listener);
        assert_eq!(socket(&path).level, Level::Warn);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(socket(&path).level, Level::Fail);
        assert_eq!(socket(&scratch.path().join("x".repeat(120))).level, Level::Fail);
    }
}
