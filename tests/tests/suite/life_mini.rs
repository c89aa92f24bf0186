//! The life of mini-swe-agent, which differs from the others': its every command asks, the end of a task is a command too,
//! and it keeps no conversation that could be taken up again.

use orx_tests::lives::engines::mini;
use orx_tests::lives::{FIRST, Life, SECOND};

/// Allows the command by which it ends its task.
fn let_it_end(life: &Life) {
    let end = life.bed.until_asked();
    assert!(end["subject"]["question"].as_str().unwrap().contains("COMPLETE_TASK"), "{end:#}");
    life.answer(&end, "allow");
}

#[tokio::test(flavor = "multi_thread")]
async fn mini_by_keys() {
    let mut life = Life::start(&mini::KEYS, |_| {}).await;
    life.prompt(FIRST);
    let asked = life.question(FIRST).expect("it asks");
    life.answer(&asked, "allow");
    let_it_end(&life);
    life.finished(FIRST);

    // The next task of the same conversation, which is denied and tells the model so.
    life.prompt(SECOND);
    let asked = life.question(SECOND).expect("it asks");
    life.answer(&asked, "deny");
    let_it_end(&life);
    life.gave_up(SECOND);
    assert!(life.bed.model_heard("The user rejected your commands"), "{}", life.bed.situation());
    life.conversation_is_the_same(FIRST, SECOND);

    life.bed.kill_stack();
    life.bed.daemon.restart();
    let here = life.bed.daemon.directory().to_owned();
    let refused = life.bed.daemon.orxctl(&here, &["resume", &life.bed.session, "--detach"]);
    refused.refused(1, &["cannot take a conversation up", "fresh"]);
    life.bed.orxctl(&["resume", &life.bed.session, "--detach", "--fresh"]);
    life.stands();
    life.bed.stop();
}
