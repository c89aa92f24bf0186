//! An estimate of a request's tokens, offline: for `count_tokens` where the provider has none, for reservations of budgets, and
//! for whether a call fits a model's context. It is an estimate and has to be shown as one.
//!
//! Tokenizers differ by provider and version and most are not public. What they have in common is used: letters and spaces come
//! to about 4.5 bytes a token, digits to 2, punctuation to 1.6, Chinese, Japanese and Korean to a character a token, others to
//! two characters. Prose lands at 4.2 bytes a token and code at 3.4, on the high side of what providers report, because
//! a call that does not fit costs more than one that is compressed too early. Images count by their size where it can be read
//! (width × height / 750, at most 1,600), as Anthropic does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Dialect;
use super::json::Json;

/// The most tokens of an image.
const IMAGE: u64 = 1600;
/// Tokens of a document's page.
const PAGE: u64 = 2000;
/// Bytes of a page in a PDF, about.
const PAGE_BYTES: u64 = 50_000;
/// What surrounds a message.
const MESSAGE: u64 = 4;
/// What surrounds a tool.
const TOOL: u64 = 12;

/// An estimate, by what it consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Instructions.
    pub system: u64,
    /// Declarations of tools.
    pub tools: u64,
    /// Messages with their calls, results and images.
    pub messages: u64,
}

impl Estimate {
    /// All of it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.system + self.tools + self.messages
    }
}

/// Estimates the prompt of a request.
#[must_use]
pub fn request(dialect: Dialect, tree: &Json<'_>) -> Estimate {
    let part = |key: &str| tree.get(key);
    let system = match dialect {
        Dialect::Anthropic | Dialect::Ollama => part("system"),
        Dialect::Responses => part("instructions"),
        Dialect::Gemini => part("systemInstruction").or_else(|| part("system_instruction")),
        Dialect::Chat => None,
    };
    let messages = match dialect {
        Dialect::Anthropic | Dialect::Chat => part("messages"),
        Dialect::Responses => part("input"),
        Dialect::Gemini => part("contents"),
        Dialect::Ollama => part("messages").or_else(|| part("prompt")),
    };
    let tools = part("tools").map_or(0, |tools| {
        let count = tools.as_array().map_or(0, |tools| {
            tools
                .iter()
                .map(|tool| tool.get("functionDeclarations").and_then(Json::as_array).map_or(1, <[_]>::len))
                .sum()
        });
        data(tools) + TOOL * count as u64
    });
    Estimate { system: system.map_or(0, value), tools, messages: messages.map_or(0, conversation) }
}

fn conversation(messages: &Json<'_>) -> u64 {
    match messages {
        Json::Array(messages) => messages.iter().map(|message| MESSAGE + value(message)).sum(),
        other => MESSAGE + value(other),
    }
}

/// Members that say how and not what.
const SILENT: [&str; 17] = [
    "type",
    "role",
    "id",
    "tool_use_id",
    "tool_call_id",
    "call_id",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "cache_control",
    "status",
    "media_type",
    "mimeType",
    "mime_type",
    "detail",
    "phase",
];

/// Tokens of a message, a block or a text.
#[must_use]
pub fn value(value: &Json<'_>) -> u64 {
    match value {
        Json::String(content) => inline(content).unwrap_or_else(|| text(content)),
        Json::Array(elements) => elements.iter().map(self::value).sum(),
        Json::Object(members) => {
            if let Some(media) = media(value) {
                return media;
            }
            members
                .iter()
                .filter(|(key, _)| !SILENT.contains(&&**key))
                .map(|(key, member)| match (&**key, member) {
                    // Data of a call or result: its keys are said too.
                    ("input" | "args" | "arguments" | "response", Json::Object(_)) => data(member),
                    ("images", Json::Array(images)) => {
                        images.iter().map(|image| image_tokens(image.as_str().unwrap_or_default())).sum()
                    }
                    (_, member) => self::value(member),
                })
                .sum()
        }
        Json::Number(number) => text(&number.to_string()),
        Json::Null | Json::Bool(_) => 0,
    }
}

/// Tokens of an object whose keys are read too.
fn data(value: &Json<'_>) -> u64 {
    match value {
        Json::Object(members) => members.iter().map(|(key, member)| text(key) + 2 + data(member)).sum(),
        Json::Array(elements) => elements.iter().map(|element| data(element) + 1).sum(),
        Json::String(content) => text(content) + 1,
        Json::Number(number) => text(&number.to_string()),
        Json::Null | Json::Bool(_) => 1,
    }
}

/// Bytes in base64 beside their media type, as Anthropic and Gemini have them; a plain address.
fn media(object: &Json<'_>) -> Option<u64> {
    let media_type =
        ["media_type", "mimeType", "mime_type"].into_iter().find_map(|key| object.get(key)).and_then(Json::as_str)?;
    match object.get("data").and_then(Json::as_str) {
        Some(data) if media_type.starts_with("image/") => Some(image_tokens(data)),
        // A text that is given as a document.
        Some(_) if media_type.starts_with("text/") => None,
        Some(data) => Some(document_tokens(data)),
        None => Some(IMAGE),
    }
}

