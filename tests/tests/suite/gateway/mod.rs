//! The gateway through the real daemon, against providers that behave and that do not.

mod cache;
mod callers;
mod compress;
mod dialects;
mod embed;
mod embed_chains;
mod faults;
mod keys;
mod money;
mod parking;
mod sdk;

use std::time::Duration;

use orx_tests::harness::{Daemon, Http, Reply, Settings};
use orx_tests::provider::Provider;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long what is on its way may take.
const PATIENCE: Duration = Duration::from_secs(20);
const JSON: (&str, &str) = ("content-type", "application/json");

/// Providers and models of the tests: two that speak Anthropic's dialect, and one that speaks OpenAI's.
fn providers(first: &str, second: &str, chat: &str) -> String {
    let price = "price: {input: 1000000, output: 5000000, cache_read: 100000, cache_write_5m: 1250000, cache_write_1h: 2000000}";
    format!(
        "providers:
  first:
    dialect: anthropic
    base_url: {first}
    key_variable: FIRST_KEY
    breaker: {{in_a_row: 3, failures: 3, cooldown_ms: 60000}}
    models:
      alpha: {{context: 200000, capabilities: [tools, chat], {price}}}
      narrow: {{context: 20000, capabilities: [tools, chat], {price}}}
  second:
    dialect: anthropic
    base_url: {second}
    models:
      beta: {{context: 200000, capabilities: [tools, chat], {price}}}
  talk:
    dialect: openai
    base_url: {chat}/v1
    models:
      gamma: {{context: 200000, capabilities: [tools, chat], {price}}}
      free: {{context: 1000}}
"
    )
}

/// A daemon whose gateway has these providers, with `gateway` in its settings.
fn start(first: &Provider, second: &Provider, chat: &Provider, gateway: Value) -> (Daemon, Http) {
    start_with(first, second, chat, gateway, |_| {})
}

fn start_with(
    first: &Provider,
    second: &Provider,
    chat: &Provider,
    gateway: Value,
    adjust: impl FnOnce(&mut Settings),
) -> (Daemon, Http) {
    let text = providers(&first.url(), &second.url(), &chat.url());
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
        std::fs::write(settings.config.with_file_name("providers.yaml"), text).unwrap();
        settings.set("gateway", gateway);
        settings.environment.push(("FIRST_KEY".to_owned(), "operators-secret".to_owned()));
        adjust(settings);
    });
    let http = daemon.http();
    (daemon, http)
}

/// Fast retries, so that a test waits for none.
fn quick() -> Value {
    json!({"retry": {"attempts": 2, "base_ms": 1, "total_ms": 2000}, "timeouts": {"first_byte_ms": 400, "idle_ms": 400}})
}

fn messages(model: &str, stream: bool) -> String {
    json!({"model": model, "max_tokens": 100, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
        .to_string()
}

async fn ask(http: &Http, body: &str) -> Reply {
    http.send("POST", "/v1/messages", &[JSON], body).await
}

/// Sends a call and leaves its answer to be read.
async fn begin(http: &Http, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(http.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        http.address,
        http.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// What the ledger has, by model.
fn ledger(daemon: &Daemon) -> Vec<Value> {
    daemon.call("llm.usage", &json!({}))["lines"].as_array().unwrap().clone()
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}
