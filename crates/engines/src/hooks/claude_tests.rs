//! Payloads as Claude Code 2.1.197 sent them, and what is made of them.

use super::*;

fn nothing(_: &str) -> Option<String> {
    None
}

fn payload(point: &str, more: &Value) -> Value {
    let mut payload = json!({
        "session_id": "8bf0786c-d0bd-4dcb-9402-d8037f53a89a", "transcript_path": "/t.jsonl", "cwd": "/w",
        "prompt_id": "p", "permission_mode": "default", "hook_event_name": point,
    });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    payload
}

fn bash(point: &str) -> Value {
    payload(point, &json!({"tool_name": "Bash", "tool_input": {"command": "touch x", "description": "Run"}}))
}

fn asked_by(payload: &Value) -> Question {
    match understand(payload, &nothing).unwrap().meaning {
        Meaning::Asks(question) => *question,
        other => panic!("{other:?}"),
    }
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn hooks_are_added_to_what_the_user_passes_and_to_nothing_else() {
    let directory = Path::new("/s");
    let plain =
        install(&argv(&["/bin/claude", "--model", "m", "--", "--settings"]), "/o'x/orxctl", directory, &nothing);
    let plain = plain.unwrap();
    assert_eq!(
        plain.argv,
        ["/bin/claude", "--settings", "/s/claude-settings.json", "--model", "m", "--", "--settings"]
    );
    let settings: Value = serde_json::from_str(&plain.content).unwrap();
    assert_eq!(settings["hooks"].as_object().unwrap().len(), POINTS.len());
    let hook = &settings["hooks"]["PermissionRequest"][0]["hooks"][0];
    assert_eq!(hook["command"], "'/o'\\''x/orxctl' hook claude");
    assert_eq!(hook["timeout"], QUESTION_SECONDS);

    let own = r#"{"model":"m","hooks":{"Stop":[{"hooks":[{"type":"command","command":"mine"}]}]}}"#;
    let read = |path: &str| (path == "own.json").then(|| own.to_owned());
    for given in
        [argv(&["c", "--settings", "own.json"]), argv(&["c", "--settings=own.json"]), argv(&["c", "--settings", own])]
    {
        let merged = install(&given, "/orxctl", directory, &read).unwrap();
        assert_eq!(merged.argv, ["c", "--settings", "/s/claude-settings.json"]);
        let settings: Value = serde_json::from_str(&merged.content).unwrap();
        assert_eq!(settings["model"], "m");
        assert_eq!(settings["hooks"]["Stop"][0]["hooks"][0]["command"], "mine");
        assert_eq!(settings["hooks"]["Stop"][1]["hooks"][0]["command"], "'/orxctl' hook claude");
    }
    for hopeless in [argv(&["c", "--bare"]), argv(&["c", "--settings", "missing.json"]), argv(&["c", "--settings={x"])]
    {
        assert_eq!(install(&hopeless, "/orxctl", directory, &read), None);
    }
}

#[test]
fn a_command_is_asked_with_everything_that_is_needed_to_decide() {
    let question = asked_by(&bash("PermissionRequest"));
    assert_eq!(question.kind, ApprovalKind::Command);
    assert_eq!(question.subject.command.as_deref(), Some("touch x"));
    assert_eq!((question.subject.cwd.as_deref(), question.subject.why.as_deref()), (Some("/w"), Some("Run")));
    // What follows is known to be about the same.
    let Meaning::WentOn(asker) = understand(&bash("PostToolUse"), &nothing).unwrap().meaning else { panic!() };
    assert!(question.asker.key("call").starts_with(&asker.prefix()));
    assert!(question.asker.key("call").starts_with(&Asker::prefix_of(None)));
    let other = payload("PostToolUse", &json!({"tool_name": "Bash", "tool_input": {"command": "touch y"}}));
    let Meaning::WentOn(other) = understand(&other, &nothing).unwrap().meaning else { panic!() };
    assert!(!question.asker.key("call").starts_with(&other.prefix()));
}

#[test]
fn changes_of_files_are_shown_as_diffs() {
    let read = |path: &str| (path == "/w/a").then(|| "one\ntwo\n".to_owned());
    let change = |tool: &str, input: Value| {
        let payload = payload("PermissionRequest", &json!({"tool_name": tool, "tool_input": input}));
        match understand(&payload, &read).unwrap().meaning {
            Meaning::Asks(question) => *question,
            other => panic!("{other:?}"),
        }
    };
    let write = change("Write", json!({"file_path": "/w/a", "content": "one\nthree\n"}));
    assert_eq!(write.kind, ApprovalKind::FileChange);
    assert_eq!(write.subject.paths, ["/w/a"]);
    assert_eq!(write.subject.diff.as_deref(), Some("--- /w/a\n+++ /w/a\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"));
    let new = change("Write", json!({"file_path": "/w/new", "content": "x\n"}));
    assert!(new.subject.diff.unwrap().ends_with("@@ -0,0 +1 @@\n+x\n"));
    let edit = change("Edit", json!({"file_path": "/w/a", "old_string": "two", "new_string": "2"}));
    assert!(edit.subject.diff.unwrap().contains("-two"));
}

#[test]
fn questions_have_choices_and_take_answers() {
    let one = json!({"questions": [{"question": "Which?", "header": "H", "multiSelect": false, "options": [
        {"label": "A", "description": "the first"}, {"label": "B", "description": "the second"}]}]});
    let payload_of =
        |input: &Value| payload("PermissionRequest", &json!({"tool_name": "AskUserQuestion", "tool_input": input}));
    let question = asked_by(&payload_of(&one));
    assert_eq!(question.kind, ApprovalKind::Question);
    assert_eq!(question.subject.choices, ["A", "B"]);
    assert!(question.subject.question.unwrap().contains("B: the second"));
    let said = |input: &Value, words: &str| -> Value {
        let answer = Answer { state: ApprovalState::Allowed, reason: None, answer: Some(words) };
        let output: Value = serde_json::from_str(&super::answer(&payload_of(input), answer).unwrap()).unwrap();
        output["hookSpecificOutput"]["decision"]["updatedInput"]["answers"].clone()
    };
    assert_eq!(said(&one, "B"), json!({"Which?": "B"}));
    let two = json!({"questions": [{"question": "First?", "options": []}, {"question": "Second?", "options": []}]});
    assert_eq!(said(&two, "x\n- y"), json!({"First?": "x", "Second?": "y"}));
    assert!(asked_by(&payload_of(&two)).subject.choices.is_empty());
}

#[test]
fn decisions_are_said_in_the_clis_words_and_nothing_is_said_without_one() {
    let of = |state, reason| answer(&bash("PermissionRequest"), Answer { state, reason, answer: None });
    let decision = |state, reason| -> Value {
        let output: Value = serde_json::from_str(&of(state, reason).unwrap()).unwrap();
        output["hookSpecificOutput"]["decision"].clone()
    };
    assert_eq!(decision(ApprovalState::Allowed, None), json!({"behavior": "allow"}));
    assert_eq!(decision(ApprovalState::Denied, Some("no")), json!({"behavior": "deny", "message": "no"}));
    assert_eq!(decision(ApprovalState::Expired, Some("late"))["behavior"], "deny");
    assert_eq!(of(ApprovalState::Withdrawn, None), None);
    assert_eq!(of(ApprovalState::Pending, None), None);
}

#[test]
fn each_point_says_what_is_asked_no_more() {
    for (point, more, meaning) in [
        ("SessionStart", json!({"source": "startup"}), Meaning::Noticed),
        ("UserPromptSubmit", json!({"prompt": "hello"}), Meaning::Prompted("hello".to_owned())),
        ("Stop", json!({}), Meaning::TurnEnded(None)),
        ("SubagentStop", json!({"agent_id": "a1"}), Meaning::TurnEnded(Some("a1".to_owned()))),
        ("SessionEnd", json!({"reason": "other"}), Meaning::Ended),
        ("SomethingNew", json!({}), Meaning::Noticed),
    ] {
        let heard = understand(&payload(point, &more), &nothing).unwrap();
        assert_eq!((heard.meaning, heard.transcript.as_deref()), (meaning, Some("/t.jsonl")), "{point}");
    }
}

#[test]
fn what_is_no_payload_is_refused_with_the_member() {
    for (payload, member) in [
        (json!({}), "hook_event_name"),
        (json!({"hook_event_name": "Stop"}), "session_id"),
        (json!([1]), "hook_event_name"),
        (json!({"hook_event_name": "UserPromptSubmit", "session_id": "x"}), "prompt"),
        (json!({"hook_event_name": "PermissionRequest", "session_id": "x"}), "tool_name"),
        (json!({"hook_event_name": "PermissionRequest", "session_id": "x", "tool_name": "Bash"}), "tool_input.command"),
    ] {
        assert!(understand(&payload, &nothing).unwrap_err().to_string().contains(member), "{payload}");
    }
}
