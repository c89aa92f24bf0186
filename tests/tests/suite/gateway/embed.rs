//! Vectors of texts, from callers of each dialect through providers of each: all of them, in order, of one model, as its provider counts.

use orx_tests::harness::{Daemon, Http, Reply};
use orx_tests::provider::{Does, Provider, tokens, vector};
use serde_json::{Value, json};

use super::{JSON, ledger, quick, text};

/// An address at which nobody answers.
pub(super) const NOBODY: &str = "http://127.0.0.1:1";

/// The built-in providers that make vectors, each at an address of its own.
pub(super) struct Places<'a> {
    pub(super) mlx: &'a str,
    pub(super) ollama: &'a str,
    pub(super) openai: &'a str,
    pub(super) google: &'a str,
}

/// A daemon whose providers are there; `more` is further text of the provider file.
pub(super) fn start(places: &Places<'_>, gateway: Value, more: &str) -> (Daemon, Http) {
    let Places { mlx, ollama, openai, google } = places;
    let text = format!(
        "providers:
  mlx: {{base_url: '{mlx}/v1'}}
  ollama: {{base_url: '{ollama}'}}
  openai: {{base_url: '{openai}/v1', breaker: {{in_a_row: 50, failures: 50}}}}
  google: {{base_url: '{google}'}}
{more}"
    );
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
        std::fs::write(settings.config.with_file_name("providers.yaml"), text).unwrap();
        settings.set("gateway", gateway);
        for key in ["OPENAI_API_KEY", "GEMINI_API_KEY"] {
            settings.environment.push((key.to_owned(), "operators-secret".to_owned()));
        }
    });
    let http = daemon.http();
    (daemon, http)
}

pub(super) async fn good() -> Provider {
    Provider::start(vec![Does::Embeds]).await
}

/// The doors for vectors: path and body for these texts, and how many of them it can take.
fn doors(model: &str, texts: &[String]) -> Vec<(String, Value)> {
    let content = |text: &String| json!({"model": format!("models/{model}"), "content": {"parts": [{"text": text}]}});
    let requests: Vec<Value> = texts.iter().map(content).collect();
    let mut doors = vec![
        ("/v1/embeddings".to_owned(), json!({"model": model, "input": texts})),
        ("/api/embed".to_owned(), json!({"model": model, "input": texts})),
        (format!("/v1beta/models/{model}:batchEmbedContents"), json!({"requests": requests})),
    ];
    if let [only] = texts {
        doors.push(("/api/embeddings".to_owned(), json!({"model": model, "prompt": only})));
        doors.push((format!("/v1beta/models/{model}:embedContent"), content(only)));
        doors.push(("/v1/embeddings".to_owned(), json!({"model": model, "input": only})));
    }
    doors
}

/// The vectors of an answer, whichever form it has.
fn vectors(reply: &Reply) -> Value {
    let answer = reply.json();
    let list = |value: &Value, member: &str| -> Value {
        value.as_array().unwrap().iter().map(|one| one[member].clone()).collect()
    };
    if answer["data"].is_array() {
        list(&answer["data"], "embedding")
    } else if answer["embedding"]["values"].is_array() {
        json!([answer["embedding"]["values"]])
    } else if answer["embedding"].is_array() {
        json!([answer["embedding"]])
    } else if answer["embeddings"][0].is_object() {
        list(&answer["embeddings"], "values")
    } else {
        answer["embeddings"].clone()
    }
}

pub(super) fn expected(texts: &[String]) -> Value {
    texts.iter().map(|text| json!(vector(text))).collect()
}

pub(super) fn some(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("text {at} of a batch")).collect()
}

fn counted(texts: &[String]) -> u64 {
    texts.iter().map(|text| tokens(text)).sum()
}

/// What the ledger has of a model: calls, tokens, micro-dollars, estimates.
fn line(daemon: &Daemon, name: &str) -> (u64, u64, u64, u64) {
    let lines = ledger(daemon);
    let line = lines.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("{name}: {lines:?}"));
    let of = |member: &str| line[member].as_u64().unwrap();
    (of("calls"), of("input"), of("cost_microusd"), of("estimated"))
}

