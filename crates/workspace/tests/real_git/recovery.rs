//! Crashes at every point, simulated by the states they leave.

use crate::support::{Scratch, content};
use orx_workspace::{Identity, WorkspaceError, Worktree};
use std::fs;

fn author() -> Identity {
    Identity::default()
}

#[tokio::test]
async fn creating_again_after_a_crash_at_any_point_gives_the_same_worktree() {
    for point in 0..4 {
        let scratch = Scratch::new().await;
        let repository = scratch.repository().await;
        let (path, git_dir) = (scratch.worktree_path(), scratch.git_dir());
        let new_path = path.with_file_name(".run_1.orx-creating");
        let new_git_dir = git_dir.with_file_name(".run_1.git.orx-creating");
        match point {
            0 => {
                // Killed while the files were being written.
                fs::create_dir_all(new_path.join("src")).unwrap();
                fs::write(new_path.join("half"), "half").unwrap();
                fs::create_dir_all(new_git_dir.join("objects")).unwrap();
            }
            1 => {
                // Killed before the first rename.
                scratch.create(&repository).await;
                fs::rename(&path, &new_path).unwrap();
                fs::rename(&git_dir, &new_git_dir).unwrap();
            }
            2 => {
                // Killed between the two renames.
                scratch.create(&repository).await;
                fs::rename(&path, &new_path).unwrap();
            }
            _ => {
                scratch.create(&repository).await;
            }
        }
        let worktree = scratch.create(&repository).await;
        assert_eq!(content(&path, &[".git"]), content(&scratch.root(), &[".git", ".worktrees"]), "point {point}");
        assert!(!new_path.exists() && !new_git_dir.exists(), "point {point}");
        assert!(worktree.changes().await.unwrap().is_empty());
        scratch.reopen().await.unwrap();
    }
}

