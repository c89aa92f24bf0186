//! The tools of the CLIs that speak Chat Completions, told apart by what they declare. opencode's are in
//! [`super::tools`], since it is the one that is taken for granted.

use serde_json::{Value, json};

use super::conversation::{Conversation, Wire};
use super::scenario::{Action, Step};
use super::tools::{Arguments, Call, quoted};

/// A CLI, as far as its tools tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Qwen,
    Copilot,
    Pi,
    Continue,
    Cline,
    OpenHands,
    /// One tool that runs a command line, and an end that is a command too: mini-swe-agent.
    Shell,
    /// No tools: what is to be done is in blocks of the answer. Aider.
    Blocks,
}

fn family(conversation: &Conversation) -> Option<Family> {
    let has = |tool: &str| conversation.tools.iter().any(|name| name == tool);
    let known = match conversation.tools.as_slice() {
        _ if conversation.wire != Wire::Chat => return None,
        [] if conversation.text.contains("*SEARCH/REPLACE block*") => Family::Blocks,
        [only] if only == "bash" => Family::Shell,
        _ if has("read_files") => Family::Cline,
        _ if has("file_editor") => Family::OpenHands,
        _ if has("view") => Family::Copilot,
        _ if has("Read") => Family::Continue,
        _ if has("read_file") => Family::Qwen,
        _ if has("read") && (has("find") || !has("glob")) => Family::Pi,
        _ => return None,
    };
    Some(known)
}

fn call(name: &str, arguments: Value) -> Call {
    Call { name: name.to_owned(), arguments: Arguments::Members(arguments) }
}

/// The calls that do what is asked for; `full` makes a path absolute. `None` for a CLI of [`super::tools`].
pub(super) fn calls(conversation: &Conversation, action: &Action, full: impl Fn(&str) -> String) -> Option<Vec<Call>> {
    let family = family(conversation)?;
    let exists = |path: &str| std::path::Path::new(&full(path)).exists();
    let read = |path: &str| match family {
        Family::Qwen => call("read_file", json!({ "file_path": full(path) })),
        Family::Copilot => call("view", json!({ "path": full(path) })),
        Family::Pi => call("read", json!({ "path": full(path) })),
        Family::Continue => call("Read", json!({ "filepath": full(path) })),
        Family::Cline => call("read_files", json!({ "files": [{ "path": full(path) }] })),
        Family::OpenHands => {
            call("file_editor", json!({ "command": "view", "path": full(path), "security_risk": "LOW" }))
        }
        Family::Shell | Family::Blocks => run(family, &format!("cat {}", quoted(path))),
    };
    // Some refuse to change a file that was not read before.
    let after_reading = |path: &str, call: Call| if exists(path) { vec![read(path), call] } else { vec![call] };
    Some(match action {
        Action::ReadFile { path } => vec![read(path)],
        Action::WriteFile { path, content } => {
            let place = full(path);
            let write = match family {
                Family::Qwen => call("write_file", json!({ "file_path": place, "content": content })),
                Family::Copilot => call("create", json!({ "path": place, "file_text": content })),
                Family::Pi => call("write", json!({ "path": place, "content": content })),
                Family::Continue => call("Write", json!({ "filepath": place, "content": content })),
                Family::Cline => call("editor", json!({ "path": place, "new_text": content })),
                Family::OpenHands => call(
                    "file_editor",
                    json!({ "command": "create", "path": place, "file_text": content, "security_risk": "LOW" }),
                ),
                Family::Shell | Family::Blocks => {
                    run(family, &format!("printf '%s' {} > {}", quoted(content), quoted(path)))
                }
            };
            // These create, and leave what is there alone.
            match family {
                Family::Copilot | Family::OpenHands | Family::Cline if exists(path) => {
                    vec![run(family, &format!("rm {}", quoted(path))), write]
                }
                _ => after_reading(path, write),
            }
        }
        Action::EditFile { path, old, new } => {
            let place = full(path);
            let edit = match family {
                Family::Qwen => call("edit", json!({ "file_path": place, "old_string": old, "new_string": new })),
                Family::Copilot => call("edit", json!({ "path": place, "old_str": old, "new_str": new })),
                Family::Pi => call("edit", json!({ "path": place, "edits": [{ "oldText": old, "newText": new }] })),
                Family::Cline => call("editor", json!({ "path": place, "old_text": old, "new_text": new })),
                Family::OpenHands => call(
                    "file_editor",
                    json!({ "command": "str_replace", "path": place, "old_str": old, "new_str": new, "security_risk": "LOW" }),
                ),
                // Continue refuses to edit what was not read in an earlier round.
                Family::Continue | Family::Shell | Family::Blocks => {
                    let program =
                        "import sys; p, a, b = sys.argv[1:]; t = open(p).read(); open(p, 'w').write(t.replace(a, b))";
                    let parts = [program, path, old, new].map(quoted);
                    run(family, &format!("python3 -c {}", parts.join(" ")))
                }
            };
            after_reading(path, edit)
        }
        Action::Run { command } => vec![run(family, command)],
        Action::Call { tool, arguments } => vec![call(tool, arguments.clone())],
    })
}

