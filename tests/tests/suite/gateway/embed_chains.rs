//! Which model makes the vectors when one is gone, texts put in order with and without a provider that does it, and S4's three questions.

use orx_tests::provider::{Does, Provider, tokens, vector};
use serde_json::{Value, json};

use super::embed::{NOBODY, Places, expected, good, some, start};
use super::{JSON, ledger, quick, text};

/// S4's chain, as an operator writes it.
fn chained() -> Value {
    let mut gateway = quick();
    gateway["fallbacks"] = json!({"after": {
        "qwen3-embedding-4b": ["nomic-embed-text"],
        "nomic-embed-text": ["text-embedding-3-small"],
        "glm-4.5": ["llama3.2:3b"],
        "llama3.2:3b": ["gpt-5"],
    }});
    gateway["rules"] = json!({"types": {"chat": {"models": ["glm-4.5", "llama3.2:3b", "gpt-5"], "strategy": "cost"}}});
    gateway
}

fn embeddings(model: &str) -> String {
    json!({"model": model, "input": some(2)}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_of_another_model_come_only_along_a_chain_that_somebody_wrote() {
    let (ollama, openai) = (good().await, good().await);
    let (ollama_url, openai_url) = (ollama.url(), openai.url());
    let places = Places { mlx: NOBODY, ollama: &ollama_url, openai: &openai_url, google: NOBODY };
    let mut last = quick();
    last["fallbacks"] = json!({"last": ["text-embedding-3-small", "gpt-5"]});
    for gateway in [quick(), last] {
        let (daemon, http) = start(&places, gateway, "");
        for model in ["qwen3-embedding-4b", "auto"] {
            let reply = http.send("POST", "/v1/embeddings", &[JSON], &embeddings(model)).await;
            assert_eq!(reply.status, 503, "{model}: {}", text(&reply));
            assert!(
                text(&reply).contains("mlx/mlx-community/Qwen3-Embedding-4B-4bit-DWQ is not asked: it is marked down")
            );
        }
        assert!(ollama.calls().is_empty() && openai.calls().is_empty() && ledger(&daemon).is_empty());
    }
    let (daemon, http) = start(&places, chained(), "");
    let reply = http.send("POST", "/v1/embeddings", &[JSON], &embeddings("qwen3-embedding-4b")).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-orx-model")), (200, "nomic-embed-text"), "{}", text(&reply));
    assert_eq!(reply.json()["model"], "nomic-embed-text", "the answer says whose vectors they are");
    let asked = ollama.calls()[0].json();
    assert_eq!(asked["model"], "nomic-embed-text", "each is asked by its own name: {asked}");
    assert_eq!(ledger(&daemon)[0]["name"], "ollama/nomic-embed-text");

    let places = Places { mlx: NOBODY, ollama: NOBODY, openai: &openai_url, google: NOBODY };
    let (daemon, http) = start(&places, chained(), "");
    for (path, body) in [
        ("/v1/embeddings", embeddings("qwen3-embedding-4b")),
        ("/api/embed", embeddings("auto")),
        ("/v1/embeddings", embeddings("")),
    ] {
        let reply = http.send("POST", path, &[JSON], &body).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-orx-model")), (200, "text-embedding-3-small"), "{path}");
    }
    for came in openai.calls() {
        assert_eq!(came.json()["model"], "text-embedding-3-small");
    }
    let counted = 3 * some(2).iter().map(|text| tokens(text)).sum::<u64>();
    assert_eq!((ledger(&daemon)[0]["calls"].as_u64(), ledger(&daemon)[0]["input"].as_u64()), (Some(3), Some(counted)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_dies_later_is_left_along_the_chain_too() {
    let mlx = Provider::start(vec![Does::Answers(200, "", "{}".to_owned()), Does::Drops]).await;
    let (ollama, openai) = (good().await, good().await);
    let places = Places { mlx: &mlx.url(), ollama: &ollama.url(), openai: &openai.url(), google: NOBODY };
    let (_daemon, http) = start(&places, chained(), "");
    let reply = http.send("POST", "/v1/embeddings", &[JSON], &embeddings("auto")).await;
    assert_eq!((reply.header("x-orx-provider"), reply.header("x-orx-attempts")), ("ollama", "3"), "{}", text(&reply));
    assert_eq!(mlx.calls()[0].json()["model"], "mlx-community/Qwen3-Embedding-4B-4bit-DWQ");
    assert_eq!(reply.json()["data"][1]["embedding"], expected(&some(2))[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_says_which_model_embeds_where_none_is_named() {
    let (ollama, google) = (good().await, good().await);
    let places = Places { mlx: NOBODY, ollama: &ollama.url(), openai: NOBODY, google: &google.url() };
    let mut gateway = quick();
    gateway["rules"] = json!({"types": {"embedding": {"models": ["gemini-embedding-001"]}}, "default": {"models": ["opus"], "over_named": true}});
    let (_daemon, http) = start(&places, gateway, "");
    for (model, asked) in [("auto", "gemini-embedding-001"), ("bge-m3", "bge-m3")] {
        let reply = http.send("POST", "/v1/embeddings", &[JSON], &embeddings(model)).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-orx-model")), (200, asked), "{}", text(&reply));
    }
}

const DOCUMENTS: [&str; 3] = ["bbb bbb", "a b c", "aaa aaa aaa"];

fn rerank(model: &str) -> String {
    json!({"model": model, "query": "aaaa", "documents": DOCUMENTS, "top_n": 2, "return_documents": true}).to_string()
}

/// Cosine of the vectors that providers make here.
fn cosine(one: &str, other: &str) -> f64 {
    let (one, other) = (vector(one), vector(other));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(&one, &other) / (product(&one, &one).sqrt() * product(&other, &other).sqrt())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_put_in_order_by_vectors_where_a_provider_has_no_rerank() {
    let (mlx, ollama, openai, google) = (good().await, good().await, good().await, good().await);
    let places = Places { mlx: &mlx.url(), ollama: &ollama.url(), openai: &openai.url(), google: &google.url() };
    let (daemon, http) = start(&places, quick(), "");
    let counted: u64 = DOCUMENTS.iter().chain(&["aaaa"]).map(|text| tokens(text)).sum();
    for (model, by) in [
        ("qwen3-reranker-4b", "mlx-community/Qwen3-Embedding-4B-4bit-DWQ"),
        ("nomic-embed-text", "nomic-embed-text"),
        ("llama3.2:3b", "nomic-embed-text"),
        ("text-embedding-3-large", "text-embedding-3-large"),
        ("gemini-flash", "gemini-embedding-2"),
    ] {
        for path in ["/v1/rerank", "/rerank"] {
            let reply = http.send("POST", path, &[JSON], &rerank(model)).await;
            assert_eq!((reply.status.as_u16(), reply.header("x-orx-model")), (200, by), "{model}: {}", text(&reply));
            assert_eq!(reply.header("x-orx-rerank"), "embeddings", "{model}");
            let answer = reply.json();
            let results = answer["results"].as_array().unwrap();
            assert_eq!(
                (results.len(), &results[0]["index"], &results[1]["index"]),
                (2, &json!(2), &json!(1)),
                "{answer}"
            );
            assert_eq!(results[0]["document"]["text"], DOCUMENTS[2]);
            for (result, document) in results.iter().zip([DOCUMENTS[2], DOCUMENTS[1]]) {
                let score = result["relevance_score"].as_f64().unwrap();
                assert!((score - cosine("aaaa", document)).abs() < 1e-9, "{model}: {answer}");
            }
            assert_eq!(answer["usage"]["total_tokens"].as_u64(), Some(counted), "{model}");
        }
    }
    let kinds = daemon.call("llm.usage", &json!({"by": "kind"}))["lines"].clone();
    assert_eq!((&kinds[0]["name"], &kinds[0]["calls"]), (&json!("rerank_by_embeddings"), &json!(10)), "{kinds}");
    assert_eq!(kinds[0]["input"], json!(10 * counted), "as the providers counted");
    assert_eq!(mlx.calls()[0].line, "POST /v1/embeddings", "it has no `/rerank`");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_puts_texts_in_order_is_asked_to_and_another_stands_in_for_it() {
    let (judge, ollama) = (good().await, good().await);
    let more = |url: &str| {
        format!(
            "  judge:\n    dialect: openai\n    base_url: '{url}/v1'\n    models: {{ranker: {{capabilities: [rerank], price: {{input: 1000000}}}}}}\n"
        )
    };
    let mut gateway = quick();
    gateway["fallbacks"] = json!({"after": {"ranker": ["nomic-embed-text"]}});
    let places = Places { mlx: NOBODY, ollama: &ollama.url(), openai: NOBODY, google: NOBODY };
    let (daemon, http) = start(&places, gateway.clone(), &more(&judge.url()));
    let reply = http.send("POST", "/v1/rerank", &[JSON], &rerank("ranker")).await;
    assert_eq!(reply.json()["results"][0]["index"], 2, "{}", text(&reply));
    assert_eq!((reply.header("x-orx-rerank"), reply.header("x-orx-model")), ("", "ranker"));
    assert_eq!(
        (judge.calls()[0].line.as_str(), judge.calls()[0].json()["top_n"].as_u64()),
        ("POST /v1/rerank", Some(2))
    );
    let kinds = daemon.call("llm.usage", &json!({"by": "kind"}))["lines"].clone();
    assert_eq!((&kinds[0]["name"], &kinds[0]["cost_microusd"]), (&json!("rerank"), &json!(8)), "{kinds}");

    for answer in [
        r#"{"results":[{"index":3,"relevance_score":1}]}"#,
        r#"{"results":[{"index":0,"relevance_score":1},{"index":0,"relevance_score":1}]}"#,
        r#"{"results":"none"}"#,
    ] {
        let wrong = Provider::start(vec![Does::Answers(200, "", answer.to_owned())]).await;
        let (_daemon, http) = start(&places, gateway.clone(), &more(&wrong.url()));
        let reply = http.send("POST", "/v1/rerank", &[JSON], &rerank("ranker")).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-orx-rerank")), (200, "embeddings"), "{}", text(&reply));
        let (_daemon, http) = start(&places, quick(), &more(&wrong.url()));
        let reply = http.send("POST", "/v1/rerank", &[JSON], &rerank("ranker")).await;
        assert_eq!(reply.status, 502, "{}", text(&reply));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_in_the_words_of_s4_are_answered_along_its_chain_in_its_shape() {
    let (ollama, openai) = (good().await, good().await);
    let (ollama_url, openai_url) = (ollama.url(), openai.url());
    for (ollama_url, provider, embedding, chat) in [
        (ollama_url.as_str(), "ollama", "nomic-embed-text", "llama3.2:3b"),
        (NOBODY, "openai", "text-embedding-3-small", "gpt-5"),
    ] {
        let places = Places { mlx: NOBODY, ollama: ollama_url, openai: &openai_url, google: NOBODY };
        let mut gateway = chained();
        gateway["fallbacks"]["after"]["qwen3-reranker-4b"] = json!(["nomic-embed-text"]);
        let (_daemon, http) = start(&places, gateway, "");
        let asked = json!({"texts": some(5), "task": "semantic-search"}).to_string();
        let reply = http.send("POST", "/api/v1/models/embeddings", &[JSON], &asked).await;
        let told = reply.json();
        assert_eq!((reply.status.as_u16(), &told["embeddings"]), (200, &expected(&some(5))), "every text: {told}");
        assert_eq!((&told["model"], &told["provider"]), (&json!(embedding), &json!(provider)), "{told}");
        assert!(told["processingTime"].is_u64() && told["tokensUsed"]["total"] == 25, "{told}");

        let asked = json!({"query": "aaaa", "documents": DOCUMENTS}).to_string();
        let reply = http.send("POST", "/api/v1/models/rerank", &[JSON], &asked).await;
        let told = reply.json();
        let scores: Vec<f64> = told["scores"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        assert_eq!((scores.len(), reply.header("x-orx-rerank")), (3, "embeddings"), "{told}");
        for (score, document) in scores.iter().zip(DOCUMENTS) {
            assert!((score - cosine("aaaa", document)).abs() < 1e-9, "{told}");
        }
        assert_eq!((&told["model"], &told["provider"]), (&json!(embedding), &json!(provider)), "{told}");

        if provider == "openai" {
            let asked =
                json!({"messages": [{"role": "user", "content": "hi"}], "task": "chat", "maxTokens": 9}).to_string();
            let reply = http.send("POST", "/api/v1/models/chat", &[JSON], &asked).await;
            let told = reply.json();
            assert_eq!((&told["content"], &told["finishReason"]), (&json!("hello"), &json!("stop")), "{told}");
            assert_eq!((&told["model"], &told["provider"]), (&json!(chat), &json!(provider)), "{told}");
            assert_eq!(told["tokensUsed"]["total_tokens"], 15, "{told}");
            let came = openai.calls().into_iter().find(|came| came.line.contains("/chat/completions")).unwrap();
            assert_eq!(came.json()["model"], "gpt-5", "each is asked by its own name");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_s4_has_its_own_status_and_shape() {
    let openai = Provider::start(vec![Does::Answers(
        429,
        "retry-after: 7\r\n",
        r#"{"error":{"message":"slow down"}}"#.to_owned(),
    )])
    .await;
    let places = Places { mlx: NOBODY, ollama: NOBODY, openai: &openai.url(), google: NOBODY };
    let (_daemon, http) = start(&places, quick(), "");
    for (path, body, status, words) in [
        ("embeddings", json!({}), 400, "`texts`: it is missing"),
        ("embeddings", json!({"texts": []}), 400, "`texts`: there is nothing in it"),
        ("embeddings", json!({"texts": ["a", ""]}), 400, "`texts[1]`"),
        ("chat", json!({"messages": []}), 400, "`messages`"),
        ("chat", json!({"messages": [{"role": "user", "content": "x"}], "maxTokens": 0}), 400, "`maxTokens`"),
        ("rerank", json!({"query": "q"}), 400, "`documents`: it is missing"),
        ("rerank", json!({"documents": ["a"]}), 400, "`query`: it is missing"),
        ("embeddings", json!({"texts": ["a"], "model": "nomic-embed-txt"}), 404, "nomic-embed-text"),
        ("embeddings", json!({"texts": ["a"]}), 503, "is not asked"),
        ("embeddings", json!({"texts": ["a"], "model": "text-embedding-3-small"}), 429, "slow down"),
    ] {
        let reply = http.send("POST", &format!("/api/v1/models/{path}"), &[JSON], &body.to_string()).await;
        let told = reply.json();
        assert_eq!(
            (reply.status.as_u16(), told["error"]["code"].as_u64()),
            (status, Some(u64::from(status))),
            "{told}"
        );
        assert!(told["error"]["message"].as_str().unwrap().contains(words), "{words}: {told}");
        assert!(reply.header("x-orx-request-id").starts_with("req_"), "{:?}", reply.headers);
    }
    let unknown = http.send_bare("POST", "/api/v1/models/chat", &[JSON], "{}").await;
    assert_eq!((unknown.status.as_u16(), unknown.json()["error"]["code"].as_u64()), (401, Some(401)));
    let fields = http.send("POST", "/api/v1/models/rerank", &[JSON], r#"{"query":"q"}"#).await.json();
    assert_eq!(fields["error"]["details"]["field"], "documents");
}
