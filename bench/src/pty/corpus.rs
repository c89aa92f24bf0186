//! What coding agents write to their terminals, made up anew from a seed and the same at every run: streamed prose and
//! code in colours, a spinner and a box that are drawn over themselves, differences with coloured grounds, whole screens
//! drawn after a clear, and text beyond ASCII. It holds no queries, so that a terminal need not answer.

/// The seed of the published figures.
pub const SEED: u64 = 7;

/// Columns and rows that it is drawn for.
pub const COLUMNS: usize = 120;
pub const ROWS: usize = 40;

const WORDS: [&str; 48] = [
    "the",
    "writer",
    "commits",
    "whatever",
    "queued",
    "in",
    "one",
    "transaction",
    "with",
    "a",
    "single",
    "sync",
    "session",
    "holder",
    "reads",
    "from",
    "its",
    "terminal",
    "and",
    "keeps",
    "model",
    "of",
    "screen",
    "let",
    "mut",
    "fn",
    "match",
    "self",
    "Result<()>",
    "async",
    "await?",
    "impl",
    "pub",
    "struct",
    "return",
    "error",
    "value",
    "Some(found)",
    "None",
    "tests",
    "passed",
    "warning:",
    "unused",
    "src/main.rs:42",
    "=>",
    "{",
    "}",
    "//",
];
const BEYOND: [&str; 12] = [
    "✓ done",
    "→ next",
    "café",
    "naïve",
    "日本語の文字",
    "进行中",
    "한국어",
    "🚀 ship",
    "⚠ careful",
    "… more",
    "“quoted”",
    "λ → ∀x",
];
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// splitmix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words.get(self.below(words.len())).copied().unwrap_or_default()
    }
}

/// The generator: whole frames, one after the other.
pub struct Corpus {
    random: Random,
    tick: usize,
}

