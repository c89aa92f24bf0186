//! Where paths really lead at the moment of a decision: the only look at the disk that judging takes.

use orx_protocol::SessionId;
use orx_protocol::api::approval::{ApprovalKind, Subject};
use orx_session::approval::{Located, Request, absolute};
use std::path::{Path, PathBuf};

/// A request as rules look at it, with its paths followed on this disk. Blocks.
pub(super) fn request(session: SessionId, engine: &str, kind: ApprovalKind, subject: &Subject, cwd: &str) -> Request {
    let cwd = subject.cwd.as_deref().unwrap_or(cwd);
    Request {
        session,
        engine: engine.to_owned(),
        kind,
        tool: subject.tool.clone(),
        command: subject.command.clone(),
        cwd: located("/", cwd),
        paths: subject.paths.iter().map(|path| located(cwd, path)).collect(),
    }
}

/// A path, and where it leads.
pub(super) fn located(cwd: &str, path: &str) -> Located {
    // Links are followed in what was written: `link/..` is beside the link's target, not beside the link.
    let real = real(&Path::new(cwd).join(path));
    Located { written: absolute(cwd, path), real: real.to_string_lossy().into_owned() }
}

/// The path with its links followed as far as it exists; what does not exist yet hangs below that.
fn real(path: &Path) -> PathBuf {
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut existing = path;
    loop {
        if let Ok(real) = std::fs::canonicalize(existing) {
            let whole = missing.iter().rev().fold(real, |whole, part| whole.join(part));
            return PathBuf::from(absolute("/", &whole.to_string_lossy()));
        }
        // A link that leads nowhere yet leads somewhere once somebody writes through it.
        if let Ok(target) = std::fs::read_link(existing)
            && missing.len() < LINKS
        {
            let base = existing.parent().unwrap_or_else(|| Path::new("/"));
            let whole = missing.iter().rev().fold(base.join(target), |whole, part| whole.join(part));
            return PathBuf::from(absolute("/", &whole.to_string_lossy()));
        }
        let Some(parent) = existing.parent() else { return path.to_path_buf() };
        let last = existing.strip_prefix(parent).unwrap_or(existing);
        missing.push(last.to_path_buf());
        existing = parent;
    }
}

/// Components below a dangling link that are followed.
const LINKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_also_where_the_file_does_not_exist_yet() {
        let scratch = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(scratch.path()).unwrap();
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        std::fs::create_dir_all(root.join("work")).unwrap();
        std::fs::create_dir_all(root.join("other/deep")).unwrap();
        std::os::unix::fs::symlink(root.join("other/deep"), root.join("work/link")).unwrap();
        std::os::unix::fs::symlink(root.join("outside.txt"), root.join("work/dangling")).unwrap();
        let cwd = text(root.join("work"));
        for (path, wanted) in [
            ("a.txt", root.join("work/a.txt")),
            ("new/dir/a.txt", root.join("work/new/dir/a.txt")),
            ("link/a.txt", root.join("other/deep/a.txt")),
            ("link/../a.txt", root.join("other/a.txt")),
            ("../other/x", root.join("other/x")),
            ("dangling", root.join("outside.txt")),
        ] {
            assert_eq!(located(&cwd, path).real, text(wanted), "{path}");
        }
        assert_eq!(located(&cwd, "link/../a.txt").written, text(root.join("work/a.txt")));
    }
}
