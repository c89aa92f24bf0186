//! What an approval is called in a list.

use orx_protocol::api::approval::{ApprovalKind, Subject};

/// Longest title, in characters.
const LENGTH: usize = 160;

/// One line that says what is asked. What the agent wrote stays as it is, on one line and shortened: who shows it makes it
/// safe to show.
#[must_use]
pub fn title(kind: ApprovalKind, subject: &Subject) -> String {
    let tool = subject.tool.as_deref().unwrap_or("a tool");
    let text = match kind {
        ApprovalKind::Command => subject
            .command
            .as_deref()
            .map_or_else(|| format!("run a command with {tool}"), |command| format!("run {command}")),
        ApprovalKind::FileChange => match subject.paths.as_slice() {
            [] => format!("change files with {tool}"),
            [path] => format!("change {path}{}", counted(subject.diff.as_deref())),
            [path, rest @ ..] => format!("change {path} and {} more{}", rest.len(), counted(subject.diff.as_deref())),
        },
        ApprovalKind::Tool => format!("use {tool}"),
        ApprovalKind::Access => match (&subject.command, subject.paths.first()) {
            (Some(command), _) => format!("wider access for {command}"),
            (None, Some(path)) => format!("access to {path}"),
            (None, None) => format!("wider access with {tool}"),
        },
        ApprovalKind::Plan => match subject.question.as_deref().and_then(first_words) {
            Some(words) => format!("a plan to be confirmed: {words}"),
            None => "a plan to be confirmed".to_owned(),
        },
        ApprovalKind::Question => asked(subject),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LENGTH {
        return line;
    }
    let mut short: String = line.chars().take(LENGTH - 1).collect();
    short.push('…');
    short
}

/// The question, or the first of several.
fn asked(subject: &Subject) -> String {
    let first = subject.question.as_deref().and_then(first_words).unwrap_or("a question");
    match subject.parts.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first} (and {} more)", count - 1),
    }
}

/// The first line that says something, without the marks of a heading.
fn first_words(text: &str) -> Option<&str> {
    text.lines().map(|line| line.trim().trim_start_matches('#').trim_start()).find(|line| !line.is_empty())
}

/// Lines that a diff adds and removes, as ` (+3 -1)`.
fn counted(diff: Option<&str>) -> String {
    let Some(diff) = diff else { return String::new() };
    let count = |mark: char, header: &str| {
        diff.lines().filter(|line| line.starts_with(mark) && !line.starts_with(header)).count()
    };
    format!(" (+{} -{})", count('+', "+++ "), count('-', "--- "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_says_what_it_wants_in_one_line() {
        let subject = Subject {
            tool: Some("Bash".to_owned()),
            command: Some("cargo test\n  --all".to_owned()),
            paths: vec!["/w/a.rs".to_owned(), "/w/b.rs".to_owned()],
            diff: Some("--- a\n+++ b\n@@ -1 +1,2 @@\n-x\n+y\n+z\n".to_owned()),
            question: Some("Which one?".to_owned()),
            ..Subject::default()
        };
        for (kind, wanted) in [
            (ApprovalKind::Command, "run cargo test --all"),
            (ApprovalKind::FileChange, "change /w/a.rs and 1 more (+2 -1)"),
            (ApprovalKind::Tool, "use Bash"),
            (ApprovalKind::Access, "wider access for cargo test --all"),
            (ApprovalKind::Plan, "a plan to be confirmed: Which one?"),
            (ApprovalKind::Question, "Which one?"),
        ] {
            assert_eq!(title(kind, &subject), wanted);
            assert!(!title(kind, &Subject::default()).is_empty());
        }
        let long = Subject { command: Some("x".repeat(500)), ..Subject::default() };
        assert_eq!(title(ApprovalKind::Command, &long).chars().count(), LENGTH);
    }
}
