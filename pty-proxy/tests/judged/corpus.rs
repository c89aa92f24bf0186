//! Streams that no program wrote: much of what terminals act upon, in an order that a seed decides.

/// A generator of numbers that gives the same ones for the same seed (xorshift).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// How much a generated stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What all terminals do alike: a terminal that the program writes to shows what a viewer's does.
    Common,
    /// Also what xterm.js does otherwise than other terminals do, or not at all: viewers get it in other words.
    Everything,
}

const WORDS: [&str; 18] = [
    "Thinking",
    " ",
    "fn main() {",
    "    ",
    "\u{276f} ",
    "\u{2500}\u{2500}\u{2500}\u{2500}",
    "\u{65e5}\u{672c}\u{8a9e}",
    "\u{1f600}",
    "e\u{301}",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\u{65e5}\u{301}x",
    "\u{25cf} Read",
    "100%",
    "a",
    "lqqk x mqqj",
    "0123456789012345678901234567890",
    "\u{2503}",
    "\u{b7}\u{a0}",
];
const STYLES: [&str; 34] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "7",
    "8",
    "9",
    "21",
    "22",
    "23",
    "24",
    "25",
    "27",
    "28",
    "29",
    "31",
    "92",
    "39",
    "41",
    "104",
    "49",
    "38;5;208",
    "48;5;236",
    "38;2;1;2;3",
    "48;2;9;8;7",
    "4:3",
    "4:5",
    "4:0",
    "58;5;9",
    "58:2::1:2:3",
    "53",
    "55",
];
const MODES: [&str; 19] = [
    "1", "6", "7", "12", "25", "66", "1000", "1002", "1003", "1004", "1005", "1006", "1007", "1015", "1016", "2004",
    "2026", "2031", "9",
];
const SINGLES: [&str; 30] = [
    "\x1bM", "\x1bD", "\x1bE", "\x1bH", "\r", "\n", "\r\n", "\t", "\x08", "\x0b", "\x0c", "\x07", "\x7f", "\x1b[4h",
    "\x1b[4h", "\x1b[4l", "\x1b[20h", "\x1b[20l", "\x1b=", "\x1b>", "\x1b[3g", "\x1b[g", "\x1b(0", "\x1b(B", "\x1b)0",
    "\x1b*0", "\x0e", "\x0f", "\x1bn", "\x1bo",
];
/// Texts of links.
const LINKED: [&str; 3] = ["a link", "\u{2500}\u{2500}", "link\x1b[1mbold\x1b[4:3mline"];
/// Those with wide characters.
const WIDE: [&str; 4] = ["\u{65e5}\u{672c}\u{8a9e}", "\u{1f600}", "\u{1f469}\u{200d}\u{1f4bb}", "\u{65e5}\u{301}x"];
/// What changes tabs.
const TABS: [&str; 3] = ["\x1bH", "\x1b[3g", "\x1b[g"];
/// What terminals do otherwise than each other, or do not know.
const UNCOMMON: [&[u8]; 40] = [
    b"\x1b7",
    b"\x1b8",
    b"\x1b7",
    b"\x1b8",
    b"\x1b[s",
    b"\x1b[u",
    b"\x1b[?1048h",
    b"\x1b[?1048l",
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?47h",
    b"\x1b[?47l",
    b"\x1b[?1047h",
    b"\x1b[?1047l",
    b"\x1b[?1049;25h",
    b"\x1bc",
    b"\x1b[!p",
    b"\x1b#8",
    b"\x1b[?5W",
    b"\x1b[59m",
    b"\x1b[4;59;53m",
    b"\x1b[3@",
    b"\x1b[7b",
    b"\x1b[2e",
    b"\x1b[?J",
    b"\x1b[?1K",
    b"\x1b[1\"q",
    b"\x1b[2 @",
    b"\x1b[1'}",
    b"\x1b(A",
    b"\x1bN",
    b"\x1b~",
    b"\x1b%@",
    b"\xc2\x9b31m",
    b"\xc2\x9d0;no\xc2\x9c",
    b"\xe6\x97 \xff\xc3\x28",
    b"\x1b[\xc3\xa92J",
    b"\x1b\x0b[2J",
];
/// Brings back what terminals share between their two screens or have for each, and what comes back with a cursor, so that
/// all terminals change the screen alike.
const PLAIN: &str = "\r\x1b[m\x1b]8;;\x07\x1b(B\x1b)B\x1b*B\x1b+B\x0f\x1b[?6l\x1b[r";

