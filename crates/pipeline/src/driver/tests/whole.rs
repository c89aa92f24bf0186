//! Runs from their start to their end.

use orx_protocol::api::run::RunState;
use tokio_util::sync::CancellationToken;

use super::harness::{Act, SETTINGS, World, backlog, obedient};

#[tokio::test]
async fn a_task_becomes_verified_commits_on_a_branch_and_nothing_else_changes() {
    let world = World::usual().await;
    let before = (world.git(&["rev-parse", "HEAD"]).await, world.git(&["status", "--porcelain"]).await);
    let run = world.run(world.params()).await;
    assert_eq!((run.state, run.stage.as_str(), &run.error), (RunState::Done, "done", &None), "{run:#?}");
    let branch = run.branch.clone().unwrap();
    assert_eq!(branch, format!("orx/{}", run.run));
    let log = world
        .git(&[
            "log",
            "--reverse",
            "--format=%s|%(trailers:key=Orx-Item,valueonly,separator=)",
            &format!("main..{branch}"),
        ])
        .await;
    assert_eq!(log, "feat: Add file 1|W001\nfeat: Add file 2|W002\n");
    assert_eq!(world.git(&["show", &format!("{branch}:W002.txt")]).await, "W002\n");
    assert_eq!((world.git(&["rev-parse", "HEAD"]).await, world.git(&["status", "--porcelain"]).await), before);
    assert_eq!(run.commits.len(), 2);
    assert!(run.items.iter().all(|item| item.status == "done" && item.attempts == 1 && item.commit.is_some()));
    assert_eq!(world.host.gates().len(), 3, "each item, and the whole");
    let whole = run.gates.iter().find(|gate| gate.item.is_none()).unwrap();
    assert_eq!((whole.verdict.as_str(), whole.required), ("passed", true));
    assert!(world.file(run.run, whole.log.as_ref().unwrap()).contains("test -f base.txt\n"));
    for path in [
        "context/task.md",
        "context/plan.md",
        "context/spec.md",
        "context/project_map.md",
        "prompts/plan.md",
        "prompts/implement-W001-1.md",
        "artifacts/review.md",
        "metrics/run.json",
        "meta.json",
        "logs/agent_implement_W001_1.log",
    ] {
        assert!(!world.file(run.run, path).is_empty(), "{path}");
    }
    assert!(world.file(run.run, "artifacts/patch.diff").contains("+W002"));
    let body = world.file(run.run, "artifacts/pr_body.md");
    assert!(body.contains("| check | passed | yes |") && body.contains("- [x] W001 Add file 1"), "{body}");
    let state: serde_json::Value = serde_json::from_str(&world.file(run.run, "state.json")).unwrap();
    assert_eq!(
        (state["current_stage"].as_str(), state["stage_statuses"]["plan"]["status"].as_str()),
        (Some("done"), Some("completed"))
    );
    let events = world.file(run.run, "events.jsonl");
    let kinds: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        (kinds.first().map(String::as_str), kinds.last().map(String::as_str)),
        (Some("run.started"), Some("run.ended"))
    );
    assert_eq!(kinds.iter().filter(|kind| *kind == "run.committed").count(), 2);
    assert!(world.file(run.run, "context/backlog.yaml").contains("status: done"));
    crate::backlog::read(&world.file(run.run, "context/backlog.yaml"), 4, true).unwrap();
    let rows = world.file(run.run, "metrics/stages.jsonl");
    assert_eq!(rows.lines().count(), run.stages.len());
}