const MODELS: [(&str, &str); 4] = [
    ("text-embedding-3-small", "openai/text-embedding-3-small"),
    ("nomic-embed-text", "ollama/nomic-embed-text"),
    ("gemini-embedding-2", "google/gemini-embedding-2"),
    ("qwen3-embedding-4b", "mlx/mlx-community/Qwen3-Embedding-4B-4bit-DWQ"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_gets_the_vectors_of_every_provider() {
    let (mlx, ollama, openai, google) = (good().await, good().await, good().await, good().await);
    let places = Places { mlx: &mlx.url(), ollama: &ollama.url(), openai: &openai.url(), google: &google.url() };
    let (daemon, http) = start(&places, quick(), "");
    for (model, route) in MODELS {
        for texts in [some(1), some(7)] {
            for (path, body) in doors(model, &texts) {
                let reply = http.send("POST", &path, &[JSON], &body.to_string()).await;
                assert_eq!(reply.status, 200, "{path} to {model}: {}", text(&reply));
                assert_eq!(vectors(&reply), expected(&texts), "{path} to {model}");
                let said = format!("{}/{}", reply.header("x-orx-provider"), reply.header("x-orx-model"));
                assert_eq!(said, route, "{path}");
                if reply.json()["data"].is_array() {
                    assert_eq!(reply.json()["usage"]["prompt_tokens"], counted(&texts), "{path} to {model}");
                }
            }
        }
        let (calls, input, _, estimated) = line(&daemon, route);
        // Ollama's older form counts nothing, and only a provider of its own is asked in it.
        let own = u64::from(model == "nomic-embed-text");
        assert_eq!((calls, estimated), (9, own), "{route}");
        assert!(own == 1 || input == 6 * counted(&some(1)) + 3 * counted(&some(7)), "{route}: {input}");
    }
    for came in [&mlx, &ollama, &openai, &google].into_iter().flat_map(Provider::calls) {
        assert!(!String::from_utf8_lossy(&came.body).contains("qwen3-embedding-4b"), "each is asked by its own name");
    }
    assert_eq!(google.calls()[0].header("x-goog-api-key"), "operators-secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_caller_of_openai_asks_besides_reaches_other_providers() {
    let answer = json!({"model": "nomic-embed-text", "embeddings": [[0.5, -1.0]], "prompt_eval_count": 4}).to_string();
    // The first request is a look at whether it is there.
    let ollama = Provider::start(vec![Does::Answers(200, "", answer)]).await;
    let google = good().await;
    let places = Places { mlx: NOBODY, ollama: &ollama.url(), openai: NOBODY, google: &google.url() };
    let (_daemon, http) = start(&places, quick(), "");
    let body = json!({"model": "nomic-embed-text", "input": "a", "encoding_format": "base64", "dimensions": 2});
    let reply = http.send("POST", "/v1/embeddings", &[JSON], &body.to_string()).await;
    assert_eq!(reply.json()["data"][0]["embedding"], "AAAAPwAAgL8=", "{}", text(&reply));
    let asked = ollama.calls()[0].json();
    assert_eq!((&asked["dimensions"], &asked["truncate"]), (&json!(2), &json!(false)), "nothing is cut unseen");
    let many = json!({"model": "nomic-embed-text", "input": "a", "dimensions": 769});
    let refused = http.send("POST", "/v1/embeddings", &[JSON], &many.to_string()).await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"]["param"].as_str()), (400, Some("dimensions")));
    let other = json!({"model": "nomic-embed-text", "input": "a", "dimensions": 3});
    let wrong = http.send("POST", "/v1/embeddings", &[JSON], &other.to_string()).await;
    assert_eq!(wrong.status, 502);
    assert!(text(&wrong).contains("vectors of 2 numbers came where 3 were asked for"), "{}", text(&wrong));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_larger_than_its_provider_takes_is_sent_in_parts() {
    let (openai, google, ollama) = (good().await, good().await, good().await);
    let places = Places { mlx: NOBODY, ollama: &ollama.url(), openai: &openai.url(), google: &google.url() };
    let mut gateway = quick();
    // Two thousand texts take their time on a machine with other work.
    gateway["timeouts"] = json!({"first_byte_ms": 20000, "idle_ms": 20000});
    let (daemon, http) = start(&places, gateway, "");
    let texts = some(300);
    for (path, body) in doors("gemini-embedding-2", &texts) {
        let reply = http.send("POST", &path, &[JSON], &body.to_string()).await;
        assert!(vectors(&reply) == expected(&texts), "{path}: {:.300}", text(&reply));
        assert_eq!((reply.header("x-orx-batches"), reply.header("x-orx-attempts")), ("3", ""), "{path}");
        assert_eq!(reply.header("x-orx-cost-usd"), "0.000300", "each part is rounded up by itself: {path}");
    }
    for came in google.calls() {
        assert_eq!(came.json()["requests"].as_array().unwrap().len(), 100);
    }
    assert_eq!(line(&daemon, "google/gemini-embedding-2"), (9, 3 * counted(&texts), 900, 0));
    let whole = json!({"model": "nomic-embed-text", "input": texts}).to_string();
    let reply = http.send("POST", "/v1/embeddings", &[JSON], &whole).await;
    assert!(vectors(&reply) == expected(&texts), "{:.300}", text(&reply));
    assert_eq!(ollama.calls().len(), 1, "no limit of it is known");
    let texts = some(2049);
    let body = json!({"model": "text-embedding-3-small", "input": texts, "user": "u"}).to_string();
    let reply = http.send("POST", "/v1/embeddings", &[JSON], &body).await;
    assert!(vectors(&reply) == expected(&texts), "{:.300}", text(&reply));
    let asked: Vec<usize> = openai.calls().iter().map(|came| came.json()["input"].as_array().unwrap().len()).collect();
    assert_eq!((asked, openai.calls()[1].json()["user"].as_str()), (vec![2048, 1], Some("u")));
    assert_eq!(line(&daemon, "openai/text-embedding-3-small").1, counted(&texts));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_part_that_failed_is_sent_again() {
    let overloaded =
        Does::Answers(503, "", r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#.to_owned());
    let google = Provider::start(vec![Does::Embeds, overloaded, Does::Embeds]).await;
    let places = Places { mlx: NOBODY, ollama: NOBODY, openai: NOBODY, google: &google.url() };
    let (daemon, http) = start(&places, quick(), "");
    let texts = some(150);
    let body = json!({"model": "gemini-embedding-2", "input": texts}).to_string();
    let reply = http.send("POST", "/v1/embeddings", &[JSON], &body).await;
    assert!(vectors(&reply) == expected(&texts), "{:.300}", text(&reply));
    let sizes: Vec<usize> =
        google.calls().iter().map(|came| came.json()["requests"].as_array().unwrap().len()).collect();
    assert_eq!((sizes, reply.header("x-orx-attempts")), (vec![100, 50, 50], "2"));
    let (calls, input, _, estimated) = line(&daemon, "google/gemini-embedding-2");
    assert_eq!((calls, input, estimated), (2, counted(&texts), 0), "as its provider counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_that_are_not_what_was_asked_for_are_never_passed_on() {
    let google = good().await;
    for (answer, words) in [
        (json!({"data": [{"embedding": [1]}], "usage": {"prompt_tokens": 1}}), "1 vectors came for 2 texts"),
        (json!({"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}), "vectors of 1 and of 2 numbers"),
        (json!({"data": [{"embedding": [1]}, {"embedding": ["x"]}]}), "line 1"),
        (json!({"data": [{"embedding": [1]}, {"embedding": null}]}), "line 1"),
        (json!({"data": [{"embedding": []}, {"embedding": []}]}), "without numbers"),
        (json!({"embeddings": [[1], [2]]}), "`data`: it is missing"),
        (json!({"error": {"message": "no room", "type": "server_error"}}), "no room"),
    ] {
        let openai = Provider::start(vec![Does::Answers(200, "", answer.to_string())]).await;
        let places = Places { mlx: NOBODY, ollama: NOBODY, openai: &openai.url(), google: &google.url() };
        let mut gateway = quick();
        gateway["fallbacks"] = json!({"after": {"text-embedding-3-large": ["gemini-embedding-2"]}});
        let (_daemon, http) = start(&places, gateway, "");
        for (path, body) in doors("text-embedding-3-small", &some(2)) {
            let reply = http.send("POST", &path, &[JSON], &body.to_string()).await;
            assert!(reply.status.is_server_error(), "{path}: {}", text(&reply));
            assert!(text(&reply).contains(words), "{path}: {}", text(&reply));
        }
        for (path, body) in doors("text-embedding-3-large", &some(2)) {
            let reply = http.send("POST", &path, &[JSON], &body.to_string()).await;
            assert_eq!((vectors(&reply), reply.header("x-orx-model")), (expected(&some(2)), "gemini-embedding-2"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_names_the_field_and_is_sent_nowhere() {
    let openai = good().await;
    let places = Places { mlx: NOBODY, ollama: NOBODY, openai: &openai.url(), google: NOBODY };
    let (_daemon, http) = start(&places, quick(), "");
    let small = "text-embedding-3-small";
    for (path, body, status, words) in [
        ("/v1/embeddings", json!({"model": small}), 400, "`input`: it is missing"),
        ("/v1/embeddings", json!({"model": small, "input": []}), 400, "`input`: there is nothing in it"),
        ("/v1/embeddings", json!({"model": small, "input": ""}), 400, "`input`: an empty text"),
        ("/v1/embeddings", json!({"model": small, "input": ["a", 7]}), 400, "`input[1]`: a string"),
        ("/v1/embeddings", json!({"model": small, "input": "a", "dimensions": -1}), 400, "`dimensions`"),
        (
            "/v1/embeddings",
            json!({"model": "claude-opus-5-5", "input": "a"}),
            400,
            "`model`: anthropic/claude-opus-5-5",
        ),
        ("/v1/embeddings", json!({"model": "text-embeding-3-small", "input": "a"}), 404, "text-embedding-3-small"),
        ("/api/embed", json!({"model": small, "input": [[1]]}), 400, "`input[0]`: a string"),
        ("/api/embed", json!({"model": "nomic-embed-text", "input": []}), 400, "`input`: there is nothing"),
        (
            "/v1beta/models/gemini-embedding-2:batchEmbedContents",
            json!({"requests": [{}]}),
            400,
            "`requests[0].content`",
        ),
        ("/v1beta/models/gemini-embedding-2:embedContent", json!({"content": {"parts": []}}), 400, "`content.parts`"),
        ("/v1/rerank", json!({"model": small, "query": "q"}), 400, "`documents`: it is missing"),
        ("/v1/rerank", json!({"model": small, "documents": ["a"]}), 400, "`query`: it is missing"),
        ("/v1/rerank", json!({"model": small, "query": "q", "documents": ["a"], "top_n": 0}), 400, "`top_n`"),
        ("/v1/rerank", json!({"model": small, "query": "q", "documents": [{"id": 1}]}), 400, "`documents[0].text`"),
    ] {
        let reply = http.send("POST", path, &[JSON], &body.to_string()).await;
        assert_eq!(reply.status.as_u16(), status, "{path} {body}: {}", text(&reply));
        assert!(text(&reply).contains(words), "{path} {body}: {}", text(&reply));
    }
    // Tokens are of the model that is named, and of no other.
    let own = json!({"model": small, "input": [[1, 2], [3]]}).to_string();
    assert_eq!(http.send("POST", "/v1/embeddings", &[JSON], &own).await.status, 200);
    let other = json!({"model": "gemini-embedding-2", "input": [1, 2, 3]}).to_string();
    let other = http.send("POST", "/v1/embeddings", &[JSON], &other).await;
    assert_eq!(other.status, 400);
    assert!(text(&other).contains("tokens of one model mean nothing to another"), "{}", text(&other));
    assert_eq!(openai.calls().len(), 1, "nothing else was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caps_and_the_callers_limits_hold_for_vectors() {
    let (openai, google) = (good().await, good().await);
    let places = Places { mlx: NOBODY, ollama: NOBODY, openai: &openai.url(), google: &google.url() };
    let mut gateway = quick();
    gateway["caps"] = json!([{"name": "today", "of": "all", "micro_dollars": 1_000}]);
    let more = "  house:\n    dialect: openai\n    base_url: http://127.0.0.1:1/v1\n    models: {free: {capabilities: [embedding]}}\n";
    let (daemon, http) = start(&places, gateway, more);
    let ask = async |model: &str, count: usize| {
        let body = json!({"model": model, "input": some(count)}).to_string();
        http.send("POST", "/v1/embeddings", &[JSON], &body).await
    };
    assert_eq!(ask("gemini-embedding-2", 250).await.status, 200);
    let spent = daemon.call("llm.budget", &json!({}))["caps"][0].clone();
    assert_eq!(spent["spent_microusd"], line(&daemon, "google/gemini-embedding-2").2, "{spent}");
    assert_eq!(spent["reserved_microusd"], 0);
    let calls = google.calls().len();
    let refused = ask("gemini-embedding-2", 2_000).await;
    assert_eq!(refused.status, 402, "{}", text(&refused));
    assert!(text(&refused).contains("the cap `today`"), "{}", text(&refused));
    assert_eq!(google.calls().len(), calls, "a batch that does not fit as a whole is not begun");
    let unpriced = ask("free", 1).await;
    assert_eq!(unpriced.status, 402);
    assert!(text(&unpriced).contains("the price of this call is not known"), "{}", text(&unpriced));
}
