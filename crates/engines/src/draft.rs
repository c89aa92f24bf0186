//! What stands in the place where a coding CLI takes its prompt: whether a text that was typed is still there, or was
//! taken.

use crate::composer::composer_row;
use crate::{EngineKind, Version};

/// What CLIs show in place of a long paste.
const MARK: &str = "[Pasted";
/// Letters and digits at the end of a text by which it is known again: few enough to fit a narrow place.
const TAIL: usize = 12;
/// With so many of them a last line is enough.
const ENOUGH: usize = 4;
/// Rows that a place has at most.
const ROWS: usize = 40;

/// What became of a text in the place where it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draft {
    /// It stands there.
    Present,
    /// The place shows, without it.
    Absent,
    /// The screen does not show the place.
    Unknown,
}

/// Whether the place for a prompt on this screen (a text a row) still holds `text`.
#[must_use]
pub fn draft(kind: EngineKind, version: Option<Version>, screen: &[impl AsRef<str>], text: &str) -> Draft {
    let Some(rows) = composer_rows(kind, version, screen) else { return Draft::Unknown };
    let rows: Vec<&str> = screen.get(rows).unwrap_or_default().iter().map(AsRef::as_ref).collect();
    let tail = tail(text);
    // Edges and the ends of rows stand between the parts of a text that is wrapped.
    let shown: String = rows.iter().flat_map(|row| row.chars()).filter(|c| c.is_alphanumeric()).collect();
    let has_mark = rows.iter().any(|row| row.contains(MARK));
    if has_mark || (!tail.is_empty() && shown.contains(&tail)) { Draft::Present } else { Draft::Absent }
}

/// The end of a text by which it is known again: of its last line alone where that says enough, since a place may show no
/// more of it.
fn tail(text: &str) -> String {
    let end = |text: &str| {
        let mut end: Vec<char> = text.chars().rev().filter(|c| c.is_alphanumeric()).take(TAIL).collect();
        end.reverse();
        end
    };
    let last = text.lines().map(end).rfind(|end| !end.is_empty()).unwrap_or_default();
    if last.len() >= ENOUGH { last } else { end(text) }.into_iter().collect()
}

/// The rows of the place for a prompt, its edges left out; `None` when it does not show.
#[must_use]
pub fn composer_rows(
    kind: EngineKind,
    version: Option<Version>,
    screen: &[impl AsRef<str>],
) -> Option<std::ops::Range<usize>> {
    let row = composer_row(kind, version, screen)?;
    let text = |index: usize| screen.get(index).map(|row| row.as_ref().trim_end()).unwrap_or_default();
    // Some are known by their lower edge, the text is above that then.
    let (from, to) = if is_edge(text(row)) {
        let is_inside =
            |index: &usize| !is_edge(text(*index)) && text(*index).trim_start().starts_with(['┃', '│', '|']);
        let inside = (0..row).rev().take(ROWS).take_while(is_inside).count();
        (row - inside, row)
    } else {
        let more = (row + 1..screen.len()).take(ROWS).take_while(|index| !is_edge(text(*index))).count();
        (row, row + 1 + more)
    };
    Some(from..to)
}

/// Whether a row is an edge: nothing but lines and blocks.
fn is_edge(row: &str) -> bool {
    let row = row.trim();
    row.chars().count() >= 3
        && row.chars().all(|c| ('\u{2500}'..='\u{259f}').contains(&c) || c == ' ')
        && row.chars().filter(|c| matches!(c, '─' | '━' | '▀' | '▄' | '═' | '▁' | '▔')).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(kind: EngineKind, screen: &str, text: &str) -> Draft {
        draft(kind, None, &screen.lines().collect::<Vec<_>>(), text)
    }

    #[test]
    fn a_text_is_found_where_prompts_are_typed_and_not_where_they_are_shown() {
        let text = "Please \"explain\"\n\nthe last line.";
        for (kind, screen, expected) in [
            (
                EngineKind::Claude,
                "──────\n❯ Please \"explain\"\n\n  the last line.\n──────\n  ? for shortcuts",
                Draft::Present,
            ),
            (EngineKind::Claude, "──────\n❯ [Pasted text #1 +2 lines]\n──────", Draft::Present),
            (
                EngineKind::Claude,
                "> Please \"explain\"\n\n  the last line.\n\n● Well\n──────\n❯\u{a0}\n──────",
                Draft::Absent,
            ),
            (EngineKind::Claude, "──────\n Do you want to proceed?\n ❯ 1. Yes\n   2. No", Draft::Unknown),
            (
                EngineKind::Codex,
                "› Please \"explain\"\n\n  the last line.\n\n• Well\n\n› Ask Codex to do anything\n\n  ? for shortcuts",
                Draft::Absent,
            ),
            (
                EngineKind::Codex,
                "• Well\n\n› Please \"explain\"\n\n  the last line.\n\n  ? for shortcuts",
                Draft::Present,
            ),
            (EngineKind::Gemini, "▄▄▄▄▄▄\n > Please \"explain\"\n\n   the last line.\n   \n▀▀▀▀▀▀\n", Draft::Present),
            (
                EngineKind::Gemini,
                "▄▄▄▄▄▄\n > the last line.\n▀▀▀▀▀▀\n✦ Well\n▄▄▄▄▄▄\n >   Type your message\n▀▀▀▀▀▀",
                Draft::Absent,
            ),
            (EngineKind::Opencode, "  ┃\n  ┃  the last line.\n  ┃\n  ┃  Build  model\n  ╹▀▀▀▀▀▀▀", Draft::Present),
            (
                EngineKind::Opencode,
                "  ┃  the last line.\n\n  Well\n\n  ┃\n  ┃  Build  model\n  ╹▀▀▀▀▀▀▀",
                Draft::Absent,
            ),
        ] {
            assert_eq!(seen(kind, screen, text), expected, "{kind}: {screen}");
        }
    }

    #[test]
    fn a_text_without_letters_is_never_said_to_be_there() {
        assert_eq!(seen(EngineKind::Claude, "──────\n❯ ?!\n──────", "?!"), Draft::Absent);
    }
}
