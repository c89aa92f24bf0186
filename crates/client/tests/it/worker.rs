//! Serving as a worker against a scripted daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Peer, Server, soon};
use orx_client::{Answer, ConnectOptions, Request, WorkerEnd, WorkerLink};
use orx_protocol::api::worker::{Capability, RegisterParams};
use orx_protocol::{ErrorKind, RpcError, WorkerId};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

fn registration(capacity: u32) -> RegisterParams {
    RegisterParams {
        role: "naming".into(),
        capabilities: vec![Capability::Name("echo".into())],
        capacity,
        version: "1".into(),
        pid: None,
    }
}

async fn register<F, W>(server: &Server, capacity: u32, handler: F) -> (WorkerLink, Peer)
where
    F: Fn(Request) -> W + Send + Sync + 'static,
    W: Future<Output = Answer> + Send + 'static,
{
    let path = server.path();
    let params = registration(capacity);
    let daemon = async {
        let mut peer = server.accept().await;
        peer.answer_next(json!({ "worker": WorkerId::generate() })).await;
        peer
    };
    let (link, peer) = tokio::join!(WorkerLink::register(&path, &params, ConnectOptions::default(), handler), daemon);
    (link.unwrap(), peer)
}

async fn dispatch(peer: &mut Peer, id: &str, method: &str, params: Value) {
    peer.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
}

#[tokio::test]
async fn requests_are_served_with_their_dispatch_id_action_and_parameters() {
    let server = Server::start();
    let (_link, mut peer) = register(&server, 1, |request| async move {
        let params: Value = request.params()?;
        Request::answer(&json!({ "dispatch": request.dispatch_id, "action": request.action, "params": params }))
    })
    .await;
    dispatch(&mut peer, "dsp_1", "naming.echo", json!({ "a": 1.50 })).await;
    let answer = soon(peer.receive()).await.unwrap();
    assert_eq!(answer["id"], "dsp_1");
    assert_eq!(answer["result"], json!({ "dispatch": "dsp_1", "action": "echo", "params": { "a": 1.50 } }));
}

#[tokio::test]
async fn a_ping_is_answered_while_every_place_is_taken() {
    let server = Server::start();
    let (_link, mut peer) = register(&server, 1, |_| std::future::pending()).await;
    dispatch(&mut peer, "dsp_1", "naming.echo", json!({})).await;
    dispatch(&mut peer, "p1", "worker.ping", json!({})).await;
    assert_eq!(soon(peer.receive()).await.unwrap(), json!({ "jsonrpc": "2.0", "id": "p1", "result": {} }));
}

