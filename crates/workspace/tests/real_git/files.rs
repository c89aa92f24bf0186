//! Odd files: names, modes, links, inner repositories, submodules, ignore rules.

use crate::support::Scratch;
use orx_workspace::{Change, ChangeKind, Identity, WorkspaceError, Worktree};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

async fn change(worktree: &Worktree, path: impl AsRef<Path>) -> Change {
    let changes = worktree.changes().await.unwrap();
    let found = changes.iter().find(|change| change.path == path.as_ref());
    found.unwrap_or_else(|| panic!("{} is not among {changes:?}", path.as_ref().display())).clone()
}

async fn published(scratch: &Scratch, worktree: &Worktree) -> String {
    let commit = worktree.commit("Files", &Identity::default()).await.unwrap().unwrap();
    scratch.repository().await.publish(worktree, "orx/run_1", &commit).await.unwrap();
    scratch.run(&scratch.root(), &["ls-tree", "-r", "-z", "orx/run_1"]).await
}

#[tokio::test]
async fn every_kind_of_change_is_told_with_its_modes_and_size() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let path = worktree.path();
    fs::write(path.join("src/a.txt"), "longer than before\n").unwrap();
    fs::set_permissions(path.join("src/b.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(path.join("README")).unwrap();
    fs::remove_file(path.join("link")).unwrap();
    fs::write(path.join("link"), "a file now\n").unwrap();
    fs::remove_file(path.join("tool.sh")).unwrap();
    symlink("/etc/passwd", path.join("tool.sh")).unwrap();
    fs::write(path.join("binary"), b"\x7fELF\0\0").unwrap();
    let changes = worktree.changes().await.unwrap();
    let told: Vec<_> =
        changes.iter().map(|c| (c.path.to_str().unwrap(), c.kind, c.old_mode, c.new_mode, c.bytes)).collect();
    assert_eq!(
        told,
        [
            ("README", ChangeKind::Deleted, 0o100_644, 0, 0),
            ("binary", ChangeKind::Added, 0, 0o100_644, 6),
            ("link", ChangeKind::TypeChanged, 0o120_000, 0o100_644, 11),
            ("src/a.txt", ChangeKind::Modified, 0o100_644, 0o100_644, 19),
            ("src/b.txt", ChangeKind::Modified, 0o100_644, 0o100_755, 2),
            ("tool.sh", ChangeKind::TypeChanged, 0o100_755, 0o120_000, 11),
        ]
    );
    assert!(changes[1].is_binary && !changes[3].is_binary);
    assert_eq!(changes[5].symlink_target.as_deref(), Some(Path::new("/etc/passwd")));
    assert!(changes[5].escapes());
}

#[tokio::test]
async fn names_that_are_not_utf_8_or_look_like_patterns_are_committed_as_they_are() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let path = worktree.path();
    let odd = PathBuf::from(OsString::from_vec(b"caf\xe9\n \"quoted\"".to_vec()));
    fs::write(path.join(&odd), "odd\n").unwrap();
    let names = [":(exclude)*", "-rf", "*", "[a]", "README ", "\u{1f980}", "a\\b", "'"];
    for name in names {
        fs::write(path.join(name), "x\n").unwrap();
    }
    let deep: PathBuf = std::iter::repeat_n("d".repeat(200), 10).collect();
    fs::create_dir_all(path.join(&deep)).unwrap();
    fs::write(path.join(&deep).join("f"), "deep\n").unwrap();
    assert_eq!(change(&worktree, &odd).await.kind, ChangeKind::Added);
    assert_eq!(worktree.changes().await.unwrap().len(), names.len() + 2);
    let tree = published(&scratch, &worktree).await;
    for name in names {
        assert!(tree.contains(&format!("\t{name}\0")), "{name}");
    }
    assert!(tree.contains("d/f\0"));
    let size = worktree.content(&odd, 10).await.unwrap().size;
    assert_eq!(size, 4);
}

