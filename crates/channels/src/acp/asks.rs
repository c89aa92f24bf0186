//! What an agent asks its client's user for, and the choice that answers it.

use orx_protocol::api::approval::{ApprovalKind, Decision, Subject};
use serde_json::{Value, json};

use crate::event::Ask;
use crate::text::{diff, line, list, owned, text};

/// A choice that the agent offers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    id: String,
    name: String,
    kind: String,
}

/// A permission that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Permission {
    /// The agent's name for the request.
    pub(super) request: Value,
    /// What is asked, for the channel's holder.
    pub(super) ask: Ask,
    choices: Vec<Choice>,
}

impl Permission {
    /// Understands `session/request_permission`. `call` is what is known of the tool call from before.
    pub(super) fn understand(request: &Value, params: &Value, call: Option<&Value>) -> Self {
        let mut tool = call.cloned().unwrap_or_else(|| json!({}));
        merge(&mut tool, &params["toolCall"]);
        let choices: Vec<Choice> = list(params, "/options")
            .filter_map(|option| {
                Some(Choice {
                    id: owned(option, "/optionId")?,
                    name: owned(option, "/name").unwrap_or_default(),
                    kind: owned(option, "/kind").unwrap_or_default(),
                })
            })
            .collect();
        let decides = choices.iter().any(|choice| choice.kind.starts_with("allow"));
        let kind = match text(&tool, "/kind") {
            _ if !decides => ApprovalKind::Question,
            Some("execute") => ApprovalKind::Command,
            Some("edit" | "delete" | "move") => ApprovalKind::FileChange,
            Some("fetch") => ApprovalKind::Access,
            Some("switch_mode") => ApprovalKind::Plan,
            _ => ApprovalKind::Tool,
        };
        let subject = subject(&tool, kind, &choices);
        let named = owned(&tool, "/title").or_else(|| subject.command.clone());
        let title = line(&named.unwrap_or_else(|| "use a tool".to_owned()));
        let key = format!("{}/{request}", text(&tool, "/toolCallId").unwrap_or_default());
        Self { request: request.clone(), ask: Ask { key, kind, title, subject }, choices }
    }

    /// The result that says how it was decided.
    ///
    /// # Errors
    /// A sentence when the agent offers nothing that would say so.
    pub(super) fn answer(&self, decision: Decision, answer: Option<&str>) -> Result<Value, String> {
        let selected = |choice: &Choice| json!({"outcome": {"outcome": "selected", "optionId": choice.id}});
        if let Some(answer) = answer.filter(|_| decision != Decision::Deny) {
            let chosen = self.choices.iter().find(|choice| choice.name == answer || choice.id == answer);
            return chosen.map(selected).ok_or_else(|| {
                let names: Vec<&str> = self.choices.iter().map(|choice| choice.name.as_str()).collect();
                format!("`{answer}` is none of the choices: {}", names.join(", "))
            });
        }
        let of = |kinds: &[&str]| kinds.iter().find_map(|kind| self.choices.iter().find(|choice| choice.kind == *kind));
        match decision {
            Decision::Allow => of(&["allow_once"]).map(selected).ok_or_else(|| {
                "the agent offers no way to allow this once alone; answer with one of its choices".to_owned()
            }),
            Decision::AllowAlways => of(&["allow_always", "allow_once"])
                .map(selected)
                .ok_or_else(|| "the agent offers no way to allow this; answer with one of its choices".to_owned()),
            // Without a choice for it, the turn is cancelled: that is no permission either.
            Decision::Deny => Ok(of(&["reject_once", "reject_always"])
                .map_or_else(|| json!({"outcome": {"outcome": "cancelled"}}), selected)),
        }
    }
}

/// What a request for permission is answered with when the turn is stopped.
pub(super) fn cancelled() -> Value {
    json!({"outcome": {"outcome": "cancelled"}})
}

/// Takes over the members that are set.
pub(super) fn merge(call: &mut Value, update: &Value) {
    let (Value::Object(call), Value::Object(update)) = (call, update) else { return };
    for (name, value) in update {
        let empty = value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty);
        if !empty || !call.contains_key(name) {
            call.insert(name.clone(), value.clone());
        }
    }
}

