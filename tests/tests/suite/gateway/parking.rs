//! Sessions whose calls nobody takes until a time: they are parked, told of once, their texts wait, and they go on.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use orx_tests::harness::{Daemon, Http, Reply, eventually_async};
use orx_tests::provider::{Does, Provider, anthropic_events};
use serde_json::{Value, json};

use super::{JSON, ask, messages, quick, start_with, text};

/// How long things may take in a session on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const COMPOSER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/composer/composer.py");
/// What is put into a session's environment for its key.
const PLACEHOLDER: &str = "orx-of-the-session-that-this-will-be-the-key-of-a-session";
const LIMITED: &str = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;

fn good() -> Does {
    // 500 tokens in and 100 out: 500 + 500 micro-dollars.
    Does::Streams(anthropic_events("hello", 500, 100))
}

fn limited(headers: &'static str) -> Does {
    Does::Answers(429, headers, LIMITED.to_owned())
}

/// A daemon in which Claude Code is a composer, with a session of it and the session's key.
struct Bed {
    daemon: Daemon,
    http: Http,
    session: String,
    key: String,
    log: PathBuf,
    first: Provider,
    _others: [Provider; 2],
}

impl Bed {
    async fn new(does: Vec<Does>, gateway: Value) -> Self {
        let first = Provider::start(does).await;
        let others = [Provider::start(vec![good()]).await, Provider::start(vec![Does::Drops]).await];
        let mut gateway = gateway;
        gateway["retry"] = json!({"attempts": 1});
        gateway["park_from_ms"] = json!(100);
        let (daemon, http) = start_with(&first, &others[0], &others[1], gateway, |settings| {
            let program = settings.config.with_file_name("claude");
            let text = format!("#!/bin/sh\nprintf %s \"$TEST_KEY\" > \"$COMPOSER_LOG.key\"\nexec python3 {COMPOSER}\n");
            std::fs::write(&program, text).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            settings.set("sandbox.mode", "off").set("engines.binaries", json!({ "claude": program }));
        });
        let log = daemon.path("log");
        let params = json!({
            "engine": "claude", "cwd": daemon.directory(), "cols": 100, "rows": 30,
            "env": {"COMPOSER_LOG": log, "TEST_KEY": PLACEHOLDER},
        });
        let session = daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned();
        let mut bed = Self { daemon, http, session, key: String::new(), log, first, _others: others };
        bed.shows("idle").await;
        bed.key = std::fs::read_to_string(bed.log.with_file_name("log.key")).unwrap();
        bed
    }

    /// Waits until the session's record says this of its agent; gives what it says.
    async fn shows(&self, state: &str) -> Value {
        eventually_async(&format!("the session is {state}"), PATIENCE, async || {
            let activity = self.daemon.call("session.get", &json!({ "session": self.session }))["activity"].clone();
            (activity["state"] == state).then_some(activity)
        })
        .await
    }

    /// A call in the session's name.
    async fn asks(&self) -> Reply {
        self.asks_of("alpha").await
    }

    async fn asks_of(&self, model: &str) -> Reply {
        let headers = [JSON, ("x-api-key", self.key.as_str())];
        self.http.send_bare("POST", "/v1/messages", &headers, &messages(model, true)).await
    }

    fn sends(&self, text: &str) -> Value {
        self.daemon.call("session.send", &json!({"session": self.session, "text": text}))
    }

    async fn submitted(&self, expected: &[&str]) {
        eventually_async("the texts in the session", PATIENCE, async || (self.typed() == expected).then_some(())).await;
    }

