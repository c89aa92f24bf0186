//! What users of other gateways complain of, each with the report that named it; none of it happens here.

use orx_gateway::dialect::stream::UpstreamEnd;
use orx_gateway::dialect::translate::{self, Target};
use orx_gateway::dialect::{Dialect, count, json};
use serde_json::Value;

use super::sample::{assembled, call, caller, through_stream};

/// A chat stream of these deltas, to an Anthropic caller.
fn to_anthropic(deltas: &[&str], usage: &str) -> Value {
    let mut stream = String::new();
    for delta in deltas {
        stream.push_str(&format!(
            "data: {{\"id\":\"c\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n"
        ));
    }
    stream.push_str("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n");
    stream.push_str(&format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"));
    let (out, translator) =
        through_stream(Dialect::Chat, &caller(Dialect::Anthropic), &[stream.as_bytes()], UpstreamEnd::Eof);
    assert!(translator.is_finished(), "{:?}", translator.failure());
    assembled(&out)
}

const USAGE: &str = r#"{"prompt_tokens":10,"completion_tokens":5}"#;

/// litellm#13373, #14315: "content block not found".
#[test]
fn deltas_always_belong_to_an_open_block() {
    let message = to_anthropic(
        &[
            r#"{"content":"a"}"#,
            r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{\"a\":"}}]}"#,
            r#"{"content":"b"}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}"#,
            r#"{"reasoning_content":"t"}"#,
            r#"{"content":"c"}"#,
        ],
        USAGE,
    );
    let sorts: Vec<&str> =
        message["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(sorts, ["text", "tool_use", "text", "thinking", "text"]);
    assert_eq!(message["content"][1]["input"], serde_json::json!({"a": 1}));
}

/// litellm#24176, CLIProxyAPI#1700: input_tokens 0 in message_start, "Ctx 0 %".
#[test]
fn the_beginning_of_a_stream_tells_the_prompts_tokens() {
    let chat = b"data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let mut anthropic = caller(Dialect::Anthropic);
    anthropic.prompt_estimate = Some(1234);
    let (out, _) = through_stream(Dialect::Chat, &anthropic, &[chat], UpstreamEnd::Eof);
    assert!(String::from_utf8(out).unwrap().contains(r#""usage":{"input_tokens":1234,"#));
    // What is known is not replaced by an estimate, and the end tells what was counted.
    let message = to_anthropic(&[r#"{"content":"x"}"#], r#"{"prompt_tokens":77,"completion_tokens":5}"#);
    assert_eq!((&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]), (&77.into(), &5.into()));
    let gemini = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}],\"usageMetadata\":{\"promptTokenCount\":55}}\n\n";
    let (out, _) = through_stream(Dialect::Gemini, &anthropic, &[gemini], UpstreamEnd::Eof);
    assert!(String::from_utf8(out).unwrap().contains(r#""usage":{"input_tokens":55,"#));
}

/// litellm#29491: input_json_delta lost, so that the tool's input is `{}`.
#[test]
fn arguments_are_never_lost() {
    let message = to_anthropic(
        &[
            // All in the first piece, the name last, and the first piece before the name.
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"b","function":{"arguments":"{\"x\""}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"name":"g","arguments":":2}"}}]}"#,
            r#"{"tool_calls":[{"index":2,"id":"c","function":{"name":"h","arguments":{"x":3}}}]}"#,
        ],
        USAGE,
    );
    for (index, name) in ["f", "g", "h"].into_iter().enumerate() {
        assert_eq!(message["content"][index]["name"], name);
        assert_eq!(message["content"][index]["input"]["x"], index + 1);
    }
    // Anthropic's own servers of old put the input into the block's beginning.
    let whole = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"x\":1}}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
    let (out, _) = through_stream(Dialect::Anthropic, &caller(Dialect::Chat), &[whole.as_bytes()], UpstreamEnd::Eof);
    assert!(String::from_utf8(out).unwrap().contains(r#""arguments":"{\"x\":1}""#));
}

/// litellm#33224: a thinking_delta in a text block.
#[test]
fn reasoning_never_stands_in_a_text_block() {
    let message = to_anthropic(
        &[
            r#"{"reasoning_content":"t","content":""}"#,
            r#"{"content":"a","reasoning_content":"u"}"#,
            r#"{"reasoning":"v"}"#,
        ],
        USAGE,
    );
    let blocks = message["content"].as_array().unwrap();
    assert_eq!(
        (blocks[0]["thinking"].as_str(), blocks[1]["text"].as_str(), blocks[2]["thinking"].as_str()),
        (Some("tu"), Some("a"), Some("v"))
    );
}

/// ccr#1397: reasoning then tool calls gave malformed JSON.
#[test]
fn tool_calls_follow_reasoning() {
    let message = to_anthropic(
        &[
            r#"{"reasoning_content":"t"}"#,
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
        ],
        USAGE,
    );
    assert_eq!(message["content"][0]["type"], "thinking");
    assert_eq!(message["content"][1]["type"], "tool_use");
    assert_eq!(message["stop_reason"], "tool_use");
}

/// CLIProxyAPI#3748: tool_use dropped when the first delta has an empty name.
#[test]
fn a_call_whose_name_comes_later_is_a_call() {
    let message = to_anthropic(
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"name":"f"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"name":"","arguments":"{\"x\":1}"}}]}"#,
        ],
        USAGE,
    );
    assert_eq!(message["content"][0]["name"], "f");
    assert_eq!(message["content"][0]["id"], "a");
    assert_eq!(message["content"][0]["input"]["x"], 1);
}

