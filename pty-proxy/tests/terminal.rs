//! The terminal that programs believe to be talking to: which queries are answered while nobody looks, and which modes and
//! contents a viewer finds that joins later. One test each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says by a panic that it failed.

use std::time::Instant;

use orx_protocol::hold::TerminalSize;
use pty_proxy::terminal::emulator::Emulator;

const SIZE: TerminalSize = TerminalSize { cols: 80, rows: 24 };

/// Asks, and gives the answer; a viewer gets nothing of the question.
fn ask(query: &str) -> String {
    let mut session = Emulator::new(SIZE);
    session.accept(b"\x1b[3;5H\x1b[?2026h", Instant::now());
    let passed = session.accept(query.as_bytes(), Instant::now());
    assert_eq!(passed.bytes, b"", "a viewer's terminal would answer too");
    String::from_utf8(session.take_replies()).unwrap()
}

macro_rules! queries {
    ($($name:ident: $query:literal => $answer:expr;)*) => {
        mod query {
            use super::ask;
            $(
                #[test]
                fn $name() {
                    assert_eq!(ask($query), $answer);
                }
            )*
        }
    };
}

queries! {
    primary_attributes: "\x1b[c" => "\x1b[?62;22c";
    secondary_attributes: "\x1b[>c" => "\x1b[>0;276;0c";
    operating_status: "\x1b[5n" => "\x1b[0n";
    cursor_position: "\x1b[6n" => "\x1b[3;5R";
    version: "\x1b[>0q" => concat!("\x1bP>|orx ", env!("CARGO_PKG_VERSION"), "\x1b\\");
    size_in_characters: "\x1b[18t" => "\x1b[8;24;80t";
    size_in_pixels: "\x1b[14t" => "\x1b[4;480;800t";
    synchronized_updates: "\x1b[?2026$p" => "\x1b[?2026;1$y";
    bracketed_paste: "\x1b[?2004$p" => "\x1b[?2004;2$y";
    keyboard_protocol: "\x1b[?u" => "\x1b[?0u";
    // Terminals without graphics stay silent; the attributes asked for right after it tell that nothing comes.
    graphics: "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c" => "\x1b[?62;22c";
    capability: "\x1bP+q4d73\x1b\\" => "\x1bP0+r4d73\x1b\\";
    setting: "\x1bP$qm\x1b\\" => "\x1bP1$r0m\x1b\\";
    palette: "\x1b]4;1;?\x07" => "\x1b]4;1;rgb:cdcd/0000/0000\x07";
    foreground: "\x1b]10;?\x1b\\" => "\x1b]10;rgb:d4d4/d4d4/d4d4\x1b\\";
    background: "\x1b]11;?\x1b\\" => "\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\";
    extended_cursor_position: "\x1b[?6n" => "\x1b[?3;5;1R";
    size_of_a_cell: "\x1b[16t" => "\x1b[6;20;10t";
    color_scheme: "\x1b[?996n" => "\x1b[?997;1n";
    grapheme_clusters: "\x1b[?2027$p" => "\x1b[?2027;0$y";
    other_keys: "\x1b[?4m" => "\x1b[>4;0m";
    clipboard: "\x1b]52;c;?\x07" => "";
}

/// Joins a session that was brought into a state, on a terminal that is in another one; gives the redraw.
fn join(state: &str) -> String {
    let now = Instant::now();
    let mut session = Emulator::new(SIZE);
    session.accept(state.as_bytes(), now);
    let redraw = session.redraw().concat();
    let mut viewer = Emulator::new(SIZE);
    viewer.accept(b"\x1b[?1049h\x1b[?1003h\x1b[?1006h\x1b[?2004h\x1b[2;9r\x1b(0\x1b[4hnoise\x1b[>4;2m\x1b[>5u", now);
    viewer.accept(&redraw, now);
    assert_eq!(viewer.text(), session.text());
    // What a third viewer would get from either is the same, and so is what goes on.
    for more in ["", "\x1b8more \u{65e5}\t\u{1f600}\x1b[1mbold\n\x1b[?1049l\x1b8behind"] {
        let passed = session.accept(more.as_bytes(), now).bytes;
        viewer.accept(&passed, now);
        assert_eq!(viewer.text(), session.text());
    }
    String::from_utf8(redraw).unwrap()
}

macro_rules! restored {
    ($($name:ident: $state:literal => $drawn:literal;)*) => {
        mod restored {
            use super::join;
            $(
                #[test]
                fn $name() {
                    let redraw = join($state);
                    assert!(redraw.contains($drawn), "{redraw:?}");
                }
            )*
        }
    };
}

restored! {
    both_screens: "main\x1b[?1049h\x1b[Halternate" => "\x1b[?1049h";
    the_screen_behind: "main\x1b[?1049h\x1b[Halternate" => "main";
    bracketed_paste: "\x1b[?2004h" => "2004";
    focus: "\x1b[?1004h" => "1004";
    mouse_with_sgr: "\x1b[?1002h\x1b[?1006h" => "1002;1006h";
    all_motion: "\x1b[?1003h" => "\x1b[?1003h";
    cursor_keys: "\x1b[?1h" => "\x1b[?1h";
    keypad: "\x1b=" => "\x1b=";
    keyboard_stack: "\x1b[>1u\x1b[>7u" => "\x1b[>1u\x1b[>7u";
    other_keys: "\x1b[>4;2m" => "\x1b[>4;2m";
    scroll_region: "\x1b[3;9r" => "\x1b[3;9r";
    origin: "\x1b[3;9r\x1b[?6h" => "\x1b[?6h";
    tabs: "\x1b[3g\x1b[6G\x1bH\x1b[20G\x1bH" => "\x1b[6G\x1bH\x1b[20G\x1bH";
    saved_cursor: "\x1b[5;7H\x1b[33m\x1b7\x1b[H" => "\x1b[5;7H\x1b[33m\x1b7";
    title: "\x1b]2;the title\x07" => "\x1b]2;the title\x1b\\";
    links: "\x1b]8;id=a;http://example.org\x07link" => "\x1b]8;id=a;http://example.org\x1b\\link";
    curly_underline: "\x1b[4:3;58:2::1:2:3mcurly" => "\x1b[0;4:3;58:2::1:2:3mcurly";
    colors_and_styles: "\x1b[1;2;3;5;7;8;9;38;2;1;2;3;48;5;200mx" => ";38;2;1;2;3;48;5;200mx";
    cursor_shape: "\x1b[5 q" => "\x1b[5 q";
    hidden_cursor: "\x1b[?25l" => "\x1b[?25l";
    line_drawing: "\x1b(0" => "\x1b(0";
    shifted_charset: "\x1b)0\x0e" => "\x0e";
    no_wrap: "\x1b[?7l" => "\x1b[?7l";
    insert: "\x1b[4h" => "\x1b[4h";
    set_colors: "\x1b]11;#102030\x07" => "\x1b]11;rgb:10/20/30\x1b\\";
    joined_characters: "e\u{301} \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}" => "e\u{301}";
    color_scheme_changes: "\x1b[?2031h" => "2031";
}

#[test]
fn a_synchronized_update_stays_open_for_a_viewer_that_joins_in_it() {
    let redraw = join("\x1b[?2026hhalf");
    assert!(redraw.starts_with("\x1b[?2026h") && !redraw.contains("\x1b[?2026l"), "{redraw:?}");
    assert!(join("whole\x1b[m").ends_with("\x1b[?2026l"));
    // The last character is written again, so that one that joins it has something to join.
    assert!(join("whole").ends_with("\x1b[?2026l\x1b[1;5He"));
}
