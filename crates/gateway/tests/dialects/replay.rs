//! What a caller's client sends back of an answer: the provider finds its own signatures and identifiers in it again.

use orx_gateway::dialect::Dialect;
use orx_gateway::dialect::stream::UpstreamEnd;
use orx_gateway::dialect::translate::{self, Target};
use serde_json::{Value, json};

use super::sample::{assembled, call, caller, reply, stream, through_stream, translated};

/// The next request of a client that got `answer`: the answer as it came, and the results of its calls.
fn next(dialect: Dialect, answer: &Value) -> Vec<u8> {
    let body = match dialect {
        Dialect::Anthropic => {
            let results: Vec<Value> = answer["content"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|block| block["type"] == "tool_use")
                .map(|block| json!({"type": "tool_result", "tool_use_id": block["id"], "content": "done"}))
                .collect();
            json!({"model": "m", "max_tokens": 9000, "messages": [
                {"role": "user", "content": "go"}, {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results}]})
        }
        Dialect::Chat => {
            let message = &answer["choices"][0]["message"];
            let mut messages = vec![json!({"role": "user", "content": "go"}), message.clone()];
            messages.extend(
                message["tool_calls"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "done"})),
            );
            json!({"model": "m", "messages": messages})
        }
        Dialect::Responses => {
            let mut input = vec![json!({"role": "user", "content": "go"})];
            let output = answer["output"].as_array().unwrap();
            input.extend(output.iter().cloned());
            input.extend(
                output
                    .iter()
                    .filter(|item| item["type"] == "function_call")
                    .map(|item| json!({"type": "function_call_output", "call_id": item["call_id"], "output": "done"})),
            );
            json!({"model": "m", "input": input})
        }
        Dialect::Gemini => {
            let content = &answer["candidates"][0]["content"];
            let results: Vec<Value> = content["parts"].as_array().unwrap().iter().filter_map(|part| part.get("functionCall"))
                .map(|call| json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"output": "done"}}})).collect();
            json!({"contents": [{"role": "user", "parts": [{"text": "go"}]}, content, {"role": "user", "parts": results}]})
        }
        Dialect::Ollama => {
            let message = &answer["message"];
            let mut messages = vec![json!({"role": "user", "content": "go"}), message.clone()];
            messages.extend(
                message["tool_calls"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|call| json!({"role": "tool", "tool_name": call["function"]["name"], "content": "done"})),
            );
            json!({"model": "m", "messages": messages})
        }
    };
    serde_json::to_vec(&body).unwrap()
}

const SIGNATURE: &str = "U0lHKy89";
const CALL_SIGNATURE: &str = "Q0FMTFNJRw==";

fn check(provider: Dialect, client: Dialect, request: &[u8]) {
    let back = String::from_utf8(translated(client, provider, request)).unwrap();
    // The mark is for callers alone.
    assert!(!back.contains("orx.") && !back.contains("__sig__"), "{provider} through {client}: {back}");
    let signs = !matches!(provider, Dialect::Ollama) && client != Dialect::Ollama;
    assert_eq!(back.contains(&format!("\"{SIGNATURE}\"")), signs, "{provider} through {client}: {back}");
    if provider == Dialect::Gemini {
        assert!(back.contains(CALL_SIGNATURE), "through {client}: {back}");
    }
    assert_eq!(back.matches("done").count(), 2, "{provider} through {client}: {back}");
}

#[test]
fn a_provider_gets_its_own_signatures_back_through_every_caller() {
    for provider in Dialect::ALL {
        for client in Dialect::ALL {
            let out = translate::reply(provider, &caller(client), &reply(provider)).unwrap();
            let answer: Value = serde_json::from_slice(&out.body).unwrap();
            check(provider, client, &next(client, &answer));
        }
    }
}

#[test]
fn streamed_signatures_come_back_too() {
    for provider in Dialect::ALL {
        let (out, _) = through_stream(provider, &caller(Dialect::Anthropic), &[&stream(provider)], UpstreamEnd::Eof);
        check(provider, Dialect::Anthropic, &next(Dialect::Anthropic, &assembled(&out)));
    }
}

#[test]
fn another_provider_does_not_get_them() {
    for provider in Dialect::ALL {
        for other in Dialect::ALL.into_iter().filter(|other| *other != provider) {
            let out = translate::reply(provider, &caller(Dialect::Anthropic), &reply(provider)).unwrap();
            let answer: Value = serde_json::from_slice(&out.body).unwrap();
            let request = next(Dialect::Anthropic, &answer);
            let translated = translate::request(&call(Dialect::Anthropic), &Target::new(other, "m"), &request).unwrap();
            let body = String::from_utf8(translated.body).unwrap();
            assert!(!body.contains(SIGNATURE) && !body.contains("I should read"), "{provider} to {other}: {body}");
            assert!(translated.losses.iter().any(|loss| loss.field == "thinking"), "{provider} to {other}");
        }
    }
}

#[test]
fn redacted_reasoning_comes_back_through_every_caller_that_has_a_place_for_it() {
    let body = br#"{"id":"m","type":"message","role":"assistant","model":"x","content":[{"type":"redacted_thinking","data":"SECRETDATA"},{"type":"tool_use","id":"t1","name":"f","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}"#;
    for client in [Dialect::Anthropic, Dialect::Chat, Dialect::Responses, Dialect::Gemini] {
        let out = translate::reply(Dialect::Anthropic, &caller(client), body).unwrap();
        let answer: Value = serde_json::from_slice(&out.body).unwrap();
        let back = String::from_utf8(translated(client, Dialect::Anthropic, &next(client, &answer))).unwrap();
        assert!(back.contains(r#"{"type":"redacted_thinking","data":"SECRETDATA"}"#), "{client}: {back}");
    }
    let out = translate::reply(Dialect::Anthropic, &caller(Dialect::Ollama), body).unwrap();
    assert_eq!(out.losses[0].field, "redacted_thinking");
}

#[test]
fn calls_of_other_models_are_marked_for_a_model_that_wants_signatures() {
    let request = super::sample::request(Dialect::Anthropic);
    let mut target = Target::new(Dialect::Gemini, "gemini-3");
    target.signed_calls = true;
    let body = translate::request(&call(Dialect::Anthropic), &target, &request).unwrap().body;
    assert_eq!(String::from_utf8(body).unwrap().matches("skip_thought_signature_validator").count(), 1);
}
