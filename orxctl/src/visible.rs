//! Text of agents for whoever decides about it: nothing is left out and nothing acts. What a terminal would obey, what
//! cannot be seen and what changes the order of the rest is written out; what is long is folded with a count.

use unicode_width::UnicodeWidthChar;

use crate::text;

/// Characters of a line that are shown at its beginning and its end where it is folded.
const LINE: (usize, usize) = (1200, 300);

/// Lines of a block that are shown at its beginning and its end where it is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// All of it.
    None,
    /// The first and the last of them.
    Ends(usize, usize),
}

/// The text on one line, line ends written as `⏎`.
#[must_use]
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        push(character, &mut out);
    }
    out
}

fn push(character: char, out: &mut String) {
    match character {
        '\n' => out.push('⏎'),
        ' ' => out.push(' '),
        other if must_be_written_out(other) => out.extend(other.escape_unicode()),
        other => out.push(other),
    }
}

fn must_be_written_out(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        // Joined characters and selected shapes are how people write; whatever else has no width is hidden.
        || (character.width().unwrap_or(0) == 0 && !is_of_a_visible_character(character))
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
                | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Marks that are drawn on the character before them, and what joins or shapes emoji.
const fn is_of_a_visible_character(character: char) -> bool {
    matches!(
        character,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
            | '\u{64b}'..='\u{65f}' | '\u{900}'..='\u{dff}' | '\u{e31}'..='\u{e4e}' | '\u{200c}' | '\u{200d}'
            | '\u{20d0}'..='\u{20f0}' | '\u{302a}'..='\u{302f}' | '\u{3099}' | '\u{309a}' | '\u{fe0e}' | '\u{fe0f}'
    )
}

/// The text as lines of their own, each safe to show.
#[must_use]
pub(crate) fn block(text: &str, fold: Fold) -> Vec<String> {
    // A last line end ends the last line and begins none.
    let text = text.strip_suffix('\n').unwrap_or(text);
    let lines: Vec<&str> = text.split('\n').collect();
    let shown = |lines: &[&str]| lines.iter().map(|text| folded_line(text)).collect::<Vec<_>>();
    match fold {
        Fold::Ends(first, last) if lines.len() > first + last + 1 => {
            let (head, rest) = lines.split_at(first.min(lines.len()));
            let (left_out, tail) = rest.split_at(rest.len().saturating_sub(last));
            let mut out = shown(head);
            out.push(format!("… {} lines are folded …", left_out.len()));
            out.extend(shown(tail));
            out
        }
        Fold::None | Fold::Ends(..) => shown(&lines),
    }
}

/// A line that is safe to show as rows of at most so many columns, broken between words where there are some. Who puts a
/// mark before every row so leaves none to the terminal, which would begin it without one.
#[must_use]
pub(crate) fn rows(line: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut rest = line;
    while text::width(rest) > columns.max(1) {
        let (mut used, mut end, mut space) = (0, 0, None);
        for (index, character) in rest.char_indices() {
            used += character.width().unwrap_or(0);
            if used > columns && end > 0 {
                break;
            }
            end = index + character.len_utf8();
            if character == ' ' && used > columns / 2 {
                space = Some(end);
            }
        }
        let (row, next) = rest.split_at(space.unwrap_or(end));
        rows.push(row.trim_end().to_owned());
        rest = next;
    }
    rows.push(rest.to_owned());
    rows
}

fn folded_line(text: &str) -> String {
    // Tabs are how code is indented, and they hide nothing within a line of its own.
    let shown = text.split('\t').map(line).collect::<Vec<_>>().join("    ");
    let count = shown.chars().count();
    let (first, last) = LINE;
    if count <= first + last + 40 {
        return shown;
    }
    let head: String = shown.chars().take(first).collect();
    let tail: String = shown.chars().skip(count - last).collect();
    format!("{head} … {} characters are folded … {tail}", count - first - last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_or_hides_is_written_out_and_the_rest_stays() {
        for (given, wanted) in [
            ("cargo test", "cargo test"),
            ("größe 漢字 👩‍💻 é", "größe 漢字 👩‍💻 é"),
            ("a\nb", "a⏎b"),
            ("\u{1b}[2Krm", "\\u{1b}[2Krm"),
            ("a\rb\u{8}c\td", "a\\u{d}b\\u{8}c\\u{9}d"),
            ("ls \u{202e}fdp.exe", "ls \\u{202e}fdp.exe"),
            ("a\u{200b}b\u{feff}c\u{2066}d", "a\\u{200b}b\\u{feff}c\\u{2066}d"),
            ("a\u{a0}b\u{2003}c\u{3164}d", "a\\u{a0}b\\u{2003}c\\u{3164}d"),
            ("\u{9b}2J\u{e0041}", "\\u{9b}2J\\u{e0041}"),
        ] {
            assert_eq!(line(given), wanted, "{given:?}");
        }
    }

    #[test]
    fn long_texts_are_folded_with_a_count_and_can_be_shown_whole() {
        let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let shown = block(&text, Fold::Ends(3, 2));
        assert_eq!(shown, ["line 0", "line 1", "line 2", "… 95 lines are folded …", "line 98", "line 99"]);
        assert_eq!(block(&text, Fold::None).len(), 100);
        assert_eq!(block("a\nb\nc\n", Fold::Ends(1, 1)), ["a", "b", "c"]);
        let long = format!("{}END", "x".repeat(5000));
        let shown = folded_line(&long);
        assert!(shown.contains("3503 characters are folded") && shown.ends_with("END"), "{shown}");
        assert_eq!(block("\tif x:\r", Fold::None), ["    if x:\\u{d}"]);
    }

    #[test]
    fn long_lines_are_broken_between_words_and_anywhere_else_where_there_are_none() {
        assert_eq!(rows("one two three", 8), ["one two", "three"]);
        assert_eq!(rows("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(rows("漢字漢字", 3), ["漢", "字", "漢", "字"]);
        assert_eq!(rows("", 4), [""]);
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_it_may_be_and_nothing_but_blanks_is_lost(given in "(\\PC| ){0,80}", columns in 2_usize..40) {
            let shown = line(&given);
            let rows = rows(&shown, columns);
            for row in &rows {
                prop_assert!(text::width(row) <= columns, "{row:?}");
            }
            let bare = |text: &str| text.chars().filter(|character| *character != ' ').collect::<String>();
            prop_assert_eq!(bare(&rows.concat()), bare(&shown));
        }

        #[test]
        fn nothing_that_controls_a_terminal_is_left(given in "(\\PC|\u{1b}|\u{9b}|\u{202e}|\u{2066}|\n|\r|\u{7}){0,60}") {
            let shown = line(&given);
            prop_assert!(!shown.chars().any(|character| character != ' ' && must_be_written_out(character)), "{shown:?}");
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
