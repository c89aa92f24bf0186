//! Nineteen modes and kinds of content that a program sets, and whether a viewer that comes later gets them.

/// What the program writes. The scroll region is set before the text, and the cursor is put back by the text itself.
pub const SET: &str = concat!(
    "\x1b[?1049h\x1b[2J\x1b[5;20r",
    "\x1b]2;a title of its own\x1b\\",
    "\x1b[?2004h\x1b[?1004h\x1b[?1002h\x1b[?1006h\x1b[?1h\x1b=\x1b[?25l\x1b[5 q\x1b[>7u\x1b[>4;2m",
    "\x1b[6;3H\x1b[38;2;12;34;56mtruecolour\x1b[m",
    "\x1b[7;3H\x1b[1;3mbold italic\x1b[m",
    "\x1b[8;3H\x1b]8;;https://example.org/a\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[9;3H\x1b[4:3mcurly\x1b[m",
    "\x1b[10;3He\u{301}x",
    "\x1b[11;3H\u{1f469}\u{200d}\u{1f4bb}|",
    "\x1b[12;3H\u{65e5}\u{672c}!"
);

/// Their names, in the order of [`restored`].
pub const NAMES: [&str; 19] = [
    "alternate screen",
    "scroll region",
    "title",
    "bracketed paste",
    "focus reports",
    "mouse 1002",
    "mouse encoding 1006",
    "cursor keys",
    "keypad",
    "hidden cursor",
    "cursor shape",
    "kitty keyboard",
    "modifyOtherKeys",
    "truecolour",
    "bold and italic",
    "link",
    "curly underline",
    "combining character",
    "joined emoji",
];

/// Which of them the viewer's bytes set, in order.
pub fn restored(bytes: &[u8]) -> [bool; 19] {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let controls = controls(&text);
    // The last word counts: what is set and reset again is not set.
    let private = |mode: &str| {
        controls
            .iter()
            .rev()
            .find_map(|(body, last)| {
                let list = body.strip_prefix('?')?;
                (matches!(last, 'h' | 'l') && list.split(';').any(|one| one == mode)).then_some(*last == 'h')
            })
            .unwrap_or(false)
    };
    let control = |body: &str, last: char| controls.iter().any(|(found, end)| found == body && *end == last);
    let hidden = controls.iter().rev().find_map(|(body, last)| {
        (body.starts_with('?') && body.contains("25") && "hl".contains(*last)).then_some(*last == 'l')
    });
    let attributes = |wanted: &[&str]| {
        controls.iter().filter(|(_, last)| *last == 'm').any(|(body, _)| {
            let parts: Vec<&str> = body.split(';').collect();
            wanted.iter().all(|part| parts.contains(part))
        })
    };
    [
        private("1049") || private("47") || private("1047"),
        controls
            .iter()
            .rev()
            .find_map(|(body, last)| (*last == 'r' && !body.starts_with('?')).then_some(body == "5;20"))
            .unwrap_or(false),
        text.contains("a title of its own"),
        private("2004"),
        private("1004"),
        private("1002"),
        private("1006"),
        private("1"),
        text.rfind("\x1b=") > text.rfind("\x1b>"),
        hidden.unwrap_or(false),
        control("5 ", 'q'),
        controls.iter().any(|(body, last)| *last == 'u' && (body == ">7" || body.starts_with("=7"))),
        control(">4;2", 'm'),
        text.contains("38;2;12;34;56") || text.contains("38:2:12:34:56") || text.contains("38:2::12:34:56"),
        attributes(&["1", "3"]) || (attributes(&["1"]) && attributes(&["3"])),
        text.contains("https://example.org/a"),
        text.contains("4:3m") || text.contains("4:3;"),
        text.contains("e\u{301}"),
        // Terminals disagree on its width, so a redraw may say anew where its second half is.
        drawn(&text).contains("\u{1f469}\u{200d}\u{1f4bb}"),
    ]
}

/// What is drawn, without the CSI sequences in between.
fn drawn(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut drawn = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(is_final).map_or(part.len(), |end| end + 1);
        drawn.push_str(part.get(end..).unwrap_or_default());
    }
    drawn
}

/// Whether a character ends a CSI sequence.
fn is_final(character: char) -> bool {
    ('\u{40}'..='\u{7e}').contains(&character)
}

/// Parameters (with markers and intermediates) and final of each CSI sequence.
fn controls(text: &str) -> Vec<(String, char)> {
    text.split("\x1b[")
        .skip(1)
        .filter_map(|part| {
            let end = part.find(is_final)?;
            Some((part.get(..end)?.to_owned(), part.get(end..)?.chars().next()?))
        })
        .collect()
}