    fn typed(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn events(&self, kinds: &[&str]) -> Vec<Value> {
        let wanted = json!({"kinds": kinds, "subject": self.session, "limit": 1000});
        self.daemon.call("event.list", &wanted)["events"].as_array().unwrap().clone()
    }

    /// What people were told, by topic.
    fn told(&self) -> Vec<String> {
        let told = self.daemon.call("notification.list", &json!({}));
        let topics = told["notifications"].as_array().unwrap().iter();
        topics.map(|one| format!("{}: {}", one["topic"].as_str().unwrap(), one["body"].as_str().unwrap())).collect()
    }

    /// The daemon died and is there again.
    fn dies(&mut self) {
        self.daemon.kill9();
        self.daemon.launch().unwrap();
        self.http = self.daemon.http();
    }
}

#[tokio::test]
async fn a_vendors_limit_parks_the_session_until_its_time_and_texts_wait_that_long() {
    let bed = Bed::new(vec![limited("retry-after: 5\r\n"), good()], quick()).await;
    let refused = bed.asks().await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after"), text(&refused).as_str()), (429, "5", LIMITED));
    let sent = bed.sends("go on");
    assert_eq!(sent["receipt"], "queued", "{sent}");
    assert!(sent["evidence"].as_str().unwrap().contains("first refuses calls, until 20"), "{sent}");
    // The breaker lets nothing through meanwhile: that is the same wait, and no other news.
    let again = bed.asks().await;
    assert_eq!(again.status, 429, "{}", text(&again));
    assert!((1..=5).contains(&again.header("retry-after").parse::<u64>().unwrap()), "{:?}", again.headers);
    let activity = bed.shows("rate_limited").await;
    assert_eq!(activity["reason"], "first refuses calls");
    let until = activity["until_ms"].as_u64().unwrap();
    let votes = bed.daemon.call("session.explain", &json!({ "session": bed.session }))["votes"].clone();
    let decides = votes.as_array().unwrap().iter().find(|vote| vote["decides"] == true).unwrap().clone();
    assert_eq!((&decides["source"], &decides["until_ms"]), (&json!("gateway"), &json!(until)), "{votes}");
    let listed = bed.daemon.orxctl(Path::new("/"), &["ls"]);
    assert!(listed.done().contains("rate_limited until"), "{listed:?}");
    assert_eq!(bed.typed(), [] as [&str; 0]);
    bed.submitted(&["go on"]).await;
    bed.shows("idle").await;
    assert_eq!(bed.first.came().len(), 1, "who is parked was not sent on");
    let events = bed.events(&["session.parked", "session.resumed", "session.activity", "session.sent"]);
    let at = |kind: &str| events.iter().filter(|event| event["kind"] == kind).cloned().collect::<Vec<Value>>();
    let (parked, resumed) = (at("session.parked"), at("session.resumed"));
    assert_eq!((parked.len(), resumed.len()), (1, 1), "{events:?}");
    assert_eq!(resumed[0]["data"]["message"], "its time has come");
    assert!(resumed[0]["at_ms"].as_u64() >= Some(until), "{resumed:?}");
    let (from, to) = (parked[0]["seq"].as_u64().unwrap(), resumed[0]["seq"].as_u64().unwrap());
    let between = events.iter().filter(|event| (from..to).contains(&event["seq"].as_u64().unwrap()));
    let idle = between.filter(|event| event["data"]["state"] == "idle").collect::<Vec<_>>();
    assert!(idle.is_empty(), "who is parked is not idle: {idle:?}");
    let told =
        eventually_async("the notification", PATIENCE, async || Some(bed.told()).filter(|told| !told.is_empty())).await;
    assert_eq!(told.len(), 1, "once, and by one topic: {told:?}");
    assert!(told[0].starts_with("budget: is parked: first refuses calls, until"), "{told:?}");
}

#[tokio::test]
async fn a_cap_without_an_end_parks_over_a_kill_until_it_is_raised() {
    let cap = |micro_dollars: u64| json!([{"name": "work", "of": "session", "micro_dollars": micro_dollars, "at_limit": "park"}]);
    let mut gateway = quick();
    gateway["caps"] = cap(1_000);
    let mut bed = Bed::new(vec![good()], gateway).await;
    assert_eq!(bed.asks().await.status, 200);
    for _ in 0..3 {
        let refused = bed.asks().await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, ""), "{}", text(&refused));
        assert!(
            text(&refused).contains("the cap `work` has no room for its calls, until that cap is raised"),
            "{}",
            text(&refused)
        );
        assert!(
            text(&refused).contains("rate_limit_error"),
            "a client that waits by itself knows it: {}",
            text(&refused)
        );
    }
    let sent = bed.sends("when there is money");
    assert_eq!(sent["receipt"], "queued", "{sent}");
    let limited = bed.shows("rate_limited").await;
    assert_eq!(
        (&limited["reason"], &limited["until_ms"]),
        (&json!("the cap `work` has no room for its calls"), &Value::Null)
    );
    bed.dies();
    let limited = bed.shows("rate_limited").await;
    assert_eq!(
        limited["reason"], "the cap `work` has no room for its calls",
        "it is not told of an earlier daemon: {limited}"
    );
    assert_eq!(bed.asks().await.status, 429);
    assert_eq!(bed.typed(), [] as [&str; 0]);
    bed.daemon.settings().set("gateway.caps", cap(1_000_000));
    let file = bed.daemon.settings().file.to_string();
    std::fs::write(bed.daemon.path("orchestratord.yaml"), file).unwrap();
    bed.daemon.signal(Signal::SIGHUP);
    bed.submitted(&["when there is money"]).await;
    bed.shows("idle").await;
    assert_eq!(bed.asks().await.status, 200);
    assert_eq!(bed.events(&["session.parked"]).len(), 1);
    let resumed = bed.events(&["session.resumed"]);
    assert_eq!((resumed.len(), &resumed[0]["data"]["message"]), (1, &json!("its cap has room again")));
    let budget: Vec<String> = bed.told().into_iter().filter(|told| told.contains("is parked")).collect();
    assert_eq!(budget.len(), 1, "{budget:?}");
    let reached = bed.daemon.call("event.list", &json!({"kinds": ["budget.reached"], "limit": 10}));
    assert_eq!(reached["events"], json!([]), "that it is parked says so");
}

