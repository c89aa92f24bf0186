//! Repositories of every shape: each is used or refused with words.

use crate::support::{Scratch, content};
use orx_protocol::error::ErrorKind;
use orx_protocol::error::RpcError;
use orx_workspace::{Identity, Published, Repository, WorkspaceError, Worktree};
use std::fs;
use std::path::Path;

async fn refused(scratch: &Scratch, directory: &Path) -> WorkspaceError {
    let error = Repository::open(&scratch.git, directory).await.unwrap_err();
    assert!(error.to_string().contains(directory.file_name().unwrap().to_str().unwrap()), "{error} does not say where");
    error
}

/// Creates, commits and publishes from a repository, and gives the commit back to the caller.
async fn works(scratch: &Scratch, repository: &Repository) -> Worktree {
    let worktree = scratch.create(repository).await;
    fs::write(worktree.path().join("new"), "new\n").unwrap();
    let commit = worktree.commit("New", &Identity::default()).await.unwrap().unwrap();
    assert_eq!(repository.publish(&worktree, "orx/run_1", &commit).await.unwrap(), Published::Created);
    assert_eq!(scratch.commit_of(repository.root(), "orx/run_1").await, commit);
    worktree
}

#[tokio::test]
async fn what_is_no_repository_with_a_commit_and_a_checkout_is_refused() {
    let scratch = Scratch::empty().await;
    let plain = scratch.path().join("plain");
    fs::create_dir(&plain).unwrap();
    assert!(matches!(refused(&scratch, &plain).await, WorkspaceError::NotARepository { .. }));
    fs::write(plain.join("file"), "").unwrap();
    assert!(matches!(refused(&scratch, &plain.join("file")).await, WorkspaceError::NotARepository { .. }));
    assert!(matches!(refused(&scratch, &plain.join("missing")).await, WorkspaceError::File { .. }));
    scratch.run(&scratch.path(), &["init", "--quiet", "--bare", "bare"]).await;
    assert!(matches!(refused(&scratch, &scratch.path().join("bare")).await, WorkspaceError::Bare { .. }));
    scratch.run(&scratch.path(), &["init", "--quiet", "unborn"]).await;
    let error = refused(&scratch, &scratch.path().join("unborn")).await;
    assert!(matches!(error, WorkspaceError::Unborn { .. }));
    let wire = RpcError::from(error);
    assert_eq!(wire.kind(), ErrorKind::FailedPrecondition);
    assert!(wire.data.hint.contains("commit"), "{}", wire.data.hint);
    assert!(Repository::open(&scratch.git, &scratch.path().join("unborn/.git")).await.is_err());
}

#[tokio::test]
async fn a_repository_of_somebody_else_needs_the_users_word() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new().await;
    std::os::unix::fs::chown(scratch.root(), Some(65534), Some(65534)).unwrap();
    std::os::unix::fs::chown(scratch.root().join(".git"), Some(65534), Some(65534)).unwrap();
    let error = refused(&scratch, &scratch.root()).await;
    assert!(matches!(error, WorkspaceError::NotTrusted { .. }) && error.hint().contains("safe.directory"));
    let root = scratch.root();
    scratch.run(&scratch.path(), &["config", "--global", "--add", "safe.directory", root.to_str().unwrap()]).await;
    works(&scratch, &scratch.repository().await).await;
}

#[tokio::test]
async fn bases_are_branches_remote_branches_tags_or_commits_and_missing_ones_are_helped() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    scratch.run(&root, &["branch", "feature/login"]).await;
    scratch.run(&root, &["tag", "-a", "v1", "-m", "v1", "HEAD~1"]).await;
    scratch.run(&root, &["update-ref", "refs/remotes/origin/dev", "HEAD~1"]).await;
    // A subdirectory is enough to find it.
    let repository = Repository::open(&scratch.git, &root.join("src")).await.unwrap();
    assert_eq!(repository.root(), root);
    let (head, first) = (scratch.commit_of(&root, "HEAD").await, scratch.commit_of(&root, "HEAD~1").await);
    assert_eq!(repository.head().await.unwrap().branch.as_deref(), Some("main"));
    for (name, commit) in
        [("main", &head), ("refs/heads/main", &head), ("v1", &first), ("origin/dev", &first), (first.as_str(), &first)]
    {
        assert_eq!(repository.branch(name).await.unwrap().commit, *commit, "{name}");
    }
    let error = repository.branch("feature/logni").await.unwrap_err();
    assert!(error.to_string().contains("there are: feature/login"), "{error}");
    for bad in ["", "-x", "main~1", "HEAD", "main:README", "@{-1}", "ma*"] {
        assert!(matches!(repository.branch(bad).await, Err(WorkspaceError::BadBranch { .. })), "{bad}");
    }
}

