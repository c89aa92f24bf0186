//! A call made only so that its provider reads the prompt into its cache: the answer is as short as the provider allows. Instructions,
//! tools and messages stay as they are, since they are what is cached.

use bytes::Bytes;
use http::HeaderMap;

use super::ask::Asked;
use crate::dialect::json::{self, Json};
use crate::dialect::{Dialect, DialectError, peek};
use crate::door::Ask;

/// The header of such a call.
const HEADER: &str = "x-orx-preload";

/// Whether a caller wants that.
pub(super) fn is_wanted(headers: &HeaderMap, ask: Ask) -> bool {
    let says = headers.get(HEADER).and_then(|value| value.to_str().ok());
    ask == Ask::Generate && says.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Makes it one.
///
/// # Errors
/// As the body cannot be read.
pub(super) fn shorten(asked: Asked) -> Result<Asked, DialectError> {
    let mut tree = json::parse(&asked.body)?;
    shortest(asked.dialect, &mut tree);
    let body = Bytes::from(tree.to_text());
    let found = peek::peek(&body)?;
    let path_stream = asked.path_stream.map(|_| false);
    Ok(Asked { body, found, path_stream, stream: false, array: false, ..asked })
}

fn shortest(dialect: Dialect, tree: &mut Json<'_>) {
    let number = |tokens: u64| Json::Number(tokens.into());
    if dialect != Dialect::Gemini {
        put(tree, "stream", Json::Bool(false));
        remove(tree, "stream_options");
    }
    match dialect {
        Dialect::Anthropic => {
            put(tree, "max_tokens", number(1));
            // A budget of thought has to be below the answer's.
            remove(tree, "thinking");
        }
        Dialect::Chat => {
            let name = if tree.get("max_tokens").is_some() { "max_tokens" } else { "max_completion_tokens" };
            put(tree, name, number(1));
        }
        // The least that OpenAI takes.
        Dialect::Responses => put(tree, "max_output_tokens", number(16)),
        Dialect::Gemini => put_below(tree, "generationConfig", "maxOutputTokens", number(1)),
        Dialect::Ollama => put_below(tree, "options", "num_predict", number(1)),
    }
}

fn put<'b>(tree: &mut Json<'b>, name: &'static str, value: Json<'b>) {
    match tree.get_mut(name) {
        Some(known) => *known = value,
        None => {
            if let Json::Object(members) = tree {
                members.push((name.into(), value));
            }
        }
    }
}

fn put_below<'b>(tree: &mut Json<'b>, above: &'static str, name: &'static str, value: Json<'b>) {
    if tree.get(above).is_none() {
        put(tree, above, Json::Object(Vec::new()));
    }
    if let Some(above) = tree.get_mut(above) {
        put(above, name, value);
    }
}

fn remove(tree: &mut Json<'_>, name: &str) {
    if let Json::Object(members) = tree {
        members.retain(|(known, _)| known != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_short_and_the_prompt_as_it_was() {
        for (dialect, before, after) in [
            (
                Dialect::Anthropic,
                r#"{"model":"m","max_tokens":64000,"stream":true,"thinking":{"type":"enabled","budget_tokens":9},"messages":[1.5]}"#,
                r#"{"model":"m","max_tokens":1,"stream":false,"messages":[1.5]}"#,
            ),
            (
                Dialect::Chat,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#,
                r#"{"model":"m","stream":false,"messages":[],"max_completion_tokens":1}"#,
            ),
            (Dialect::Chat, r#"{"max_tokens":9}"#, r#"{"max_tokens":1,"stream":false}"#),
            (Dialect::Responses, r#"{"input":"x"}"#, r#"{"input":"x","stream":false,"max_output_tokens":16}"#),
            (
                Dialect::Gemini,
                r#"{"contents":[],"generationConfig":{"temperature":0}}"#,
                r#"{"contents":[],"generationConfig":{"temperature":0,"maxOutputTokens":1}}"#,
            ),
            (Dialect::Ollama, r#"{"prompt":"x"}"#, r#"{"prompt":"x","stream":false,"options":{"num_predict":1}}"#),
        ] {
            let mut tree = json::parse(before.as_bytes()).unwrap();
            shortest(dialect, &mut tree);
            assert_eq!(tree.to_text(), after, "{dialect}");
        }
    }
}