/// An address with the bytes in it.
fn inline(content: &str) -> Option<u64> {
    let (media_type, data) = content.strip_prefix("data:")?.split_once(";base64,")?;
    Some(if media_type.starts_with("image/") { image_tokens(data) } else { document_tokens(data) })
}

fn document_tokens(data: &str) -> u64 {
    let bytes = data.len() as u64 / 4 * 3;
    PAGE * (bytes / PAGE_BYTES + 1)
}

/// By the size that a PNG says at its beginning; others count as the largest.
fn image_tokens(data: &str) -> u64 {
    let head = data.get(..32).and_then(|head| STANDARD.decode(head).ok()).unwrap_or_default();
    let side =
        |at: usize| head.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(u32::from_be_bytes);
    match (head.starts_with(b"\x89PNG"), side(16), side(20)) {
        (true, Some(width), Some(height)) => (u64::from(width) * u64::from(height) / 750).clamp(1, IMAGE),
        _ => IMAGE,
    }
}

/// Tokens of a text.
#[must_use]
pub fn text(content: &str) -> u64 {
    let (mut plain, mut digits, mut marks, mut wide, mut other) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    for byte in content.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b' ' | b'\t' | b'\r' => plain += 1,
            b'0'..=b'9' => digits += 1,
            0x00..=0x7f => marks += 1,
            // First bytes of characters: from three bytes on mostly a script of whole words a character.
            0xe0..=0xff => wide += 1,
            0xc0..=0xdf => other += 1,
            // The bytes that follow them.
            0x80..=0xbf => {}
        }
    }
    // In ninetieths of a token, rounded up.
    (plain * 20 + digits * 45 + marks * 56 + wide * 90 + other * 45).div_ceil(90)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::json::parse;

    fn total(dialect: Dialect, body: &str) -> u64 {
        request(dialect, &parse(body.as_bytes()).unwrap()).total()
    }

    #[test]
    fn texts_land_near_what_tokenizers_say() {
        // Counted with o200k_base: 44, 25, 21.
        for (content, real) in [
            (
                "The quick brown fox jumps over the lazy dog. It was not amused by this, and told everybody in the forest about it, at length, until nobody wanted to hear of it any more.",
                37,
            ),
            ("fn main() {\n    let x: u32 = 42;\n    println!(\"{}\", x + 1);\n}\n", 25),
            ("这是一个用来测试的中文句子。", 10),
        ] {
            let estimate = text(content);
            assert!(estimate * 10 >= real * 8 && estimate * 10 <= real * 16, "{estimate} for {real}: {content}");
        }
        assert_eq!(text(""), 0);
    }

    #[test]
    fn results_of_tools_count() {
        let result = "line of output\n".repeat(1000);
        let quoted = Json::string(result).to_text();
        for (dialect, body) in [
            (
                Dialect::Anthropic,
                format!(
                    r#"{{"messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"x","content":{quoted}}}]}}]}}"#
                ),
            ),
            (Dialect::Chat, format!(r#"{{"messages":[{{"role":"tool","tool_call_id":"x","content":{quoted}}}]}}"#)),
            (
                Dialect::Responses,
                format!(r#"{{"input":[{{"type":"function_call_output","call_id":"x","output":{quoted}}}]}}"#),
            ),
            (
                Dialect::Gemini,
                format!(
                    r#"{{"contents":[{{"role":"user","parts":[{{"functionResponse":{{"name":"x","response":{{"output":{quoted}}}}}}}]}}]}}"#
                ),
            ),
            (Dialect::Ollama, format!(r#"{{"messages":[{{"role":"tool","content":{quoted}}}]}}"#)),
        ] {
            assert!((3000..5000).contains(&total(dialect, &body)), "{dialect}: {}", total(dialect, &body));
        }
    }

    #[test]
    fn an_image_counts_by_its_size_and_not_by_its_bytes() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend_from_slice(&300_u32.to_be_bytes());
        png.extend_from_slice(&500_u32.to_be_bytes());
        png.extend_from_slice(&[0; 60_000]);
        let data = STANDARD.encode(png);
        for (dialect, body) in [
            (
                Dialect::Anthropic,
                format!(
                    r#"{{"messages":[{{"content":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}]}}]}}"#
                ),
            ),
            (
                Dialect::Chat,
                format!(
                    r#"{{"messages":[{{"content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
                ),
            ),
            (
                Dialect::Gemini,
                format!(
                    r#"{{"contents":[{{"parts":[{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}}]}}]}}"#
                ),
            ),
            (Dialect::Ollama, format!(r#"{{"messages":[{{"images":["{data}"]}}]}}"#)),
        ] {
            assert_eq!(total(dialect, &body), 200 + MESSAGE, "{dialect}");
        }
    }

    #[test]
    fn tools_and_instructions_count() {
        let body = r#"{"system":[{"type":"text","text":"Be brief."}],"tools":[{"name":"read","description":"Reads a file","input_schema":{"type":"object","properties":{"path":{"type":"string"}}}}],"messages":[]}"#;
        let estimate = request(Dialect::Anthropic, &parse(body.as_bytes()).unwrap());
        assert!(estimate.system >= 2 && estimate.tools > 30 && estimate.messages == 0, "{estimate:?}");
    }
}
