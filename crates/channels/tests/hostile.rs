//! Peers that speak nonsense, too much or nothing: each ends its channel with a reason, and nothing else.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // Helpers of tests are tests too.

use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use orx_channels::opencode::Server;
use orx_channels::{Channel, ChannelEvent, Target, open};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

/// How long a channel may take to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(target: Target) -> Channel {
    let (channel, carrying) = open(target, "0", CancellationToken::new());
    tokio::spawn(carrying);
    channel
}

async fn closed(mut channel: Channel) -> String {
    let ending = async {
        while let Some(event) = channel.events.recv().await {
            if let ChannelEvent::Closed { why, .. } = event {
                assert!(channel.events.recv().await.is_none(), "nothing follows the end");
                return why;
            }
        }
        panic!("it ended without a word")
    };
    tokio::time::timeout(PATIENCE, ending).await.unwrap()
}

/// Codex's server, which says this as soon as it is spoken to, again and again.
fn app_server(socket: &Path, says: Vec<Message>) -> Target {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let says = says.clone();
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                let _ = socket.next().await;
                for message in says {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
                while socket.next().await.is_some() {}
            });
        }
    });
    Target::AppServer { socket: socket.to_owned(), conversation: None }
}

#[tokio::test]
async fn an_app_server_that_speaks_nonsense_is_left() {
    let refusal = r#"{"id":1,"error":{"code":-1,"message":"too old"}}"#;
    let flood = "x".repeat(33 * 1024 * 1024);
    for (says, expected) in [
        (Message::text("{\"half"), "no JSON"),
        (Message::binary(vec![0xff, 0xfe]), "no JSON"),
        (Message::text(refusal), "too old"),
        (Message::text(flood), "more than"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let why = closed(start(app_server(&scratch.path().join("s"), vec![says]))).await;
        assert!(why.contains(expected), "{expected}: {why}");
    }
}

#[tokio::test]
async fn nonsense_within_the_protocol_changes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let says = [
        r#"{"id":1,"result":{}}"#,
        r#"{"id":99,"result":{}}"#,
        r#"{"method":"no/such/notification","params":7}"#,
        r#"{"id":"x","method":"no/such/request"}"#,
        r#"[1,2]"#,
        r#"{"method":"thread/started","params":{"thread":{"id":"t","status":{"type":"idle"}}}}"#,
    ];
    let says = says.into_iter().map(Message::text).collect();
    let mut channel = start(app_server(&scratch.path().join("s"), says));
    let first = tokio::time::timeout(PATIENCE, channel.events.recv()).await.unwrap();
    assert_eq!(first, Some(ChannelEvent::Conversation("t".to_owned())));
}

#[tokio::test]
async fn nobody_there_is_said_after_a_while() {
    let scratch = tempfile::tempdir().unwrap();
    let why = closed(start(Target::AppServer { socket: scratch.path().join("none"), conversation: None })).await;
    assert!(why.contains("cannot be reached"), "{why}");
}

/// opencode's server, which answers every request with this.
async fn opencode(answer: &'static [u8]) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.read(&mut request).await;
            });
        }
    });
    let server = Server { url, password: Some("p".to_owned()), ..Server::default() };
    Target::Opencode { server, conversation: None }
}

#[tokio::test]
async fn an_opencode_server_that_speaks_nonsense_is_left() {
    for (answer, expected) in [
        (b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".as_slice(), "401"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {half\n\n", "no JSON"),
    ] {
        let why = closed(start(opencode(answer).await)).await;
        assert!(why.contains(expected), "{expected}: {why}");
    }
    let elsewhere = Target::Opencode {
        server: Server { url: "http://192.0.2.1:80".to_owned(), ..Server::default() },
        conversation: None,
    };
    assert!(closed(start(elsewhere)).await.contains("no address on this machine"));
}

/// A relay with this record, which says how long it is.
async fn relay(scratch: &Path, exchange: &str, told: &str) -> Target {
    let (socket, path) = (scratch.join("s"), scratch.join("exchange.jsonl"));
    std::fs::write(&path, exchange).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let told = told.to_owned();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let _ = stream.write_all(told.as_bytes()).await;
                let mut said = [0; 4096];
                while stream.read(&mut said).await.is_ok_and(|count| count > 0) {}
            });
        }
    });
    Target::Acp { socket, exchange: path, cwd: "/".to_owned(), conversation: None }
}

#[tokio::test]
async fn an_agent_that_cannot_be_spoken_with_is_left_with_its_own_words() {
    let login = concat!(
        r#"{"at_ms":1,"by":"client","message":{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}}"#,
        "\n",
        r#"{"at_ms":1,"by":"agent","message":{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}}"#,
        "\n",
        r#"{"at_ms":1,"by":"client","message":{"jsonrpc":"2.0","id":2,"method":"session/new","params":{}}}"#,
        "\n",
        r#"{"at_ms":1,"by":"agent","message":{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"Authentication required"}}}"#,
        "\n",
    );
    let forgotten = concat!(
        r#"{"at_ms":1,"by":"client","message":{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}}"#,
        "\n",
        r#"{"at_ms":1,"by":"agent","message":{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}}"#,
        "\n",
        r#"{"at_ms":1,"by":"client","message":{"jsonrpc":"2.0","id":2,"method":"session/load","params":{"sessionId":"s"}}}"#,
        "\n",
        r#"{"at_ms":1,"by":"agent","message":{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"No such session"}}}"#,
        "\n",
    );
    let newer = concat!(
        r#"{"at_ms":1,"by":"client","message":{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}}"#,
        "\n",
        r#"{"at_ms":1,"by":"agent","message":{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":9}}}"#,
        "\n",
    );
    for (exchange, told, expected) in [
        (login, None, "login"),
        (forgotten, None, "refused `session/load`: No such session"),
        (newer, None, "version 9"),
        ("not a record\n", None, "a record that is none"),
        ("", Some("nonsense\n".to_owned()), "does not speak its protocol"),
        ("", Some("x".repeat(5000)), "without end"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let told = told.unwrap_or_else(|| format!("{{\"bytes\":{}}}\n", exchange.len()));
        let why = closed(start(relay(scratch.path(), exchange, &told).await)).await;
        assert!(why.contains(expected), "{expected}: {why}");
    }
}
