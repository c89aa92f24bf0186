//! Payloads as the extension sends them, and what is made of them.

use super::*;

fn nothing(_: &str) -> Option<String> {
    None
}

fn payload(point: &str, more: &Value) -> Value {
    let mut payload = json!({
        "hook_event_name": point, "conversation": "01a1fa13-6081-4c48-9809-58c649130031",
        "transcript_path": "/c/01a1fa13-6081-4c48-9809-58c649130031.jsonl", "cwd": "/w",
    });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    payload
}

fn tool(point: &str, name: &str, input: &Value) -> Value {
    payload(point, &json!({"tool_name": name, "tool_input": input, "tool_use_id": "call_1"}))
}

fn asked(name: &str, input: &Value, read: &dyn Fn(&str) -> Option<String>) -> Question {
    match understand(&tool("PermissionRequest", name, input), read).unwrap().meaning {
        Meaning::Asks(question) => *question,
        other => panic!("{other:?}"),
    }
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_extension_is_added_and_knows_what_to_call_and_where_conversations_are() {
    let given = argv(&["/bin/pi", "--session", "/h/conversations/a.jsonl", "--extension", "own.ts", "hello"]);
    let installed = install(&given, "/o\"x/orxctl", Path::new("/s"));
    let expected = [
        &["/bin/pi", "--extension", "/s/pi-extension.js"],
        &["--session", "/h/conversations/a.jsonl", "--extension"] as &[&str],
        &["own.ts", "hello"],
    ];
    assert_eq!(installed.argv, expected.concat());
    assert!(installed.content.contains(r#"const PROGRAM = "/o\"x/orxctl";"#));
    assert!(installed.content.contains(r#"const CONVERSATIONS = "/h/conversations";"#));
    assert!(!installed.content.contains("\"{"), "every place is filled");
    let elsewhere = install(&argv(&["/bin/pi", "--session"]), "/orxctl", Path::new("/s"));
    assert!(elsewhere.content.contains(r#"const CONVERSATIONS = "";"#));
}

#[test]
fn what_a_tool_would_do_is_asked_with_all_that_is_needed_to_decide() {
    let command = asked("bash", &json!({"command": "touch x", "timeout": 3}), &nothing);
    assert_eq!(command.kind, ApprovalKind::Command);
    assert_eq!(command.subject.command.as_deref(), Some("touch x"));
    assert_eq!((command.subject.cwd.as_deref(), command.subject.tool.as_deref()), (Some("/w"), Some("bash")));

    let read = |path: &str| (path == "/w/a").then(|| "one\ntwo\n".to_owned());
    let write = asked("write", &json!({"path": "a", "content": "one\nthree\n"}), &read);
    assert_eq!(write.kind, ApprovalKind::FileChange);
    assert_eq!(write.subject.paths, ["/w/a"]);
    assert_eq!(write.subject.diff.as_deref(), Some("--- /w/a\n+++ /w/a\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"));
    let pieces =
        json!({"path": "/w/a", "edits": [{"oldText": "one", "newText": "1"}, {"oldText": "two", "newText": "2"}]});
    let diff = asked("edit", &pieces, &read).subject.diff.unwrap();
    assert!(diff.contains("-one") && diff.contains("+1") && diff.contains("-two") && diff.contains("+2"), "{diff}");

    let other = asked("deploy", &json!({"to": "production"}), &nothing);
    assert_eq!(other.kind, ApprovalKind::Tool);
    assert!(other.subject.question.unwrap().contains("production"));
}

#[test]
fn calls_about_the_same_tool_call_are_known_to_be_that() {
    let question = asked("bash", &json!({"command": "touch x"}), &nothing);
    for point in ["BeforeTool", "PostToolUse", "PostToolUseFailure"] {
        // Another extension may have changed what the tool is given.
        let later = tool(point, "bash", &json!({"command": "touch y"}));
        let Meaning::WentOn(asker) = understand(&later, &nothing).unwrap().meaning else { panic!("{point}") };
        assert!(question.asker.key("call").starts_with(&asker.prefix()), "{point}");
    }
}

#[test]
fn each_point_means_what_it_says() {
    for (point, more, meaning) in [
        ("SessionStart", json!({"source": "startup"}), Meaning::Noticed),
        ("UserPromptSubmit", json!({"prompt": "do it"}), Meaning::Prompted("do it".to_owned())),
        ("BeforeAgent", json!({}), Meaning::Noticed),
        ("Stop", json!({}), Meaning::TurnEnded(None)),
        ("SessionEnd", json!({"reason": "new"}), Meaning::Ended),
    ] {
        let heard = understand(&payload(point, &more), &nothing).unwrap();
        assert_eq!((heard.point.as_str(), heard.meaning), (point, meaning));
        assert_eq!(heard.conversation.as_deref(), Some("01a1fa13-6081-4c48-9809-58c649130031"));
    }
    let reads = understand(&tool("PreToolUse", "read", &json!({"path": "a"})), &nothing).unwrap();
    let Meaning::Intends(question) = reads.meaning else { panic!() };
    assert_eq!(question.subject.paths, ["/w/a"]);
}

#[test]
fn a_payload_that_is_none_is_refused_with_what_is_missing() {
    for (payload, member) in [
        (json!({}), "hook_event_name"),
        (json!("text"), "hook_event_name"),
        (payload("UserPromptSubmit", &json!({"prompt": 3})), "prompt"),
        (payload("PermissionRequest", &json!({"tool_name": "bash"})), "tool_use_id"),
        (payload("PermissionRequest", &json!({"tool_use_id": "c"})), "tool_name"),
        (tool("PermissionRequest", "bash", &json!({})), "tool_input.command"),
        (tool("PreToolUse", "edit", &json!({})), "tool_input.path"),
    ] {
        assert_eq!(understand(&payload, &nothing), Err(BadPayload::Member(member)), "{payload}");
    }
}

#[test]
fn decisions_are_said_in_the_extensions_words_and_nothing_is_said_without_one() {
    let said = |state, reason| answer(Answer { state, reason, answer: None });
    assert_eq!(said(ApprovalState::Allowed, None).as_deref(), Some(r#"{"decision":"allow"}"#));
    let denied = said(ApprovalState::Denied, Some("no")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&denied).unwrap(), json!({"decision": "deny", "reason": "no"}));
    assert!(said(ApprovalState::Expired, None).unwrap().contains(DENIED));
    assert_eq!(said(ApprovalState::Withdrawn, None), None);
    assert_eq!(said(ApprovalState::Pending, None), None);
    assert!(hold_back(true, "r").contains("\"deny\"") && hold_back(false, "r").contains("\"ask\""));
}
