//! The stand-ins themselves: that the demonstration's scenario does what it tells of, through the scripted CLI and
//! through each API, and that their failures are the ones that the scenario names.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use orx_tests::calculator;
use orx_tests::model::{Failure, Scenario, ScriptedModel, Step};
use serde_json::{Value, json};

fn scripted_cli(scenario: &str, cwd: &Path, arguments: &[&str], prompt: &str) -> Output {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/scenarios").join(scenario);
    let mut child = Command::new(env!("CARGO_BIN_EXE_scripted-cli"))
        .args(arguments)
        .env("ORX_SCRIPTED_SCENARIO", scenario)
        .current_dir(cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(prompt.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn project() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in calculator::FILES {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

fn tests_pass(project: &Path) -> bool {
    let run = Command::new("python3").args(["-B", "-m", "unittest"]).current_dir(project).output().unwrap();
    run.status.success()
}

#[test]
fn the_demonstration_repairs_the_calculator_with_one_failed_attempt() {
    let project = project();
    let stage = |prompt: &str| {
        let output = scripted_cli("demo.json", project.path(), &[], prompt);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{prompt}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!tests_pass(project.path()), "the project is broken to begin with");
    assert!(stage("orx-stage: plan\nRepair it.").starts_with("# Plan"));
    assert!(stage("orx-stage: spec\n").contains("## Acceptance"));
    let backlog = stage("orx-stage: decompose\n");
    assert!(backlog.contains("```yaml\nitems:\n  - id: W001\n") && backlog.contains("  - id: W002\n"));
    stage("orx-stage: implement\norx-item: W001\n");
    assert!(tests_pass(project.path()), "W001 repairs it");
    stage("orx-stage: implement\norx-item: W002\n");
    assert!(!tests_pass(project.path()), "the first attempt at W002 is wrong");
    stage("orx-stage: fix\norx-item: W002\n");
    assert!(tests_pass(project.path()), "the fix of W002 repairs it");
    assert!(stage("orx-stage: review\n").lines().any(|line| line == "VERDICT: APPROVED"));
    assert!(stage("orx-stage: knowledge\n").starts_with("## "));
}

#[test]
fn a_read_only_scripted_cli_changes_nothing() {
    let project = project();
    let prompt = "orx-stage: implement\norx-item: W001\n";
    let output = scripted_cli("demo.json", project.path(), &["--read-only"], prompt);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("refused: read only"));
    let untouched = std::fs::read_to_string(project.path().join("calculator.py")).unwrap();
    assert_eq!(untouched, calculator::FILES[1].1);
}

#[test]
fn a_scripted_cli_crashes_and_floods_when_told() {
    let project = project();
    let crashed = scripted_cli("hello.json", project.path(), &["--crash"], "hi");
    assert_eq!(crashed.status.code(), None);
    assert_eq!(crashed.stdout, b"");
    let flooded = scripted_cli("hello.json", project.path(), &["--flood", "300000"], "hi");
    assert!(flooded.stdout.len() > 300_000);
    assert!(flooded.stdout.ends_with(b"Hello from the script.\n"));
}

/// One POST, as plain HTTP; the answer up to the end of the connection.
async fn post(model: &ScriptedModel, path: &str, body: &Value) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let body = body.to_string();
    let mut stream = tokio::net::TcpStream::connect(model.address).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn every_api_answers_streamed_and_whole() {
    let step = Step { text: "The answer.".to_owned(), ..Step::default() };
    let model = ScriptedModel::start(Scenario::always(vec![step])).await.unwrap();
    let messages = json!([{ "role": "user", "content": "Hi" }]);
    let contents = json!([{ "role": "user", "parts": [{ "text": "Hi" }] }]);
    for (path, body, end) in [
        ("/v1/messages?beta=true", json!({ "messages": messages, "stream": true }), "\"type\":\"message_stop\""),
        ("/v1/messages", json!({ "messages": messages }), "\"stop_reason\":\"end_turn\""),
        ("/v1/responses", json!({ "input": "Hi", "stream": true }), "\"type\":\"response.completed\""),
        ("/v1/responses", json!({ "input": "Hi" }), "\"status\":\"completed\""),
        ("/v1/chat/completions", json!({ "messages": messages, "stream": true }), "data: [DONE]"),
        ("/v1/chat/completions", json!({ "messages": messages }), "\"finish_reason\":\"stop\""),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            json!({ "contents": contents }),
            "\"finishReason\":\"STOP\"",
        ),
        ("/v1beta/models/m:generateContent", json!({ "contents": contents }), "\"finishReason\":\"STOP\""),
    ] {
        let answer = post(&model, path, &body).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("The answer."), "{path}: {answer}");
        assert!(answer.contains(end), "{path}: {answer}");
    }
    let requests = model.requests();
    assert_eq!(requests.len(), 8);
    assert!(requests.iter().all(|request| request.prompt == "Hi" && request.turn == 0), "{requests:?}");
}

#[tokio::test]
async fn scripted_failures_come_in_order_and_once() {
    let failures = vec![Failure::Status { code: 429, retry_after_s: Some(7) }, Failure::Drop, Failure::DropMidway];
    let step = Step { text: "At last, the whole of the answer.".to_owned(), failures, ..Step::default() };
    let model = ScriptedModel::start(Scenario::always(vec![step])).await.unwrap();
    let body = json!({ "messages": [{ "role": "user", "content": "Hi" }], "stream": true });
    let limited = post(&model, "/v1/messages", &body).await;
    assert!(limited.starts_with("HTTP/1.1 429") && limited.contains("retry-after: 7"), "{limited}");
    assert_eq!(post(&model, "/v1/messages", &body).await, "");
    let half = post(&model, "/v1/messages", &body).await;
    assert!(half.contains("message_start") && !half.contains("message_stop"), "{half}");
    assert!(post(&model, "/v1/messages", &body).await.contains("message_stop"));
    let outcomes: Vec<String> = model.requests().into_iter().map(|request| request.outcome).collect();
    assert_eq!(outcomes, ["status 429", "drop", "drop_midway", "answer"]);
}

#[tokio::test]
async fn a_prompt_without_a_rule_is_refused_aloud() {
    let model = ScriptedModel::start(Scenario::default()).await.unwrap();
    let answer = post(&model, "/v1/messages", &json!({ "messages": [{ "role": "user", "content": "Hi" }] })).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("no rule"), "{answer}");
}
