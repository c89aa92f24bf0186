//! Callers of each dialect, served by a provider of their own dialect and by one of another, as a whole and streamed.

use orx_tests::provider::{Does, Provider, anthropic_events, chat_answer};
use serde_json::{Value, json};

use super::{JSON, ledger, quick, start, text};

/// A request for "hi" at each door, and how an answer that says "hello" is found in what comes back.
fn requests(model: &str, stream: bool) -> Vec<(&'static str, String, String)> {
    let chat = json!([{"role": "user", "content": "hi"}]);
    let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    vec![
        (
            "anthropic",
            "/v1/messages".to_owned(),
            json!({"model": model, "max_tokens": 50, "stream": stream, "messages": chat}).to_string(),
        ),
        (
            "chat",
            "/v1/chat/completions".to_owned(),
            json!({"model": model, "stream": stream, "messages": chat}).to_string(),
        ),
        ("responses", "/v1/responses".to_owned(), json!({"model": model, "stream": stream, "input": "hi"}).to_string()),
        ("gemini", format!("/v1beta/models/{model}:{verb}"), json!({"contents": contents}).to_string()),
        ("ollama", "/api/chat".to_owned(), json!({"model": model, "stream": stream, "messages": chat}).to_string()),
    ]
}

fn last_word(dialect: &str) -> &'static str {
    match dialect {
        "anthropic" => "\"type\":\"message_stop\"",
        "chat" => "data: [DONE]",
        "responses" => "\"type\":\"response.completed\"",
        "gemini" => "\"finishReason\":\"STOP\"",
        _ => "\"done\":true",
    }
}

fn chat_chunks(text: &str) -> Vec<String> {
    let chunk = |delta: Value, reason: Value| {
        let body = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        format!("data: {body}\n\n")
    };
    let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}});
    vec![
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": text}), Value::Null),
        chunk(json!({}), json!("stop")),
        format!("data: {usage}\n\n"),
        "data: [DONE]\n\n".to_owned(),
    ]
}

fn anthropic_answer() -> String {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 12, "output_tokens": 3}})
    .to_string()
}

