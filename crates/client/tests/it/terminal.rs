//! Attaching to a terminal against a scripted daemon.

use crate::support::{Peer, Server, framed, soon};
use orx_client::{ClientError, Terminal};
use orx_protocol::api::session::{AttachMode, AttachParams, TERMINAL_CODEC};
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_protocol::{ErrorKind, SessionId, codec};
use serde_json::json;

fn params() -> AttachParams {
    AttachParams { session: SessionId::generate(), cols: 80, rows: 24, mode: AttachMode::Control, raw: false }
}

/// The answer to `request` with what follows it in the same write.
async fn switch_over(peer: &mut Peer, codec_name: &str, then: &[ToViewer]) {
    let request = soon(peer.receive()).await.unwrap();
    assert_eq!(request["method"], "session.attach");
    let result = json!({ "session": request["params"]["session"], "codec": codec_name });
    let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
    let mut bytes = framed(&serde_json::to_vec(&answer).unwrap());
    for message in then {
        bytes.extend_from_slice(&framed(&codec::encode(message).unwrap()));
    }
    peer.send_bytes(&bytes).await;
}

#[tokio::test]
async fn frames_that_came_with_the_answer_are_not_lost() {
    let server = Server::start();
    let path = server.path();
    // Larger than a JSON frame may be, so that the limit must have changed with the switch.
    let screen = ToViewer::Screen(vec![b'x'; 2 << 20]);
    let first = ToViewer::Control { held: true };
    let daemon = async {
        let mut peer = server.accept().await;
        switch_over(&mut peer, TERMINAL_CODEC, &[first.clone(), screen.clone()]).await;
        let input: FromViewer = codec::decode(&peer.receive_body().await.unwrap()).unwrap();
        assert_eq!(input, FromViewer::Input(b"ls\r".to_vec()));
        peer.send_bytes(&framed(&codec::encode(&ToViewer::Output(b"a".to_vec())).unwrap())).await;
    };
    let viewer = async {
        let mut terminal = Terminal::attach(&path, params()).await.unwrap();
        assert_eq!(terminal.next().await.unwrap(), Some(first.clone()));
        let (mut reader, mut writer) = terminal.split();
        assert_eq!(reader.next().await.unwrap(), Some(screen.clone()));
        writer.send(&FromViewer::Input(b"ls\r".to_vec())).await.unwrap();
        assert_eq!(reader.next().await.unwrap(), Some(ToViewer::Output(b"a".to_vec())));
        assert_eq!(reader.next().await.unwrap(), None);
    };
    soon(async { tokio::join!(daemon, viewer) }).await;
}

#[tokio::test]
async fn a_refused_attach_and_an_unknown_codec_are_named() {
    let server = Server::start();
    let path = server.path();
    let daemon = async {
        let mut peer = server.accept().await;
        let request = peer.receive().await.unwrap();
        let data = json!({ "kind": "not_found", "source": "caller", "retryable": false });
        let error = json!({ "code": -32001, "message": "no such session", "data": data });
        peer.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
        let mut peer = server.accept().await;
        switch_over(&mut peer, "morse", &[]).await;
    };
    let viewer = async {
        let refused = Terminal::attach(&path, params()).await.unwrap_err();
        assert!(matches!(refused, ClientError::Rpc(error) if error.kind() == ErrorKind::NotFound));
        let unknown = Terminal::attach(&path, params()).await.unwrap_err();
        assert!(matches!(unknown, ClientError::Protocol(what) if what.contains("morse")));
    };
    soon(async { tokio::join!(daemon, viewer) }).await;
}

#[tokio::test]
async fn bytes_that_are_no_terminal_frame_are_a_protocol_error() {
    let server = Server::start();
    let path = server.path();
    let daemon = async {
        let mut peer = server.accept().await;
        switch_over(&mut peer, TERMINAL_CODEC, &[]).await;
        peer.send_bytes(&framed(&[0xff; 20])).await;
        peer
    };
    let viewer = async { Terminal::attach(&path, params()).await.unwrap().next().await };
    let (_peer, outcome) = soon(async { tokio::join!(daemon, viewer) }).await;
    assert!(matches!(outcome, Err(ClientError::Protocol(_))));
}
