//! How each coding CLI is brought to show its states: arguments, files, keys, and the words of its dialogs as a person
//! reads them.

use std::path::{Path, PathBuf};

use orx_protocol::activity::AgentState;
use serde_json::{Value, json};

use crate::model::Action;

/// One CLI.
pub struct Recipe {
    /// Its name.
    pub engine: &'static str,
    /// Name of the program in a `bin` directory.
    pub program: &'static str,
    /// Whether the daemon knows it as an engine of its own; otherwise it runs as a command with `environment`.
    pub known: bool,
    /// Arguments.
    pub arguments: fn(&Places) -> Vec<String>,
    /// Variables of one that runs as a command.
    pub environment: fn(&Places) -> Vec<(&'static str, String)>,
    /// Writes what it reads at its start.
    pub prepare: fn(&Places),
    /// What is on the screen when it takes its first prompt.
    pub ready: &'static str,
    /// What one of its dialogs says and no answer of the model quotes; empty where it never asks.
    pub dialogs: &'static [&'static str],
    /// Whether a dialog is open on this screen, for those that leave old ones standing above.
    pub is_open: Option<fn(&[String]) -> bool>,
    /// Whether the turn is over with what was allowed or denied: the model is not told of it.
    pub is_last_word: bool,
    /// Whether its model is told of a denial, however long that takes.
    pub tells_denials: bool,
    /// Whether the end of a turn is an action that it asks for too.
    pub asks_at_end: bool,
    /// Whether an interrupt waits for the answer that is on its way.
    pub pauses_late: bool,
    /// Keys that allow.
    pub allow: &'static [&'static str],
    /// Keys that deny.
    pub deny: &'static [&'static str],
    /// Keys that end its work.
    pub interrupt: &'static [&'static str],
    /// Keys that empty its place for a prompt: some put a prompt that was interrupted back there.
    pub clear: &'static [&'static str],
    /// The line that ends it.
    pub leave: &'static str,
    /// Keys that end it where no line does.
    pub leave_keys: &'static [&'static str],
    /// The call by which the model has it write a file of its working directory.
    pub write: fn(&Path, &str, &str) -> Action,
    /// The call by which the model has it run a command.
    pub run: fn(&str) -> Action,
    /// The call by which the model asks its user something, where it has one.
    pub question: Option<fn() -> Action>,
    /// What is on the screen when it asks that.
    pub asks: &'static str,
    /// Whether anything of it tells that its provider refuses calls for a time; others try again in silence.
    pub tells_limits: bool,
    /// What it shows of a limit of the account, and the keys after which it takes prompts again, where it has a word for it.
    pub account: Option<(AgentState, &'static [&'static str])>,
    /// The call by which the model starts a helper, with the helper's prompt and whether the turn goes on meanwhile.
    pub helper: Option<fn(&str, bool) -> Action>,
}

/// Where a recording takes place.
pub struct Places {
    /// Working directory.
    pub work: PathBuf,
    /// Home of one that runs as a command.
    pub home: PathBuf,
    /// Directory of the recorder's own files.
    pub own: PathBuf,
    /// The scripted model.
    pub url: String,
    /// Its key.
    pub key: String,
    /// The CLI's version.
    pub version: String,
    /// The program.
    pub program: PathBuf,
}

impl Places {
    /// File of what hooks said.
    pub fn hooks(&self) -> PathBuf {
        self.own.join("hooks.jsonl")
    }

