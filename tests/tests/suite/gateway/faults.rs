//! Faults of providers: what the caller sees, what is billed, what the breaker does.

use std::time::Duration;

use orx_tests::harness::{Http, Reply, eventually_async};
use orx_tests::provider::{Does, Provider, anthropic_events};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{PATIENCE, ask, begin, ledger, messages, quick, start, text};

const ERROR: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"too much to do"}}"#;

/// Settings in which `alpha` is followed by `beta`.
fn chained() -> Value {
    let mut gateway = quick();
    gateway["fallbacks"] = json!({"after": {"alpha": ["beta"]}});
    gateway
}

fn good() -> Does {
    Does::Streams(anthropic_events("from the second", 12, 3))
}

/// What comes of a fault of the first provider, whose answer is to be a stream: the reply, how often the first was asked and
/// how often the second.
async fn with(does: Vec<Does>, gateway: Value) -> (Reply, usize, usize, Vec<Value>) {
    let (first, second) = (Provider::start(does).await, Provider::start(vec![good()]).await);
    let chat = Provider::start(vec![Does::Drops]).await;
    let (daemon, http) = start(&first, &second, &chat, gateway);
    let reply = ask(&http, &messages("alpha", true)).await;
    (reply, first.came().len(), second.came().len(), ledger(&daemon))
}

