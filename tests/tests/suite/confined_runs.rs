//! Runs whose engines are the real coding CLIs, in orx's own sandbox: what a stage may do is held by that, also where root
//! starts it and whatever the engine would allow itself.

use std::path::Path;
use std::time::Duration;

use orx_engines::EngineKind;
use orx_tests::harness::engines::install;
use orx_tests::harness::{Daemon, Repository, eventually_or, scripted_model};
use orx_tests::model::{Scenario, ScriptedModel};
use serde_json::{Value, json};

/// How long a stage of a real engine may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the agent tries while it is to plan.
const ATTEMPT: &str = "( echo evil > evil.txt ) 2>&1; ( echo evil > .git/hooks/pre-commit ) 2>&1; ls";

/// The demo's scenario, with an agent that begins its plan by writing where it may not.
fn scenario() -> Scenario {
    let text = std::fs::read(scripted_model::scenarios().join("demo.json")).unwrap();
    let mut scenario: Value = serde_json::from_slice(&text).unwrap();
    let plan = scenario["rules"].as_array_mut().unwrap().iter_mut().find(|rule| rule["when"]["stage"] == "plan");
    let steps = plan.unwrap()["steps"].as_array_mut().unwrap();
    steps.insert(0, json!({"text": "I try something.", "tools": [{"run": {"command": ATTEMPT}}]}));
    serde_json::from_value(scenario).unwrap()
}

struct Bed {
    daemon: Daemon,
    repository: Repository,
    run: String,
    _model: ScriptedModel,
}

impl Bed {
    async fn new(kind: EngineKind, mechanism: &str) -> Self {
        let model = ScriptedModel::start(scenario()).await.unwrap();
        let url = model.url.clone();
        let daemon = Daemon::start(|settings| {
            settings.workers(0).set("sandbox", json!({"mode": "required", "mechanism": mechanism}));
            settings.set("engines.endpoint", json!({"url": url, "key": "scripted-endpoint-key"}));
            install(settings, kind);
        });
        let repository = Repository::calculator(&daemon.path("project"));
        let start = json!({"repository": repository.path(), "task": "Repair add().", "engine": kind.name()});
        let run = daemon.call("run.start", &start)["run"].as_str().unwrap().to_owned();
        Self { daemon, repository, run, _model: model }
    }

    fn state(&self) -> Value {
        self.daemon.call("run.get", &json!({"run": self.run}))
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually_or(what, PATIENCE, || Some(self.state()).filter(&is_so))
            .unwrap_or_else(|error| panic!("{error}\n{:#}\n{}", self.state(), self.daemon.log()))
    }

    /// The engine's sessions of a stage.
    fn sessions(&self, stage: &str) -> Vec<Value> {
        let owner = format!("{}/{stage}", self.run);
        let all = self.daemon.call("session.list", &json!({"all": true}));
        let own = all["sessions"].as_array().unwrap().iter().filter(|session| session["owner"] == owner.as_str());
        own.cloned().collect()
    }

    /// What an engine printed in the plan's stage.
    fn log(&self) -> String {
        let directory = self.state()["directory"].as_str().unwrap().to_owned();
        std::fs::read_to_string(Path::new(&directory).join("logs/agent_plan.log")).unwrap()
    }

    /// What must hold of a stage that only reads: its sandbox does not open the workspace, and nothing was written.
    fn read_alone(&self, mechanism: &str) {
        let sessions = self.sessions("plan");
        assert_eq!(sessions.len(), 1, "{sessions:#?}");
        let (sandbox, cwd) = (&sessions[0]["sandbox"], sessions[0]["cwd"].as_str().unwrap());
        assert_eq!(sandbox["mechanism"], mechanism, "{sandbox}");
        let written: Vec<&str> = sandbox["write"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(!written.iter().any(|path| Path::new(cwd).starts_with(path)), "{written:?}");
        let warnings = self.state()["warnings"].to_string();
        assert!(!warnings.contains("wrote files"), "{warnings}");
    }
}

/// Codex, whose own sandbox is off within orx's: a whole run.
async fn codex_works(mechanism: &str) {
    let bed = Bed::new(EngineKind::Codex, mechanism).await;
    let ended = bed.until("the end of the run", |run| run["state"] != "running");
    assert_eq!(ended["state"], "done", "{ended:#}\n{}", bed.daemon.log());
    bed.read_alone(mechanism);
    // It tried, and its workspace was closed to it.
    let log = bed.log();
    assert!(log.contains("evil.txt: Read-only file system") || log.contains("evil.txt: Permission denied"), "{log}");
    assert!(log.contains("calculator.py"), "its commands run and read: {log}");
    let branch = ended["branch"].as_str().unwrap();
    assert!(bed.repository.git(&["show", &format!("{branch}:calculator.py")]).contains("return a + b"));
    for stage in ["plan", "review", "implement"] {
        for session in bed.sessions(stage) {
            assert_eq!(session["sandbox"]["mechanism"], mechanism, "{stage}: {session:#}");
            let argv = session["argv"].to_string();
            assert!(argv.contains("danger-full-access") && !argv.contains("workspace-write"), "{argv}");
            let cwd = session["cwd"].as_str().unwrap();
            let writes = session["sandbox"]["write"].to_string().contains(&format!("\"{cwd}\""));
            assert_eq!(writes, stage == "implement", "{stage}: {session:#}");
        }
    }
    assert!(!bed.sessions("implement").is_empty() && !bed.sessions("review").is_empty());
    let listed = bed.daemon.orxctl(bed.repository.path(), &["ls", "--all"]);
    let engines: Vec<&str> = listed.done().lines().filter(|line| line.contains("codex")).collect();
    assert!(!engines.is_empty() && engines.iter().all(|line| line.contains(mechanism)), "{engines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_codex_s_calls_are_confined_stage_by_stage() {
    codex_works("bubblewrap").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_codex_s_calls_are_confined_stage_by_stage_by_landlock_too() {
    codex_works("landlock").await;
}

/// Another engine plans where it may not write, and gets to its end.
async fn it_plans(kind: EngineKind) {
    let bed = Bed::new(kind, "bubblewrap").await;
    let planned = |run: &Value| {
        let stages = run["stages"].as_array().unwrap();
        run["state"] != "running" || stages.iter().any(|stage| stage["stage"] == "plan" && stage["status"] != "running")
    };
    let run = bed.until("the end of the plan", planned);
    let plan = run["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "plan").unwrap();
    assert!(plan["error"].is_null(), "{plan:#}");
    bed.read_alone("bubblewrap");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_claude_plans_where_it_may_not_write() {
    it_plans(EngineKind::Claude).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_gemini_plans_where_it_may_not_write() {
    it_plans(EngineKind::Gemini).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_opencode_plans_where_it_may_not_write() {
    it_plans(EngineKind::Opencode).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_qwen_plans_where_it_may_not_write() {
    it_plans(EngineKind::Qwen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_copilot_plans_where_it_may_not_write() {
    it_plans(EngineKind::Copilot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_pi_plans_where_it_may_not_write() {
    it_plans(EngineKind::Pi).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_continue_plans_where_it_may_not_write() {
    it_plans(EngineKind::Continue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_aider_plans_where_it_may_not_write() {
    it_plans(EngineKind::Aider).await;
}
