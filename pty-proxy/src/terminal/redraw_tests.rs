//! A redraw must bring a fresh terminal, and one that shows something else, to the same screen, at any cut of any
//! stream; and what follows must continue there as on the first terminal.

use std::time::Instant;

use alacritty_terminal::grid::{Cursor, Grid};
use alacritty_terminal::index::Line;
use alacritty_terminal::term::cell::{Cell, Flags};
use orx_protocol::hold::TerminalSize;
use proptest::prelude::*;

use super::emulator::Emulator;
use super::screen::{Screen, is_second_half, shown};
use super::style::Style;

const SIZE: TerminalSize = TerminalSize { cols: 20, rows: 6 };

/// A cell as somebody sees it, and as a redraw must give it back.
fn seen(row: &[Cell], column: usize, no_wrap: bool) -> String {
    let cell = &row[column];
    if is_second_half(row, column) {
        return "second half".to_owned();
    }
    // A wide alternate screen that was narrow may have the mark within a row, where it says nothing.
    let layout =
        if column + 1 == row.len() && !no_wrap { cell.flags.intersection(Flags::WRAPLINE) } else { Flags::empty() };
    let (character, joined) = shown(row, column);
    format!("{character:?} {joined:?} {layout:?} {}", style(cell))
}

/// A style; links that the program gave no identifier are numbered by the model, differently each time.
fn style(cell: &Cell) -> String {
    let link = cell.hyperlink().map(|link| {
        let id = if link.id().ends_with("_alacritty") { "" } else { link.id() };
        format!("{id} {}", link.uri())
    });
    let mut plain = cell.clone();
    plain.set_hyperlink(None);
    format!("{:?} {link:?}", Style::of(&plain))
}

fn rows(grid: &Grid<Cell>, rows: u16) -> Vec<Vec<String>> {
    (0..i32::from(rows))
        .map(|line| {
            let row = &grid[Line(line)][..];
            // On the last row there is nothing that a row could go on with, and a cursor that waits behind the last
            // column is put there by writing it again.
            let waits = grid.cursor.input_needs_wrap && grid.cursor.point.line == line;
            (0..row.len()).map(|column| seen(row, column, waits || line + 1 == i32::from(rows))).collect()
        })
        .collect()
}

fn cursor(cursor: &Cursor<Cell>) -> String {
    format!("{:?} {} {} {:?}", cursor.point, cursor.input_needs_wrap, style(&cursor.template), cursor.charsets)
}

/// All that must be alike, in parts that name themselves when they are not.
fn picture(screen: &Screen) -> Vec<(&'static str, String)> {
    let size = screen.size();
    let grid = screen.term.grid();
    let tracked = &screen.tracked;
    let mut picture: Vec<(&'static str, String)> = rows(grid, size.rows)
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, cell)| {
            ("cell", format!("{},{} {cell}", index / usize::from(size.cols), index % usize::from(size.cols)))
        })
        .collect();
    picture.push(("cursor", cursor(&grid.cursor)));
    picture.push(("saved cursor", cursor(&grid.saved_cursor)));
    picture.push(("mode", format!("{:?}", screen.mode())));
    picture.push(("region", format!("{:?}", tracked.region)));
    picture.push(("tabs", format!("{:?}", tracked.tabs)));
    picture.push(("charset", format!("{:?}", tracked.charset)));
    picture.push(("saved with the cursor", format!("{:?} {:?}", tracked.main_saved, tracked.alternate_saved)));
    picture.push(("alternate saved cursor", cursor(&tracked.alternate_cursor)));
    picture.push(("style", format!("{:?} {:?}", tracked.style, tracked.blinking)));
    picture.push(("title", screen.title().to_owned()));
    picture.push(("colors", format!("{:?}", screen.set_colors())));
    picture.push(("extra modes", format!("{:?}", tracked.extra_modes)));
    picture.push(("mouse", format!("{:?}", tracked.mouse)));
    picture.push(("keys", format!("{:?} {:?}", tracked.modify_other_keys, screen.keyboard().flags)));
    picture.push(("main keyboard", format!("{:?}", tracked.main_keyboard)));
    if screen.is_alternate() {
        picture.push(("alternate keyboard", format!("{:?}", tracked.alternate_keyboard)));
    }
    if let Some(behind) = &screen.behind {
        picture.push(("behind", format!("{:?}", rows(behind, size.rows))));
        // The cursor itself is nowhere seen: the one that was saved comes back, or that of the alternate screen stays.
        picture.push(("saved cursor behind", cursor(&behind.saved_cursor)));
    }
    picture
}

