//! The hooks of Qwen Code, as its versions 0.24 call them: those of Claude Code with tools of other names.
//!
//! `PermissionRequest` runs before the dialog, not beside it: the CLI shows none while it waits, at most for 60 s, and then
//! asks at its terminal. Settings for one session are its system defaults, below all that the user and the repository set;
//! hooks of all settings are called.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{AWAY, BadPayload, Heard, Installation, Meaning, claude};

/// The file in the session's directory.
const FILE: &str = "qwen-defaults.json";
/// The variables that name its system defaults, and the settings beside which they are by default.
const DEFAULTS: &str = "QWEN_CODE_SYSTEM_DEFAULTS_PATH";
const SYSTEM: &str = "QWEN_CODE_SYSTEM_SETTINGS_PATH";
/// Where they are when no variable says.
const PLACE: &str = if cfg!(target_os = "macos") {
    "/Library/Application Support/QwenCode/system-defaults.json"
} else {
    "/etc/qwen-code/system-defaults.json"
};
/// The name of system defaults beside system settings.
const BESIDE: &str = "system-defaults.json";
/// How long a question may wait in its hook: the CLI stops listening after 60 s and shows its dialog then.
pub(super) const PATIENCE: Duration = Duration::from_secs(50);
/// How long the CLI lets a hook with a question run, in seconds.
const QUESTION_SECONDS: u64 = 90;
/// How long it waits for the other hooks, in seconds.
const NOTICE_SECONDS: u64 = 15;
/// The points at which hooks are called.
const POINTS: [&str; 13] = [
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PostToolUseFailure",
    "Notification",
    "PreCompact",
    "SubagentStart",
    "SubagentStop",
    "Stop",
    "StopFailure",
    "SessionEnd",
];
/// Switches with which the CLI calls no hooks.
const WITHOUT: [&str; 2] = ["--bare", "--safe-mode"];
/// Tools that the CLI confirms at its terminal whatever a hook says.
const AT_THE_TERMINAL: [&str; 3] = ["ask_user_question", "exit_plan_mode", "enter_plan_mode"];

pub(super) fn install(
    argv: &[String],
    environment: &BTreeMap<String, String>,
    program: &str,
    directory: &Path,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<Installation> {
    if argv.iter().any(|argument| WITHOUT.contains(&argument.as_str())) {
        return None;
    }
    let named = |name: &str| environment.get(name).filter(|path| !path.is_empty());
    let given = named(DEFAULTS).cloned().unwrap_or_else(|| {
        let beside = named(SYSTEM).and_then(|path| Some(Path::new(path).parent()?.join(BESIDE)));
        beside.map_or_else(|| PLACE.to_owned(), |path| path.to_string_lossy().into_owned())
    });
    // What the operator's defaults say stays in force; what cannot be read as they are is left to the CLI.
    let mut settings = match read(&given) {
        None => Map::new(),
        Some(text) => serde_json::from_str(&text).ok()?,
    };
    let seconds = |point: &str| if point == "PermissionRequest" { QUESTION_SECONDS } else { NOTICE_SECONDS };
    claude::add_hooks(
        &mut settings,
        &POINTS,
        seconds,
        &format!("{} hook qwen --away {AWAY}", claude::quoted(program)),
    )?;
    let file = directory.join(FILE).to_string_lossy().into_owned();
    Some(Installation {
        file: FILE,
        content: Value::Object(settings).to_string(),
        argv: argv.to_vec(),
        environment: vec![(DEFAULTS, file)],
    })
}

pub(super) fn understand(payload: &Value, read: &dyn Fn(&str) -> Option<String>) -> Result<Heard, BadPayload> {
    let tool = payload.get("tool_name").and_then(Value::as_str).unwrap_or_default();
    let mut heard = claude::understand(&in_claudes_words(payload), read)?;
    heard.meaning = match heard.meaning {
        Meaning::Asks(_) if AT_THE_TERMINAL.contains(&tool) => Meaning::Noticed,
        Meaning::Asks(question) => Meaning::Asks(claude::with_tool(question, tool)),
        Meaning::Intends(question) => Meaning::Intends(claude::with_tool(question, tool)),
        // The results of tools are handed to the model as a prompt without words.
        Meaning::Prompted(text) if text.is_empty() => Meaning::Noticed,
        other => other,
    };
    Ok(heard)
}

/// The payload with Claude Code's name of the tool, where it has one of that sort.
fn in_claudes_words(payload: &Value) -> Value {
    let name = match payload.get("tool_name").and_then(Value::as_str) {
        Some("run_shell_command") => "Bash",
        Some("write_file") => "Write",
        Some("edit") => "Edit",
        Some("notebook_edit") => "NotebookEdit",
        _ => return payload.clone(),
    };
    let mut payload = payload.clone();
    payload["tool_name"] = json!(name);
    payload
}

#[cfg(test)]
#[path = "qwen_tests.rs"]
mod tests;
