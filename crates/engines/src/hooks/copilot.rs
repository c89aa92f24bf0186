//! The hooks of GitHub Copilot CLI, as its versions 1.0 call them. Under names of Claude Code it speaks Claude Code's words
//! at most points, and its own at `PermissionRequest`.
//!
//! `PermissionRequest` runs before the dialog, not beside it, and only where one would be shown: the CLI shows none while it
//! waits. A hook before a tool that fails denies the tool, so none of ours ever fails. Hooks of one session are those of a
//! plugin that the command line names.

use std::path::Path;
use std::time::Duration;

use orx_protocol::api::approval::ApprovalState;
use serde_json::{Map, Value, json};

use super::{AWAY, Answer, Asker, BadPayload, Heard, Installation, Meaning, Question, claude};
use crate::home;

/// The plugin in the session's directory.
const PLUGIN: &str = "copilot-plugin";
/// Its file.
const FILE: &str = "copilot-plugin/plugin.json";
/// How long a question may wait in its hook.
pub(super) const PATIENCE: Duration = Duration::from_secs(QUESTION_SECONDS - 60);
/// How long the CLI waits for an answer to a question, in seconds: a week.
const QUESTION_SECONDS: u64 = 7 * 24 * 3600;
/// How long it waits for the other hooks, in seconds.
const NOTICE_SECONDS: u64 = 15;
/// Its names of arguments, and those of Claude Code.
const ARGUMENTS: [(&str, &str); 4] =
    [("path", "file_path"), ("file_text", "content"), ("old_str", "old_string"), ("new_str", "new_string")];
/// The points at which hooks are called.
const POINTS: [&str; 12] = [
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
    "SessionEnd",
];

pub(super) fn install(argv: &[String], program: &str, directory: &Path) -> Installation {
    let command = format!("{} hook copilot --away {AWAY} || true", claude::quoted(program));
    let hooks: Map<String, Value> = POINTS
        .iter()
        .map(|point| {
            let seconds = if *point == "PermissionRequest" { QUESTION_SECONDS } else { NOTICE_SECONDS };
            ((*point).to_owned(), json!([{"type": "command", "bash": command, "timeoutSec": seconds}]))
        })
        .collect();
    let content = json!({
        "name": "orx", "version": env!("CARGO_PKG_VERSION"), "description": "Tells orx what this session does and asks",
        "hooks": hooks,
    });
    let mut argv = argv.to_vec();
    let after_program = argv.len().min(1);
    let plugin = directory.join(PLUGIN).to_string_lossy().into_owned();
    argv.splice(after_program..after_program, ["--plugin-dir".to_owned(), plugin]);
    Installation { file: FILE, content: content.to_string(), argv, environment: Vec::new() }
}

pub(super) fn understand(payload: &Value, read: &dyn Fn(&str) -> Option<String>) -> Result<Heard, BadPayload> {
    let tool = payload.get("tool_name").and_then(Value::as_str).unwrap_or_default();
    let mut heard = claude::understand(&in_claudes_words(payload), read)?;
    let own = |question: Box<Question>| {
        let mut question = claude::with_tool(question, tool);
        // It shows the change itself; a helper's words of it are not needed.
        if let Some(diff) = payload.pointer("/tool_input/diff").and_then(Value::as_str) {
            question.subject.diff = Some(diff.trim_start().to_owned());
        }
        question.asker = same(question.asker, payload);
        question
    };
    heard.meaning = match heard.meaning {
        Meaning::Asks(question) => Meaning::Asks(own(question)),
        Meaning::Intends(question) => Meaning::Intends(own(question)),
        Meaning::WentOn(asker) => Meaning::WentOn(same(asker, payload)),
        other => other,
    };
    Ok(heard)
}

/// It describes one call differently from point to point: the command or the file is what stays.
fn same(asker: Asker, payload: &Value) -> Asker {
    let input = &payload["tool_input"];
    let what = ["command", "file_path", "path", "url"].iter().find_map(|name| input.get(*name)?.as_str());
    match what {
        Some(what) => Asker { digest: format!("{:016x}", home::fnv1a(what.as_bytes())), ..asker },
        None => asker,
    }
}

/// The payload with Claude Code's names of what is in it.
pub(super) fn plain(payload: Value) -> Value {
    let Value::Object(members) = payload else { return payload };
    let renamed = members.into_iter().map(|(name, value)| match name.as_str() {
        "hookName" => ("hook_event_name".to_owned(), point(value)),
        "sessionId" => ("session_id".to_owned(), value),
        "toolName" => ("tool_name".to_owned(), value),
        "toolInput" => ("tool_input".to_owned(), value),
        _ => (name, value),
    });
    Value::Object(renamed.collect())
}

/// The name of a point with a capital letter.
fn point(name: Value) -> Value {
    let Value::String(name) = name else { return name };
    let mut letters = name.chars();
    json!(letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect()))
}

/// The payload with Claude Code's name of the tool and of its arguments, where it has one of that sort.
fn in_claudes_words(payload: &Value) -> Value {
    let name = match payload.get("tool_name").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
        Some("bash" | "powershell") => "Bash",
        Some("write" | "create") => "Write",
        Some("edit" | "str_replace" | "apply_patch") => "Edit",
        _ => return payload.clone(),
    };
    let mut payload = payload.clone();
    if let Some(input) = payload["tool_input"].as_object_mut() {
        for (own, claudes) in ARGUMENTS {
            if let Some(value) = input.get(own).cloned() {
                input.entry(claudes).or_insert(value);
            }
        }
    }
    // A change whose file is not named, such as a patch of several, is shown as the tool gets it.
    if name == "Bash" || payload["tool_input"]["file_path"].is_string() {
        payload["tool_name"] = json!(name);
    }
    payload
}

pub(super) fn answer(answer: Answer<'_>) -> Option<String> {
    let decision = match answer.state {
        ApprovalState::Allowed => json!({"behavior": "allow"}),
        ApprovalState::Denied | ApprovalState::Expired => {
            json!({"behavior": "deny", "message": answer.reason.unwrap_or("The user does not want this.")})
        }
        ApprovalState::Pending | ApprovalState::Withdrawn => return None,
    };
    Some(decision.to_string())
}

#[cfg(test)]
#[path = "copilot_tests.rs"]
mod tests;
