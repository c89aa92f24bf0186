//! Prompts that would not fit their model: what is left out of them, where the operator wants that.

use orx_tests::provider::{Does, Provider, anthropic_events, chat_answer};
use serde_json::{Value, json};

use super::{JSON, ask, quick, start, text};

/// A conversation of that many reads, each of about two thousand tokens.
fn conversation(model: &str, reads: usize) -> String {
    let mut messages = vec![json!({"role": "user", "content": "read them"})];
    for number in 0..reads {
        let id = format!("t{number}");
        messages.push(
            json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "read", "input": {}}]}),
        );
        messages.push(
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "word ".repeat(1800)}]}),
        );
    }
    json!({"model": model, "max_tokens": 1000, "stream": true, "messages": messages,
        "tools": [{"name": "read", "input_schema": {"type": "object"}}]})
    .to_string()
}

fn results(body: &Value) -> (usize, usize) {
    let contents = body["messages"].as_array().unwrap().iter().filter_map(|message| message["content"].as_array());
    let results: Vec<&Value> = contents.flatten().filter(|block| block["type"] == "tool_result").collect();
    let left_out = results.iter().filter(|result| result["content"].as_str().unwrap().contains("left out")).count();
    (results.len(), left_out)
}

#[tokio::test]
async fn a_prompt_that_would_not_fit_loses_its_oldest_results_and_says_so() {
    let streams = || Does::Streams(anthropic_events("hello", 500, 100));
    let (first, second) = (Provider::start(vec![streams()]).await, Provider::start(vec![streams()]).await);
    let chat = Provider::start(vec![Does::Answers(200, "", chat_answer("hello", 12, 3))]).await;
    let mut gateway = quick();
    gateway["compress"] = json!({"at_percent": 90, "keep_recent": 4});
    let (daemon, http) = start(&first, &second, &chat, gateway);
    let body = conversation("narrow", 12);
    let reply = ask(&http, &body).await;
    assert_eq!(reply.status, 200, "{}", text(&reply));
    let left_out: u64 = reply.header("x-orx-left-out-tokens").parse().unwrap();
    assert!(left_out > 6_000, "{left_out}");
    let sent = first.came()[0].json();
    let (all, gone) = results(&sent);
    assert!(all == 12 && (4..=10).contains(&gone), "every call keeps its result: {all}, {gone}");
    let last = &sent["messages"].as_array().unwrap()[24]["content"][0]["content"];
    assert!(last.as_str().unwrap().starts_with("word"), "the last stay as they are");
    // What fits goes out as it came.
    let short = conversation("narrow", 2);
    let reply = ask(&http, &short).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-orx-left-out-tokens")), (200, ""));
    assert_eq!(first.came()[1].body, short.as_bytes());
    assert_eq!(daemon.call("llm.usage", &json!({}))["total"]["calls"], 2);
}

#[tokio::test]
async fn a_prompt_is_read_into_its_providers_cache_before_it_is_needed() {
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "max_tokens",
        "usage": {"input_tokens": 3, "cache_creation_input_tokens": 900, "output_tokens": 1}});
    let first = Provider::start(vec![Does::Answers(200, "", whole.to_string())]).await;
    let (_daemon, http) = start(&first, &first, &first, quick());
    let body = conversation("alpha", 1);
    let reply = http.send("POST", "/v1/messages", &[JSON, ("x-orx-preload", "true")], &body).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["usage"]["cache_creation_input_tokens"]), (200, &json!(900)));
    let (sent, asked) = (first.came()[0].json(), serde_json::from_str::<Value>(&body).unwrap());
    assert_eq!((&sent["max_tokens"], &sent["stream"]), (&json!(1), &json!(false)));
    assert_eq!((&sent["messages"], &sent["tools"]), (&asked["messages"], &asked["tools"]));
}

#[tokio::test]
async fn without_it_nothing_is_left_out_and_the_provider_has_the_last_word() {
    let refusal = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}});
    let first = Provider::start(vec![Does::Answers(400, "", refusal.to_string())]).await;
    let second = Provider::start(vec![Does::Sleeps]).await;
    let (_daemon, http) = start(&first, &second, &second, quick());
    let body = conversation("narrow", 12);
    let reply = http.send("POST", "/v1/messages", &[JSON], &body).await;
    assert_eq!(reply.status, 400);
    assert!(text(&reply).contains("prompt is too long"), "{}", text(&reply));
    assert_eq!(first.came()[0].body, body.as_bytes());
}

#[tokio::test]
async fn a_picture_is_not_taken_for_a_prompt_of_its_bytes() {
    let streams = || Does::Streams(anthropic_events("hello", 500, 100));
    let (first, second) = (Provider::start(vec![streams()]).await, Provider::start(vec![streams()]).await);
    let (_daemon, http) = start(&first, &second, &second, quick());
    let picture = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A".repeat(2_000_000)}});
    let body = json!({"model": "alpha", "max_tokens": 100, "stream": true,
        "messages": [{"role": "user", "content": [picture, {"type": "text", "text": "what is it?"}]}]});
    let reply = ask(&http, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", text(&reply));
}
