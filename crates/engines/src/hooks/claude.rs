//! The hooks of Claude Code, as its versions 2.1 call them.
//!
//! `PermissionRequest` runs while the dialog is on the screen: whoever is first, hook or person, decides, and the other's
//! word is not heard any more. A hook that prints nothing leaves the dialog to the person. A dialog that is dismissed ends
//! its hook; one that is answered with yes does not, which is seen by what follows.

use std::path::Path;

use orx_protocol::api::approval::{ApprovalKind, ApprovalState, Choice, Part, Subject};
use serde_json::{Map, Value, json};

use super::changes::unified;
use super::{Answer, Asker, BadPayload, Heard, Installation, Meaning, Question};
use crate::home;

/// The file in the session's directory.
const FILE: &str = "claude-settings.json";
/// How long the CLI waits for an answer to a question, in seconds: as long as its timer can.
const QUESTION_SECONDS: u64 = 2_000_000;
/// How long it waits for the other hooks, in seconds.
const NOTICE_SECONDS: u64 = 15;
/// The points at which hooks are called.
const POINTS: [&str; 12] = [
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PostToolUseFailure",
    "Notification",
    "SubagentStart",
    "SubagentStop",
    "Stop",
    "StopFailure",
    "SessionEnd",
];

pub(super) fn install(
    argv: &[String],
    program: &str,
    directory: &Path,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<Installation> {
    let end = argv.iter().position(|argument| argument == "--").unwrap_or(argv.len());
    let (options, rest) = argv.split_at_checked(end)?;
    if options.iter().any(|argument| argument == "--bare") {
        return None;
    }
    let mut given = None;
    let mut kept: Vec<String> = Vec::with_capacity(argv.len() + 2);
    let mut options = options.iter();
    while let Some(argument) = options.next() {
        // The CLI takes the last settings that are named; what the user named is kept as part of ours.
        match argument.strip_prefix("--settings") {
            Some("") => given = options.next(),
            Some(value) if value.starts_with('=') => given = Some(argument),
            _ => kept.push(argument.clone()),
        }
    }
    let mut settings = match given {
        None => Map::new(),
        Some(given) => own_settings(given.strip_prefix("--settings=").unwrap_or(given), read)?,
    };
    let seconds = |point: &str| if point == "PermissionRequest" { QUESTION_SECONDS } else { NOTICE_SECONDS };
    add_hooks(&mut settings, &POINTS, seconds, &format!("{} hook claude", quoted(program)))?;
    let file = directory.join(FILE).to_string_lossy().into_owned();
    let after_program = kept.len().min(1);
    kept.splice(after_program..after_program, ["--settings".to_owned(), file]);
    kept.extend(rest.iter().cloned());
    Some(Installation { file: FILE, content: Value::Object(settings).to_string(), argv: kept, environment: Vec::new() })
}

/// Settings that the user passes: JSON, or the path of a file. `None` for what the CLI itself will refuse.
fn own_settings(given: &str, read: &dyn Fn(&str) -> Option<String>) -> Option<Map<String, Value>> {
    let text = if given.trim_start().starts_with('{') { given.to_owned() } else { read(given)? };
    serde_json::from_str(&text).ok()
}

/// Adds a hook at each point behind those that are there; `seconds` is how long the CLI waits for it.
pub(super) fn add_hooks(
    settings: &mut Map<String, Value>,
    points: &[&str],
    seconds: impl Fn(&str) -> u64,
    command: &str,
) -> Option<()> {
    let hooks = settings.entry("hooks").or_insert_with(|| json!({})).as_object_mut()?;
    for point in points {
        let entry = json!({"hooks": [{"type": "command", "command": command, "timeout": seconds(point)}]});
        hooks.entry(*point).or_insert_with(|| json!([])).as_array_mut()?.push(entry);
    }
    Some(())
}

/// A path as one word of a POSIX shell.
pub(super) fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''"))
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn understand(payload: &Value, read: &dyn Fn(&str) -> Option<String>) -> Result<Heard, BadPayload> {
    let point = text(payload, "hook_event_name").ok_or(BadPayload::Member("hook_event_name"))?;
    let conversation = text(payload, "session_id").ok_or(BadPayload::Member("session_id"))?;
    let meaning = match point.as_str() {
        "UserPromptSubmit" => Meaning::Prompted(text(payload, "prompt").ok_or(BadPayload::Member("prompt"))?),
        "PreToolUse" => Meaning::Intends(Box::new(question(payload, read)?)),
        "PermissionRequest" => Meaning::Asks(Box::new(question(payload, read)?)),
        "PostToolUse" | "PostToolUseFailure" => Meaning::WentOn(asker(payload)?),
        "SubagentStop" => Meaning::TurnEnded(text(payload, "agent_id")),
        "Stop" | "StopFailure" => Meaning::TurnEnded(None),
        "SessionEnd" => Meaning::Ended,
        _ => Meaning::Noticed,
    };
    let transcript = text(payload, "transcript_path");
    Ok(Heard { point, conversation: Some(conversation), transcript, meaning })
}

fn asker(payload: &Value) -> Result<Asker, BadPayload> {
    let tool = text(payload, "tool_name").ok_or(BadPayload::Member("tool_name"))?;
    let digest = home::fnv1a(format!("{tool}\n{}", payload["tool_input"]).as_bytes());
    Ok(Asker { helper: text(payload, "agent_id"), digest: format!("{digest:016x}") })
}

fn question(payload: &Value, read: &dyn Fn(&str) -> Option<String>) -> Result<Question, BadPayload> {
    let asker = asker(payload)?;
    let tool = text(payload, "tool_name").ok_or(BadPayload::Member("tool_name"))?;
    let input = &payload["tool_input"];
    let path = || text(input, "file_path").or_else(|| text(input, "notebook_path"));
    let mut subject = Subject { cwd: text(payload, "cwd"), why: text(input, "description"), ..Subject::default() };
    let kind = match tool.as_str() {
        "Bash" | "PowerShell" => {
            subject.command = Some(text(input, "command").ok_or(BadPayload::Member("tool_input.command"))?);
            ApprovalKind::Command
        }
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => {
            let path = path().ok_or(BadPayload::Member("tool_input.file_path"))?;
            subject.diff = diff(&tool, &path, input, read);
            subject.paths = vec![path];
            ApprovalKind::FileChange
        }
        "AskUserQuestion" => {
            asked(input, &mut subject);
            ApprovalKind::Question
        }
        "ExitPlanMode" => {
            subject.question = text(input, "plan");
            ApprovalKind::Plan
        }
        _ => {
            subject.paths = path().or_else(|| text(input, "path")).into_iter().collect();
            // What a tool is given is part of what is decided; it is shown as the tool gets it.
            subject.question = Some(serde_json::to_string_pretty(input).unwrap_or_else(|_| input.to_string()));
            ApprovalKind::Tool
        }
    };
    subject.tool = Some(tool);
    Ok(Question { kind, subject, asker })
}

/// A question with another CLI's own name of the tool.
pub(super) fn with_tool(mut question: Box<Question>, tool: &str) -> Box<Question> {
    question.subject.tool = Some(tool.to_owned());
    question
}

/// What is asked: one question with its choices, or the parts where there are several questions or several answers.
fn asked(input: &Value, subject: &mut Subject) {
    let questions: Vec<&Value> = input["questions"].as_array().into_iter().flatten().collect();
    let options = |question: &Value| -> Vec<Choice> {
        let options = question["options"].as_array().into_iter().flatten();
        let choice = |option: &Value| Choice {
            label: text(option, "label").unwrap_or_default(),
            description: text(option, "description").filter(|words| !words.is_empty()),
        };
        options.map(choice).collect()
    };
    let part = |question: &&Value| Part {
        question: text(question, "question").unwrap_or_default(),
        choices: options(question),
        several: question["multiSelect"].as_bool().unwrap_or(false),
    };
    let parts: Vec<Part> = questions.iter().map(part).collect();
    match parts.as_slice() {
        [one] if !one.several => {
            let explained = one
                .choices
                .iter()
                .map(|choice| format!("\n  {}: {}", choice.label, choice.description.as_deref().unwrap_or_default()));
            subject.question = Some(format!("{}{}", one.question, explained.collect::<String>()));
            subject.choices = one.choices.iter().map(|choice| choice.label.clone()).collect();
            subject.parts = parts.clone();
        }
        parts => {
            let words: Vec<&str> = parts.iter().map(|part| part.question.as_str()).collect();
            subject.question = Some(words.join("\n"));
            subject.parts = parts.to_vec();
        }
    }
}

/// What a tool changes, as a unified diff.
fn diff(tool: &str, path: &str, input: &Value, read: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let edits: Vec<(String, String)> = match tool {
        "Write" => vec![(read(path).unwrap_or_default(), text(input, "content")?)],
        "MultiEdit" => input["edits"].as_array()?.iter().filter_map(replaced).collect(),
        "NotebookEdit" => vec![(String::new(), text(input, "new_source")?)],
        _ => replaced(input).into_iter().collect(),
    };
    Some(unified(path, &edits))
}

fn replaced(edit: &Value) -> Option<(String, String)> {
    Some((text(edit, "old_string")?, text(edit, "new_string")?))
}

pub(super) fn answer(payload: &Value, answer: Answer<'_>) -> Option<String> {
    let decision = match answer.state {
        ApprovalState::Allowed => match answer.answer {
            Some(words) => json!({"behavior": "allow", "updatedInput": answered(&payload["tool_input"], words)}),
            None => json!({"behavior": "allow"}),
        },
        ApprovalState::Denied | ApprovalState::Expired => {
            let reason = answer.reason.unwrap_or("The user does not want this.");
            json!({"behavior": "deny", "message": reason})
        }
        ApprovalState::Pending | ApprovalState::Withdrawn => return None,
    };
    Some(json!({"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": decision}}).to_string())
}

/// The input of `AskUserQuestion` with the answers in it: by question, the label or the user's own words.
fn answered(input: &Value, words: &str) -> Value {
    let mut input = input.clone();
    let questions: Vec<String> =
        input["questions"].as_array().into_iter().flatten().filter_map(|question| text(question, "question")).collect();
    let mut answers = Map::new();
    if let [question] = questions.as_slice() {
        answers.insert(question.clone(), json!(words));
    } else {
        for (question, line) in questions.into_iter().zip(words.lines()) {
            answers.insert(question, json!(line.trim().trim_start_matches("- ")));
        }
    }
    if let Some(members) = input.as_object_mut() {
        members.insert("answers".to_owned(), Value::Object(answers));
    }
    input
}

pub(super) fn hold_back(is_denied: bool, reason: &str) -> String {
    let decision = if is_denied { "deny" } else { "ask" };
    json!({"hookSpecificOutput": {
        "hookEventName": "PreToolUse", "permissionDecision": decision, "permissionDecisionReason": reason,
    }})
    .to_string()
}

#[cfg(test)]
#[path = "claude_tests.rs"]
mod tests;
