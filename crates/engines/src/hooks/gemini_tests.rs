//! Payloads as Gemini CLI 0.61.0 sent them, and what is made of them.

use super::*;

fn nothing(_: &str) -> Option<String> {
    None
}

fn payload(point: &str, more: &Value) -> Value {
    let mut payload = json!({
        "session_id": "a40d6339-5b17-43b0-9b70-6ffafb454e91", "transcript_path": "/h/.gemini/tmp/w/chats/s.jsonl", "cwd": "/w",
        "hook_event_name": point, "timestamp": "2026-11-20T18:24:11.263Z",
    });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    payload
}

fn meaning(point: &str, more: &Value) -> Meaning {
    let heard = understand(&payload(point, more), &nothing).unwrap();
    assert_eq!((heard.point.as_str(), heard.conversation.is_some()), (point, true));
    heard.meaning
}

#[test]
fn hooks_are_called_in_homes_whose_settings_name_them() {
    let argv = ["/bin/gemini".to_owned()];
    let place = |home: &str| BTreeMap::from([("HOME".to_owned(), home.to_owned())]);
    let read = |path: &str| (path == "/h/.gemini/settings.json").then(|| json!({ "hooks": settings() }).to_string());
    let installed = install(&argv, &place("/h"), "/o'x/orxctl", Path::new("/s"), &read).unwrap();
    assert_eq!((installed.file, installed.content.as_str()), (FILE, "exec '/o'\\''x/orxctl' hook gemini\n"));
    assert_eq!(
        (installed.argv.as_slice(), installed.environment[0].1.as_str()),
        (argv.as_slice(), "/s/gemini-hook.sh")
    );
    assert_eq!(install(&argv, &place("/own"), "/orxctl", Path::new("/s"), &read), None);
    assert_eq!(install(&argv, &place("/h"), "/orxctl", Path::new("/s"), &|_| Some("{}".to_owned())), None);
    assert_eq!(settings().as_object().unwrap().len(), POINTS.len());
}

#[test]
fn a_dialog_is_announced_with_what_it_asks() {
    let details =
        json!({"type": "exec", "title": "Confirm Shell Command", "command": "touch made.txt", "rootCommand": "touch"});
    let notified = json!({"notification_type": "ToolPermission", "message": "Tool Confirm", "details": details});
    let Meaning::Foretells(asked) = meaning("Notification", &notified) else { panic!("a dialog is announced") };
    assert_eq!((asked.kind, asked.subject.command.as_deref()), (ApprovalKind::Command, Some("touch made.txt")));
    let ran =
        json!({"tool_name": "run_shell_command", "tool_input": {"command": "touch made.txt", "description": "Run"}});
    assert_eq!(meaning("AfterTool", &ran), Meaning::WentOn(asked.asker));
    let details =
        json!({"type": "edit", "fileName": "a.txt", "filePath": "/w/a.txt", "fileDiff": "@@ -0,0 +1 @@\n+x\n"});
    let notified = json!({"notification_type": "ToolPermission", "details": details});
    let Meaning::Foretells(asked) = meaning("Notification", &notified) else { panic!("a dialog is announced") };
    assert_eq!(
        (asked.kind, asked.subject.paths.as_slice()),
        (ApprovalKind::FileChange, ["/w/a.txt".to_owned()].as_slice())
    );
    assert!(asked.subject.diff.unwrap().contains("+x"));
    for odd in [json!({}), json!({"notification_type": "ToolPermission", "details": {"type": "mcp"}})] {
        assert_eq!(meaning("Notification", &odd), Meaning::Noticed, "{odd}");
    }
}

#[test]
fn its_points_mean_what_those_of_claude_code_do() {
    assert_eq!(meaning("BeforeAgent", &json!({"prompt": "do it"})), Meaning::Prompted("do it".to_owned()));
    assert_eq!(meaning("AfterAgent", &json!({"prompt": "do it"})), Meaning::TurnEnded(None));
    assert_eq!(meaning("SessionEnd", &json!({"reason": "exit"})), Meaning::Ended);
    assert_eq!(meaning("PreCompress", &json!({"trigger": "auto"})), Meaning::Noticed);
    let Meaning::Intends(write) = meaning(
        "BeforeTool",
        &json!({"tool_name": "write_file", "tool_input": {"file_path": "/w/a", "content": "x\n"}}),
    ) else {
        panic!("a tool is about to run")
    };
    assert_eq!((write.kind, write.subject.tool.as_deref()), (ApprovalKind::FileChange, Some("write_file")));
    assert!(write.subject.diff.unwrap().contains("+x"));
    assert!(understand(&json!({"hook_event_name": "AfterAgent"}), &nothing).is_err());
    assert!(hold_back(true, "no").contains("\"deny\"") && hold_back(false, "no").contains("\"ask\""));
}
