//! The text of a pull request: what was done, and what each gate really said.

use std::fmt::Write;

use crate::machine::{ItemStatus, Verdict};
use crate::record::Record;

/// The body of a pull request.
pub(crate) fn body(record: &Record) -> String {
    let machine = &record.machine;
    let mut body = String::new();
    // Writing to a String cannot fail.
    let _ = write!(body, "## Task\n\n{}\n\n## Items\n\n", quoted(&machine.task));
    for item in &machine.items {
        let mark = if item.status == ItemStatus::Done { "x" } else { " " };
        let commit = item
            .commit
            .as_deref()
            .and_then(|commit| commit.get(..10))
            .map(|commit| format!(" ({commit})"))
            .unwrap_or_default();
        let note = match item.status {
            ItemStatus::Done => String::new(),
            status => format!(": {}, {}", status.as_str(), item.note.as_deref().unwrap_or("no reason was recorded")),
        };
        let _ = writeln!(body, "- [{mark}] {} {}{commit}{note}", item.work.id, item.work.title);
    }
    body.push_str("\n## Verification\n\n");
    match &machine.verified {
        None => body.push_str("The final commit was not verified.\n"),
        Some(verified) if verified.reports.is_empty() => {
            let _ = writeln!(body, "No gate is set: commit {} was not verified by any.", verified.commit);
        }
        Some(verified) => {
            let _ =
                writeln!(body, "Of commit {}:\n\n| gate | verdict | needed | |\n|---|---|---|---|", verified.commit);
            for gate in &verified.reports {
                let verdict = match gate.verdict {
                    Verdict::Passed => "passed",
                    Verdict::Failed => "**failed**",
                    Verdict::Skipped => "skipped",
                    Verdict::Error => "**could not run**",
                };
                let needed = if gate.required { "yes" } else { "no" };
                let message = gate.message.as_deref().unwrap_or("").replace(['|', '\n'], " ");
                let _ = writeln!(body, "| {} | {verdict} | {needed} | {message} |", gate.gate);
            }
        }
    }
    if machine.reviews > 0 {
        let _ = writeln!(
            body,
            "\nThe review asked for changes {} time(s); they were made and the review was repeated.",
            machine.reviews
        );
    }
    if !machine.warnings.is_empty() {
        body.push_str("\n## To know\n\n");
        for warning in &machine.warnings {
            let _ = writeln!(body, "- {warning}");
        }
    }
    let _ = writeln!(body, "\nBase: {} at {}. Run: {}.", record.base_branch, machine.base, record.run);
    body
}

/// A text as a quotation, so that nothing in it becomes a heading or a list of ours.
fn quoted(text: &str) -> String {
    text.trim().lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

/// The title of a pull request.
pub(crate) fn title(record: &Record) -> String {
    let task = &record.machine.task;
    crate::backlog::one_line(task.lines().find(|line| !line.trim().is_empty()).unwrap_or("orx run"))
        .chars()
        .take(72)
        .collect()
}
