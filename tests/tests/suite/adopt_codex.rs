//! A thread that Codex's own server has in hand is listed, joined by a session as by a second interface, and outlives that.

use std::collections::BTreeMap;
use std::path::Path;

use orx_engines::EngineKind;
use orx_tests::harness::Daemon;
use orx_tests::harness::{binary, engines, eventually};
use orx_tests::lives::{KEY, PATIENCE};
use orx_tests::model::{Rule, Scenario, ScriptedModel, Step, When};
use orx_tests::terminal::Terminal;
use serde_json::{Value, json};

const FIRST: &str = "sort the shelves";
const SECOND: &str = "count the boxes";

fn scenario() -> Scenario {
    let rule = |prompt: &str| Rule {
        name: prompt.to_owned(),
        when: When { prompt: vec![prompt.to_owned()], ..When::default() },
        steps: vec![Step { text: format!("Done: {prompt}."), ..Step::default() }],
    };
    let otherwise = Some(Step { text: "shelves".to_owned(), ..Step::default() });
    Scenario { rules: vec![rule(SECOND), rule(FIRST)], otherwise, ..Scenario::default() }
}

/// Codex with a person's own settings, in which the scripted model is their provider.
struct Person {
    environment: BTreeMap<String, String>,
    program: String,
}

impl Person {
    fn new(home: &Path, work: &Path, model: &str) -> Self {
        let codex = home.join(".codex");
        std::fs::create_dir_all(&codex).unwrap();
        let settings = format!(
            "model = \"gpt-5\"\nmodel_provider = \"scripted\"\n[features]\ndaemon_auto_start = false\n\
             [model_providers.scripted]\nname = \"scripted\"\nbase_url = \"{model}/v1\"\nwire_api = \"responses\"\n\
             env_key = \"SCRIPTED_KEY\"\n[projects.\"{}\"]\ntrust_level = \"trusted\"\n",
            work.display()
        );
        std::fs::write(codex.join("config.toml"), settings).unwrap();
        let variables = [
            ("HOME", home.to_str().unwrap()),
            ("PATH", &binary::search_path()),
            ("TERM", "xterm-256color"),
            ("SCRIPTED_KEY", KEY),
        ];
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { environment, program: engines::program(EngineKind::Codex).to_string_lossy().into_owned() }
    }

    fn run(&self, work: &Path, arguments: &[&str]) -> Terminal {
        let argv: Vec<String> =
            std::iter::once(self.program.as_str()).chain(arguments.iter().copied()).map(str::to_owned).collect();
        Terminal::with_size(&argv, &self.environment, work, 100, 30).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_of_codex_s_own_server_is_joined_and_outlives_its_session() {
    let model = ScriptedModel::start(scenario()).await.unwrap();
    let mut home = None;
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
        engines::install(settings, EngineKind::Codex);
        // Panes of the machine's own tmux are not looked at.
        let nowhere = settings.home.to_string_lossy().into_owned();
        settings.variable("TMUX_TMPDIR", nowhere);
        home = Some(settings.user_home.clone());
    });
    let home = home.unwrap();
    let work = daemon.path("work");
    std::fs::create_dir(&work).unwrap();
    let person = Person::new(&home, &work, &model.url);
    let candidates = || -> Vec<Value> {
        let listed = daemon.call("session.adoptable", &json!({ "cwd": work }));
        assert_eq!(listed["notes"], json!([]), "{listed}");
        let all = listed["candidates"].as_array().unwrap();
        all.iter().filter(|one| one["engine"] == "codex").cloned().collect()
    };
    assert_eq!(candidates(), [] as [Value; 0], "no server runs");

    let _server = person.run(&work, &["app-server", "--listen", "unix://"]);
    let socket = home.join(".codex/app-server-control/app-server-control.sock");
    eventually("Codex's server", PATIENCE, || socket.exists().then_some(()));
    let address = format!("unix://{}", socket.display());
    let own = person.run(&work, &["--remote", &address, FIRST]);
    eventually("the thread's first answer", PATIENCE, || own.text().contains("Done: sort").then_some(()));

    let thread = eventually("the thread", PATIENCE, || candidates().into_iter().find(|one| one["origin"] == "agent"));
    assert!(thread["title"].as_str().unwrap().contains("shelves"), "{thread}");
    assert_eq!(thread["cwd"], json!(work));
    assert_eq!(candidates().len(), 1, "it is not offered as a conversation beside its server");
    let listed = daemon.orxctl(&work, &["adopt"]);
    assert!(listed.done().contains(thread["target"].as_str().unwrap()), "{listed:?}");

    let target = thread["target"].as_str().unwrap();
    let adopted = daemon.orxctl(&work, &["adopt", "agent", target, "--detach"]).done().trim().to_owned();
    let screen = || {
        let screen = daemon.call("session.screen", &json!({ "session": adopted }));
        screen["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    };
    eventually("what was said before", PATIENCE, || screen().contains("Done: sort").then_some(()));
    // What the thread does it does in its own server, and that is said.
    let listed = daemon.orxctl(&work, &["ls"]);
    assert!(listed.done().lines().any(|line| line.contains(&adopted) && line.contains("NONE")), "{listed:?}");
    daemon.orxctl(&work, &["adopt", "agent", target, "--detach"]).refused(1, &["looks after", &adopted]);
    assert_eq!(candidates()[0]["session"], json!(adopted));
    let session = daemon.call("session.get", &json!({ "session": adopted }));
    assert_eq!((&session["conversation"], &session["channel"]), (&thread["target"], &json!("app-server")));

    daemon.orxctl(&work, &["wait", &adopted, "--until", "idle", "--timeout", "60s"]).done();
    daemon.orxctl(&work, &["send", &adopted, SECOND]).done();
    eventually("the answer in both interfaces", PATIENCE, || {
        (screen().contains("Done: count") && own.text().contains("Done: count")).then_some(())
    });

    let session = daemon.call("session.get", &json!({ "session": adopted }));
    assert_eq!((&session["channel_lost"], &session["conversation"]), (&Value::Null, &thread["target"]), "{session}");
    daemon.call("session.stop", &json!({"session": adopted, "grace_ms": 2000}));
    let after = candidates();
    assert_eq!((after.len(), &after[0]["target"], &after[0]["session"]), (1, &thread["target"], &Value::Null));
    daemon
        .orxctl(&work, &["adopt", "agent", "nobody", "--detach"])
        .refused(1, &["no agent named nobody", "orxctl adopt"]);

    // It is joined again under the same name.
    daemon.orxctl(&work, &["resume", &adopted, "--detach"]).done();
    eventually("what was said before", PATIENCE, || screen().contains("Done: count").then_some(()));
    daemon.call("session.stop", &json!({"session": adopted, "grace_ms": 2000}));
}
