//! The project's notes: what an engine proposes is taken out of its answer, put between markers, and held within limits.

use crate::settings::{Knowledge, KnowledgeLimits};

/// A file of notes with its new text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Path below the repository.
    pub(crate) file: String,
    /// The whole new text.
    pub(crate) text: String,
    /// Lines added.
    pub(crate) added: u64,
    /// Lines removed.
    pub(crate) removed: u64,
}

/// The markers that enclose what may change in a file.
pub(crate) fn markers<'a>(settings: &'a Knowledge, file: &str) -> (&'a str, &'a str) {
    if file.rsplit('/').next() == Some("AGENTS.md") {
        (&settings.markers.agents_start, &settings.markers.agents_end)
    } else {
        (&settings.markers.arch_start, &settings.markers.arch_end)
    }
}

/// The notes that an answer proposes, as whole new texts of files. `now` gives a file's text, empty when there is none.
///
/// # Errors
/// A sentence on what is wrong with the proposal.
pub(crate) fn proposed(settings: &Knowledge, answer: &str, now: impl Fn(&str) -> String) -> Result<Vec<Note>, String> {
    let mut notes: Vec<Note> = Vec::new();
    let mut rest = answer;
    while let Some((file, behind)) = next_file(rest) {
        let (start, end) = markers(settings, &file);
        let block = behind.split_once(start).and_then(|(_, inner)| inner.split_once(end));
        let Some((inner, after)) = block else {
            return Err(format!("the proposal for {file} is not between `{start}` and `{end}`"));
        };
        rest = after;
        if !settings.allowlist.contains(&file) {
            return Err(format!("{file} is not in knowledge.allowlist"));
        }
        if notes.iter().any(|note| note.file == file) {
            return Err(format!("{file} is proposed twice"));
        }
        let before = now(&file);
        let text = placed(&before, start, end, inner.trim_matches('\n'))?;
        if text != before {
            let (added, removed) = difference(&before, &text);
            notes.push(Note { file, text, added, removed });
        }
    }
    within(&notes, settings.limits)?;
    Ok(notes)
}

/// The next line `FILE: <name>`, and what comes behind it.
fn next_file(text: &str) -> Option<(String, &str)> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        offset += line.len();
        let plain: String = line.chars().filter(|c| !matches!(c, '*' | '`' | '#')).collect();
        if let Some(file) = plain.trim().strip_prefix("FILE:") {
            return Some((file.trim().to_owned(), text.get(offset..)?));
        }
    }
    None
}

/// The text with `inner` between its markers, which are added at the end where there are none.
fn placed(before: &str, start: &str, end: &str, inner: &str) -> Result<String, String> {
    match (before.split_once(start), before.contains(end)) {
        (Some((head, behind)), _) => match behind.split_once(end) {
            Some((_, tail)) => Ok(format!("{head}{start}\n{inner}\n{end}{tail}")),
            None => Err(format!("`{start}` is not followed by `{end}`")),
        },
        (None, true) => Err(format!("`{end}` comes without `{start}`")),
        (None, false) => {
            let gap = match before {
                "" => "",
                before if before.ends_with('\n') => "\n",
                _ => "\n\n",
            };
            Ok(format!("{before}{gap}{start}\n{inner}\n{end}\n"))
        }
    }
}

/// Lines added and removed, by the longest common subsequence of lines.
fn difference(before: &str, after: &str) -> (u64, u64) {
    let (a, b): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(head..).unwrap_or_default(), b.get(head..).unwrap_or_default());
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(..a.len() - tail).unwrap_or_default(), b.get(..b.len() - tail).unwrap_or_default());
    let mut row = vec![0_usize; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let (left, above) = (row.get(j).copied().unwrap_or(0), row.get(j + 1).copied().unwrap_or(0));
            let best = if x == y { diagonal + 1 } else { left.max(above) };
            diagonal = above;
            if let Some(cell) = row.get_mut(j + 1) {
                *cell = best;
            }
        }
    }
    let common = row.last().copied().unwrap_or(0);
    let count = |lines: usize| u64::try_from(lines).unwrap_or(u64::MAX);
    (count(b.len() - common), count(a.len() - common))
}

fn within(notes: &[Note], limits: KnowledgeLimits) -> Result<(), String> {
    for note in notes {
        let changed = note.added + note.removed;
        if changed > limits.max_changed_lines_per_file {
            return Err(format!(
                "{changed} lines of {} would change, and {} may",
                note.file, limits.max_changed_lines_per_file
            ));
        }
    }
    let total: u64 = notes.iter().map(|note| note.added + note.removed).sum();
    if total > limits.max_total_changed_lines {
        return Err(format!("{total} lines would change, and {} may", limits.max_total_changed_lines));
    }
    let removed: u64 = notes.iter().map(|note| note.removed).sum();
    if removed > limits.max_deleted_lines {
        return Err(format!("{removed} lines would be removed, and {} may", limits.max_deleted_lines));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "<!-- ORX:START AGENTS -->";
    const END: &str = "<!-- ORX:END AGENTS -->";

    fn texts(answer: &str, now: &str) -> Result<Vec<String>, String> {
        proposed(&Knowledge::default(), answer, |_| now.to_owned())
            .map(|notes| notes.into_iter().map(|note| note.text).collect())
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let answer = format!("Here:\n\n**FILE: AGENTS.md**\n```\n{START}\nnew\n{END}\n```\n");
        assert_eq!(texts(&answer, "").unwrap(), [format!("{START}\nnew\n{END}\n")]);
        assert_eq!(texts(&answer, "mine").unwrap(), [format!("mine\n\n{START}\nnew\n{END}\n")]);
        let now = format!("a\n{START}\nold\n{END}\nb\n");
        assert_eq!(texts(&answer, &now).unwrap(), [format!("a\n{START}\nnew\n{END}\nb\n")]);
        assert_eq!(texts(&answer, &format!("{START}\nnew\n{END}\n")).unwrap(), Vec::<String>::new());
        assert_eq!(texts("NOTHING", "x").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_proposal_beyond_its_bounds_is_refused() {
        let block = |file: &str, lines: usize| format!("FILE: {file}\n{START}\n{}{END}\n", "l\n".repeat(lines));
        assert!(texts("FILE: AGENTS.md\nno markers", "").unwrap_err().contains("is not between"));
        let other = Knowledge::default().markers.arch_start;
        let foreign = format!("FILE: src/main.rs\n{other}\nx\n<!-- ORX:END ARCH -->\n");
        assert!(texts(&foreign, "").unwrap_err().contains("is not in knowledge.allowlist"));
        assert!(
            texts(&block("AGENTS.md", 250), "")
                .unwrap_err()
                .contains("252 lines of AGENTS.md would change, and 200 may")
        );
        assert!(texts(&format!("{0}{0}", block("AGENTS.md", 1)), "").unwrap_err().contains("proposed twice"));
        let long = format!("{START}\n{}{END}\n", (0..60).map(|n| format!("{n}\n")).collect::<String>());
        assert!(texts(&block("AGENTS.md", 1), &long).unwrap_err().contains("60 lines would be removed, and 50 may"));
        assert!(texts(&block("AGENTS.md", 1), START).unwrap_err().contains("is not followed by"));
    }

    #[test]
    fn lines_are_counted_as_a_diff_counts_them() {
        assert_eq!(difference("a\nb\nc\n", "a\nx\nc\nd\n"), (2, 1));
        assert_eq!(difference("", "a\n"), (1, 0));
        assert_eq!(difference("a\n", "a\n"), (0, 0));
    }
}