    fn write(&self, path: &Path, text: &str) {
        let parent = path.parent().expect("a file lies in a directory");
        std::fs::create_dir_all(parent).expect("the directory can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
}

const fn nothing(_: &Places) {}

fn no_variables(_: &Places) -> Vec<(&'static str, String)> {
    Vec::new()
}

fn no_arguments(_: &Places) -> Vec<String> {
    Vec::new()
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn write_file(_: &Path, path: &str, content: &str) -> Action {
    Action::WriteFile { path: path.to_owned(), content: content.to_owned() }
}

fn run(command: &str) -> Action {
    Action::Run { command: command.to_owned() }
}

fn call(tool: &str, arguments: Value) -> Action {
    Action::Call { tool: tool.to_owned(), arguments }
}

/// The hooks that Claude Code is asked to call.
const CLAUDE_HOOKS: [&str; 11] = [
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "Notification",
    "SubagentStart",
    "SubagentStop",
    "Stop",
    "StopFailure",
    "SessionEnd",
];

fn claude_settings(places: &Places) {
    let script = places.own.join("hook.sh");
    let log = places.hooks();
    places.write(
        &script,
        &format!(
            "#!/bin/sh\nat=$(date +%s%3N)\npayload=$(cat)\nflock '{log}' printf '{{\"at_ms\":%s,\"hook\":%s}}\\n' \"$at\" \"$payload\" >> '{log}'\n",
            log = log.display()
        ),
    );
    places.write(&log, "");
    let hooks: serde_json::Map<String, Value> = CLAUDE_HOOKS
        .iter()
        .map(|name| {
            let command = format!("sh '{}'", script.display());
            ((*name).to_owned(), json!([{"matcher": "", "hooks": [{"type": "command", "command": command}]}]))
        })
        .collect();
    places.write(&places.own.join("settings.json"), &json!({ "hooks": hooks }).to_string());
}

fn claude_arguments(places: &Places) -> Vec<String> {
    let manual = if places.version.starts_with("2.1.1") { "default" } else { "manual" };
    let settings = places.own.join("settings.json").to_string_lossy().into_owned();
    vec!["--permission-mode".to_owned(), manual.to_owned(), "--settings".to_owned(), settings]
}

fn claude_question() -> Action {
    call(
        "AskUserQuestion",
        json!({"questions": [{
            "question": "Which colour shall the button have?", "header": "Colour", "multiSelect": false,
            "options": [{"label": "Red", "description": "As the others"}, {"label": "Blue", "description": "As the sky"}],
        }]}),
    )
}

fn claude_helper(prompt: &str, beside: bool) -> Action {
    let mut arguments = json!({"description": "Count the files", "prompt": prompt, "subagent_type": "general-purpose"});
    if beside {
        arguments["run_in_background"] = json!(true);
    }
    call("Agent", arguments)
}

fn opencode_config(places: &Places) {
    places.write(
        &places.work.join("opencode.json"),
        &json!({"$schema": "https://opencode.ai/config.json", "permission": {"edit": "ask", "bash": "ask"}})
            .to_string(),
    );
}

fn opencode_question() -> Action {
    call(
        "question",
        json!({"questions": [{
            "question": "Which colour shall the button have?", "header": "Colour",
            "options": [{"label": "Red", "description": "As the others"}, {"label": "Blue", "description": "As the sky"}],
        }]}),
    )
}

fn gemini_question() -> Action {
    call(
        "ask_user",
        json!({"questions": [{
            "question": "Which colour shall the button have?", "header": "Colour", "type": "choice",
            "options": [{"label": "Red", "description": "As the others"}, {"label": "Blue", "description": "As the sky"}],
        }]}),
    )
}

fn cline_question() -> Action {
    call("ask_question", json!({"question": "Which colour shall the button have?", "options": ["Red", "Blue"]}))
}

fn openai(places: &Places) -> Vec<(&'static str, String)> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    vec![
        ("HOME", text(&places.home)),
        ("OPENAI_API_KEY", places.key.clone()),
        ("OPENAI_BASE_URL", format!("{}/v1", places.url)),
        ("OPENAI_API_BASE", format!("{}/v1", places.url)),
        ("OPENAI_MODEL", "gpt-fake".to_owned()),
    ]
}

fn copilot_environment(places: &Places) -> Vec<(&'static str, String)> {
    vec![
        ("HOME", places.home.to_string_lossy().into_owned()),
        ("COPILOT_PROVIDER_BASE_URL", format!("{}/v1", places.url)),
        ("COPILOT_PROVIDER_API_KEY", places.key.clone()),
        ("COPILOT_MODEL", "gpt-fake".to_owned()),
        ("COPILOT_OFFLINE", "true".to_owned()),
        ("COPILOT_AUTO_UPDATE", "false".to_owned()),
    ]
}

fn copilot_files(places: &Places) {
    places.write(
        &places.home.join(".copilot/config.json"),
        &json!({"trusted_folders": [places.work.to_string_lossy()]}).to_string(),
    );
}

fn copilot_run(command: &str) -> Action {
    call("bash", json!({"command": command, "description": "Run", "sessionId": "main", "async": false}))
}

fn continue_files(places: &Places) {
    let config = json!({"name": "test", "version": "1.0.0", "schema": "v1", "models": [{
        "name": "fake", "provider": "openai", "model": "gpt-fake", "apiBase": format!("{}/v1", places.url),
        "apiKey": places.key, "roles": ["chat"], "capabilities": ["tool_use"],
    }]});
    places.write(&places.own.join("config.yaml"), &config.to_string());
}

fn continue_environment(places: &Places) -> Vec<(&'static str, String)> {
    vec![("HOME", places.home.to_string_lossy().into_owned()), ("CONTINUE_TELEMETRY_ENABLED", "0".to_owned())]
}

/// The last rows with anything on them.
fn last(rows: &[String], count: usize) -> Vec<&str> {
    let mut found: Vec<&str> =
        rows.iter().rev().map(|row| row.trim_end()).filter(|row| !row.is_empty()).take(count).collect();
    found.reverse();
    found
}

const fn base(engine: &'static str) -> Recipe {
    Recipe {
        engine,
        program: engine,
        known: false,
        arguments: no_arguments,
        environment: no_variables,
        prepare: nothing,
        ready: "",
        dialogs: &[],
        is_open: None,
        is_last_word: false,
        tells_denials: false,
        asks_at_end: false,
        pauses_late: false,
        allow: &["enter"],
        deny: &["escape"],
        interrupt: &["escape"],
        clear: &[],
        leave: "/quit",
        leave_keys: &[],
        write: write_file,
        run,
        question: None,
        asks: "Which colour",
        tells_limits: false,
        account: None,
        helper: None,
    }
}

/// The recipe of a CLI.
#[must_use]
pub fn recipe(engine: &str) -> Option<Recipe> {
    Some(match engine {
        "claude" => Recipe {
            known: true,
            arguments: claude_arguments,
            prepare: claude_settings,
            ready: "? for shortcuts",
            dialogs: &["Esc to cancel"],
            clear: &["ctrl-u"],
            leave: "/exit",
            question: Some(claude_question),
            tells_limits: true,
            helper: Some(claude_helper),
            ..base("claude")
        },
        "codex" => Recipe {
            known: true,
            arguments: |_| strings(&["--ask-for-approval", "on-request", "--sandbox", "read-only"]),
            ready: "? for shortcuts",
            account: Some((AgentState::RateLimited, &[])),
            dialogs: &["Press enter to confirm"],
            allow: &["y"],
            run: |command| {
                let why = "It writes a file of the project.";
                call(
                    "exec_command",
                    json!({"cmd": command, "sandbox_permissions": "require_escalated", "justification": why}),
                )
            },
            ..base("codex")
        },
        "gemini" => Recipe {
            known: true,
            arguments: |_| strings(&["--approval-mode", "default"]),
            ready: "Type your message",
            dialogs: &["suggest changes (esc)"],
            // It asks how to go on.
            account: Some((AgentState::WaitingInput, &["down", "enter"])),
            question: Some(gemini_question),
            ..base("gemini")
        },
        "opencode" => Recipe {
            known: true,
            prepare: opencode_config,
            ready: "Ask anything",
            dialogs: &["Allow always"],
            interrupt: &["escape", "escape"],
            tells_limits: true,
            leave: "/exit",
            question: Some(opencode_question),
            ..base("opencode")
        },
        "qwen" => Recipe {
            arguments: |_| strings(&["--auth-type", "openai", "--approval-mode", "default"]),
            environment: openai,
            ready: "Type your message",
            dialogs: &["suggest changes (esc)"],
            clear: &["ctrl-u"],
            write: |work, path, content| call("write_file", json!({"file_path": work.join(path), "content": content})),
            run: |command| {
                call("run_shell_command", json!({"command": command, "description": "Run", "is_background": false}))
            },
            ..base("qwen")
        },
        "copilot" => Recipe {
            environment: copilot_environment,
            prepare: copilot_files,
            ready: "/ commands",
            dialogs: &["enter to select"],
            clear: &["ctrl-u"],
            interrupt: &["escape", "escape"],
            leave: "/exit",
            // Which tool it writes files with depends on the model that it believes to talk to.
            write: |_, path, _| copilot_run(&format!("printf 'one\\ntwo\\n' > {path}")),
            run: copilot_run,
            ..base("copilot")
        },
        "pi" => Recipe {
            known: true,
            ready: "0.0%/",
            dialogs: &["Permission needed"],
            write: |_, path, content| call("write", json!({"path": path, "content": content})),
            run: |command| call("bash", json!({"command": command})),
            tells_limits: true,
            ..base("pi")
        },
        "cline" => Recipe {
            known: true,
            arguments: |_| strings(&["--auto-approve", "false"]),
            ready: "Auto-approve all disabled",
            dialogs: &["Cline needs permission"],
            allow: &["y"],
            deny: &["n"],
            question: Some(cline_question),
            ..base("cline")
        },
        "continue" => Recipe {
            program: "cn",
            arguments: |places| {
                vec!["--config".to_owned(), places.own.join("config.yaml").to_string_lossy().into_owned()]
            },
            environment: continue_environment,
            prepare: continue_files,
            ready: "Ask anything",
            dialogs: &["(shift+tab)"],
            leave: "/exit",
            write: |work, path, content| call("Write", json!({"filepath": work.join(path), "content": content})),
            run: |command| call("Bash", json!({"command": command})),
            ..base("continue")
        },
        "aider" => Recipe {
            known: true,
            arguments: |_| strings(&["--no-git"]),
            ready: "diff>",
            dialogs: &["[Yes]:"],
            is_open: Some(|rows| last(rows, 1).iter().any(|row| row.ends_with("[Yes]:"))),
            is_last_word: true,
            allow: &["y", "enter"],
            deny: &["n", "enter"],
            interrupt: &["ctrl-c"],
            leave: "/exit",
            ..base("aider")
        },
        "openhands" => Recipe {
            known: true,
            arguments: |_| strings(&["--exit-without-confirmation"]),
            ready: "Type your message",
            dialogs: &["Auto LOW/MED"],
            tells_denials: true,
            pauses_late: true,
            deny: &["down", "enter"],
            leave: "/exit",
            ..base("openhands")
        },
        "mini" => Recipe {
            known: true,
            ready: "What do you want to do?",
            dialogs: &["Execute 1 action(s)?"],
            is_open: Some(|rows| {
                let foot = last(rows, 4);
                foot.last().is_some_and(|row| *row == ">") && foot.iter().any(|row| row.starts_with("Execute "))
            }),
            tells_denials: true,
            asks_at_end: true,
            deny: &["n", "o", "enter"],
            interrupt: &["ctrl-c"],
            leave_keys: &["ctrl-d"],
            ..base("mini")
        },
        _ => return None,
    })
}
