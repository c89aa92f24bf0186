//! What Claude Code began outside of orx: a conversation goes on in a session, a background agent is joined and lives on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use orx_engines::EngineKind;
use orx_tests::harness::{Settings, binary, engines, eventually};
use orx_tests::lives::{Bed, KEY, PATIENCE, rule, write};
use orx_tests::model::{Scenario, Step};
use serde_json::{Value, json};

fn scenario() -> Scenario {
    Scenario {
        rules: vec![
            rule("write the first", vec![write("first.txt")]),
            rule("write the second", vec![write("second.txt")]),
            rule("hand this over", vec![]),
        ],
        otherwise: Some(Step { text: "Hello there.".to_owned(), ..Step::default() }),
        ..Scenario::default()
    }
}

/// Claude Code with a person's own settings, in which the scripted model is their endpoint.
struct Person {
    environment: BTreeMap<String, String>,
    program: PathBuf,
    work: PathBuf,
}

impl Person {
    fn new(home: &Path, work: &Path, model: &str) -> Self {
        let answers = json!({
            "hasCompletedOnboarding": true,
            "theme": "dark",
            "projects": {work.to_str().unwrap(): {"hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true}},
            "customApiKeyResponses": {"approved": [&KEY[KEY.len() - 20..]], "rejected": []},
        });
        std::fs::write(home.join(".claude.json"), answers.to_string()).unwrap();
        let mut environment: BTreeMap<String, String> = own(model).into_iter().collect();
        // Background agents get what is in the settings, and not all that is in the environment.
        std::fs::create_dir(home.join(".claude")).unwrap();
        std::fs::write(home.join(".claude/settings.json"), json!({ "env": environment }).to_string()).unwrap();
        let path = binary::search_path();
        for (name, value) in [("HOME", home.to_str().unwrap()), ("PATH", &path), ("TERM", "xterm-256color")] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        Self { environment, program: engines::program(EngineKind::Claude), work: work.to_owned() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().envs(&self.environment).current_dir(&self.work);
        command.stdin(std::process::Stdio::null()).output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// What a person sets for their Claude Code.
fn own(model: &str) -> [(String, String); 5] {
    [
        ("ANTHROPIC_BASE_URL", model),
        ("ANTHROPIC_API_KEY", KEY),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_TELEMETRY", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// A daemon for such a person, and the person.
async fn bed(adjust: impl FnOnce(&mut Settings)) -> (Bed, Person) {
    let mut home = None;
    let bed = Bed::new(scenario(), |settings| {
        engines::install(settings, EngineKind::Claude);
        // Panes of the machine's own tmux are not looked at.
        let nowhere = settings.home.to_string_lossy().into_owned();
        settings.variable("TMUX_TMPDIR", nowhere);
        home = Some(settings.user_home.clone());
        adjust(settings);
    })
    .await;
    let person = Person::new(&home.unwrap(), &bed.work, &bed.model.url);
    (bed, person)
}

fn candidates(bed: &Bed, origin: &str) -> Vec<Value> {
    let listed = bed.daemon.call("session.adoptable", &json!({ "cwd": bed.work }));
    assert_eq!(listed["notes"], json!([]), "{listed}");
    listed["candidates"].as_array().unwrap().iter().filter(|one| one["origin"] == origin).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_of_claude_goes_on_in_a_session() {
    let (mut bed, person) = bed(|settings| {
        // Conversations are looked for where the person's own Claude Code keeps them, and it goes on as their own.
        let model = settings.file["engines"]["endpoint"]["url"].as_str().unwrap().to_owned();
        settings.set("engines.endpoint", Value::Null);
        for (name, value) in own(&model) {
            settings.variable(&name, value);
        }
    })
    .await;
    assert_eq!(candidates(&bed, "conversation"), [] as [Value; 0]);
    let said = person.done(&["-p", "hand this over"]);
    assert!(said.contains("Finished: hand this over."), "{said}");

    let found = candidates(&bed, "conversation");
    assert_eq!(
        (found.len(), &found[0]["engine"], &found[0]["session"]),
        (1, &json!("claude"), &Value::Null),
        "{found:?}"
    );
    let conversation = found[0]["target"].as_str().unwrap().to_owned();
    let adopt = ["adopt", "conversation", &conversation, "--engine", "claude", "--detach"];
    let listed = bed.daemon.orxctl(&bed.work, &["adopt"]);
    assert!(listed.done().contains(&conversation), "{listed:?}");
    bed.session = bed.daemon.orxctl(&bed.work, &adopt).done().trim().to_owned();
    assert_eq!((&bed.get()["conversation"], &bed.get()["cwd"]), (&json!(conversation), &json!(bed.work)));
    bed.until_shown("Finished: hand this over.");
    bed.until_state("idle");
    bed.daemon.orxctl(&bed.work, &adopt).refused(1, &["looks after", &bed.session]);
    assert_eq!(candidates(&bed, "conversation")[0]["session"], json!(bed.session));

    // It is a session like any other: asked over hooks, answered from the inbox.
    bed.prompt("write the first");
    let asked = bed.until_asked();
    assert_eq!(asked["road"], "hook", "{asked}");
    bed.answer(&asked, "allow", &[]);
    bed.until_written("first.txt");
    bed.until_shown("Finished: write the first.");
    bed.until_state("idle");
    let whole = bed.model.requests().iter().any(|request| {
        request.text.contains("Finished: hand this over.") && request.prompt.contains("write the first")
    });
    assert!(whole, "the model was told what was said before\n{}", bed.situation());
    assert_eq!(bed.get()["conversation"], json!(conversation));
    bed.stop();
    bed.daemon
        .orxctl(
            &bed.work,
            &["adopt", "conversation", "0190a1b2-c3d4-7e5f-8a6b-0123456789ab", "--engine", "claude", "--detach"],
        )
        .refused(1, &["no conversation named"]);
}

/// The supervisor of a person's background agents; all is ended when this is dropped.
struct Background<'a>(&'a Person);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        self.0.run(&["daemon", "stop", "--any"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_agent_of_claude_is_joined_and_outlives_its_session() {
    let (mut bed, person) = bed(|_| {}).await;
    assert_eq!(candidates(&bed, "agent"), [] as [Value; 0]);
    let _background = Background(&person);
    person.done(&["--bg", "hand this over"]);
    let agent = eventually("the background agent", PATIENCE, || {
        candidates(&bed, "agent").into_iter().find(|one| one["conversation"].is_string())
    });
    assert_eq!((&agent["cwd"], &agent["engine"]), (&json!(bed.work), &json!("claude")), "{agent}");
    let target = agent["target"].as_str().unwrap().to_owned();

    let elsewhere = bed.daemon.directory().to_owned();
    let adopt = ["adopt", "agent", &target, "--detach"];
    bed.session = bed.daemon.orxctl(&elsewhere, &adopt).done().trim().to_owned();
    let session = bed.get();
    assert_eq!((&session["cwd"], &session["conversation"]), (&json!(bed.work), &agent["conversation"]));
    assert_eq!((&session["sandbox"]["mechanism"], &session["channel"]), (&json!("none"), &Value::Null), "{session}");
    bed.until_shown("Finished: hand this over.");
    bed.until_state("idle");
    bed.daemon.orxctl(&elsewhere, &adopt).refused(1, &["looks after", &bed.session]);

    // What it asks is on its screen, and is answered from the inbox.
    bed.send("write the first");
    let asked = bed.until_asked();
    assert_eq!(asked["road"], "screen", "{asked}");
    bed.until_state("blocked");
    bed.answer(&asked, "allow", &[]);
    bed.until_written("first.txt");
    bed.until_shown("Finished: write the first.");
    bed.until_state("idle");

    bed.stop();
    let after = candidates(&bed, "agent");
    assert_eq!(
        (after.len(), &after[0]["target"], &after[0]["session"]),
        (1, &json!(target), &Value::Null),
        "{after:?}"
    );
    // It can be joined again under the same name.
    bed.orxctl(&["resume", &bed.session, "--detach"]);
    bed.until_shown("Finished: write the first.");
    bed.stop();
}