#[tokio::test]
async fn a_link_or_directory_swapped_in_never_leads_out_of_the_tree() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let path = worktree.path();
    let outside = scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a.txt"), "secret\n").unwrap();
    fs::write(outside.join("b.txt"), "secret\n").unwrap();
    fs::remove_dir_all(path.join("src")).unwrap();
    symlink(&outside, path.join("src")).unwrap();
    symlink(outside.join("a.txt"), path.join("direct")).unwrap();
    for refused in ["src/a.txt", "direct", "../outside/a.txt", "/etc/passwd", "src", ""] {
        let error = worktree.content(Path::new(refused), 100).await.unwrap_err();
        assert!(matches!(error, WorkspaceError::PathRefused { .. }), "{refused}: {error}");
    }
    let changes = worktree.changes().await.unwrap();
    let told: Vec<_> = changes.iter().map(|c| (c.path.to_str().unwrap(), c.kind)).collect();
    assert_eq!(
        told,
        [
            ("direct", ChangeKind::Added),
            ("src", ChangeKind::Added),
            ("src/a.txt", ChangeKind::Deleted),
            ("src/b.txt", ChangeKind::Deleted)
        ]
    );
    let base = worktree.base().clone();
    assert!(!worktree.diff(&base, 10_000).await.unwrap().text.contains("secret"));
    let commit = worktree.commit("Links", &Identity::default()).await.unwrap().unwrap();
    worktree.reset(&commit).await.unwrap();
    worktree.reset(&base).await.unwrap();
    assert_eq!(fs::read(path.join("src/a.txt")).unwrap(), b"a\nb\nc\n");
    assert!(!fs::symlink_metadata(path.join("src")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 2, "what the link led to is as it was");
    assert_eq!(fs::read(outside.join("a.txt")).unwrap(), b"secret\n");
}

#[tokio::test]
async fn an_inner_repository_is_told_and_never_swallowed() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let path = worktree.path();
    for (name, with_commit) in [("vendor/one", true), ("two", false)] {
        fs::create_dir_all(path.join(name)).unwrap();
        scratch.run(&path.join(name), &["init", "--quiet"]).await;
        if with_commit {
            scratch.fill(&path.join(name)).await;
        } else {
            fs::write(path.join(name).join("f"), "f\n").unwrap();
        }
    }
    fs::write(path.join("plain"), "plain\n").unwrap();
    assert_eq!(change(&worktree, "vendor/one").await.kind, ChangeKind::Submodule);
    assert_eq!(change(&worktree, "two").await.kind, ChangeKind::Submodule);
    assert!(worktree.diff(worktree.base(), 10_000).await.unwrap().text.contains("+plain"));
    let error = worktree.commit("Inner", &Identity::default()).await.unwrap_err();
    assert!(matches!(&error, WorkspaceError::NestedRepositories { paths, .. } if paths.len() == 2), "{error}");
    assert!(error.to_string().contains("vendor/one") && !error.hint().is_empty());
    for name in ["vendor/one", "two"] {
        fs::remove_dir_all(path.join(name).join(".git")).unwrap();
    }
    let tree = published(&scratch, &worktree).await;
    assert!(tree.contains("\tvendor/one/src/a.txt\0") && tree.contains("\ttwo/f\0") && !tree.contains("160000"));
}

#[tokio::test]
async fn a_git_directory_put_into_a_known_directory_hides_nothing() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let source = worktree.path().join("src");
    scratch.run(&source, &["init", "--quiet"]).await;
    fs::write(source.join("a.txt"), "changed\n").unwrap();
    fs::write(source.join("new.txt"), "new\n").unwrap();
    assert_eq!(change(&worktree, "src/a.txt").await.kind, ChangeKind::Modified);
    assert_eq!(change(&worktree, "src/new.txt").await.kind, ChangeKind::Added);
    let tree = published(&scratch, &worktree).await;
    assert!(tree.contains("\tsrc/new.txt\0") && !tree.contains(".git/"));
}

#[tokio::test]
async fn the_agents_own_exclude_file_and_index_flags_hide_nothing() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let path = worktree.path();
    fs::write(path.join(".git/info/exclude"), "*\n").unwrap();
    scratch.run(path, &["update-index", "--assume-unchanged", "README"]).await;
    scratch.run(path, &["update-index", "--skip-worktree", "src/a.txt"]).await;
    fs::write(path.join("README"), "changed\n").unwrap();
    fs::write(path.join("src/a.txt"), "changed\n").unwrap();
    fs::write(path.join("new"), "new\n").unwrap();
    assert_eq!(worktree.changes().await.unwrap().len(), 3);
    fs::write(path.join(".gitignore"), "new\n").unwrap();
    let changes = worktree.changes().await.unwrap();
    assert!(changes.iter().any(Change::alters_ignore_rules), "{changes:?}");
    assert!(changes.iter().all(|change| change.path != Path::new("new")), "rules in the tree do count");
}

