//! Keys with names: made, used, counted, capped and revoked; shown once, and never by a session.

use std::path::Path;

use orx_tests::harness::{Daemon, Http, Reply, binary, eventually_async};
use orx_tests::provider::{Does, Provider, anthropic_events};
use serde_json::{Value, json};

use super::{JSON, PATIENCE, messages, quick, start, text};

async fn provider() -> Provider {
    // 500 tokens in and 100 out: 500 + 500 micro-dollars.
    Provider::start(vec![Does::Streams(anthropic_events("hello", 500, 100))]).await
}

async fn bed(caps: Value) -> (Daemon, Http, [Provider; 3]) {
    let providers = [provider().await, provider().await, provider().await];
    let mut gateway = quick();
    gateway["caps"] = caps;
    let (daemon, http) = start(&providers[0], &providers[1], &providers[2], gateway);
    (daemon, http, providers)
}

fn key(daemon: &Daemon, arguments: &[&str]) -> String {
    let out = daemon.orxctl(Path::new("/"), &[&["key", "add"], arguments].concat());
    out.done().trim().to_owned()
}

async fn ask(http: &Http, key: &str) -> Reply {
    http.send_bare("POST", "/v1/messages", &[JSON, ("x-api-key", key)], &messages("alpha", true)).await
}

#[tokio::test]
async fn a_key_is_shown_once_counts_by_its_name_and_is_void_once_revoked() {
    let (mut daemon, http, _providers) = bed(json!([])).await;
    let ci = key(&daemon, &["ci-runner-2"]);
    let notebook = daemon.call("key.add", &json!({"name": "notebook"}))["secret"].as_str().unwrap().to_owned();
    assert!(ci.starts_with("orx-key_") && notebook.starts_with("orx-key_") && ci != notebook);
    for (key, calls) in [(&ci, 2), (&notebook, 1)] {
        for _ in 0..calls {
            let reply = ask(&http, key).await;
            assert_eq!(reply.status, 200, "{}", text(&reply));
        }
    }
    let lines = daemon.call("llm.usage", &json!({"by": "key"}))["lines"].clone();
    let counted: Vec<(&str, u64)> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["name"].as_str().unwrap(), line["calls"].as_u64().unwrap()))
        .collect();
    assert_eq!(counted, [("ci-runner-2", 2), ("notebook", 1)]);
    let cost = daemon.orxctl(Path::new("/"), &["cost", "--by", "key"]);
    assert!(cost.done().contains("ci-runner-2"), "{cost:?}");
    daemon.kill9();
    daemon.launch().unwrap();
    let http = daemon.http();
    assert_eq!(ask(&http, &ci).await.status, 200, "a daemon that began anew knows it");
    daemon.orxctl(Path::new("/"), &["key", "revoke", "ci-runner-2"]).done();
    let refused = ask(&http, &ci).await;
    assert_eq!(refused.status, 403, "{}", text(&refused));
    assert!(text(&refused).contains("the key named `ci-runner-2` was revoked"), "{}", text(&refused));
    assert_eq!(ask(&http, &notebook).await.status, 200, "the other is as it was");
    // Another of the same name is another key.
    let again = key(&daemon, &["ci-runner-2"]);
    assert_eq!((ask(&http, &again).await.status.as_u16(), ask(&http, &ci).await.status.as_u16()), (200, 403));
    let listed = daemon.orxctl(Path::new("/"), &["key", "ls", "--json"]);
    let keys = listed.json()["keys"].clone();
    let names: Vec<(&str, bool)> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["name"].as_str().unwrap(), key["revoked_ms"].is_null()))
        .collect();
    assert_eq!(names, [("ci-runner-2", false), ("notebook", true), ("ci-runner-2", true)]);
    assert!(keys.as_array().unwrap().iter().all(|key| key["last_used_ms"].is_u64()), "{keys}");
    let events = daemon.call("event.list", &json!({"kinds": ["key.*"], "limit": 10})).to_string();
    let everything = [
        daemon.log(),
        events,
        text(&refused),
        listed.stdout,
        daemon.orxctl(Path::new("/"), &["key", "ls"]).stdout,
        String::from_utf8_lossy(&std::fs::read(daemon.path("home/orx.db")).unwrap()).into_owned(),
        String::from_utf8_lossy(&std::fs::read(daemon.path("home/orx.db-wal")).unwrap_or_default()).into_owned(),
    ];
    for secret in [&ci, &notebook, &again] {
        let seal = secret.rsplit_once('-').unwrap().1;
        assert!(everything.iter().all(|told| !told.contains(seal)), "a key is told once, to who made it");
    }
}

