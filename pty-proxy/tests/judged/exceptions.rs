//! Where xterm.js, which judges, is alone: each place by name, with a stream that shows it. Generated streams keep away from
//! those in which a viewer that joins cannot be shown the same, and a place that xterm.js mends must leave the list.

use std::time::Instant;

use orx_protocol::hold::TerminalSize;
use pty_proxy::terminal::emulator::Emulator;
use serde_json::json;

use super::{Judge, Stream, Verdicts, base64};

const SIZE: TerminalSize = TerminalSize { cols: 40, rows: 10 };

/// What xterm.js does wrong within one stream of text or by one mode, so that a viewer that never left shows it and one that
/// joins does not.
const WRONG: [(&str, &str); 6] = [
    ("a cursor moved by so much within its origin is moved down by the region's top too", "\x1b[3;8r\x1b[?6h\x1b[2C"),
    (
        "what joins a wide character that found no room joins the one before, and makes that one wide",
        "\x1b[?7l\x1b[1;39Hab\u{1f469}\u{200d}",
    ),
    (
        "without wrapping, a character over the second half of a wide one in the last column leaves the first half",
        "\x1b[?7l\x1b[1;39H\u{65e5}x",
    ),
    ("the drawing characters have no blank in the place of the underscore", "\x1b(0_"),
    ("rapid blinking is no blinking", "\x1b[6mx"),
    ("a link's end that names the link does not end it", "\x1b]8;id=1;http://a\x07x\x1b]8;id=1;\x07y"),
];

/// What a program sees xterm.js do otherwise than other terminals do, and what viewers get in words that it takes as the
/// others: all of them show the same.
const WORDED: [(&str, &[u8]); 14] = [
    ("a cursor that waits behind the last column does not wait when it comes back", b"\x1b[1;40Hx\x1b7\x1b[5;5H\x1b8"),
    ("the kind of line below the text does not come back with the cursor", b"\x1b[4:3m\x1b7\x1b[m\x1b8x"),
    ("sets of characters do not come back with the cursor", b"\x1b7\x1b(0\x1b8"),
    ("a link does not come back with the cursor", b"\x1b]8;;http://a\x07\x1b7\x1b]8;;\x07\x1b8x"),
    ("without a colour the line below the text is white", b"\x1b[4;58;5;9m\x1b[59mx"),
    ("blanks within a wide character leave half of it", b"\xe6\x97\xa5\x1b[1;2H\x1b[2@"),
    ("a full reset leaves the cursor hidden", b"\x1b[?25l\x1bc"),
    ("a soft reset resets the cursor's shape and the pasting mode", b"\x1b[4 q\x1b[?2004h\x1b[!p"),
    ("each screen has a scroll region of its own", b"\x1b[2;5r\x1b[?1049h"),
    ("a joining character after a sequence has a cell of its own", b"e\x1b[m\xcc\x81x"),
    ("control characters of the upper half begin sequences", b"\xc2\x9b31mx"),
    ("bytes that are no character show nothing", b"a\xff\xfeb"),
    ("the alignment pattern has the pen's colours", b"\x1b[41m\x1b#8"),
    ("characters of the upper half are drawn from sets for both halves", b"\x1b)0\x1b~x"),
];

/// Lets a viewer join at the end of a stream.
fn judged(judge: &mut Judge, name: &str, bytes: &[u8]) -> Verdicts {
    let mut session = Emulator::new(SIZE);
    let passed = session.accept(bytes, Instant::now()).bytes;
    let join = json!({"passed": passed.len(), "redraw": base64(&session.redraw().concat())});
    let stream = Stream { name: name.to_owned(), size: SIZE, bytes: bytes.to_vec(), is_common: false };
    judge.judge(&stream, &[join], &passed)
}

#[test]
fn what_xterm_does_wrong_for_viewers_is_known_by_name() {
    let mut judge = Judge::start();
    for (name, stream) in WRONG {
        let verdicts = judged(&mut judge, name, stream.as_bytes());
        assert!(verdicts.joins.iter().all(|join| join.rest.is_some()), "xterm.js does it right now: {name}");
        assert_eq!(verdicts.passing, None, "{name}");
    }
}

#[test]
fn what_terminals_do_otherwise_reaches_viewers_in_words_that_all_take_alike() {
    let mut judge = Judge::start();
    for (name, stream) in WORDED {
        let verdicts = judged(&mut judge, name, stream);
        assert!(verdicts.passing.is_some(), "xterm.js does as the others now: {name}");
        let rest: Vec<_> = verdicts.joins.into_iter().filter_map(|join| join.rest).collect();
        assert!(rest.is_empty(), "{name}: {rest:?}");
    }
}
