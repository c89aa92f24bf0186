//! Calls, notifications and repeated requests.

use std::time::Duration;

use crate::support::{Server, soon};
use orx_client::{Client, ClientError, ConnectOptions};
use orx_protocol::ErrorKind;
use orx_protocol::api::Empty;
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[tokio::test]
async fn nobody_listening_is_named_with_the_path_and_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.sock");
    let error = Client::connect(&path).await.unwrap_err();
    assert!(matches!(&error, ClientError::NotReachable { path: named, .. } if *named == path));
    assert!(error.to_string().contains("orxctl up"), "{error}");
    assert!(error.is_disconnect());
}

#[tokio::test]
async fn answers_in_any_order_reach_their_own_callers() {
    let server = Server::start();
    let (client, mut peer) = server.connect().await;
    let mut calls = JoinSet::new();
    for n in 0..100u32 {
        let client = client.clone();
        calls.spawn(async move {
            let answer: Value = client.call("echo.me", &json!({ "n": n })).await.unwrap();
            assert_eq!(answer, json!({ "n": n }));
        });
    }
    let mut requests = Vec::new();
    for _ in 0..100 {
        requests.push(peer.receive().await.unwrap());
    }
    for request in requests.iter().rev() {
        assert_eq!(request["jsonrpc"], "2.0");
        peer.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": request["params"] })).await;
    }
    soon(calls.join_all()).await;
}

#[tokio::test]
async fn errors_come_as_the_daemon_wrote_them() {
    let server = Server::start();
    let (client, mut peer) = server.connect().await;
    let params = json!({ "session": "x" });
    let call = client.call_raw("session.get", &params);
    let answer = async {
        let request = peer.receive().await.unwrap();
        let data = json!({ "kind": "not_found", "source": "caller", "retryable": false, "hint": "see `orxctl ls`" });
        let error = json!({ "code": -32001, "message": "no session `x`", "data": data });
        peer.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
    };
    let (outcome, ()) = tokio::join!(call, answer);
    let error = outcome.unwrap_err();
    assert!(matches!(&error, ClientError::Rpc(rpc) if rpc.kind() == ErrorKind::NotFound));
    assert_eq!((error.to_string().as_str(), error.hint()), ("no session `x`", "see `orxctl ls`"));
}

#[tokio::test]
async fn a_result_of_another_shape_is_a_protocol_error_that_names_the_method() {
    let server = Server::start();
    let (client, mut peer) = server.connect().await;
    let call = client.call::<_, u64>("health", &Empty {});
    let (outcome, ()) = tokio::join!(call, peer.answer_next(json!({ "status": "healthy" })));
    assert!(matches!(outcome, Err(ClientError::Protocol(what)) if what.contains("`health`")));
}

#[tokio::test]
async fn a_lost_connection_fails_every_pending_call_and_all_later_ones() {
    let server = Server::start();
    let (client, mut peer) = server.connect().await;
    let mut calls = JoinSet::new();
    for n in 0..50u32 {
        let client = client.clone();
        calls.spawn(async move { client.call_raw_with_deadline("slow.call", &n, Duration::MAX).await });
    }
    for _ in 0..50 {
        peer.receive().await.unwrap();
    }
    drop(peer);
    for outcome in soon(calls.join_all()).await {
        assert!(matches!(outcome, Err(ClientError::Closed)));
    }
    assert!(matches!(soon(client.closed()).await, ClientError::Closed));
    assert!(client.is_closed());
    assert!(matches!(client.call_raw("health", &Empty {}).await, Err(ClientError::Closed)));
}

#[tokio::test]
async fn a_missed_deadline_is_named_and_its_late_answer_disturbs_nobody() {
    let server = Server::start();
    let (client, mut peer) = server.connect().await;
    let error = client.call_raw_with_deadline("slow.call", &Empty {}, Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(&error, ClientError::Timeout { method, .. } if method == "slow.call"), "{error}");
    let late = peer.receive().await.unwrap();
    peer.send(&json!({ "jsonrpc": "2.0", "id": late["id"], "result": "late" })).await;
    let call = client.call::<_, String>("quick.call", &Empty {});
    let (outcome, ()) = tokio::join!(call, peer.answer_next(json!("quick")));
    assert_eq!(outcome.unwrap(), "quick");
}

#[tokio::test]
async fn a_request_above_the_limit_is_refused_before_it_is_sent() {
    let server = Server::start();
    let (client, mut peer) = server.connect().await;
    let error = client.call_raw("big.call", &"x".repeat(2 << 20)).await.unwrap_err();
    assert!(matches!(&error, ClientError::TooLarge { method, .. } if method == "big.call"), "{error}");
    let call = client.call::<_, bool>("small.call", &Empty {});
    let (outcome, ()) = tokio::join!(call, peer.answer_next(json!(true)));
    assert!(outcome.unwrap(), "the connection still works");
}

