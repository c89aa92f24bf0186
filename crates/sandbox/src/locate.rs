//! Finding programs on a given `PATH`, never on the daemon's own by accident.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// No such program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no program `{name}` was found ({searched})")]
pub struct NotFound {
    /// The name that was looked up.
    pub name: String,
    /// Where it was looked for.
    pub searched: String,
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The absolute path of a program: `name` itself when it is a path, else the first match on `search_path` (the value of a
/// `PATH`). Relative entries of the search path are skipped: they would depend on the directory of the moment.
///
/// # Errors
/// [`NotFound`] with what was searched.
pub fn find_program(name: &str, search_path: Option<&str>) -> Result<PathBuf, NotFound> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        return if path.is_absolute() && is_executable(&path) {
            Ok(path)
        } else {
            Err(NotFound { name: name.to_owned(), searched: "as an absolute path of an executable file".to_owned() })
        };
    }
    let search_path = search_path.unwrap_or("");
    std::env::split_paths(search_path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| NotFound { name: name.to_owned(), searched: where_looked(search_path) })
}

/// Where was looked, in a length that fits a message: a whole `PATH` does not.
fn where_looked(search_path: &str) -> String {
    match std::env::split_paths(search_path).filter(|directory| directory.is_absolute()).count() {
        0 => "PATH names no directory".to_owned(),
        1 => format!("in {search_path}, the one directory of PATH"),
        count => format!("in any of the {count} directories of PATH"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_given_path_alone() {
        assert_eq!(find_program("sh", Some("relative:/bin")).unwrap(), PathBuf::from("/bin/sh"));
        assert!(find_program("sh", Some("/nonexistent")).is_err());
        assert!(find_program("sh", None).is_err());
        assert!(find_program("./sh", Some("/bin")).is_err());
        assert!(find_program("", Some("/bin")).is_err());
    }
}