#[tokio::test]
async fn a_detached_head_has_no_branch_and_works() {
    let scratch = Scratch::new().await;
    scratch.run(&scratch.root(), &["switch", "--quiet", "--detach", "HEAD~1"]).await;
    let repository = scratch.repository().await;
    let head = repository.head().await.unwrap();
    assert_eq!((head.branch, head.commit), (None, scratch.commit_of(&scratch.root(), "main~1").await));
    works(&scratch, &repository).await;
}

#[tokio::test]
async fn a_sha_256_repository_works() {
    let scratch = Scratch::empty().await;
    scratch.run(&scratch.path(), &["init", "--quiet", "--object-format=sha256", "repository"]).await;
    scratch.fill(&scratch.root()).await;
    let worktree = works(&scratch, &scratch.repository().await).await;
    assert_eq!(worktree.base().as_str().len(), 64);
    scratch.run(worktree.path(), &["status"]).await;
}

#[tokio::test]
async fn a_shallow_clone_works_and_stays_shallow() {
    let scratch = Scratch::empty().await;
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    scratch.run(&source, &["init", "--quiet"]).await;
    scratch.fill(&source).await;
    let address = format!("file://{}", source.display());
    scratch.run(&scratch.path(), &["clone", "--quiet", "--depth=1", &address, "repository"]).await;
    let repository = scratch.repository().await;
    assert!(repository.is_shallow());
    let shallow = fs::read(scratch.root().join(".git/shallow")).unwrap();
    let worktree = works(&scratch, &repository).await;
    assert_eq!(fs::read(scratch.root().join(".git/shallow")).unwrap(), shallow);
    assert_eq!(scratch.run(worktree.path(), &["log", "--format=%s"]).await, "Second");
    assert_eq!(scratch.run(&scratch.root(), &["log", "--format=%s", "orx/run_1"]).await, "New\nSecond");
}

#[tokio::test]
async fn a_linked_worktree_of_the_users_works_and_its_branch_is_not_moved() {
    let scratch = Scratch::new().await;
    let main = scratch.path().join("main");
    fs::rename(scratch.root(), &main).unwrap();
    scratch.run(&main, &["worktree", "add", "--quiet", "-b", "side", scratch.root().to_str().unwrap()]).await;
    let repository = scratch.repository().await;
    assert_eq!(repository.head().await.unwrap().branch.as_deref(), Some("side"));
    fs::write(scratch.root().join("README"), "changed\n").unwrap();
    assert_eq!(repository.uncommitted().await.unwrap().modified, [Path::new("README")]);
    let worktree = works(&scratch, &repository).await;
    assert!(fs::read_to_string(main.join(".git/info/exclude")).unwrap().contains("/.worktrees/"));
    let tip = worktree.tip().await.unwrap();
    let error = repository.publish(&worktree, "main", &tip).await.unwrap_err();
    assert!(matches!(&error, WorkspaceError::BranchCheckedOut { at, .. } if *at == main), "{error}");
    assert_eq!(scratch.commit_of(&main, "orx/run_1").await, tip);
}

#[tokio::test]
async fn a_repository_that_borrows_objects_works() {
    let scratch = Scratch::empty().await;
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    scratch.run(&source, &["init", "--quiet"]).await;
    scratch.fill(&source).await;
    scratch.run(&scratch.path(), &["clone", "--quiet", "--shared", "source", "middle"]).await;
    scratch.run(&scratch.path(), &["clone", "--quiet", "--shared", "middle", "repository"]).await;
    let worktree = works(&scratch, &scratch.repository().await).await;
    assert_eq!(content(worktree.path(), &[".git", "new"]), content(&source, &[".git"]));
}

#[tokio::test]
async fn a_sparse_checkout_is_clean_and_the_worktree_is_whole() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    scratch.run(&root, &["sparse-checkout", "set", "--cone", "--sparse-index", "none"]).await;
    assert!(!root.join("src").exists());
    let repository = scratch.repository().await;
    assert!(repository.uncommitted().await.unwrap().is_empty());
    assert!(works(&scratch, &repository).await.path().join("src/a.txt").exists());
}