#[tokio::test]
async fn an_oversized_frame_ends_the_connection_with_its_reason() {
    let server = Server::start();
    let options = ConnectOptions { receive_limit: 1000, ..ConnectOptions::default() };
    let (client, mut peer) = server.connect_with(options).await;
    let call = client.call_raw("health", &Empty {});
    let hostile = async {
        peer.receive().await.unwrap();
        peer.send_bytes(&2000u32.to_be_bytes()).await;
    };
    let (outcome, ()) = tokio::join!(call, hostile);
    assert!(matches!(outcome, Err(ClientError::Protocol(what)) if what.contains("2000") && what.contains("1000")));
    assert!(matches!(client.call_raw("health", &Empty {}).await, Err(ClientError::Protocol(_))));
}

#[tokio::test]
async fn a_refusal_that_answers_no_request_reaches_the_callers() {
    let server = Server::start();
    let (client, mut peer) = server.connect().await;
    let call = client.call_raw("health", &Empty {});
    let refuse = async {
        let data = json!({ "kind": "overloaded", "source": "internal", "retryable": true });
        let error = json!({ "code": -32005, "message": "too many connections", "data": data });
        peer.send(&json!({ "jsonrpc": "2.0", "id": null, "error": error })).await;
    };
    let (outcome, ()) = tokio::join!(call, refuse);
    assert!(matches!(outcome, Err(ClientError::Rpc(error)) if error.kind() == ErrorKind::Overloaded));
}

#[tokio::test]
async fn notifications_reach_their_listeners_and_a_slow_one_is_told_what_it_lost() {
    let server = Server::start();
    let options = ConnectOptions { notification_backlog: 4, ..ConnectOptions::default() };
    let (client, mut peer) = server.connect_with(options).await;
    let mut listener = client.notifications();
    for n in 0..6u32 {
        peer.send(&json!({ "jsonrpc": "2.0", "method": "note", "params": { "n": n } })).await;
    }
    // The answer comes after the notifications on the wire, so all six have been delivered when it is here.
    let call = client.call::<_, bool>("health", &Empty {});
    let (outcome, ()) = tokio::join!(call, peer.answer_next(json!(true)));
    assert!(outcome.unwrap());
    assert!(matches!(listener.recv().await, Err(ClientError::Lagged(2))));
    let next = soon(listener.recv()).await.unwrap();
    assert_eq!((next.method.as_str(), next.params.unwrap().get()), ("note", "{\"n\":2}"));
    drop(peer);
    for _ in 3..6 {
        assert!(soon(listener.recv()).await.is_ok());
    }
    assert!(matches!(soon(listener.recv()).await, Err(ClientError::Closed)));
}

#[tokio::test]
async fn a_request_to_a_mere_client_is_refused_by_name() {
    let server = Server::start();
    let (_client, mut peer) = server.connect().await;
    peer.send(&json!({ "jsonrpc": "2.0", "id": "d1", "method": "naming.list", "params": {} })).await;
    let answer = soon(peer.receive()).await.unwrap();
    assert_eq!((&answer["id"], &answer["error"]["data"]["kind"]), (&json!("d1"), &json!("method_not_found")));
}

#[tokio::test]
async fn a_repeated_request_survives_a_restart_of_the_daemon() {
    let mut server = Server::start();
    let (client, mut peer) = server.connect().await;
    let params = json!({ "key": "once" });
    let call = client.call_idempotent::<_, String>("sequence.next", &params, Duration::from_secs(10));
    let daemon = async {
        let first = peer.receive().await.unwrap();
        drop(peer);
        server.restart();
        let mut peer = server.accept().await;
        let second = peer.receive().await.unwrap();
        assert_eq!(first["params"], second["params"]);
        let data = json!({ "kind": "unavailable", "source": "upstream", "retryable": true });
        let error = json!({ "code": -32004, "message": "starting", "data": data });
        peer.send(&json!({ "jsonrpc": "2.0", "id": second["id"], "error": error })).await;
        peer.answer_next(json!("done")).await;
    };
    let (outcome, ()) = soon(async { tokio::join!(call, daemon) }).await;
    assert_eq!(outcome.unwrap(), "done");
}

#[tokio::test]
async fn a_repeated_request_gives_up_at_once_on_an_error_that_does_not_pass() {
    let server = Server::start();
    let (client, mut peer) = server.connect().await;
    let call = client.call_idempotent::<_, Value>("sequence.next", &Empty {}, Duration::from_secs(10));
    let daemon = async {
        let request = peer.receive().await.unwrap();
        let data = json!({ "kind": "invalid_params", "source": "caller", "retryable": false });
        let error = json!({ "code": -32602, "message": "`name` is missing", "data": data });
        peer.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
    };
    let (outcome, ()) = soon(async { tokio::join!(call, daemon) }).await;
    assert!(matches!(outcome, Err(ClientError::Rpc(error)) if error.kind() == ErrorKind::InvalidParams));
}

#[tokio::test]
async fn closing_sends_what_was_queued() {
    let server = Server::start();
    let (client, mut peer) = server.connect().await;
    for n in 0..100u32 {
        client.notify("note", &n).await.unwrap();
    }
    client.close().await;
    for n in 0..100u32 {
        assert_eq!(soon(peer.receive()).await.unwrap()["params"], n);
    }
    assert_eq!(soon(peer.receive()).await, None);
}
