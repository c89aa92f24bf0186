//! The keys of an attached terminal: which bytes are the program's and which are for `orxctl` itself.
//!
//! Bytes arrive cut anywhere. What is inside a bracketed paste is data, whatever it holds. A sequence that is not
//! complete is held back until it is, or until [`Keys::flush`] says that nothing more comes.

use std::mem;

use crate::terminal::encoded::{Key, is_key};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Hand these bytes to the program.
    Send(Vec<u8>),
    /// Leave.
    Detach,
    /// Become the viewer that types.
    TakeControl,
    /// Draw the screen anew.
    Redraw,
    /// Show the keys.
    Help,
}

const PREFIX: u8 = 0x02;
const QUIT: u8 = 0x11;
const ESCAPE: u8 = 0x1b;
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// Longest control sequence that is held back, in bytes; no terminal sends longer ones.
const LONGEST: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    /// After ESC.
    Escape,
    /// Within CSI.
    Csi,
    /// Within X10 mouse coordinates, of which this many bytes follow.
    Mouse(u8),
    /// Within OSC, DCS, APC: an answer of the terminal.
    Text,
    /// Within a bracketed paste; so many bytes of its end have been seen.
    Paste(usize),
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Keys {
    state: State,
    /// The sequence that is being read.
    held: Vec<u8>,
    /// How many bytes of it were handed on already.
    sent: usize,
    /// Whether the last key was the prefix.
    prefixed: bool,
    /// Keys whose press was not handed on, so that their release is not either.
    swallowed: Vec<u32>,
    out: Vec<u8>,
    actions: Vec<Action>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            state: State::Ground,
            held: Vec::new(),
            sent: 0,
            prefixed: false,
            swallowed: Vec::new(),
            out: Vec::new(),
            actions: Vec::new(),
        }
    }
}

