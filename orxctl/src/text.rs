//! Text from elsewhere made safe to show: no control sequences, no characters that move or reorder what is shown.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text without control sequences; line ends stay, tabs become four blanks.
#[must_use]
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_sequence(&mut rest),
            '\u{9b}' => skip_csi(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            '\n' => out.push('\n'),
            '\t' => out.push_str("    "),
            other if other.is_control() || reorders(other) => {}
            other => out.push(other),
        }
    }
    out
}

/// The same as one line: line ends become blanks, blanks at both ends go.
#[must_use]
pub(crate) fn clean_line(text: &str) -> String {
    let unified = text.replace("\r\n", "\n").replace(['\n', '\r'], " ");
    clean(&unified).trim().to_owned()
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_sequence(rest: &mut Rest<'_>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_csi(rest);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            rest.next();
            skip_string(rest);
        }
        Some(' '..='/') => {
            while rest.next_if(|character| matches!(character, ' '..='/')).is_some() {}
            rest.next_if(|character| matches!(character, '0'..='~'));
        }
        Some('0'..='~') => {
            rest.next();
        }
        Some(_) | None => {}
    }
}

fn skip_csi(rest: &mut Rest<'_>) {
    while rest.next_if(|character| matches!(character, ' '..='?')).is_some() {}
    rest.next_if(|character| matches!(character, '@'..='~'));
}

/// A string ends with BEL or ST. One that never ends swallows no more than its line, so that it cannot hide the rest.
fn skip_string(rest: &mut Rest<'_>) {
    while let Some(character) = rest.next_if(|character| *character != '\n') {
        match character {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// Characters that show later text in another order or place.
const fn reorders(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
}

/// JSON that is safe on a terminal and means the same: what could control it is written as an escape. Such characters are
/// found within texts alone.
#[must_use]
pub(crate) fn clean_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && (character.is_control() || reorders(character)) {
            out.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            out.push(character);
        }
    }
    out
}

/// Columns that a text takes on a terminal.
#[must_use]
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text in lines of at most `columns`, broken at blanks where there are some; at least one line.
#[must_use]
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word;
        loop {
            let Some(line) = lines.last_mut() else { return lines };
            let used = width(line);
            let gap = usize::from(used > 0);
            if used + gap + width(word) <= columns {
                line.push_str(&" ".repeat(gap));
                line.push_str(word);
                break;
            }
            if used == 0 {
                // A word that is wider than a line is broken where the line ends.
                let mut room = columns;
                let end = word.char_indices().find_map(|(at, character)| {
                    let wide = character.width().unwrap_or(0);
                    let fits = wide <= room;
                    room = room.saturating_sub(wide);
                    (!fits && at > 0).then_some(at)
                });
                let (first, rest) = word.split_at(end.unwrap_or(word.len()));
                line.push_str(first);
                if rest.is_empty() {
                    break;
                }
                word = rest;
            }
            lines.push(String::new());
        }
    }
    lines
}

/// The text within `columns`, with `…` where something was left out.
#[must_use]
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let mut out = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide > room {
            break;
        }
        used += wide;
        out.push(character);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The end of the text within `columns`, with `…` where something was left out.
#[must_use]
pub(crate) fn shorten_start(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let turned: String = text.chars().rev().collect();
    shorten(&turned, columns).chars().rev().collect()
}

/// The text followed by blanks up to `columns`.
#[must_use]
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let mut out = text.to_owned();
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(text))));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_broken_at_blanks_and_hold_no_more_than_their_columns() {
        assert_eq!(wrap("it shows a place for a prompt", 10), ["it shows a", "place for", "a prompt"]);
        assert_eq!(wrap("a hippopotamus sat", 6), ["a", "hippop", "otamus", "sat"]);
        assert_eq!(wrap("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(wrap("漢", 1), ["漢"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn control_sequences_go_and_text_stays() {
        let table = [
            ("plain", "plain"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}Pq…\u{1b}\\x", "x"),
            ("\u{9b}2Jx", "x"),
            ("a\u{8}\u{7}b\rc", "abc"),
            ("\u{1b}(Bx\u{1b}7y\u{1b}", "xy"),
            ("\u{1b}]52;never ends\nnext", "\nnext"),
            ("a\tb", "a    b"),
            ("\u{202e}abc\u{2066}", "abc"),
            ("größe 漢字 👩‍💻", "größe 漢字 👩‍💻"),
        ];
        for (given, wanted) in table {
            assert_eq!(clean(given), wanted, "{given:?}");
        }
        assert_eq!(clean_line(" a\r\nb\n"), "a b");
    }

    #[test]
    fn json_says_the_same_without_control_characters() {
        let value = serde_json::json!({"a": "x\u{9b}2J\u{7f}\u{202e}\u{1b}[0m\ny"});
        let shown = clean_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.chars().any(|character| character != '\n' && (character.is_control() || reorders(character))));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn texts_are_cut_by_columns_and_not_by_characters() {
        assert_eq!(shorten("漢字漢字", 5), "漢字…");
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdef", 3), "ab…");
        assert_eq!(shorten("abc", 0), "");
        assert_eq!(pad("漢", 4), "漢  ");
    }

    proptest! {
        #[test]
        fn nothing_that_controls_a_terminal_is_left(given in "(\\PC|\u{1b}|\u{9b}|\u{9d}|\n|\\[|\\]|[0-9;?mhlJ\u{7}]){0,60}") {
            let shown = clean(&given);
            let controls = |character: char| character != '\n' && (character.is_control() || reorders(character));
            prop_assert!(!shown.chars().any(controls));
            prop_assert!(width(&shorten(&shown.replace('\n', " "), 10)) <= 10);
        }
    }
}
