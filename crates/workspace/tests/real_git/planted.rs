//! Programs planted wherever git looks for one: none runs when orx runs git.

use crate::support::Scratch;
use orx_workspace::{Identity, Repository, Worktree};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const HOOKS: [&str; 24] = [
    "applypatch-msg",
    "pre-applypatch",
    "post-applypatch",
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-rebase",
    "post-checkout",
    "post-merge",
    "pre-push",
    "pre-receive",
    "update",
    "proc-receive",
    "post-receive",
    "post-update",
    "reference-transaction",
    "push-to-checkout",
    "pre-auto-gc",
    "post-rewrite",
    "sendemail-validate",
    "fsmonitor-watchman",
    "post-index-change",
];

/// A way to plant a program: settings for a configuration file, with `PROGRAM` where the program goes, and attributes.
struct Vector {
    name: &'static str,
    config: &'static str,
    attributes: &'static str,
}

const fn vector(name: &'static str, config: &'static str, attributes: &'static str) -> Vector {
    Vector { name, config, attributes }
}

const VECTORS: [Vector; 25] = [
    vector("fsmonitor", "[core]\nfsmonitor = PROGRAM\n", ""),
    vector("hooks-path", "[core]\nhooksPath = HOOKS\n", ""),
    vector("hooks-directory", "", ""),
    vector("filter-clean", "[filter \"x\"]\nclean = PROGRAM\n", "* filter=x\n"),
    vector("filter-smudge", "[filter \"x\"]\nsmudge = PROGRAM\nrequired = true\n", "* filter=x\n"),
    vector("filter-process", "[filter \"x\"]\nprocess = PROGRAM\n", "* filter=x\n"),
    vector("diff-command", "[diff \"x\"]\ncommand = PROGRAM\n", "* diff=x\n"),
    vector("diff-textconv", "[diff \"x\"]\ntextconv = PROGRAM\n", "* diff=x\n"),
    vector("diff-external", "[diff]\nexternal = PROGRAM\n", ""),
    vector("merge-driver", "[merge \"x\"]\ndriver = PROGRAM\n", "* merge=x\n"),
    vector(
        "gpg",
        "[gpg]\nprogram = PROGRAM\n[commit]\ngpgSign = true\n[tag]\ngpgSign = true\n[log]\nshowSignature = true\n",
        "",
    ),
    vector(
        "gpg-ssh",
        "[gpg]\nformat = ssh\n[gpg \"ssh\"]\nprogram = PROGRAM\ndefaultKeyCommand = PROGRAM\n[commit]\ngpgSign = true\n",
        "",
    ),
    vector("include", "[include]\npath = INCLUDED\n", "* filter=x diff=x\n"),
    vector("include-if", "[includeIf \"gitdir:/\"]\npath = INCLUDED\n", "* filter=x diff=x\n"),
    vector("worktree-config", "[extensions]\nworktreeConfig = true\n", "* filter=x\n"),
    vector(
        "alias",
        "[alias]\nstatus = !PROGRAM\nadd = !PROGRAM\nupdate-ref = !PROGRAM\nfetch = !PROGRAM\nconfig = !PROGRAM\n",
        "",
    ),
    vector("credential", "[credential]\nhelper = !PROGRAM\n", ""),
    vector(
        "ssh",
        "[core]\nsshCommand = PROGRAM\ngitProxy = PROGRAM\n[remote \"origin\"]\nurl = ssh://localhost/x\nfetch = +refs/*:refs/*\n",
        "",
    ),
    vector("rewritten-address", "[url \"ext::sh -c PROGRAM \"]\ninsteadOf = /\n[protocol]\nallow = always\n", ""),
    vector(
        "upload-pack",
        "[uploadpack]\npackObjectsHook = PROGRAM\n[remote \"origin\"]\nurl = /\nuploadpack = PROGRAM\n",
        "",
    ),
    vector(
        "pager-and-editor",
        "[core]\npager = PROGRAM\neditor = PROGRAM\naskPass = PROGRAM\n[sequence]\neditor = PROGRAM\n[pager]\nstatus = PROGRAM\nlog = PROGRAM\nconfig = PROGRAM\nfor-each-ref = PROGRAM\n",
        "",
    ),
    vector("alternate-refs", "[core]\nalternateRefsCommand = PROGRAM\n", ""),
    vector(
        "submodule",
        "[submodule \"sub\"]\nupdate = !PROGRAM\nurl = ext::PROGRAM\nactive = true\n[submodule]\nrecurse = true\n[diff]\nignoreSubmodules = none\n",
        "",
    ),
    vector("trailer", "[trailer \"Orx-Run\"]\ncommand = PROGRAM\ncmd = PROGRAM\n", ""),
    vector(
        "promisor",
        "[remote \"origin\"]\nurl = ext::PROGRAM\npromisor = true\nvcs = ext\n[extensions]\npartialClone = origin\n",
        "",
    ),
];

