//! What scrolls away is kept as lines, whatever way it scrolls.

use std::time::Instant;

use orx_protocol::hold::TerminalSize;

use super::emulator::Emulator;
use super::history::Scrolled;

const SIZE: TerminalSize = TerminalSize { cols: 20, rows: 4 };

fn session() -> Emulator {
    let mut emulator = Emulator::new(SIZE);
    emulator.keep_history();
    emulator
}

fn scrolled(emulator: &mut Emulator, bytes: &[u8]) -> Scrolled {
    emulator.accept(bytes, Instant::now());
    emulator.take_scrolled()
}

fn lines(emulator: &mut Emulator, bytes: &str) -> Vec<String> {
    let Scrolled { lines, .. } = scrolled(emulator, bytes.as_bytes());
    String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn lines_are_kept_whole_and_with_their_styles() {
    let mut session = session();
    assert_eq!(lines(&mut session, "one\r\ntwo\r\n\x1b[1;31mred\x1b[m plain\r\nfour"), Vec::<String>::new());
    assert_eq!(lines(&mut session, "\r\nfive\r\n"), ["one", "two"]);
    assert_eq!(lines(&mut session, "\x1b[2S"), ["\x1b[0;1;31mred\x1b[0m plain", "four"]);
    // A line that was wrapped into two rows is one line again, also while its rest is on the screen.
    let mut session = self::session();
    assert_eq!(lines(&mut session, "a line that is wrapped around\r\n2\r\n3\r\n"), Vec::<String>::new());
    assert_eq!(lines(&mut session, "4\r\n5"), ["a line that is wrapped around"]);
    assert_eq!(lines(&mut session, "67890123456789012345678901234567890\r\n"), ["2", "3"]);
}

#[test]
fn wide_and_joined_characters_are_kept_as_they_were() {
    let mut session = session();
    let text = "e\u{301} \u{65e5}\u{672c}\u{8a9e}\u{65e5}\u{672c}\u{8a9e}\u{65e5}\u{672c}\u{8a9e}";
    assert_eq!(lines(&mut session, &format!("{text}\r\n\n\n\n\n")), [text.to_owned(), String::new()]);
}

#[test]
fn only_what_leaves_the_primary_screen_at_its_top_is_kept() {
    let mut session = session();
    assert_eq!(lines(&mut session, "1\r\n2\r\n3\r\n4\x1b[2;4r\x1b[4;1H\n\n\n\x1b[r"), Vec::<String>::new());
    assert_eq!(lines(&mut session, "\x1b[?1049h\x1b[H1\n2\n3\n4\n5\n6\n\x1b[?1049l"), Vec::<String>::new());
    assert_eq!(lines(&mut session, "\x1b[1;3r\x1b[3;1H\n"), ["1"]);
    assert_eq!(lines(&mut session, "\x1b[r\x1b[H\x1b[2J\x1b[M\x1bM"), Vec::<String>::new());
}

#[test]
fn a_program_can_have_it_forgotten() {
    let mut session = session();
    session.accept(b"1\n2\n3\n4\n5\n6\n", Instant::now());
    assert_eq!(scrolled(&mut session, b"\x1b[H\x1b[2J\x1b[3J"), Scrolled { cleared: true, lines: Vec::new() });
    assert_eq!(scrolled(&mut session, b"1\r\n2\r\n3\r\n4\r\n5"), Scrolled { cleared: false, lines: b"1\n".to_vec() });
    assert!(scrolled(&mut session, b"\x1bc").cleared);
}

#[test]
fn rows_that_a_smaller_screen_has_no_place_for_are_kept() {
    let mut session = session();
    session.accept(b"1\r\n2\r\n3\r\n4", Instant::now());
    session.resize(TerminalSize { cols: 20, rows: 2 });
    assert_eq!(session.take_scrolled().lines, b"1\n2\n");
    session.accept(b"\x1b[H\x1b[Jabcdefghijklmnopqrst\r\nend", Instant::now());
    session.resize(TerminalSize { cols: 5, rows: 2 });
    assert_eq!(session.take_scrolled().lines, b"");
    assert_eq!(lines(&mut session, "\r\n\r\n"), ["abcdefghijklmnopqrst", "end"]);
}

#[test]
fn an_endless_line_is_cut_and_what_nobody_takes_is_bounded() {
    let mut session = session();
    for _ in 0..200 {
        session.accept(&[b'x'; 64 * 1024], Instant::now());
    }
    let lines = session.take_scrolled().lines;
    assert!(lines.len() <= 4 * 1024 * 1024);
    assert!(lines.split(|byte| *byte == b'\n').all(|line| line.len() <= 17 * 1024));
}