fn difference(one: &Emulator, other: &Emulator) -> Option<String> {
    let (one, other) = (picture(one.screen()), picture(other.screen()));
    one.iter().zip(&other).find(|(one, other)| one != other).map(|(one, other)| format!("{one:?} is not {other:?}"))
}

fn draw(emulator: &mut Emulator, bytes: &[u8]) -> Vec<u8> {
    emulator.accept(bytes, Instant::now()).bytes
}

fn redrawn(from: &Emulator, onto: &mut Emulator) {
    for part in from.redraw() {
        draw(onto, &part);
    }
}

/// Checks one stream that is joined by a viewer at `cut`; the viewer's terminal showed `before`.
fn check(stream: &[u8], cut: usize, before: &[u8]) -> Result<(), String> {
    let mut session = Emulator::new(SIZE);
    let (first, second) = stream.split_at(cut.min(stream.len()));
    draw(&mut session, first);
    let mut viewer = Emulator::new(SIZE);
    draw(&mut viewer, before);
    redrawn(&session, &mut viewer);
    if let Some(difference) = difference(&session, &viewer) {
        return Err(format!("after the redraw at {cut}: {difference}"));
    }
    let passed = draw(&mut session, second);
    draw(&mut viewer, &passed);
    difference(&session, &viewer).map_or(Ok(()), |difference| Err(format!("joined at {cut}, at the end: {difference}")))
}

#[test]
fn every_feature_survives_a_redraw_at_every_cut() {
    let streams: &[&str] = &[
        "hello\r\nworld",
        "\x1b[1;31mbold red\x1b[0;4:3;58:2::1:2:3mcurly\x1b[58;5;9;4:2mdouble\x1b[m\x1b[7minverse\x1b[27;9;3;2mmany\x1b[8mhidden",
        "\x1b[38;5;200;48;2;1;2;3mcolours\x1b[39mx\x1b[K\x1b[5;5H\x1b[44m\x1b[2K\x1b[0;92;105mbright",
        "wraps around the end of the line and on and on\r\nnext",
        "1234567890123456789\u{65e5}\u{672c}\u{8a9e}wide at the edge\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}e\u{301}",
        "12345678901234567890\x1b[1;20H\u{65e5}|\u{65e5}\x1b[1;19Hx",
        "\x1b]8;;http://example.org/a;b\x1b\\link\x1b]8;;\x1b\\ \x1b]8;id=7;http://example.org\x07open",
        "\x1b]0;a title\x07\x1b[22t\x1b]2;another\x1b\\\x1b[23t",
        "main text\x1b[?1049h\x1b[2Jalt text\x1b[3;3H\x1b7\x1b[5;5H\x1b[>1u\x1b[32mx\x1b[?1049lback",
        "main\x1b[1;33m\x1b[?1049halt\x1b[m\x1b[?1049l still bold",
        "12345678901234567890",
        "12345678901234567890\x1b7\x1b[3;3Hx\x1b8y",
        "\x1b[2;4r\x1b[?6h\x1b[2;3Horigin\x1b7\n\n\n\nscrolls\x1b[?6l",
        "\x1b[2;4r\x1b[4;1H\nline\nline\nline\x1bM\x1b[L\x1b[2M",
        "\x1b[4hinsert\x1b[1;3Hxx\x1b[4l\x1b[20ha\nb\x1b[20l\x1b[?7l123456789012345678901234\x1b[?7h",
        "\x1b(0lqqk\x1b(B\x0e\x1b)0xx\x0f\x1b*0ab",
        "\x1b[3g\x1b[5G\x1bH\x1b[9G\x1bH\r\tt\tu\x1b[?5W\r\tv\x1b[Zw",
        "\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[?1004h\x1b[?25l\x1b[5 q\x1b[?1007l\x1b[>4;2m\x1b[?2031h\x1b[?1016h",
        "\x1b[?1000h\x1b[?1003h\x1b[?1005h\x1b[?1006h\x1b[?12h\x1b[?5h\x1b[?9h",
        "\x1b[>1u\x1b[>7u\x1b[=3;2u\x1b[<u\x1b[>5u\x1b[<9u",
        "\x1b]4;1;#112233\x07\x1b]10;rgb:aa/bb/cc\x07\x1b]11;#000\x07\x1b]12;#fff\x07\x1b]104;1\x07\x1b]111\x07",
        "text\x1b[!pafter\x1b[3;3r\x1b[2;5r\x1b[5;1H\x1b[!p",
        "a\x1b[6nb\x1b[c\x1b]11;?\x07c\x1bP+q544e\x1b\\d\x1b_Ga=q;\x1b\\e",
        "\x1b[?2026hhalf\x1b[2;2Hpicture\x1b[?2026lwhole",
        "\x1b[?1047halt\x1b[?1047l\x1b[?1048h\x1b[3;3Hx\x1b[?1048ly",
        "\x1bcafter a reset\x1b#8\x1b[3;3H\x1b[1J\x1b[2;4H\x1b[1J\x1b[X\x1b[30P",
        "\x1b[44m\x1b[2J\x1b[3;3H          gap          \x1b[m\x1b[5;15H\x1b[46m\x1b[5X",
        "12345678901234567890123\x1b[1;20H\x1b7\x1b[4;1Hx",
        "\r\n12345678901234567890\x1b7xx\x1b[u\x1b[S",
        "\x1b[4:3;53mover\x1b[24mand\x1b[4m under\x1b[55mno more\x1b[53;38;5;53mx\x1b[0my",
        "\x1b*0\x1bnqq\x1b7\x0f\x1b8qq\x1bo\x1b[2;4r\x1b[?6h\x1b7\x1b[?6l\x1b8x",
        "main\x1b7\x1b[?47halt\x1b[2;2H\x1b7\x1b[?47l\x1b8x\x1b[?1047h\x1b8y\x1b[?1047l",
        "e\x1b[m\u{301}ab\x1b[3be\u{301}\x1b[2b\u{65e5}\x1b[1;2H\x1b[@\x1b[?5W\x1b[2e\x1b[?K\x1b#8",
    ];
    for stream in streams {
        for cut in 0..=stream.len() {
            for before in
                ["", "\x1b[?1049h\x1b[2;4r\x1b[?6h\x1b(0\x0e\x1b[4hnoise\x1b[?7l\x1b[7m\x1b[?1003h\x1b]8;;http://x\x07"]
            {
                if let Err(difference) = check(stream.as_bytes(), cut, before.as_bytes()) {
                    panic!("{stream:?}: {difference}");
                }
            }
        }
    }
}