#[tokio::test]
async fn a_failing_gate_is_evidence_for_the_next_attempt() {
    let settings = SETTINGS.replace(
        "command: test, args: [-f, base.txt]",
        "command: sh, args: [-c, 'touch report.xml; test ! -f bad || { echo found bad; exit 3; }']",
    );
    let world = World::new(&[("base.txt", "base\n"), ("orx.yaml", &settings)]).await;
    world.script(|call| {
        match (call.stage.as_str(), call.item.as_deref()) {
            ("decompose", _) => return Act::Say(backlog(1)),
            ("implement", _) => call.write("bad", "x"),
            ("fix", _) => {
                assert_eq!(call.attempt, 2);
                assert!(call.prompt.contains("found bad") && call.prompt.contains("exit status 3"), "{}", call.prompt);
                std::fs::remove_file(call.cwd.join("bad")).unwrap();
            }
            _ => {}
        }
        obedient(call)
    });
    let run = world.run(world.params()).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.error);
    assert_eq!(run.items[0].attempts, 2);
    let verdicts: Vec<&str> = run.gates.iter().map(|gate| gate.verdict.as_str()).collect();
    assert_eq!(verdicts, ["failed", "passed", "passed"]);
    assert!(!world.file(run.run, "artifacts/patch.diff").contains("report.xml"), "what the gate left was committed");
}

#[tokio::test]
async fn an_item_that_does_nothing_fails_and_takes_nothing_else_with_it() {
    let world = World::usual().await;
    world.script(|call| match (call.stage.as_str(), call.item.as_deref()) {
        ("decompose", _) => Act::Say("items:\n- {id: W001, title: a, acceptance: [a]}\n- {id: W002, title: b, acceptance: [b]}\n- {id: W003, title: c, acceptance: [c], depends_on: [W002]}\n".to_owned()),
        ("implement" | "fix", Some("W002")) => Act::Say("I looked at it".to_owned()),
        _ => obedient(call),
    });
    let run = world.run(world.params()).await;
    assert_eq!((run.state, &run.branch), (RunState::Failed, &None));
    let items: Vec<(&str, u32)> = run.items.iter().map(|item| (item.status.as_str(), item.attempts)).collect();
    assert_eq!(items, [("done", 1), ("failed", 3), ("skipped", 0)]);
    assert!(run.error.as_ref().unwrap().contains("nothing was changed"), "{:?}", run.error);
    assert!(world.git(&["branch", "--list", "orx/*"]).await.is_empty());
    world.script(obedient);
    let pipeline = world.pipeline();
    pipeline.resume(run.run).await.unwrap();
    assert_eq!(world.drive(run.run).await.unwrap(), RunState::Done);
    let run = pipeline.get(run.run).await.unwrap();
    assert_eq!(run.commits.len(), 3, "what was committed stays and is not made again");
    assert_eq!(world.host.calls().iter().filter(|call| call.item.as_deref() == Some("W001")).count(), 1);
}

#[tokio::test]
async fn a_secret_is_never_committed_kept_or_shown() {
    let world = World::usual().await;
    let secret = format!("ghp_{}", "aB3dE6gH9j".repeat(4).chars().take(36).collect::<String>());
    let written = secret.clone();
    world.script(move |call| {
        match call.stage.as_str() {
            "implement" => call.write("config.py", &format!("token = '{written}'\n")),
            "fix" => assert!(call.prompt.contains("config.py:1: this looks like a GitHub token"), "{}", call.prompt),
            _ => {}
        }
        if call.stage == "decompose" { Act::Say(backlog(1)) } else { obedient(call) }
    });
    let run = world.run(world.params()).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.commits.is_empty());
    assert_eq!(
        world.holding(std::path::Path::new(run.worktree.as_ref().unwrap()), &secret),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(world.holding(&world.repository().join("runs"), &secret), Vec::<std::path::PathBuf>::new());
    world.store.close().await.unwrap();
    let database = String::from_utf8_lossy(&std::fs::read(world.scratch.path().join("orx.db")).unwrap()).into_owned();
    assert!(!database.contains(&secret), "the secret is in the database");
    assert!(database.contains("run.guardrail_violated"));
}