fn run(family: Family, command: &str) -> Call {
    match family {
        Family::Qwen => call("run_shell_command", json!({ "command": command, "is_background": false })),
        Family::Continue => call("Bash", json!({ "command": command })),
        Family::Cline => call("run_commands", json!({ "commands": [command] })),
        Family::OpenHands => call("terminal", json!({ "command": command, "security_risk": "LOW" })),
        Family::Copilot | Family::Pi | Family::Shell | Family::Blocks => {
            call("bash", json!({ "command": command, "description": "Run" }))
        }
    }
}

/// What is said instead of the step's text, and the calls that go with it, where a CLI knows no plain answer.
pub(super) fn answer(conversation: &Conversation, step: &Step) -> Option<(String, Vec<Call>)> {
    match family(conversation)? {
        // An answer without a command is an error to it; the end is a command, and what that prints is the answer.
        Family::Shell if step.tools.is_empty() => {
            let end = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT";
            let said = format!("{end}; printf '%s\\n' {}", quoted(&step.text));
            Some((step.text.clone(), vec![run(Family::Shell, &said)]))
        }
        Family::Blocks => Some((blocks(step), Vec::new())),
        _ => None,
    }
}

/// The step as blocks of its answer.
fn blocks(step: &Step) -> String {
    let mut said = step.text.clone();
    for action in &step.tools {
        let (path, old, new) = match action {
            Action::WriteFile { path, content } => (path, String::new(), content.clone()),
            Action::EditFile { path, old, new } => (path, old.clone(), new.clone()),
            Action::Run { command } => {
                said.push_str(&format!("\n\n```bash\n{command}\n```"));
                continue;
            }
            Action::ReadFile { .. } | Action::Call { .. } => continue,
        };
        let line = |text: String| if text.is_empty() || text.ends_with('\n') { text } else { format!("{text}\n") };
        let (old, new) = (line(old), line(new));
        said.push_str(&format!("\n\n{path}\n```\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n```"));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(tools: &[&str], text: &str) -> Conversation {
        Conversation {
            wire: Wire::Chat,
            model: String::new(),
            stream: false,
            prompt: String::new(),
            turn: 0,
            text: text.to_owned(),
            tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
            cwd: None,
            schema: None,
            side_call: false,
        }
    }

    #[test]
    fn a_cli_is_known_by_what_it_declares() {
        for (tools, known) in [
            (&["read", "bash", "edit", "write"][..], Some(Family::Pi)),
            (&["read", "grep", "find", "ls"][..], Some(Family::Pi)),
            (&["bash", "edit", "glob", "grep", "read", "write"][..], None),
            (&["bash"][..], Some(Family::Shell)),
            (&["view", "grep", "glob"][..], Some(Family::Copilot)),
            (&["read_file", "glob"][..], Some(Family::Qwen)),
            (&[][..], None),
        ] {
            assert_eq!(family(&conversation(tools, "")), known, "{tools:?}");
        }
        assert_eq!(family(&conversation(&[], "# *SEARCH/REPLACE block* Rules:")), Some(Family::Blocks));
    }

    #[test]
    fn an_answer_is_put_into_the_form_that_the_cli_takes() {
        let step = Step {
            text: "Done.".to_owned(),
            tools: vec![Action::WriteFile { path: "a.txt".to_owned(), content: "x".to_owned() }],
            ..Step::default()
        };
        let (said, calls) = answer(&conversation(&[], "*SEARCH/REPLACE block*"), &step).unwrap();
        assert_eq!(said, "Done.\n\na.txt\n```\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n```");
        assert!(calls.is_empty());
        let end = Step { tools: Vec::new(), ..step };
        let (_, calls) = answer(&conversation(&["bash"], ""), &end).unwrap();
        assert!(format!("{calls:?}").contains("COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"));
    }
}