fn subject(tool: &Value, kind: ApprovalKind, choices: &[Choice]) -> Subject {
    let command = match tool.pointer("/rawInput/command") {
        Some(Value::String(command)) => Some(command.clone()),
        Some(Value::Array(words)) => Some(words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        // Some name the command in the title alone.
        _ if kind == ApprovalKind::Command => owned(tool, "/title"),
        _ => None,
    };
    let mut paths: Vec<String> = list(tool, "/locations").filter_map(|place| owned(place, "/path")).collect();
    let mut diffs = String::new();
    for content in list(tool, "/content").filter(|content| text(content, "/type") == Some("diff")) {
        let Some(path) = owned(content, "/path") else { continue };
        let old = text(content, "/oldText").unwrap_or_default();
        diffs.push_str(&diff(&path, old, text(content, "/newText").unwrap_or_default()));
        paths.push(path);
    }
    paths.extend(
        ["/rawInput/file_path", "/rawInput/filepath", "/rawInput/filePath"].iter().filter_map(|at| owned(tool, at)),
    );
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    let told = Some(diffs).filter(|diffs| !diffs.is_empty()).or_else(|| owned(tool, "/rawInput/diff"));
    let plan = || {
        let texts: Vec<&str> = list(tool, "/content").filter_map(|content| text(content, "/content/text")).collect();
        Some(texts.join("\n")).filter(|texts| !texts.is_empty()).or_else(|| owned(tool, "/rawInput/plan"))
    };
    Subject {
        tool: owned(tool, "/_meta/claudeCode/toolName").or_else(|| owned(tool, "/kind")),
        command,
        cwd: owned(tool, "/rawInput/cwd"),
        paths,
        diff: told,
        question: if matches!(kind, ApprovalKind::Plan | ApprovalKind::Question) { plan() } else { None },
        choices: choices.iter().map(|choice| choice.name.clone()).collect(),
        why: owned(tool, "/rawInput/description"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(options: &[(&str, &str)]) -> Permission {
        let options: Vec<Value> =
            options.iter().map(|(id, kind)| json!({"optionId": id, "name": id.to_uppercase(), "kind": kind})).collect();
        let params = json!({"options": options, "toolCall": {"toolCallId": "c", "kind": "execute", "title": "ls"}});
        Permission::understand(&json!(5), &params, None)
    }

    #[test]
    fn a_decision_becomes_the_choice_of_its_kind() {
        let chosen = |id: &str| Ok(json!({"outcome": {"outcome": "selected", "optionId": id}}));
        // Gemini names the lasting permission first: the first choice is not the answer to a plain yes.
        let all = permission(&[("always", "allow_always"), ("once", "allow_once"), ("no", "reject_once")]);
        assert_eq!(all.answer(Decision::Allow, None), chosen("once"));
        assert_eq!(all.answer(Decision::AllowAlways, None), chosen("always"));
        assert_eq!(all.answer(Decision::Deny, None), chosen("no"));
        assert_eq!(all.answer(Decision::Deny, Some("ALWAYS")), chosen("no"));
        assert_eq!(all.answer(Decision::Allow, Some("ALWAYS")), chosen("always"));
        assert!(all.answer(Decision::Allow, Some("maybe")).unwrap_err().contains("ALWAYS, ONCE, NO"));
        let lasting = permission(&[("always", "allow_always")]);
        assert!(lasting.answer(Decision::Allow, None).is_err(), "a yes for once must not become one for ever");
        assert_eq!(lasting.answer(Decision::Deny, None), Ok(cancelled()));
        let question = permission(&[("red", ""), ("blue", "")]);
        assert_eq!(question.ask.kind, ApprovalKind::Question);
        assert_eq!(question.answer(Decision::Allow, Some("BLUE")), chosen("blue"));
    }

    #[test]
    fn what_was_known_of_the_call_completes_the_question() {
        let call = json!({
            "toolCallId": "c", "kind": "edit", "title": "Write a.txt", "locations": [],
            "content": [{"type": "diff", "path": "/r/a.txt", "oldText": null, "newText": "x\n"}],
        });
        let params = json!({"options": [{"optionId": "y", "name": "Yes", "kind": "allow_once"}],
            "toolCall": {"toolCallId": "c", "title": null, "content": []}});
        let asked = Permission::understand(&json!("r-1"), &params, Some(&call)).ask;
        assert_eq!(
            (asked.kind, asked.title.as_str(), asked.key.as_str()),
            (ApprovalKind::FileChange, "Write a.txt", "c/\"r-1\"")
        );
        assert_eq!(asked.subject.paths, ["/r/a.txt"]);
        assert!(asked.subject.diff.unwrap().contains("+x"));
    }
}