#[tokio::test]
async fn a_session_that_disappears_is_attempted_again_on_a_clean_tree() {
    let world = World::usual().await;
    world.script(|call| {
        if call.stage == "decompose" {
            return Act::Say(backlog(1));
        }
        if call.stage == "implement" && call.before == 0 {
            call.write("half.txt", "half\n");
            return Act::Vanish;
        }
        assert!(!call.cwd.join("half.txt").exists(), "the tree was not set back");
        obedient(call)
    });
    let run = world.run(world.params()).await;
    assert_eq!((run.state, run.items[0].attempts), (RunState::Done, 1), "{:?}", run.error);
    assert!(run.warnings.iter().any(|warning| warning.contains("disappeared")), "{:?}", run.warnings);
    assert!(world.file(run.run, "logs/W001-attempt-1-lost-1.diff").contains("+half"));
}

#[tokio::test]
async fn a_run_is_cancelled_with_its_session_and_taken_up_again() {
    let world = World::usual().await;
    world.script(|call| if call.stage == "implement" { Act::Hang } else { obedient(call) });
    let pipeline = world.pipeline();
    let run = pipeline.start(world.params()).await.unwrap().run;
    let driver = pipeline.clone();
    let driving = tokio::task::JoinSet::from_iter([async move { driver.drive(run, CancellationToken::new()).await }]);
    let mut head = world.store.head();
    while !world.host.calls().iter().any(|call| call.stage == "implement") {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(20), head.changed()).await;
    }
    assert!(pipeline.resume(run).await.unwrap_err().to_string().contains("is at work"));
    assert!(pipeline.clean(run, true).await.is_err());
    let cancelled = pipeline.cancel(run).await.unwrap();
    assert_eq!((cancelled.state, cancelled.stage.as_str()), (RunState::Cancelled, "implement_item"));
    assert_eq!(driving.join_all().await.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [RunState::Cancelled]);
    assert!(pipeline.cancel(run).await.is_err());
    assert!(pipeline.unfinished().await.unwrap().is_empty());
    world.script(obedient);
    pipeline.resume(run).await.unwrap();
    assert_eq!(pipeline.unfinished().await.unwrap(), [run]);
    assert_eq!(world.drive(run).await.unwrap(), RunState::Done);
}

#[tokio::test]
async fn a_driver_that_is_let_go_leaves_the_run_and_its_session_at_work() {
    let world = World::usual().await;
    world.script(|call| if call.stage == "spec" { Act::Hang } else { obedient(call) });
    let pipeline = world.pipeline();
    let run = pipeline.start(world.params()).await.unwrap().run;
    let let_go = CancellationToken::new();
    let (driver, token) = (pipeline.clone(), let_go.clone());
    let driving = tokio::task::JoinSet::from_iter([async move { driver.drive(run, token).await }]);
    let mut head = world.store.head();
    while !world.host.calls().iter().any(|call| call.stage == "spec") {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(20), head.changed()).await;
    }
    let_go.cancel();
    assert_eq!(driving.join_all().await.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [RunState::Running]);
    let shown = pipeline.get(run).await.unwrap();
    let session = shown.stages.last().unwrap().session.unwrap();
    assert_eq!((shown.state, shown.stage.as_str()), (RunState::Running, "spec"));
    // The session is found again by the next daemon: here somebody stops it meanwhile.
    use crate::port::SessionHost;
    world.host.stop(session, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(world.drive(run).await.unwrap(), RunState::Failed);
    let shown = pipeline.get(run).await.unwrap();
    assert!(shown.error.as_ref().unwrap().contains("somebody stopped"), "{:?}", shown.error);
    assert_eq!(world.host.calls().iter().filter(|call| call.stage == "spec").count(), 1);
}

#[tokio::test]
async fn a_stage_that_only_reads_leaves_nothing_behind() {
    let world = World::usual().await;
    world.script(|call| {
        if call.stage == "plan" {
            call.write("plan-notes.md", "x\n");
        }
        obedient(call)
    });
    let run = world.run(world.params()).await;
    assert_eq!(run.state, RunState::Done);
    assert!(
        run.warnings.iter().any(|warning| warning.starts_with("the stage plan is read-only")),
        "{:?}",
        run.warnings
    );
    assert!(!world.file(run.run, "artifacts/patch.diff").contains("plan-notes"));
}

