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
    /// The request as it came, while it names no call and more of what it is about may yet be told: some agents ask before
    /// they have said everything.
    pub(super) open: Option<Value>,
    /// When it came, in milliseconds since the epoch.
    pub(super) at_ms: u64,
    choices: Vec<Choice>,
}

impl Permission {
    /// Understands `session/request_permission`. `known` are the tool calls of the turn, the newest last.
    pub(super) fn understand<'a>(
        request: &Value,
        params: &Value,
        known: impl Iterator<Item = &'a Value>,
        at_ms: u64,
    ) -> Self {
        let (tool, is_open) = about(&params["toolCall"], known.collect());
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
        let key = format!("{}/{request}", text(params, "/toolCall/toolCallId").unwrap_or_default());
        let open = is_open.then(|| params.clone());
        Self { request: request.clone(), ask: Ask { key, kind, title, subject }, open, at_ms, choices }
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

/// The tool call that a permission is asked for, with all that is known of it. Some agents name none and ask for all that
/// the model wished for at once: then it is those calls, and `true`.
fn about(asked: &Value, known: Vec<&Value>) -> (Value, bool) {
    let id = text(asked, "/toolCallId");
    let named = known.iter().find(|call| text(call, "/toolCallId") == id);
    let says_what = ["rawInput", "content", "locations"].iter().any(|member| asked.get(member).is_some_and(is_told));
    let is_open = named.is_none() && !says_what;
    if is_open {
        let is_open = |call: &&&Value| matches!(text(call, "/status"), None | Some("pending" | "in_progress"));
        let open: Vec<&Value> = known.iter().filter(is_open).copied().collect();
        match open.as_slice() {
            [] => {}
            [only] => return ((*only).clone(), true),
            several => return (together(several), true),
        }
    }
    let mut tool = named.map_or_else(|| json!({}), |call| (*call).clone());
    merge(&mut tool, asked);
    (tool, is_open)
}

/// Several calls as one: whoever allows it allows each, so nothing of any is left out.
fn together(calls: &[&Value]) -> Value {
    let all = |member: &str| calls.iter().flat_map(|call| list(call, member)).cloned().collect::<Vec<_>>();
    let titles: Vec<&str> = calls.iter().filter_map(|call| text(call, "/title")).collect();
    let is_edit = |call: &Value| matches!(text(call, "/kind"), Some("edit" | "delete" | "move"));
    if calls.iter().all(|call| is_edit(call) && list(call, "/locations").next().is_some()) {
        let diffs: String = calls.iter().filter_map(|call| change(call)).collect();
        return json!({
            "kind": "edit", "title": titles.join("; "), "content": all("/content"), "locations": all("/locations"),
            "rawInput": {"diff": diffs},
        });
    }
    // A call that is no command is a comment of the whole, which no rule for its commands covers.
    let lines: Vec<String> = calls
        .iter()
        .map(|call| match text(call, "/rawInput/command").filter(|_| !is_edit(call)) {
            Some(command) => command.to_owned(),
            None => format!("# {}", line(text(call, "/title").unwrap_or("use a tool"))),
        })
        .collect();
    json!({
        "kind": "execute", "title": titles.join("; "), "content": all("/content"), "locations": all("/locations"),
        "rawInput": {"command": lines.join("\n")},
    })
}

fn is_told(member: &Value) -> bool {
    !(member.is_null()
        || member.as_array().is_some_and(Vec::is_empty)
        || member.as_object().is_some_and(serde_json::Map::is_empty))
}

/// The change that an editor's call describes by what it replaces, or by the whole of a new file.
fn change(tool: &Value) -> Option<String> {
    let path = text(tool, "/rawInput/path").or_else(|| text(tool, "/locations/0/path"))?;
    let new = text(tool, "/rawInput/new_str").or_else(|| text(tool, "/rawInput/file_text"))?;
    Some(diff(path, text(tool, "/rawInput/old_str").unwrap_or_default(), new))
}

/// What a request for permission is answered with when the turn is stopped.
pub(super) fn cancelled() -> Value {
    json!({"outcome": {"outcome": "cancelled"}})
}

/// Takes over the members that are set.
pub(super) fn merge(call: &mut Value, update: &Value) {
    let (Value::Object(call), Value::Object(update)) = (call, update) else { return };
    for (name, value) in update {
        if is_told(value) || !call.contains_key(name) {
            call.insert(name.clone(), value.clone());
        }
    }
}

fn subject(tool: &Value, kind: ApprovalKind, choices: &[Choice]) -> Subject {
    let command = match tool.pointer("/rawInput/command") {
        // Of an editor it is what it does with the file.
        _ if kind == ApprovalKind::FileChange => None,
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
    let told = told.or_else(|| change(tool).filter(|_| kind == ApprovalKind::FileChange));
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
        parts: Vec::new(),
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
        Permission::understand(&json!(5), &params, std::iter::empty(), 0)
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
        let asked = Permission::understand(&json!("r-1"), &params, [&call].into_iter(), 0).ask;
        assert_eq!(
            (asked.kind, asked.title.as_str(), asked.key.as_str()),
            (ApprovalKind::FileChange, "Write a.txt", "c/\"r-1\"")
        );
        assert_eq!(asked.subject.paths, ["/r/a.txt"]);
        assert!(asked.subject.diff.unwrap().contains("+x"));
    }

    fn open(id: &str, kind: &str, input: &Value) -> Value {
        let place = input.get("path").map(|path| json!({ "path": path }));
        json!({
            "toolCallId": id, "kind": kind, "title": format!("{id} it"), "status": "in_progress", "rawInput": input,
            "locations": place.into_iter().collect::<Vec<_>>(),
        })
    }

    /// As OpenHands asks: the calls are told before, and the question names none of them.
    fn all_at_once(calls: &[Value]) -> Ask {
        let params = json!({
            "options": [{"optionId": "accept", "name": "Yes", "kind": "allow_once"}],
            "toolCall": {"toolCallId": "confirmation-1", "kind": "other", "status": "pending", "title": "Confirm Agent Actions"},
        });
        Permission::understand(&json!(7), &params, calls.iter(), 0).ask
    }

    #[test]
    fn a_question_that_names_no_call_is_about_the_open_ones() {
        let done = json!({"toolCallId": "a", "kind": "execute", "status": "completed", "rawInput": {"command": "ls"}});
        let remove = open("b", "execute", &json!({"command": "rm x"}));
        let asked = all_at_once(&[done.clone(), remove.clone()]);
        assert_eq!((asked.kind, asked.key.as_str()), (ApprovalKind::Command, "confirmation-1/7"));
        assert_eq!((asked.title.as_str(), asked.subject.command.as_deref()), ("b it", Some("rm x")));

        let edit = open("c", "edit", &json!({"command": "create", "path": "/r/a.txt", "file_text": "one\n"}));
        let asked = all_at_once(&[done, edit.clone()]);
        assert_eq!((asked.kind, asked.subject.command.as_deref()), (ApprovalKind::FileChange, None));
        assert_eq!(asked.subject.paths, ["/r/a.txt"]);
        assert!(asked.subject.diff.unwrap().contains("+one"));

        let replace =
            open("d", "edit", &json!({"command": "str_replace", "path": "/r/b", "old_str": "x", "new_str": "y"}));
        let asked = all_at_once(&[edit.clone(), replace]);
        assert_eq!(
            (asked.kind, asked.subject.paths.as_slice()),
            (ApprovalKind::FileChange, ["/r/a.txt", "/r/b"].map(str::to_owned).as_slice())
        );
        assert!(asked.subject.diff.is_some_and(|diff| diff.contains("+one") && diff.contains("+y")));

        // A command is not allowed by a rule for it alone when something else is asked with it.
        let asked = all_at_once(&[remove, edit]);
        assert_eq!((asked.kind, asked.subject.command.as_deref()), (ApprovalKind::Command, Some("rm x\n# c it")));
        assert_eq!(asked.subject.paths, ["/r/a.txt"]);
        assert_eq!(all_at_once(&[]).title, "Confirm Agent Actions");
    }
}
