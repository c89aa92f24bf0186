//! Who may call, what is refused, and that nothing of a key or a foreign page comes through.

use orx_tests::provider::{Does, Provider, anthropic_events, chat_answer};
use serde_json::json;

use super::{JSON, ask, ledger, messages, quick, start, text};

async fn quiet() -> Provider {
    Provider::start(vec![Does::Answers(200, "", chat_answer("hello", 12, 3))]).await
}

#[tokio::test]
async fn a_call_without_a_key_of_orx_is_refused_in_the_callers_dialect() {
    let (first, second, chat) = (quiet().await, quiet().await, quiet().await);
    let (_daemon, http) = start(&first, &second, &chat, quick());
    for (path, place, kind) in [
        ("/v1/messages", "type", "authentication_error"),
        ("/v1/chat/completions", "type", "authentication_error"),
        ("/v1/responses", "type", "authentication_error"),
        ("/v1beta/models/gamma:generateContent", "status", "UNAUTHENTICATED"),
    ] {
        for headers in [
            vec![JSON],
            vec![JSON, ("x-api-key", "sk-somebody-elses")],
            vec![JSON, ("authorization", "Bearer orx-ses_x")],
        ] {
            let reply = http.send_bare("POST", path, &headers, &messages("gamma", false)).await;
            assert_eq!(
                (reply.status.as_u16(), reply.json()["error"][place].as_str()),
                (401, Some(kind)),
                "{path} {headers:?}"
            );
        }
    }
    let foreign =
        http.send("POST", "/v1/messages", &[JSON, ("origin", "https://evil.example")], &messages("gamma", false)).await;
    assert_eq!(foreign.status, 403);
    let form = http.send("POST", "/v1/messages", &[("content-type", "text/plain")], &messages("gamma", false)).await;
    assert_eq!(form.status, 415);
    assert!(chat.came().is_empty() && first.came().is_empty(), "nothing was sent on");
}

