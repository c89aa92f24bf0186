//! The vendors' own SDKs against the gateway, each with a model of its own vendor's dialect and with models of the others: what they
//! say of whole and streamed answers, of tools, of tokens and of errors is what their scripts in `tests/data/sdk` print.

mod answers;
mod refusals;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use orx_tests::harness::{Daemon, engines};
use orx_tests::model::{Scenario, ScriptedModel};
use serde_json::Value;
use tempfile::TempDir;

/// How long a script may take: several at once start slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// The models, each of a provider of its own dialect, and the name of both in the ledger.
const MODELS: [(&str, &str); 3] = [("alpha", "claudes/alpha"), ("gamma", "talk/gamma"), ("delta", "gems/delta")];

/// What an SDK is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Messages,
    Chat,
    Responses,
    Gemini,
}

/// What an SDK is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Python,
    JavaScript,
}

#[tokio::test]
async fn anthropics_sdk_for_python() {
    hold(Api::Messages, Language::Python).await;
}

#[tokio::test]
async fn anthropics_sdk_for_javascript() {
    hold(Api::Messages, Language::JavaScript).await;
}

#[tokio::test]
async fn openais_sdk_for_python_with_chat_completions() {
    hold(Api::Chat, Language::Python).await;
}

#[tokio::test]
async fn openais_sdk_for_javascript_with_chat_completions() {
    hold(Api::Chat, Language::JavaScript).await;
}

#[tokio::test]
async fn openais_sdk_for_python_with_responses() {
    hold(Api::Responses, Language::Python).await;
}

#[tokio::test]
async fn openais_sdk_for_javascript_with_responses() {
    hold(Api::Responses, Language::JavaScript).await;
}

#[tokio::test]
async fn googles_sdk_for_python() {
    hold(Api::Gemini, Language::Python).await;
}

#[tokio::test]
async fn googles_sdk_for_javascript() {
    hold(Api::Gemini, Language::JavaScript).await;
}

/// Runs an SDK with every model. Answers come first: the ledger is then theirs alone.
async fn hold(api: Api, language: Language) {
    let bed = Bed::new(api, language).await;
    let seen = bed.run(&answers::SCENARIOS).await;
    for (model, name) in MODELS {
        answers::hold(&bed, model, name, &seen[model]).await;
    }
    let seen = bed.run(&refusals::scenarios(api)).await;
    for (model, _) in MODELS {
        refusals::hold(&bed, model, &seen[model]);
    }
}

/// A daemon whose three providers are one scripted model, and a script that calls it.
struct Bed {
    api: Api,
    language: Language,
    daemon: Daemon,
    scripts: TempDir,
    _model: ScriptedModel,
}

impl Bed {
    async fn new(api: Api, language: Language) -> Self {
        let scenario = Scenario::load(&data().join("scenario.json")).unwrap();
        let model = ScriptedModel::start(scenario).await.unwrap();
        let providers = providers(&model.url);
        let daemon = Daemon::start(|settings| {
            settings.workers(0);
            std::fs::write(settings.config.with_file_name("providers.yaml"), providers).unwrap();
        });
        Self { api, language, daemon, scripts: scripts(language), _model: model }
    }

    /// What an SDK saw of scenarios with each model.
    async fn run(&self, scenarios: &[&str]) -> Value {
        let script = match self.api {
            Api::Messages => "anthropic_messages",
            Api::Chat => "openai_chat",
            Api::Responses => "openai_responses",
            Api::Gemini => "google_gemini",
        };
        let (program, ending) = match self.language {
            Language::Python => (engines::sdks("python").join("bin/python"), "py"),
            Language::JavaScript => (engines::node(), "mjs"),
        };
        let http = self.daemon.http();
        let mut command = tokio::process::Command::new(program);
        command
            .arg(self.scripts.path().join(script).with_extension(ending))
            .arg(MODELS.map(|(model, _)| model).join(","))
            .args(scenarios)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.scripts.path())
            .env("ORX_URL", format!("http://{}", http.address))
            .env("ORX_KEY", &http.token)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("the script ends").unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}.{ending} {scenarios:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{script}.{ending}: {error}: {said}"))
    }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sdk")
}

/// A directory with the scripts, beside the packages where a language looks for them there.
fn scripts(language: Language) -> TempDir {
    let directory = TempDir::new().unwrap();
    for entry in std::fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    if language == Language::JavaScript {
        let packages = engines::sdks("node").join("node_modules");
        std::os::unix::fs::symlink(packages, directory.path().join("node_modules")).unwrap();
    }
    directory
}

fn providers(url: &str) -> String {
    let price = "price: {input: 1000000, output: 5000000, cache_read: 100000}";
    format!(
        "providers:
  claudes:
    dialect: anthropic
    base_url: {url}
    models:
      alpha: {{context: 200000, capabilities: [tools, chat], {price}}}
  talk:
    dialect: openai
    responses: true
    base_url: {url}/v1
    models:
      gamma: {{context: 200000, capabilities: [tools, chat], {price}}}
  gems:
    dialect: google
    base_url: {url}
    models:
      delta: {{context: 200000, capabilities: [tools, chat], {price}}}
"
    )
}
