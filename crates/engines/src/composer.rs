//! Where a coding CLI takes its prompt: whether a screen shows that place, and not a dialog in its stead.
//!
//! What is typed before it shows is lost, or answers a question that nobody read. The marks are those of the versions
//! that the tests run; an unknown layout is taken for one that does not show it.

use crate::EngineKind;

/// Whether the screen (a text a row) shows the place where the engine takes a prompt; for [`EngineKind::Command`], of
/// which nothing is known, always.
#[must_use]
pub fn shows_composer(kind: EngineKind, screen: &[impl AsRef<str>]) -> bool {
    let rows = || screen.iter().map(|row| row.as_ref().trim_end());
    let pairs = || rows().zip(rows().skip(1));
    match kind {
        // Its dialogs have the same mark before the choice, further to the right.
        EngineKind::Claude => pairs().any(|(above, row)| is_made_of(above, '─') && row.starts_with('❯')),
        // Its dialogs number their choices.
        EngineKind::Codex => rows().any(|row| {
            let text = row.strip_prefix('›').map(str::trim_start);
            text.is_some_and(|text| !text.split_once('.').is_some_and(|(number, _)| is_number(number)))
        }),
        EngineKind::Gemini => {
            pairs().any(|(above, row)| is_made_of(above, '▄') && row.trim_start().starts_with(['>', '*', '!']))
        }
        EngineKind::Opencode => rows().any(|row| row.trim_start().starts_with("╹▀▀")),
        EngineKind::Command => true,
    }
}

/// Whether a row is an edge drawn with this character alone.
fn is_made_of(row: &str, character: char) -> bool {
    row.chars().count() > 2 && row.chars().all(|c| c == character)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(kind: EngineKind, screen: &str) -> bool {
        shows_composer(kind, &screen.lines().collect::<Vec<_>>())
    }

    #[test]
    fn the_place_for_a_prompt_is_seen_empty_and_written_in() {
        for (kind, screen) in [
            (EngineKind::Claude, " ▐▛███▜▌   Claude Code v2.1.197\n\n──────\n❯\u{a0}\n──────\n  ? for shortcuts"),
            (EngineKind::Claude, "──────\n❯ Please \"explain\"\n\n  second line\n──────"),
            (EngineKind::Codex, "  >_ OpenAI Codex (v0.169.0)\n\n› Ask Codex to do anything\n\n  ? for shortcuts"),
            (EngineKind::Codex, "› 12 monkeys"),
            (EngineKind::Gemini, "▄▄▄▄▄▄\n >   Type your message or @path/to/file\n▀▀▀▀▀▀"),
            (EngineKind::Opencode, "   ┃\n   ┃  Ask anything… \"Fix broken tests\"\n   ┃\n   ╹▀▀▀▀▀▀▀"),
        ] {
            assert!(shows(kind, screen), "{kind}: {screen}");
        }
        assert!(shows(EngineKind::Command, ""));
    }

    #[test]
    fn a_dialog_is_no_place_for_a_prompt() {
        for (kind, screen) in [
            (EngineKind::Claude, "──────\n Accessing workspace:\n\n ❯ 1. Yes, I trust this folder\n   2. No, exit"),
            (EngineKind::Claude, "──────\n  Do you want to use this API key?\n\n    1. Yes\n  ❯ 2. No (recommended)"),
            (EngineKind::Codex, "  1. Run without daemon this time\n  2. Restart\n› 3. Cancel"),
            (EngineKind::Gemini, " │ Do you trust the files in this folder?\n │ ● 1. Trust folder (work)\n"),
            (EngineKind::Claude, "Please \"explain\"\n\nsecond line"),
            (EngineKind::Opencode, "Please \"explain\""),
        ] {
            assert!(!shows(kind, screen), "{kind}: {screen}");
        }
    }
}