impl Corpus {
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), tick: 0 }
    }

    /// At least `bytes` bytes cut to exactly that many, ending between two frames as far as blanks can make it so.
    pub fn bytes(seed: u64, bytes: usize) -> Vec<u8> {
        let mut corpus = Self::new(seed);
        let mut out = Vec::with_capacity(bytes + 128 * 1024);
        loop {
            let before = out.len();
            corpus.frame(&mut out);
            if out.len() > bytes {
                out.truncate(before);
                out.resize(bytes, b' ');
                return out;
            }
        }
    }

    /// One frame, as one of the ways in which agents draw.
    pub fn frame(&mut self, out: &mut Vec<u8>) {
        self.tick += 1;
        match self.random.below(100) {
            0..=39 => self.prose(out),
            40..=59 => self.status(out),
            60..=77 => self.code(out),
            78..=89 => self.difference(out),
            _ => self.screen(out),
        }
    }

    fn text(&mut self, out: &mut Vec<u8>, columns: usize) {
        let mut width = 0;
        while width + 14 < columns {
            let beyond = self.random.below(24) == 0;
            let word = if beyond { self.random.one_of(&BEYOND) } else { self.random.one_of(&WORDS) };
            out.extend_from_slice(word.as_bytes());
            out.push(b' ');
            width += word.chars().count() * if beyond { 2 } else { 1 } + 1;
        }
    }

    fn colour(&mut self, out: &mut Vec<u8>) {
        let sequence = match self.random.below(4) {
            0 => format!("\x1b[{}m", 30 + self.random.below(8)),
            1 => format!("\x1b[1;{}m", 90 + self.random.below(8)),
            2 => format!("\x1b[38;5;{}m", 16 + self.random.below(216)),
            _ => {
                let (red, green, blue) = (self.random.below(256), self.random.below(256), self.random.below(256));
                format!("\x1b[38;2;{red};{green};{blue}m")
            }
        };
        out.extend_from_slice(sequence.as_bytes());
    }

    /// Streamed prose with a word in colour here and there.
    fn prose(&mut self, out: &mut Vec<u8>) {
        for _ in 0..1 + self.random.below(6) {
            out.extend_from_slice(b"\x1b[2m\xe2\x8f\xba\x1b[22m ");
            self.text(out, 60);
            self.colour(out);
            self.text(out, 30);
            out.extend_from_slice(b"\x1b[39m\x1b[22m\r\n");
        }
    }

    /// The spinner and the prompt box, drawn over what they were before, within a synchronized update.
    fn status(&mut self, out: &mut Vec<u8>) {
        let spinner = SPINNER.get(self.tick % SPINNER.len()).copied().unwrap_or_default();
        let seconds = self.tick % 1000;
        let rule = "─".repeat(COLUMNS - 2);
        out.extend_from_slice(b"\x1b[?2026h\x1b[?25l\r");
        out.extend_from_slice(format!("\x1b[2K\x1b[38;5;174m{spinner} Thinking…\x1b[39m ").as_bytes());
        out.extend_from_slice(
            format!("\x1b[2m({seconds}s · ↑ {}k tokens · esc to interrupt)\x1b[22m\r\n", seconds / 7).as_bytes(),
        );
        out.extend_from_slice(format!("\x1b[2K\x1b[2m╭{rule}╮\x1b[22m\r\n").as_bytes());
        out.extend_from_slice(b"\x1b[2K\x1b[2m\xe2\x94\x82\x1b[22m > ");
        self.text(out, 70);
        out.extend_from_slice(format!("\x1b[{COLUMNS}G\x1b[2m│\x1b[22m\r\n").as_bytes());
        out.extend_from_slice(format!("\x1b[2K\x1b[2m╰{rule}╯\x1b[22m\r\n\x1b[2K  ? for shortcuts\x1b[K").as_bytes());
        out.extend_from_slice(b"\x1b[4A\r\x1b[?25h\x1b[?2026l");
    }

    /// Code in colours, with line numbers.
    fn code(&mut self, out: &mut Vec<u8>) {
        for line in 0..3 + self.random.below(12) {
            out.extend_from_slice(format!("\x1b[2m{:>5}\x1b[22m ", line + self.tick % 900).as_bytes());
            out.extend(std::iter::repeat_n(b' ', 4 * self.random.below(4)));
            for _ in 0..3 + self.random.below(5) {
                self.colour(out);
                out.extend_from_slice(self.random.one_of(&WORDS).as_bytes());
                out.extend_from_slice(b"\x1b[0m ");
            }
            out.extend_from_slice(b"\x1b[K\r\n");
        }
    }

    /// A difference, its lines with a ground to the right edge.
    fn difference(&mut self, out: &mut Vec<u8>) {
        for line in 0..4 + self.random.below(10) {
            let (sign, ground) = match self.random.below(3) {
                0 => ('-', "\x1b[48;2;74;31;31m"),
                1 => ('+', "\x1b[48;2;31;74;38m"),
                _ => (' ', ""),
            };
            out.extend_from_slice(format!("{ground}\x1b[38;2;200;200;200m{line:>4} {sign} ").as_bytes());
            self.text(out, 90);
            out.extend_from_slice(b"\x1b[K\x1b[0m\r\n");
        }
    }

    /// The whole screen after a clear, each row at its place.
    fn screen(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[?2026h\x1b[2J\x1b[3J\x1b[H");
        for row in 1..=ROWS {
            out.extend_from_slice(format!("\x1b[{row};1H").as_bytes());
            match self.random.below(4) {
                0 => {}
                1 => {
                    self.colour(out);
                    self.text(out, 110);
                    out.extend_from_slice(b"\x1b[m");
                }
                _ => {
                    let columns = 40 + self.random.below(70);
                    self.text(out, columns);
                }
            }
        }
        out.extend_from_slice(format!("\x1b[{};1H\x1b[?2026l", ROWS - 5).as_bytes());
    }
}
