//! Answers that are given again: to the same call, to one that is alike, out of Redis after a restart; and to whom and what not.

use std::process::{Child, Command, Stdio};

use orx_tests::harness::{Http, Reply, eventually_async};
use orx_tests::provider::{Does, Provider, anthropic_events, chat_answer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{JSON, PATIENCE, ask, begin, messages, quick, start, text};

fn cached(cache: Value) -> Value {
    let mut gateway = quick();
    gateway["cache"] = cache;
    gateway
}

fn streams() -> Does {
    Does::Streams(anthropic_events("hello", 500, 100))
}

fn question(model: &str, text: &str) -> String {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}).to_string()
}

async fn wishing(http: &Http, wish: (&str, &str), body: &str) -> Reply {
    http.send("POST", "/v1/messages", &[JSON, wish], body).await
}

#[tokio::test]
async fn the_same_is_answered_again_and_costs_nothing() {
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn", "usage": {"input_tokens": 500, "output_tokens": 100}});
    let first = Provider::start(vec![streams(), Does::Answers(200, "", whole.to_string())]).await;
    let chat = Provider::start(vec![Does::Answers(200, "", chat_answer("hello", 12, 3))]).await;
    let (daemon, http) = start(&first, &chat, &chat, cached(json!({})));
    for (stream, asked_before) in [(true, 0), (false, 1)] {
        let body = messages("alpha", stream);
        let new = ask(&http, &body).await;
        assert_eq!((new.status.as_u16(), new.header("x-orx-cache")), (200, "miss"), "{}", text(&new));
        let again = ask(&http, &body).await;
        assert_eq!((again.status.as_u16(), again.header("x-orx-cache")), (200, "hit"));
        assert_eq!((&again.body, again.header("content-type")), (&new.body, new.header("content-type")));
        assert_eq!((again.header("x-orx-cost-usd"), again.header("x-orx-model")), ("0.000000", "alpha"));
        assert_ne!(again.header("x-orx-request-id"), new.header("x-orx-request-id"));
        assert_eq!(first.came().len(), asked_before + 1);
    }
    let usage = daemon.call("llm.usage", &json!({}));
    assert_eq!((&usage["total"]["calls"], &usage["from_cache"]), (&json!(4), &json!(2)));
    assert_eq!((&usage["total"]["cost_microusd"], &usage["saved_by_cache_microusd"]), (&json!(2000), &json!(2000)));
    assert_eq!(usage["total"]["input"], 1000, "tokens are what the provider counted");
    // Whoever wants a new answer gets one, which is kept; whoever wants nothing kept is not answered out of it.
    let body = messages("alpha", false);
    for (wish, said, asked) in [
        (("x-orx-cache", "off"), "", 3),
        (("cache-control", "no-store"), "", 4),
        (("cache-control", "no-cache"), "miss", 5),
        (("x-orx-cache", "refresh"), "miss", 6),
        (("x-other", "x"), "hit", 6),
    ] {
        let reply = wishing(&http, wish, &body).await;
        assert_eq!((reply.header("x-orx-cache"), first.came().len()), (said, asked), "{wish:?}");
    }
    let shown = daemon.orxctl(daemon.directory(), &["cost"]);
    let shown = format!("{}{}", shown.stdout, shown.stderr);
    assert!(shown.contains("came out of the cache, which saved $0.003"), "{shown}");
}

#[tokio::test]
async fn other_questions_and_other_callers_are_asked_anew() {
    let first = Provider::start(vec![streams()]).await;
    let (daemon, http) = start(&first, &first, &first, cached(json!({"of": "session"})));
    let question = |model: &str, text: &str| question(model, text).replacen('{', r#"{"stream":true,"#, 1);
    let bodies = [
        question("alpha", "one"),
        question("alpha", "two"),
        question("narrow", "one"),
        question("alpha", "one").replace("100", "101"),
        messages("alpha", true),
    ];
    for body in &bodies {
        assert_eq!(wishing(&http, ("anthropic-beta", "x"), body).await.header("x-orx-cache"), "miss", "{body}");
    }
    assert_eq!(ask(&http, &bodies[4]).await.header("x-orx-cache"), "miss", "another beta is another answer");
    assert_eq!(ask(&http, &bodies[4]).await.header("x-orx-cache"), "hit");
    let with_tools =
        json!({"model": "alpha", "max_tokens": 9, "stream": true, "tools": [{"name": "t", "input_schema": {}}],
        "messages": [{"role": "user", "content": "x"}]})
        .to_string();
    for _ in 0..2 {
        let reply = ask(&http, &with_tools).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-orx-cache")), (200, ""), "agents are asked for new steps");
    }
    assert_eq!(daemon.call("llm.usage", &json!({}))["from_cache"], 1);
}

#[tokio::test]
async fn what_was_cut_or_failed_is_not_kept() {
    let cut = anthropic_events("hello", 500, 100)[..2].to_vec();
    let first = Provider::start(vec![Does::Cuts(cut), Does::Answers(400, "", "{}".to_owned()), streams()]).await;
    let (_daemon, http) = start(&first, &first, &first, cached(json!({})));
    let body = messages("alpha", true);
    let mut broken = begin(&http, "/v1/messages", &body).await;
    let mut out = Vec::new();
    let _ = broken.read_to_end(&mut out).await;
    assert!(String::from_utf8_lossy(&out).contains("event: error"), "the first is cut");
    assert_eq!(ask(&http, &body).await.status, 400);
    let reply = ask(&http, &body).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-orx-cache")), (200, "miss"));
    assert_eq!(ask(&http, &body).await.header("x-orx-cache"), "hit");
}

#[tokio::test]
async fn what_is_alike_has_the_same_answer_where_the_operator_says_so() {
    let vector = |vector: [f32; 2]| {
        let body = json!({"object": "list", "model": "gamma", "data": [{"object": "embedding", "index": 0, "embedding": vector}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3}});
        Does::Answers(200, "", body.to_string())
    };
    let whole = |text: &str| {
        let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 1}});
        Does::Answers(200, "", body.to_string())
    };
    let first = Provider::start(vec![whole("Paris"), whole("Rome"), whole("other")]).await;
    let chat = Provider::start(vec![
        vector([1.0, 0.1]),
        vector([1.0, 0.12]),
        vector([0.1, 1.0]),
        vector([1.0, 0.1]),
        Does::Answers(500, "", "{}".to_owned()),
    ])
    .await;
    let semantic = json!({"semantic": {"model": "gamma", "threshold_per_mille": 980}});
    let (daemon, http) = start(&first, &first, &chat, cached(semantic));
    let asks = async |text: &str| ask(&http, &question("alpha", text)).await;
    assert_eq!(asks("What is the capital of France?").await.header("x-orx-cache"), "miss");
    let near = asks("what's France's capital").await;
    assert_eq!(near.header("x-orx-cache"), "near", "{}", text(&near));
    assert!(text(&near).contains("Paris"));
    assert_eq!(asks("And of Italy?").await.header("x-orx-cache"), "miss");
    let reply = ask(&http, &question("narrow", "What is the capital of France?")).await;
    assert_eq!(reply.header("x-orx-cache"), "miss", "another model is not alike");
    // A model that embeds and does not answer costs nobody an answer.
    let reply = asks("What is the capital of Spain?").await;
    assert_eq!((reply.status.as_u16(), reply.header("x-orx-cache")), (200, "miss"));
    let lines = daemon.call("llm.usage", &json!({"by": "model"}))["lines"].as_array().unwrap().clone();
    let embeddings = lines.iter().find(|line| line["name"] == "talk/gamma").unwrap();
    assert_eq!(embeddings["calls"], 5, "what looks for it is metered too: {lines:?}");
}