struct Trap {
    program: PathBuf,
    canary: PathBuf,
}

impl Trap {
    fn set(scratch: &Scratch, name: &str) -> Self {
        let directory = scratch.path().join("trap");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("hooks")).unwrap();
        let canary = scratch.path().join(format!("canary-{name}"));
        let program = directory.join("program");
        for path in HOOKS.iter().map(|hook| directory.join("hooks").join(hook)).chain([program.clone()]) {
            fs::write(&path, format!("#!/bin/sh\necho \"$0 $*\" >> {}\nexit 0\n", canary.display())).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { program, canary }
    }

    /// Plants a vector in a git directory and in the tree beside it.
    fn plant(&self, vector: &Vector, git_dir: &Path, tree: &Path) {
        let program = self.program.to_str().unwrap();
        let included = self.program.with_file_name("included");
        let drivers = format!(
            "[core]\nfsmonitor = {program}\nhooksPath = {0}/hooks\n[filter \"x\"]\nclean = {program}\nsmudge = {program}\n[diff \"x\"]\ncommand = {program}\n",
            self.program.parent().unwrap().display()
        );
        fs::write(&included, &drivers).unwrap();
        let config = vector
            .config
            .replace("PROGRAM", program)
            .replace("HOOKS", self.program.with_file_name("hooks").to_str().unwrap())
            .replace("INCLUDED", included.to_str().unwrap());
        let file = git_dir.join("config");
        let mut text = fs::read_to_string(&file).unwrap();
        if vector.name == "worktree-config" {
            text = text.replace("repositoryformatversion = 0", "repositoryformatversion = 1");
            fs::write(git_dir.join("config.worktree"), &drivers).unwrap();
        }
        text.push_str(&config);
        fs::write(&file, text).unwrap();
        if vector.name == "hooks-directory" {
            fs::create_dir_all(git_dir.join("hooks")).unwrap();
            for hook in HOOKS {
                fs::copy(&self.program, git_dir.join("hooks").join(hook)).unwrap();
            }
        }
        if !vector.attributes.is_empty() {
            fs::create_dir_all(git_dir.join("info")).unwrap();
            fs::write(git_dir.join("info/attributes"), vector.attributes).unwrap();
            fs::write(tree.join(".gitattributes"), vector.attributes).unwrap();
        }
    }

    fn assert_silent(&self, when: &str) {
        assert!(!self.canary.exists(), "{when}: ran {}", fs::read_to_string(&self.canary).unwrap());
    }
}

fn author() -> Identity {
    Identity::default()
}

/// Everything that orx does with a worktree, with every file touched so that git must look at each.
async fn everything(scratch: &Scratch, repository: &Repository, worktree: &Worktree) {
    let path = worktree.path();
    fs::write(path.join("src/a.txt"), "changed\n").unwrap();
    fs::write(path.join("README"), "read me\n").unwrap();
    fs::write(path.join("new"), "new\n").unwrap();
    let base = worktree.base().clone();
    worktree.changes().await.unwrap();
    assert!(worktree.diff(&base, 100_000).await.unwrap().text.contains("+changed"));
    worktree.diff_stats(&base).await.unwrap();
    worktree.content(Path::new("new"), 10).await.unwrap();
    let commit = worktree.commit("Change\n\nOrx-Run: run_1", &author()).await.unwrap().unwrap();
    fs::write(path.join("later"), "later\n").unwrap();
    worktree.reset(&commit).await.unwrap();
    assert_eq!(worktree.commits().await.unwrap().len(), 1);
    let worktree = scratch.reopen().await.unwrap();
    repository.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    repository.snapshot().await.unwrap();
    worktree.remove(false).await.unwrap();
    repository.delete_branch("orx/run_1", &commit).await.unwrap();
}

