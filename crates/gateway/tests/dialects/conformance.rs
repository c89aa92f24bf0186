//! Every pair of dialects, requests and whole answers: the samples of all dialects say the same, and each says it in every other.

use orx_gateway::dialect::reply::Stop;
use orx_gateway::dialect::translate::{self, Target};
use orx_gateway::dialect::{Dialect, Usage};
use serde_json::{Value, json};

use super::sample::{Answer, call, caller, reply, request, summary, translated};

#[test]
fn the_samples_of_all_dialects_ask_the_same() {
    let wanted = summary(Dialect::Anthropic, &request(Dialect::Anthropic));
    assert_eq!(wanted.len(), 2 + 2 + 3 + 3 + 2 + 4);
    for dialect in Dialect::ALL {
        let mut lines = summary(dialect, &request(dialect));
        if dialect == Dialect::Responses {
            lines = lines.into_iter().map(|line| line.replace("stop []", "stop [\"END\"]")).collect();
        }
        if dialect == Dialect::Ollama {
            lines = lines.into_iter().map(|line| line.replace("choice None", "choice Some(Any)")).collect();
        }
        assert_eq!(lines, wanted, "{dialect}");
    }
}

#[test]
fn every_request_goes_into_every_dialect() {
    for from in Dialect::ALL {
        for to in Dialect::ALL {
            let body = translated(from, to, &request(from));
            let wanted: Vec<String> = summary(from, &request(from))
                .into_iter()
                .map(|line| match to {
                    // These have no such field, which is noted as a loss.
                    Dialect::Responses => line.replace("stop [\"END\"]", "stop []"),
                    Dialect::Ollama => line.replace("choice Some(Any)", "choice None"),
                    _ => line,
                })
                .collect();
            assert_eq!(summary(to, &body), wanted, "{from} to {to}: {}", String::from_utf8_lossy(&body));
        }
    }
}

#[test]
fn every_answer_goes_into_every_dialect() {
    for from in Dialect::ALL {
        let own = Answer::whole(from, &reply(from));
        assert_eq!(own.stop, Stop::ToolUse, "{from}");
        assert_eq!(own.blocks.len(), 4, "{from}");
        assert_eq!(own.usage.prompt(), Some(100), "{from}");
        for to in Dialect::ALL {
            let out = translate::reply(from, &caller(to), &reply(from)).unwrap();
            let read = Answer::whole(to, &out.body).through(from);
            assert_eq!(
                read,
                own.clone().through(from).through(to),
                "{from} to {to}: {}",
                String::from_utf8_lossy(&out.body)
            );
        }
    }
}

fn with_stop(dialect: Dialect, word: &str) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&reply(dialect)).unwrap();
    match dialect {
        Dialect::Anthropic => {
            body["content"] = json!([{"type": "text", "text": "x"}]);
            body["stop_reason"] = word.into();
        }
        Dialect::Chat => {
            body["choices"][0]["message"] = json!({"role": "assistant", "content": "x"});
            body["choices"][0]["finish_reason"] = word.into();
        }
        Dialect::Responses => {
            body["output"].as_array_mut().unwrap().truncate(2);
            if word != "completed" {
                body["status"] = "incomplete".into();
                body["incomplete_details"] = json!({"reason": word});
            }
        }
        Dialect::Gemini => {
            body["candidates"][0]["content"]["parts"] = json!([{"text": "x"}]);
            body["candidates"][0]["finishReason"] = word.into();
        }
        Dialect::Ollama => {
            body["message"] = json!({"role": "assistant", "content": "x"});
            body["done_reason"] = word.into();
        }
    }
    serde_json::to_vec(&body).unwrap()
}

#[test]
fn reasons_of_ending_go_into_every_dialect() {
    let table = [
        (Dialect::Anthropic, "end_turn", "max_tokens", "refusal"),
        (Dialect::Chat, "stop", "length", "content_filter"),
        (Dialect::Responses, "completed", "max_output_tokens", "content_filter"),
        (Dialect::Gemini, "STOP", "MAX_TOKENS", "SAFETY"),
        (Dialect::Ollama, "stop", "length", "stop"),
    ];
    for (from, end, length, refused) in table {
        for (to, ..) in table {
            let through = |word: &str| {
                let out = translate::reply(from, &caller(to), &with_stop(from, word)).unwrap();
                Answer::whole(to, &out.body).stop
            };
            assert_eq!(through(end), Stop::EndTurn, "{from} to {to}");
            assert_eq!(through(length), Stop::MaxTokens, "{from} to {to}");
            if from != Dialect::Ollama && to != Dialect::Ollama {
                assert!(matches!(through(refused), Stop::Refusal | Stop::Filter), "{from} to {to}");
            }
        }
    }
}

