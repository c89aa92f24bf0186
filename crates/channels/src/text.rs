//! Reading members of loosely shaped JSON, and lines for people.

use orx_protocol::api::approval::{Choice, Part};
use serde_json::Value;

/// A text behind a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// An owned text behind a JSON pointer; none when it is empty.
pub(crate) fn owned(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A count behind a JSON pointer.
pub(crate) fn count(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer)?.as_u64()
}

/// Millionths of a dollar.
pub(crate) fn microusd(dollars: &Value) -> Option<u64> {
    let micro = (dollars.as_f64()? * 1_000_000.0).round();
    // A count of micro-dollars that does not fit is no cost.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (0.0..9e15).contains(&micro).then_some(micro as u64)
}

/// The elements behind a JSON pointer.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Several questions, as engines ask them together; `several` is the member that says that many choices may be named.
pub(crate) fn parts(asked: &Value, several: &str) -> Vec<Part> {
    let choice = |option: &Value| Choice {
        label: owned(option, "/label").unwrap_or_default(),
        description: owned(option, "/description"),
    };
    let part = |question: &Value| Part {
        question: owned(question, "/question").unwrap_or_default(),
        choices: list(question, "/options").map(choice).collect(),
        several: question.get(several).and_then(Value::as_bool).unwrap_or(false),
    };
    list(asked, "/questions").map(part).collect()
}

/// Longest line in a list, in characters.
const LINE: usize = 160;

/// One line for a list: no control characters, not too long.
pub(crate) fn line(text: &str) -> String {
    let text = text.trim();
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE).collect();
    if text.chars().count() > LINE {
        line.push('…');
    }
    line
}

/// A unified diff of a whole file: what it was is taken away, what it is to be is added. The lines that both have at
/// their ends stand as context.
pub(crate) fn diff(path: &str, old: &str, new: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let before = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let room = old.len().min(new.len()) - before;
    let after = old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(old, new)| old == new).count();
    let (head, tail) = (before.min(CONTEXT), after.min(CONTEXT));
    let slice = |lines: &[&str], from: usize, to: usize, mark: char| -> String {
        lines.get(from..to).unwrap_or_default().iter().map(|line| format!("{mark}{line}\n")).collect()
    };
    let removed = slice(&old, before, old.len() - after, '-');
    let added = slice(&new, before, new.len() - after, '+');
    if removed.is_empty() && added.is_empty() {
        return String::new();
    }
    let start = before - head;
    let range = |lines: &[&str]| {
        let count = lines.len() - before - after + head + tail;
        if count == 0 { "0,0".to_owned() } else { format!("{},{count}", start + 1) }
    };
    format!(
        "--- {}\n+++ {path}\n@@ -{} +{} @@\n{}{removed}{added}{}",
        if old.is_empty() { "/dev/null" } else { path },
        range(&old),
        range(&new),
        slice(&old, start, before, ' '),
        slice(&old, old.len() - after, old.len() - after + tail, ' '),
    )
}

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("  rm -rf\n\u{1b}[31m x "), "rm -rf  [31m x");
        assert_eq!(line(&"x".repeat(500)).chars().count(), LINE + 1);
    }

    #[test]
    fn a_diff_names_what_changes() {
        for (old, new, expected) in [
            ("", "a\n", "--- /dev/null\n+++ f\n@@ -0,0 +1,1 @@\n+a\n"),
            ("a\nb\nc\n", "a\nx\nc\n", "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"),
            ("a\n", "", "--- f\n+++ f\n@@ -1,1 +0,0 @@\n-a\n"),
            ("a\na\n", "a\na\na\n", "--- f\n+++ f\n@@ -1,2 +1,3 @@\n a\n a\n+a\n"),
            ("same\n", "same\n", ""),
        ] {
            assert_eq!(diff("f", old, new), expected);
        }
        let old: String = (0..20).map(|n| format!("{n}\n")).collect();
        let diff = diff("f", &old, &old.replace("10\n", "ten\n"));
        assert!(diff.contains("@@ -8,7 +8,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n"), "{diff}");
    }
}
