//! Where a program that a repository's settings name may come from.

use std::path::{Path, PathBuf};

use orx_sandbox::find_program;

/// Why a program is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProgramRefused(pub(crate) String);

/// A program that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Absolute path.
    pub(super) path: PathBuf,
    /// Path within the repository, when it is part of it.
    pub(super) own: Option<String>,
}

/// A program by its name on the search path, or by an absolute path in one of its directories.
///
/// # Errors
/// [`ProgramRefused`] with the reason and what to do.
pub fn on_path(program: &str, search_path: Option<&str>) -> Result<PathBuf, ProgramRefused> {
    let path = Path::new(program);
    if !program.contains('/') {
        return find_program(program, search_path)
            .map_err(|missing| ProgramRefused(format!("{missing}; install it, or change the settings")));
    }
    let allowed = path.parent().is_some_and(|parent| {
        path.is_absolute()
            && !path.components().any(|part| part == std::path::Component::ParentDir)
            && std::env::split_paths(search_path.unwrap_or("")).any(|directory| directory == parent)
    });
    if !allowed {
        return Err(ProgramRefused(format!(
            "`{program}` is in no directory of your PATH: a repository's settings name a program by its name, and where it comes from is yours to say"
        )));
    }
    find_program(program, search_path).map_err(|missing| ProgramRefused(missing.to_string()))
}

/// A gate's program: as [`on_path`], or a path within the repository.
pub(super) fn locate(program: &str, worktree: &Path, search_path: Option<&str>) -> Result<Found, ProgramRefused> {
    if !program.contains('/') || Path::new(program).is_absolute() {
        return on_path(program, search_path).map(|path| Found { path, own: None });
    }
    let missing = |_| ProgramRefused(format!("`{program}` is not in the repository"));
    let root = worktree.canonicalize().map_err(missing)?;
    let path = worktree.join(program).canonicalize().map_err(missing)?;
    let Ok(own) = path.strip_prefix(&root) else {
        return Err(ProgramRefused(format!(
            "`{program}` leads out of the repository: a gate's program is in it or on your PATH"
        )));
    };
    let own = own.to_string_lossy().into_owned();
    match find_program(&path.to_string_lossy(), None) {
        Ok(path) => Ok(Found { path, own: Some(own) }),
        Err(_) => {
            Err(ProgramRefused(format!("`{program}` is not executable: make it so with `chmod +x` and commit that")))
        }
    }
}