#[tokio::test]
async fn no_more_than_the_capacity_is_worked_on_at_once() {
    let server = Server::start();
    let gate = Arc::new(Semaphore::new(0));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (gate, now, most) = (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
        move |_| {
            let (gate, now, most) = (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                Request::answer(&true)
            }
        }
    };
    let (link, mut peer) = register(&server, 3, handler).await;
    for n in 0..20 {
        dispatch(&mut peer, &format!("dsp_{n}"), "naming.echo", json!({})).await;
    }
    dispatch(&mut peer, "p", "worker.ping", json!({})).await;
    assert_eq!(soon(peer.receive()).await.unwrap()["id"], "p");
    assert_eq!(link.in_hand(), 20);
    gate.add_permits(20);
    for _ in 0..20 {
        assert_eq!(soon(peer.receive()).await.unwrap()["result"], true);
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn requests_far_beyond_the_capacity_are_refused_not_hoarded() {
    let server = Server::start();
    let (_link, mut peer) = register(&server, 1, |_| std::future::pending()).await;
    for n in 0..66 {
        dispatch(&mut peer, &format!("dsp_{n}"), "naming.echo", json!({})).await;
    }
    let answer = soon(peer.receive()).await.unwrap();
    assert_eq!((&answer["id"], &answer["error"]["data"]["kind"]), (&json!("dsp_65"), &json!("overloaded")));
}

#[tokio::test]
async fn a_handler_calls_the_daemon_over_the_same_connection() {
    let server = Server::start();
    let (_link, mut peer) = register(&server, 1, |request| async move {
        let value: Value = request
            .client
            .call("sequence.next", &json!({ "name": "n" }))
            .await
            .map_err(|error| RpcError::new(ErrorKind::Unavailable, error.to_string()))?;
        Request::answer(&value["value"])
    })
    .await;
    dispatch(&mut peer, "dsp_1", "naming.echo", json!({})).await;
    let call = soon(peer.receive()).await.unwrap();
    assert_eq!(call["method"], "sequence.next");
    peer.send(&json!({ "jsonrpc": "2.0", "id": call["id"], "result": { "value": 7 } })).await;
    assert_eq!(soon(peer.receive()).await.unwrap()["result"], 7);
}

#[tokio::test]
async fn a_panic_and_an_oversized_result_answer_their_own_request_alone() {
    let server = Server::start();
    let (_link, mut peer) = register(&server, 2, |request| async move {
        match request.action.as_str() {
            "panic" => panic!("broken"),
            "huge" => Request::answer(&"x".repeat(2 << 20)),
            _ => Request::answer(&"fine"),
        }
    })
    .await;
    for (action, kind) in [("panic", "internal"), ("huge", "too_large")] {
        dispatch(&mut peer, action, &format!("naming.{action}"), json!({})).await;
        assert_eq!(soon(peer.receive()).await.unwrap()["error"]["data"]["kind"], kind);
    }
    dispatch(&mut peer, "d", "naming.echo", json!({})).await;
    assert_eq!(soon(peer.receive()).await.unwrap()["result"], "fine");
}

#[tokio::test]
async fn a_drained_worker_finishes_what_it_has_refuses_more_and_leaves() {
    let server = Server::start();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let (link, mut peer) = register(&server, 4, move |_| {
        let held = Arc::clone(&held);
        async move {
            held.acquire().await.unwrap().forget();
            Request::answer(&"kept")
        }
    })
    .await;
    dispatch(&mut peer, "dsp_1", "naming.echo", json!({})).await;
    peer.send(&json!({ "jsonrpc": "2.0", "method": "worker.drain", "params": {} })).await;
    dispatch(&mut peer, "dsp_2", "naming.echo", json!({})).await;
    let refused = soon(peer.receive()).await.unwrap();
    assert_eq!((&refused["id"], &refused["error"]["data"]["kind"]), (&json!("dsp_2"), &json!("draining")));
    gate.add_permits(1);
    let daemon = async {
        assert_eq!(peer.receive().await.unwrap()["result"], "kept");
        assert_eq!(peer.receive().await, None);
    };
    let (end, ()) = soon(async { tokio::join!(link.finished(), daemon) }).await;
    assert!(matches!(end, WorkerEnd::Drained));
}

#[tokio::test]
async fn a_worker_that_leaves_tells_the_daemon_first() {
    let server = Server::start();
    let (link, mut peer) = register(&server, 1, |_| async { Request::answer(&true) }).await;
    let daemon = async {
        let farewell = peer.receive().await.unwrap();
        assert_eq!(
            (&farewell["method"], &farewell["params"]["worker"]),
            (&json!("worker.drain"), &json!(link.worker()))
        );
        // A request that was on its way when the worker asked to leave is still served.
        dispatch(&mut peer, "dsp_1", "naming.echo", json!({})).await;
        assert_eq!(peer.receive().await.unwrap()["result"], true);
        peer.send(&json!({ "jsonrpc": "2.0", "id": farewell["id"], "result": {} })).await;
        assert_eq!(peer.receive().await, None);
    };
    let (end, ()) = soon(async { tokio::join!(link.drain(), daemon) }).await;
    assert!(matches!(end, WorkerEnd::Drained));
}

#[tokio::test]
async fn a_lost_connection_ends_the_worker_and_stops_its_work() {
    struct Stopped(tokio::sync::mpsc::Sender<()>);
    impl Drop for Stopped {
        fn drop(&mut self) {
            let _ = self.0.try_send(());
        }
    }
    let server = Server::start();
    let (sender, mut stopped) = tokio::sync::mpsc::channel(1);
    let (link, mut peer) = register(&server, 1, move |_| {
        let guard = Stopped(sender.clone());
        async move {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            drop(guard);
            Request::answer(&true)
        }
    })
    .await;
    dispatch(&mut peer, "dsp_1", "naming.echo", json!({})).await;
    dispatch(&mut peer, "p", "worker.ping", json!({})).await;
    soon(peer.receive()).await.unwrap();
    drop(peer);
    assert!(matches!(soon(link.finished()).await, WorkerEnd::Lost(_)));
    assert_eq!(soon(stopped.recv()).await, Some(()));
}
