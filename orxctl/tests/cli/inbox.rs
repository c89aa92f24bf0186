//! `inbox`, `allow`, `deny`, `rule`: what they ask of the daemon and what they show.

use orx_protocol::error::ErrorKind;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, code, refuse};

const FIRST: &str = "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const SECOND: &str = "apr_01ARZ3NDEKTSV4RRFFQ69G5XYZ";

fn approval(id: &str, kind: &str, subject: &Value) -> Value {
    json!({
        "approval": id, "session": "ses_01BX5ZZKBKACTAV9WEVGEMMVRZ", "engine": "claude", "kind": kind,
        "title": "a title", "subject": subject, "state": "pending", "road": "hook", "created_at_ms": 0,
        "expires_at_ms": null, "decided_at_ms": null, "decided_by": null, "reason": null, "answer": null,
        "rule": null, "delivery": "pending", "message": null,
    })
}

fn daemon() -> Fake {
    Fake::start(|method, params| -> Reply {
        let command = approval(FIRST, "command", &json!({"command": "ls\u{1b}[2K\nrm -rf x"}));
        let question = approval(SECOND, "question", &json!({"question": "Which?", "choices": ["A", "B"]}));
        match method {
            "approval.list" => json!({"approvals": [command, question]}).into(),
            "approval.get" if params["approval"] == SECOND => question.into(),
            "approval.get" => command.into(),
            "approval.decide" => json!({"approvals": [], "rules": []}).into(),
            "session.list" => json!({"sessions": []}).into(),
            _ => refuse(ErrorKind::MethodNotFound, method),
        }
    })
}

#[tokio::test]
async fn the_inbox_hides_nothing_of_what_an_agent_wrote() {
    let fake = daemon();
    let shown = fake.orxctl(&["inbox"]).await.stdout_text();
    assert!(shown.contains("│ ls\\u{1b}[2K\n") && shown.contains("│ rm -rf x\n"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[tokio::test]
async fn names_are_short_and_numbers_name_choices() {
    let fake = daemon();
    assert_eq!(code(&fake.orxctl(&["allow", "5fav", "--always"]).await), 0);
    assert_eq!(code(&fake.orxctl(&["allow", "5XYZ", "--answer", "2"]).await), 0);
    assert_eq!(code(&fake.orxctl(&["deny", "5FAV", "5XYZ", "--reason", "not now"]).await), 0);
    let all = fake.orxctl(&["allow", "--all"]).await;
    assert!(all.stderr_text().contains("1 question is left"), "{}", all.stderr_text());
    let decided = fake.calls("approval.decide");
    assert_eq!(
        decided,
        [
            json!({"approvals": [FIRST], "decision": "allow_always", "reason": null, "answer": null}),
            json!({"approvals": [SECOND], "decision": "allow", "reason": null, "answer": "B"}),
            json!({"approvals": [FIRST, SECOND], "decision": "deny", "reason": "not now", "answer": null}),
            json!({"approvals": [FIRST], "decision": "allow", "reason": null, "answer": null}),
        ]
    );
}

#[tokio::test]
async fn mistakes_are_named_and_nothing_is_decided() {
    let fake = daemon();
    for (arguments, wanted, words) in [
        (vec!["allow"], 2, "APPROVAL"),
        (vec!["allow", "nobody"], 1, "no approval is named `nobody`"),
        (vec!["allow", "01ARZ"], 2, "fits 2 approvals"),
        (vec!["allow", FIRST, SECOND, "--answer", "x"], 2, "name one approval"),
        (vec!["allow", FIRST, "--all"], 2, "cannot be used with"),
        (vec!["rule", "add", "perhaps"], 2, "perhaps"),
        (vec!["rule", "add", "allow", "--cwd", "/nonexistent"], 2, "/nonexistent"),
    ] {
        let ended = fake.orxctl(&arguments).await;
        assert_eq!(code(&ended), wanted, "{arguments:?}: {}", ended.stderr_text());
        assert!(ended.stderr_text().contains(words), "{arguments:?}: {}", ended.stderr_text());
    }
    assert_eq!(fake.calls("approval.decide"), Vec::<Value>::new());
}
