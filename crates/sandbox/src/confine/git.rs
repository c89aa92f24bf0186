//! What a session needs of a repository to commit, and what must not change in it: a hook, filter or setting that it
//! planted would run with the person's rights the next time they use git there.

use std::path::{Path, PathBuf};

/// Paths of a repository beyond the working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GitPaths {
    /// Written by `add`, `commit`, `fetch` and the like.
    pub(super) write: Vec<PathBuf>,
    /// Names programs that git runs, or where git finds such names.
    pub(super) keep: Vec<PathBuf>,
    /// Whether what must not change lies inside the working directory itself.
    pub(super) inside: bool,
}

/// Parts of a common directory to which a worktree of it writes.
const SHARED_WRITE: [&str; 4] = ["objects", "refs", "logs", "reftable"];
/// Parts of a git directory that decide what runs.
const DECISIVE: [&str; 6] = ["config", "config.worktree", "hooks", "info", "worktrees", "modules"];

/// Looks at the repository around `cwd`. A repository of the session's own (`own`) is its to change.
pub(super) fn paths(cwd: &Path, own: bool) -> GitPaths {
    let mut passed = Vec::new();
    let mut found = GitPaths::default();
    for top in cwd.ancestors() {
        let entry = top.join(".git");
        if is_git(&entry) {
            found = around(cwd, top, entry, own);
            break;
        }
        // What git passes by now may be a repository again: one session takes its HEAD away, and the next plants a hook.
        passed.extend(existing(&entry, &DECISIVE));
    }
    if !own {
        found.inside |= passed.iter().any(|path| path.starts_with(cwd));
        found.keep.append(&mut passed);
    }
    found
}

/// What a session in `cwd` needs of the repository whose `entry` is in `top`.
fn around(cwd: &Path, top: &Path, entry: PathBuf, own: bool) -> GitPaths {
    if !entry.is_dir() {
        return linked(top, &entry).unwrap_or_default();
    }
    let mut found = GitPaths { inside: top.starts_with(cwd), ..GitPaths::default() };
    if own && found.inside {
        return GitPaths::default();
    }
    // Made by `git init`, and removed by some: a directory that is not there could not be kept from being made.
    let _ = std::fs::create_dir(entry.join("hooks"));
    found.keep.extend(existing(&entry, &DECISIVE));
    found.write.push(entry);
    found
}

/// Whether git takes this for the entry of a repository. It looks further up past a directory that is none, as sandboxes of other
/// programs leave them, or make them for a moment, where they keep one from being made.
fn is_git(entry: &Path) -> bool {
    entry.is_file() || (entry.join("HEAD").symlink_metadata().is_ok() && entry.join("objects").is_dir())
}

fn existing(directory: &Path, names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| directory.join(name)).filter(|path| path.exists()).collect()
}

/// A worktree or submodule: `.git` is a file that says where its git directory is.
fn linked(top: &Path, entry: &Path) -> Option<GitPaths> {
    let text = std::fs::read_to_string(entry).ok()?;
    let directory = top.join(text.strip_prefix("gitdir:")?.trim()).canonicalize().ok()?;
    // The file is in a workspace and may name anything: it is believed where the named directory agrees.
    if !agrees(&directory, top, entry) {
        return None;
    }
    let mut found = GitPaths { write: vec![directory.clone()], ..GitPaths::default() };
    found.keep.extend(existing(&directory, &DECISIVE));
    found.keep.extend(existing(&directory, &["commondir", "gitdir"]));
    if let Ok(common) = std::fs::read_to_string(directory.join("commondir")) {
        let common = directory.join(common.trim()).canonicalize().ok()?;
        if common.join("HEAD").is_file() && common.join("objects").is_dir() {
            found.write.extend(existing(&common, &SHARED_WRITE));
        }
    }
    found.keep.push(entry.to_owned());
    Some(found)
}

/// Whether a git directory is that of `entry`: a worktree's names it in turn, a submodule's lies in its parent's.
fn agrees(directory: &Path, top: &Path, entry: &Path) -> bool {
    let back = std::fs::read_to_string(directory.join("gitdir")).ok().map(|text| PathBuf::from(text.trim()));
    let same = |path: PathBuf| path.canonicalize().ok() == entry.canonicalize().ok();
    let of_a_parent = || top.ancestors().skip(1).any(|parent| directory.starts_with(parent.join(".git/modules")));
    directory.join("HEAD").is_file() && back.map_or_else(of_a_parent, same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let git = directory.path().join("repo/.git");
        for name in ["objects", "refs", "info", "worktrees/w"] {
            std::fs::create_dir_all(git.join(name)).unwrap();
        }
        for name in ["HEAD", "config", "worktrees/w/HEAD"] {
            std::fs::write(git.join(name), "x").unwrap();
        }
        std::fs::write(git.join("worktrees/w/commondir"), "../..\n").unwrap();
        directory
    }

    #[test]
    fn a_directory_that_is_no_repository_is_left_alone_and_the_one_above_it_counts() {
        let directory = repository();
        let work = directory.path().join("repo/inner");
        let empty = work.join(".git");
        std::fs::create_dir_all(&empty).unwrap();
        assert_eq!(paths(&work, false).write, [directory.path().join("repo/.git")]);
        assert!(!empty.join("hooks").exists(), "nothing is made in it");
        let git = directory.path().join("repo/.git");
        std::fs::remove_file(git.join("HEAD")).unwrap();
        let left = paths(&work, false);
        assert_eq!((left.write, left.inside), (Vec::new(), false));
        assert_eq!(left.keep, ["config", "hooks", "info", "worktrees"].map(|name| git.join(name)), "it may come back");
        assert!(paths(&directory.path().join("repo"), false).inside);
    }

    #[test]
    fn a_person_s_repository_takes_commits_and_no_hooks() {
        let directory = repository();
        let top = directory.path().join("repo");
        let git = top.join(".git");
        let found = paths(&top, false);
        assert!(found.inside);
        assert_eq!(found.write, std::slice::from_ref(&git));
        assert_eq!(found.keep, ["config", "hooks", "info", "worktrees"].map(|name| git.join(name)));
        std::fs::create_dir(top.join("sub")).unwrap();
        let below = paths(&top.join("sub"), false);
        assert_eq!((below.inside, below.write), (false, vec![git]));
        assert_eq!(paths(&top, true), GitPaths::default());
    }

    #[test]
    fn a_worktree_writes_its_own_part_and_the_objects() {
        let directory = repository();
        let git = directory.path().canonicalize().unwrap().join("repo/.git");
        let tree = directory.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join(".git"), format!("gitdir: {}\n", git.join("worktrees/w").display())).unwrap();
        assert_eq!(paths(&tree, false), GitPaths::default(), "the git directory does not name this worktree");
        std::fs::write(git.join("worktrees/w/gitdir"), format!("{}\n", tree.join(".git").display())).unwrap();
        let found = paths(&tree, false);
        assert_eq!(found.write, [git.join("worktrees/w"), git.join("objects"), git.join("refs")]);
        assert!(!found.write.contains(&git) && found.keep.contains(&tree.join(".git")));
    }

    #[test]
    fn a_file_that_names_no_git_directory_opens_nothing() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(".git"), "gitdir: /etc\n").unwrap();
        assert_eq!(paths(directory.path(), false), GitPaths::default());
        assert_eq!(paths(Path::new("/"), false), GitPaths::default());
    }
}
