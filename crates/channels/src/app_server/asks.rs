//! What Codex asks for, and how its questions are answered.

use orx_protocol::api::approval::{ApprovalKind, Decision, Subject};
use serde_json::{Map, Value, json};

use crate::event::Ask;
use crate::text::{diff, line, list, owned, parts, text};

/// What an answer must look like.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// `decision` of a command or a change of files.
    Decision,
    /// The permissions that are granted: all that were asked for, or none.
    Permissions(Value),
    /// An answer to each question, by its name.
    Answers(Vec<String>),
    /// An answer to a form of an MCP server; the only member of the form, where it has one.
    Form(Option<String>),
}

/// Understands a request of the server; `None` when it is none that a person decides. `changes` are those of the item that
/// the request is about, as far as they were seen.
pub(super) fn understand(
    id: &Value,
    method: &str,
    params: &Value,
    changes: Option<&Value>,
) -> Option<(Ask, String, Shape)> {
    let thread = text(params, "/threadId")?.to_owned();
    let item = text(params, "/itemId").unwrap_or_default();
    let why = owned(params, "/reason");
    let key = format!("{thread}/{item}/{id}");
    let ask = |kind, title: String, subject: Subject| Ask { key, kind, title: line(&title), subject };
    let (ask, shape) = match method {
        "item/commandExecution/requestApproval" => {
            let command = owned(params, "/command");
            let host = owned(params, "/networkApprovalContext/host");
            let kind = if host.is_some() { ApprovalKind::Access } else { ApprovalKind::Command };
            let title = match (&host, &command) {
                (Some(host), _) => format!("reach {host}"),
                (None, Some(command)) => command.clone(),
                (None, None) => "run a command".to_owned(),
            };
            let subject = Subject {
                tool: Some("exec".to_owned()),
                command,
                cwd: owned(params, "/cwd"),
                why,
                ..Subject::default()
            };
            (ask(kind, title, subject), Shape::Decision)
        }
        "item/fileChange/requestApproval" => {
            let (paths, diff) = changes.map(changed).unwrap_or_default();
            let title = match (paths.as_slice(), text(params, "/grantRoot")) {
                ([], Some(root)) => format!("write below {root}"),
                ([], None) => "change files".to_owned(),
                ([one], _) => format!("change {one}"),
                ([first, rest @ ..], _) => format!("change {first} and {} more", rest.len()),
            };
            let tool = Some("apply_patch".to_owned());
            let subject =
                Subject { tool, paths, diff: Some(diff).filter(|diff| !diff.is_empty()), why, ..Subject::default() };
            (ask(ApprovalKind::FileChange, title, subject), Shape::Decision)
        }
        "item/permissions/requestApproval" => {
            let wanted = params.get("permissions").cloned().unwrap_or_else(|| json!({}));
            let paths = ["/fileSystem/write", "/fileSystem/read"]
                .iter()
                .flat_map(|pointer| list(&wanted, pointer))
                .filter_map(|path| path.as_str().map(str::to_owned))
                .collect();
            let network = wanted.pointer("/network/enabled") == Some(&Value::Bool(true));
            let title = if network { "reach the network" } else { "widen its sandbox" };
            let subject = Subject {
                tool: Some("request_permissions".to_owned()),
                cwd: owned(params, "/cwd"),
                paths,
                question: Some(line(&wanted.to_string())),
                why,
                ..Subject::default()
            };
            (ask(ApprovalKind::Access, title.to_owned(), subject), Shape::Permissions(wanted))
        }
        "item/tool/requestUserInput" => {
            let names = list(params, "/questions").filter_map(|question| owned(question, "/id")).collect::<Vec<_>>();
            let questions =
                list(params, "/questions").filter_map(|question| text(question, "/question")).collect::<Vec<_>>();
            let choices = match names.as_slice() {
                [_] => list(params, "/questions/0/options").filter_map(|option| owned(option, "/label")).collect(),
                _ => Vec::new(),
            };
            let question = questions.join("\n");
            let parts = if names.len() > 1 { parts(params, "") } else { Vec::new() };
            let subject = Subject { question: Some(question.clone()), choices, parts, ..Subject::default() };
            (ask(ApprovalKind::Question, question, subject), Shape::Answers(names))
        }
        "mcpServer/elicitation/request" => {
            let message = owned(params, "/message").unwrap_or_else(|| "answer a form".to_owned());
            let members: Vec<&String> = params
                .pointer("/requestedSchema/properties")
                .and_then(Value::as_object)
                .into_iter()
                .flat_map(Map::keys)
                .collect();
            let only = match members.as_slice() {
                [one] => Some((*one).clone()),
                _ => None,
            };
            let choices = only.as_ref().map_or_else(Vec::new, |member| {
                list(params, &format!("/requestedSchema/properties/{member}/enum"))
                    .filter_map(|choice| choice.as_str().map(str::to_owned))
                    .collect()
            });
            let kind = if members.is_empty() { ApprovalKind::Tool } else { ApprovalKind::Question };
            let subject = Subject {
                tool: owned(params, "/serverName"),
                question: Some(message.clone()),
                choices,
                ..Subject::default()
            };
            (ask(kind, message, subject), Shape::Form(only))
        }
        _ => return None,
    };
    Some((ask, thread, shape))
}