#[test]
fn a_resize_leaves_all_alike() {
    let mut session = Emulator::new(SIZE);
    draw(&mut session, "a line that wraps around the end\r\n\x1b[?2004h\x1b[>1u\x1b]2;t\x07\x1b[31m\u{65e5}\u{672c}\x1b7\x1b[?1049h\x1b[Halt \x1b[4;4H".as_bytes());
    for (cols, rows) in [(30, 10), (10, 3), (2, 1), (1, 1), (0, 0), (1000, 500), (u16::MAX, u16::MAX), (20, 6), (21, 7)]
    {
        session.resize(TerminalSize { cols, rows });
        draw(&mut session, "more \u{65e5}\u{672c}\u{8a9e} text\x1b[99;99Hx".as_bytes());
        let mut viewer = Emulator::new(session.screen().size());
        redrawn(&session, &mut viewer);
        assert_eq!(difference(&session, &viewer), None, "{cols}x{rows}");
    }
}

#[test]
fn a_narrower_screen_keeps_its_top_while_there_is_room_below() {
    let mut session = Emulator::new(TerminalSize { cols: 20, rows: 10 });
    draw(&mut session, b"1234567890abcdefghij\r\nend\r\n");
    session.resize(TerminalSize { cols: 10, rows: 8 });
    assert_eq!(session.text().lines[..4], ["1234567890", "abcdefghij", "end", ""]);
    assert_eq!((session.text().cursor.row, session.text().cursor.col), (3, 0));
    session.resize(TerminalSize { cols: 20, rows: 10 });
    assert_eq!(session.text().lines[..3], ["1234567890abcdefghij", "end", ""]);
    assert_eq!((session.text().cursor.row, session.text().cursor.col), (2, 0));
    draw(&mut session, b"\x1b[?1049h\x1b[Halternate");
    session.resize(TerminalSize { cols: 5, rows: 9 });
    draw(&mut session, b"\x1b[?1049l");
    assert_eq!(session.text().lines[..5], ["12345", "67890", "abcde", "fghij", "end"]);
    // Where there is no room, the top gives way and the cursor stays in sight.
    session.resize(TerminalSize { cols: 5, rows: 3 });
    assert_eq!(session.text().lines, ["fghij", "end", ""]);
}