#[tokio::test]
async fn nothing_planted_in_the_users_repository_runs() {
    for vector in &VECTORS {
        let scratch = Scratch::new().await;
        let trap = Trap::set(&scratch, vector.name);
        let root = scratch.root();
        fs::write(root.join("README"), "touched\n").unwrap();
        trap.plant(vector, &root.join(".git"), &root);
        let repository = scratch.repository().await;
        repository.head().await.unwrap();
        repository.branch("main").await.unwrap();
        repository.branch("missing").await.unwrap_err();
        assert!(!repository.uncommitted().await.unwrap().modified.is_empty());
        repository.identity().await.unwrap();
        trap.assert_silent(&format!("{} while reading", vector.name));
        let worktree = scratch.create(&repository).await;
        trap.assert_silent(&format!("{} while creating", vector.name));
        everything(&scratch, &repository, &worktree).await;
        trap.assert_silent(vector.name);
    }
}

#[tokio::test]
async fn nothing_planted_in_the_agents_worktree_runs() {
    for vector in &VECTORS {
        let scratch = Scratch::new().await;
        let trap = Trap::set(&scratch, vector.name);
        let repository = scratch.repository().await;
        let worktree = scratch.create(&repository).await;
        trap.plant(vector, &worktree.path().join(".git"), worktree.path());
        everything(&scratch, &repository, &worktree).await;
        trap.assert_silent(vector.name);
    }
}

#[tokio::test]
async fn attributes_in_the_base_commit_run_nothing_and_change_no_byte() {
    let scratch = Scratch::new().await;
    let root = scratch.root();
    fs::write(root.join("crlf.txt"), "a\r\nb\n").unwrap();
    scratch.run(&root, &["add", "."]).await;
    let attributes = "* filter=x diff=x merge=x text eol=crlf ident\nsrc/* working-tree-encoding=UTF-16\n";
    fs::write(root.join(".gitattributes"), attributes).unwrap();
    fs::write(root.join("id.txt"), "$Id$\n").unwrap();
    scratch.run(&root, &["add", ".gitattributes", "id.txt"]).await;
    scratch.run(&root, &["commit", "--quiet", "-m", "Attributes"]).await;
    let trap = Trap::set(&scratch, "base");
    let drivers =
        "[filter \"x\"]\nclean = PROGRAM\nsmudge = PROGRAM\n[diff \"x\"]\ncommand = PROGRAM\n[core]\nautocrlf = true\n";
    trap.plant(&vector("base", drivers, ""), &root.join(".git"), &root);
    let repository = scratch.repository().await;
    let worktree = scratch.create(&repository).await;
    assert_eq!(fs::read(worktree.path().join("src/a.txt")).unwrap(), b"a\nb\nc\n");
    assert_eq!(fs::read(worktree.path().join("id.txt")).unwrap(), b"$Id$\n");
    assert!(worktree.changes().await.unwrap().is_empty());
    fs::write(worktree.path().join("mixed.txt"), "x\r\ny\n").unwrap();
    let commit = worktree.commit("Mixed", &author()).await.unwrap().unwrap();
    repository.publish(&worktree, "orx/run_1", &commit).await.unwrap();
    trap.assert_silent("base attributes");
    let size = scratch.run(&root, &["cat-file", "-s", "orx/run_1:mixed.txt"]).await;
    assert_eq!(size, "5", "line ends are stored as the agent wrote them");
}

#[tokio::test]
async fn the_trap_does_spring_for_a_plain_git() {
    for name in ["fsmonitor", "filter-clean", "hooks-path", "worktree-config", "include"] {
        let scratch = Scratch::new().await;
        let worktree = scratch.worktree().await;
        let trap = Trap::set(&scratch, name);
        let vector = VECTORS.iter().find(|vector| vector.name == name).unwrap();
        trap.plant(vector, &worktree.path().join(".git"), worktree.path());
        fs::write(worktree.path().join("README"), "changed\n").unwrap();
        scratch.attempt(worktree.path(), &["add", "."]).await;
        scratch.attempt(worktree.path(), &["commit", "-m", "x"]).await;
        assert!(trap.canary.exists(), "{name} does not run under a plain git: the test proves nothing");
    }
}

