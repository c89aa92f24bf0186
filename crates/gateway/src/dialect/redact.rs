//! Texts of providers without the keys that they echo. A form is enough to be taken for a key: a false one costs a word.

use std::borrow::Cow;

const REDACTED: &str = "[redacted]";

/// Beginnings of the keys of providers and of tokens in general.
const PREFIXES: [&str; 19] = [
    "sk-",
    "sk_",
    "rk_",
    "pk-",
    "pk_",
    "AIza",
    "ya29.",
    "gsk_",
    "xai-",
    "hf_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "orx_",
    "AKIA",
    "ASIA",
    "eyJ",
    "r8_",
];

/// Words after which a secret stands.
const ANNOUNCED: [&str; 13] = [
    "bearer",
    "basic",
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "api_key",
    "apikey",
    "key",
    "token",
    "secret",
    "password",
    "credential",
];

/// Beginnings of identifiers of requests and answers, which people need for support.
const IDENTIFIERS: [&str; 7] = ["req_", "msg_", "resp_", "chatcmpl-", "toolu_", "call_", "request_id"];

/// The text with whatever looks like a key replaced by `[redacted]`.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut announced = false;
    let mut position = 0;
    while position < text.len() {
        let rest = text.get(position..).unwrap_or_default();
        let length = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        if length == 0 {
            let separator = rest.chars().next().map_or(1, char::len_utf8);
            // A secret follows its name after a colon, an equals sign, a quote or a space; a sentence that goes on ends that.
            announced &= rest.starts_with([':', '=', ' ', '"', '\'', '\\', '`']);
            position += separator;
            continue;
        }
        let word = rest.get(..length).unwrap_or_default();
        let bare = word.trim_matches(['.', '-', '*']);
        let name_before_value = word.split_once('=').filter(|(name, value)| !value.is_empty() && is_announcement(name));
        if let Some((name, _)) = name_before_value {
            out.push_str(text.get(copied..position + name.len() + 1).unwrap_or_default());
            out.push_str(REDACTED);
            copied = position + length;
            announced = false;
        } else if is_announcement(bare.trim_end_matches('=')) {
            announced = true;
        } else if looks_secret(word, announced) {
            out.push_str(text.get(copied..position).unwrap_or_default());
            out.push_str(REDACTED);
            copied = position + length;
            announced = false;
        } else {
            announced = false;
        }
        position += length;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

const fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | '=' | '*' | '~')
}

fn is_announcement(word: &str) -> bool {
    ANNOUNCED.iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn looks_secret(word: &str, announced: bool) -> bool {
    if IDENTIFIERS.iter().any(|prefix| word.starts_with(prefix)) {
        return false;
    }
    if PREFIXES.iter().any(|prefix| word.strip_prefix(prefix).is_some_and(|rest| rest.len() >= 6)) {
        return true;
    }
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    // A word of a sentence ("the key is wrong") has neither digits nor the marks of an encoding.
    if announced
        && word.len() >= 6
        && (has_digit || word.contains(['*', '+', '/', '=']) || word.trim_end_matches('.').contains('.'))
    {
        return true;
    }
    word.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        run.len() >= 28
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_any_dress_are_replaced() {
        for (text, secret) in [
            ("Incorrect API key provided: sk-proj-abc123DEF456. You can", "abc123DEF456"),
            ("Incorrect API key provided: sk-abcd****************wxyz", "wxyz"),
            ("Authorization: Bearer eyJhbGciOi.J9.abc", "J9"),
            ("header Authorization='Bearer abc123.def'", "abc123"),
            ("x-api-key: 0123456789abcdef", "0123456789abcdef"),
            ("https://host/v1?key=AIzaSyA1234567890&alt=sse", "AIzaSyA1234567890"),
            ("GET /v1?api_key=shorty1", "shorty1"),
            (r#"{"authorization":"Basic dXNlcjpwYXNz="}"#, "dXNlcjpwYXNz"),
            ("odd token a8f5f167f44f4964e6c998dee827110c", "a8f5f167f44f4964e6c998dee827110c"),
        ] {
            let redacted = redact(text);
            assert!(!redacted.contains(secret), "{redacted}");
            assert!(redacted.contains(REDACTED), "{redacted}");
        }
    }

    #[test]
    fn ordinary_texts_stay() {
        for text in [
            "max_tokens: 64000 > 8192, which is the maximum for claude-3-5-sonnet-20241022",
            "anthropic.claude-3-5-sonnet-20241022-v2:0 is not supported with on-demand throughput",
            "messages.3.content.0.tool_use_id: unexpected tool_use_id found in tool_result blocks: toolu_01A09q90qw90lq917835lq9",
            "Your API key is invalid or the token expired.",
            "request id 6f9619ff-8b86-d011-b42d-00c04fc964ff, req_011CSHoEeqs5C35K2UUqR7FyAAAA11",
            "Überlastet – bitte später",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