#[test]
fn a_resize_of_lines_costs_no_spare_rows() {
    let mut session = Emulator::new(TerminalSize { cols: 80, rows: 24 });
    session.resize(TerminalSize { cols: 80, rows: 25 });
    assert_eq!(alacritty_terminal::grid::Dimensions::total_lines(session.screen().term.grid()), 25);
}

/// Bytes with much of what terminals act upon.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let number =
        prop_oneof![Just(String::new()), (0u16..25).prop_map(|number| number.to_string()), Just("65535".to_owned())];
    let control =
        (prop::collection::vec(number, 0..3), prop::sample::select(b"ABCDEFGHIJKLMPSTXZ@dfgmrsubcn".to_vec()))
            .prop_map(|(numbers, last)| format!("\x1b[{}{}", numbers.join(";"), char::from(last)).into_bytes());
    let modes = (
        prop::sample::select(vec![1u16, 6, 7, 12, 25, 47, 1000, 1002, 1003, 1004, 1006, 1049, 2004, 2026, 2027]),
        any::<bool>(),
    )
        .prop_map(|(mode, on)| format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }).into_bytes());
    let style = prop::sample::select(vec![
        "\x1b[m",
        "\x1b[1m",
        "\x1b[31m",
        "\x1b[48;5;33m",
        "\x1b[38;2;9;8;7m",
        "\x1b[4:3m",
        "\x1b[7m",
        "\x1b[22;24;27m",
        "\x1b[49m",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    let other = prop::sample::select(vec![
        "\x1b7",
        "\x1b8",
        "\x1bM",
        "\x1bD",
        "\x1bE",
        "\x1bc",
        "\x1bH",
        "\x1b(0",
        "\x1b(B",
        "\x0e",
        "\x0f",
        "\r",
        "\n",
        "\t",
        "\x08",
        "\x1b#8",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[>1u",
        "\x1b[<u",
        "\x1b[=5;2u",
        "\x1b]2;t\x07",
        "\x1b]8;;http://a\x07",
        "\x1b]8;;\x07",
        "\x1b[!p",
        "\x1b[3 q",
        "\x1b[?5W",
        "\x1b=",
        "\x1b>",
        "\x1b]4;3;#123\x07",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    let text = prop_oneof![
        "[a-z ]{1,12}",
        prop::collection::vec(
            prop::sample::select(vec!["\u{65e5}", "\u{1f600}", "e\u{301}", "\u{200d}", "\u{fe0f}", "x", " "]),
            1..6
        )
        .prop_map(|parts| parts.concat()),
    ]
    .prop_map(String::into_bytes);
    prop::collection::vec(prop_oneof![4 => text, 3 => control, 1 => modes, 2 => style, 2 => other], 0..30)
        .prop_map(|parts| parts.concat())
}

#[test]
fn a_cursor_saved_on_the_alternate_screen_is_there_when_that_is_shown_again() {
    let stream = b"\x1b[?47habc\x1b[s\x1b[?47l\x1b[?1049hd\x1b[?1l";
    for cut in 0..=stream.len() {
        assert_eq!(check(stream, cut, b""), Ok(()), "joined at {cut}");
    }
}

proptest! {
    #[test]
    fn any_stream_is_redrawn_at_any_cut(stream in streams(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(stream.len() + 1);
        if let Err(difference) = check(&stream, cut, b"") {
            prop_assert!(false, "{}", difference);
        }
    }

    #[test]
    fn arbitrary_bytes_and_sizes_never_fail_the_model(parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0u16..40, 0u16..20), 1..8), stream in streams()) {
        let mut session = Emulator::new(SIZE);
        for (bytes, cols, rows) in parts {
            draw(&mut session, &bytes);
            session.resize(TerminalSize { cols, rows });
            draw(&mut session, &stream);
            let _ = session.redraw();
            let _ = session.text();
        }
        prop_assert_eq!(session.defects(), 0);
    }
}
