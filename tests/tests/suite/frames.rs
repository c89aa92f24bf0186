//! Bad input on the wire: each gets an error that says what is wrong, and none harms the connection more than it must.

use std::time::Duration;

use orx_tests::harness::Daemon;
use orx_tests::harness::wire::{Received, framed};
use serde_json::json;

const SOON: Duration = Duration::from_secs(5);

fn daemon() -> Daemon {
    Daemon::start(|settings| {
        settings.workers(0);
    })
}

#[test]
fn an_oversized_frame_is_refused_at_its_header_and_the_connection_ends() {
    let daemon = daemon();
    let mut wire = daemon.wire();
    // Only the header is sent: the daemon neither waits for the body nor makes room for it.
    assert!(wire.send_bytes(&(64u32 << 20).to_be_bytes()));
    assert_eq!(wire.error_kind(), "too_large");
    wire.closed_within(SOON);
    let mut other = daemon.wire();
    other.result("health", &json!({}));
}

#[test]
fn the_frame_limit_is_the_configured_one() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0).set("limits.frame_bytes", 128 * 1024);
    });
    let padded = |size: usize| {
        let head = r#"{"jsonrpc":"2.0","id":1,"method":"health","params":{}"#;
        format!("{head}{}}}", " ".repeat(size - head.len() - 1)).into_bytes()
    };
    let mut wire = daemon.wire();
    assert!(wire.send_body(&padded(128 * 1024)));
    assert!(wire.body().get("result").is_some());
    assert!(wire.send_bytes(&framed(&padded(128 * 1024 + 1))[..4]));
    assert_eq!(wire.error_kind(), "too_large");
}

#[test]
fn hundreds_that_announce_much_and_send_nothing_cost_nothing() {
    let daemon = daemon();
    daemon.call("health", &json!({}));
    let before = orx_tests::harness::process::resident_kib(daemon.pid());
    let mut crowd = Vec::new();
    for _ in 0..400 {
        let mut wire = daemon.wire();
        assert!(wire.send_bytes(&(1u32 << 20).to_be_bytes()));
        crowd.push(wire);
    }
    daemon.call("health", &json!({}));
    let grown = orx_tests::harness::process::resident_kib(daemon.pid()).saturating_sub(before);
    assert!(grown < 24 * 1024, "400 announcements of 1 MiB made the daemon grow by {grown} KiB");
}

#[test]
fn an_empty_frame_is_refused() {
    let daemon = daemon();
    let mut wire = daemon.wire();
    assert!(wire.send_bytes(&[0, 0, 0, 0]));
    assert_eq!(wire.error_kind(), "invalid_request");
    wire.closed_within(SOON);
}

#[test]
fn a_truncated_frame_is_named_before_the_connection_ends() {
    let daemon = daemon();
    for bytes in [&[0u8][..], &[0, 0, 0], &[0, 0, 0, 9, b'{']] {
        let mut wire = daemon.wire();
        assert!(wire.send_bytes(bytes));
        wire.finish_sending();
        assert_eq!(wire.error_kind(), "invalid_request", "{bytes:?}");
        wire.closed_within(SOON);
    }
}

#[test]
fn what_is_no_json_is_answered_and_the_connection_goes_on() {
    let daemon = daemon();
    let mut wire = daemon.wire();
    for (body, kind) in [
        (&b"\xff\xfe\xfd"[..], "parse"),
        (b"hello", "parse"),
        (b"{\"jsonrpc\":\"2.0\",", "parse"),
        (b"[]", "invalid_request"),
        (b"7", "invalid_request"),
        (b"{}", "invalid_request"),
        (b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"health\"}", "invalid_request"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"health\"}", "invalid_request"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", "invalid_request"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1}", "invalid_request"),
    ] {
        assert!(wire.send_body(body));
        assert_eq!(wire.error_kind(), kind, "{}", String::from_utf8_lossy(body));
    }
    wire.result("health", &json!({}));
}