/// What is written, and what of it matters for what may be written next.
struct Writer {
    numbers: Numbers,
    reach: Reach,
    has_tabs: bool,
    wraps: bool,
    out: Vec<u8>,
    cols: usize,
    rows: usize,
}

impl Writer {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn words(&mut self) {
        for _ in 0..=self.numbers.below(4) {
            let word = self.numbers.pick(&WORDS);
            // Wide characters that find no room, or are written over in the last column, are exceptions.
            if self.wraps || !WIDE.contains(&word) {
                self.text(word);
            }
        }
    }

    fn control(&mut self, end: usize, lasts: &[&str]) {
        let text = format!("\x1b[{}{}", self.numbers.below(end), self.numbers.pick(lasts));
        self.text(&text);
    }

    fn mode(&mut self) {
        let mode = self.numbers.pick(&MODES);
        let on = self.numbers.flip();
        // What moves the cursor by so much in a scroll region that is its origin is an exception.
        if mode == "6" && on {
            self.text("\x1b[r");
        }
        if mode == "7" {
            self.wraps = on;
        }
        self.text(&format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }));
    }

    fn region(&mut self) {
        let top = self.numbers.below(self.rows) + 1;
        let bottom = top + 1 + self.numbers.below(self.rows);
        let text =
            if self.numbers.below(3) == 0 { "\x1b[r".to_owned() } else { format!("\x1b[?6l\x1b[{top};{bottom}r") };
        self.text(&text);
    }

    fn rare(&mut self) {
        let text = match self.numbers.below(9) {
            0 => format!("\x1b]2;title {}\x07", self.numbers.below(9)),
            1 => format!("\x1b[{} q", self.numbers.below(7)),
            2 if !self.has_tabs => format!("{PLAIN}\x1b[?1049{}", if self.numbers.flip() { 'h' } else { 'l' }),
            3 => "\x1b[H\x1b[2J".to_owned(),
            4 => {
                self.wraps = true;
                "\x1b[r\x1b[?6l\x1b[?7h\x1b[4l".to_owned()
            }
            5 => format!("{}\x1b[{}b", self.numbers.pick(&["x", "ab", "\u{2500}"]), self.numbers.below(30)),
            // A link whose row is erased before its text is written is an exception.
            6 => format!("\x1b]8;;http://example.org/a;b\x1b\\{}\x1b]8;;\x07", self.numbers.pick(&LINKED)),
            7 => format!("\r\x1b[{}@", self.numbers.below(6)),
            _ => "\x1b[m".to_owned(),
        };
        self.text(&text);
    }

    fn single(&mut self) {
        let single = self.numbers.pick(&SINGLES);
        if self.has_tabs || self.reach == Reach::Everything || !TABS.contains(&single) {
            self.text(single);
        }
    }

    fn uncommon(&mut self) {
        let bytes = self.numbers.pick(&UNCOMMON);
        self.out.extend_from_slice(bytes);
    }

    fn next(&mut self) {
        let (cols, rows) = (self.cols, self.rows);
        match self.numbers.below(if self.reach == Reach::Everything { 20 } else { 16 }) {
            0..=4 => self.words(),
            5 | 6 => {
                let styles: Vec<&str> = (0..=self.numbers.below(3)).map(|_| self.numbers.pick(&STYLES)).collect();
                self.text(&format!("\x1b[{}m", styles.join(";")));
            }
            7 | 8 => {
                let text = format!("\x1b[{};{}H", self.numbers.below(rows + 2), self.numbers.below(cols + 3));
                self.text(&text);
            }
            9 => self.control(rows, &["A", "B", "C", "D", "E", "F", "G", "d", "I", "Z", "`", "a"]),
            10 => {
                let last = self.numbers.pick(&["J", "K", "0J", "1J", "2J", "0K", "1K", "2K", "3J"]);
                self.text(&format!("\x1b[{last}"));
            }
            11 => self.control(6, &["L", "M", "P", "X", "S", "T"]),
            12 => self.mode(),
            13 => self.region(),
            14 => self.rare(),
            15 => self.single(),
            _ => self.uncommon(),
        }
    }
}

/// A stream of about `length` bytes for a screen of this size.
pub(crate) fn stream(seed: u64, length: usize, cols: usize, rows: usize, reach: Reach) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let has_tabs = numbers.flip();
    let mut writer = Writer { numbers, reach, has_tabs, wraps: true, out: Vec::new(), cols, rows };
    while writer.out.len() < length {
        writer.next();
    }
    writer.out
}
