//! Prompts of several lines, sent to the CLIs whose place for prompts takes them in a way of its own: a paste opens another
//! place, or Enter begins a new line.

use orx_tests::lives::engines::{aider, mini, openhands};
use orx_tests::lives::{Life, Road};

const LINES: &str = "Explain \"this\" and 'that'\n\n  a second line with $HOME and `ticks`\nthe last é 漢字";

async fn arrive_whole_and_once(road: &Road) {
    let life = Life::start(road, |_| {}).await;
    let receipt = life.bed.send(LINES);
    assert!(["submitted", "accepted"].contains(&receipt.as_str()), "{receipt}\n{}", life.bed.situation());
    life.bed.until("the prompt at the model", || life.bed.model_heard(LINES).then_some(()));
    let prompts = life.bed.model.requests().into_iter().filter(|request| request.prompt.contains(LINES));
    assert_eq!(prompts.count(), 1, "{}", life.bed.situation());
    life.bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn aider_takes_them() {
    arrive_whole_and_once(&aider::KEYS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mini_takes_them() {
    arrive_whole_and_once(&mini::KEYS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openhands_takes_them() {
    arrive_whole_and_once(&openhands::KEYS).await;
}
