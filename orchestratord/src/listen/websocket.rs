//! WebSocket: a text message a body. The token was checked at the upgrade.

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use orx_protocol::{ErrorKind, RpcError, rpc};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::connection::{Connection, Next};
use super::http::Http;
use super::outbox::{Outbox, Touched};
use crate::access::{Caller, Door};
use crate::daemon::Daemon;

/// Prefix of the subprotocol by which a browser, which cannot set headers, presents its token.
pub const TOKEN_PROTOCOL: &str = "orx.token.";
/// The subprotocol that the daemon selects.
const PROTOCOL: &str = "orx.v1";
/// Bodies that may wait for one client.
const WAITING: usize = 1024;
/// Pings sent within the time after which a silent client is gone.
const PINGS: u32 = 3;
/// How long one message may take to be written.
const WRITE: Duration = Duration::from_secs(30);

/// Close codes of RFC 6455, section 7.4.1.
mod code {
    pub(super) const GOING_AWAY: u16 = 1001;
    pub(super) const PROTOCOL: u16 = 1002;
    pub(super) const UNSUPPORTED: u16 = 1003;
    pub(super) const NOT_UTF8: u16 = 1007;
    pub(super) const POLICY: u16 = 1008;
    pub(super) const TOO_LARGE: u16 = 1009;
}

/// `GET /ws`.
pub(super) async fn upgrade(
    State(state): State<Http>,
    Extension(caller): Extension<Caller>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let caller = Caller { door: Door::WebSocket, ..caller };
    let daemon = Arc::clone(&state.daemon);
    let limit = daemon.limits().frame;
    upgrade.protocols([PROTOCOL]).max_message_size(limit).max_frame_size(limit).on_upgrade(move |socket| {
        let tasks = daemon.tasks.clone();
        async move {
            let token = daemon.draining.clone();
            tasks.track_future(serve(daemon, caller, socket, token)).await;
        }
    })
}

async fn serve(daemon: Arc<Daemon>, caller: Caller, socket: WebSocket, draining: tokio_util::sync::CancellationToken) {
    let (writer, mut reader) = socket.split();
    let (sender, receiver) = mpsc::channel(WAITING);
    let (last_words, close) = tokio::sync::oneshot::channel();
    let outbox = Outbox::messages(sender);
    let connection = Connection::new(Arc::clone(&daemon), caller, outbox.clone());
    let writing = daemon.tasks.spawn(write(writer, receiver, outbox.clone(), close, daemon.limits().silence / PINGS));
    let end = tokio::select! {
        end = read(&connection, &mut reader) => end,
        () = draining.cancelled() => CloseFrame { code: code::GOING_AWAY, reason: "the daemon is ending".into() },
        () = outbox.ended().cancelled() => CloseFrame { code: code::POLICY, reason: "it does not read what it asked for".into() },
    };
    // Nobody hears it when the writer has ended already.
    let _ = last_words.send(end);
    connection.close();
    // Its result carries nothing.
    let _ = writing.await;
}

async fn read(connection: &Arc<Connection>, reader: &mut SplitStream<WebSocket>) -> CloseFrame {
    let mut touched = Touched::default();
    let silence = connection.daemon.limits().silence;
    let close = |code: u16, reason: &str| CloseFrame { code, reason: reason.to_owned().into() };
    loop {
        connection.outbox.room().await;
        let message = match tokio::time::timeout(silence, reader.next()).await {
            Err(_) => return close(code::POLICY, "no answer to a ping"),
            Ok(None) => return close(code::GOING_AWAY, "closed"),
            Ok(Some(Err(error))) => return violation(&error),
            Ok(Some(Ok(message))) => message,
        };
        match message {
            Message::Text(text) => match connection.receive(text.as_bytes(), &mut touched) {
                Next::Continue => touched.flush(),
                Next::Attach(request) => {
                    let error = RpcError::new(ErrorKind::FailedPrecondition, "`session.attach` needs the Unix socket")
                        .with_hint("attach with `orxctl attach`; `session.screen` shows the screen over any door");
                    connection.outbox.push(&rpc::failure(Some(&request.id), &error));
                    touched.flush();
                }
            },
            Message::Binary(_) => return close(code::UNSUPPORTED, "a body is a text message"),
            Message::Close(_) => return close(code::GOING_AWAY, "closed"),
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

/// The close code of a broken rule.
fn violation(error: &axum::Error) -> CloseFrame {
    use tokio_tungstenite::tungstenite::Error;
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<Error>() {
            let code = match inner {
                Error::Capacity(_) => code::TOO_LARGE,
                Error::Utf8(_) => code::NOT_UTF8,
                _ => code::PROTOCOL,
            };
            return CloseFrame { code, reason: inner.to_string().chars().take(100).collect::<String>().into() };
        }
        source = inner.source();
    }
    CloseFrame { code: code::PROTOCOL, reason: "the protocol was broken".into() }
}

/// Writes what waits, and the reason at the end; ends when the peer does not take it in time.
async fn write(
    mut writer: SplitSink<WebSocket, Message>,
    mut receiver: mpsc::Receiver<Bytes>,
    outbox: Outbox,
    mut close: tokio::sync::oneshot::Receiver<CloseFrame>,
    ping: Duration,
) {
    let mut next_ping = Instant::now() + ping;
    loop {
        let message = tokio::select! {
            frame = &mut close => {
                if let Ok(frame) = frame {
                    // The peer may be gone: then there is nobody to tell.
                    let _ = tokio::time::timeout(WRITE, writer.send(Message::Close(Some(frame)))).await;
                }
                return;
            }
            body = receiver.recv() => match body {
                Some(body) => Message::Text(String::from_utf8_lossy(&body).into_owned().into()),
                None => return,
            },
            () = tokio::time::sleep_until(next_ping) => {
                next_ping = Instant::now() + ping;
                Message::Ping(Bytes::new())
            }
        };
        match tokio::time::timeout(WRITE, writer.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return outbox.ended().cancel(),
            Err(_) => return outbox.cut("it does not read what it asked for"),
        }
    }
}
