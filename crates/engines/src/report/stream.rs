//! Lines of JSON as the CLIs print them, read with patience.

use serde_json::{Map, Value};

/// Characters of a line that is shown to a person.
const SHOWN: usize = 160;

/// The JSON objects among the lines. Lines that are anything else are passed over, and so is a last line that was cut.
pub(crate) fn events(stdout: &[u8]) -> impl Iterator<Item = Map<String, Value>> {
    stdout.split(|byte| *byte == b'\n').filter_map(object)
}

/// A line as a JSON object; bytes that are not UTF-8 are replaced.
pub(crate) fn object(line: &[u8]) -> Option<Map<String, Value>> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    if !line.starts_with('{') {
        return None;
    }
    serde_json::from_str(line).ok()
}

/// A member that is a text.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// A member that is a count.
pub(crate) fn count(object: &Value, pointer: &str) -> Option<u64> {
    object.pointer(pointer).and_then(Value::as_u64)
}

/// Dollars as micro-dollars; `None` for what is no amount.
pub(crate) fn microusd(dollars: f64) -> Option<u64> {
    let micro = (dollars * 1e6).round();
    // The cast is exact: the range was checked just before.
    (micro.is_finite() && (0.0..9e15).contains(&micro)).then_some(micro as u64)
}

/// The first line of a text that says something, without control characters, cut to what fits a line.
pub(crate) fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let plain: String = line.chars().filter(|c| !c.is_control()).collect();
    if plain.chars().count() <= SHOWN {
        return plain;
    }
    let mut cut: String = plain.chars().take(SHOWN - 1).collect();
    cut.push('…');
    cut
}

/// The last two parts of a path: enough to know the file by.
pub(crate) fn shown_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_passed_over() {
        let stdout = b"warning\n{\"a\":1}\r\n[1]\n{\"b\":\n\xff\xfe\n\n{\"c\":\"\xff\"}\n{\"cut\":tr";
        let keys: Vec<String> = events(stdout).flat_map(|event| event.keys().cloned().collect::<Vec<_>>()).collect();
        assert_eq!(keys, ["a", "c"]);
    }

    #[test]
    fn lines_for_a_person_are_short_and_plain() {
        assert_eq!(first_line("\n  one\ntwo"), "one");
        assert_eq!(first_line("a\u{1b}[31mb"), "a[31mb");
        assert_eq!(first_line(&"é".repeat(500)).chars().count(), 160);
        assert_eq!(shown_path("/a/b/c.rs"), "b/c.rs");
        assert_eq!(shown_path(""), "");
    }

    #[test]
    fn money_is_rounded_to_micro_dollars() {
        assert_eq!(microusd(0.013_749_999), Some(13_750));
        assert_eq!(microusd(-1.0), None);
        assert_eq!(microusd(f64::NAN), None);
    }
}