#[test]
fn deep_and_endless_json_does_not_end_the_daemon() {
    let daemon = daemon();
    let mut wire = daemon.wire();
    let deep = format!("{{\"id\":1,\"method\":\"health\",\"params\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(wire.send_body(deep.as_bytes()));
    assert!(matches!(wire.receive(SOON), Received::Body(_)));
    assert!(wire.send_body("[".repeat(200_000).as_bytes()));
    assert!(matches!(wire.error_kind().as_str(), "parse" | "invalid_request"));
    wire.result("health", &json!({}));
}

#[test]
fn an_unknown_method_is_named() {
    let daemon = daemon();
    let mut wire = daemon.wire();
    for method in ["healt", "session.destroy", "painter.paint", "", "..", "session."] {
        let error = wire.call(method, &json!({})).unwrap_err();
        let kind = error["data"]["kind"].as_str().unwrap();
        assert!(matches!(kind, "method_not_found" | "unavailable"), "{method:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains(method), "{method:?}: {error}");
        assert_eq!(error["data"]["source"], if kind == "unavailable" { "upstream" } else { "caller" });
    }
}

#[test]
fn parameters_that_do_not_fit_name_the_member_and_change_nothing() {
    let daemon = daemon();
    let mut wire = daemon.wire();
    let before = wire.result("status", &json!({}))["journal_seq"].clone();
    for (method, params, word) in [
        ("health", json!({"verbose": true}), "verbose"),
        ("health", json!([1]), "health"),
        ("event.list", json!({"limit": "ten"}), "limit"),
        ("event.list", json!({"limit": 0}), "limit"),
        ("session.create", json!({"engine": "command"}), "cwd"),
        ("session.create", json!({"engine": 7, "cwd": "/"}), "engine"),
        ("session.create", json!({"engine": "command", "cwd": "/", "argv": [], "colour": "red"}), "colour"),
        ("session.get", json!({"session": "../../etc/passwd"}), "ses_"),
        ("run.get", json!({"run": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"}), "run_"),
        ("run.start", json!({"repository": "/"}), "task"),
        ("worker.register", json!({"role": "x"}), "capabilities"),
    ] {
        let error = wire.call(method, &params).unwrap_err();
        assert_eq!(error["data"]["kind"], "invalid_params", "{method} {params}: {error}");
        assert_eq!(error["data"]["retryable"], false);
        assert!(error["message"].as_str().unwrap().contains(word), "{method} {params}: {error}");
    }
    assert_eq!(wire.result("status", &json!({}))["journal_seq"], before);
}

#[test]
fn a_thing_that_is_not_there_is_not_found() {
    let daemon = daemon();
    let mut wire = daemon.wire();
    for (method, params) in [
        ("session.get", json!({"session": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"})),
        ("session.stop", json!({"session": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"})),
        ("run.get", json!({"run": "run_01ARZ3NDEKTSV4RRFFQ69G5FAV"})),
        ("run.cancel", json!({"run": "run_01ARZ3NDEKTSV4RRFFQ69G5FAV"})),
        ("worker.drain", json!({"worker": "wrk_01ARZ3NDEKTSV4RRFFQ69G5FAV"})),
    ] {
        let error = wire.call(method, &params).unwrap_err();
        assert_eq!(error["data"]["kind"], "not_found", "{method}: {error}");
    }
}

#[test]
fn requests_in_flight_are_answered_each_to_its_own() {
    let daemon = daemon();
    let mut wire = daemon.wire();
    let ids: Vec<u64> =
        (0..500).map(|number| wire.request(if number % 2 == 0 { "health" } else { "status" }, &json!({}))).collect();
    let mut answered: Vec<u64> = ids.iter().map(|_| wire.body()["id"].as_u64().unwrap()).collect();
    answered.sort_unstable();
    assert_eq!(answered, ids);
}

#[test]
fn random_bytes_never_end_the_daemon() {
    let daemon = daemon();
    let pid = daemon.pid();
    // A fixed generator: a failure can be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let length = usize::try_from(next() % 400).unwrap();
        let bytes: Vec<u8> = (0..length).map(|_| u8::try_from(next() & 0xff).unwrap()).collect();
        let mut wire = daemon.wire();
        let framed = next() % 2 == 0 && !bytes.is_empty();
        let _ = if framed { wire.send_body(&bytes) } else { wire.send_bytes(&bytes) };
    }
    daemon.call("health", &json!({}));
    assert_eq!(daemon.pid(), pid);
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}
