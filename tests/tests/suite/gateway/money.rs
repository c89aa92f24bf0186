//! Caps that hold: under many calls at once, over the daemon's death, and over its days.

use orx_tests::harness::eventually_async;
use orx_tests::provider::{Does, Provider, anthropic_events};
use serde_json::{Value, json};

use super::{PATIENCE, ask, begin, ledger, messages, quick, start, text};

/// A call of these tests costs this much.
const COST: u64 = 1_000_000 / 1000;

fn capped(caps: Value) -> Value {
    let mut gateway = quick();
    gateway["caps"] = caps;
    gateway
}

async fn provider() -> Provider {
    // 500 tokens in and 100 out: 500 + 500 micro-dollars.
    Provider::start(vec![Does::Streams(anthropic_events("hello", 500, 100))]).await
}

#[tokio::test]
async fn a_hundred_calls_at_once_at_the_end_of_a_cap_overshoot_by_no_more_than_those_let_in() {
    let (first, second, chat) = (provider().await, provider().await, provider().await);
    let cap = json!([{"name": "today", "of": "all", "micro_dollars": 100 * COST}]);
    let (daemon, http) = start(&first, &second, &chat, capped(cap));
    for _ in 0..99 {
        assert_eq!(ask(&http, &messages("alpha", true)).await.status, 200);
    }
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let http = http.clone();
        calls.spawn(async move { ask(&http, &messages("alpha", true)).await });
    }
    let replies = calls.join_all().await;
    let let_in = replies.iter().filter(|reply| reply.status == 200).count() as u64;
    assert!((1..=2).contains(&let_in), "{let_in} were let in where one fits");
    let refused = replies.iter().find(|reply| reply.status != 200).unwrap();
    assert_eq!(refused.status, 402, "{}", text(refused));
    assert!(text(refused).contains("the cap `today` is $0.10"), "it is named: {}", text(refused));
    let spent = daemon.call("llm.budget", &json!({}))["caps"][0]["spent_microusd"].as_u64().unwrap();
    assert!(spent <= 100 * COST + let_in * COST, "{spent}");
    assert_eq!(ledger(&daemon)[0]["cost_microusd"].as_u64(), Some(spent), "the ledger has what the cap counts");
    assert_eq!(first.came().len() as u64, 99 + let_in, "what is refused is sent nowhere");
    let alerts = daemon.call("event.list", &json!({"kinds": ["budget.alert"], "limit": 10}));
    assert_eq!(alerts["events"].as_array().unwrap().len(), 1, "people are told once: {alerts}");
    let told = eventually_async("both notifications", PATIENCE, async || {
        let told = daemon.call("notification.list", &json!({}))["notifications"].as_array().unwrap().clone();
        (told.len() >= 2).then_some(told)
    })
    .await;
    let topics: Vec<&str> = told.iter().filter_map(|one| one["topic"].as_str()).collect();
    assert_eq!(topics, ["budget", "budget"], "near its end, and reached; each once: {told:?}");
}

#[tokio::test]
async fn what_is_spent_is_known_after_a_kill_and_calls_at_work_are_taken_for_spent() {
    let begun = anthropic_events("hello", 500, 100)[..2].to_vec();
    let first = Provider::start(vec![Does::Streams(anthropic_events("hello", 500, 100)), Does::Hangs(begun)]).await;
    let (second, chat) = (provider().await, provider().await);
    let mut gateway = capped(json!([{"name": "today", "of": "all", "micro_dollars": 1_000_000}]));
    gateway["timeouts"] = json!({"first_byte_ms": 60000, "idle_ms": 60000});
    let (mut daemon, http) = start(&first, &second, &chat, gateway);
    assert_eq!(ask(&http, &messages("alpha", true)).await.status, 200);
    assert_eq!(ledger(&daemon).len(), 1);
    let _hanging = begin(&http, "/v1/messages", &messages("alpha", true)).await;
    eventually_async("the second call at the provider", PATIENCE, async || (first.came().len() == 2).then_some(()))
        .await;
    let reserved = daemon.call("llm.budget", &json!({}))["caps"][0]["reserved_microusd"].as_u64().unwrap();
    assert!(reserved > 0);
    // Whoever asks for the ledger gets what is on disk.
    assert_eq!(ledger(&daemon)[0]["calls"], 1, "the second is at work");
    daemon.kill9();
    daemon.launch().unwrap();
    let cap = daemon.call("llm.budget", &json!({}))["caps"][0].clone();
    assert_eq!(cap["spent_microusd"].as_u64(), Some(COST + reserved), "{cap}");
    assert_eq!(cap["reserved_microusd"], 0);
    daemon.kill9();
    daemon.launch().unwrap();
    assert_eq!(daemon.call("llm.budget", &json!({}))["caps"][0], cap, "nothing is counted twice");
}

#[tokio::test]
async fn a_cap_on_money_refuses_what_has_no_price() {
    let (first, second, chat) = (provider().await, provider().await, provider().await);
    let (_daemon, http) =
        start(&first, &second, &chat, capped(json!([{"name": "today", "of": "all", "micro_dollars": 1000}])));
    let reply = ask(&http, &messages("free", false)).await;
    assert_eq!(reply.status, 402);
    assert!(text(&reply).contains("the price of this call is not known"), "{}", text(&reply));
    assert!(chat.came().is_empty());
}

#[tokio::test]
async fn limits_of_a_caller_say_when_to_come_again() {
    let (first, second, chat) = (provider().await, provider().await, provider().await);
    let mut gateway = quick();
    gateway["callers"] = json!({"requests_per_minute": 2});
    let (_daemon, http) = start(&first, &second, &chat, gateway);
    for _ in 0..2 {
        assert_eq!(ask(&http, &messages("alpha", true)).await.status, 200);
    }
    let reply = ask(&http, &messages("alpha", true)).await;
    assert_eq!(reply.status, 429, "{}", text(&reply));
    assert!(
        reply.header("retry-after").parse::<u64>().is_ok_and(|wait| (1..=30).contains(&wait)),
        "{:?}",
        reply.headers
    );
}

#[test]
fn a_cap_that_makes_no_sense_is_refused_at_the_start() {
    for (cap, words) in [
        (json!([{"name": "a", "of": "all"}]), "bounds nothing"),
        (json!([{"name": "a", "of": "all", "tokens": 1, "at_limit": "sleep"}]), "sleep"),
        (json!([{"name": "a", "of": "everyone", "micro_dollars": 1}]), "everyone"),
        (json!([{"name": "a", "of": "all", "tokens": 1}, {"name": "a", "of": "run", "tokens": 1}]), "two caps"),
    ] {
        let refused = orx_tests::harness::Daemon::try_start(|settings| {
            settings.workers(0);
            settings.set("gateway", json!({"caps": cap}));
        })
        .unwrap_err();
        assert!(refused.log.contains(words), "{words}: {}", refused.log);
    }
}
