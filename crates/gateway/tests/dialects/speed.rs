//! What the hot paths cost. `cargo test --release -p orx-gateway speed -- --nocapture` prints it; a test holds each to a bound that
//! is wide enough for a busy machine and a build without optimisation.

use std::time::{Duration, Instant};

use orx_gateway::dialect::meter::StreamMeter;
use orx_gateway::dialect::peek::peek;
use orx_gateway::dialect::stream::{StreamTranslator, UpstreamEnd};
use orx_gateway::dialect::translate::{self, Target};
use orx_gateway::dialect::{Dialect, splice};

use super::sample::{call, caller};

/// The fastest of many runs: what the work costs, without the others on the machine.
fn best(what: &str, bound_us: u64, mut work: impl FnMut()) {
    let mut least = Duration::MAX;
    for _ in 0..200 {
        let start = Instant::now();
        work();
        least = least.min(start.elapsed());
    }
    println!("{what}: {:.1} us", least.as_secs_f64() * 1e6);
    let factor = if cfg!(debug_assertions) { 60 } else { 3 };
    assert!(least < Duration::from_micros(bound_us * factor), "{what}: {least:?}");
}

/// A request of an agent, about 110 KB: many tools with long descriptions, and results of lines of code.
fn large() -> Vec<u8> {
    body(
        &"Does a thing, in detail, and says what it did.\n- Use it when needed, not before.\n".repeat(29),
        &"    let value = map.get(&key);\n    if value.is_none() {\n        println!(\"no value\");\n    }\n"
            .repeat(19),
    )
}

/// The same with a quote in escapes every fifteen bytes.
fn dense() -> Vec<u8> {
    body(
        &"Does a thing, in detail.\nUse it when \"needed\", not before. ".repeat(40),
        &"    let value = map.get(\"key\");\n".repeat(55),
    )
}

fn body(description: &str, result: &str) -> Vec<u8> {
    let tool = |index: usize| {
        serde_json::json!({"name": format!("tool_{index}"), "description": description,
            "input_schema": {"type": "object", "properties": {"path": {"type": "string", "description": "Where it is"}, "limit": {"type": "integer"}}, "required": ["path"]}})
    };
    let mut messages = vec![serde_json::json!({"role": "user", "content": "Start."})];
    for index in 0..20 {
        messages.push(serde_json::json!({"role": "assistant", "content": [{"type": "tool_use", "id": format!("t{index}"), "name": "tool_1", "input": {"path": "src/main.rs"}}]}));
        messages.push(serde_json::json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": format!("t{index}"), "content": result}]}));
    }
    serde_json::to_vec(&serde_json::json!({"max_tokens": 64000, "messages": messages, "model": "claude-opus-4-8", "stream": true,
        "system": [{"type": "text", "text": "You are careful. ".repeat(300)}], "tools": (0..24).map(tool).collect::<Vec<_>>()}))
    .unwrap()
}

#[test]
fn speed_of_the_hot_paths() {
    let body = large();
    for (what, body) in [("peek and splice of 110 KB", &body), ("peek and splice of 110 KB full of escapes", &dense())]
    {
        println!("{} bytes", body.len());
        best(what, 40, || {
            let found = peek(body).unwrap();
            let splice = splice::model(&found, "other-model");
            assert!(splice.pieces(body.len()).count() == 3);
        });
    }
    let small = br#"{"model":"m","max_tokens":1024,"system":"Be brief.","messages":[{"role":"user","content":"Say hello to the world."}],"temperature":0.5}"#;
    let answer = br#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt","choices":[{"index":0,"message":{"role":"assistant","content":"Hello, world! How are you today?"},"finish_reason":"stop"}],"usage":{"prompt_tokens":15,"completion_tokens":9,"total_tokens":24}}"#;
    best("small request and answer, Anthropic to chat, whole", 60, || {
        let out = translate::request(&call(Dialect::Anthropic), &Target::new(Dialect::Chat, "gpt"), small).unwrap();
        let _reply = translate::reply(Dialect::Chat, &out.caller, answer).unwrap();
    });
    best("request of 110 KB, Anthropic to chat", 1500, || {
        let _out = translate::request(&call(Dialect::Anthropic), &Target::new(Dialect::Chat, "gpt"), &body).unwrap();
    });
    let mut events = vec![b"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n".to_vec()];
    for index in 0..64 {
        events.push(format!("data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word {index}\"}},\"finish_reason\":null}}]}}\n\n").into_bytes());
    }
    events.push(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":64}}\n\ndata: [DONE]\n\n".to_vec());
    for to in Dialect::ALL {
        let caller = caller(to);
        let mut out = Vec::new();
        best(&format!("stream of 64 deltas, chat to {to}"), 200, || {
            let mut translator = StreamTranslator::new(Dialect::Chat, &caller);
            for event in &events {
                out.clear();
                translator.feed(event, &mut out);
            }
            translator.finish(UpstreamEnd::Eof, &mut out);
            assert!(translator.is_finished());
        });
    }
    best("meter of 64 deltas, chat", 20, || {
        let mut meter = StreamMeter::new(Dialect::Chat);
        for event in &events {
            meter.feed(event);
        }
        assert!(meter.is_complete());
    });
}
