//! What is typed into a mirrored pane, as commands of tmux: pastes as pastes, so that the program behind the pane gets them
//! in its own way, and all else as the bytes that they are. Pure but for the file that a paste is handed over in.

const BEGIN: &[u8] = b"\x1b[200~";
const END: &[u8] = b"\x1b[201~";
/// Bytes that one command types: tmux bounds the length of a command.
const CHUNK: usize = 256;
/// A paste is cut when it has this many bytes; what follows is a paste of its own.
const PASTE: usize = 4 * 1024 * 1024;

/// Something to be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A paste of this text.
    Paste(Vec<u8>),
}

/// Splits what is typed into bytes and pastes, also when their marks come in pieces.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    rest: Vec<u8>,
    is_paste: bool,
}

impl Splitter {
    /// Takes what was typed; gives what is complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Typed> {
        self.rest.extend_from_slice(bytes);
        let mut typed = Vec::new();
        loop {
            let mark = if self.is_paste { END } else { BEGIN };
            let found = self.rest.windows(mark.len()).position(|window| window == mark);
            // The begin of a mark may be all that has come of it.
            let pending = partial(&self.rest, mark);
            let end = found.unwrap_or(self.rest.len() - if found.is_none() { pending } else { 0 });
            let is_whole = found.is_some() || !self.is_paste || end >= PASTE;
            if is_whole && end > 0 {
                let part: Vec<u8> = self.rest.drain(..end).collect();
                typed.push(if self.is_paste { Typed::Paste(part) } else { Typed::Bytes(part) });
            }
            if found.is_none() {
                return typed;
            }
            self.rest.drain(..mark.len());
            self.is_paste = !self.is_paste;
        }
    }

    /// Whether keys are held back since they may be the begin of a mark.
    pub(super) fn holds_keys(&self) -> bool {
        !self.is_paste && !self.rest.is_empty()
    }

    /// The keys that were held back, when nothing followed: Escape begins every mark, and is a key.
    pub(super) fn let_go(&mut self) -> Option<Typed> {
        self.holds_keys().then(|| Typed::Bytes(std::mem::take(&mut self.rest)))
    }
}

/// How many bytes at the end may be the begin of a mark.
fn partial(bytes: &[u8], mark: &[u8]) -> usize {
    (1..mark.len()).rev().find(|count| bytes.ends_with(mark.get(..*count).unwrap_or_default())).unwrap_or(0)
}

/// The commands that type bytes into a pane.
pub(super) fn keys(pane: &str, bytes: &[u8]) -> Vec<String> {
    let hexadecimal = |chunk: &[u8]| chunk.iter().map(|byte| format!(" {byte:02x}")).collect::<String>();
    bytes.chunks(CHUNK).map(|chunk| format!("send-keys -t {pane} -H{}", hexadecimal(chunk))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pastes_are_told_from_keys_also_in_pieces() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.take(b"a\x1b"), [Typed::Bytes(b"a".to_vec())]);
        assert_eq!(splitter.let_go(), Some(Typed::Bytes(b"\x1b".to_vec())), "Escape is a key");
        assert_eq!(splitter.let_go(), None);
        assert_eq!(splitter.take(b"x\x1b[20"), [Typed::Bytes(b"x".to_vec())]);
        assert!(splitter.holds_keys());
        assert_eq!(splitter.take(b"0~one\ntwo\x1b[2"), []);
        assert!(!splitter.holds_keys() && splitter.let_go().is_none(), "a paste is waited for to its end");
        assert_eq!(splitter.take(b"01~\r"), [Typed::Paste(b"one\ntwo".to_vec()), Typed::Bytes(b"\r".to_vec())]);
        assert_eq!(splitter.take(b"\x1b[A"), [Typed::Bytes(b"\x1b[A".to_vec())]);
    }

    #[test]
    fn bytes_are_typed_as_they_are() {
        assert_eq!(keys("%3", b"a\r\x1b"), ["send-keys -t %3 -H 61 0d 1b"]);
        assert_eq!(keys("%3", &[0; 257]).len(), 2);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_it_is_cut(
            parts in prop::collection::vec((prop::bool::ANY, "[a-c\n]{1,8}"), 0..8), cut in 1_usize..5
        ) {
            let (mut wire, mut expected) = (Vec::new(), (String::new(), Vec::new()));
            for (paste, text) in &parts {
                if *paste {
                    wire.extend_from_slice(&[BEGIN, text.as_bytes(), END].concat());
                    expected.1.push(text.clone());
                } else {
                    wire.extend_from_slice(text.as_bytes());
                    expected.0.push_str(text);
                }
            }
            let (mut splitter, mut seen) = (Splitter::default(), (String::new(), Vec::new()));
            for piece in wire.chunks(cut) {
                for typed in splitter.take(piece) {
                    match typed {
                        Typed::Bytes(bytes) => seen.0.push_str(std::str::from_utf8(&bytes).unwrap()),
                        Typed::Paste(text) => seen.1.push(String::from_utf8(text).unwrap()),
                    }
                }
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