#[tokio::test]
async fn a_fault_before_the_first_byte_is_tried_again_and_then_carried_over() {
    let status = |status: u16| Does::Answers(status, "", ERROR.to_owned());
    for (name, does, asked) in [
        ("dropped", Does::Drops, 2),
        ("429 without Retry-After", status(429), 2),
        ("429 with a long Retry-After", Does::Answers(429, "retry-after: 3600\r\n", ERROR.to_owned()), 1),
        ("500", status(500), 2),
        ("503", status(503), 2),
        ("529", status(529), 2),
        ("401 of the operator's key", status(401), 1),
        ("a hang before the headers", Does::Sleeps, 2),
        ("an error event in a stream", Does::Streams(vec![format!("event: error\ndata: {ERROR}\n\n")]), 2),
        ("an error in place of a stream", Does::Answers(200, "", ERROR.to_owned()), 2),
        (
            "a page",
            Does::Says(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\nhtml".to_vec()),
            1,
        ),
        ("no HTTP", Does::Says(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), 1),
        ("a redirection", Does::Answers(302, "location: http://evil.example/\r\n", String::new()), 1),
        ("an empty stream", Does::Streams(vec![]), 2),
        ("a stream that is cut at once", Does::Cuts(vec![]), 2),
    ] {
        let (reply, first, second, lines) = with(vec![does], chained()).await;
        assert_eq!(reply.status, 200, "{name}: {}", text(&reply));
        assert!(text(&reply).contains("from the second") && text(&reply).contains("message_stop"), "{name}");
        assert_eq!((first, second), (asked, 1), "{name}: attempts");
        assert_eq!(
            (reply.header("x-orx-provider"), reply.header("x-orx-attempts")),
            ("second", (asked + 1).to_string().as_str()),
            "{name}"
        );
        assert_eq!(
            (lines.len(), lines[0]["name"].as_str(), lines[0]["cost_microusd"].as_u64()),
            (1, Some("second/beta"), Some(27)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_callers_own_error_is_told_in_the_providers_words_and_asks_nobody_else() {
    for status in [400, 404, 413, 422] {
        let words = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no such thing"},"request_id":"theirs"}"#;
        let (reply, first, second, lines) = with(vec![Does::Answers(status, "", words.to_owned())], chained()).await;
        assert_eq!((reply.status.as_u16(), text(&reply).as_str()), (status, words));
        assert_eq!((first, second), (1, 0));
        assert_eq!((lines[0]["failed"].as_u64(), lines[0]["cost_microusd"].as_u64()), (Some(1), Some(0)));
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_as_an_error_and_what_came_is_billed() {
    let events = anthropic_events("some text that came", 1000, 9);
    let begun = events[..3].to_vec();
    let mut in_tool = events[..1].to_vec();
    in_tool.push("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"Write\",\"input\":{}}}\n\n".to_owned());
    in_tool.push("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"pa".to_owned());
    for (name, does) in [
        ("cut", Does::Cuts(begun.clone())),
        ("cut inside the arguments of a tool", Does::Cuts(in_tool)),
        ("ended without its last word", Does::Streams(begun.clone())),
        ("hangs", Does::Hangs(begun)),
    ] {
        for (path, model) in [("/v1/messages", "alpha"), ("/v1/chat/completions", "alpha")] {
            let (first, chat) = (Provider::start(vec![does.clone()]).await, Provider::start(vec![Does::Drops]).await);
            let second = Provider::start(vec![good()]).await;
            let (daemon, http) = start(&first, &second, &chat, chained());
            let shown = raw(&http, path, &messages(model, true)).await;
            assert!(
                shown.contains("was cut before the answer's end") || shown.contains("was cut"),
                "{name} {path}: {shown}"
            );
            assert!(
                !shown.contains("message_stop") && !shown.contains("[DONE]"),
                "{name} {path}: it looks whole: {shown}"
            );
            assert!(!shown.ends_with("0\r\n\r\n"), "{name} {path}: HTTP says that it is whole: {shown}");
            assert!(second.came().is_empty(), "{name} {path}: nobody else is asked once a byte went out");
            let line = &ledger(&daemon)[0];
            assert_eq!(
                (line["failed"].as_u64(), line["estimated"].as_u64(), line["input"].as_u64()),
                (Some(1), Some(1), Some(1000)),
                "{name} {path}"
            );
            assert!(line["cost_microusd"].as_u64().unwrap() > 1000, "{name} {path}");
        }
    }
}

/// All bytes of an answer up to the end of its connection.
async fn raw(http: &Http, path: &str, body: &str) -> String {
    let mut stream = begin(http, path, body).await;
    let mut answer = Vec::new();
    // A connection that breaks off ends what can be read of it.
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn events_pass_however_the_provider_cuts_them_and_however_large_they_are() {
    let events = anthropic_events("hello", 12, 3).concat();
    let bytes: Vec<String> = events.chars().map(String::from).collect();
    let (reply, ..) = with(vec![Does::Streams(bytes)], chained()).await;
    assert_eq!(text(&reply), events);
    let mut large = anthropic_events("hello", 12, 3);
    large.insert(3, format!("event: ping\ndata: {{\"type\":\"ping\",\"filler\":\"{}\"}}\n\n", "x".repeat(50 << 20)));
    let (reply, _, _, lines) = with(vec![Does::Streams(large.clone())], chained()).await;
    assert_eq!(reply.body.len(), large.concat().len());
    assert_eq!((lines[0]["failed"].as_u64(), lines[0]["input"].as_u64()), (Some(0), Some(12)));
    let malformed = vec![
        "event: message_start\ndata: {\"type\":\n\n".to_owned(),
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
    ];
    let (reply, _, _, lines) = with(vec![Does::Streams(malformed.clone())], chained()).await;
    assert_eq!(text(&reply), malformed.concat(), "what the caller's own dialect holds is the caller's to read");
    assert_eq!(lines[0]["estimated"], 1);
}

#[tokio::test]
async fn usage_that_is_missing_or_cannot_be_is_estimated_and_said_to_be() {
    let answer = |usage: Value| {
        json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "hello"}],
            "stop_reason": "end_turn", "usage": usage})
        .to_string()
    };
    for usage in [
        Value::Null,
        json!({}),
        json!({"input_tokens": -5, "output_tokens": 3}),
        json!({"input_tokens": 12, "output_tokens": 10_000_000_000_u64}),
        json!({"input_tokens": "many", "output_tokens": 3}),
    ] {
        let first = Provider::start(vec![Does::Answers(200, "", answer(usage.clone()))]).await;
        let (second, chat) = (Provider::start(vec![Does::Drops]).await, Provider::start(vec![Does::Drops]).await);
        let (daemon, http) = start(&first, &second, &chat, quick());
        let reply = ask(&http, &messages("alpha", false)).await;
        assert_eq!(reply.status, 200, "{usage}: {}", text(&reply));
        let line = &ledger(&daemon)[0];
        assert_eq!((line["estimated"].as_u64(), line["failed"].as_u64()), (Some(1), Some(0)), "{usage}");
        let cost = line["cost_microusd"].as_u64().unwrap();
        assert!((20..5_000).contains(&cost), "{usage}: {cost}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_call_at_the_provider_and_pays_what_came() {
    let begun = anthropic_events("some text that came", 1000, 9)[..3].to_vec();
    let mut gateway = quick();
    gateway["timeouts"] = json!({"first_byte_ms": 60000, "idle_ms": 60000});
    for does in [Does::Hangs(begun), Does::Sleeps] {
        let is_begun = matches!(does, Does::Hangs(_));
        let (first, second, chat) = (
            Provider::start(vec![does]).await,
            Provider::start(vec![Does::Drops]).await,
            Provider::start(vec![Does::Drops]).await,
        );
        let (daemon, http) = start(&first, &second, &chat, gateway.clone());
        let mut stream = begin(&http, "/v1/messages", &messages("alpha", true)).await;
        if is_begun {
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains("some text that came") {
                let mut buffer = [0; 4096];
                let count = stream.read(&mut buffer).await.unwrap();
                assert!(count > 0, "the stream ended");
                seen.extend_from_slice(&buffer[..count]);
            }
        } else {
            eventually_async("the request at the provider", PATIENCE, async || {
                (!first.came().is_empty()).then_some(())
            })
            .await;
        }
        drop(stream);
        tokio::time::timeout(Duration::from_secs(1), first.left(1))
            .await
            .expect("the provider's connection is closed within a second");
        eventually_async("the row", PATIENCE, async || (!ledger(&daemon).is_empty()).then_some(())).await;
        let line = &ledger(&daemon)[0];
        let paid = line["input"].as_u64().unwrap();
        assert_eq!((line["failed"].as_u64(), paid), (Some(1), if is_begun { 1000 } else { 0 }), "{line}");
        let caps = daemon.call("llm.budget", &json!({}));
        assert_eq!(caps["caps"], json!([]), "no cap is set");
    }
}

#[tokio::test]
async fn a_dead_primary_is_asked_three_times_and_then_left_alone() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (second, chat) = (Provider::start(vec![good()]).await, Provider::start(vec![Does::Drops]).await);
    let first = Provider::start(vec![Does::Drops]).await;
    let (daemon, http) = super::start_with(&first, &second, &chat, chained(), |settings| {
        let path = settings.config.with_file_name("providers.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(&first.address.to_string(), &dead.to_string())).unwrap();
    });
    for _ in 0..30 {
        assert_eq!(ask(&http, &messages("alpha", true)).await.header("x-orx-provider"), "second");
    }
    let metrics = String::from_utf8(http.send("GET", "/metrics", &[], "").await.body.to_vec()).unwrap();
    let tried = metrics.lines().find(|line| line.contains("provider=\"first\"") && line.contains("status=\"failed\""));
    let tried = tried.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(tried.is_some_and(|times| (1..=3).contains(&times)), "{metrics}");
    let providers = daemon.call("llm.providers", &json!({}));
    let provider =
        providers["providers"].as_array().unwrap().iter().find(|provider| provider["provider"] == "first").unwrap();
    // Its breaker opened, or a look at it found that it does not answer, whichever came first.
    assert!(["open", "down"].contains(&provider["state"].as_str().unwrap()), "{provider}");
    // The breaker outlives the daemon, and a person can reset it.
    let mut daemon = daemon;
    daemon.kill9();
    daemon.launch().unwrap();
    let http = daemon.http();
    assert_eq!(ask(&http, &messages("alpha", true)).await.header("x-orx-attempts"), "");
    daemon.call("llm.mark", &json!({"provider": "first", "mark": "reset"}));
    assert_ne!(ask(&http, &messages("alpha", true)).await.header("x-orx-attempts"), "");
}

#[tokio::test]
async fn all_down_is_told_with_the_last_word_of_a_provider() {
    let (first, chat) = (Provider::start(vec![Does::Drops]).await, Provider::start(vec![Does::Drops]).await);
    let second = Provider::start(vec![Does::Answers(529, "retry-after: 7\r\n", ERROR.to_owned())]).await;
    let (daemon, http) = start(&first, &second, &chat, chained());
    let reply = ask(&http, &messages("alpha", true)).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after"), text(&reply).as_str()), (529, "7", ERROR));
    assert_eq!(ledger(&daemon)[0]["cost_microusd"], 0);
}

#[tokio::test]
async fn a_provider_that_speaks_no_tls_where_tls_is_asked_for_is_not_tried_again() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    let mut greeting = tokio::task::JoinSet::new();
    greeting.spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            let mut nothing = [0; 4096];
            while matches!(stream.read(&mut nothing).await, Ok(1..)) {}
        }
    });
    let (first, second) = (Provider::start(vec![Does::Drops]).await, Provider::start(vec![good()]).await);
    let chat = Provider::start(vec![Does::Drops]).await;
    let (_daemon, http) = super::start_with(&first, &second, &chat, chained(), |settings| {
        let path = settings.config.with_file_name("providers.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(&first.url(), &format!("https://{address}"))).unwrap();
    });
    let reply = ask(&http, &messages("alpha", true)).await;
    assert_eq!((reply.header("x-orx-provider"), reply.header("x-orx-attempts")), ("second", "2"), "{}", text(&reply));
}

#[tokio::test]
async fn a_redirection_is_not_followed_and_no_key_goes_with_it() {
    let elsewhere = Provider::start(vec![good()]).await;
    for status in [301, 302, 303, 307, 308] {
        let location: &'static str =
            Box::leak(format!("location: {}/v1/messages\r\n", elsewhere.url()).into_boxed_str());
        let first = Provider::start(vec![Does::Answers(status, location, String::new())]).await;
        let (second, chat) = (Provider::start(vec![Does::Drops]).await, Provider::start(vec![Does::Drops]).await);
        let (_daemon, http) = start(&first, &second, &chat, quick());
        let reply = ask(&http, &messages("alpha", true)).await;
        assert_eq!(reply.status, 502, "{status}: {}", text(&reply));
        assert_eq!(reply.header("location"), "", "nor is its caller sent there");
    }
    assert!(elsewhere.came().is_empty());
}

#[tokio::test]
async fn a_key_that_a_provider_says_again_is_told_to_nobody() {
    let echoed = |status: u16| {
        let message = "header x-api-key: operators-secret is not what we want, operators-secret";
        let body = json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
        Does::Answers(status, "", body.to_string())
    };
    let first = Provider::start(vec![echoed(400), echoed(401), echoed(403), echoed(422)]).await;
    let (second, chat) = (Provider::start(vec![Does::Drops]).await, Provider::start(vec![Does::Drops]).await);
    let (daemon, http) = start(&first, &second, &chat, quick());
    for _ in 0..4 {
        let reply = ask(&http, &messages("alpha", true)).await;
        assert!(reply.status.as_u16() >= 400, "{}", text(&reply));
        assert!(!text(&reply).contains("operators-secret"), "{}", text(&reply));
    }
    assert_eq!(first.came().len(), 4);
    let told =
        [daemon.log(), daemon.call("event.list", &json!({"limit": 100})).to_string(), ledger(&daemon)[0].to_string()];
    assert!(told.iter().all(|text| !text.contains("operators-secret")), "{told:?}");
}

#[test]
fn a_chain_that_goes_in_a_circle_is_refused_at_the_start() {
    let refused = orx_tests::harness::Daemon::try_start(|settings| {
        settings.workers(0);
        let text = super::providers("http://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1");
        std::fs::write(settings.config.with_file_name("providers.yaml"), text).unwrap();
        settings.set("gateway", json!({"fallbacks": {"after": {"alpha": ["beta"], "beta": ["alpha"]}}}));
    })
    .unwrap_err();
    assert_eq!(refused.status.code(), Some(78));
    assert!(refused.log.contains("goes in a circle"), "{}", refused.log);
}

#[test]
fn a_provider_file_that_is_wrong_is_refused_with_line_and_column() {
    for (text, words) in [
        ("providers:\n  mine:\n    dialect: opnai\n", ":3:14: unknown name `opnai`"),
        ("providers:\n  mine: {dialect: openai, base_url: 'ftp://x'}\n", "base_url"),
        ("providers:\n  mine: {dialect: openai, base_url: 'http://h', modles: {}}\n", "modles"),
    ] {
        let refused = orx_tests::harness::Daemon::try_start(|settings| {
            settings.workers(0);
            std::fs::write(settings.config.with_file_name("providers.yaml"), text).unwrap();
        })
        .unwrap_err();
        assert_eq!(refused.status.code(), Some(78));
        assert!(refused.log.contains("providers.yaml") && refused.log.contains(words), "{words}: {}", refused.log);
    }
}

#[tokio::test]
async fn a_local_provider_that_does_not_answer_is_passed_over_by_the_router() {
    let (first, second) = (Provider::start(vec![good()]).await, Provider::start(vec![good()]).await);
    let chat = Provider::start(vec![Does::Drops]).await;
    let (daemon, http) = start(&first, &second, &chat, quick());
    let providers = daemon.call("llm.providers", &json!({}));
    let of = |name: &str| {
        providers["providers"].as_array().unwrap().iter().find(|one| one["provider"] == name).unwrap().clone()
    };
    assert_eq!((of("ollama")["state"].as_str(), of("second")["state"].as_str()), (Some("down"), Some("untried")));
    assert_eq!(of("openai")["state"], "no_key");
    let reply = ask(&http, &messages("auto", true)).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-orx-attempts")), (200, ""), "{}", text(&reply));
}

#[tokio::test]
async fn a_caller_that_leaves_a_half_read_answer_pays_for_it_in_the_ledger_as_under_its_cap() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"id\":".to_vec();
    let (first, second) = (Provider::start(vec![Does::Stalls(half)]).await, Provider::start(vec![Does::Drops]).await);
    let chat = Provider::start(vec![Does::Drops]).await;
    let mut gateway = quick();
    gateway["timeouts"] = json!({"first_byte_ms": 60000, "idle_ms": 60000});
    gateway["caps"] = json!([{"name": "today", "of": "all", "micro_dollars": 1_000_000}]);
    let (daemon, http) = start(&first, &second, &chat, gateway);
    let stream = begin(&http, "/v1/messages", &messages("alpha", false)).await;
    // The answer has begun once the gateway counts a first byte; the provider wrote it before it waits.
    eventually_async("the request at the provider", PATIENCE, async || (!first.came().is_empty()).then_some(())).await;
    tokio::task::yield_now().await;
    let spent = |daemon: &orx_tests::harness::Daemon| daemon.call("llm.budget", &json!({}))["caps"][0].clone();
    assert!(spent(&daemon)["reserved_microusd"].as_u64().unwrap() > 0);
    drop(stream);
    first.left(1).await;
    let row = eventually_async("the row", PATIENCE, async || ledger(&daemon).first().cloned()).await;
    let cap = spent(&daemon);
    assert_eq!(row["cost_microusd"], cap["spent_microusd"], "the ledger has what the cap counts: {row} {cap}");
    assert_eq!(cap["reserved_microusd"], 0);
}

#[tokio::test]
async fn the_limit_of_a_callers_own_account_closes_nothing_to_others() {
    let limited = Does::Answers(
        429,
        "anthropic-ratelimit-requests-remaining: 0\r\nanthropic-ratelimit-requests-reset: 2099-01-01T00:00:00Z\r\nretry-after: 3600\r\n",
        ERROR.to_owned(),
    );
    let vendor = Provider::start(vec![limited, good()]).await;
    let (second, chat) = (Provider::start(vec![Does::Drops]).await, Provider::start(vec![Does::Drops]).await);
    let (_daemon, http) = super::start_with(&vendor, &second, &chat, quick(), |settings| {
        let path = settings.config.with_file_name("providers.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}  anthropic:\n    base_url: {}\n", vendor.url())).unwrap();
        settings.environment.push(("ANTHROPIC_API_KEY".to_owned(), "the-operators".to_owned()));
    });
    let key = http.token.clone();
    let own = [
        ("content-type", "application/json"),
        ("authorization", "Bearer sk-ant-oat01-mine"),
        ("x-orx-key", key.as_str()),
    ];
    let body = messages("claude-opus-5-5", true);
    assert_eq!(http.send_bare("POST", "/v1/messages", &own, &body).await.status, 429);
    let operators = ask(&http, &body).await;
    assert_eq!(operators.status, 200, "{}", text(&operators));
}

#[tokio::test]
async fn what_one_provider_cannot_be_told_goes_to_the_next_and_says_nothing_of_the_first() {
    let (first, second) = (Provider::start(vec![good()]).await, Provider::start(vec![good()]).await);
    let answer = orx_tests::provider::chat_answer("from the third", 12, 3);
    let chat = Provider::start(vec![Does::Answers(200, "", answer)]).await;
    let mut gateway = quick();
    gateway["fallbacks"] = json!({"after": {"alpha": ["gamma"]}});
    let (daemon, http) = start(&first, &second, &chat, gateway);
    let body = json!({"model": "alpha", "messages": [{"role": "system", "content": "hi"}]}).to_string();
    let reply = http.send("POST", "/v1/chat/completions", &[super::JSON], &body).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-orx-provider")), (200, "talk"), "{}", text(&reply));
    assert!(first.came().is_empty(), "nothing was sent to it");
    assert_eq!(ledger(&daemon).len(), 1);
}