#[test]
fn cached_tokens_are_told_in_every_dialect() {
    for from in Dialect::ALL {
        for to in [Dialect::Anthropic, Dialect::Chat, Dialect::Responses, Dialect::Gemini] {
            let out = translate::reply(from, &caller(to), &reply(from)).unwrap();
            let usage = Answer::whole(to, &out.body).usage;
            let cached = (from != Dialect::Ollama).then_some(80);
            assert_eq!(usage.cache_read.filter(|count| *count > 0), cached, "{from} to {to}");
            assert_eq!((usage.prompt(), usage.output), (Some(100), Some(50)), "{from} to {to}");
            assert_eq!(out.usage.prompt(), Some(100));
        }
    }
}

#[test]
fn an_error_in_a_200_is_an_error_to_every_caller() {
    for from in Dialect::ALL {
        let body = br#"{"error":{"message":"no more","type":"overloaded_error","code":503}}"#;
        for to in Dialect::ALL {
            match translate::reply(from, &caller(to), body) {
                Err(translate::ReplyError::Error(error)) => {
                    assert!(String::from_utf8(error.body(to)).unwrap().contains("no more"), "{from} to {to}");
                }
                other => panic!("{from} to {to}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_is_no_answer_is_told_with_its_place() {
    for (from, body, wanted) in [
        (Dialect::Anthropic, "{}", "`content`"),
        (Dialect::Chat, r#"{"choices":[]}"#, "`choices`"),
        (Dialect::Responses, r#"{"output":[{}]}"#, "`output[0].type`"),
        (Dialect::Gemini, "{}", "`candidates`"),
        (Dialect::Ollama, "{}", "`message`"),
        (Dialect::Chat, "{", "line 1"),
    ] {
        let error = translate::reply(from, &caller(Dialect::Chat), body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{from}: {error}");
    }
}

#[test]
fn effort_goes_into_every_dialect() {
    let samples = [
        (
            Dialect::Anthropic,
            r#"{"model":"m","max_tokens":64000,"messages":[{"role":"user","content":"x"}],"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}}"#,
        ),
        (
            Dialect::Chat,
            r#"{"model":"m","max_tokens":64000,"messages":[{"role":"user","content":"x"}],"reasoning_effort":"high"}"#,
        ),
        (Dialect::Responses, r#"{"model":"m","max_output_tokens":64000,"input":"x","reasoning":{"effort":"high"}}"#),
        (
            Dialect::Gemini,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":64000,"thinkingConfig":{"thinkingLevel":"HIGH"}}}"#,
        ),
        (
            Dialect::Ollama,
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"options":{"num_predict":64000},"think":"high"}"#,
        ),
    ];
    for (from, body) in samples {
        for (to, wanted) in [
            (Dialect::Chat, json!({"reasoning_effort": "high"})),
            (Dialect::Responses, json!({"reasoning": {"effort": "high"}})),
            (Dialect::Ollama, json!({"think": true})),
            (Dialect::Anthropic, json!({"thinking": {"type": "enabled", "budget_tokens": 16384}})),
        ] {
            let out: Value = serde_json::from_slice(&translated(from, to, body.as_bytes())).unwrap();
            for (key, value) in wanted.as_object().unwrap() {
                let got = &out[key];
                let same = match value {
                    Value::Object(members) => members.iter().all(|(key, value)| got[key] == *value),
                    value => got == value,
                };
                assert!(same, "{from} to {to}: {got}");
            }
        }
        let mut target = Target::new(Dialect::Anthropic, "m");
        target.adaptive_thinking = true;
        let out = translate::request(&call(from), &target, body.as_bytes()).unwrap();
        let out: Value = serde_json::from_slice(&out.body).unwrap();
        assert_eq!(
            (&out["thinking"]["type"], &out["output_config"]["effort"]),
            (&json!("adaptive"), &json!("high")),
            "{from}"
        );
    }
}

#[test]
fn usage_that_was_not_reported_is_not_zero() {
    let body = br#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#;
    let out = translate::reply(Dialect::Chat, &caller(Dialect::Anthropic), body).unwrap();
    assert_eq!(out.usage, Usage::default());
}
