use super::{s0, s1};
use crate::amount::MicroDollars;
use crate::catalogue::{Catalogue, Model, ModelIndex};
use crate::strategy::Health;
use orx_protocol::{ErrorKind, RpcError};
use serde_json::{Value, json};

/// S1's four providers, and one that only makes vectors.
const FIVE: &str = "
providers:
  anthropic:
    dialect: anthropic
    models:
      claude-sonnet-4: {title: Claude Sonnet 4, context: 200000, quality: 950, latency_ms: 2000, capabilities: [coding, reasoning, creative, analysis, chat], price: {input: 15000000, output: 15000000}}
  openai:
    dialect: openai
    models:
      gpt-4-turbo: {title: GPT-4 Turbo, context: 128000, quality: 900, latency_ms: 1500, capabilities: [coding, reasoning, creative, chat], price: {input: 10000000, output: 10000000}}
      embed: {capabilities: [embedding], price: {input: 0, output: 0}}
  google:
    dialect: google
    models:
      gemini-pro: {title: Gemini Pro, context: 32000, quality: 850, latency_ms: 1200, capabilities: [reasoning, creative, analysis, chat], price: {input: 7000000, output: 7000000}}
  local:
    dialect: ollama
    local: true
    models:
      local-llm: {title: Local LLM, context: 8000, quality: 750, latency_ms: 800, capabilities: [coding, reasoning], price: {input: 0, output: 0}}
";

fn catalogue() -> Catalogue {
    Catalogue::read(&[("five.yaml", FIVE)]).unwrap()
}

fn healthy(_: ModelIndex, _: &Model) -> Health {
    Health::UNTRIED
}

fn s1(request: Value, left: Option<u64>, health: impl Fn(ModelIndex, &Model) -> Health) -> Result<Value, RpcError> {
    let request: s1::Request = serde_json::from_value(request).unwrap();
    let reply = s1::route(&request, &catalogue(), left.map(MicroDollars), health, 0)?;
    Ok(serde_json::to_value(reply).unwrap())
}

fn s0(request: Value, health: impl Fn(ModelIndex, &Model) -> Health) -> Result<Value, RpcError> {
    let request: s0::Request = serde_json::from_value(request).unwrap();
    let reply = s0::route(&request, &catalogue(), None, health, 0)?;
    Ok(serde_json::to_value(reply).unwrap())
}

#[test]
fn s1s_request_has_s1s_answer() {
    let day = Some(100_000_000);
    let reply = s1(json!({"token_count": 5000, "task_type": "coding", "priority": "high"}), day, healthy).unwrap();
    assert_eq!((&reply["provider"], &reply["fallback"]), (&json!("Claude Sonnet 4"), &json!(false)));
    assert_eq!(reply["reasoning"], "high quality match, cost-effective, supports coding tasks");
    assert_eq!(reply["estimated_cost"], json!(0.075));
    assert!(reply["confidence"].as_f64().unwrap() > 0.8);
    assert_eq!((&reply["model"], &reply["provider_id"]), (&json!("claude-sonnet-4"), &json!("anthropic")));
    for (priority, provider) in [("medium", "GPT-4 Turbo"), ("low", "Local LLM"), ("", "GPT-4 Turbo")] {
        let reply =
            s1(json!({"token_count": 5000, "task_type": "coding", "priority": priority}), day, healthy).unwrap();
        assert_eq!(reply["provider"], provider, "{priority}");
    }
    let reply = s1(json!({"token_count": 100, "max_latency": 1000}), day, healthy).unwrap();
    assert_eq!(reply["provider"], "Local LLM");
    assert!(
        reply["reasoning"]
            .as_str()
            .unwrap()
            .ends_with("cost-effective, meets latency requirements, supports reasoning tasks")
    );
    assert_eq!(s1(json!({}), day, healthy).unwrap()["interface"], "api");
}

#[test]
fn s1s_way_out_is_honest() {
    let day = Some(100_000_000);
    // No such type, and no time that is short enough: somebody who is there.
    for request in [json!({"task_type": "juggling"}), json!({"max_latency": 1}), json!({"task_type": "testing"})] {
        let reply = s1(request.clone(), day, healthy).unwrap();
        assert_eq!(reply["reasoning"], "No suitable providers found, using fallback", "{request}");
        assert_eq!((&reply["confidence"], &reply["fallback"]), (&json!(0.5), &json!(true)));
        assert_ne!(reply["model"], "embed");
    }
    // No room, no money, nobody up: no answer.
    let closed = |_: ModelIndex, _: &Model| Health { admitted: false, ..Health::UNTRIED };
    let long = s1(json!({"token_count": 200_001, "task_type": "coding"}), day, healthy);
    assert!(long.as_ref().unwrap_err().message.contains("does not fit into its 200000 tokens"), "{long:?}");
    let down = s1(json!({"token_count": 5}), day, closed).unwrap_err();
    assert!(
        down.message.contains("not anthropic/claude-sonnet-4: it is down or its breaker is open"),
        "{}",
        down.message
    );
    assert_eq!(down.kind(), ErrorKind::Unavailable);
    let poor = s1(json!({"token_count": 9_000, "task_type": "coding"}), Some(1), healthy).unwrap_err();
    assert!(poor.message.contains("it would cost $0.135, more than is left"), "{}", poor.message);
    // Spent to the last: what costs nothing can still be had.
    let free = s1(json!({"token_count": 5_000, "task_type": "coding", "priority": "high"}), Some(0), healthy).unwrap();
    assert_eq!(free["provider"], "Local LLM");
}