#[tokio::test]
async fn a_place_that_is_taken_is_left_alone() {
    let scratch = Scratch::new().await;
    let repository = scratch.repository().await;
    let base = repository.head().await.unwrap().commit;
    fs::create_dir_all(scratch.worktree_path()).unwrap();
    fs::write(scratch.worktree_path().join("mine"), "mine").unwrap();
    let (path, git_dir) = (scratch.worktree_path(), scratch.git_dir());
    let create = || Worktree::create(&scratch.git, &repository, &base, &path, &git_dir);
    assert!(matches!(create().await, Err(WorkspaceError::WorktreeExists { .. })));
    assert_eq!(fs::read(scratch.worktree_path().join("mine")).unwrap(), b"mine");
    fs::remove_dir_all(scratch.root().join(".worktrees")).unwrap();
    let outside = scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, scratch.root().join(".worktrees")).unwrap();
    assert!(create().await.is_err(), "a link in place of the directory is not followed");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn opening_needs_both_parts_and_the_same_directory() {
    let scratch = Scratch::new().await;
    assert!(matches!(scratch.reopen().await, Err(WorkspaceError::WorktreeMissing { .. })));
    let worktree = scratch.worktree().await;
    let path = worktree.path().to_owned();
    let aside = scratch.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    assert!(matches!(scratch.reopen().await, Err(WorkspaceError::WorktreeMissing { .. })));
    fs::create_dir(&path).unwrap();
    assert!(matches!(scratch.reopen().await, Err(WorkspaceError::Foreign { .. })));
    assert!(matches!(worktree.changes().await, Err(WorkspaceError::Foreign { .. })));
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink(&aside, &path).unwrap();
    assert!(matches!(scratch.reopen().await, Err(WorkspaceError::Foreign { .. })), "a link to it is not it");
    fs::remove_file(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    scratch.reopen().await.unwrap();
    // Without the token the directory is still known by its inode and time of birth.
    fs::remove_dir_all(path.join(".git")).unwrap();
    scratch.reopen().await.unwrap();
}

#[tokio::test]
async fn a_commit_that_was_cut_short_is_made_once() {
    for point in 0..4 {
        let scratch = Scratch::new().await;
        let worktree = scratch.worktree().await;
        let git_dir = scratch.git_dir();
        let index = fs::read(git_dir.join("index")).unwrap();
        fs::write(worktree.path().join("new"), "new\n").unwrap();
        fs::remove_file(worktree.path().join("README")).unwrap();
        match point {
            0 => {
                // Killed while staging.
                worktree.diff(&worktree.base().clone(), 10).await.unwrap();
                fs::write(git_dir.join("staging.lock"), "").unwrap();
                fs::write(git_dir.join("index.lock"), "").unwrap();
            }
            1 => {
                // Killed while the reference was being moved.
                fs::write(git_dir.join("refs/heads/work.lock"), "").unwrap();
                fs::write(git_dir.join("HEAD.lock"), "").unwrap();
            }
            2 => {
                // Killed after the reference was moved and before the index followed.
                worktree.commit("New", &author()).await.unwrap().unwrap();
                fs::copy(git_dir.join("index"), git_dir.join("staging")).unwrap();
                fs::write(git_dir.join("index"), &index).unwrap();
            }
            _ => {
                // The index is torn.
                fs::write(git_dir.join("index"), &index[..index.len() / 2]).unwrap();
            }
        }
        let worktree = scratch.reopen().await.unwrap();
        let again = worktree.commit("New", &author()).await.unwrap();
        assert_eq!(again.is_some(), point != 2, "point {point}");
        assert_eq!(worktree.commits().await.unwrap().len(), 1, "point {point}");
        assert!(worktree.changes().await.unwrap().is_empty(), "point {point}");
        assert_eq!(worktree.commit("New", &author()).await.unwrap(), None);
    }
}

/// The reference moves before the index follows, so a death between the two leaves an index of the commit before. The files
/// are newer than it then, and may be newer than the commit too.
#[tokio::test]
async fn a_death_between_reference_and_index_keeps_every_file_as_it_is() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let index = scratch.git_dir().join("index");
    let before = fs::read(&index).unwrap();
    fs::write(worktree.path().join("src/a.txt"), "a\nchanged\nc\n").unwrap();
    fs::write(worktree.path().join("new"), "new\n").unwrap();
    fs::remove_file(worktree.path().join("src/b.txt")).unwrap();
    fs::rename(worktree.path().join("tool.sh"), worktree.path().join("renamed.sh")).unwrap();
    let commit = worktree.commit("All sorts of changes", &author()).await.unwrap().unwrap();
    fs::write(&index, &before).unwrap();
    // The agent went on meanwhile: in a file of the commit, and in others.
    fs::write(worktree.path().join("src/a.txt"), "a\nchanged again\nc\n").unwrap();
    fs::write(worktree.path().join("src/b.txt"), "back\n").unwrap();
    fs::write(worktree.path().join("later"), "later\n").unwrap();
    let files = content(worktree.path(), &[".git"]);

    let worktree = scratch.reopen().await.unwrap();
    let changed: Vec<_> = worktree
        .changes()
        .await
        .unwrap()
        .into_iter()
        .map(|change| change.path.to_string_lossy().into_owned())
        .collect();
    assert_eq!(changed, ["later", "src/a.txt", "src/b.txt"]);
    assert_eq!(content(worktree.path(), &[".git"]), files, "putting the index right wrote to a file");
    assert_eq!(worktree.tip().await.unwrap(), commit);
    let next = worktree.commit("What came later", &author()).await.unwrap().unwrap();
    assert_eq!(worktree.commits().await.unwrap().len(), 2);
    assert_eq!(worktree.tip().await.unwrap(), next);
    assert!(worktree.changes().await.unwrap().is_empty());
    assert_eq!(content(worktree.path(), &[".git"]), files);
}

#[tokio::test]
async fn a_commit_whose_caller_goes_away_leaves_a_worktree_that_works() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    for round in 0..6u64 {
        fs::write(worktree.path().join("new"), format!("{round}\n")).unwrap();
        let author = author();
        let cut = tokio::time::timeout(std::time::Duration::from_millis(8 * round), worktree.commit("Cut", &author));
        let _ = cut.await;
        worktree.commit("Cut", &author).await.unwrap();
        assert!(worktree.changes().await.unwrap().is_empty());
        assert_eq!(worktree.commits().await.unwrap().len(), usize::try_from(round).unwrap() + 1);
    }
}

#[tokio::test]
async fn a_publish_that_was_cut_short_is_finished_by_the_next() {
    let scratch = Scratch::new().await;
    let repository = scratch.repository().await;
    let worktree = scratch.create(&repository).await;
    fs::write(worktree.path().join("new"), "new\n").unwrap();
    let commit = worktree.commit("New", &author()).await.unwrap().unwrap();
    // Objects are there, the reference is not; and an earlier packing left its files.
    repository.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    repository.delete_branch("orx/run_1", &commit).await.unwrap();
    fs::create_dir(scratch.git_dir().join("outgoing")).unwrap();
    fs::write(scratch.git_dir().join("outgoing/pack-half.pack"), "half").unwrap();
    repository.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    assert_eq!(scratch.commit_of(&scratch.root(), "orx/run_1").await, commit);
    scratch.run(&scratch.root(), &["fsck", "--strict"]).await;
    let packs = fs::read_dir(scratch.root().join(".git/objects/pack")).unwrap();
    assert!(packs.flatten().all(|entry| !entry.file_name().to_string_lossy().contains("half")));
}
