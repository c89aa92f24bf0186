//! The daemon dies at every boundary between two effects, and inside each: the end is the same.

use orx_protocol::RunId;
use orx_protocol::api::run::{RunState, StartParams};
use tokio_util::sync::CancellationToken;

use super::harness::World;

/// What must be the same whatever happened on the way.
async fn fruits(world: &World, run: RunId) -> (String, String, usize, usize, String) {
    let shown = world.pipeline().get(run).await.unwrap();
    assert_eq!(shown.state, RunState::Done, "{:?}", shown.error);
    let branch = shown.branch.unwrap();
    let log = world
        .git(&[
            "log",
            "--reverse",
            "--format=%s|%(trailers:key=Orx-Item,valueonly,separator=)",
            &format!("main..{branch}"),
        ])
        .await;
    let tree = world.git(&["ls-tree", "-r", &branch]).await;
    let stages: Vec<String> =
        shown.stages.iter().map(|stage| format!("{} {} {}", stage.stage, stage.status, stage.attempt)).collect();
    assert!(shown.items.iter().all(|item| item.attempts == 1));
    (log, tree, world.host.calls().len(), world.host.gates().len(), stages.join("\n"))
}

/// The shortest run that implements, verifies, commits and ships, so that every boundary can be tried in little time.
fn short(world: &World) -> StartParams {
    StartParams { pipeline: Some("fast_fix".to_owned()), ..world.params() }
}

#[tokio::test]
async fn a_crash_at_any_boundary_changes_nothing_of_the_end() {
    let world = World::usual().await;
    let run = world.run(short(&world)).await;
    let expected = fruits(&world, run.run).await;
    let mut crashes = 0;
    for boundaries in 1.. {
        let world = World::usual().await;
        let run = world.pipeline().start(short(&world)).await.unwrap().run;
        let first = world.mortal(boundaries).drive(run, CancellationToken::new()).await;
        if first.is_ok() {
            break;
        }
        crashes += 1;
        assert_eq!(world.drive(run).await.unwrap(), RunState::Done, "after {boundaries} boundaries");
        assert_eq!(fruits(&world, run).await, expected, "after {boundaries} boundaries");
        // The file of the journal was written anew, and holds what the store holds.
        let events = world.file(run, "events.jsonl");
        assert_eq!(events.matches("\"event\":\"run.committed\"").count(), 1);
        assert_eq!(events.matches("\"event\":\"run.ended\"").count(), 1);
    }
    assert!(crashes > 20, "only {crashes} boundaries were met");
}

#[tokio::test]
async fn a_daemon_that_dies_after_every_step_comes_to_the_same_end() {
    let world = World::usual().await;
    let run = world.pipeline().start(world.params()).await.unwrap().run;
    let mut lives = 0;
    // One boundary for the note of the restart, one before the effect, one after it, one after the state was saved.
    while world.mortal(4).drive(run, CancellationToken::new()).await.is_err() {
        lives += 1;
        assert!(lives < 200, "no progress");
    }
    let other = World::usual().await;
    let plain = other.run(other.params()).await;
    assert_eq!(fruits(&world, run).await, fruits(&other, plain.run).await);
    assert!(lives > 15, "{lives}");
}

#[tokio::test]
async fn files_that_lag_behind_the_store_are_mended_at_the_next_start() {
    let world = World::usual().await;
    let run = world.run(short(&world)).await.run;
    let directory = world.repository().join("runs").join(run.to_string());
    std::fs::write(directory.join("state.json"), r#"{"current_stage": "ship"}"#).unwrap();
    std::fs::write(directory.join("events.jsonl"), "").unwrap();
    world.pipeline().mend().await.unwrap();
    assert!(world.file(run, "state.json").contains("\"current_stage\": \"done\""));
    assert!(world.file(run, "events.jsonl").contains("run.ended"));
}
