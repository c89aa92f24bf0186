//! A text as the bytes that a terminal types for a paste: it cannot end the paste early, nor press any key.

use alacritty_terminal::term::TermMode;

const BEGIN: &[u8] = b"\x1b[200~";
const END: &[u8] = b"\x1b[201~";

/// The bytes for `text`: one bracketed paste where the program asked for that, else as typed, with Enter for the ends
/// of lines. Control characters other than tab and the ends of lines are left out.
#[must_use]
pub fn paste(text: &str, mode: TermMode) -> Vec<u8> {
    let text = text.replace("\r\n", "\n");
    let bracketed = mode.contains(TermMode::BRACKETED_PASTE);
    let kept = text
        .chars()
        .map(|character| if character == '\r' { '\n' } else { character })
        .filter(|character| matches!(character, '\n' | '\t') || !character.is_control());
    if bracketed {
        let mut bytes = BEGIN.to_vec();
        bytes.extend_from_slice(kept.collect::<String>().as_bytes());
        bytes.extend_from_slice(END);
        bytes
    } else {
        kept.map(|character| if character == '\n' { '\r' } else { character }).collect::<String>().into_bytes()
    }
}

/// Follows whether what a viewer typed so far has begun a paste and not ended it.
#[derive(Debug, Default, Clone)]
pub struct PasteWatch {
    tail: Vec<u8>,
    open: bool,
}

impl PasteWatch {
    /// Takes what was typed; gives whether a paste is open after it.
    pub fn follow(&mut self, typed: &[u8]) -> bool {
        let mut seen = std::mem::take(&mut self.tail);
        seen.extend_from_slice(typed);
        let last = |needle: &[u8]| seen.windows(needle.len()).rposition(|window| window == needle);
        match (last(BEGIN), last(END)) {
            (None, None) => {}
            (begin, end) => self.open = begin > end,
        }
        let keep = seen.len().saturating_sub(BEGIN.len() - 1);
        self.tail = seen.split_off(keep);
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_paste() {
        let typed = paste("a\x1b[201~\x03rm\r\nb\tc\u{9b}", TermMode::BRACKETED_PASTE);
        assert_eq!(typed, b"\x1b[200~a[201~rm\nb\tc\x1b[201~");
    }

    #[test]
    fn without_bracketed_paste_the_ends_of_lines_are_enter() {
        assert_eq!(paste("a\nb\r\nc", TermMode::NONE), b"a\rb\rc");
    }

    #[test]
    fn an_open_paste_is_seen_across_reads() {
        let mut watch = PasteWatch::default();
        assert!(!watch.follow(b"x\x1b[20"));
        assert!(watch.follow(b"0~text"));
        assert!(watch.follow(b"more\x1b[201"));
        assert!(!watch.follow(b"~"));
        assert!(!watch.follow(b"\x1b[200~whole\x1b[201~"));
    }
}
