//! Payloads as GitHub Copilot CLI 1.0.102 sent them, and what is made of them.

use super::*;
use crate::EngineKind;
use crate::hooks::hold_back;
use orx_protocol::api::approval::ApprovalKind;

fn nothing(_: &str) -> Option<String> {
    None
}

/// As it comes at `PermissionRequest`.
fn asks(tool: &str, input: &Value) -> Value {
    plain(json!({
        "hookName": "permissionRequest", "sessionId": "bc6c3e53-8e1f-4df9-bb5e-8546c739ab4f", "timestamp": 1_795_196_764_347_u64,
        "cwd": "/w", "toolName": tool, "toolInput": input, "permissionSuggestions": [],
    }))
}

/// As it comes at the other points of tools.
fn point(name: &str, tool: &str, input: &Value) -> Value {
    plain(json!({
        "hook_event_name": name, "session_id": "bc6c3e53-8e1f-4df9-bb5e-8546c739ab4f",
        "timestamp": "2026-11-20T17:46:04.313Z", "cwd": "/w", "tool_name": tool, "tool_input": input,
    }))
}

fn question(payload: &Value) -> Question {
    match understand(payload, &nothing).unwrap().meaning {
        Meaning::Asks(question) | Meaning::Intends(question) => *question,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hooks_are_a_plugin_of_one_session_that_never_fails() {
    let argv: Vec<String> = ["/bin/copilot", "--model", "m"].map(str::to_owned).to_vec();
    let installed = install(&argv, "/o'x/orxctl", Path::new("/s"));
    assert_eq!(installed.argv, ["/bin/copilot", "--plugin-dir", "/s/copilot-plugin", "--model", "m"]);
    assert_eq!((installed.file, installed.environment.len()), ("copilot-plugin/plugin.json", 0));
    let plugin: Value = serde_json::from_str(&installed.content).unwrap();
    assert_eq!(plugin["hooks"].as_object().unwrap().len(), POINTS.len());
    for point in POINTS {
        let hook = &plugin["hooks"][point][0];
        // A hook that fails before a tool denies it.
        assert_eq!(hook["bash"], "'/o'\\''x/orxctl' hook copilot --away 20 || true", "{point}");
    }
    assert_eq!(plugin["hooks"]["PermissionRequest"][0]["timeoutSec"], QUESTION_SECONDS);
}

#[test]
fn a_command_is_the_same_at_every_point() {
    let asked = question(&asks("bash", &json!({"command": "touch made.txt"})));
    assert_eq!(
        (asked.kind, asked.subject.command.as_deref(), asked.subject.tool.as_deref(), asked.subject.cwd.as_deref()),
        (ApprovalKind::Command, Some("touch made.txt"), Some("bash"), Some("/w"))
    );
    let input = json!({"command": "touch made.txt", "description": "Run"});
    let intended = question(&point("PreToolUse", "Bash", &input));
    assert_eq!((intended.asker.clone(), intended.kind), (asked.asker.clone(), ApprovalKind::Command));
    let went_on = understand(&point("PostToolUse", "Bash", &input), &nothing).unwrap();
    assert_eq!(went_on.meaning, Meaning::WentOn(asked.asker));
    assert_eq!(went_on.conversation.as_deref(), Some("bc6c3e53-8e1f-4df9-bb5e-8546c739ab4f"));
}

#[test]
fn a_change_is_shown_as_it_shows_it_and_else_as_it_is_asked() {
    let diff = "\ndiff --git a/w/first.txt b/w/first.txt\n--- a/dev/null\n+++ b/w/first.txt\n@@ -1,0 +1,1 @@\n+hello\n";
    let asked = question(&asks("edit", &json!({"file_path": "/w/first.txt", "diff": diff})));
    assert_eq!(
        (asked.kind, asked.subject.paths.as_slice()),
        (ApprovalKind::FileChange, ["/w/first.txt".to_owned()].as_slice())
    );
    assert_eq!(asked.subject.diff.as_deref(), Some(diff.trim_start()));
    let written = question(&point("PreToolUse", "Write", &json!({"file_text": "hello\n", "path": "/w/first.txt"})));
    assert_eq!((written.asker, written.subject.tool.as_deref()), (asked.asker, Some("Write")));
    assert!(written.subject.diff.unwrap().contains("+hello"));
    // What is no file of one name is asked about with all that it gets.
    for input in [json!({"patch": "*** Begin Patch"}), json!("*** Begin Patch"), Value::Null] {
        let patch = question(&point("PreToolUse", "apply_patch", &input));
        assert_eq!((patch.kind, patch.subject.tool.as_deref()), (ApprovalKind::Tool, Some("apply_patch")), "{input}");
    }
}

#[test]
fn its_other_points_are_understood() {
    let notified = plain(json!({
        "sessionId": "b", "timestamp": 1, "cwd": "/w", "message": "Run command: touch made.txt", "title": "Permission needed",
        "hook_event_name": "Notification", "notification_type": "permission_prompt",
    }));
    assert_eq!(understand(&notified, &nothing).unwrap().meaning, Meaning::Noticed);
    let prompted = json!({"hook_event_name": "UserPromptSubmit", "session_id": "b", "cwd": "/w", "prompt": "touch it"});
    assert_eq!(understand(&plain(prompted), &nothing).unwrap().meaning, Meaning::Prompted("touch it".to_owned()));
    for bad in [json!([]), json!({"hookName": 5}), json!({"hookName": ""}), json!("text")] {
        assert!(understand(&plain(bad.clone()), &nothing).is_err(), "{bad}");
    }
}

#[test]
fn its_answers_are_its_own_and_what_is_held_back_is_said_as_to_claude_code() {
    let told = |state, reason| answer(Answer { state, reason, answer: None });
    assert_eq!(told(ApprovalState::Allowed, None).as_deref(), Some(r#"{"behavior":"allow"}"#));
    assert_eq!(told(ApprovalState::Expired, Some("late")).as_deref(), Some(r#"{"behavior":"deny","message":"late"}"#));
    assert_eq!(told(ApprovalState::Pending, None), None);
    assert!(hold_back(EngineKind::Copilot, false, "rule").unwrap().contains("\"ask\""));
}