#[tokio::test]
async fn caps_bound_each_key_and_a_key_may_have_one_of_its_own() {
    let (mut daemon, http, _providers) = bed(json!([{"name": "each", "of": "key", "micro_dollars": 2_000}])).await;
    let (one, other) = (key(&daemon, &["one-1"]), key(&daemon, &["other"]));
    let small = key(&daemon, &["small", "--cap", "0.001/ever"]);
    for (secret, calls, cap) in [(&one, 2, "the cap `each` of the key named one-1"), (&small, 1, "the cap `own:small`")]
    {
        for _ in 0..calls {
            assert_eq!(ask(&http, secret).await.status, 200);
        }
        let refused = ask(&http, secret).await;
        assert_eq!(refused.status, 402, "{}", text(&refused));
        assert!(text(&refused).contains(cap), "{}", text(&refused));
    }
    assert_eq!(ask(&http, &other).await.status, 200, "what one key spent is not the other's");
    daemon.kill9();
    daemon.launch().unwrap();
    let http = daemon.http();
    assert_eq!(ask(&http, &small).await.status, 402, "what it spent is known after a kill");
    let caps = daemon.call("llm.budget", &json!({}))["caps"].clone();
    let own = caps.as_array().unwrap().iter().find(|cap| cap["cap"] == "own:small").unwrap();
    assert_eq!((&own["subject"], &own["spent_microusd"]), (&json!("small"), &json!(1_000)), "{caps}");
    daemon.orxctl(Path::new("/"), &["key", "revoke", "small"]).done();
    let caps = daemon.call("llm.budget", &json!({}))["caps"].clone();
    assert!(!caps.to_string().contains("own:small"), "{caps}");
}

#[tokio::test]
async fn a_key_opens_nothing_but_calls_and_what_is_wrong_is_refused() {
    let (daemon, http, providers) = bed(json!([])).await;
    let ci = key(&daemon, &["ci"]);
    for path in ["/rpc", "/api/v1/keys", "/api/v1/sessions"] {
        let reply = http.send_bare("POST", path, &[JSON, ("x-api-key", &ci)], r#"{"name":"mine"}"#).await;
        assert_eq!(reply.status, 401, "{path}: {}", text(&reply));
    }
    let forged = format!("{}0", &ci[..ci.len() - 1]);
    let forged = if forged == ci { format!("{}1", &ci[..ci.len() - 1]) } else { forged };
    assert_eq!(ask(&http, &forged).await.status, 401);
    for (params, words) in [
        (json!({"name": "ci"}), "already"),
        (json!({"name": ""}), "no name of a key"),
        (json!({"name": "a b"}), "no name of a key"),
        (json!({"name": "local"}), "somebody else"),
        (json!({"name": "x", "cap": {"micro_dollars": 0}}), "leave the key out"),
        (json!({"name": "x", "cap": {"micro_dollars": 1, "per": "week"}}), "week"),
    ] {
        let error = daemon.wire().call("key.add", &params).unwrap_err();
        assert!(error.to_string().contains(words), "{params}: {error}");
    }
    let error = daemon.wire().call("key.revoke", &json!({"name": "nobody"})).unwrap_err();
    assert!(error.to_string().contains("no key named `nobody`"), "{error}");
    assert_eq!(daemon.call("key.list", &json!({}))["keys"].as_array().unwrap().len(), 1);
    assert!(providers.iter().all(|provider| provider.came().is_empty()));
    let listed = http.send("GET", "/api/v1/keys", &[], "").await;
    assert_eq!(listed.json()["keys"][0]["name"], "ci", "{}", text(&listed));
}

#[tokio::test]
async fn a_session_makes_sees_and_revokes_no_key() {
    let (daemon, _http, _providers) = bed(json!([])).await;
    key(&daemon, &["ci"]);
    let (out, done, socket) = (daemon.path("out"), daemon.path("out.done"), daemon.socket());
    let script = format!(
        "for what in 'add mine' ls 'revoke ci'; do ORX_SOCKET={} {} key $what; echo code $?; done > {} 2>&1; touch {}; sleep 1000",
        socket.display(),
        binary("orxctl").display(),
        out.display(),
        done.display()
    );
    let create = json!({"engine": "command", "argv": ["sh", "-c", script], "cwd": daemon.directory()});
    daemon.call("session.create", &create);
    eventually_async("its three attempts", PATIENCE, async || done.exists().then_some(())).await;
    let told = std::fs::read_to_string(&out).unwrap();
    assert_eq!(told.matches("code 77").count(), 3, "{told}");
    assert!(!told.contains("orx-key_"), "{told}");
    let keys = daemon.call("key.list", &json!({}))["keys"].clone();
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["revoked_ms"]), (1, &Value::Null), "{keys}");
}
