//! `{n}` in a record stands for the number that a sequence gives.

use serde_json::value::RawValue;

use crate::StoreError;

const PLACE: &str = "{n}";

/// `text` with each `{n}` replaced by `number`.
pub(crate) fn fill_text(text: &str, number: u64) -> String {
    text.replace(PLACE, &number.to_string())
}

/// The object `record` with `{n}` replaced in its texts; a text that is exactly `{n}` becomes the number. Names of
/// members, numbers and the order of members stay as they were written, which parsing into a tree would not keep.
///
/// # Errors
/// [`StoreError::Invalid`] when it is not an object.
pub(crate) fn fill_record(record: &RawValue, number: u64) -> Result<Box<RawValue>, StoreError> {
    let json = record.get().trim();
    if !json.starts_with('{') {
        return Err(StoreError::Invalid("the record is not an object".to_owned()));
    }
    let mut filled = String::with_capacity(json.len());
    let mut rest = json;
    while let Some((before, token, after)) = next_text(rest) {
        filled.push_str(before);
        let is_name = after.trim_start().starts_with(':');
        match (is_name, decoded(token)?) {
            (false, text) if text == PLACE => filled.push_str(&number.to_string()),
            (false, text) if text.contains(PLACE) => filled.push_str(&encoded(&fill_text(&text, number))?),
            _ => filled.push_str(token),
        }
        rest = after;
    }
    filled.push_str(rest);
    RawValue::from_string(filled).map_err(|error| StoreError::Invalid(format!("the record is not JSON: {error}")))
}

/// What stands before the first text of `json`, the text with its quotes, and what follows.
fn next_text(json: &str) -> Option<(&str, &str, &str)> {
    let (before, quoted) = json.split_at(json.find('"')?);
    let mut escaped = false;
    let end = quoted.char_indices().skip(1).find(|(_, character)| match (escaped, character) {
        (true, _) => {
            escaped = false;
            false
        }
        (false, '\\') => {
            escaped = true;
            false
        }
        (false, character) => *character == '"',
    })?;
    let (token, after) = quoted.split_at(end.0.saturating_add(1));
    Some((before, token, after))
}

fn decoded(token: &str) -> Result<String, StoreError> {
    serde_json::from_str(token)
        .map_err(|error| StoreError::Invalid(format!("the record holds the text {token}: {error}")))
}

fn encoded(text: &str) -> Result<String, StoreError> {
    serde_json::to_string(text)
        .map_err(|error| StoreError::Internal(format!("a text cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(json: &str, number: u64) -> Result<String, StoreError> {
        let record = RawValue::from_string(json.to_owned()).unwrap();
        fill_record(&record, number).map(|record| record.get().to_owned())
    }

    #[test]
    fn texts_are_filled_and_everything_else_stays() {
        for (given, kept) in [
            (r#"{"id":"ADR-{n}"}"#, r#"{"id":"ADR-7"}"#),
            (r#"{"id":"{n}","again":["{n}","{n}{n}"]}"#, r#"{"id":7,"again":[7,"77"]}"#),
            (
                r#"{"{n}" : "x", "z":1, "a":12345678901234567890123}"#,
                r#"{"{n}" : "x", "z":1, "a":12345678901234567890123}"#,
            ),
            (
                r#"{"quote":"\"{n}\"","slash":"\\","deep":{"x":{"y":" {n}"}}}"#,
                r#"{"quote":"\"7\"","slash":"\\","deep":{"x":{"y":" 7"}}}"#,
            ),
            (r#"{"escaped":"\u007bn\u007d"}"#, r#"{"escaped":7}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(filled(given, 7).unwrap(), kept);
        }
    }

    #[test]
    fn only_objects_are_records() {
        for bad in ["[]", "\"{n}\"", "7", "null"] {
            assert!(matches!(filled(bad, 1), Err(StoreError::Invalid(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn texts_without_a_place_survive_whatever_they_hold(name in ".{0,20}", text in ".{0,40}", number: u64) {
            let object = serde_json::json!({ name.clone(): text.clone(), "n": "#{n}" });
            let kept: serde_json::Value = serde_json::from_str(&filled(&object.to_string(), number).unwrap()).unwrap();
            prop_assume!(!text.contains("{n}") && name != "n");
            prop_assert_eq!(&kept[&name], &serde_json::Value::String(text));
            prop_assert_eq!(&kept["n"], &serde_json::Value::String(format!("#{number}")));
        }
    }
}
