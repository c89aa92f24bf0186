//! What a dialect cannot say is told, or refused by name; never dropped silently.

use orx_gateway::dialect::Dialect;
use orx_gateway::dialect::translate::{self, Target};
use serde_json::Value;

use super::sample::call;

fn losses(from: Dialect, to: Dialect, body: &str) -> Vec<String> {
    translate::request(&call(from), &Target::new(to, "m"), body.as_bytes())
        .unwrap_or_else(|error| panic!("{error}"))
        .losses
        .into_iter()
        .map(|loss| loss.field.into_owned())
        .collect()
}

fn refused(from: Dialect, to: Dialect, body: &str) -> String {
    translate::request(&call(from), &Target::new(to, "m"), body.as_bytes()).unwrap_err().to_string()
}

#[test]
fn what_is_left_out_is_named() {
    use Dialect::{Anthropic, Chat, Gemini, Ollama, Responses};
    let anthropic =
        |more: &str| format!(r#"{{"model":"m","max_tokens":10,"messages":[{{"role":"user","content":"x"}}],{more}}}"#);
    let chat = |more: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{more}}}"#);
    for (from, to, body, field) in [
        (Anthropic, Chat, anthropic(r#""context_management":{}"#), "context_management"),
        (Anthropic, Chat, anthropic(r#""top_k":5"#), "top_k"),
        (
            Anthropic,
            Chat,
            anthropic(r#""system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]"#),
            "cache_control",
        ),
        (
            Anthropic,
            Chat,
            anthropic(r#""system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1"}]"#),
            "system[0]",
        ),
        (Anthropic, Chat, anthropic(r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#), "tools[0]"),
        (Chat, Anthropic, chat(r#""seed":1"#), "seed"),
        (Chat, Anthropic, chat(r#""temperature":1.5"#), "temperature"),
        (Chat, Anthropic, chat(r#""response_format":{"type":"json_object"}"#), "response_format"),
        (Chat, Anthropic, chat(r#""logprobs":true"#), "logprobs"),
        (Chat, Responses, chat(r#""stop":"x""#), "stop"),
        (
            Chat,
            Ollama,
            chat(r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required""#),
            "tool_choice",
        ),
        (Chat, Gemini, chat(r#""parallel_tool_calls":false"#), "parallel_tool_calls"),
        (Responses, Anthropic, r#"{"model":"m","input":"x","truncation":"auto"}"#.to_owned(), "truncation"),
        (
            Gemini,
            Chat,
            r#"{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"googleSearch":{}}]}"#.to_owned(),
            "tools[0]",
        ),
        (
            Ollama,
            Chat,
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"options":{"num_ctx":4096}}"#.to_owned(),
            "num_ctx",
        ),
    ] {
        assert!(
            losses(from, to, &body).iter().any(|name| name == field),
            "{from} to {to}, {field}: {:?}",
            losses(from, to, &body)
        );
    }
}

#[test]
fn what_cannot_be_left_out_is_refused_by_name() {
    use Dialect::{Anthropic, Chat, Gemini, Ollama, Responses};
    for (from, to, body, wanted) in [
        (Chat, Anthropic, r#"{"model":"m","n":2,"messages":[]}"#, "`n`"),
        (Chat, Anthropic, r#"{"model":"m","messages":[]}"#, "`messages`"),
        (Responses, Chat, r#"{"model":"m","input":"x","previous_response_id":"r"}"#, "`previous_response_id`"),
        (Responses, Chat, r#"{"model":"m","input":[{"type":"item_reference","id":"x"}]}"#, "`input[0]`"),
        (
            Anthropic,
            Ollama,
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://x/y.png"}}]}]}"#,
            "`image`",
        ),
        (
            Anthropic,
            Chat,
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}]}"#,
            "`messages[0].content[0].source`",
        ),
        (
            Anthropic,
            Gemini,
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"gone","content":"x"}]}]}"#,
            "`tool result gone`",
        ),
        (
            Gemini,
            Chat,
            r#"{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}"#,
            "`contents[0].parts[0].functionResponse`",
        ),
        (Anthropic, Chat, r#"{"model":"m","messages":[{"role":"robot","content":"x"}]}"#, "`messages[0]`"),
        (
            Chat,
            Anthropic,
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
            "`messages[0].content[0].text`",
        ),
        (Chat, Anthropic, r#"{"messages":[]}"#, "`model`"),
        (Chat, Anthropic, "[1]", "`body`"),
        (Chat, Anthropic, "{\n\"model\": ,}", "line 2, column 10"),
    ] {
        let message = refused(from, to, body);
        assert!(message.contains(wanted), "{from} to {to}: {message}");
    }
}

#[test]
fn losses_are_noted_once_and_a_plain_request_has_none() {
    let body = r#"{"model":"m","max_tokens":10,"messages":[{"role":"user","content":"x"}]}"#;
    for to in Dialect::ALL {
        assert_eq!(losses(Dialect::Anthropic, to, body), Vec::<String>::new(), "{to}");
    }
    let body = r#"{"model":"m","max_tokens":10,"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]}]}"#;
    assert_eq!(losses(Dialect::Anthropic, Dialect::Chat, body), ["cache_control"]);
}

#[test]
fn tools_of_free_text_are_functions_to_a_provider_and_free_text_to_the_caller() {
    let body = r#"{"model":"m","input":[{"role":"user","content":"x"},{"type":"custom_tool_call","call_id":"c1","name":"apply_patch","input":"*** Begin\n\"x\""},{"type":"custom_tool_call_output","call_id":"c1","output":"ok"}],"tools":[{"type":"custom","name":"apply_patch","description":"d","format":{"type":"grammar"}}]}"#;
    for to in Dialect::ALL {
        let out = translate::request(&call(Dialect::Responses), &Target::new(to, "m"), body.as_bytes()).unwrap();
        assert_eq!(out.caller.custom_tools, ["apply_patch"]);
        let text = String::from_utf8(out.body).unwrap();
        assert!(text.contains(r#""input":{"type":"string"}"#), "{to}: {text}");
    }
    let out =
        translate::request(&call(Dialect::Responses), &Target::new(Dialect::Anthropic, "m"), body.as_bytes()).unwrap();
    let sent: Value = serde_json::from_slice(&out.body).unwrap();
    assert_eq!(sent["messages"][1]["content"][0]["input"]["input"], "*** Begin\n\"x\"");
    let answer = br#"{"content":[{"type":"tool_use","id":"t","name":"apply_patch","input":{"input":"*** End\n"}}],"stop_reason":"tool_use","usage":{}}"#;
    let back = translate::reply(Dialect::Anthropic, &out.caller, answer).unwrap();
    let back: Value = serde_json::from_slice(&back.body).unwrap();
    assert_eq!(
        (&back["output"][0]["type"], &back["output"][0]["input"]),
        (&"custom_tool_call".into(), &"*** End\n".into())
    );
}

#[test]
fn a_turn_of_foreign_reasoning_alone_is_left_out_and_not_sent_empty() {
    let body = r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"E"},{"role":"user","content":"b"}]}"#;
    for to in [Dialect::Anthropic, Dialect::Gemini] {
        let out = translate::request(&call(Dialect::Responses), &Target::new(to, "m"), body.as_bytes()).unwrap();
        let sent = String::from_utf8(out.body).unwrap();
        assert!(!sent.contains("\"content\":[]") && !sent.contains("\"parts\":[]"), "{to}: {sent}");
        let fields: Vec<&str> = out.losses.iter().map(|loss| &*loss.field).collect();
        assert!(fields.contains(&"messages"), "{to}: {fields:?}");
    }
}
