//! HTTP and WebSocket under attack: nothing without the token, nothing for foreign pages, nobody holds up the others.

use std::time::Duration;

use orx_tests::harness::{Daemon, Http, WebSocket, process};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const JSON: (&str, &str) = ("content-type", "application/json");
const HEALTH: &str = r#"{"jsonrpc":"2.0","id":1,"method":"health","params":{}}"#;

fn start() -> (Daemon, Http) {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let http = daemon.http();
    (daemon, http)
}

#[tokio::test]
async fn b_nothing_answers_without_the_token() {
    let (_daemon, http) = start();
    let routes = [
        ("POST", "/rpc"),
        ("POST", "/api/request"),
        ("GET", "/api/v1/sessions"),
        ("POST", "/api/v1/sessions"),
        ("GET", "/api/v1/runs"),
        ("GET", "/api/v1/workers"),
        ("GET", "/api/v1/no/such/thing"),
        ("GET", "/status"),
        ("GET", "/info"),
        ("GET", "/ws"),
        ("GET", "/no-such-route"),
    ];
    let wrong = format!("Bearer {}", "0".repeat(http.token.len()));
    let long = format!("Bearer {}", "x".repeat(100_000));
    for (method, path) in routes {
        let cookie = format!("token={}", http.token);
        for headers in [
            &[][..],
            &[("authorization", wrong.as_str())],
            &[("authorization", "Basic dXNlcjpwYXNz")],
            &[("authorization", "Bearer ")],
            &[("authorization", "")],
            &[("x-api-key", "guess")],
            &[("cookie", cookie.as_str())],
        ] {
            let mut all = vec![JSON];
            all.extend_from_slice(headers);
            let body = if method == "POST" { HEALTH } else { "" };
            let reply = http.send_bare(method, path, &all, body).await;
            assert_eq!(reply.status, 401, "{method} {path} {headers:?}: {:?}", reply.body);
            assert!(!String::from_utf8_lossy(&reply.body).contains(&http.token));
        }
        let in_url = http.send_bare(method, &format!("{path}?token={}", http.token), &[JSON], HEALTH).await;
        assert_eq!(in_url.status, 401, "{method} {path}: a token in the address must not count");
    }
    let reply = http.send_bare("POST", "/rpc", &[JSON, ("authorization", &long)], HEALTH).await;
    assert!(matches!(reply.status.as_u16(), 400 | 401 | 431), "{}", reply.status);
}

#[tokio::test]
async fn b_health_tells_strangers_status_and_version_alone() {
    let (_daemon, http) = start();
    let stranger = http.send_bare("GET", "/health", &[], "").await;
    assert_eq!(stranger.status, 200);
    let members: Vec<String> = stranger.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["status", "version"]);
    let known = http.send("GET", "/health", &[], "").await;
    assert!(known.json()["agents"].is_number(), "{:?}", known.body);
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(http.send_bare("GET", path, &[], "").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn b_the_same_methods_answer_on_rpc_with_either_header() {
    let (daemon, http) = start();
    let reply = http.rpc("status", &json!({})).await;
    assert_eq!(reply.json()["result"]["pid"], json!(daemon.pid()));
    let key = http.send_bare("POST", "/rpc", &[JSON, ("x-api-key", &http.token)], HEALTH).await;
    assert_eq!(key.status, 200);
    let error = http.rpc("no.such", &json!({})).await;
    assert_eq!(error.json()["error"]["data"]["kind"], "method_not_found");
}

#[tokio::test]
async fn b_a_form_or_plain_text_is_not_taken_for_json() {
    let (daemon, http) = start();
    let before = daemon.call("status", &json!({}))["journal_seq"].clone();
    let create = json!({"jsonrpc": "2.0", "id": 1, "method": "session.create",
        "params": {"engine": "command", "argv": ["true"], "cwd": "/"}})
    .to_string();
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""] {
        let headers: &[(&str, &str)] = if kind.is_empty() { &[] } else { &[("content-type", kind)] };
        let with_token = http.send("POST", "/rpc", headers, &create).await;
        assert_eq!(with_token.status, 415, "{kind:?}");
        let with_cookie = [headers, &[("cookie", "session=1")]].concat();
        let ambient = http.send_bare("POST", "/rpc", &with_cookie, &create).await;
        assert!(matches!(ambient.status.as_u16(), 401 | 403 | 415), "{kind:?}: {}", ambient.status);
    }
    assert_eq!(daemon.call("status", &json!({}))["journal_seq"], before);
}