/// Paths and unified diff of an item's changes.
fn changed(changes: &Value) -> (Vec<String>, String) {
    let mut paths = Vec::new();
    let mut diffs = String::new();
    for change in changes.as_array().into_iter().flatten() {
        let Some(path) = owned(change, "/path") else { continue };
        let body = text(change, "/diff").unwrap_or_default();
        // Whole files come as their text alone.
        match text(change, "/kind/type") {
            Some("add") => diffs.push_str(&diff(&path, "", body)),
            Some("delete") => diffs.push_str(&diff(&path, body, "")),
            _ => diffs.push_str(&format!("--- {path}\n+++ {path}\n{}\n", body.trim_end_matches('\n'))),
        }
        paths.push(path);
    }
    (paths, diffs)
}

/// The answer in the server's words.
///
/// # Errors
/// A sentence when the decision cannot be put into the shape.
pub(super) fn answer(shape: &Shape, decision: Decision, answer: Option<&str>) -> Result<Value, String> {
    let allowed = decision != Decision::Deny;
    match shape {
        Shape::Decision => {
            let word = match decision {
                Decision::Allow => "accept",
                Decision::AllowAlways => "acceptForSession",
                Decision::Deny => "decline",
            };
            Ok(json!({ "decision": word }))
        }
        Shape::Permissions(wanted) => {
            let granted = if allowed { wanted.clone() } else { json!({}) };
            let scope = if decision == Decision::AllowAlways { "session" } else { "turn" };
            Ok(json!({ "permissions": granted, "scope": scope }))
        }
        Shape::Answers(names) => {
            let lines: Vec<&str> = match (allowed, names.len()) {
                (false, _) => Vec::new(),
                (true, 1) => answer.into_iter().collect(),
                (true, _) => answer.unwrap_or_default().lines().collect(),
            };
            if allowed && lines.len() != names.len() {
                return Err(format!("{} questions were asked, one a line, and {} answered", names.len(), lines.len()));
            }
            let answers: Map<String, Value> =
                names.iter().zip(lines).map(|(name, line)| (name.clone(), json!({ "answers": [line] }))).collect();
            Ok(json!({ "answers": answers }))
        }
        Shape::Form(_) if !allowed => Ok(json!({ "action": "decline" })),
        Shape::Form(member) => match (member, answer) {
            (Some(member), Some(answer)) => Ok(json!({ "action": "accept", "content": { member: answer } })),
            (Some(member), None) => Err(format!("the form asks for `{member}`, and no answer was given")),
            (None, _) => Ok(json!({ "action": "accept", "content": {} })),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_of_question_is_understood_and_answered() {
        let at = |more: Value| {
            let mut params = json!({"threadId": "t", "turnId": "u", "itemId": "i"});
            params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            params
        };
        let changes = json!([{"path": "/r/a", "kind": {"type": "add"}, "diff": "x\n"}]);
        let table = [
            (
                "item/commandExecution/requestApproval",
                at(json!({"command": "make", "cwd": "/r", "reason": "to build"})),
                (ApprovalKind::Command, "make"),
                (Decision::Allow, None, Ok(json!({"decision": "accept"}))),
            ),
            (
                "item/commandExecution/requestApproval",
                at(json!({"command": "curl", "networkApprovalContext": {"host": "example.org"}})),
                (ApprovalKind::Access, "reach example.org"),
                (Decision::Deny, None, Ok(json!({"decision": "decline"}))),
            ),
            (
                "item/fileChange/requestApproval",
                at(json!({})),
                (ApprovalKind::FileChange, "change /r/a"),
                (Decision::AllowAlways, None, Ok(json!({"decision": "acceptForSession"}))),
            ),
            (
                "item/permissions/requestApproval",
                at(json!({"permissions": {"network": {"enabled": true}}})),
                (ApprovalKind::Access, "reach the network"),
                (Decision::Deny, None, Ok(json!({"permissions": {}, "scope": "turn"}))),
            ),
            (
                "item/tool/requestUserInput",
                at(
                    json!({"questions": [{"id": "q", "header": "h", "question": "Which?", "options": [{"label": "A", "description": ""}]}]}),
                ),
                (ApprovalKind::Question, "Which?"),
                (Decision::Allow, Some("A"), Ok(json!({"answers": {"q": {"answers": ["A"]}}}))),
            ),
            (
                "mcpServer/elicitation/request",
                at(
                    json!({"serverName": "s", "message": "Name?", "requestedSchema": {"properties": {"name": {"type": "string"}}}}),
                ),
                (ApprovalKind::Question, "Name?"),
                (Decision::Allow, Some("x"), Ok(json!({"action": "accept", "content": {"name": "x"}}))),
            ),
        ];
        for (method, params, (kind, title), (decision, text, expected)) in table {
            let (ask, thread, shape) = understand(&json!(4), method, &params, Some(&changes)).unwrap();
            assert_eq!((ask.kind, ask.title.as_str(), thread.as_str()), (kind, title, "t"), "{method}");
            assert_eq!(ask.key, "t/i/4");
            assert_eq!(answer(&shape, decision, text), expected, "{method}");
        }
        assert!(understand(&json!(4), "account/chatgptAuthTokens/refresh", &at(json!({})), None).is_none());
    }

    #[test]
    fn several_questions_want_as_many_answers() {
        let shape = Shape::Answers(vec!["a".to_owned(), "b".to_owned()]);
        assert!(answer(&shape, Decision::Allow, Some("one")).unwrap_err().contains("2 questions"));
        let answered = answer(&shape, Decision::Allow, Some("one\ntwo")).unwrap();
        assert_eq!(answered, json!({"answers": {"a": {"answers": ["one"]}, "b": {"answers": ["two"]}}}));
    }

    #[test]
    fn changes_are_shown_as_one_diff() {
        let (paths, diff) = changed(&json!([
            {"path": "/r/new", "kind": {"type": "add"}, "diff": "hello\n"},
            {"path": "/r/old", "kind": {"type": "update"}, "diff": "@@ -1 +1 @@\n-a\n+b\n"},
        ]));
        assert_eq!(paths, ["/r/new", "/r/old"]);
        assert!(diff.contains("+hello\n--- /r/old\n+++ /r/old\n@@ -1 +1 @@\n-a\n+b\n"), "{diff}");
    }
}
