//! The real coding CLIs, launched as orx launches them, with a scripted model behind them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use orx_engines::{
    Context, Endpoint, EngineKind, FailureKind, HeadlessRequest, InteractiveRequest, Launch, Mode, StageReport,
};
use orx_protocol::hold::Ended;
use orx_protocol::process::{EndReason, Exit};
use orx_tests::calculator;
use orx_tests::harness::engines::{KEYS, files, person, program, search_path};
use orx_tests::harness::{Repository, eventually, process};
use orx_tests::lives::{KEY, PATIENCE};
use orx_tests::model::{Action, Failure, Scenario, ScriptedModel, Step, Usage};
use orx_tests::terminal::Terminal;
use tokio::io::AsyncWriteExt as _;

/// A CLI with its model, its directory, and an operator whose files must not be touched.
pub(super) struct Bed {
    kind: EngineKind,
    pub(super) model: ScriptedModel,
    scratch: tempfile::TempDir,
    pub(super) context: Context,
}

impl Bed {
    pub(super) async fn new(kind: EngineKind, steps: Vec<Step>) -> Self {
        Self::with(kind, Scenario::always(steps)).await
    }

    async fn with(kind: EngineKind, scenario: Scenario) -> Self {
        let program = program(kind);
        let model = ScriptedModel::start(scenario).await.unwrap();
        let scratch = tempfile::Builder::new().prefix("orx-engine-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for directory in ["work", "home/.config", "homes"] {
            std::fs::create_dir_all(scratch.path().join(directory)).unwrap();
        }
        let _ = person(&scratch.path().join("home"));
        let work = scratch.path().join("work");
        std::fs::write(work.join("there.txt"), "old text\n").unwrap();
        // Aider makes a repository where there is none.
        if kind == EngineKind::Aider {
            let _ = Repository::with_files(&work, &[("there.txt", "old text\n")]);
        }
        let mut environment = BTreeMap::from([
            ("HOME".to_owned(), scratch.path().join("home").to_string_lossy().into_owned()),
            ("PATH".to_owned(), search_path(kind, &std::env::var("PATH").unwrap())),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ]);
        // Keys of the operator's own must not reach the endpoint.
        for name in KEYS.into_iter().chain(["ANTHROPIC_AUTH_TOKEN", "ORX_TOKEN"]) {
            environment.insert(name.to_owned(), "the-operators-own".to_owned());
        }
        let context = Context {
            environment,
            endpoint: Some(Endpoint { url: model.url.clone(), key: KEY.to_owned() }),
            private_homes: scratch.path().join("homes"),
            binaries: [(kind.name().to_owned(), program.to_string_lossy().into_owned())].into(),
            ..Context::default()
        };
        Self { kind, model, scratch, context }
    }

    pub(super) fn work(&self) -> PathBuf {
        self.scratch.path().join("work")
    }

    fn cwd(&self) -> String {
        self.work().to_string_lossy().into_owned()
    }

