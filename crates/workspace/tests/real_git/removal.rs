//! Removal takes only what orx made, and nothing that would be lost.

use crate::support::Scratch;
use orx_workspace::{Identity, KeptReason, Removal, Worktree};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

async fn committed(scratch: &Scratch) -> (Worktree, orx_workspace::CommitId) {
    let worktree = scratch.worktree().await;
    fs::write(worktree.path().join("new"), "new\n").unwrap();
    let commit = worktree.commit("New", &Identity::default()).await.unwrap().unwrap();
    (worktree, commit)
}

#[tokio::test]
async fn changes_and_unpublished_commits_are_kept_unless_forced() {
    let scratch = Scratch::new().await;
    let (worktree, commit) = committed(&scratch).await;
    assert_eq!(worktree.remove(false).await.unwrap(), Removal::Kept(KeptReason::Unpublished { commits: 1 }));
    let repository = scratch.repository().await;
    repository.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    fs::write(worktree.path().join("later"), "later\n").unwrap();
    assert_eq!(worktree.remove(false).await.unwrap(), Removal::Kept(KeptReason::Uncommitted { paths: 1 }));
    assert!(worktree.path().join("later").exists());
    assert_eq!(worktree.remove(true).await.unwrap(), Removal::Removed);
    assert!(!scratch.worktree_path().exists() && !scratch.git_dir().exists());
    assert_eq!(scratch.commit_of(&scratch.root(), "orx/run_1").await, commit, "the branch stays");
}

#[tokio::test]
async fn commits_that_were_merged_elsewhere_count_as_published() {
    let scratch = Scratch::new().await;
    let (worktree, commit) = committed(&scratch).await;
    let repository = scratch.repository().await;
    repository.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    scratch.run(&scratch.root(), &["merge", "--quiet", "--ff-only", "orx/run_1"]).await;
    scratch.run(&scratch.root(), &["branch", "--quiet", "-D", "orx/run_1"]).await;
    assert_eq!(worktree.remove(false).await.unwrap(), Removal::Removed);
}

#[tokio::test]
async fn a_directory_that_is_not_ours_is_left_even_by_force() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let moved = scratch.path().join("moved");
    fs::rename(worktree.path(), &moved).unwrap();
    fs::create_dir(worktree.path()).unwrap();
    fs::write(worktree.path().join("mine"), "mine").unwrap();
    assert_eq!(worktree.remove(true).await.unwrap(), Removal::Kept(KeptReason::Foreign));
    assert!(worktree.path().join("mine").exists());
    fs::remove_dir_all(worktree.path()).unwrap();
    symlink(&moved, worktree.path()).unwrap();
    assert_eq!(worktree.remove(true).await.unwrap(), Removal::Kept(KeptReason::Foreign));
    fs::remove_file(worktree.path()).unwrap();
    assert_eq!(worktree.remove(false).await.unwrap(), Removal::WasMissing);
    assert!(moved.join("README").exists(), "what the user moved is the user's");
    assert!(!scratch.git_dir().exists());
}

#[tokio::test]
async fn no_link_is_followed_and_closed_directories_are_opened() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let outside = scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("keep"), "keep").unwrap();
    let cache = worktree.path().join("ignored/cache");
    fs::create_dir_all(&cache).unwrap();
    fs::write(cache.join("f"), "f").unwrap();
    symlink(&outside, cache.join("out")).unwrap();
    symlink(&outside, worktree.path().join(".git/objects/out")).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(worktree.remove(false).await.unwrap(), Removal::Removed, "ignored files are no reason to keep it");
    assert_eq!(fs::read(outside.join("keep")).unwrap(), b"keep");
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_finished() {
    let scratch = Scratch::new().await;
    let (worktree, _) = committed(&scratch).await;
    let going = scratch.worktree_path().with_file_name(".run_1.orx-removing");
    fs::rename(scratch.worktree_path(), &going).unwrap();
    fs::remove_file(going.join("README")).unwrap();
    assert_eq!(worktree.remove(false).await.unwrap(), Removal::Removed, "the question was settled when it began");
    assert!(!going.exists() && !scratch.git_dir().exists());
    assert_eq!(worktree.remove(false).await.unwrap(), Removal::WasMissing);
}

#[tokio::test]
async fn a_repository_that_is_gone_keeps_its_commits_safe() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    let outside = scratch.path().join("worktree");
    let repository = scratch.repository().await;
    let base = repository.head().await.unwrap().commit;
    let worktree = Worktree::create(&scratch.git, &repository, &base, &outside, &scratch.git_dir()).await.unwrap();
    fs::write(outside.join("new"), "new\n").unwrap();
    worktree.commit("New", &Identity::default()).await.unwrap().unwrap();
    let hidden = root.join(".git/HEAD");
    fs::rename(&hidden, root.join(".git/hidden")).unwrap();
    let outcome = worktree.remove(false).await.unwrap();
    assert!(matches!(outcome, Removal::Kept(KeptReason::RepositoryUnreadable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn commits_outlive_a_directory_that_somebody_deleted() {
    let scratch = Scratch::new().await;
    let (worktree, commit) = committed(&scratch).await;
    fs::remove_dir_all(worktree.path()).unwrap();
    let remains =
        || async { Worktree::open_remains(&scratch.git, &scratch.worktree_path(), &scratch.git_dir()).await.unwrap() };
    let kept = remains().await.unwrap().remove(false).await.unwrap();
    assert_eq!(kept, Removal::Kept(KeptReason::Unpublished { commits: 1 }));
    // They can still be published, and then nothing is lost by the removal.
    scratch.repository().await.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    assert_eq!(remains().await.unwrap().remove(false).await.unwrap(), Removal::WasMissing);
    assert!(!scratch.git_dir().exists());
    assert!(remains().await.is_none());
}