#[tokio::test]
async fn bad_input_names_what_is_wrong_and_is_sent_nowhere() {
    let (first, second, chat) = (quiet().await, quiet().await, quiet().await);
    let mut gateway = quick();
    gateway["body_bytes"] = json!(2048);
    let (daemon, http) = start(&first, &second, &chat, gateway);
    let long = json!({"model": "gamma", "messages": [{"role": "user", "content": "x".repeat(4000)}]}).to_string();
    for (body, status, words) in [
        ("{\"model\": \"gamma\",\n \"messages\": [}", 400, "line 2, column 15"),
        ("[]", 400, "JSON object"),
        (r#"{"model": 7}"#, 400, "`model`"),
        (r#"{"model":"gamma","model":"alpha","messages":[]}"#, 400, "stands twice"),
        (r#"{"model":"gama","messages":[]}"#, 404, "did you mean `gamma`"),
        (long.as_str(), 413, "limit of 2048 bytes"),
        (r#"{"model":"gpt-6.2-sol","max_tokens":5,"messages":[{"role":"user","content":"x"}]}"#, 503, "OPENAI_API_KEY"),
    ] {
        let reply = ask(&http, body).await;
        assert_eq!(reply.status.as_u16(), status, "{body}: {}", text(&reply));
        assert!(text(&reply).contains(words), "{}", text(&reply));
        assert!(reply.header("x-orx-request-id").starts_with("req_"));
    }
    assert!(chat.came().is_empty() && ledger(&daemon).is_empty());
}

#[tokio::test]
async fn headers_and_unknown_fields_go_on_and_keys_and_addresses_do_not() {
    let first = Provider::start(vec![Does::Streams(anthropic_events("hello", 12, 3))]).await;
    let (second, chat) = (quiet().await, quiet().await);
    let (daemon, http) = start(&first, &second, &chat, quick());
    let body = r#"{"model":"alpha","max_tokens":9,"stream":true,"future_field":{"a":[1, 2]},"base_url":"http://evil","system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}],"messages":[{"role":"user","content":"hi"}]}"#;
    let headers = [
        JSON,
        ("anthropic-beta", "context-management-2025-06-27,x"),
        ("x-claude-code-session-id", "abc"),
        ("x-orx-key", &http.token.clone()),
        ("accept-encoding", "gzip"),
        ("x-base-url", "http://evil"),
    ];
    let reply = http.send("POST", "/v1/messages?beta=true", &headers, body).await;
    assert_eq!(reply.status, 200, "{}", text(&reply));
    assert_eq!((reply.header("x-orx-provider"), reply.header("x-orx-model")), ("first", "alpha"));
    let came = first.came().remove(0);
    assert_eq!(came.line, "POST /v1/messages?beta=true");
    assert_eq!(String::from_utf8(came.body.clone()).unwrap(), body, "every byte is the caller's");
    assert_eq!(came.header("anthropic-beta"), "context-management-2025-06-27,x");
    assert_eq!(came.header("x-claude-code-session-id"), "abc");
    assert_eq!(came.header("x-api-key"), "operators-secret");
    assert_eq!((came.header("authorization"), came.header("accept-encoding"), came.header("x-orx-key")), ("", "", ""));
    let line = &ledger(&daemon)[0];
    assert_eq!(
        (line["name"].as_str(), line["input"].as_u64(), line["output"].as_u64()),
        (Some("first/alpha"), Some(12), Some(3))
    );
    assert_eq!(line["cost_microusd"], 12 + 15);
    assert!(!daemon.log().contains("operators-secret"), "a key is never logged");
}

#[tokio::test]
async fn a_login_of_the_callers_own_goes_to_its_vendor_alone_and_costs_no_money() {
    let vendor = Provider::start(vec![Does::Streams(anthropic_events("hello", 12, 3))]).await;
    let (second, chat) = (quiet().await, quiet().await);
    let (daemon, http) = super::start_with(&vendor, &second, &chat, quick(), |settings| {
        let path = settings.config.with_file_name("providers.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}  anthropic:\n    base_url: {}\n", vendor.url())).unwrap();
    });
    let key = http.token.clone();
    let headers = [JSON, ("authorization", "Bearer sk-ant-oat01-mine"), ("x-orx-key", key.as_str())];
    let reply = http.send_bare("POST", "/v1/messages", &headers, &messages("claude-of-tomorrow", true)).await;
    assert_eq!(reply.status, 200, "{}", text(&reply));
    let came = vendor.came().remove(0);
    assert_eq!((came.header("authorization"), came.header("x-api-key")), ("Bearer sk-ant-oat01-mine", ""));
    assert_eq!(
        came.json()["model"],
        "claude-of-tomorrow",
        "a model that the catalogue does not know is the vendor's matter"
    );
    let line = &ledger(&daemon)[0];
    assert_eq!((line["input"].as_u64(), line["unpriced"].as_u64()), (Some(12), Some(1)));
    assert_eq!(line["name"], "anthropic/(unlisted)", "a caller makes up no names here");
}

#[tokio::test]
async fn lists_of_models_are_in_the_callers_form() {
    let (first, second, chat) = (quiet().await, quiet().await, quiet().await);
    let (_daemon, http) = start(&first, &second, &chat, quick());
    let openai = http.send("GET", "/v1/models", &[], "").await.json();
    let names: Vec<&str> = openai["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert!(names.contains(&"alpha") && names.contains(&"gamma") && !names.contains(&"gpt-6.2-sol"), "{names:?}");
    let anthropic = http.send("GET", "/v1/models", &[("anthropic-version", "2023-06-01")], "").await.json();
    assert_eq!((anthropic["has_more"].as_bool(), anthropic["data"][0]["type"].as_str()), (Some(false), Some("model")));
    let gemini = http.send("GET", "/v1beta/models/gamma", &[], "").await.json();
    assert_eq!(gemini["name"], "models/gamma");
    // Google's SDKs ask below `/v1` since their third version.
    let google = http.send("GET", "/v1/models", &[("x-goog-api-client", "google-genai-sdk/3.6.1")], "").await.json();
    assert!(google["models"].as_array().unwrap().iter().any(|model| model["name"] == "models/gamma"), "{google}");
    let tags = http.send("GET", "/api/tags", &[], "").await.json();
    assert!(tags["models"].as_array().unwrap().iter().any(|model| model["name"] == "gamma"));
    assert_eq!(http.send("GET", "/v1/models/gama", &[], "").await.status, 404);
}