#[test]
fn a_call_that_is_never_named_is_an_error() {
    let stream = b"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"arguments\":\"{}\"}}]}}]}\n\ndata: [DONE]\n\n";
    let (_, translator) = through_stream(Dialect::Chat, &caller(Dialect::Anthropic), &[stream], UpstreamEnd::Eof);
    assert!(translator.failure().unwrap().message.contains("without naming it"));
}

/// bifrost#3596: tool_choice names a tool that was translated away.
#[test]
fn a_choice_of_a_tool_that_is_gone_is_gone() {
    let body = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"f","input_schema":{}}],"tool_choice":{"type":"tool","name":"web_search"}}"#;
    for to in [Dialect::Chat, Dialect::Responses, Dialect::Gemini] {
        let out = translate::request(&call(Dialect::Anthropic), &Target::new(to, "m"), body).unwrap();
        assert!(out.losses.iter().any(|loss| loss.field == "tool_choice"), "{to}");
        let sent = String::from_utf8(out.body).unwrap();
        assert!(!sent.contains("web_search") && sent.contains("\"f\""), "{to}: {sent}");
    }
}

/// bifrost#1479: a thinking budget below 1024.
#[test]
fn a_budget_of_thought_is_one_that_anthropic_takes() {
    for (max, effort, budget) in
        [(64_000, "low", Some(2048)), (1500, "high", Some(1499)), (1000, "high", None), (64_000, "none", None)]
    {
        let body = format!(
            r#"{{"model":"m","max_tokens":{max},"messages":[{{"role":"user","content":"x"}}],"reasoning_effort":"{effort}"}}"#
        );
        let out =
            translate::request(&call(Dialect::Chat), &Target::new(Dialect::Anthropic, "m"), body.as_bytes()).unwrap();
        let sent: Value = serde_json::from_slice(&out.body).unwrap();
        assert_eq!(sent["thinking"]["budget_tokens"].as_u64(), budget, "{sent}");
    }
}

/// 9router#2337: count_tokens ignores tool_result, and the session deadlocks.
#[test]
fn results_of_tools_are_counted() {
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"x","content":"{}"}}]}}]}}"#,
        "word ".repeat(10_000)
    );
    let estimate = count::request(Dialect::Anthropic, &json::parse(body.as_bytes()).unwrap());
    assert!((9_000..15_000).contains(&estimate.total()), "{estimate:?}");
}

