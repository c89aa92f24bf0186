//! What a whole life does not show: the second resumption of an engine that goes on under another name each time, and the
//! server that Cline starts beside itself.

use std::net::TcpListener;
use std::path::Path;

use orx_engines::EngineKind;
use orx_protocol::process::ProcessIdentity;
use orx_sandbox::tree;
use orx_tests::harness::{engines, process};
use orx_tests::lives::{Bed, KEY, rule, run, written};
use orx_tests::model::{Scenario, Step};
use serde_json::json;

fn scenario() -> Scenario {
    let rules =
        ["the first thing", "the second thing", "the third thing"].map(|words| rule(words, Vec::new())).to_vec();
    let otherwise = Some(Step { text: "Never mind.".to_owned(), ..Step::default() });
    Scenario { rules, otherwise, ..Scenario::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_after_one_resumption_is_there_after_the_next() {
    let mut bed = Bed::new(scenario(), |settings| engines::install(settings, EngineKind::Continue)).await;
    bed.begin(&json!({"engine": "continue"}));
    let mut names = Vec::new();
    for (number, words) in ["the first thing", "the second thing", "the third thing"].into_iter().enumerate() {
        if number > 0 {
            bed.kill_stack();
            bed.daemon.restart();
            bed.orxctl(&["resume", &bed.session, "--detach"]);
        }
        bed.until_state("idle");
        bed.send(words);
        let last_words = format!("Finished: {words}.");
        bed.until_shown(&last_words);
        bed.until("its words to be kept", || written(&bed, EngineKind::Continue, &last_words).then_some(()));
        names.push(bed.get()["conversation"].clone());
    }
    // It asks for a title too, with the last words alone.
    let earlier = ["the first thing", "Finished: the first thing.", "the second thing", "Finished: the second thing."];
    let asked: Vec<String> = bed.model.requests().into_iter().map(|request| request.text).collect();
    let is_whole = |text: &String| text.contains("the third thing") && earlier.iter().all(|words| text.contains(words));
    assert!(asked.iter().any(is_whole), "{asked:#?}\n{names:?}");
    bed.stop();
}

/// The person's own Cline, whose provider is the scripted model.
fn own_cline(home: &Path, url: &str) {
    let settings = home.join(".cline/data/settings");
    std::fs::create_dir_all(&settings).unwrap();
    let provider =
        json!({"provider": "openai-compatible", "model": "default", "baseUrl": format!("{url}/v1"), "apiKey": KEY});
    let providers = json!({"version": 1, "lastUsedProvider": "openai-compatible", "providers": {
        "openai-compatible": {"settings": provider, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"},
    }});
    std::fs::write(settings.join("providers.json"), providers.to_string()).unwrap();
}

/// How many of these processes are Cline's server.
fn servers(tree: &[ProcessIdentity]) -> usize {
    let is_server = |process: &&ProcessIdentity| {
        let line = tree::command_line(process.pid).unwrap_or_default();
        line.iter().any(|word| word == "--cline-hub-daemon")
    };
    tree.iter().filter(is_server).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn cline_works_in_its_own_session_and_its_server_ends_with_it() {
    let mut scenario = scenario();
    scenario.rules.push(rule("say who runs it", vec![run("tr '\\0' ' ' < /proc/$PPID/cmdline > parent.txt")]));
    let mut bed = Bed::new(scenario, |settings| {
        engines::install(settings, EngineKind::Cline);
        // With the person's own login there is no private home.
        let url = settings.file["engines"]["endpoint"]["url"].as_str().unwrap().to_owned();
        settings.file["engines"].as_object_mut().unwrap().remove("endpoint");
        own_cline(&settings.user_home, &url);
    })
    .await;
    // A server of another test must not be taken for its own, and its advertisement would stand in the way.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let env = json!({"CLINE_HUB_PORT": port.to_string(), "CLINE_DISABLE_CLINE_PASS_NOTICE": "1"});
    bed.begin(&json!({"engine": "cline", "env": env}));
    bed.until("its server", || (servers(&process::tree_of_session(&bed.session)) == 1).then_some(()));
    bed.send("say who runs it");
    bed.until_shown("Finished: say who runs it.");
    let parent = std::fs::read_to_string(bed.work.join("parent.txt")).unwrap();
    assert!(parent.contains("--tui") && !parent.contains("--cline-hub-daemon"), "{parent}");
    // Nothing is left, the server included.
    bed.stop();
}