#[tokio::test]
async fn a_split_index_with_converted_line_ends_is_read_as_the_user_sees_it() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    scratch.run(&root, &["config", "core.autocrlf", "true"]).await;
    scratch.run(&root, &["config", "core.splitIndex", "true"]).await;
    fs::remove_file(root.join("src/a.txt")).unwrap();
    scratch.run(&root, &["checkout", "--quiet", "src/a.txt"]).await;
    scratch.run(&root, &["update-index", "--split-index"]).await;
    assert_eq!(fs::read(root.join("src/a.txt")).unwrap(), b"a\r\nb\r\nc\r\n");
    let repository = scratch.repository().await;
    assert!(repository.uncommitted().await.unwrap().is_empty());
    fs::write(root.join("src/b.txt"), "changed\n").unwrap();
    assert_eq!(repository.uncommitted().await.unwrap().modified, [Path::new("src/b.txt")]);
    let worktree = works(&scratch, &repository).await;
    assert_eq!(fs::read(worktree.path().join("src/a.txt")).unwrap(), b"a\nb\nc\n", "bytes are those of the commit");
}

#[tokio::test]
async fn a_base_that_was_moved_by_force_keeps_the_run_whole() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    let repository = scratch.repository().await;
    let worktree = scratch.create(&repository).await;
    scratch.run(&root, &["commit", "--quiet", "--amend", "-m", "Rewritten"]).await;
    fs::write(worktree.path().join("new"), "new\n").unwrap();
    let commit = worktree.commit("New", &Identity::default()).await.unwrap().unwrap();
    repository.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    assert_eq!(scratch.run(&root, &["log", "--format=%s", "orx/run_1"]).await, "New\nSecond\nFirst");
}

#[tokio::test]
async fn objects_that_are_missing_are_said_before_a_branch_names_them() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    let repository = scratch.repository().await;
    let worktree = scratch.create(&repository).await;
    fs::write(worktree.path().join("new"), "new\n").unwrap();
    let commit = worktree.commit("New", &Identity::default()).await.unwrap().unwrap();
    let blob = scratch.run(&root, &["rev-parse", "HEAD:src/a.txt"]).await;
    fs::remove_file(root.join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let base = worktree.base().clone();
    let (other, other_git) = (scratch.root().join(".worktrees/run_2"), scratch.path().join("state/run_2.git"));
    let error = Worktree::create(&scratch.git, &repository, &base, &other, &other_git).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::ObjectsMissing { .. }), "{error}");
    assert!(!other.exists() && !other_git.exists());
    let first = scratch.commit_of(&root, "HEAD~1").await;
    fs::write(root.join(".git/refs/heads/main"), format!("{first}\n")).unwrap();
    fs::remove_file(root.join(".git/objects").join(&base.as_str()[..2]).join(&base.as_str()[2..])).unwrap();
    let error = repository.publish(&worktree, "orx/run_1", &commit).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::ObjectsMissing { .. }), "{error}");
    assert!(!root.join(".git/refs/heads/orx").exists());
}

#[tokio::test]
async fn a_commit_that_the_repository_lacks_is_no_base() {
    let scratch = Scratch::new().await;
    let repository = scratch.repository().await;
    let base = "c".repeat(40).parse().unwrap();
    let outcome =
        Worktree::create(&scratch.git, &repository, &base, &scratch.worktree_path(), &scratch.git_dir()).await;
    assert!(matches!(outcome, Err(WorkspaceError::ObjectsMissing { .. })));
    let relative = Worktree::create(&scratch.git, &repository, &base, Path::new("relative"), &scratch.git_dir()).await;
    assert!(matches!(relative, Err(WorkspaceError::BadPlace { .. })));
}

#[tokio::test]
async fn large_file_pointers_stay_pointers() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n";
    fs::write(root.join("big.bin"), pointer).unwrap();
    fs::write(root.join(".gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n").unwrap();
    scratch.run(&root, &["add", "."]).await;
    scratch.run(&root, &["commit", "--quiet", "-m", "Large"]).await;
    let worktree = works(&scratch, &scratch.repository().await).await;
    assert_eq!(fs::read_to_string(worktree.path().join("big.bin")).unwrap(), pointer);
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_can_hold_a_repository() {
    use std::os::unix::ffi::OsStrExt;
    let scratch = Scratch::new().await;
    let odd = scratch.path().join(std::ffi::OsStr::from_bytes(b"od\xff d\"ir"));
    fs::rename(scratch.root(), &odd).unwrap();
    let repository = Repository::open(&scratch.git, &odd).await.unwrap();
    assert_eq!(repository.root(), odd);
    let base = repository.head().await.unwrap().commit;
    let worktree = Worktree::create(&scratch.git, &repository, &base, &odd.join(".worktrees/r"), &scratch.git_dir())
        .await
        .unwrap();
    fs::write(worktree.path().join("new"), "new\n").unwrap();
    let commit = worktree.commit("New", &Identity::default()).await.unwrap().unwrap();
    repository.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    assert!(repository.uncommitted().await.unwrap().untracked.len() <= 1);
}
