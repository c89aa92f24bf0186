//! What of a recording a terminal may get: a recording of somebody else could ask the terminal questions, whose answers would
//! be typed into the shell, or reach for the clipboard.

/// The text without queries and without strings for anything but titles and links.
pub(crate) fn for_terminal(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        kept.extend(rest.get(..at).unwrap_or_default().chars().filter(|c| !matches!(c, '\u{5}' | '\u{80}'..='\u{9f}')));
        let sequence = rest.get(at..).unwrap_or_default();
        let length = length(sequence);
        let (sequence, after) = sequence.split_at(length);
        if may_pass(sequence) {
            kept.push_str(sequence);
        }
        rest = after;
    }
    kept.extend(rest.chars().filter(|c| !matches!(c, '\u{5}' | '\u{80}'..='\u{9f}')));
    kept
}

/// How long the sequence is at the beginning of `text`, an unfinished one to its end.
fn length(text: &str) -> usize {
    let end = |found: Option<usize>, extra: usize| found.map_or(text.len(), |at| (at + extra).min(text.len()));
    let body = text.get(2..).unwrap_or_default();
    match text.as_bytes().get(1) {
        Some(b'[') => end(body.find(|c: char| matches!(c, '@'..='~' | '\u{1b}')), 3),
        Some(b']' | b'P' | b'X' | b'^' | b'_') => match body.find(['\u{7}', '\u{1b}', '\u{18}', '\u{1a}']) {
            Some(at) if body.get(at..).is_some_and(|rest| rest.starts_with("\u{1b}\\")) => at + 4,
            Some(at) if body.as_bytes().get(at) == Some(&0x1b) => at + 2,
            found => end(found, 3),
        },
        _ => end(text.get(1..).and_then(|rest| rest.find(|c: char| !matches!(c, ' '..='/'))), 2),
    }
    .max(1)
    .min(text.len())
}

fn may_pass(sequence: &str) -> bool {
    match sequence.as_bytes().get(1) {
        Some(b'[') => {
            let last = sequence.chars().next_back().unwrap_or_default();
            let marked = |marks: &[char]| sequence.contains(marks);
            match last {
                'c' | 'n' | 'x' | 't' | 'i' | '\u{1b}' => false,
                'q' => !marked(&['>']),
                'p' => !marked(&['$']),
                'u' | 'm' | 's' | 'r' | 'S' => !marked(&['?']),
                'y' | 'w' | '|' => false,
                _ => true,
            }
        }
        Some(b']') => ["\u{1b}]0;", "\u{1b}]2;", "\u{1b}]8;"].iter().any(|kind| sequence.starts_with(kind)),
        Some(b'P' | b'X' | b'^' | b'_' | b'Z' | b'%') | None => false,
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_passes_and_questions_do_not() {
        for pass in [
            "plain \u{e9}\u{65e5}",
            "\u{1b}[1;31mred\u{1b}[m",
            "\u{1b}[?1049h\u{1b}[2 q",
            "\u{1b}]2;title\u{7}x",
            "\u{1b}7\u{1b}(0q\u{1b}8",
            "\u{1b}]8;;http://a\u{1b}\\link",
            "\u{1b}[?2004h\u{1b}[>1u",
        ] {
            assert_eq!(for_terminal(pass), pass);
        }
        for (hostile, left) in [
            ("a\u{1b}[cb\u{1b}[6nc\u{1b}[>0q", "abc"),
            ("a\u{1b}]52;c;eA==\u{7}b", "ab"),
            ("a\u{1b}]11;?\u{1b}\\b\u{1b}P+q544e\u{1b}\\c\u{1b}_Ga=q\u{1b}\\d", "abcd"),
            ("a\u{1b}[?ub\u{1b}[?2026$pc\u{1b}[14td\u{5}", "abcd"),
            ("a\u{9d}52;c;x\u{9c}\u{1b}Z", "a52;c;x"),
            ("a\u{1b}]unfinished", "a"),
            ("a\u{1b}", "a"),
        ] {
            assert_eq!(for_terminal(hostile), left, "{hostile:?}");
        }
    }
}