impl Keys {
    /// Takes bytes from the user's terminal.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Action> {
        for byte in bytes {
            self.step(*byte);
        }
        self.take()
    }

    /// Whether bytes are held back.
    pub(crate) const fn is_holding(&self) -> bool {
        self.held.len() > self.sent || matches!(self.state, State::Text)
    }

    /// Whether what comes next is judged by itself.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.state == State::Ground && !self.prefixed && self.held.is_empty()
    }

    /// Hands on what is held back: nothing more came in the time in which a terminal sends a whole sequence.
    pub(crate) fn flush(&mut self) -> Vec<Action> {
        match self.state {
            // Escape after the prefix takes the prefix back.
            State::Escape if self.prefixed && self.sent == 0 => {
                self.prefixed = false;
                self.drop_held();
                self.state = State::Ground;
            }
            State::Text => self.state = State::Ground,
            State::Ground | State::Escape | State::Csi | State::Mouse(_) | State::Paste(_) => {
                self.out.extend(self.held.get(self.sent..).unwrap_or_default());
                self.sent = self.held.len();
            }
        }
        self.take()
    }

    fn take(&mut self) -> Vec<Action> {
        self.send_out();
        mem::take(&mut self.actions)
    }

    fn send_out(&mut self) {
        if !self.out.is_empty() {
            self.actions.push(Action::Send(mem::take(&mut self.out)));
        }
    }

    fn act(&mut self, action: Action) {
        self.send_out();
        self.actions.push(action);
    }

    fn pass_held(&mut self) {
        self.out.extend(self.held.get(self.sent..).unwrap_or_default());
        self.drop_held();
    }

    fn drop_held(&mut self) {
        self.held.clear();
        self.sent = 0;
    }

    fn step(&mut self, byte: u8) {
        match self.state {
            State::Ground => self.ground(byte),
            State::Escape => self.escape(byte),
            State::Csi => self.csi(byte),
            State::Mouse(left) => {
                self.out.push(byte);
                self.state = if left > 1 { State::Mouse(left - 1) } else { State::Ground };
            }
            State::Text => self.text(byte),
            State::Paste(seen) => self.paste(byte, seen),
        }
    }

    fn ground(&mut self, byte: u8) {
        if byte == ESCAPE {
            self.held.push(byte);
            self.state = State::Escape;
        } else if self.prefixed {
            self.prefixed = false;
            let character = if byte == PREFIX { None } else { char::from_u32(u32::from(byte)) };
            self.command(character, &[byte]);
        } else {
            match byte {
                PREFIX => self.prefixed = true,
                QUIT => self.act(Action::Detach),
                other => self.out.push(other),
            }
        }
    }

    /// The key after the prefix; `None` is the prefix itself.
    fn command(&mut self, key: Option<char>, bytes: &[u8]) {
        match key {
            None => self.out.extend(bytes),
            Some('d') => self.act(Action::Detach),
            Some('w') => self.act(Action::TakeControl),
            Some('r') => self.act(Action::Redraw),
            // A key that means nothing says which do.
            Some(_) => self.act(Action::Help),
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'[' => {
                self.held.push(byte);
                self.state = State::Csi;
            }
            b']' | b'P' | b'_' | b'^' => {
                self.held.push(byte);
                self.pass_held();
                self.state = State::Text;
            }
            PREFIX | QUIT | ESCAPE => {
                self.prefixed = false;
                self.pass_held();
                self.state = State::Ground;
                self.ground(byte);
            }
            _ => {
                self.held.push(byte);
                self.state = State::Ground;
                self.key_sequence();
            }
        }
    }

    /// A key with Alt, or one that is written as a sequence: after the prefix it means nothing and is dropped.
    fn key_sequence(&mut self) {
        if mem::take(&mut self.prefixed) && self.sent == 0 {
            self.drop_held();
        } else {
            self.pass_held();
        }
    }

    fn text(&mut self, byte: u8) {
        // An answer holds no control characters but its end; anything else is a key that was pressed meanwhile.
        match byte {
            0x07 | 0x9c => {
                self.out.push(byte);
                self.state = State::Ground;
            }
            ESCAPE => {
                self.held.push(byte);
                self.state = State::Escape;
            }
            0..=0x1f => {
                self.state = State::Ground;
                self.ground(byte);
            }
            _ => self.out.push(byte),
        }
    }

    fn csi(&mut self, byte: u8) {
        match byte {
            0x20..=0x3f => {
                self.held.push(byte);
                if self.held.len() >= LONGEST {
                    self.pass_held();
                    self.state = State::Ground;
                }
            }
            0x40..=0x7e => {
                self.held.push(byte);
                self.state = State::Ground;
                self.complete();
            }
            _ => {
                self.pass_held();
                self.state = State::Ground;
                self.ground(byte);
            }
        }
    }

    /// A whole control sequence is held.
    fn complete(&mut self) {
        let sequence = mem::take(&mut self.held);
        let sent = mem::replace(&mut self.sent, 0);
        let rest = sequence.get(sent..).unwrap_or_default();
        if sequence == PASTE_BEGIN {
            self.prefixed = false;
            self.state = State::Paste(0);
        } else if sequence == b"\x1b[M" {
            self.state = State::Mouse(3);
        } else if let Some(key) = Key::parse(&sequence).filter(|_| sent == 0) {
            self.key(&key, &sequence);
            return;
        } else if self.prefixed && sent == 0 && is_key(&sequence) {
            self.prefixed = false;
            return;
        }
        self.out.extend(rest);
    }

    fn key(&mut self, key: &Key, sequence: &[u8]) {
        if key.released {
            match self.swallowed.iter().position(|code| *code == key.code) {
                Some(position) => {
                    self.swallowed.swap_remove(position);
                }
                None => self.out.extend(sequence),
            }
            return;
        }
        if key.is_modifier() {
            self.out.extend(sequence);
            return;
        }
        let is_prefix = key.control && key.code == u32::from('b');
        if mem::take(&mut self.prefixed) {
            if !is_prefix {
                self.swallow(key.code);
            }
            let character = if is_prefix { None } else { Some(key.character.unwrap_or('\0')) };
            self.command(character, sequence);
        } else if is_prefix {
            self.swallow(key.code);
            self.prefixed = true;
        } else if key.control && key.code == u32::from('q') {
            self.swallow(key.code);
            self.act(Action::Detach);
        } else {
            self.out.extend(sequence);
        }
    }

    fn swallow(&mut self, code: u32) {
        // A key that is held down repeats; its release comes once.
        if !self.swallowed.contains(&code) {
            self.swallowed.push(code);
        }
    }

    fn paste(&mut self, byte: u8, seen: usize) {
        self.out.push(byte);
        let seen = match PASTE_END.get(seen) {
            Some(wanted) if *wanted == byte => seen + 1,
            _ => usize::from(byte == ESCAPE),
        };
        self.state = if seen == PASTE_END.len() { State::Ground } else { State::Paste(seen) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(chunks: &[&[u8]]) -> Vec<Action> {
        let mut keys = Keys::default();
        let mut actions: Vec<Action> = chunks.iter().flat_map(|chunk| keys.feed(chunk)).collect();
        actions.extend(keys.flush());
        merged(actions)
    }

    /// Neighbouring sends as one, so that cuts do not matter.
    fn merged(actions: Vec<Action>) -> Vec<Action> {
        let mut out: Vec<Action> = Vec::new();
        for action in actions {
            match (out.last_mut(), action) {
                (Some(Action::Send(bytes)), Action::Send(more)) => bytes.extend(more),
                (_, action) => out.push(action),
            }
        }
        out
    }

    fn send(bytes: &[u8]) -> Action {
        Action::Send(bytes.to_vec())
    }

    #[test]
    fn keys_are_told_from_data() {
        use Action::{Detach, Help, Redraw, TakeControl};
        let table: &[(&[u8], &[Action])] = &[
            (b"hello", &[send(b"hello")]),
            (b"a\x11b", &[send(b"a"), Detach, send(b"b")]),
            (b"a\x02d", &[send(b"a"), Detach]),
            (b"\x02w", &[TakeControl]),
            (b"\x02r", &[Redraw]),
            (b"\x02?x", &[Help, send(b"x")]),
            (b"\x02z", &[Help]),
            (b"\x02\x02", &[send(b"\x02")]),
            (b"\x02\x02d", &[send(b"\x02d")]),
            (b"\x02", &[]),
            // kitty and modifyOtherKeys
            (b"\x1b[113;5u", &[Detach]),
            (b"\x1b[98;5ud", &[Detach]),
            (b"\x1b[98;5u\x1b[100u", &[Detach]),
            (b"\x1b[98;5u\x1b[100;1u", &[Detach]),
            (b"\x1b[98;5u\x1b[98;5u", &[send(b"\x1b[98;5u")]),
            (b"\x1b[98;5u\x1b[47:63;2u", &[Help]),
            (b"\x1b[98;69uw", &[TakeControl]),
            (b"\x1b[27;5;98~d", &[Detach]),
            (b"\x1b[27;5;113~", &[Detach]),
            (b"\x1b[98;5:1u\x1b[98;5:3u\x1b[100;1:1u", &[Detach]),
            (b"\x1b[98;5:1u\x1b[57442;5:3u\x1b[98;1:3ud", &[send(b"\x1b[57442;5:3u"), Detach]),
            (b"\x1b[98;6u", &[send(b"\x1b[98;6u")]),
            (b"\x1b[98u\x1b[113u", &[send(b"\x1b[98u\x1b[113u")]),
            // pastes are data
            (b"\x1b[200~a\x11b\x02d\x1b[113;5u\x1b[201~", &[send(b"\x1b[200~a\x11b\x02d\x1b[113;5u\x1b[201~")]),
            (b"\x1b[200~\x1b[201\x1b[201~\x11", &[send(b"\x1b[200~\x1b[201\x1b[201~"), Detach]),
            (b"\x02\x1b[200~d\x1b[201~", &[send(b"\x1b[200~d\x1b[201~")]),
            // other sequences pass
            (b"\x1b[A\x1bOA\x1bx\x1b", &[send(b"\x1b[A\x1bOA\x1bx\x1b")]),
            (b"\x1b\x11", &[send(b"\x1b"), Detach]),
            (b"\x1b[1;\x11", &[send(b"\x1b[1;"), Detach]),
            (b"\x1b[M \x11\x02x", &[send(b"\x1b[M \x11\x02x")]),
            (b"\x1b]11;rgb:0d0d/0d0d/0d0d\x1b\\", &[send(b"\x1b]11;rgb:0d0d/0d0d/0d0d\x1b\\")]),
            // reports between the prefix and its key do not take it back, keys do
            (
                b"\x02\x1b[I\x1b[<35;1;1M\x1b[?1u\x1b]11;rgb:dd\x07d",
                &[send(b"\x1b[I\x1b[<35;1;1M\x1b[?1u\x1b]11;rgb:dd\x07"), Detach],
            ),
            (b"\x02\x1b[Ad", &[send(b"d")]),
            (b"\x02\x1bxd", &[send(b"d")]),
        ];
        for (given, wanted) in table {
            assert_eq!(run(&[given]), *wanted, "{:?}", String::from_utf8_lossy(given));
            let bytes: Vec<&[u8]> = given.chunks(1).collect();
            assert_eq!(run(&bytes), *wanted, "byte by byte: {:?}", String::from_utf8_lossy(given));
        }
    }

    #[test]
    fn a_lone_escape_is_held_back_for_a_moment_only() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"\x1b"), []);
        assert!(keys.is_holding());
        assert_eq!(keys.flush(), [send(b"\x1b")]);
        assert!(!keys.is_holding());
        assert_eq!(keys.feed(b"\x11"), [Action::Detach]);
        assert_eq!(keys.feed(b"\x02\x1b"), []);
        assert_eq!(keys.flush(), []);
        assert_eq!(keys.feed(b"d"), [send(b"d")]);
    }

    #[test]
    fn a_paste_whose_beginning_came_late_is_still_a_paste() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"\x1b[20"), []);
        assert_eq!(keys.flush(), [send(b"\x1b[20")]);
        assert_eq!(keys.feed(b"0~\x11"), [send(b"0~\x11")]);
        assert_eq!(keys.feed(b"\x1b[201~\x11"), [send(b"\x1b[201~"), Action::Detach]);
    }

    #[test]
    fn an_unfinished_answer_does_not_lock_the_user_in() {
        let mut keys = Keys::default();
        keys.feed(b"\x1b]");
        assert_eq!(merged(keys.feed(b"d\x11")), [send(b"d"), Action::Detach]);
        keys.feed(b"\x1b]");
        assert!(keys.is_holding());
        keys.flush();
        assert_eq!(keys.feed(b"\x02d"), [Action::Detach]);
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_does_not_matter(
            bytes in prop::collection::vec(prop_oneof![Just(0x02u8), Just(0x11), Just(0x1b), Just(b'['), Just(b'2'), Just(b'0'), Just(b'1'), Just(b'~'), Just(b';'), Just(b'u'), Just(b'd'), any::<u8>()], 0..60),
            cut in 1usize..8,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
            prop_assert_eq!(run(&[&bytes]), run(&pieces));
        }

        #[test]
        fn what_is_pasted_arrives_untouched(inner in prop::collection::vec(any::<u8>(), 0..60), cut in 1usize..8) {
            prop_assume!(!inner.windows(PASTE_END.len()).any(|window| window == PASTE_END));
            prop_assume!(!inner.ends_with(b"\x1b"));
            let whole = [PASTE_BEGIN, &inner, PASTE_END].concat();
            let pieces: Vec<&[u8]> = whole.chunks(cut).collect();
            prop_assert_eq!(run(&pieces), [send(&whole)]);
        }
    }
}
