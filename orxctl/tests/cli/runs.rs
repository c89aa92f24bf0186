//! Runs: started, followed over a restart, and summed up.

use std::sync::atomic::{AtomicUsize, Ordering};

use orx_protocol::error::ErrorKind;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::fake::{Fake, Reply, code, refuse};

const RUN: &str = "run_01ARZ3NDEKTSV4RRFFQ69G5FAV";

fn shown(state: &str) -> Value {
    json!({
        "run": RUN, "state": state, "stage": "implement", "stages": [], "branch": "orx/x", "worktree": null, "items": [],
        "gates": [], "tokens": {"input": 10, "output": null, "cached": null}, "cost_microusd": null, "error": null,
        "repository": "/r", "task": "t", "engine": "claude", "pipeline": "standard", "directory": "/r/runs/x",
        "base_branch": "main", "base_commit": "0123456789abcdef",
        "commits": [{"commit": "fedcba9876543210", "subject": "feat: x", "item": null}], "warnings": [],
        "created_at_ms": 1_700_000_000_000u64, "ended_at_ms": null
    })
}

fn event(seq: u64, kind: &str, data: &Value) -> Value {
    json!({"seq": seq, "at_ms": 1_700_000_000_000u64, "kind": kind, "subject": RUN, "data": data})
}

/// A daemon whose run ends after its first subscription was cut, as by a restart.
fn restarting(last: &'static str) -> Fake {
    let subscriptions = AtomicUsize::new(0);
    let ended = std::sync::Arc::new(AtomicUsize::new(0));
    Fake::start(move |method, params| match method {
        "run.start" => json!({"run": RUN, "warnings": ["uncommitted \u{1b}[31mwork"]}).into(),
        "run.resume" => json!({}).into(),
        "run.get" => shown(if ended.load(Ordering::SeqCst) > 0 { last } else { "running" }).into(),
        "event.subscribe" => match subscriptions.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Cut(json!({"next": 1}), vec![event(1, "run.stage_started", &json!({"stage": "plan"}))]),
            _ => {
                assert_eq!(params["since"], 1);
                ended.store(1, Ordering::SeqCst);
                Reply::Stream(
                    json!({"next": 2}),
                    vec![
                        event(2, "run.gate_ended", &json!({"gate": "pytest", "verdict": "passed"})),
                        event(3, "run.ended", &json!({"state": last})),
                    ],
                )
            }
        },
        _ => refuse(ErrorKind::NotFound, "no"),
    })
}

#[tokio::test]
async fn a_run_is_started_followed_and_summed_up() {
    let fake = ending("done");
    let scratch = tempfile::tempdir().unwrap();
    let directory = std::fs::canonicalize(scratch.path()).unwrap();
    let ran = fake
        .orxctl(&["run", "do it", "-d", directory.to_str().unwrap(), "-e", "codex", "-b", "main", "-m", "big"])
        .await;
    assert_eq!(code(&ran), 0, "{}", ran.stderr_text());
    let text = ran.stdout_text();
    for wanted in
        ["plan  started", "pytest  passed", "git -C /r diff --stat 0123456789..orx/x", "10 in, unknown out", "feat: x"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(ran.stderr_text().contains("warning: uncommitted work"), "{}", ran.stderr_text());
    assert_eq!(
        fake.calls("run.start"),
        [json!({
            "repository": directory.to_str().unwrap(), "task": "do it", "pipeline": null, "engine": "codex",
            "settings": {"git": {"base_branch": "main"}, "engine": {"model": "big"}}
        })]
    );
    assert_eq!(fake.calls("event.subscribe")[0]["subject"], RUN);
}

/// A daemon whose run ends at once.
fn ending(last: &'static str) -> Fake {
    let ended = AtomicUsize::new(0);
    Fake::start(move |method, _| match method {
        "run.start" => json!({"run": RUN, "warnings": ["uncommitted \u{1b}[31mwork"]}).into(),
        "run.resume" => json!({}).into(),
        "run.get" => shown(if ended.load(Ordering::SeqCst) > 0 { last } else { "running" }).into(),
        "event.subscribe" => {
            ended.store(1, Ordering::SeqCst);
            Reply::Stream(
                json!({"next": 1}),
                vec![
                    event(1, "run.stage_started", &json!({"stage": "plan"})),
                    event(2, "run.gate_ended", &json!({"gate": "pytest", "verdict": "passed"})),
                    event(3, "run.ended", &json!({"state": last})),
                ],
            )
        }
        _ => refuse(ErrorKind::NotFound, "no"),
    })
}

#[tokio::test]
async fn the_exit_code_says_whether_the_run_is_done() {
    assert_eq!(code(&ending("failed").orxctl(&["resume", RUN]).await), 1);
    assert_eq!(code(&ending("cancelled").orxctl(&["status", RUN, "--follow"]).await), 1);
    assert_eq!(code(&ending("done").orxctl(&["status", RUN, "--follow"]).await), 0);
    assert_eq!(code(&ending("failed").orxctl(&["status", RUN]).await), 0);
}

#[tokio::test]
async fn following_survives_a_restart_without_a_gap() {
    let fake = restarting("done");
    let followed = fake.orxctl(&["status", RUN, "--follow", "--json"]).await;
    assert_eq!(code(&followed), 0, "{}", followed.stderr_text());
    let lines: Vec<Value> = followed.stdout_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seqs: Vec<&Value> = lines.iter().filter_map(|line| line.get("seq")).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(lines.last().unwrap()["state"], "done");
}

#[tokio::test]
async fn a_dry_run_starts_nothing_and_needs_no_daemon() {
    let fake = ending("done");
    let planned = fake.orxctl(&["run", "do it", "--dry-run", "--json"]).await;
    assert_eq!(code(&planned), 0);
    let value: Value = serde_json::from_str(&planned.stdout_text()).unwrap();
    assert_eq!(value["task"], "do it");
    assert!(fake.calls("run.start").is_empty());
}

#[tokio::test]
async fn a_detached_run_prints_its_name_alone() {
    let fake = ending("done");
    let started = fake.orxctl(&["run", "do it", "--detach"]).await;
    assert_eq!((code(&started), started.stdout_text()), (0, format!("{RUN}\n")));
    assert!(fake.calls("event.subscribe").is_empty());
}

#[tokio::test]
async fn an_interrupt_leaves_the_run_at_work() {
    let fake = Fake::start(|method, _| match method {
        "run.get" => shown("running").into(),
        "event.subscribe" => {
            Reply::Stream(json!({"next": 1}), vec![event(1, "run.stage_started", &json!({"stage": "plan"}))])
        }
        _ => refuse(ErrorKind::NotFound, "no"),
    });
    let streams = [std::process::Stdio::null(), std::process::Stdio::piped(), std::process::Stdio::piped()];
    let arguments = crate::fake::command(&["status", RUN, "--follow"]);
    let mut child =
        orx_sandbox::spawn::supervised(&arguments, &std::env::temp_dir(), &fake.environment(), streams).unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("plan  started") {
        assert_ne!(stdout.read_buf(&mut seen).await.unwrap(), 0, "it ended by itself");
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert!(said.contains("goes on"), "{said}");
    assert!(fake.calls("run.cancel").is_empty());
}
