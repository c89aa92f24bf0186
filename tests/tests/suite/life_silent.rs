//! A conversation in which nothing was said: its engine keeps none, and orx does not say that there is one.

use orx_engines::EngineKind;
use orx_tests::harness::engines;
use orx_tests::lives::{Bed, written};
use orx_tests::model::{Scenario, Step};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_never_began_is_not_said_to_be_resumable() {
    let scenario = Scenario {
        otherwise: Some(Step { text: "Hello there.".to_owned(), ..Step::default() }),
        ..Scenario::default()
    };
    let mut bed = Bed::new(scenario, |settings| engines::install(settings, EngineKind::Claude)).await;
    bed.begin(&json!({"engine": "claude"}));
    bed.until_state("idle");
    bed.stop();
    let survival = || bed.get()["survival"].clone();
    let silent = survival();
    assert_eq!(silent["level"], "replay", "{silent}");
    assert!(silent["reason"].as_str().unwrap().contains("nothing was said"), "{silent}");
    let listed = bed.orxctl(&["ls", "--all", "--survival"]);
    assert!(!listed.contains("resumable"), "{listed}");
    let resume = ["resume", &bed.session, "--detach"];
    bed.daemon.orxctl(&bed.work, &resume).refused(1, &["claude keeps nothing", "--fresh"]);
    assert_eq!(survival(), silent, "a refusal changes nothing");

    // One is begun when that is asked for, and once something was said in it, it is taken up.
    bed.orxctl(&["resume", &bed.session, "--fresh", "--detach"]);
    bed.until_state("idle");
    bed.prompt("hello");
    bed.until_shown("Hello there.");
    bed.until_state("idle");
    bed.until("what was said to be written down", || written(&bed, EngineKind::Claude, "Hello there.").then_some(()));
    bed.stop();
    let said = survival();
    assert_eq!(said["level"], "resumable", "{said}");
    bed.orxctl(&resume);
    bed.until_shown("Hello there.");
    bed.stop();
}
