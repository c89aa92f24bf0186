//! Create, change, commit, publish, remove; and what of the user's stays as it was.

use crate::support::{Scratch, content, listing};
use orx_workspace::{Fingerprint, Identity, Published, Removal, WorkspaceError};
use std::fs;
use std::path::Path;

fn author() -> Identity {
    Identity { name: "Ada".into(), email: "ada@example.org".into() }
}

#[tokio::test]
async fn a_worktree_holds_exactly_the_base_commit() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    assert_eq!(
        content(worktree.path(), &[".git"]),
        content(&scratch.root(), &[".git", ".worktrees"]),
        "files, modes and links are those of the user's clean checkout"
    );
    assert!(worktree.changes().await.unwrap().is_empty());
    // The agent's own git works there and shares nothing.
    assert_eq!(scratch.run(worktree.path(), &["status", "--porcelain"]).await, "");
    scratch.run(worktree.path(), &["commit", "--quiet", "--allow-empty", "-m", "Agent"]).await;
    assert_eq!(scratch.run(worktree.path(), &["log", "--format=%an"]).await, "Ada User\nAda User\nAda User");
    assert_eq!(worktree.tip().await.unwrap(), *worktree.base());
}

#[tokio::test]
async fn the_whole_cycle_leaves_the_user_with_one_new_branch_and_nothing_else() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    // A dirty checkout with a stash, something staged, something modified, something new.
    fs::write(root.join("README"), "stashed\n").unwrap();
    scratch.run(&root, &["stash", "--quiet"]).await;
    fs::write(root.join("src/b.txt"), "staged\n").unwrap();
    scratch.run(&root, &["add", "src/b.txt"]).await;
    fs::write(root.join("src/a.txt"), "modified\n").unwrap();
    fs::write(root.join("new.txt"), "new\n").unwrap();
    scratch.run(&root, &["branch", "other"]).await;

    let repository = scratch.repository().await;
    repository.exclude(&["/.worktrees/"]).await.unwrap();
    let skip = [".worktrees", ".git/objects", ".git/info", ".git/refs/heads/orx", ".git/logs/refs/heads/orx"];
    let before: (Fingerprint, _) = (repository.snapshot().await.unwrap(), listing(&root, &skip));

    let found = repository.uncommitted().await.unwrap();
    assert_eq!(found.staged, [Path::new("src/b.txt")]);
    assert_eq!(found.modified, [Path::new("src/a.txt")]);
    assert_eq!(found.untracked, [Path::new("new.txt")]);

    let worktree = scratch.create(&repository).await;
    assert_eq!(fs::read(worktree.path().join("src/a.txt")).unwrap(), b"a\nb\nc\n", "the base, not the dirty checkout");
    fs::write(worktree.path().join("src/a.txt"), "a\nB\nc\n").unwrap();
    fs::write(worktree.path().join("src/new.rs"), "fn main() {}\n").unwrap();
    fs::remove_file(worktree.path().join("src/b.txt")).unwrap();
    let commit = worktree.commit("Change\n\nOrx-Run: run_1\nOrx-Item: W001", &author()).await.unwrap().unwrap();
    assert_eq!(repository.publish(&worktree, "orx/run_1", &commit).await.unwrap(), Published::Created);
    assert_eq!(repository.publish(&worktree, "orx/run_1", &commit).await.unwrap(), Published::Unchanged);
    fs::write(worktree.path().join("more"), "more\n").unwrap();
    let second = worktree.commit("More", &author()).await.unwrap().unwrap();
    assert_eq!(repository.publish(&worktree, "orx/run_1", &second).await.unwrap(), Published::Advanced);
    assert_eq!(worktree.remove(false).await.unwrap(), Removal::Removed);
    assert!(!scratch.worktree_path().exists() && !scratch.git_dir().exists());

    let mut after = repository.snapshot().await.unwrap();
    assert_eq!(after.references.remove("refs/heads/orx/run_1"), Some(format!("{second} ")));
    assert_eq!(
        (after, listing(&root, &skip)),
        before,
        "the checkout, index, stash, branches and settings are as they were"
    );
    assert_eq!(scratch.run(&root, &["show", "orx/run_1:src/a.txt"]).await, "a\nB\nc");
    scratch.run(&root, &["fsck", "--strict"]).await;
    assert!(!root.join(".git/FETCH_HEAD").exists());
}

