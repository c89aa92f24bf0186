//! From what a scenario asks for to calls of the tools that the CLI declared.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::chat_tools;
use super::conversation::{Conversation, Wire};
use super::scenario::{Action, Step};

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Arguments,
}

/// Arguments of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Arguments {
    /// Named members.
    Members(Value),
    /// Free text, as Codex takes it for patches.
    Text(String),
}

fn call(name: &str, arguments: Value) -> Call {
    Call { name: name.to_owned(), arguments: Arguments::Members(arguments) }
}

/// The calls that do what the scenario asks for. Where the CLI did not declare a fitting tool, the one that it has when it
/// may write is called all the same: a model may ask for anything, and the CLI must refuse.
fn calls(conversation: &Conversation, actions: &[Action]) -> Vec<Call> {
    actions.iter().flat_map(|action| of_action(conversation, action)).collect()
}

/// What a step says and calls, as the CLI takes it.
#[must_use]
pub fn answer(conversation: &Conversation, step: &Step) -> (String, Vec<Call>) {
    chat_tools::answer(conversation, step).unwrap_or_else(|| (step.text.clone(), calls(conversation, &step.tools)))
}

fn of_action(conversation: &Conversation, action: &Action) -> Vec<Call> {
    let root = PathBuf::from(conversation.cwd.as_deref().unwrap_or("."));
    let full = |path: &str| root.join(path).to_string_lossy().into_owned();
    if let Some(calls) = chat_tools::calls(conversation, action, full) {
        return calls;
    }
    let exists = |path: &str| Path::new(&full(path)).exists();
    match conversation.wire {
        Wire::Anthropic => match action {
            Action::ReadFile { path } => vec![call("Read", json!({ "file_path": full(path) }))],
            // The CLI refuses to change a file that was not read before.
            Action::WriteFile { path, content } => exists(path)
                .then(|| call("Read", json!({ "file_path": full(path) })))
                .into_iter()
                .chain([call("Write", json!({ "file_path": full(path), "content": content }))])
                .collect(),
            Action::EditFile { path, old, new } => vec![
                call("Read", json!({ "file_path": full(path) })),
                call("Edit", json!({ "file_path": full(path), "old_string": old, "new_string": new })),
            ],
            Action::Run { command } => vec![call("Bash", json!({ "command": command, "description": "Run" }))],
            Action::Call { tool, arguments } => vec![call(tool, arguments.clone())],
        },
        Wire::Gemini => match action {
            Action::ReadFile { path } => vec![call("read_file", json!({ "file_path": full(path) }))],
            Action::WriteFile { path, content } => {
                vec![call("write_file", json!({ "file_path": full(path), "content": content }))]
            }
            Action::EditFile { path, old, new } => vec![call(
                "replace",
                json!({ "file_path": full(path), "instruction": "Edit", "old_string": old, "new_string": new }),
            )],
            Action::Run { command } => {
                vec![call("run_shell_command", json!({ "command": command, "description": "Run" }))]
            }
            Action::Call { tool, arguments } => vec![call(tool, arguments.clone())],
        },
        Wire::Chat => match action {
            Action::ReadFile { path } => vec![call("read", json!({ "filePath": full(path) }))],
            Action::WriteFile { path, content } => exists(path)
                .then(|| call("read", json!({ "filePath": full(path) })))
                .into_iter()
                .chain([call("write", json!({ "filePath": full(path), "content": content }))])
                .collect(),
            Action::EditFile { path, old, new } => vec![
                call("read", json!({ "filePath": full(path) })),
                call("edit", json!({ "filePath": full(path), "oldString": old, "newString": new })),
            ],
            Action::Run { command } => vec![call("bash", json!({ "command": command, "description": "Run" }))],
            Action::Call { tool, arguments } => vec![call(tool, arguments.clone())],
        },
        Wire::Responses => match action {
            Action::ReadFile { path } => vec![shell(conversation, &format!("cat {}", quoted(path)))],
            Action::WriteFile { path, content } => vec![patch(conversation, whole_file(path, content, exists(path)))],
            Action::EditFile { path, old, new } => vec![patch(conversation, replacement(path, old, new))],
            Action::Run { command } => vec![shell(conversation, command)],
            Action::Call { tool, arguments } if declares(conversation, "exec") => vec![program(tool, arguments)],
            Action::Call { tool, arguments } => vec![call(tool, arguments.clone())],
        },
    }
}

fn declares(conversation: &Conversation, tool: &str) -> bool {
    conversation.tools.iter().any(|name| name == tool)
}

fn text_call(name: &str, text: String) -> Call {
    Call { name: name.to_owned(), arguments: Arguments::Text(text) }
}

/// A JavaScript program for Codex's tool `exec`, in which its other tools are functions.
fn program(function: &str, argument: &Value) -> Call {
    text_call("exec", format!("text(await tools.{function}({argument}));"))
}

fn shell(conversation: &Conversation, command: &str) -> Call {
    if declares(conversation, "exec") {
        return program("exec_command", &json!({ "cmd": command }));
    }
    if declares(conversation, "shell") {
        return call("shell", json!({ "command": ["bash", "-lc", command] }));
    }
    if declares(conversation, "shell_command") {
        return call("shell_command", json!({ "command": command }));
    }
    call("exec_command", json!({ "cmd": command }))
}

fn patch(conversation: &Conversation, patch: String) -> Call {
    if declares(conversation, "exec") {
        return program("apply_patch", &Value::String(patch));
    }
    if declares(conversation, "apply_patch") {
        return text_call("apply_patch", patch);
    }
    shell(conversation, &format!("apply_patch <<'ORX_PATCH'\n{patch}\nORX_PATCH"))
}

fn prefixed(text: &str, prefix: char) -> String {
    text.lines().map(|line| format!("{prefix}{line}\n")).collect()
}

fn whole_file(path: &str, content: &str, exists: bool) -> String {
    let delete = if exists { format!("*** Delete File: {path}\n") } else { String::new() };
    format!("*** Begin Patch\n{delete}*** Add File: {path}\n{}*** End Patch", prefixed(content, '+'))
}

fn replacement(path: &str, old: &str, new: &str) -> String {
    format!("*** Begin Patch\n*** Update File: {path}\n@@\n{}{}*** End Patch", prefixed(old, '-'), prefixed(new, '+'))
}

pub(super) fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''"))
}
