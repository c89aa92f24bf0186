//! Gemini's older form of schemas (`parameters`, `responseSchema`) as JSON schema: its types are in capitals, and `nullable` stands
//! for a type of its own.

use std::borrow::Cow;

use crate::dialect::json::Json;

pub(super) fn normal<'t>(schema: &'t Json<'t>) -> Cow<'t, Json<'t>> {
    if is_normal(schema) { Cow::Borrowed(schema) } else { Cow::Owned(normalized(schema)) }
}

fn is_normal(schema: &Json<'_>) -> bool {
    match schema {
        Json::Object(members) => members.iter().all(|(key, value)| match (&**key, value) {
            ("type", Json::String(name)) => !name.bytes().any(|byte| byte.is_ascii_uppercase()),
            ("nullable", Json::Bool(_)) => false,
            (_, value) => is_normal(value),
        }),
        Json::Array(elements) => elements.iter().all(is_normal),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    }
}

fn normalized<'t>(schema: &'t Json<'t>) -> Json<'t> {
    match schema {
        Json::Object(members) => {
            let nullable = schema.get("nullable") == Some(&Json::Bool(true));
            let members = members
                .iter()
                .filter(|(key, value)| !(key == "nullable" && matches!(value, Json::Bool(_))))
                .map(|(key, value)| {
                    let value = match (&**key, value) {
                        ("type", Json::String(name)) => {
                            let name = Json::String(Cow::Owned(name.to_ascii_lowercase()));
                            if nullable { Json::Array(vec![name, Json::string("null")]) } else { name }
                        }
                        (_, value) => normalized(value),
                    };
                    (key.clone(), value)
                })
                .collect();
            Json::Object(members)
        }
        Json::Array(elements) => Json::Array(elements.iter().map(normalized).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::json::parse;

    #[test]
    fn capitals_and_nullable_become_json_schema() {
        let text = br#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"n":{"type":"ARRAY","items":{"type":"NUMBER"}}}}"#;
        let tree = parse(text).unwrap();
        assert_eq!(
            normal(&tree).to_text(),
            r#"{"type":"object","properties":{"type":{"type":["string","null"]},"n":{"type":"array","items":{"type":"number"}}}}"#
        );
        let plain = parse(br#"{"type":"object"}"#).unwrap();
        assert!(matches!(normal(&plain), Cow::Borrowed(_)));
    }
}