/// CLIProxyAPI#5727: cache_control lost on the way to a provider of the same dialect by way of the common form.
#[test]
fn marks_of_the_cache_stay_where_the_dialect_has_them() {
    let body = br#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"b"}],"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}],"tools":[{"name":"f","input_schema":{"type":"object","b":1,"a":2},"cache_control":{"type":"ephemeral"}}]}"#;
    let out = translate::request(&call(Dialect::Anthropic), &Target::new(Dialect::Anthropic, "m"), body).unwrap();
    let sent = String::from_utf8(out.body).unwrap();
    assert_eq!(sent.matches("cache_control").count(), 3, "{sent}");
    assert!(
        sent.contains(r#"{"type":"ephemeral","ttl":"1h"}"#) && sent.contains(r#"{"type":"object","b":1,"a":2}"#),
        "{sent}"
    );
}

/// Parallel calls whose pieces interleave, and whose server counts none of them.
#[test]
fn parallel_calls_are_kept_apart() {
    let message = to_anthropic(
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}},{"index":1,"id":"b","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"arguments":"{\"x\":\"}"}},{"index":0,"function":{"arguments":"{\"x\":"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"function":{"arguments":"\"}"}}]}"#,
        ],
        USAGE,
    );
    assert_eq!((&message["content"][0]["input"]["x"], &message["content"][1]["input"]["x"]), (&1.into(), &"}".into()));
    let message = to_anthropic(
        &[
            r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","function":{"name":"g","arguments":"{\"x\":2}"}}]}"#,
        ],
        USAGE,
    );
    assert_eq!((&message["content"][0]["name"], &message["content"][1]["name"]), (&"f".into(), &"g".into()));
}

/// The first call's arguments reach the caller in the pieces in which they come.
#[test]
fn pieces_of_arguments_stay_pieces() {
    for to in [Dialect::Anthropic, Dialect::Chat, Dialect::Responses] {
        let stream: String = [
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}}"#,
            r#"{"index":0,"function":{"arguments":"{\"abc"}}"#,
            r#"{"index":0,"function":{"arguments":"\":12"}}"#,
        ]
        .iter()
        .map(|call| format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n"))
        .collect();
        let mut translator = orx_gateway::dialect::stream::StreamTranslator::new(Dialect::Chat, &caller(to));
        let mut out = Vec::new();
        translator.feed(stream.as_bytes(), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#""{\"abc""#) && text.contains(r#""\":12""#), "{to}: {text}");
    }
}

/// Claude Code 2.1.197 sends instructions amid the conversation, with the beta of that name; other dialects' neighbours differ in role.
#[test]
fn instructions_amid_a_conversation_of_claude_code_are_said_in_their_place() {
    let body = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"one"},{"role":"system","content":"two"},{"role":"assistant","content":"three"}]}"#;
    let target = Target::new(Dialect::Chat, "m");
    let translated = translate::request(&call(Dialect::Anthropic), &target, body).unwrap();
    let sent: Value = serde_json::from_slice(&translated.body).unwrap();
    let said: Vec<String> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(said, ["user", "assistant"], "{sent}");
    assert!(sent["messages"][0].to_string().contains("one") && sent["messages"][0].to_string().contains("two"));
    assert_eq!(translated.losses.len(), 1);
}

/// Codex 0.169.0 declares its tools in an item of the input, within a namespace.
#[test]
fn the_tools_of_codex_are_found_in_the_item_that_declares_them() {
    let body = br#"{"model":"m","input":[{"type":"additional_tools","role":"developer","tools":[{"type":"namespace","name":"functions","description":"","tools":[{"type":"custom","name":"exec","description":"runs"},{"type":"function","name":"wait","parameters":{"type":"object"}}]},{"type":"namespace","name":"mcp__x","tools":[{"type":"function","name":"y","parameters":{}}]}]},{"type":"message","role":"user","content":"hi"}]}"#;
    let target = Target::new(Dialect::Anthropic, "m");
    let translated = translate::request(&call(Dialect::Responses), &target, body).unwrap();
    let sent: Value = serde_json::from_slice(&translated.body).unwrap();
    let names: Vec<&str> = sent["tools"].as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!((names, translated.caller.custom_tools), (vec!["exec", "wait"], vec!["exec".to_owned()]));
}