#[tokio::test]
async fn a_review_is_heard_and_its_changes_are_an_item() {
    let world = World::usual().await;
    world.script(|call| match call.stage.as_str() {
        "decompose" => Act::Say(backlog(1)),
        "review" if call.before == 0 => Act::Say("Add a third file.\n\nVERDICT: CHANGES_REQUESTED\n".to_owned()),
        _ => obedient(call),
    });
    let run = world.run(world.params()).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.error);
    assert_eq!(
        run.items.iter().map(|item| item.title.as_str()).collect::<Vec<_>>(),
        ["Add file 1", "Address review feedback"]
    );
    let call = world.host.calls().into_iter().find(|call| call.item.as_deref() == Some("W002")).unwrap();
    assert!(call.prompt.contains("Add a third file."));
}

#[tokio::test]
async fn what_gates_leave_behind_is_not_committed_and_a_changed_gate_does_not_pass() {
    let settings = SETTINGS.replace("command: test, args: [-f, base.txt]", "command: ./check.sh");
    let world =
        World::new(&[("base.txt", "base\n"), ("orx.yaml", &settings), ("check.sh", "#!/bin/sh\ntouch report.xml\n")])
            .await;
    world.git(&["update-index", "--chmod=+x", "check.sh"]).await;
    world.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "mode"]).await;
    let run = world.run(world.params()).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.error);
    assert!(!world.file(run.run, "artifacts/patch.diff").contains("report.xml"));
    world.script(|call| {
        if call.stage == "implement" {
            call.write("check.sh", "#!/bin/sh\nexit 0\n");
        }
        obedient(call)
    });
    let run = world.run(world.params()).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.error.as_ref().unwrap().contains("its program check.sh was changed in this run"), "{:?}", run.error);
}

#[tokio::test]
async fn notes_are_committed_between_their_markers_and_verified_again() {
    let settings = SETTINGS.replace("mode: 'off'", "mode: auto");
    let world = World::new(&[("base.txt", "base\n"), ("orx.yaml", &settings), ("AGENTS.md", "# Mine\n")]).await;
    world.script(|call| match call.stage.as_str() {
        "knowledge" => {
            Act::Say("FILE: AGENTS.md\n<!-- ORX:START AGENTS -->\nRun the check.\n<!-- ORX:END AGENTS -->\n".to_owned())
        }
        _ => obedient(call),
    });
    let run = world.run(world.params()).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.error);
    let branch = run.branch.unwrap();
    assert_eq!(
        world.git(&["show", &format!("{branch}:AGENTS.md")]).await,
        "# Mine\n\n<!-- ORX:START AGENTS -->\nRun the check.\n<!-- ORX:END AGENTS -->\n"
    );
    assert_eq!(run.commits.last().unwrap().subject, "docs: update notes for agents");
    assert_eq!(run.gates.iter().filter(|gate| gate.item.is_none()).count(), 2);
}

#[tokio::test]
async fn the_shorter_pipelines_do_their_part() {
    let world = World::usual().await;
    let mut params = world.params();
    params.pipeline = Some("plan_only".to_owned());
    let run = world.run(params).await;
    assert_eq!((run.state, run.branch, run.stages.len()), (RunState::Done, None, 1));
    assert_eq!(world.file(run.run, "context/plan.md"), "the plan");
    let mut params = world.params();
    params.pipeline = Some("fast_fix".to_owned());
    let run = world.run(params).await;
    assert_eq!((run.state, run.items.len()), (RunState::Done, 1));
    assert!(world.git(&["log", "-1", "--format=%s", &run.branch.unwrap()]).await.starts_with("feat: Add the files"));
    let listed = world.pipeline().list(orx_protocol::api::run::ListParams::default()).await.unwrap();
    assert_eq!(listed.iter().map(|run| run.pipeline.as_str()).collect::<Vec<_>>(), ["fast_fix", "plan_only"]);
}
