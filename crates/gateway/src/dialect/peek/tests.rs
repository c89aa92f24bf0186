use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::splice;

fn at(body: &[u8], span: &Option<Span>) -> String {
    String::from_utf8(body[span.clone().unwrap()].to_vec()).unwrap()
}

#[test]
fn the_keys_of_a_request_are_found() {
    let body = br#" {"system":[{"text":"a \"model\":\"no\""}], "model" : "m-1","tools":[{"model":"no"},{}],"max_tokens":64000,
        "metadata":{"user_id":"{\"device_id\":\"d\",\"session_id\":\"5f-1\"}"},"messages":[{"role":"user"} , {}],"stream":true}"#;
    let found = peek(body).unwrap();
    assert_eq!(found.model_name(body).unwrap().as_deref(), Some("m-1"));
    assert_eq!((found.stream, found.max_tokens, found.tools, found.messages), (Some(true), Some(64000), 2, 2));
    assert_eq!(at(body, &found.first_message), r#"{"role":"user"} "#);
    assert_eq!(found.session(body, Dialect::Anthropic).as_deref(), Some("5f-1"));
}

#[test]
fn sessions_are_found_where_each_client_puts_them() {
    for (body, dialect, session) in [
        (r#"{"metadata":{"user_id":"user_ab_account__session_77-x"}}"#, Dialect::Anthropic, Some("77-x")),
        (r#"{"prompt_cache_key":"thread-1","user":"u"}"#, Dialect::Responses, Some("thread-1")),
        (r#"{"user":"u"}"#, Dialect::Chat, Some("u")),
        (r#"{"metadata":{"user_id":"plain"}}"#, Dialect::Anthropic, None),
    ] {
        let found = peek(body.as_bytes()).unwrap();
        assert_eq!(found.session(body.as_bytes(), dialect).as_deref(), session, "{body}");
    }
}

#[test]
fn a_key_in_escapes_is_the_key() {
    let body = br#"{"mod\u0065l":"m"}"#;
    assert_eq!(peek(body).unwrap().model_name(body).unwrap().as_deref(), Some("m"));
}

#[test]
fn a_key_that_decides_about_money_stands_once() {
    for body in
        [r#"{"model":"a","model":"b"}"#, r#"{"model":"a","mod\u0065l":"b"}"#, r#"{"max_tokens":1,"max_tokens":9}"#]
    {
        assert!(peek(body.as_bytes()).unwrap_err().to_string().contains("stands twice"), "{body}");
    }
}

#[test]
fn what_is_not_json_is_told_with_line_and_column() {
    for (body, line, column) in [
        ("", 1, 0),
        ("[1]", 1, 1),
        ("{\n  \"model\": \"m\",\n  oops\n}", 3, 3),
        ("{\"model\":\"m\"", 1, 12),
        ("{\"messages\":[{]}", 1, 15),
        ("{\"model\":\"m\"} x", 1, 15),
    ] {
        match peek(body.as_bytes()).unwrap_err() {
            DialectError::Json { line: l, column: c, .. } => assert_eq!((l, c), (line, column), "{body}"),
            error => panic!("{body}: {error}"),
        }
    }
    assert!(peek(br#"{"stream":"yes"}"#).unwrap_err().to_string().starts_with("`stream`"));
    assert!(peek(br#"{"max_tokens":-1}"#).unwrap_err().to_string().starts_with("`max_tokens`"));
    assert!(peek(br#"{"model":7}"#).unwrap_err().to_string().starts_with("`model`"));
}

fn value() -> impl Strategy<Value = Value> {
    let text = "[ -~é\\n\\\\\"]{0,40}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text, inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_found_is_what_serde_json_reads(
        model in "[ -~é\\n\\\\\"]{0,30}", tools in prop::collection::vec(value(), 0..5),
        messages in prop::collection::vec(value(), 0..5), other in value(), stream: bool, pretty: bool, name in "[ -~]{0,12}",
    ) {
        let tree = json!({"a": other, "messages": messages, "model": model, "stream": stream, "tools": tools, "z": other});
        let body = if pretty { serde_json::to_vec_pretty(&tree).unwrap() } else { serde_json::to_vec(&tree).unwrap() };
        let found = peek(&body).unwrap();
        prop_assert_eq!(found.model_name(&body).unwrap(), Some(model));
        prop_assert_eq!(found.stream, Some(stream));
        prop_assert_eq!((found.tools, found.messages), (tools.len(), messages.len()));
        if let Some(first) = messages.first() {
            let text = &body[found.first_message.clone().unwrap()];
            prop_assert_eq!(&serde_json::from_slice::<Value>(text).unwrap(), &serde_json::from_slice::<Value>(&serde_json::to_vec(first).unwrap()).unwrap());
        }
        let spliced = splice::model(&found, &name).to_vec(&body);
        let mut wanted: Value = serde_json::from_slice(&body).unwrap();
        wanted["model"] = Value::from(name);
        prop_assert_eq!(serde_json::from_slice::<Value>(&spliced).unwrap(), wanted);
    }

    #[test]
    fn bytes_of_any_sort_do_no_harm(body in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ a1tn".to_vec()), 0..40)) {
        // What serde_json takes for an object is found here too.
        if serde_json::from_slice::<serde_json::Map<String, Value>>(&body).is_ok() {
            prop_assert!(peek(&body).is_ok());
        } else {
            let _either = peek(&body);
        }
    }
}