#[tokio::test]
async fn every_caller_is_served_by_every_provider_whole_and_streamed() {
    for stream in [false, true] {
        let anthropic = if stream {
            Does::Streams(anthropic_events("hello", 12, 3))
        } else {
            Does::Answers(200, "", anthropic_answer())
        };
        let openai = if stream {
            Does::Streams(chat_chunks("hello"))
        } else {
            Does::Answers(200, "", chat_answer("hello", 12, 3))
        };
        let (first, second, chat) = (
            Provider::start(vec![anthropic.clone()]).await,
            Provider::start(vec![anthropic]).await,
            Provider::start(vec![openai]).await,
        );
        let (daemon, http) = start(&first, &second, &chat, quick());
        for model in ["alpha", "gamma"] {
            for (dialect, path, body) in requests(model, stream) {
                let reply = http.send("POST", &path, &[JSON], &body).await;
                let shown = text(&reply);
                assert_eq!(reply.status, 200, "{dialect} to {model}: {shown}");
                assert!(shown.contains("hello"), "{dialect} to {model}: {shown}");
                if stream {
                    assert!(shown.contains(last_word(dialect)), "{dialect} to {model}: {shown}");
                } else {
                    assert_eq!(reply.header("x-orx-cost-usd"), "0.000027", "{dialect} to {model}");
                }
            }
        }
        for line in ledger(&daemon) {
            assert_eq!(
                (line["calls"].as_u64(), line["input"].as_u64(), line["output"].as_u64(), line["estimated"].as_u64()),
                (Some(5), Some(60), Some(15), Some(0)),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn a_stream_of_chat_is_metered_and_shows_no_usage_that_was_not_asked_for() {
    let chat = Provider::start(vec![Does::Streams(chat_chunks("hello"))]).await;
    let (first, second) = (Provider::start(vec![Does::Drops]).await, Provider::start(vec![Does::Drops]).await);
    let (daemon, http) = start(&first, &second, &chat, quick());
    let body = json!({"model": "gamma", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let reply = http.send("POST", "/v1/chat/completions", &[JSON], &body.to_string()).await;
    assert!(!text(&reply).contains("\"usage\"") && text(&reply).ends_with("data: [DONE]\n\n"), "{}", text(&reply));
    assert_eq!(chat.came()[0].json()["stream_options"], json!({"include_usage": true}));
    let mut asked = body.clone();
    asked["stream_options"] = json!({"include_usage": true});
    let reply = http.send("POST", "/v1/chat/completions", &[JSON], &asked.to_string()).await;
    assert!(text(&reply).contains("\"usage\""), "{}", text(&reply));
    assert_eq!(ledger(&daemon)[0]["input"], 24);
}

#[tokio::test]
async fn tokens_are_counted_here_where_the_provider_cannot() {
    let (first, second, chat) = (
        Provider::start(vec![Does::Answers(200, "", r#"{"input_tokens":77}"#.to_owned())]).await,
        Provider::start(vec![Does::Drops]).await,
        Provider::start(vec![Does::Drops]).await,
    );
    let (daemon, http) = start(&first, &second, &chat, quick());
    let body = |model: &str| {
        json!({"model": model, "messages": [{"role": "user", "content": "hi there, how are you"}]}).to_string()
    };
    let theirs = http.send("POST", "/v1/messages/count_tokens", &[JSON], &body("alpha")).await;
    assert_eq!((theirs.json()["input_tokens"].as_u64(), theirs.header("x-orx-estimate")), (Some(77), ""));
    let ours = http.send("POST", "/v1/messages/count_tokens", &[JSON], &body("gamma")).await;
    assert!(ours.json()["input_tokens"].as_u64().is_some_and(|tokens| (4..30).contains(&tokens)), "{}", text(&ours));
    assert_eq!(ours.header("x-orx-estimate"), "true");
    assert_eq!(ledger(&daemon)[0]["cost_microusd"], 0, "a count costs nothing");
}

#[tokio::test]
async fn an_embedding_passes_as_it_is_to_a_provider_of_its_dialect() {
    let answer = json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": "AAAAPw=="},
        {"object": "embedding", "index": 1, "embedding": "AACAPw==", "unknown": 1}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4}, "unknown": [1]});
    let chat = Provider::start(vec![Does::Answers(200, "", answer.to_string())]).await;
    let (first, second) = (Provider::start(vec![Does::Drops]).await, Provider::start(vec![Does::Drops]).await);
    let (daemon, http) = start(&first, &second, &chat, quick());
    let reply = http.send("POST", "/v1/embeddings", &[JSON], r#"{"model":"gamma","input":["a","b"]}"#).await;
    assert_eq!(text(&reply), answer.to_string(), "to the byte");
    assert_eq!(chat.came()[0].line, "POST /v1/embeddings");
    assert_eq!(ledger(&daemon)[0]["input"], 4);
    let other = http.send("POST", "/v1/embeddings", &[JSON], r#"{"model":"alpha","input":["a","b"]}"#).await;
    assert_eq!(other.status, 400);
    assert!(text(&other).contains("`model`: first/alpha makes no vectors of texts"), "{}", text(&other));
}

#[tokio::test]
async fn work_in_the_words_of_s0_is_done_by_whoever_can_and_told_in_its_shape() {
    let (first, second) = (Provider::start(vec![Does::Drops]).await, Provider::start(vec![Does::Drops]).await);
    let chat = Provider::start(vec![Does::Answers(200, "", chat_answer("here it is", 12, 3))]).await;
    let (daemon, http) = start(&first, &second, &chat, quick());
    for (path, body, member) in [
        ("/generate", json!({"description": "a function", "preferredAgent": "gamma"}), "code"),
        ("/review", json!({"code": "fn a() {}", "preferredAgent": "gamma"}), "review"),
        ("/explain", json!({"code": "fn a() {}", "preferredAgent": "gamma"}), "explanation"),
        ("/chat", json!({"message": "hi", "preferredAgent": "gamma"}), "response"),
    ] {
        let reply = http.send("POST", path, &[JSON], &body.to_string()).await;
        let told = reply.json();
        assert_eq!(
            (reply.status.as_u16(), told[member].as_str(), told["tokensUsed"].as_u64()),
            (200, Some("here it is"), Some(15)),
            "{path}: {told}"
        );
        assert_eq!((told["success"].as_bool(), told["agentUsed"].as_str()), (Some(true), Some("talk/gamma")));
    }
    let task = json!({"type": "code_review", "description": "look", "priority": "critical", "preferredAgent": "gamma"});
    let told = http.send("POST", "/execute", &[JSON], &task.to_string()).await.json();
    assert_eq!((told["result"]["output"].as_str(), told["attempts"].as_u64()), (Some("here it is"), Some(1)), "{told}");
    let missing = http.send("POST", "/execute", &[JSON], "{}").await;
    assert_eq!((missing.status.as_u16(), missing.json()["error"].as_str()), (400, Some("`type` is required")));
    let failed =
        http.send("POST", "/chat", &[JSON], &json!({"message": "hi", "preferredAgent": "alpha"}).to_string()).await;
    assert_eq!((failed.status.as_u16(), failed.json()["success"].as_bool()), (500, Some(false)), "{}", text(&failed));
    assert_eq!(http.send_bare("POST", "/chat", &[JSON], "{}").await.status, 401);
    assert_eq!(ledger(&daemon)[0]["calls"], 5);
}
