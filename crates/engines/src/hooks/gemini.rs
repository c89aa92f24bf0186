//! The hooks of Gemini CLI, as its versions 0.61 call them. They tell, and hold tools back; none answers the dialog, which a
//! hook announces with all that it will show.
//!
//! The CLI takes settings for one session from files alone that root owns, so its hooks are in the settings of orx's private
//! homes, and call what a variable of the session names. With the user's own home there are none.

use std::collections::BTreeMap;
use std::path::Path;

use orx_protocol::api::approval::{ApprovalKind, Subject};
use serde_json::{Map, Value, json};

use super::{Asker, BadPayload, Heard, Installation, Meaning, Question, claude};
use crate::home;

/// The file in the session's directory.
const FILE: &str = "gemini-hook.sh";
/// The variable that names it.
const HOOK: &str = "ORX_GEMINI_HOOK";
/// How long the CLI waits for a hook, in milliseconds.
const MILLISECONDS: u64 = 15_000;
/// The points at which hooks are called.
const POINTS: [&str; 8] = [
    "SessionStart",
    "BeforeAgent",
    "BeforeTool",
    "AfterTool",
    "Notification",
    "PreCompress",
    "AfterAgent",
    "SessionEnd",
];

/// The hooks in the settings of a private home: they do nothing in sessions that do not want them.
pub(crate) fn settings() -> Value {
    let command = format!("test -z \"${HOOK}\" || sh \"${HOOK}\"");
    let hook = json!([{"hooks": [{"type": "command", "name": "orx", "command": command, "timeout": MILLISECONDS}]}]);
    Value::Object(POINTS.iter().map(|point| ((*point).to_owned(), hook.clone())).collect::<Map<_, _>>())
}

pub(super) fn install(
    argv: &[String],
    environment: &BTreeMap<String, String>,
    program: &str,
    directory: &Path,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<Installation> {
    let home = environment.get("GEMINI_CLI_HOME").or_else(|| environment.get("HOME"))?;
    let settings = read(&Path::new(home).join(".gemini/settings.json").to_string_lossy())?;
    settings.contains(HOOK).then(|| Installation {
        file: FILE,
        content: format!("exec {} hook gemini\n", claude::quoted(program)),
        argv: argv.to_vec(),
        environment: vec![(HOOK, directory.join(FILE).to_string_lossy().into_owned())],
    })
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn understand(payload: &Value, read: &dyn Fn(&str) -> Option<String>) -> Result<Heard, BadPayload> {
    let point = text(payload, "hook_event_name").ok_or(BadPayload::Member("hook_event_name"))?;
    let conversation = text(payload, "session_id").ok_or(BadPayload::Member("session_id"))?;
    let own = || text(payload, "tool_name").unwrap_or_default();
    let meaning = match point.as_str() {
        "Notification" if payload["notification_type"] == "ToolPermission" => {
            foretold(payload).map_or(Meaning::Noticed, |question| Meaning::Foretells(Box::new(question)))
        }
        _ => match claude::understand(&in_claudes_words(payload), read)?.meaning {
            Meaning::Intends(question) => {
                let mut question = claude::with_tool(question, &own());
                question.asker = asker(&payload["tool_input"], question.asker);
                Meaning::Intends(question)
            }
            Meaning::WentOn(told) => Meaning::WentOn(asker(&payload["tool_input"], told)),
            other => other,
        },
    };
    Ok(Heard { point, conversation: Some(conversation), transcript: text(payload, "transcript_path"), meaning })
}

/// What a dialog will be about; `None` for those of which nothing certain is told.
fn foretold(payload: &Value) -> Option<Question> {
    let details = payload.get("details")?;
    let mut subject = Subject { cwd: text(payload, "cwd"), ..Subject::default() };
    let kind = match text(details, "type")?.as_str() {
        "exec" => {
            subject.command = Some(text(details, "command")?);
            ApprovalKind::Command
        }
        "edit" => {
            subject.paths = vec![text(details, "filePath").or_else(|| text(details, "fileName"))?];
            subject.diff = text(details, "fileDiff");
            ApprovalKind::FileChange
        }
        _ => return None,
    };
    subject.tool = Some(if kind == ApprovalKind::Command { "run_shell_command" } else { "edit" }.to_owned());
    Some(Question { kind, subject, asker: asker(details, Asker { helper: None, digest: String::new() }) })
}

/// A dialog and the call of its tool have the command or the file in common.
fn asker(told: &Value, asker: Asker) -> Asker {
    let what = ["command", "file_path", "filePath"].iter().find_map(|name| told.get(*name)?.as_str());
    match what {
        Some(what) => Asker { digest: format!("{:016x}", home::fnv1a(what.as_bytes())), ..asker },
        None => asker,
    }
}

/// The payload with Claude Code's names of the point and, where it has one of that sort, of the tool.
fn in_claudes_words(payload: &Value) -> Value {
    let mut payload = payload.clone();
    let point = match payload.get("hook_event_name").and_then(Value::as_str) {
        Some("BeforeAgent") => "UserPromptSubmit",
        Some("BeforeTool") => "PreToolUse",
        Some("AfterTool") => "PostToolUse",
        Some("AfterAgent") => "Stop",
        _ => return payload,
    };
    payload["hook_event_name"] = json!(point);
    let tool = match payload.get("tool_name").and_then(Value::as_str) {
        Some("run_shell_command") => "Bash",
        Some("write_file") => "Write",
        Some("replace") => "Edit",
        _ => return payload,
    };
    payload["tool_name"] = json!(tool);
    payload
}

pub(super) fn hold_back(is_denied: bool, reason: &str) -> String {
    let decision = if is_denied { "deny" } else { "ask" };
    json!({"decision": decision, "reason": reason, "systemMessage": reason}).to_string()
}

#[cfg(test)]
#[path = "gemini_tests.rs"]
mod tests;