#[tokio::test]
async fn a_planted_program_in_an_inner_repository_or_submodule_does_not_run() {
    let scratch = Scratch::new().await;
    let repository = scratch.repository().await;
    let worktree = scratch.create(&repository).await;
    let trap = Trap::set(&scratch, "inner");
    let inner = worktree.path().join("inner");
    fs::create_dir(&inner).unwrap();
    scratch.run(&inner, &["init", "--quiet"]).await;
    scratch.fill(&inner).await;
    for vector in &VECTORS {
        if vector.name != "promisor" {
            trap.plant(vector, &inner.join(".git"), &inner);
        }
    }
    worktree.changes().await.unwrap();
    worktree.diff(worktree.base(), 1000).await.unwrap();
    worktree.commit("Inner", &author()).await.unwrap_err();
    worktree.reset(&worktree.base().clone()).await.unwrap();
    assert!(!inner.exists());
    trap.assert_silent("inner repository");
}

#[tokio::test]
async fn whatever_replaces_the_agents_git_directory_is_not_looked_at() {
    let scratch = Scratch::new().await;
    let repository = scratch.repository().await;
    let worktree = scratch.create(&repository).await;
    let trap = Trap::set(&scratch, "replaced");
    let path = worktree.path().to_owned();
    let evil = scratch.path().join("evil");
    fs::create_dir(&evil).unwrap();
    scratch.run(&evil, &["init", "--quiet"]).await;
    trap.plant(&VECTORS[0], &evil.join(".git"), &evil);
    trap.plant(&VECTORS[3], &evil.join(".git"), &path);
    let git = path.join(".git");
    fs::remove_dir_all(&git).unwrap();
    for round in 0..4 {
        match round {
            0 => std::os::unix::fs::symlink(evil.join(".git"), &git).unwrap(),
            1 => fs::write(&git, format!("gitdir: {}\n", evil.join(".git").display())).unwrap(),
            2 => fs::write(&git, "nonsense").unwrap(),
            _ => {}
        }
        fs::write(path.join("round"), format!("{round}\n")).unwrap();
        let worktree = scratch.reopen().await.unwrap();
        assert!(!worktree.changes().await.unwrap().is_empty());
        worktree.commit(&format!("Round {round}"), &author()).await.unwrap().unwrap();
        if round < 3 {
            fs::remove_file(&git).unwrap();
        }
    }
    assert_eq!(worktree.commits().await.unwrap().len(), 4);
    trap.assert_silent("a replaced .git");
}

#[tokio::test]
async fn the_environment_of_the_daemon_names_no_other_repository() {
    let scratch = Scratch::new().await;
    let trap = Trap::set(&scratch, "environment");
    let program = trap.program.to_str().unwrap();
    let mut environment: orx_sandbox::environment::Environment = [
        ("PATH", std::env::var("PATH").unwrap().as_str()),
        ("HOME", scratch.path().join("home").to_str().unwrap()),
        ("GIT_DIR", "/nonexistent"),
        ("GIT_WORK_TREE", "/nonexistent"),
        ("GIT_INDEX_FILE", "/nonexistent"),
        ("GIT_EXTERNAL_DIFF", program),
        ("GIT_SSH_COMMAND", program),
        ("GIT_EDITOR", program),
        ("GIT_PAGER", program),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    environment.insert("GIT_AUTHOR_NAME".to_owned(), "From Environment".to_owned());
    let git = orx_workspace::Git::locate(&environment).await.unwrap();
    let repository = Repository::open(&git, &scratch.root()).await.unwrap();
    assert_eq!(repository.identity().await.unwrap().name, "From Environment");
    let base = repository.head().await.unwrap().commit;
    let worktree =
        Worktree::create(&git, &repository, &base, &scratch.worktree_path(), &scratch.git_dir()).await.unwrap();
    everything(&scratch, &repository, &worktree).await;
    trap.assert_silent("environment");
}