#[tokio::test]
async fn b_a_preflight_grants_nothing() {
    let (_daemon, http) = start();
    for path in ["/rpc", "/health", "/ws", "/api/v1/sessions"] {
        let asks = [
            ("origin", "http://evil.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization"),
        ];
        let reply = http.send_bare("OPTIONS", path, &asks, "").await;
        assert!(!reply.status.is_success(), "{path}: {}", reply.status);
        for name in reply.headers.keys() {
            assert!(!name.as_str().starts_with("access-control-allow"), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn b_a_name_rebound_to_this_machine_reaches_nothing() {
    let (_daemon, http) = start();
    let port = http.address.port();
    for host in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1.evil.example", "127.0.0.1:1", "[::]"] {
        for path in ["/health", "/rpc", "/status", "/"] {
            let reply = http.send("GET", path, &[("host", host), ("sec-fetch-site", "same-origin")], "").await;
            assert_eq!(reply.status, 403, "{host} {path}");
            assert!(!String::from_utf8_lossy(&reply.body).contains("version"), "{host} {path}: {:?}", reply.body);
        }
    }
    let none = http.raw(b"GET /health HTTP/1.1\r\n\r\n", Duration::from_secs(8)).await.0;
    let none = String::from_utf8_lossy(&none).into_owned();
    assert!(none.starts_with("HTTP/1.1 403") || none.starts_with("HTTP/1.1 400"), "{none}");
    let good = http.send("GET", "/health", &[("host", &format!("localhost:{port}"))], "").await;
    assert_eq!(good.status, 200);
}

#[tokio::test]
async fn b_a_foreign_page_reaches_nothing_even_with_the_token() {
    let (_daemon, http) = start();
    for headers in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "file://"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let reply = http.send("POST", "/rpc", &[JSON, headers], HEALTH).await;
        assert_eq!(reply.status, 403, "{headers:?}");
        let upgrade = WebSocket::open(&http, "/ws", &[headers]).await;
        assert_eq!(upgrade.err(), Some(403), "{headers:?}");
    }
}

#[tokio::test]
async fn b_every_answer_carries_the_protective_headers() {
    let (_daemon, http) = start();
    let replies = [
        http.send("GET", "/health", &[], "").await,
        http.send_bare("GET", "/health", &[], "").await,
        http.send_bare("GET", "/rpc", &[], "").await,
        http.send("GET", "/no-such-route", &[], "").await,
        http.rpc("health", &json!({})).await,
        http.send("GET", "/health", &[("host", "evil.example")], "").await,
    ];
    for reply in replies {
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{}", reply.status);
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{}", reply.status);
        assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"), "{}", reply.status);
        assert_eq!(reply.header("cache-control"), "no-store", "{}", reply.status);
    }
}

#[test]
fn b_an_address_that_others_can_reach_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8090"] {
        let Err(refused) = Daemon::try_start(|settings| settings.http = address.to_owned()) else {
            panic!("{address} was opened")
        };
        assert_eq!(refused.status.code(), Some(78), "{address}: {}", refused.log);
        assert!(refused.log.contains(address) && refused.log.contains("http_behind_proxy"), "{}", refused.log);
    }
}

#[test]
fn b_http_can_be_off() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
        settings.http = "off".to_owned();
    });
    assert_eq!(daemon.call("status", &json!({}))["http"], json!(null));
    let interfaces = daemon.call("health", &json!({}))["interfaces"].clone();
    assert_eq!(interfaces, json!(["unix-sockets"]));
}

#[tokio::test]
async fn b_what_is_no_http_is_closed() {
    let (_daemon, http) = start();
    let client_hello = [0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x00, b'\r', b'\n', b'\r', b'\n'];
    for bytes in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &client_hello, b"\0\0\0\x02{}", b"GARBAGE\r\n\r\n"] {
        let (received, closed) = http.raw(bytes, Duration::from_secs(15)).await;
        let text = String::from_utf8_lossy(&received).into_owned();
        assert!(closed, "{bytes:?} is kept open: {text}");
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.0 4"),
            "{bytes:?}: {text}"
        );
    }
    assert_eq!(http.send_bare("GET", "/health", &[], "").await.status, 200);
}

#[tokio::test]
async fn b_silent_and_dribbling_clients_are_cut_while_others_are_served() {
    let (_daemon, http) = start();
    let mut silent = TcpStream::connect(http.address).await.unwrap();
    let mut dribbling = TcpStream::connect(http.address).await.unwrap();
    dribbling.write_all(b"GET /health HTTP/1.1\r\nHost: loc").await.unwrap();
    assert_eq!(http.send_bare("GET", "/health", &[], "").await.status, 200);
    let patience = Duration::from_secs(12);
    let mut rest = Vec::new();
    tokio::time::timeout(patience, silent.read_to_end(&mut rest)).await.expect("a silent client is cut").ok();
    tokio::time::timeout(patience, dribbling.read_to_end(&mut rest)).await.expect("a dribbling client is cut").ok();
}

#[tokio::test]
async fn b_a_body_above_the_limit_is_refused() {
    let (daemon, http) = start();
    let before = process::resident_kib(daemon.pid());
    let head = format!(
        "POST /rpc HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        http.address,
        http.token,
        1u64 << 30
    );
    let (received, _) = http.raw(head.as_bytes(), Duration::from_secs(15)).await;
    assert!(String::from_utf8_lossy(&received).starts_with("HTTP/1.1 413"), "{}", String::from_utf8_lossy(&received));
    let body = format!("{}{}", HEALTH, " ".repeat(2 << 20));
    assert_eq!(http.send("POST", "/rpc", &[JSON], &body).await.status, 413);
    assert!(process::resident_kib(daemon.pid()).saturating_sub(before) < 16 * 1024);
}