#[test]
fn s1s_bad_requests_are_refused() {
    for (request, expected) in [
        (json!({"token_count": -1}), "`token_count`: -1 is no number of tokens"),
        (json!({"output_tokens": -5}), "`output_tokens`: -5 is no number of tokens"),
        (json!({"priority": "urgent"}), "`priority`: `urgent` is none: there are high, medium and low"),
        (json!({"max_latency": -2}), "`max_latency`: -2 is no time in milliseconds"),
    ] {
        let error = s1(request, None, healthy).unwrap_err();
        assert_eq!((error.message.as_str(), error.kind()), (expected, ErrorKind::InvalidParams));
    }
}

#[test]
fn s0s_request_has_s0s_answer() {
    let reply = s0(json!({"type": "analysis", "strategy": "cost"}), healthy).unwrap();
    let decision = &reply["decision"];
    assert_eq!((&decision["agentId"], &decision["agentName"]), (&json!("gemini-pro"), &json!("Gemini Pro")));
    assert_eq!((&decision["estimatedCost"], &decision["estimatedTime"]), (&json!(0.007), &json!(1200)));
    assert!((decision["confidence"].as_f64().unwrap() - 0.9).abs() < 1e-9, "never tried: 0.5 + 0.2 + 0.1 + 0.1");
    assert!(decision["reasoning"].as_str().unwrap().starts_with("first by cost for analysis: score "), "{decision}");
    assert!(decision["reasoning"].as_str().unwrap().ends_with("(1000 tokens assumed)"), "{decision}");
    let alternatives = reply["alternatives"].as_array().unwrap();
    assert_eq!(alternatives.iter().map(|one| &one["agentId"]).collect::<Vec<_>>(), ["claude-sonnet-4"]);
    let reply = s0(json!({"type": "reasoning", "strategy": "latency", "tokens": 2_000}), healthy).unwrap();
    assert_eq!(reply["decision"]["agentId"], "local-llm");
    assert_eq!(reply["alternatives"].as_array().unwrap().len(), 2);
    assert_eq!(
        s0(json!({"type": "chat"}), healthy).unwrap()["decision"]["agentId"],
        "gemini-pro",
        "capability is the default: alike within a tenth, and the fastest of them"
    );
}

#[test]
fn s0s_preferred_agent_is_taken_where_it_can_be() {
    let request = json!({"type": "reasoning", "preferredAgent": "gpt-4-turbo", "strategy": "latency"});
    let reply = s0(request.clone(), healthy).unwrap();
    assert_eq!(
        (&reply["decision"]["agentId"], &reply["decision"]["confidence"]),
        (&json!("gpt-4-turbo"), &json!(0.95))
    );
    assert!(reply["decision"]["reasoning"].as_str().unwrap().starts_with("preferred by the request for reasoning: "));
    let without =
        |_: ModelIndex, model: &Model| Health { configured: &*model.route.provider != "openai", ..Health::UNTRIED };
    assert_eq!(s0(request, without).unwrap()["decision"]["agentId"], "local-llm");
    let error = s0(json!({"type": "reasoning", "preferredAgent": "gpt-4-turob"}), healthy).unwrap_err();
    assert_eq!(error.message, "`preferredAgent`: there is no model `gpt-4-turob`: did you mean `gpt-4-turbo`?");
}

#[test]
fn s0s_bad_requests_are_refused() {
    for (request, expected, kind) in [
        (json!({}), "`type`: `` is none: there are code_generation, ", ErrorKind::InvalidParams),
        (
            json!({"type": "juggling"}),
            "`type`: `juggling` is none: there are code_generation, ",
            ErrorKind::InvalidParams,
        ),
        (
            json!({"type": "chat", "strategy": "random"}),
            "`strategy`: `random` is none: there are capability, load_balance, cost, latency, score",
            ErrorKind::InvalidParams,
        ),
        (
            json!({"type": "chat", "priority": "now"}),
            "`priority`: `now` is none: there are critical, ",
            ErrorKind::InvalidParams,
        ),
        (
            json!({"type": "testing"}),
            "no agent is available for testing: no model can be taken by capability; not anthropic/claude-sonnet-4: it lacks testing",
            ErrorKind::NotFound,
        ),
    ] {
        let error = s0(request, healthy).unwrap_err();
        assert!(error.message.starts_with(expected), "{}", error.message);
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn every_type_of_s0_has_somebody_built_in() {
    let built_in = Catalogue::built_in().unwrap();
    for kind in [
        "code_generation",
        "code_review",
        "refactoring",
        "documentation",
        "testing",
        "debugging",
        "analysis",
        "explanation",
        "chat",
    ] {
        for strategy in ["capability", "load_balance", "cost", "latency", "score"] {
            let request: s0::Request = serde_json::from_value(json!({"type": kind, "strategy": strategy})).unwrap();
            assert!(s0::route(&request, &built_in, None, healthy, 0).is_ok(), "{kind} {strategy}");
        }
    }
}
