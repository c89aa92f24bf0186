//! The modes that a program set on the user's terminal, watched as they pass, and the bytes that take them back, so that
//! the shell is never left with a mouse that types, a hidden cursor or another screen. Writing to the terminal is for whoever has it.

use std::collections::BTreeMap;
use std::mem;

use bincode::{Decode, Encode};

/// Modes of DECSET that are on in a terminal at rest; all others are off.
const ON_AT_REST: [u16; 2] = [7, 8];
/// The wheel as arrow keys, on the other screen. On at rest in some terminals and off in others, so it is restored from
/// what the terminal itself kept; those that keep nothing have it on.
const ALTERNATE_SCROLL: u16 = 1007;
/// The cursor, and holding back what is drawn: programs change them with every picture, and they are taken back whatever was set.
const ALWAYS_TAKEN_BACK: [u16; 2] = [25, 2026];
/// The modes that show the other screen.
const OTHER_SCREEN: [u16; 3] = [47, 1047, 1049];
/// Longest sequence whose particulars are kept, in bytes.
const LONGEST: usize = 128;

const ESC: u8 = 0x1b;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
    Osc,
    /// DCS, APC and the like, of which nothing is kept.
    Text,
}

/// Watches what passes on its way to a terminal.
#[derive(Debug, Default)]
pub struct Modes {
    state: State,
    sequence: Vec<u8>,
    set: Set,
}

/// What was set on a terminal.
#[derive(Debug, Default, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Set {
    /// Modes of DECSET by number, as last set.
    private: BTreeMap<u16, bool>,
    /// The mode that shows the other screen at present.
    other_screen: Option<u16>,
    /// Entries that were pushed on kitty's keyboard stack: of the first screen, and of the other one.
    keyboard: [u16; 2],
    keyboard_touched: bool,
    modify_other_keys: bool,
    cursor_shape: bool,
    scroll_region: bool,
    /// Colours of the terminal that were set, by their OSC number.
    colours: Vec<u16>,
}

impl From<Set> for Modes {
    /// Goes on where somebody else watched until then.
    fn from(set: Set) -> Self {
        Self { set, ..Self::default() }
    }
}

impl Modes {
    /// Watches bytes on their way to the terminal.
    pub fn watch(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.state == State::Ground && *byte != ESC {
                // Most of the output is text, in which only the next sequence matters.
                rest = memchr::memchr(ESC, after).and_then(|at| after.get(at..)).unwrap_or_default();
            } else {
                self.step(*byte);
                rest = after;
            }
        }
    }

    /// What was set until now.
    #[must_use]
    pub const fn set(&self) -> &Set {
        &self.set
    }

    /// The bytes that bring the terminal to rest, the cursor below what is shown.
    #[must_use]
    pub fn leave(&self) -> Vec<u8> {
        self.set.leave()
    }

    fn step(&mut self, byte: u8) {
        match (self.state, byte) {
            (State::Osc, 0x07) => self.end_osc(),
            (_, 0x18 | 0x1a) => self.state = State::Ground,
            (State::Osc, ESC) => {
                self.end_osc();
                self.state = State::Escape;
            }
            (_, ESC) => self.state = State::Escape,
            (State::Ground, _) => {}
            (State::Escape, b'[') => self.begin(State::Csi),
            (State::Escape, b']') => self.begin(State::Osc),
            (State::Escape, b'P' | b'X' | b'^' | b'_') => self.begin(State::Text),
            (State::Escape, b'c') => *self = Self::default(),
            (State::Escape, 0x20..=0x2f) => {}
            (State::Escape, _) => self.state = State::Ground,
            (State::Csi, 0x40..=0x7e) => {
                self.state = State::Ground;
                let sequence = mem::take(&mut self.sequence);
                self.csi(&sequence, byte);
            }
            (State::Csi | State::Osc, 0x20..) => {
                if self.sequence.len() < LONGEST {
                    self.sequence.push(byte);
                }
            }
            (State::Csi | State::Osc, _) => {}
            (State::Text, 0x07) => self.state = State::Ground,
            (State::Text, _) => {}
        }
    }

    fn begin(&mut self, state: State) {
        self.sequence.clear();
        self.state = state;
    }

    fn csi(&mut self, sequence: &[u8], last: u8) {
        let Ok(text) = std::str::from_utf8(sequence) else { return };
        let (sign, parameters) = match text.chars().next() {
            Some(sign @ ('?' | '>' | '<' | '=')) => (Some(sign), text.get(1..).unwrap_or_default()),
            Some(_) | None => (None, text),
        };
        let first = || parameters.split(';').next().and_then(|number| number.parse::<u16>().ok());
        match (sign, last) {
            (Some('?'), b'h' | b'l') => {
                for mode in parameters.split(';').filter_map(|number| number.parse().ok()) {
                    self.set.mode(mode, last == b'h');
                }
            }
            (Some('>'), b'u') => self.set.push_keyboard(1),
            (Some('<'), b'u') => self.set.pop_keyboard(first().unwrap_or(1).max(1)),
            (Some('='), b'u') => self.set.keyboard_touched = true,
            (Some('>'), b'm') => self.set.modify_other_keys = true,
            (None, b'q') if parameters.ends_with(' ') => self.set.cursor_shape = true,
            (None, b'r') => self.set.scroll_region = !parameters.is_empty(),
            _ => {}
        }
    }

    fn end_osc(&mut self) {
        self.state = State::Ground;
        let sequence = mem::take(&mut self.sequence);
        let Ok(text) = std::str::from_utf8(&sequence) else { return };
        let Some((number, value)) = text.split_once(';') else { return };
        let Ok(number) = number.parse::<u16>() else { return };
        let question = value.ends_with('?');
        if matches!(number, 4 | 10..=12) && !question && !self.set.colours.contains(&number) {
            self.set.colours.push(number);
        }
    }
}

