//! A checkpoint of a session with the real Claude Code: files and conversation go back to it together where that is asked, and
//! what became of the conversation is said either way.

use orx_engines::EngineKind;
use orx_tests::harness::{Repository, engines};
use orx_tests::lives::{Bed, rule, write};
use orx_tests::model::{Scenario, Step};
use serde_json::{Value, json};

const ARGV: [&str; 2] = ["--permission-mode", "acceptEdits"];

#[tokio::test(flavor = "multi_thread")]
async fn the_conversation_goes_back_with_the_files_when_that_is_asked() {
    let rules =
        vec![rule("write the first", vec![write("first.txt")]), rule("write the second", vec![write("second.txt")])];
    let otherwise = Some(Step { text: "Hello there.".to_owned(), ..Step::default() });
    let mut bed = Bed::new(Scenario { rules, otherwise, ..Scenario::default() }, |settings| {
        engines::install(settings, EngineKind::Claude);
    })
    .await;
    let repository = Repository::with_files(&bed.daemon.path("repository"), &[("a.txt", "base\n")]);
    bed.begin(&json!({"engine": "claude", "argv": ARGV, "cwd": repository.path(), "worktree": true}));
    let tree = std::path::PathBuf::from(bed.get()["cwd"].as_str().unwrap());
    // It has not seen this directory before.
    bed.until_shown("trust this folder");
    bed.keys(&["enter"]);
    bed.until_state("idle");
    let turn = |bed: &Bed, text: &str| {
        bed.send(text);
        bed.until_shown(&format!("Finished: {text}."));
        bed.until_state("idle");
    };
    turn(&bed, "write the first");
    let before = bed.get()["conversation"].clone();
    let said = bed.orxctl(&["checkpoint", &bed.session, "--label", "after the first"]);
    assert!(said.contains("checkpoint 1"), "{said}");
    turn(&bed, "write the second");
    assert!(tree.join("second.txt").exists());

    let said = bed.orxctl(&["restore", &bed.session, "1", "--rewind", "--detach"]);
    assert!(said.contains("its conversation is set back: it ends where it ended at the checkpoint"), "{said}");
    bed.until_shown("Finished: write the first.");
    bed.until_state("idle");
    assert!(!bed.screen().contains("write the second"), "{}", bed.screen());
    assert!(tree.join("first.txt").exists() && !tree.join("second.txt").exists());
    let after = bed.get()["conversation"].clone();
    assert_ne!(after, before);
    // The model hears what was said until then, and nothing of what came after.
    bed.send("what did we do");
    bed.until_shown("Hello there.");
    let heard = bed.model.requests().into_iter().rfind(|request| request.prompt.contains("what did we do")).unwrap();
    assert!(heard.text.contains("write the first") && !heard.text.contains("write the second"), "{}", heard.text);
    bed.until_state("idle");

    // Without being asked for it, the conversation goes on, and that is said.
    let restored = bed.call("session.restore", &json!({"sequence": 1}));
    assert_eq!((&restored["checkpoint"], &restored["rewound"]["done"]), (&json!(1), &json!(false)), "{restored}");
    bed.until_shown("what did we do");
    assert_eq!(bed.get()["conversation"], after);

    // What cannot be set back is refused before anything is done.
    bed.until_state("idle");
    let generation = bed.get()["generation"].clone();
    let refused = |bed: &Bed, words: &str| {
        let out = bed.daemon.orxctl(bed.daemon.directory(), &["restore", &bed.session, "--rewind", "--detach"]);
        out.refused(1, &["its conversation cannot be set back", words]);
    };
    std::fs::write(record(&bed, &before), format!("{}\n", json!({ "cwd": tree }))).unwrap();
    refused(&bed, "is not what it was at that moment");
    std::fs::remove_file(record(&bed, &before)).unwrap();
    refused(&bed, "keeps no record of the conversation");
    assert_eq!(bed.get()["generation"], generation);
    bed.stop();
    bed.begin(&json!({"engine": "command", "argv": ["sleep", "600"]}));
    bed.call("session.checkpoint", &json!({}));
    refused(&bed, "command cannot do that");
    bed.stop();
}

/// The file in which the engine keeps a conversation.
fn record(bed: &Bed, conversation: &Value) -> std::path::PathBuf {
    fn below(directory: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
        let mut entries = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
        entries.find_map(|entry| {
            let path = entry.path();
            if entry.file_name() == name { Some(path) } else { below(&path, name) }
        })
    }
    let name = format!("{}.jsonl", conversation.as_str().unwrap());
    below(&bed.daemon.places().home.join("engines"), &name).unwrap()
}