    /// Replaces the endpoint by what a person would have set up in their own home, and that as permissive as can be.
    fn use_the_operators_own_login(&mut self) {
        let url = self.model.url.clone();
        self.context.endpoint = None;
        let home = self.scratch.path().join("home");
        let environment = &mut self.context.environment;
        let mut set = |name: &str, value: &str| environment.insert(name.to_owned(), value.to_owned());
        let (file, content) = match self.kind {
            EngineKind::Claude => {
                set("ANTHROPIC_BASE_URL", &url);
                set("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
                let permissions =
                    serde_json::json!({ "allow": ["Write", "Edit", "Bash"], "defaultMode": "acceptEdits" });
                (".claude/settings.json", serde_json::json!({ "permissions": permissions }).to_string())
            }
            EngineKind::Codex => {
                let config = format!(
                    "sandbox_mode = \"danger-full-access\"\napproval_policy = \"never\"\nmodel_provider = \"mine\"\n\
                     [model_providers.mine]\nname = \"mine\"\nbase_url = \"{url}/v1\"\nenv_key = \"OPENAI_API_KEY\"\n\
                     wire_api = \"responses\"\n[analytics]\nenabled = false\n"
                );
                (".codex/config.toml", config)
            }
            EngineKind::Gemini => {
                set("GOOGLE_GEMINI_BASE_URL", &url);
                let settings = serde_json::json!({
                    "security": { "auth": { "selectedType": "gemini-api-key" } },
                    "privacy": { "usageStatisticsEnabled": false },
                    "general": { "disableAutoUpdate": true },
                    "tools": { "allowed": ["write_file", "replace", "run_shell_command"] },
                });
                (".gemini/settings.json", settings.to_string())
            }
            EngineKind::Opencode => {
                set("OPENCODE_DISABLE_MODELS_FETCH", "1");
                let settings = serde_json::json!({
                    "provider": { "mine": {
                        "npm": "@ai-sdk/openai-compatible",
                        "options": { "baseURL": format!("{url}/v1"), "apiKey": "the-operators-own" },
                        "models": { "m": {} },
                    } },
                    "model": "mine/m",
                    "small_model": "mine/m",
                    "autoupdate": false,
                    "permission": { "*": "allow", "edit": "allow", "bash": "allow" },
                });
                (".config/opencode/opencode.json", settings.to_string())
            }
            kind => unreachable!("nothing is known of a login of {kind}"),
        };
        std::fs::create_dir_all(home.join(file).parent().unwrap()).unwrap();
        std::fs::write(home.join(file), content).unwrap();
    }

    fn launch(&self, prompt: &str, mode: Mode) -> Launch {
        let request = HeadlessRequest {
            prompt: prompt.to_owned(),
            mode,
            cwd: self.cwd(),
            model: None,
            reasoning_effort: None,
            extra_args: Vec::new(),
            command: None,
        };
        orx_engines::prepare(self.kind, &self.context, &self.cwd()).unwrap();
        let mut launch = orx_engines::headless(self.kind, &self.context, &request).unwrap();
        // As the daemon does: whoever starts a server must not find that of another test.
        if let Some(name) = &self.kind.descriptor().sockets {
            launch.environment.insert(name.clone(), self.scratch.path().to_string_lossy().into_owned());
        }
        launch
    }

    pub(super) async fn run(&self, prompt: &str, mode: Mode) -> StageReport {
        self.finish(&self.launch(prompt, mode), mode).await
    }

    async fn finish(&self, launch: &Launch, mode: Mode) -> StageReport {
        let Finished { stdout, stderr, ended } = start(launch, &self.work()).finish().await;
        keep(self.kind, mode, &stdout);
        let report = orx_engines::report(self.kind, &stdout, &stderr, &ended);
        eprintln!("{}: {report:?}\n{}", self.kind, String::from_utf8_lossy(&stderr));
        report
    }

    /// Nothing that the CLI started is left after its end: no server, no daemon.
    fn assert_nothing_runs_on(&self) {
        eventually("the end of all that was started", PATIENCE, || {
            process::of_directory(self.scratch.path()).is_empty().then_some(())
        });
    }

    /// Each request that reached the model carried the endpoint's key and nothing of the operator's.
    fn assert_only_the_endpoints_key(&self) {
        let requests = self.model.requests();
        assert!(requests.iter().any(|request| request.outcome == "answer"));
        for request in requests.iter().filter(|request| request.api.is_some()) {
            assert_eq!(request.key.as_deref(), Some(KEY), "{}", request.path);
        }
    }
}

/// No holder stands around a CLI here that would end what it left running, such as OpenHands' server of tmux.
impl Drop for Bed {
    fn drop(&mut self) {
        for left in process::of_directory(self.scratch.path()) {
            let pid = nix::unistd::Pid::from_raw(left.pid);
            // One that has just ended needs no end.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// With `ORX_TEST_RECORD=<directory>`, what the CLIs print is kept there: the samples that the parsers are tested with.
fn keep(kind: EngineKind, mode: Mode, stdout: &[u8]) {
    if let Some(directory) = std::env::var_os("ORX_TEST_RECORD") {
        let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
        std::fs::write(Path::new(&directory).join(format!("{kind}-{name}-{mode:?}.jsonl")), stdout).unwrap();
    }
}

struct Running {
    child: tokio::process::Child,
    feeding: tokio::task::JoinHandle<()>,
}

struct Finished {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    ended: Ended,
}

fn start(launch: &Launch, cwd: &Path) -> Running {
    let mut child = tokio::process::Command::new(&launch.argv[0])
        .args(&launch.argv[1..])
        .env_clear()
        .envs(&launch.environment)
        .current_dir(cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = launch.input.clone().unwrap_or_default();
    let feeding = tokio::spawn(async move {
        let _ = stdin.write_all(input.as_bytes()).await;
        let _ = stdin.shutdown().await;
    });
    Running { child, feeding }
}

impl Running {
    fn kill(&self) {
        let group = i32::try_from(self.child.id().unwrap()).unwrap();
        nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    async fn finish(self) -> Finished {
        let output = tokio::time::timeout(PATIENCE, self.child.wait_with_output())
            .await
            .expect("the CLI came to no end")
            .unwrap();
        self.feeding.abort();
        use std::os::unix::process::ExitStatusExt as _;
        let status = output.status;
        let exit = status.code().map(Exit::Code).or_else(|| status.signal().map(Exit::Signal));
        let ended = Ended { exit, reason: EndReason::Exited, message: None, ended_at_ms: 0 };
        Finished { stdout: output.stdout, stderr: output.stderr, ended }
    }
}

fn says(text: &str) -> Step {
    Step { text: text.to_owned(), usage: Usage { input: 1234, output: 56, cached: 34 }, ..Step::default() }
}

/// What an engine reports of a call.
struct Reports {
    /// Tokens.
    tokens: bool,
    /// The name of its conversation.
    conversation: bool,
}

fn reports(kind: EngineKind) -> Reports {
    let (tokens, conversation) = match kind {
        EngineKind::Copilot | EngineKind::Openhands => (false, true),
        EngineKind::Cline => (true, false),
        EngineKind::Continue | EngineKind::Aider | EngineKind::Mini => (false, false),
        _ => (true, true),
    };
    Reports { tokens, conversation }
}

/// The mode in which an engine is asked a question: the one that may not write, where it has it.
fn asking(kind: EngineKind) -> Mode {
    if kind.descriptor().headless.always_writes.is_some() { Mode::Apply } else { Mode::Text }
}

async fn answers_with_tokens_and_leaves_the_users_home_alone(kind: EngineKind) {
    let bed = Bed::new(kind, vec![says("The answer.\n\nIn two paragraphs.")]).await;
    let home = bed.scratch.path().join("home");
    let before = files(&home);
    let report = bed.run("What is the answer?", asking(kind)).await;
    assert_eq!(report.failure, None);
    assert_eq!(report.text.trim(), "The answer.\n\nIn two paragraphs.");
    if reports(kind).tokens {
        // Gemini CLI counts the small call that chooses the model too.
        assert!((1234..1300).contains(&report.tokens.input.unwrap()), "{:?}", report.tokens);
        assert!((56..80).contains(&report.tokens.output.unwrap()), "{:?}", report.tokens);
        assert_eq!(report.tokens.cached, Some(34));
    } else {
        assert_eq!(report.tokens, orx_protocol::api::run::Tokens::default(), "what is not told is not known");
    }
    assert_eq!(report.engine_session.is_some(), reports(kind).conversation);
    if kind != EngineKind::Mini {
        assert_eq!(report.tool_calls, 0);
    }
    assert_eq!(files(&home), before, "the user's home was written to");
    bed.assert_only_the_endpoints_key();
    bed.assert_nothing_runs_on();
}

fn writes() -> Vec<Step> {
    let tools = vec![
        Action::WriteFile { path: "made.txt".to_owned(), content: "it's \"made\"\n$HOME\n".to_owned() },
        Action::EditFile { path: "there.txt".to_owned(), old: "old text".to_owned(), new: "new text".to_owned() },
        Action::Run { command: "echo ran > ran.txt".to_owned() },
    ];
    vec![Step { text: "I write.".to_owned(), tools, ..Step::default() }, says("Written.")]
}

async fn in_text_mode_nothing_is_written(kind: EngineKind) {
    let bed = Bed::new(kind, writes()).await;
    let before = files(&bed.work());
    let report = bed.run("Please write.", Mode::Text).await;
    assert_eq!(report.failure, None);
    assert_eq!(files(&bed.work()), before, "a file was written in text mode");
    // Continue ends where a tool is refused.
    if kind == EngineKind::Continue {
        return;
    }
    // Aider's one answer is all there is.
    if kind == EngineKind::Aider {
        assert!(report.text.contains("I write."), "{}", report.text);
        return;
    }
    assert_eq!(report.text.trim(), "Written.");
    let asked = bed.model.requests().into_iter().any(|request| request.turn == 1 && request.outcome == "answer");
    assert!(asked, "the CLI never told the model what came of its tools");
}

async fn in_apply_mode_files_are_written_without_asking(kind: EngineKind) {
    let bed = Bed::new(kind, writes()).await;
    let report = bed.run("Please write.", Mode::Apply).await;
    assert_eq!(report.failure, None);
    // What Aider says is what it does: there is one answer, with the edits in it.
    let said = if kind == EngineKind::Aider { "I write." } else { "Written." };
    assert!(report.text.contains(said), "{}", report.text);
    let read = |name: &str| std::fs::read_to_string(bed.work().join(name)).unwrap();
    assert_eq!(read("made.txt"), "it's \"made\"\n$HOME\n");
    assert_eq!(read("there.txt"), "new text\n");
    // Aider proposes a command and leaves it to a person.
    let commands = usize::from(kind != EngineKind::Aider);
    if commands > 0 {
        assert_eq!(read("ran.txt"), "ran\n");
    }
    if kind != EngineKind::Continue {
        assert!(report.tool_calls as usize >= 2 + commands, "{}", report.tool_calls);
    }
    if reports(kind).tokens {
        assert!(report.tokens.input.unwrap() >= 2234, "the tokens of all turns count: {:?}", report.tokens);
    }
    bed.assert_nothing_runs_on();
}

async fn in_text_mode_nothing_is_written_whatever_the_operator_allows(kind: EngineKind) {
    let mut bed = Bed::new(kind, writes()).await;
    bed.use_the_operators_own_login();
    let before = files(&bed.work());
    let report = bed.run("Please write.", Mode::Text).await;
    assert_eq!(report.failure, None);
    assert_eq!(report.text.trim(), "Written.");
    assert_eq!(files(&bed.work()), before, "a file was written in text mode");
    let requests = bed.model.requests();
    let answered: Vec<_> = requests.iter().filter(|request| request.outcome == "answer").collect();
    assert_eq!(answered.len(), 2);
    assert!(answered.iter().all(|request| request.key.as_deref() == Some("the-operators-own")), "{answered:?}");
}

async fn in_text_mode_files_can_be_read(kind: EngineKind) {
    let reading = vec![Action::ReadFile { path: "there.txt".to_owned() }];
    let bed = Bed::new(kind, vec![Step { tools: reading, ..says("I look.") }, says("Read.")]).await;
    std::fs::write(bed.work().join("there.txt"), "a text that only the file has\n").unwrap();
    let report = bed.run("Look at it.", Mode::Text).await;
    assert_eq!((report.failure, report.text.trim()), (None, "Read."));
    let requests = bed.model.requests();
    let told = requests.iter().find(|request| request.turn == 1).unwrap();
    assert!(told.text.contains("a text that only the file has"), "the model never saw the file");
}

async fn the_demonstration_works(kind: EngineKind) {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/scenarios/demo.json");
    let bed = Bed::with(kind, Scenario::load(&scenario).unwrap()).await;
    for (name, content) in calculator::FILES {
        std::fs::write(bed.work().join(name), content).unwrap();
    }
    let tests_pass = || {
        let run = std::process::Command::new("python3")
            .args(["-B", "-m", "unittest"])
            .current_dir(bed.work())
            .output()
            .unwrap();
        run.status.success()
    };
    for (stage, item, green) in [("implement", "W001", true), ("implement", "W002", false), ("fix", "W002", true)] {
        let prompt = format!("orx-stage: {stage}\norx-item: {item}\n\nDo what the item says.");
        let report = bed.run(&prompt, Mode::Apply).await;
        assert_eq!(report.failure, None);
        assert_eq!(tests_pass(), green, "after {stage} {item}");
    }
}

async fn a_rate_limit_is_waited_out(kind: EngineKind) {
    let limit = Failure::Status { code: 429, retry_after_s: Some(1) };
    let bed = Bed::new(kind, vec![Step { failures: vec![limit], ..says("After the limit.") }]).await;
    let report = bed.run("Be patient.", asking(kind)).await;
    assert_eq!(report.failure, None);
    assert_eq!(report.text.trim(), "After the limit.");
    assert!(bed.model.requests().iter().any(|request| request.outcome == "status 429"));
}

async fn a_refused_key_is_told_as_such(kind: EngineKind) {
    let refusal = Failure::Status { code: 401, retry_after_s: None };
    let bed = Bed::new(kind, vec![Step { failures: vec![refusal; 40], ..says("never") }]).await;
    let mut launch = bed.launch("Let me in.", asking(kind));
    // Claude Code asks eleven times, over minutes, before it gives up.
    launch.environment.insert("CLAUDE_CODE_MAX_RETRIES".to_owned(), "1".to_owned());
    let report = bed.finish(&launch, asking(kind)).await;
    let failure = report.failure.expect("a refused key is no success");
    assert_eq!(failure.kind, FailureKind::NotLoggedIn, "{}", failure.message);
}

async fn a_killed_cli_is_no_success(kind: EngineKind) {
    let reading = vec![Action::ReadFile { path: "there.txt".to_owned() }];
    let bed = Bed::new(
        kind,
        vec![
            Step { text: "I look.".to_owned(), tools: reading, ..Step::default() },
            Step { wait_for_file: Some("never".to_owned()), ..says("late") },
        ],
    )
    .await;
    let running = start(&bed.launch("Look at it.", Mode::Apply), &bed.work());
    bed.model.wait_for(PATIENCE, |request| request.turn == 1 && request.outcome == "answer").await.unwrap();
    running.kill();
    let Finished { stdout, stderr, ended } = running.finish().await;
    keep(kind, Mode::Apply, &stdout);
    assert_eq!(ended.exit, Some(Exit::Signal(9)));
    let report = orx_engines::report(kind, &stdout, &stderr, &ended);
    assert_eq!(report.failure.unwrap().kind, FailureKind::Crashed);
    assert_ne!(report.text, "late");
}

async fn any_prompt_arrives_intact(kind: EngineKind) {
    let bed = Bed::new(kind, vec![says("Read.")]).await;
    let mut prompt = String::from(
        "--not-an-option 'single' \"double\" `tick` $(rm -rf x) ${HOME} %s \\n \\ ; & | > < * ? ! # ~ \t tab\n\n\
         @dataclass and a@b.example, /help, <tag attr=\"1\">&amp;</tag>, \u{1F980} é ß 漢字\n",
    );
    // Some put a file that is named so, and that exists, into the prompt; that cannot be switched off.
    if !matches!(kind, EngineKind::Gemini | EngineKind::Cline | EngineKind::Qwen) {
        prompt.push_str("@there.txt\n");
    }
    // Qwen Code sets every such word apart with a space.
    if kind == EngineKind::Qwen {
        prompt = prompt.replace('@', "");
    }
    let argument = matches!(kind, EngineKind::Continue | EngineKind::Cline | EngineKind::Mini | EngineKind::Openhands);
    let size = if argument { 80 * 1024 } else { 200 * 1024 };
    while prompt.len() < size {
        prompt.push_str("A line of \"text\" that makes the prompt longer than an argument may be.\n");
    }
    prompt.push_str("the last line");
    let report = bed.run(&prompt, asking(kind)).await;
    assert_eq!(report.failure, None);
    let requests = bed.model.requests();
    let received = requests.iter().find(|request| request.outcome == "answer").unwrap();
    // Aider says in which language it wants its answer.
    let own = if kind == EngineKind::Aider { "Reply in English." } else { "" };
    let arrived = received.prompt.trim_end();
    let arrived = arrived.strip_suffix(own).unwrap_or(arrived).trim_end();
    let same = received.prompt.chars().zip(prompt.chars()).take_while(|(a, b)| a == b).count();
    assert!(
        arrived == prompt,
        "after {same} characters: {:?}",
        received.prompt.chars().skip(same.saturating_sub(20)).take(80).collect::<String>()
    );
}

async fn the_version_is_told(kind: EngineKind) {
    let bed = Bed::new(kind, Vec::from([says("x")])).await;
    let version = orx_engines::version(kind, &bed.context).await.unwrap();
    assert!((version.major, version.minor, version.patch) > (0, 0, 0));
}

async fn a_session_in_a_terminal_starts_without_a_dialog(kind: EngineKind) {
    let bed = Bed::new(kind, vec![says("Hello from the script.")]).await;
    let request = InteractiveRequest {
        cwd: bed.cwd(),
        prompt: Some("Greet me from the \"terminal\".".to_owned()),
        argv: Vec::new(),
        conversation: None,
    };
    orx_engines::prepare(kind, &bed.context, &bed.cwd()).unwrap();
    let launch = orx_engines::interactive(kind, &bed.context, &request).unwrap();
    let terminal = Terminal::start(&launch.argv, &launch.environment, &bed.work()).unwrap();
    terminal.wait_for("Hello from the script.", PATIENCE).await.unwrap();
    let asked =
        bed.model.requests().into_iter().any(|request| request.prompt.contains("Greet me from the \"terminal\"."));
    assert!(asked, "the model was never asked");
    bed.assert_only_the_endpoints_key();
}

macro_rules! for_engine {
    ($engine:ident $kind:path: $($test:ident),+) => {
        mod $engine {
            use super::EngineKind;
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($kind).await;
                }
            )+
        }
    };
}

macro_rules! with_everything {
    ($($engine:ident $kind:path),+) => {
        $(for_engine!($engine $kind:
            answers_with_tokens_and_leaves_the_users_home_alone,
            in_text_mode_nothing_is_written,
            in_text_mode_nothing_is_written_whatever_the_operator_allows,
            in_apply_mode_files_are_written_without_asking,
            in_text_mode_files_can_be_read,
            the_demonstration_works,
            a_rate_limit_is_waited_out,
            a_refused_key_is_told_as_such,
            a_killed_cli_is_no_success,
            any_prompt_arrives_intact,
            the_version_is_told,
            a_session_in_a_terminal_starts_without_a_dialog
        );)+
    };
}

with_everything!(
    claude EngineKind::Claude,
    codex EngineKind::Codex,
    gemini EngineKind::Gemini,
    opencode EngineKind::Opencode
);

macro_rules! with_json {
    ($($engine:ident $kind:path),+) => {
        $(for_engine!($engine $kind:
            answers_with_tokens_and_leaves_the_users_home_alone,
            in_text_mode_nothing_is_written,
            in_apply_mode_files_are_written_without_asking,
            in_text_mode_files_can_be_read,
            a_rate_limit_is_waited_out,
            a_refused_key_is_told_as_such,
            a_killed_cli_is_no_success,
            any_prompt_arrives_intact,
            the_version_is_told,
            a_session_in_a_terminal_starts_without_a_dialog
        );)+
    };
}

with_json!(
    qwen EngineKind::Qwen,
    copilot EngineKind::Copilot,
    pi EngineKind::Pi
);

for_engine!(cline EngineKind::Cline:
    answers_with_tokens_and_leaves_the_users_home_alone,
    in_apply_mode_files_are_written_without_asking,
    a_rate_limit_is_waited_out,
    a_refused_key_is_told_as_such,
    a_killed_cli_is_no_success,
    any_prompt_arrives_intact,
    the_version_is_told,
    a_session_in_a_terminal_starts_without_a_dialog
);

for_engine!(continue_cli EngineKind::Continue:
    answers_with_tokens_and_leaves_the_users_home_alone,
    in_text_mode_nothing_is_written,
    in_apply_mode_files_are_written_without_asking,
    in_text_mode_files_can_be_read,
    a_refused_key_is_told_as_such,
    a_killed_cli_is_no_success,
    any_prompt_arrives_intact,
    the_version_is_told,
    a_session_in_a_terminal_starts_without_a_dialog
);

for_engine!(aider EngineKind::Aider:
    answers_with_tokens_and_leaves_the_users_home_alone,
    in_text_mode_nothing_is_written,
    in_apply_mode_files_are_written_without_asking,
    any_prompt_arrives_intact,
    the_version_is_told
);

// Aider and mini-swe-agent go on trying after a refused key for minutes.
for_engine!(mini EngineKind::Mini:
    answers_with_tokens_and_leaves_the_users_home_alone,
    in_apply_mode_files_are_written_without_asking,
    a_killed_cli_is_no_success,
    any_prompt_arrives_intact,
    the_version_is_told
);

// OpenHands tells a refused key as a bad request.
for_engine!(openhands EngineKind::Openhands:
    answers_with_tokens_and_leaves_the_users_home_alone,
    in_apply_mode_files_are_written_without_asking,
    a_killed_cli_is_no_success,
    any_prompt_arrives_intact,
    the_version_is_told,
    a_session_in_a_terminal_starts_without_a_dialog
);
