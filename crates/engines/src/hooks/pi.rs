//! What pi tells and asks, as its versions 0.73 let extensions do it.
//!
//! pi has no permissions of its own and calls no programs. So the file of a session is an extension, which pi is pointed to
//! by an argument: it calls `orxctl hook pi` before each tool and at the points of a turn, and draws a dialog while a
//! question waits. Whoever is first decides, the inbox or the person at the dialog. Its words are those of
//! `data/pi.extension.js`.

use std::path::Path;

use orx_protocol::api::approval::{ApprovalKind, ApprovalState, Subject};
use serde_json::{Value, json};

use super::changes::unified;
use super::{Answer, Asker, BadPayload, Heard, Installation, Meaning, Question};

/// The file in the session's directory.
const FILE: &str = "pi-extension.js";
/// The extension; names in braces are replaced by texts of JavaScript.
const EXTENSION: &str = include_str!("../../data/pi.extension.js");
/// What a denial without a reason says to the model.
const DENIED: &str = "The user does not want this.";

pub(super) fn install(argv: &[String], program: &str, directory: &Path) -> Installation {
    let conversations = argv
        .iter()
        .position(|argument| argument == "--session")
        .and_then(|place| Path::new(argv.get(place + 1)?).parent())
        .map(|directory| directory.to_string_lossy().into_owned());
    let content = EXTENSION
        .replace("\"{program}\"", &json!(program).to_string())
        .replace("\"{conversations}\"", &json!(conversations.unwrap_or_default()).to_string());
    let file = directory.join(FILE).to_string_lossy().into_owned();
    let mut argv = argv.to_vec();
    let after_program = argv.len().min(1);
    argv.splice(after_program..after_program, ["--extension".to_owned(), file]);
    Installation { file: FILE, content, argv, environment: Vec::new() }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn understand(payload: &Value, read: &dyn Fn(&str) -> Option<String>) -> Result<Heard, BadPayload> {
    let point = text(payload, "hook_event_name").ok_or(BadPayload::Member("hook_event_name"))?;
    let meaning = match point.as_str() {
        "UserPromptSubmit" => Meaning::Prompted(text(payload, "prompt").ok_or(BadPayload::Member("prompt"))?),
        "PreToolUse" => Meaning::Intends(Box::new(question(payload, read)?)),
        "PermissionRequest" => Meaning::Asks(Box::new(question(payload, read)?)),
        "BeforeTool" | "PostToolUse" | "PostToolUseFailure" => Meaning::WentOn(asker(payload)?),
        "Stop" => Meaning::TurnEnded(None),
        "SessionEnd" => Meaning::Ended,
        _ => Meaning::Noticed,
    };
    let conversation = text(payload, "conversation");
    Ok(Heard { point, conversation, transcript: text(payload, "transcript_path"), meaning })
}

/// pi names every call of a tool.
fn asker(payload: &Value) -> Result<Asker, BadPayload> {
    let call = text(payload, "tool_use_id").ok_or(BadPayload::Member("tool_use_id"))?;
    Ok(Asker { helper: None, digest: format!("{:016x}", crate::home::fnv1a(call.as_bytes())) })
}

fn question(payload: &Value, read: &dyn Fn(&str) -> Option<String>) -> Result<Question, BadPayload> {
    let asker = asker(payload)?;
    let tool = text(payload, "tool_name").ok_or(BadPayload::Member("tool_name"))?;
    let input = &payload["tool_input"];
    let mut subject = Subject { cwd: text(payload, "cwd"), ..Subject::default() };
    let path = || text(input, "path").map(|path| absolute(&path, subject.cwd.as_deref()));
    let kind = match tool.as_str() {
        "bash" => {
            subject.command = Some(text(input, "command").ok_or(BadPayload::Member("tool_input.command"))?);
            ApprovalKind::Command
        }
        "write" | "edit" => {
            let path = path().ok_or(BadPayload::Member("tool_input.path"))?;
            subject.diff = Some(unified(&path, &edits(&path, input, read)));
            subject.paths = vec![path];
            ApprovalKind::FileChange
        }
        _ => {
            subject.paths = path().into_iter().collect();
            // What a tool is given is part of what is decided; it is shown as the tool gets it.
            subject.question = Some(serde_json::to_string_pretty(input).unwrap_or_else(|_| input.to_string()));
            ApprovalKind::Tool
        }
    };
    subject.tool = Some(tool);
    Ok(Question { kind, subject, asker })
}

/// pi takes paths from its working directory.
fn absolute(path: &str, cwd: Option<&str>) -> String {
    cwd.map_or_else(|| path.to_owned(), |cwd| Path::new(cwd).join(path).to_string_lossy().into_owned())
}

/// What is replaced: the whole file by `write`, pieces of it by `edit`.
fn edits(path: &str, input: &Value, read: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    if let Some(content) = text(input, "content") {
        return vec![(read(path).unwrap_or_default(), content)];
    }
    let pieces = input["edits"].as_array().into_iter().flatten();
    pieces.filter_map(|edit| Some((text(edit, "oldText")?, text(edit, "newText")?))).collect()
}

pub(super) fn answer(answer: Answer<'_>) -> Option<String> {
    let decided = match answer.state {
        ApprovalState::Allowed => json!({"decision": "allow"}),
        ApprovalState::Denied | ApprovalState::Expired => {
            json!({"decision": "deny", "reason": answer.reason.unwrap_or(DENIED)})
        }
        ApprovalState::Pending | ApprovalState::Withdrawn => return None,
    };
    Some(decided.to_string())
}

pub(super) fn hold_back(is_denied: bool, reason: &str) -> String {
    json!({"decision": if is_denied { "deny" } else { "ask" }, "reason": reason}).to_string()
}

#[cfg(test)]
#[path = "pi_tests.rs"]
mod tests;