#[tokio::test]
async fn each_commit_holds_only_what_changed_since_the_one_before() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    assert_eq!(worktree.commit("Nothing", &author()).await.unwrap(), None);
    fs::write(worktree.path().join("one"), "1\n").unwrap();
    let first = worktree.commit("One\n\nOrx-Run: run_1\nOrx-Item: W001\n", &author()).await.unwrap().unwrap();
    assert_eq!(
        worktree.commit("One", &author()).await.unwrap(),
        None,
        "the second item did nothing and passes for nothing"
    );
    fs::write(worktree.path().join("two"), "2\n").unwrap();
    assert_eq!(worktree.changes().await.unwrap().len(), 1);
    let second = worktree.commit("Two", &author()).await.unwrap().unwrap();
    let commits = worktree.commits().await.unwrap();
    assert_eq!(commits.iter().map(|info| &info.commit).collect::<Vec<_>>(), [&first, &second]);
    assert_eq!(commits[0].subject, "One");
    assert_eq!(commits[0].trailer("Orx-Item"), Some("W001"));
    assert_eq!(commits[1].trailers, []);
    assert_eq!(worktree.tip().await.unwrap(), second);
}

#[tokio::test]
async fn a_message_that_git_cannot_keep_is_refused_and_odd_authors_are_made_usable() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    fs::write(worktree.path().join("one"), "1\n").unwrap();
    for bad in ["", " \n", "a\0b"] {
        assert!(matches!(worktree.commit(bad, &author()).await, Err(WorkspaceError::BadMessage { .. })));
    }
    let odd = Identity { name: "<>".into(), email: "\n".into() };
    let commit = worktree.commit("-m looks like an option\n\n# kept", &odd).await.unwrap().unwrap();
    let repository = scratch.repository().await;
    repository.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    let shown = scratch.run(&scratch.root(), &["log", "-1", "--format=%an <%ae>%n%B", "orx/run_1"]).await;
    assert_eq!(shown, "orx <orx@localhost>\n-m looks like an option\n\n# kept");
}

#[tokio::test]
async fn diffs_show_new_files_stop_at_the_limit_and_count_lines() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    fs::write(worktree.path().join("src/a.txt"), "a\nB\nc\n").unwrap();
    fs::write(worktree.path().join("new"), "new\n").unwrap();
    fs::write(worktree.path().join("image"), b"\0\x01\x02").unwrap();
    let base = worktree.base().clone();
    let diff = worktree.diff(&base, 100_000).await.unwrap();
    assert!(!diff.truncated && diff.text.contains("+++ b/new\n") && diff.text.contains("-b\n+B\n"), "{}", diff.text);
    let short = worktree.diff(&base, 120).await.unwrap();
    assert!(short.truncated && short.text.len() <= 120 && short.text.ends_with('\n'));
    let stats = worktree.diff_stats(&base).await.unwrap();
    assert_eq!((stats.files.len(), stats.insertions, stats.deletions), (3, 2, 1));
    assert_eq!(worktree.changes().await.unwrap().len(), 3, "a diff leaves nothing staged");
    let commit = worktree.commit("All", &author()).await.unwrap().unwrap();
    assert_eq!(worktree.diff(&commit, 1000).await.unwrap().text, "");
    assert!(worktree.diff(&base, 100_000).await.unwrap().text.contains("+++ b/new\n"));
    let stranger = "a".repeat(40).parse().unwrap();
    assert!(matches!(worktree.diff(&stranger, 10).await, Err(WorkspaceError::NotOurs { .. })));
}

#[tokio::test]
async fn a_reset_throws_away_the_agents_changes_and_keeps_ignored_files() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let path = worktree.path().to_owned();
    let clean = content(&path, &[".git"]);
    fs::write(path.join("one"), "1\n").unwrap();
    let first = worktree.commit("One", &author()).await.unwrap().unwrap();
    let with_one = content(&path, &[".git"]);
    fs::write(path.join("README"), "changed\n").unwrap();
    fs::remove_dir_all(path.join("src")).unwrap();
    fs::write(path.join("src"), "a file now\n").unwrap();
    fs::create_dir_all(path.join("deep/empty")).unwrap();
    fs::write(path.join("deep/new"), "new\n").unwrap();
    fs::create_dir_all(path.join("nested/.git/objects")).unwrap();
    fs::write(path.join(".gitignore"), "ignored/\nhidden\n").unwrap();
    fs::write(path.join("hidden"), "by a rule of the agent\n").unwrap();
    fs::create_dir_all(path.join("ignored")).unwrap();
    fs::write(path.join("ignored/cache"), "kept\n").unwrap();
    worktree.reset(&first).await.unwrap();
    assert_eq!(content(&path, &[".git", "ignored", "ignored/cache"]), with_one);
    assert_eq!(fs::read(path.join("ignored/cache")).unwrap(), b"kept\n");
    assert!(worktree.changes().await.unwrap().is_empty());
    let base = worktree.base().clone();
    worktree.reset(&base).await.unwrap();
    assert_eq!(content(&path, &[".git", "ignored", "ignored/cache"]), clean);
    assert!(worktree.commits().await.unwrap().is_empty(), "the commit no longer counts");
    assert!(matches!(worktree.reset(&first).await, Err(WorkspaceError::NotOurs { .. })));
}

