//! Event streams and followers against a scripted daemon.

use crate::support::{Peer, Server, soon};
use orx_client::{Client, ClientError, follow_events};
use orx_protocol::api::event::SubscribeParams;
use serde_json::{Value, json};

async fn subscribe(peer: &mut Peer, next: u64) -> Value {
    let request = soon(peer.receive()).await.unwrap();
    assert_eq!(request["method"], "event.subscribe");
    peer.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": { "next": next } })).await;
    request["params"].clone()
}

async fn event(peer: &mut Peer, seq: u64) {
    let params = json!({ "seq": seq, "at_ms": 5, "kind": "run.started", "subject": "run_x", "data": {} });
    peer.send(&json!({ "jsonrpc": "2.0", "method": "event", "params": params })).await;
}

#[tokio::test]
async fn a_subscription_has_its_own_connection_and_gives_events_in_order() {
    let server = Server::start();
    let (client, _first) = server.connect().await;
    let params = SubscribeParams { since: Some(3), kinds: vec!["run.*".into()], ..SubscribeParams::default() };
    let daemon = async {
        let mut peer = server.accept().await;
        let params = subscribe(&mut peer, 4).await;
        assert_eq!((&params["since"], &params["kinds"]), (&json!(3), &json!(["run.*"])));
        // More than the reader's queue holds.
        for seq in 4..1004 {
            event(&mut peer, seq).await;
        }
    };
    let reader = async {
        let mut stream = client.events(params).await.unwrap();
        assert_eq!(stream.first(), 4);
        for seq in 4..1004 {
            assert_eq!(stream.next().await.unwrap().seq, seq);
        }
        assert!(matches!(stream.next().await, Err(ClientError::Closed)));
    };
    soon(async { tokio::join!(daemon, reader) }).await;
    assert!(!client.is_closed());
}

#[tokio::test]
async fn a_follower_goes_on_after_a_restart_without_gap_or_repetition() {
    let mut server = Server::start();
    let path = server.path();
    let mut follower = {
        let daemon = async {
            let mut peer = server.accept().await;
            let params = subscribe(&mut peer, 8).await;
            assert_eq!(params["since"], Value::Null);
            for seq in [8, 9] {
                event(&mut peer, seq).await;
            }
        };
        let (follower, ()) = tokio::join!(follow_events(&path, None, vec![], Some("run_x".into())), daemon);
        follower.unwrap()
    };
    assert_eq!(soon(follower.next()).await.unwrap().seq, 8);
    assert_eq!(soon(follower.next()).await.unwrap().seq, 9);
    server.stop();
    let reader = async { [follower.next().await.unwrap().seq, follower.next().await.unwrap().seq] };
    let daemon = async {
        // Some attempts find nobody listening before the daemon is back.
        tokio::task::yield_now().await;
        server.restart();
        let mut peer = server.accept().await;
        let params = subscribe(&mut peer, 10).await;
        assert_eq!((&params["since"], &params["subject"]), (&json!(9), &json!("run_x")));
        for seq in [9, 10, 11] {
            event(&mut peer, seq).await;
        }
        peer
    };
    let (seqs, _peer) = soon(async { tokio::join!(reader, daemon) }).await;
    assert_eq!(seqs, [10, 11]);
    assert_eq!(follower.last(), 11);
}

#[tokio::test]
async fn a_journal_that_went_back_is_named_instead_of_being_read_as_new() {
    let server = Server::start();
    let path = server.path();
    let daemon = async {
        let mut peer = server.accept().await;
        subscribe(&mut peer, 101).await;
        drop(peer);
        let mut peer = server.accept().await;
        subscribe(&mut peer, 1).await;
        peer
    };
    let reader = async { follow_events(&path, Some(100), vec![], None).await.unwrap().next().await };
    let (outcome, _peer) = soon(async { tokio::join!(reader, daemon) }).await;
    assert!(matches!(outcome, Err(ClientError::Protocol(what)) if what.contains("store was replaced")));
}

#[tokio::test]
async fn following_a_daemon_that_is_not_there_fails_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let outcome = follow_events(&directory.path().join("none.sock"), None, vec![], None).await;
    assert!(matches!(outcome, Err(ClientError::NotReachable { .. })));
}

#[tokio::test]
async fn a_connection_without_its_reader_is_closed() {
    let server = Server::start();
    let path = server.path();
    let connect = async { Client::connect(&path).await.unwrap() };
    let (client, mut peer) = tokio::join!(connect, server.accept());
    drop(client);
    assert_eq!(soon(peer.receive()).await, None);
}
