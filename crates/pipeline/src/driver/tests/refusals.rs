//! What is refused, and that it leaves nothing behind.

use orx_protocol::api::run::StartParams;
use orx_protocol::{ErrorKind, RpcError, RunId};

use super::harness::{SETTINGS, World};

#[tokio::test]
async fn a_start_that_is_refused_says_why_and_changes_nothing() {
    let world = World::usual().await;
    let params = || world.params();
    let cases: Vec<(StartParams, ErrorKind, &str)> = vec![
        (StartParams { task: " \n".to_owned(), ..params() }, ErrorKind::InvalidParams, "the task is empty"),
        (StartParams { task: "x".repeat(600_000), ..params() }, ErrorKind::InvalidParams, "the task has 600000 bytes"),
        (
            StartParams { repository: "here".to_owned(), ..params() },
            ErrorKind::InvalidParams,
            "is not an absolute path",
        ),
        (
            StartParams { pipeline: Some("mine".to_owned()), ..params() },
            ErrorKind::InvalidParams,
            "there is no pipeline `mine`",
        ),
        (
            StartParams { engine: Some("clippy".to_owned()), ..params() },
            ErrorKind::InvalidParams,
            "there is no engine `clippy`",
        ),
        (
            StartParams { settings: Some(serde_json::json!({"run": {"max_fix_attempts": 99}})), ..params() },
            ErrorKind::Configuration,
            "99 is out of bounds",
        ),
        (
            StartParams { settings: Some(serde_json::json!({"stages": {"plan": {"executor": "fake"}}})), ..params() },
            ErrorKind::InvalidParams,
            "the engine `fake`, which orx does not serve",
        ),
        (
            StartParams { settings: Some(serde_json::json!({"git": {"base_branch": "mian"}})), ..params() },
            ErrorKind::NotFound,
            "no branch `mian`",
        ),
        (
            StartParams {
                settings: Some(serde_json::json!({"executors": {"command": {"argv": ["absent-program"]}}})),
                ..params()
            },
            ErrorKind::InvalidParams,
            "no program `absent-program`",
        ),
    ];
    for (params, kind, expected) in cases {
        let error = world.pipeline().start(params).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert_eq!(RpcError::from(error).kind(), kind, "{text}");
    }
    assert!(world.pipeline().unfinished().await.unwrap().is_empty());
    for left in ["runs", ".worktrees"] {
        assert!(!world.repository().join(left).exists(), "{left}");
    }
    assert_eq!(*world.store.head().borrow(), 0, "an event was written");
}

#[tokio::test]
async fn a_repository_names_programs_by_name_alone_and_a_caller_as_they_like() {
    let world = World::usual().await;
    let program = world.scratch.path().join("my-agent");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = program.to_string_lossy().into_owned();
    let settings = SETTINGS.replace("argv: [sh]", &format!("argv: [{program}]"));
    std::fs::write(world.repository().join("orx.yaml"), settings).unwrap();
    let error = world.pipeline().start(world.params()).await.unwrap_err().to_string();
    assert!(error.contains("is in no directory of your PATH"), "{error}");
    std::fs::write(world.repository().join("orx.yaml"), SETTINGS).unwrap();
    let over = serde_json::json!({"executors": {"command": {"argv": [program]}}});
    let started = world.pipeline().start(StartParams { settings: Some(over), ..world.params() }).await.unwrap();
    world.drive(started.run).await.unwrap();
}

#[tokio::test]
async fn a_start_warns_of_what_a_person_should_know() {
    let world = World::new(&[
        ("base.txt", "x"),
        ("orx.yaml", &SETTINGS.replace("name: check, command: test", "name: check, command: scripts/absent.sh")),
    ])
    .await;
    std::fs::write(world.repository().join("base.txt"), "changed").unwrap();
    let over = serde_json::json!({"run": {"parallel_items": true}});
    let warnings =
        world.pipeline().start(StartParams { settings: Some(over), ..world.params() }).await.unwrap().warnings;
    let has = |text: &str| warnings.iter().any(|warning| warning.contains(text));
    assert!(has("uncommitted changes") && has("accepted but not yet in force: `run.parallel_items`"), "{warnings:?}");
    assert!(has("the needed gate check cannot run as things are"), "{warnings:?}");
}

#[tokio::test]
async fn a_needed_gate_that_is_not_installed_is_refused_before_anything_is_spent() {
    let settings = SETTINGS.replace("name: check, command: test", "name: check, command: absent");
    let world = World::new(&[("base.txt", "x"), ("orx.yaml", &settings)]).await;
    let error = world.pipeline().start(world.params()).await.unwrap_err().to_string();
    assert!(error.contains("the needed gate check cannot run: no program `absent`"), "{error}");
    assert!(!world.repository().join("runs").exists());
}

#[tokio::test]
async fn files_of_a_run_are_read_and_nothing_beside_them() {
    let world = World::usual().await;
    let run = world.run(world.params()).await.run;
    let pipeline = world.pipeline();
    assert_eq!(pipeline.artifact(run, "context/task.md").await.unwrap().text, "Add the files");
    let directory = world.repository().join("runs").join(run.to_string());
    std::os::unix::fs::symlink("/etc/passwd", directory.join("artifacts/link")).unwrap();
    std::os::unix::fs::symlink("/etc", directory.join("artifacts/etc")).unwrap();
    for bad in [
        "../../orx.yaml",
        "/etc/passwd",
        "",
        ".",
        "context/../../x",
        "artifacts/link",
        "artifacts/etc/passwd",
        "artifacts",
        "none",
    ] {
        assert!(pipeline.artifact(run, bad).await.is_err(), "{bad}");
    }
    assert!(
        pipeline.artifact(RunId::generate(), "meta.json").await.unwrap_err().to_string().contains("there is no run")
    );
    std::fs::write(directory.join("logs/long.log"), "ü".repeat(200_000)).unwrap();
    let long = pipeline.artifact(run, "logs/long.log").await.unwrap();
    assert!(long.truncated && long.size == 400_000 && !long.text.contains('\u{fffd}'));
}

#[tokio::test]
async fn only_what_is_safe_elsewhere_is_removed() {
    let world = World::usual().await;
    let done = world.run(world.params()).await;
    world.script(|call| {
        if call.item.as_deref() == Some("W002") {
            super::harness::Act::Say(String::new())
        } else {
            super::harness::obedient(call)
        }
    });
    let failed = world.run(world.params()).await;
    let pipeline = world.pipeline();
    let cleaned = pipeline.clean(done.run, false).await.unwrap();
    assert_eq!(cleaned.removed, [done.worktree.clone().unwrap(), done.directory.clone()]);
    assert_eq!((&cleaned.branch, &cleaned.kept), (&done.branch, &Vec::new()));
    assert!(!world.git(&["rev-parse", done.branch.as_ref().unwrap()]).await.is_empty());
    assert_eq!(pipeline.get(done.run).await.unwrap().worktree, None);
    assert_eq!(pipeline.clean(done.run, false).await.unwrap().removed, Vec::<String>::new());
    let kept = pipeline.clean(failed.run, false).await.unwrap();
    assert!(kept.removed.is_empty() && kept.kept[0].contains("one commit is on no branch"), "{kept:?}");
    assert!(std::path::Path::new(failed.worktree.as_ref().unwrap()).exists());
    pipeline.clean(failed.run, true).await.unwrap();
    assert!(!std::path::Path::new(failed.worktree.as_ref().unwrap()).exists());
    assert!(pipeline.resume(failed.run).await.unwrap_err().to_string().contains("was removed"));
}