/// A Redis of the test's own, on a socket.
struct Redis {
    child: Child,
    socket: std::path::PathBuf,
}

impl Redis {
    async fn start(directory: &std::path::Path) -> Self {
        let socket = directory.join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is on PATH; `cargo xtask setup` says what is missing");
        let redis = Self { child, socket };
        eventually_async("Redis listens", PATIENCE, async || UnixStream::connect(&redis.socket).await.ok()).await;
        redis
    }

    /// What it answers to a command, as it stands.
    async fn says(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
        let mut out = Vec::new();
        stream.read_to_end(&mut out).await.unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn answers_in_redis_outlive_the_daemon_and_forged_ones_are_not_used() {
    let scratch = tempfile::tempdir().unwrap();
    let redis = Redis::start(scratch.path()).await;
    let first = Provider::start(vec![streams()]).await;
    let address = format!("redis+unix://{}", redis.socket.display());
    let (mut daemon, http) = start(&first, &first, &first, cached(json!({"redis": address})));
    let (one, two) = (messages("narrow", true), messages("alpha", true));
    assert_eq!(ask(&http, &two).await.header("x-orx-cache"), "miss");
    let keys = eventually_async("the answer in Redis", PATIENCE, async || {
        let keys = redis.says("KEYS orx:cache:*").await;
        keys.contains("orx:cache:").then_some(keys)
    })
    .await;
    let name = keys.lines().find(|line| line.starts_with("orx:cache:")).unwrap().to_owned();
    daemon.kill9();
    daemon.launch().unwrap();
    let http = daemon.http();
    let again = ask(&http, &two).await;
    assert_eq!((again.header("x-orx-cache"), first.came().len()), ("hit", 1), "{}", text(&again));
    // What somebody else put there is not given to anybody.
    let forged = r#"{"at_ms":1,"provider":"p","model":"m","content_type":"application/json","cost_microusd":null}"#;
    redis.says(&format!("SET {name} '{}{forged}'", "x".repeat(32))).await;
    daemon.kill9();
    daemon.launch().unwrap();
    let http = daemon.http();
    assert_eq!(ask(&http, &two).await.header("x-orx-cache"), "miss");
    assert!(daemon.log().contains("is not of this user's daemon"), "it is said");
    // Without its Redis the daemon serves on.
    drop(redis);
    let reply = ask(&http, &one).await;
    assert_eq!(reply.header("x-orx-cache"), "miss", "{}", text(&reply));
    assert_eq!(ask(&http, &two).await.header("x-orx-cache"), "hit", "out of memory");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_the_start() {
    for (cache, words) in [
        (json!({"of": "all"}), "`of: all`"),
        (json!({"ttl_s": 0}), "`gateway.cache.ttl_s` is 0"),
        (json!({"bytes": 5}), "`gateway.cache.bytes` is 5"),
        (json!({"redis": "http://secret-word@x"}), "redis://127.0.0.1:6379/0"),
        (json!({"semantic": {"model": "nobody"}}), "nobody"),
        (json!({"semantic": {"model": "alpha", "threshold_per_mille": 3}}), "threshold_per_mille` is 3"),
        (json!({"ttl": 3}), "ttl"),
    ] {
        let refused = orx_tests::harness::Daemon::try_start(|settings| {
            settings.workers(0);
            let providers = super::providers("http://127.0.0.1:9", "http://127.0.0.1:9", "http://127.0.0.1:9");
            std::fs::write(settings.config.with_file_name("providers.yaml"), providers).unwrap();
            settings.set("gateway", json!({"cache": cache}));
        });
        let log = refused.unwrap_err().log;
        assert!(log.contains(words), "{words}: {log}");
        assert!(!log.contains("secret-word"), "{log}");
    }
}