#[tokio::test]
async fn b_websocket_wants_the_token_in_a_header_at_the_upgrade() {
    let (_daemon, http) = start();
    assert_eq!(WebSocket::open_bare(&http, "/ws", &[]).await.err(), Some(401));
    let in_url = format!("/ws?token={0}&access_token={0}", http.token);
    assert_eq!(WebSocket::open_bare(&http, &in_url, &[]).await.err(), Some(401));
    let mut open = WebSocket::open(&http, "/ws", &[]).await.unwrap();
    assert_eq!(open.call("health", &json!({})).await.unwrap()["version"], json!(env!("CARGO_PKG_VERSION")));
    let error = open.call("no.such", &json!({})).await.unwrap_err();
    assert_eq!(error["data"]["kind"], "method_not_found");
    // S1's envelope on the same connection.
    assert!(open.send(Message::text(r#"{"id":"e1","agent":"naming","action":"allocate_session","data":{}}"#)).await);
    let Some(Message::Text(answer)) = open.receive().await else { panic!("no answer") };
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((answer["id"].clone(), answer["success"].clone()), (json!("e1"), json!(false)), "{answer}");
}

#[tokio::test]
async fn b_websocket_messages_beyond_the_limit_close_with_the_right_code() {
    let (daemon, http) = start();
    let before = process::resident_kib(daemon.pid());
    let mut large = WebSocket::open(&http, "/ws", &[]).await.unwrap();
    large.send(Message::text(" ".repeat((64 << 20) + 1))).await;
    assert!(matches!(large.close_code().await, Some(1009) | None));
    let mut text = raw_websocket(&http).await;
    text.write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]).await.unwrap();
    assert_eq!(close_code(&mut text).await, Some(1007));
    let mut unmasked = raw_websocket(&http).await;
    unmasked.write_all(&[0x81, 0x02, b'{', b'}']).await.unwrap();
    assert_eq!(close_code(&mut unmasked).await, Some(1002));
    // A message in fragments that never ends.
    let mut endless = raw_websocket(&http).await;
    let mut fragment = vec![0x01, 0xff];
    fragment.extend_from_slice(&(64u64 << 10).to_be_bytes());
    fragment.extend_from_slice(&[0; 4]);
    fragment.extend_from_slice(&vec![b' '; 64 << 10]);
    let mut cut = false;
    for _ in 0..200 {
        if endless.write_all(&fragment).await.is_err() {
            cut = true;
            break;
        }
        fragment[0] = 0x00;
    }
    let code = if cut { None } else { close_code(&mut endless).await };
    assert!(cut || code == Some(1009), "an endless message was taken: {code:?}");
    let grown = process::resident_kib(daemon.pid()).saturating_sub(before);
    assert!(grown < 24 * 1024, "the daemon grew by {grown} KiB");
    assert_eq!(http.send_bare("GET", "/health", &[], "").await.status, 200);
}

#[tokio::test]
async fn b_a_flood_of_pings_holds_up_nobody() {
    let (daemon, http) = start();
    let mut flood = WebSocket::open(&http, "/ws", &[]).await.unwrap();
    let before = process::resident_kib(daemon.pid());
    for number in 0..10_000 {
        if !flood.send(Message::Ping(vec![0; 100].into())).await {
            break;
        }
        if number % 1000 == 0 {
            assert_eq!(http.send_bare("GET", "/health", &[], "").await.status, 200);
        }
    }
    let grown = process::resident_kib(daemon.pid()).saturating_sub(before);
    assert!(grown < 16 * 1024, "the daemon grew by {grown} KiB");
}

#[tokio::test]
async fn b_a_websocket_that_answers_no_ping_is_closed() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0).set("limits.silence_seconds", 1);
    });
    let mut silent = raw_websocket(&daemon.http()).await;
    assert_eq!(close_code(&mut silent).await, Some(1008));
    let mut answering = WebSocket::open(&daemon.http(), "/ws", &[]).await.unwrap();
    let until = std::time::Instant::now() + Duration::from_millis(2500);
    while std::time::Instant::now() < until {
        // Reading answers the pings.
        if let Ok(message) = tokio::time::timeout(Duration::from_millis(100), answering.receive()).await {
            assert!(message.is_some(), "a client that answers pings was closed");
        }
    }
    assert!(answering.call("health", &json!({})).await.is_ok());
}

/// A WebSocket connection that a test speaks byte by byte.
async fn raw_websocket(http: &Http) -> TcpStream {
    WebSocket::open(http, "/ws", &[]).await.unwrap().into_tcp()
}

/// The code of the close frame that comes; `None` when the connection just ends.
async fn close_code(stream: &mut TcpStream) -> Option<u16> {
    let mut received = Vec::new();
    let reading = stream.read_to_end(&mut received);
    // The daemon closes its side after the close frame; a connection that stays open fails here.
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("the daemon closes").ok()?;
    let at = received.iter().position(|byte| *byte == 0x88)?;
    let code = received.get(at + 2..at + 4)?;
    Some(u16::from_be_bytes([code[0], code[1]]))
}