#[tokio::test]
async fn the_users_own_ignore_rules_hold_in_the_worktree() {
    let scratch = Scratch::new().await;
    fs::write(scratch.root().join(".git/info/exclude"), "*.mine\n").unwrap();
    fs::create_dir_all(scratch.path().join("home/.config/git")).unwrap();
    fs::write(scratch.path().join("home/.config/git/ignore"), ".DS_Store").unwrap();
    let worktree = scratch.worktree().await;
    for name in ["x.mine", ".DS_Store", "x.log"] {
        fs::write(worktree.path().join(name), "x\n").unwrap();
    }
    assert_eq!(worktree.changes().await.unwrap(), []);
}

#[tokio::test]
async fn names_that_would_be_a_git_directory_elsewhere_are_refused() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    fs::create_dir(worktree.path().join(".GIT")).unwrap();
    fs::write(worktree.path().join(".GIT/config"), "[core]\n").unwrap();
    let error = worktree.commit("Evil", &Identity::default()).await.unwrap_err();
    assert!(error.to_string().contains(".GIT"), "{error}");
    assert!(worktree.commits().await.unwrap().is_empty());
    worktree.reset(&worktree.base().clone()).await.unwrap();
    assert!(!worktree.path().join(".GIT").exists());
}

#[tokio::test]
async fn pipes_and_sockets_neither_block_nor_get_in() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&worktree.path().join("pipe"), mode).unwrap();
    fs::remove_file(worktree.path().join("README")).unwrap();
    nix::unistd::mkfifo(&worktree.path().join("README"), mode).unwrap();
    let changes = worktree.changes().await.unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let outcome = worktree.commit("Pipes", &Identity::default()).await;
    assert!(!matches!(outcome, Err(WorkspaceError::TimedOut { .. })), "{outcome:?}");
    worktree.reset(&worktree.base().clone()).await.unwrap();
    assert_eq!(fs::read(worktree.path().join("README")).unwrap(), b"read me\n");
}

#[tokio::test]
async fn submodules_are_left_empty_kept_in_commits_and_never_filled_unseen() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    let library = scratch.path().join("library");
    fs::create_dir(&library).unwrap();
    scratch.run(&library, &["init", "--quiet"]).await;
    scratch.fill(&library).await;
    scratch.run(&root, &["submodule", "--quiet", "add", library.to_str().unwrap(), "lib"]).await;
    scratch.run(&root, &["commit", "--quiet", "-m", "Library"]).await;
    assert!(scratch.repository().await.uncommitted().await.unwrap().is_empty());
    let worktree = scratch.worktree().await;
    let lib = worktree.path().join("lib");
    assert_eq!(worktree.submodules(), [Path::new("lib")]);
    assert_eq!(fs::read_dir(&lib).unwrap().count(), 0);
    assert_eq!(worktree.changes().await.unwrap(), []);
    fs::remove_dir(&lib).unwrap();
    assert_eq!(worktree.changes().await.unwrap(), [], "an empty directory that was tidied away is no change");
    fs::create_dir(&lib).unwrap();
    fs::write(lib.join("hidden"), "hidden\n").unwrap();
    assert_eq!(change(&worktree, "lib").await.kind, ChangeKind::Submodule);
    assert!(matches!(worktree.commit("x", &Identity::default()).await, Err(WorkspaceError::NestedRepositories { .. })));
    scratch.run(&lib, &["init", "--quiet"]).await;
    scratch.fill(&lib).await;
    assert_eq!(change(&worktree, "lib").await.kind, ChangeKind::Submodule);
    worktree.reset(&worktree.base().clone()).await.unwrap();
    assert_eq!(fs::read_dir(&lib).unwrap().count(), 0);
    fs::write(worktree.path().join("new"), "new\n").unwrap();
    fs::remove_dir(&lib).unwrap();
    let tree = published(&scratch, &worktree).await;
    assert!(tree.contains("160000 commit") && tree.contains("\tlib\0"));
    // The removal that an agent means is a change of .gitmodules too.
    fs::remove_file(worktree.path().join(".gitmodules")).unwrap();
    assert_eq!(change(&worktree, "lib").await.kind, ChangeKind::Deleted);
    let commit = worktree.commit("Without library", &Identity::default()).await.unwrap().unwrap();
    scratch.repository().await.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    assert!(!scratch.run(&root, &["ls-tree", "-r", "orx/run_1"]).await.contains("160000"));
}
