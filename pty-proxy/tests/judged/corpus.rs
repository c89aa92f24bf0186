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

const WORDS: [&str; 14] = [
    "Thinking",
    " ",
    "fn main() {",
    "    ",
    "\u{276f} ",
    "\u{2500}\u{2500}\u{2500}\u{2500}",
    "\u{65e5}\u{672c}\u{8a9e}",
    "\u{1f600}",
    "e\u{301}",
    "\u{25cf} Read",
    "100%",
    "a",
    "0123456789012345678901234567890",
    "\u{2503}",
];
const STYLES: [&str; 24] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "7",
    "8",
    "9",
    "22",
    "23",
    "24",
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
];
const MODES: [&str; 17] = [
    "1", "6", "7", "12", "25", "66", "1000", "1002", "1003", "1004", "1006", "1007", "1016", "2004", "2026", "2031",
    "9",
];
const SINGLES: [&str; 17] = [
    "\x1b7", "\x1b8", "\x1bM", "\x1bD", "\x1bE", "\x1bH", "\r", "\n", "\r\n", "\t", "\x08", "\x1b[4l", "\x1b=",
    "\x1b>", "\x1b[3g", "\x1b[s", "\x1b[u",
];
/// What changes tabs.
const TABS: [&str; 2] = ["\x1bH", "\x1b[3g"];

/// A stream of about `length` bytes for a screen of this size.
pub(crate) fn stream(seed: u64, length: usize, cols: usize, rows: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let has_tabs = numbers.flip();
    let mut out = String::new();
    while out.len() < length {
        match numbers.below(16) {
            0..=4 => {
                for _ in 0..=numbers.below(4) {
                    out.push_str(numbers.pick(&WORDS));
                }
            }
            5 | 6 => {
                let styles: Vec<&str> = (0..=numbers.below(3)).map(|_| numbers.pick(&STYLES)).collect();
                out.push_str(&format!("\x1b[{}m", styles.join(";")));
            }
            7 | 8 => out.push_str(&format!("\x1b[{};{}H", numbers.below(rows + 2), numbers.below(cols + 3))),
            9 => {
                let last = numbers.pick(&["A", "B", "C", "D", "E", "F", "G", "d", "I", "Z"]);
                out.push_str(&format!("\x1b[{}{last}", numbers.below(rows)));
            }
            10 => {
                let last = numbers.pick(&["J", "K", "0J", "1J", "2J", "0K", "1K", "2K"]);
                out.push_str(&format!("\x1b[{last}"));
            }
            11 => {
                let last = numbers.pick(&["L", "M", "P", "@", "X", "S", "T"]);
                out.push_str(&format!("\x1b[{}{last}", numbers.below(6)));
            }
            12 => out.push_str(&format!("\x1b[?{}{}", numbers.pick(&MODES), if numbers.flip() { 'h' } else { 'l' })),
            13 => {
                let top = numbers.below(rows) + 1;
                let bottom = top + 1 + numbers.below(rows);
                out.push_str(&if numbers.below(3) == 0 {
                    "\x1b[r".to_owned()
                } else {
                    format!("\x1b[{top};{bottom}r")
                });
            }
            14 => out.push_str(&match numbers.below(6) {
                0 => format!("\x1b]2;title {}\x07", numbers.below(9)),
                1 => format!("\x1b[{} q", numbers.below(7)),
                // A scroll region and tabs are of both screens for most terminals and of one for xterm.js.
                2 if !has_tabs => format!("\x1b[r\x1b[?1049{}", if numbers.flip() { 'h' } else { 'l' }),
                3 => "\x1b[H\x1b[2J".to_owned(),
                4 => "\x1b[r\x1b[?6l\x1b[?7h\x1b[4l".to_owned(),
                _ => "\x1b[m".to_owned(),
            }),
            _ => {
                let single = numbers.pick(&SINGLES);
                if has_tabs || !TABS.contains(&single) {
                    out.push_str(single);
                }
            }
        }
    }
    out.into_bytes()
}