#[tokio::test]
async fn files_are_set_back_without_losing_what_came_after() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    let path = worktree.path().to_owned();
    fs::write(path.join("one"), "1\n").unwrap();
    let first = worktree.commit("One", &author()).await.unwrap().unwrap();
    let with_one = content(&path, &[".git"]);
    fs::write(path.join("one"), "2\n").unwrap();
    fs::write(path.join("two"), "2\n").unwrap();
    let second = worktree.commit("Two", &author()).await.unwrap().unwrap();
    let with_two = content(&path, &[".git"]);
    fs::write(path.join("three"), "never committed\n").unwrap();
    let back = worktree.restore(&first, "Back to one", &author()).await.unwrap();
    assert_eq!(content(&path, &[".git"]), with_one);
    assert!(back != first && back != second);
    worktree.restore(&second, "On to two", &author()).await.unwrap();
    assert_eq!(content(&path, &[".git"]), with_two, "what came after is still there to go to");
    let same = worktree.tip().await.unwrap();
    assert_eq!(worktree.restore(&second, "Again", &author()).await.unwrap(), same, "nothing to do makes no commit");
}

#[tokio::test]
async fn a_branch_with_other_commits_or_a_checkout_is_not_moved() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    let repository = scratch.repository().await;
    let worktree = scratch.create(&repository).await;
    fs::write(worktree.path().join("one"), "1\n").unwrap();
    let commit = worktree.commit("One", &author()).await.unwrap().unwrap();
    scratch.run(&root, &["switch", "--quiet", "-c", "taken"]).await;
    scratch.run(&root, &["commit", "--quiet", "--allow-empty", "-m", "Other"]).await;
    scratch.run(&root, &["switch", "--quiet", "main"]).await;
    let before = repository.snapshot().await.unwrap();
    let publish = |branch: &'static str| repository.publish(&worktree, branch, &commit);
    assert!(matches!(publish("taken").await, Err(WorkspaceError::BranchExists { .. })));
    assert!(matches!(publish("main").await, Err(WorkspaceError::BranchCheckedOut { .. })));
    assert!(matches!(publish("main/below").await, Err(WorkspaceError::BranchBlocked { .. })));
    assert!(matches!(publish("-bad").await, Err(WorkspaceError::BadBranch { .. })));
    let stranger = "b".repeat(40).parse().unwrap();
    assert!(matches!(repository.publish(&worktree, "orx/1", &stranger).await, Err(WorkspaceError::NotOurs { .. })));
    assert_eq!(repository.snapshot().await.unwrap(), before);
    publish("orx/1").await.unwrap();
    assert!(matches!(repository.delete_branch("taken", &commit).await, Err(WorkspaceError::BranchExists { .. })));
    repository.delete_branch("orx/1", &commit).await.unwrap();
    assert_eq!(repository.snapshot().await.unwrap(), before);
}

#[tokio::test]
async fn a_push_goes_to_the_named_remote_alone() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    let remote = scratch.path().join("remote.git");
    scratch.run(&scratch.path(), &["init", "--quiet", "--bare", "remote.git"]).await;
    scratch.run(&root, &["remote", "add", "origin", remote.to_str().unwrap()]).await;
    let repository = scratch.repository().await;
    let error = repository.push("elsewhere", "main").await.unwrap_err();
    assert!(matches!(&error, WorkspaceError::RemoteMissing { available, .. } if available == &["origin"]), "{error}");
    assert!(matches!(repository.push("origin", "nothing").await, Err(WorkspaceError::BaseMissing { .. })));
    repository.push("origin", "main").await.unwrap();
    assert_eq!(scratch.commit_of(&remote, "main").await, scratch.commit_of(&root, "main").await);
}

#[tokio::test]
async fn operations_at_the_same_time_do_not_disturb_each_other() {
    let scratch = Scratch::new().await;
    let worktree = scratch.worktree().await;
    fs::write(worktree.path().join("one"), "1\n").unwrap();
    let base = worktree.base().clone();
    let author = author();
    let (changes, diff, commit, again, exclude) = tokio::join!(
        worktree.changes(),
        worktree.diff(&base, 10_000),
        worktree.commit("One", &author),
        worktree.commit("One", &author),
        async { scratch.repository().await.exclude(&["/runs/"]).await }
    );
    changes.unwrap();
    assert!(diff.unwrap().text.contains("+++ b/one"));
    let made = [commit.unwrap(), again.unwrap()];
    assert_eq!(made.iter().flatten().count(), 1);
    exclude.unwrap();
    assert_eq!(worktree.commits().await.unwrap().len(), 1);
}
