//! The real coding CLIs behind the gateway of a real daemon: over the dialect of their own vendor and over another, without a
//! terminal and in a session; what is written, and that the ledger has what the model counted.

use std::path::Path;

use orx_engines::{Endpoint, EngineKind, Mode};
use orx_tests::harness::{Daemon, Settings, engines, eventually};
use orx_tests::lives::PATIENCE;
use orx_tests::model::{Action, Scenario, ScriptedModel, Step, Usage};
use serde_json::{Value, json};

use super::engines::Bed;

const USAGE: Usage = Usage { input: 1200, output: 30, cached: 200 };
const CONTENT: &str = "written through the gateway\n";

/// A daemon whose vendors are all one scripted model; what is asked goes to the model that is named, or all to `instead`.
fn daemon(model: &str, instead: Option<&str>, adjust: impl FnOnce(&mut Settings)) -> Daemon {
    let providers = format!(
        "providers:\n  anthropic: {{base_url: '{model}'}}\n  openai: {{base_url: '{model}/v1'}}\n  google: {{base_url: '{model}'}}\n"
    );
    Daemon::start(|settings| {
        settings.workers(0);
        std::fs::write(settings.config.with_file_name("providers.yaml"), providers).unwrap();
        for name in ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"] {
            settings.variable(name, "the-operators");
        }
        settings.set("gateway.sessions", "routed");
        if let Some(instead) = instead {
            let rule = json!({"models": [instead], "over_named": true});
            settings.set("gateway.rules", json!({"default": rule, "side_calls": rule}));
        }
        adjust(settings);
    })
}

/// What the ledger has in all.
fn total(daemon: &Daemon, by: &str) -> Value {
    daemon.call("llm.usage", &json!({"by": by}))["total"].clone()
}

/// The ledger has what the model counted, to the token: `answered` is what it answered as the scenario says, and side calls have
/// few tokens of their own.
fn assert_ledger(daemon: &Daemon, model: &ScriptedModel) {
    let requests = model.requests();
    let counted = requests.iter().filter(|request| request.outcome == "answer" || request.outcome == "side_call");
    let answers = requests.iter().filter(|request| request.outcome == "answer").count() as u64;
    let side_calls = counted.count() as u64 - answers;
    let total = total(daemon, "model");
    let number = |name: &str| total[name].as_u64().unwrap();
    assert_eq!((number("calls"), number("failed"), number("estimated")), (answers + side_calls, 0, 0), "{total}");
    let (side_in, side_out) = (side_calls * 10, side_calls * 5);
    assert_eq!(number("cache_read"), answers * USAGE.cached, "{total}");
    assert_eq!(number("input"), answers * (USAGE.input - USAGE.cached) + side_in, "{total}");
    assert_eq!(number("output"), answers * USAGE.output + side_out, "{total}");
}

/// How each CLI writes a file, where the model does not know by its API which CLI it talks to.
fn write(kind: EngineKind, path: &Path) -> Action {
    let (path, content) = (path.to_string_lossy(), CONTENT);
    let (tool, arguments) = match kind {
        EngineKind::Claude => ("Write", json!({"file_path": path, "content": content})),
        EngineKind::Gemini => ("write_file", json!({"file_path": path, "content": content})),
        EngineKind::Opencode => ("write", json!({"filePath": path, "content": content})),
        // Its one tool is of free text, a program; to a provider of another dialect it is a function.
        EngineKind::Codex => {
            let command = json!({"cmd": format!("printf '{}' > '{path}'", content.trim_end())});
            ("exec", json!({"input": format!("text(await tools.exec_command({command}));")}))
        }
        kind => unreachable!("{kind} is not among those that are tried"),
    };
    Action::Call { tool: tool.to_owned(), arguments }
}

/// The file is written without a terminal, over the dialect of `instead`'s vendor.
async fn headless(kind: EngineKind, instead: Option<&str>) {
    let mut bed = Bed::new(kind, vec![]).await;
    let path = bed.work().join("new.txt");
    let action = match (kind, instead) {
        (EngineKind::Codex, None) => Action::WriteFile { path: "new.txt".to_owned(), content: CONTENT.to_owned() },
        _ => write(kind, &path),
    };
    let steps = vec![
        Step { tools: vec![action], usage: USAGE, ..Step::default() },
        Step { text: "Written.".to_owned(), usage: USAGE, ..Step::default() },
    ];
    bed.model = ScriptedModel::start(Scenario::always(steps)).await.unwrap();
    let daemon = daemon(&bed.model.url, instead, |_| {});
    let http = daemon.http();
    bed.context.endpoint = Some(Endpoint { url: format!("http://{}", http.address), key: http.token.clone() });
    let report = bed.run("Write the file.", Mode::Apply).await;
    assert_eq!((report.failure, report.text.trim()), (None, "Written."));
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), CONTENT.trim());
    let requests = bed.model.requests();
    assert!(
        requests
            .iter()
            .filter(|request| request.api.is_some())
            .all(|request| request.key.as_deref() == Some("the-operators"))
    );
    assert_ledger(&daemon, &bed.model);
}

/// A session in a terminal, whose calls are the session's own.
async fn in_a_session(kind: EngineKind) {
    let answer = Step { text: "That is the answer.".to_owned(), usage: USAGE, ..Step::default() };
    let model = ScriptedModel::start(Scenario::always(vec![answer])).await.unwrap();
    let daemon = daemon(&model.url, None, |settings| engines::install(settings, kind));
    let work = daemon.path("work");
    std::fs::create_dir(&work).unwrap();
    let create = json!({"engine": kind.name(), "cwd": work, "cols": 100, "rows": 30, "prompt": "Say it."});
    let session = daemon.call("session.create", &create)["session"].as_str().unwrap().to_owned();
    let shows = |words: &str| {
        let screen = daemon.call("session.screen", &json!({"session": session}));
        screen["lines"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains(words))
    };
    eventually("the answer on the screen", PATIENCE, || shows("That is the answer.").then_some(()));
    let own = || {
        let usage = daemon.call("llm.usage", &json!({"by": "session", "session": session}));
        usage["total"]["calls"].as_u64().filter(|calls| *calls == total(&daemon, "model")["calls"].as_u64().unwrap())
    };
    let calls = eventually("all calls in the session's name", PATIENCE, own);
    assert!(calls > 0);
    daemon.call("session.stop", &json!({"session": session}));
    assert_ledger(&daemon, &model);
}

macro_rules! for_engine {
    ($engine:ident $kind:path, $own:expr, $other:literal) => {
        mod $engine {
            use super::EngineKind;

            #[tokio::test]
            async fn over_its_vendors_dialect() {
                super::headless($kind, $own).await;
            }

            #[tokio::test]
            async fn over_another_dialect() {
                super::headless($kind, Some($other)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn in_a_session() {
                super::in_a_session($kind).await;
            }
        }
    };
}

for_engine!(claude EngineKind::Claude, None, "gpt-6.2-sol");
for_engine!(codex EngineKind::Codex, None, "claude-sonnet-5-5");
for_engine!(gemini EngineKind::Gemini, None, "claude-sonnet-5-5");
// It names no vendor's model and leaves the choice to the router: its own dialect is that of chat completions.
for_engine!(opencode EngineKind::Opencode, Some("gpt-6.2-sol"), "gemini-3.8-flash");
