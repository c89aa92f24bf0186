//! Payloads as Qwen Code 0.24.4 sent them, and what is made of them.

use super::*;
use crate::EngineKind;
use crate::hooks::{Answer, answer, hold_back};
use orx_protocol::api::approval::{ApprovalKind, ApprovalState};

fn nothing(_: &str) -> Option<String> {
    None
}

fn payload(point: &str, more: &Value) -> Value {
    let mut payload = json!({
        "session_id": "aebbd6ec-73df-4f70-b90b-67d2554733fc", "transcript_path": "/h/chats/a.jsonl", "cwd": "/w",
        "hook_event_name": point, "timestamp": "2026-11-20T17:53:48.934Z", "permission_mode": "default",
    });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    payload
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn installed(environment: &[(&str, &str)], read: &dyn Fn(&str) -> Option<String>) -> Option<Installation> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    install(&argv(&["/bin/qwen", "-m", "x"]), &environment, "/o/orxctl", Path::new("/s"), read)
}

#[test]
fn hooks_are_defaults_of_one_session_and_keep_what_the_operators_defaults_say() {
    let plain = installed(&[], &nothing).unwrap();
    assert_eq!((plain.file, plain.argv.as_slice()), ("qwen-defaults.json", argv(&["/bin/qwen", "-m", "x"]).as_slice()));
    assert_eq!(plain.environment, [(DEFAULTS, "/s/qwen-defaults.json".to_owned())]);
    let settings: Value = serde_json::from_str(&plain.content).unwrap();
    assert_eq!(settings["hooks"].as_object().unwrap().len(), POINTS.len());
    assert_eq!(
        settings["hooks"]["PermissionRequest"][0]["hooks"][0],
        json!({"type": "command", "command": "'/o/orxctl' hook qwen --away 20", "timeout": QUESTION_SECONDS})
    );
    // The CLI would take a thousand and more for milliseconds.
    assert!(QUESTION_SECONDS < 1000 && PATIENCE.as_secs() < 60);
    let own = r#"{"ui":{"theme":"x"},"hooks":{"Stop":[{"hooks":[{"type":"command","command":"mine"}]}]}}"#;
    for (environment, place) in [
        (&[] as &[(&str, &str)], PLACE),
        (&[(SYSTEM, "/etc/q/settings.json")], "/etc/q/system-defaults.json"),
        (&[(SYSTEM, "/etc/q/settings.json"), (DEFAULTS, "/d.json")], "/d.json"),
    ] {
        let merged = installed(environment, &|path| (path == place).then(|| own.to_owned())).unwrap();
        let settings: Value = serde_json::from_str(&merged.content).unwrap();
        assert_eq!(
            (&settings["ui"]["theme"], &settings["hooks"]["Stop"][0]["hooks"][0]["command"]),
            (&json!("x"), &json!("mine"))
        );
        assert_eq!(settings["hooks"]["Stop"][1]["hooks"][0]["command"], "'/o/orxctl' hook qwen --away 20");
    }
    // Defaults that are not understood are the CLI's to deal with, unchanged.
    assert_eq!(installed(&[], &|_| Some("{ // a comment\n}".to_owned())), None);
    assert_eq!(install(&argv(&["q", "--bare"]), &BTreeMap::new(), "/o", Path::new("/s"), &nothing), None);
}

#[test]
fn a_command_and_a_change_are_asked_with_all_that_is_to_be_known() {
    let shell = payload(
        "PermissionRequest",
        &json!({"tool_name": "run_shell_command", "tool_input": {"command": "touch made.txt", "is_background": false}}),
    );
    let heard = understand(&shell, &nothing).unwrap();
    assert_eq!(heard.conversation.as_deref(), Some("aebbd6ec-73df-4f70-b90b-67d2554733fc"));
    let Meaning::Asks(asked) = heard.meaning else { panic!("{heard:?}") };
    assert_eq!(
        (asked.kind, asked.subject.command.as_deref(), asked.subject.tool.as_deref()),
        (ApprovalKind::Command, Some("touch made.txt"), Some("run_shell_command"))
    );
    let change = json!({"tool_name": "write_file", "tool_input": {"content": "hello\n", "file_path": "/w/first.txt"}});
    let Meaning::Asks(asked) = understand(&payload("PermissionRequest", &change), &nothing).unwrap().meaning else {
        panic!("a change is asked")
    };
    assert_eq!(
        (asked.kind, asked.subject.paths.as_slice()),
        (ApprovalKind::FileChange, ["/w/first.txt".to_owned()].as_slice())
    );
    assert!(asked.subject.diff.as_ref().unwrap().contains("+hello"), "{asked:?}");
    // What has run is known to be what was asked.
    let Meaning::WentOn(asker) = understand(&payload("PostToolUse", &change), &nothing).unwrap().meaning else {
        panic!("a tool has run")
    };
    assert_eq!(asker, asked.asker);
}

#[test]
fn what_no_hook_answers_is_asked_at_the_terminal() {
    for tool in AT_THE_TERMINAL {
        let asks = payload("PermissionRequest", &json!({"tool_name": tool, "tool_input": {"questions": []}}));
        assert_eq!(understand(&asks, &nothing).unwrap().meaning, Meaning::Noticed, "{tool}");
    }
    let meaning = |payload: &Value| understand(payload, &nothing).unwrap().meaning;
    assert_eq!(
        meaning(&payload("UserPromptSubmit", &json!({"prompt": "do it"}))),
        Meaning::Prompted("do it".to_owned())
    );
    // The results of tools go to the model as a prompt without words, which nobody submitted.
    assert_eq!(meaning(&payload("UserPromptSubmit", &json!({"prompt": ""}))), Meaning::Noticed);
    assert_eq!(meaning(&payload("Stop", &json!({"background_tasks": []}))), Meaning::TurnEnded(None));
    assert!(understand(&json!({"hook_event_name": "Stop"}), &nothing).is_err());
}

#[test]
fn its_answers_are_those_of_claude_code() {
    let told = |state, reason| answer(EngineKind::Qwen, &json!({}), Answer { state, reason, answer: None });
    let decision = |text: Option<String>| {
        serde_json::from_str::<Value>(&text.unwrap()).unwrap()["hookSpecificOutput"]["decision"].clone()
    };
    assert_eq!(decision(told(ApprovalState::Allowed, None)), json!({"behavior": "allow"}));
    assert_eq!(decision(told(ApprovalState::Denied, Some("no"))), json!({"behavior": "deny", "message": "no"}));
    assert_eq!(told(ApprovalState::Withdrawn, None), None);
    assert!(hold_back(EngineKind::Qwen, true, "rule").unwrap().contains("\"deny\""));
}
