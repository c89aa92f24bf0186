//! Registering, coming back, leaving.

use serde_json::{Value, json};
use tokio::process::Child;

use crate::daemon::{Daemon, Link, soon};

fn terminate(child: &Child) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
}

async fn code(child: &mut Child) -> Option<i32> {
    soon(child.wait()).await.unwrap().code()
}

fn health(status: &str) -> Value {
    json!({ "status": status, "version": "1", "llm_router": null })
}

/// Drains a worker as the daemon does and reads its connection to the end.
async fn drain(link: &mut Link) {
    link.send(&json!({ "jsonrpc": "2.0", "method": "worker.drain", "params": {} })).await;
    assert_eq!(link.receive().await, None);
}

#[tokio::test]
async fn a_worker_registers_what_it_can_do() {
    let daemon = Daemon::start();
    let (child, link) = daemon.start_worker("naming", &["--capacity", "9"]).await;
    let registration = &link.registration;
    assert_eq!((&registration["role"], &registration["capacity"]), (&json!("naming"), &json!(9)));
    assert_eq!(registration["pid"], child.id().unwrap());
    let actions: Vec<&Value> =
        registration["capabilities"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    assert_eq!(actions, ["allocate_capability", "allocate_session", "allocate_namespace", "validate_name"]);
    assert!(registration["capabilities"].as_array().unwrap().iter().all(|one| one["idempotent"] == true));
}

#[tokio::test]
async fn a_worker_comes_back_after_the_daemon_was_away() {
    let mut daemon = Daemon::start();
    let (_child, link) = daemon.start_worker("naming", &[]).await;
    daemon.stop();
    drop(link);
    daemon.listen();
    let mut link = daemon.worker().await;
    let answer = daemon.result(&mut link, "d1", "naming.validate_name", json!({ "name": "CAP-AUTH-1" })).await;
    assert_eq!(answer["valid"], true);
}

#[tokio::test]
async fn a_worker_that_is_started_first_waits_for_the_daemon() {
    let mut daemon = Daemon::start();
    daemon.stop();
    let _child = daemon.spawn("manager", &[]);
    daemon.listen();
    assert_eq!(daemon.worker().await.registration["role"], "manager");
}

#[tokio::test]
async fn a_supervised_worker_ends_with_its_connection_or_without_a_daemon() {
    let mut daemon = Daemon::start();
    let (mut child, link) = daemon.start_worker("naming", &["--supervised"]).await;
    drop(link);
    assert_eq!(code(&mut child).await, Some(0));
    daemon.stop();
    assert_eq!(code(&mut daemon.spawn("naming", &["--supervised"])).await, Some(69));
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_says_so_and_leaves() {
    let daemon = Daemon::start();
    let (mut child, mut link) = daemon.start_worker("naming", &[]).await;
    terminate(&child);
    let farewell = link.receive().await.unwrap();
    assert_eq!(farewell["method"], "worker.drain");
    link.answer(&farewell, json!({})).await;
    assert_eq!(link.receive().await, None);
    assert_eq!(code(&mut child).await, Some(0));
}

#[tokio::test]
async fn a_worker_that_waits_for_a_daemon_can_be_stopped() {
    let mut daemon = Daemon::start();
    let (mut child, link) = daemon.start_worker("naming", &[]).await;
    daemon.stop();
    drop(link);
    terminate(&child);
    assert_eq!(code(&mut child).await, Some(0));
}

#[tokio::test]
async fn a_drained_worker_leaves_a_daemon_that_stays_and_waits_for_the_next_of_one_that_stops() {
    let daemon = Daemon::start();
    let (mut child, mut link) = daemon.start_worker("naming", &[]).await;
    drain(&mut link).await;
    let mut probe = daemon.accept().await;
    let request = probe.receive().await.unwrap();
    assert_eq!(request["method"], "health");
    probe.answer(&request, health("draining")).await;

    let mut link = daemon.worker().await;
    drain(&mut link).await;
    let mut probe = daemon.accept().await;
    let request = probe.receive().await.unwrap();
    probe.answer(&request, health("healthy")).await;
    assert_eq!(code(&mut child).await, Some(0));
}

#[tokio::test]
async fn a_refused_worker_ends_with_an_error() {
    let daemon = Daemon::start();
    let mut child = daemon.spawn("naming", &[]);
    let mut link = daemon.accept().await;
    let request = link.receive().await.unwrap();
    let data = json!({ "kind": "permission_denied", "source": "caller", "retryable": false });
    let error = json!({ "code": -32007, "message": "no", "data": data });
    link.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
    assert_eq!(code(&mut child).await, Some(1));
}

#[tokio::test]
async fn wrong_arguments_are_a_usage_error() {
    let daemon = Daemon::start();
    for more in [&["--capacity", "0"][..], &["--capacity", "1025"], &["--nonsense"]] {
        assert_eq!(code(&mut daemon.spawn("naming", more)).await, Some(2));
    }
    assert_eq!(code(&mut daemon.spawn("cooking", &[])).await, Some(2));
}
