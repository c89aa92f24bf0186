//! A checkpoint of a session with the real Claude Code: files and conversation go back to it together where that is asked, and
//! what became of the conversation is said either way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orx_engines::EngineKind;
use orx_tests::harness::wire::Received;
use orx_tests::harness::{Daemon, Repository, engines, eventually};
use orx_tests::lives::{Bed, PATIENCE, rule, write};
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
    let tree = PathBuf::from(bed.get()["cwd"].as_str().unwrap());
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

/// A program in the place of Claude Code that is idle by its own word before it has written down what it said last.
const SLOW_WRITER: &str = r#"#!/bin/sh
while [ "$1" != --session-id ]; do shift; done
file="$HOME/.claude/projects/-work/$2.jsonl"
mkdir -p "${file%/*}" "$HOME/.claude/sessions"
say() { printf '{"type":"%s","sessionId":"%s","cwd":"%s","message":%s}\n' "$1" "$id" "$PWD" "$2" >> "$file"; }
id=$2
say user '{"role":"user","content":"go on"}'
printf '{"sessionId":"%s","status":"idle"}' "$id" > "$HOME/.claude/sessions/$$.json"
until [ -e go ]; do sleep 0.01; done
say assistant '{"role":"assistant","stop_reason":"end_turn","content":[{"type":"text","text":"the last words"}]}'
exec sleep 600
"#;

#[test]
fn a_checkpoint_has_all_that_an_idle_agent_said_also_what_is_not_written_down_yet() {
    let daemon = Daemon::start(|settings| {
        let program = settings.home.with_file_name("slow-writer");
        std::fs::write(&program, SLOW_WRITER).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        settings
            .workers(0)
            .set("sandbox.mode", "off")
            .set("engines.binaries.claude", program.to_string_lossy().into_owned());
    });
    let params = json!({"engine": "claude", "cwd": daemon.directory()});
    let session = daemon.call("session.create", &params)["session"].clone();
    let get = || daemon.call("session.get", &json!({ "session": session }));
    eventually("the agent idle", PATIENCE, || (get()["activity"]["state"] == "idle").then_some(()));
    let mut wire = daemon.wire();
    wire.request("session.checkpoint", &json!({ "session": session }));
    // An answer that came now would be one without the last words.
    assert!(matches!(wire.receive(Duration::from_millis(500)), Received::Nothing));
    std::fs::write(daemon.path("go"), "").unwrap();
    let taken = wire.body();
    let name = format!("{}.jsonl", get()["conversation"].as_str().unwrap());
    let record = std::fs::read(find(&daemon.path("user"), &name).unwrap()).unwrap();
    let kept = usize::try_from(taken["result"]["conversation_bytes"].as_u64().unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&record[..kept]).contains("the last words"), "{taken}");
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
}

/// The file in which the engine keeps a conversation.
fn record(bed: &Bed, conversation: &Value) -> PathBuf {
    let name = format!("{}.jsonl", conversation.as_str().unwrap());
    find(&bed.daemon.places().home.join("engines"), &name).unwrap()
}

/// The file of this name below a directory.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
    entries.find_map(|entry| {
        let path = entry.path();
        if entry.file_name() == name { Some(path) } else { find(&path, name) }
    })
}
