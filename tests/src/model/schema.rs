//! The smallest value that fits a JSON schema: the answer to side calls that demand one.

use serde_json::{Value, json};

/// A value of the schema, as far as the CLIs use schemas.
#[must_use]
pub fn instance(schema: &Value) -> Value {
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    for alternatives in ["anyOf", "oneOf"] {
        if let Some(first) = schema.get(alternatives).and_then(|values| values.get(0)) {
            return instance(first);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.to_lowercase(),
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("string").to_lowercase(),
        _ if schema.get("properties").is_some() => "object".to_owned(),
        _ => "string".to_owned(),
    };
    match kind.as_str() {
        "object" => Value::Object(
            schema
                .get("properties")
                .and_then(Value::as_object)
                .map(|properties| properties.iter().map(|(name, of)| (name.clone(), instance(of))).collect())
                .unwrap_or_default(),
        ),
        "array" => json!([]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "boolean" => json!(false),
        "null" => Value::Null,
        _ => json!("scripted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_answered_by_a_value_that_fits() {
        let schema = json!({
            "type": "OBJECT",
            "properties": {
                "reasoning": {"type": "STRING"},
                "model_choice": {"type": "string", "enum": ["flash", "pro"]},
                "score": {"type": "integer", "minimum": 3},
                "tags": {"type": "array"},
            },
        });
        assert_eq!(
            instance(&schema),
            json!({"reasoning": "scripted", "model_choice": "flash", "score": 3, "tags": []})
        );
    }
}