#[tokio::test]
async fn a_daily_cap_says_when_it_begins_anew_also_to_who_is_no_session() {
    let mut gateway = quick();
    gateway["caps"] = json!([{"name": "today", "of": "all", "micro_dollars": 1_000, "at_limit": "park"}]);
    let bed = Bed::new(vec![good()], gateway).await;
    assert_eq!(bed.asks().await.status, 200);
    let resets = bed.daemon.call("llm.budget", &json!({}))["caps"][0]["resets_at_ms"].as_u64().unwrap();
    for refused in [ask(&bed.http, &messages("alpha", true)).await, bed.asks().await] {
        assert_eq!(refused.status, 429, "{}", text(&refused));
        let now_ms = orx_protocol::clock::now_ms();
        let wait = refused.header("retry-after").parse::<u64>().unwrap() * 1000;
        assert!((now_ms + wait).abs_diff(resets) < 60_000, "{wait} from {now_ms} is not {resets}");
    }
    assert_eq!(bed.shows("rate_limited").await["until_ms"].as_u64(), Some(resets));
    let parked = bed.daemon.call("event.list", &json!({"kinds": ["session.parked"], "limit": 10}));
    assert_eq!(parked["events"].as_array().unwrap().len(), 1, "only sessions are parked: {parked}");
    // A session that is stopped is parked no more, without a word of its going on.
    bed.daemon.call("session.stop", &json!({"session": bed.session, "grace_ms": 100}));
    bed.shows("done").await;
    assert!(bed.events(&["session.resumed"]).is_empty());
}

#[tokio::test]
async fn who_is_parked_by_a_vendor_stays_so_over_a_kill_and_goes_on_when_a_call_is_answered() {
    let headers = "anthropic-ratelimit-unified-5h-status: rejected\r\nretry-after: 3600\r\n";
    let mut bed = Bed::new(vec![limited(headers), good()], quick()).await;
    assert_eq!(bed.asks().await.status, 429);
    let until = bed.shows("rate_limited").await["until_ms"].as_u64().unwrap();
    bed.dies();
    assert_eq!(bed.shows("rate_limited").await["until_ms"].as_u64(), Some(until));
    assert_eq!(bed.asks().await.status, 429, "its breaker is still open");
    assert_eq!(bed.sends("then this")["receipt"], "queued");
    assert_eq!(bed.asks_of("beta").await.status, 200, "another provider's model");
    bed.submitted(&["then this"]).await;
    let resumed = bed.events(&["session.resumed"]);
    assert_eq!((resumed.len(), &resumed[0]["data"]["message"]), (1, &json!("its calls are answered again")));
    assert_eq!(bed.events(&["session.parked"]).len(), 1);
    bed.dies();
    bed.shows("idle").await;
}

#[tokio::test]
async fn a_provider_that_a_person_resets_is_asked_at_once() {
    let headers = "anthropic-ratelimit-unified-5h-status: rejected\r\nretry-after: 3600\r\n";
    let mut bed = Bed::new(vec![limited(headers), good()], quick()).await;
    assert_eq!(bed.asks().await.status, 429);
    bed.shows("rate_limited").await;
    assert_eq!(bed.sends("then this")["receipt"], "queued");
    let reset = bed.daemon.orxctl(Path::new("/"), &["providers", "--reset", "second"]);
    assert!(reset.done().contains("first"), "{reset:?}");
    assert!(bed.events(&["session.resumed"]).is_empty(), "another provider's reset");
    let reset = bed.daemon.orxctl(Path::new("/"), &["providers", "--reset", "first"]);
    assert!(reset.done().contains("first"), "{reset:?}");
    bed.submitted(&["then this"]).await;
    let resumed = bed.events(&["session.resumed"]);
    assert_eq!((resumed.len(), &resumed[0]["data"]["message"]), (1, &json!("its provider was reset")));
    assert_eq!(bed.asks().await.status, 200);
    bed.dies();
    bed.shows("idle").await;
}

#[tokio::test]
async fn what_another_provider_takes_or_no_time_makes_right_parks_nobody() {
    let mut gateway = quick();
    gateway["fallbacks"] = json!({"after": {"alpha": ["beta"]}});
    let bed = Bed::new(vec![limited("retry-after: 3600\r\n")], gateway).await;
    let answered = bed.asks().await;
    assert_eq!((answered.status.as_u16(), answered.header("x-orx-provider")), (200, "second"), "{}", text(&answered));
    let wrong = Bed::new(vec![Does::Answers(400, "retry-after: 3600\r\n", LIMITED.to_owned())], quick()).await;
    assert_eq!(wrong.asks().await.status, 400);
    // Without a time nobody knows until when.
    let vague = Bed::new(vec![limited("")], quick()).await;
    assert_eq!(vague.asks().await.status, 429);
    for bed in [bed, wrong, vague] {
        assert!(bed.events(&["session.parked"]).is_empty());
        assert_eq!(bed.sends("go")["receipt"], "submitted");
    }
}
