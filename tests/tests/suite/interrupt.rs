//! `orxctl interrupt` with the real coding CLIs: a turn that is under way stops, by the channel or by the keys of the
//! interface, and the agent takes prompts again; where there is no turn, or a dialog is open, nothing is pressed.

use orx_engines::EngineKind;
use orx_tests::harness::engines;
use orx_tests::lives::engines::opencode;
use orx_tests::lives::{Bed, rule, run};
use orx_tests::model::{Rule, Scenario, Step, When};
use serde_json::{Value, json};

fn scenario() -> Scenario {
    let slow = Step {
        text: "This is a long answer in many pieces, which takes its time so that it can be stopped.".to_owned(),
        piece_delay_ms: 2000,
        ..Step::default()
    };
    Scenario {
        rules: vec![
            Rule {
                name: "slow".to_owned(),
                when: When { prompt: vec!["take long".to_owned()], ..When::default() },
                steps: vec![slow],
            },
            rule("touch it", vec![run("touch made.txt")]),
        ],
        otherwise: Some(Step { text: "Hello there.".to_owned(), ..Step::default() }),
        ..Scenario::default()
    }
}

/// One engine, from its first prompt to its interruption; `road` is how it is told.
async fn is_interrupted(kind: EngineKind, create: &Value, road: &str) -> Bed {
    let mut bed = Bed::new(scenario(), |settings| engines::install(settings, kind)).await;
    opencode::asks(&bed.work);
    let mut params = json!({"engine": kind.name()});
    params.as_object_mut().unwrap().extend(create.as_object().unwrap().clone());
    bed.begin(&params);
    let sent = bed.send("take long");
    assert!(["accepted", "submitted"].contains(&sent.as_str()), "{sent}\n{}", bed.situation());
    bed.until_state("working");
    let out = bed.daemon.orxctl(bed.daemon.directory(), &["interrupt", &bed.session, "--json"]);
    assert_eq!(out.code, Some(0), "{out:?}\n{}", bed.situation());
    let said = out.json();
    assert_eq!((&said["road"], &said["stopped"]), (&json!(road), &json!(true)), "{said}");
    bed.until_state("idle");
    // It takes prompts again, and there is nothing to stop.
    bed.send("how are you");
    bed.until_shown("Hello there.");
    bed.until_state("idle");
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_is_interrupted_by_its_keys_and_a_dialog_is_left_alone() {
    let bed = is_interrupted(EngineKind::Claude, &json!({}), "screen").await;
    let interrupt = || bed.daemon.orxctl(bed.daemon.directory(), &["interrupt", &bed.session]);
    interrupt().refused(1, &["no turn to stop: it is idle", "nothing was done"]);
    bed.send("touch it");
    let asked = bed.until_asked();
    bed.until_state("blocked");
    interrupt().refused(1, &["it waits for an answer", "orxctl inbox"]);
    assert_eq!(bed.approval(&asked)["state"], "pending");
    bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_is_interrupted_over_its_channel_and_by_its_keys() {
    is_interrupted(EngineKind::Codex, &json!({}), "protocol").await.stop();
    is_interrupted(EngineKind::Codex, &json!({"channel": "off"}), "screen").await.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_is_interrupted_by_its_keys() {
    is_interrupted(EngineKind::Gemini, &json!({}), "screen").await.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode_is_interrupted_over_its_channel_and_by_its_keys() {
    is_interrupted(EngineKind::Opencode, &json!({}), "protocol").await.stop();
    is_interrupted(EngineKind::Opencode, &json!({"channel": "off"}), "screen").await.stop();
}

/// Engines whose turns are stopped by keys alone.
macro_rules! interrupted_by_keys {
    ($($name:ident $kind:ident $argv:expr),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let argv: &[&str] = &$argv;
            is_interrupted(EngineKind::$kind, &json!({"argv": argv}), "screen").await.stop();
        })+
    };
}

interrupted_by_keys!(
    pi_is_interrupted_by_its_keys Pi [],
    continue_is_interrupted_by_its_keys Continue [],
    cline_is_interrupted_by_its_keys Cline [],
    aider_is_interrupted_by_its_keys Aider ["--no-git"],
);