impl Set {
    /// The bytes that bring the terminal to rest, the cursor below what is shown.
    #[must_use]
    pub fn leave(&self) -> Vec<u8> {
        let mut out = String::new();
        // First what is withheld is shown, then everything else is taken back.
        out.push_str("\u{1b}[?2026l\u{1b}[0m\u{1b}(B\u{f}");
        for mode in [1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004] {
            out.push_str(&format!("\u{1b}[?{mode}l"));
        }
        for (mode, on) in &self.private {
            if *mode == ALTERNATE_SCROLL {
                out.push_str("\u{1b}[?1007h\u{1b}[?1007r");
                continue;
            }
            let at_rest = ON_AT_REST.contains(mode);
            if *on != at_rest {
                out.push_str(&format!("\u{1b}[?{mode}{}", if at_rest { 'h' } else { 'l' }));
            }
        }
        out.push_str("\u{1b}>");
        if self.modify_other_keys {
            out.push_str("\u{1b}[>4m");
        }
        if self.scroll_region {
            out.push_str("\u{1b}7\u{1b}[r\u{1b}8");
        }
        let [first, other] = self.keyboard;
        if let Some(mode) = self.other_screen {
            pop(&mut out, other);
            out.push_str(&format!("\u{1b}[?{mode}l"));
        }
        out.push_str("\u{1b}[999;1H\r\n");
        pop(&mut out, first);
        if self.keyboard_touched {
            out.push_str("\u{1b}[=0u");
        }
        if self.cursor_shape {
            out.push_str("\u{1b}[0 q");
        }
        for colour in &self.colours {
            out.push_str(&format!("\u{1b}]{}\u{1b}\\", 100 + colour));
        }
        out.push_str("\u{1b}[?25h");
        out.into_bytes()
    }

    fn mode(&mut self, mode: u16, on: bool) {
        if OTHER_SCREEN.contains(&mode) {
            self.other_screen = on.then_some(mode);
        } else if !ALWAYS_TAKEN_BACK.contains(&mode) {
            self.private.insert(mode, on);
        }
    }

    fn keyboard(&mut self) -> &mut u16 {
        let [first, other] = &mut self.keyboard;
        if self.other_screen.is_some() { other } else { first }
    }

    fn push_keyboard(&mut self, count: u16) {
        self.keyboard_touched = true;
        let depth = self.keyboard();
        *depth = depth.saturating_add(count);
    }

    fn pop_keyboard(&mut self, count: u16) {
        let depth = self.keyboard();
        *depth = depth.saturating_sub(count);
    }
}

fn pop(out: &mut String, count: u16) {
    if count > 0 {
        out.push_str(&format!("\u{1b}[<{count}u"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(chunks: &[&[u8]]) -> String {
        let mut modes = Modes::default();
        for chunk in chunks {
            modes.watch(chunk);
        }
        String::from_utf8(modes.leave()).unwrap()
    }

    #[test]
    fn what_was_set_is_taken_back() {
        let shown = b"\x1b[?1049h\x1b[?1;1000;1006;2004;7l\x1b[?1h\x1b[?25l\x1b[>7u\x1b[>4;2m\x1b[5 q\x1b[2;20r\x1b]11;#000\x07";
        for pieces in [vec![&shown[..]], shown.chunks(1).collect(), shown.chunks(3).collect()] {
            let left = leave(&pieces);
            for wanted in [
                "\u{1b}[?1l",
                "\u{1b}[?7h",
                "\u{1b}[?25h",
                "\u{1b}[>4m",
                "\u{1b}[0 q",
                "\u{1b}[r",
                "\u{1b}]111",
                "\u{1b}[?1000l",
                "\u{1b}[?2004l",
            ] {
                assert!(left.contains(wanted), "{wanted:?} in {left:?}");
            }
            // The keyboard of the other screen is put back before that screen is left.
            assert!(left.find("\u{1b}[<1u").unwrap() < left.find("\u{1b}[?1049l").unwrap());
        }
    }

    #[test]
    fn a_screen_that_was_not_left_for_another_is_not_left() {
        let left = leave(&[b"plain \x1b[31mtext\x1b[?1049h\x1b[?1049l"]);
        assert!(!left.contains("1049"));
        assert!(left.contains("\u{1b}[999;1H\r\n"));
        assert!(!left.contains("\u{1b}[<"));
    }

    #[test]
    fn what_a_program_took_back_itself_is_not_taken_back_again() {
        let left = leave(&[b"\x1b[>1u\x1b[<u\x1b[?1049h\x1b[>1u\x1b[>1u\x1b[?1049l"]);
        assert!(!left.contains("\u{1b}[<"), "{left:?}");
        let left = leave(&[b"\x1b[?1h\x1b[2;5r\x1bc"]);
        assert!(!left.contains("\u{1b}[?1l") && !left.contains("\u{1b}[r"));
        assert!(!leave(&[b"\x1b]11;?\x07\x1b]4;1;?\x1b\\"]).contains("\u{1b}]1"));
    }

    #[test]
    fn the_wheel_is_as_the_terminal_kept_it() {
        assert!(leave(&[b"\x1b[?1007l"]).contains("\u{1b}[?1007h\u{1b}[?1007r"));
        assert!(!leave(&[b"\x1b[?1000h"]).contains("1007"));
    }

    #[test]
    fn text_that_looks_like_modes_within_strings_is_text() {
        let left = leave(&[b"\x1bP[?1049h\x1b\\\x1b]0;[?1h\x07"]);
        assert!(!left.contains("1049") && !left.contains("\u{1b}[?1l"));
    }
}
