//! Keys that a terminal writes as control sequences, so that each combination can be told from every other.

/// Whether a sequence is a key rather than a report of the terminal (focus, mouse, answers to questions).
pub(crate) fn is_key(sequence: &[u8]) -> bool {
    let private = matches!(sequence.get(2), Some(b'?' | b'<' | b'>' | b'='));
    !private && matches!(sequence.last(), Some(b'A'..=b'F' | b'H' | b'P' | b'Q' | b'S' | b'Z' | b'~' | b'u'))
}

/// A key in kitty's encoding (`CSI code ; modifiers : event ; text u`) or xterm's modifyOtherKeys (`CSI 27 ; modifiers ;
/// code ~`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The key without its modifiers, as the character it types or a number of kitty's.
    pub(crate) code: u32,
    /// Whether Control is held, and no other modifier than the locks.
    pub(crate) control: bool,
    /// What it types; `None` for a combination with Control, Alt or the like.
    pub(crate) character: Option<char>,
    /// Whether it was let go rather than pressed.
    pub(crate) released: bool,
}

impl Key {
    /// Reads a whole control sequence; `None` when it is none of these.
    pub(crate) fn parse(sequence: &[u8]) -> Option<Self> {
        const SHIFT: u32 = 1;
        const CONTROL: u32 = 4;
        const LOCKS: u32 = 64 | 128;
        let (last, body) = sequence.split_last()?;
        let body = std::str::from_utf8(body.get(2..)?).ok()?;
        let mut fields = body.split(';').map(|field| field.split(':').collect::<Vec<_>>());
        let number = |field: Option<&Vec<&str>>, position: usize| -> Option<u32> {
            field?.get(position).and_then(|text| text.parse().ok())
        };
        let (first, second, third) = (fields.next(), fields.next(), fields.next());
        let (code, shifted, modifiers, event, text) = match last {
            b'u' => (
                number(first.as_ref(), 0)?,
                number(first.as_ref(), 1),
                number(second.as_ref(), 0).unwrap_or(1),
                number(second.as_ref(), 1).unwrap_or(1),
                number(third.as_ref(), 0),
            ),
            b'~' if number(first.as_ref(), 0) == Some(27) && third.is_some() => {
                (number(third.as_ref(), 0)?, None, number(second.as_ref(), 0)?, 1, None)
            }
            _ => return None,
        };
        let held = modifiers.saturating_sub(1) & !LOCKS;
        let typed = match held {
            0 => Some(text.unwrap_or(code)),
            SHIFT => Some(text.or(shifted).unwrap_or(code)),
            _ => None,
        };
        Some(Self { code, control: held == CONTROL, character: typed.and_then(char::from_u32), released: event == 3 })
    }

    /// Shift, Control and their like, which kitty can report as keys of their own.
    pub(crate) const fn is_modifier(&self) -> bool {
        matches!(self.code, 57_358..=57_360 | 57_441..=57_454)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_are_read() {
        let key = |code, control, character, released| Some(Key { code, control, character, released });
        let table: [(&[u8], Option<Key>); 8] = [
            (b"\x1b[98;5u", key(98, true, None, false)),
            (b"\x1b[98;133u", key(98, true, None, false)),
            (b"\x1b[98;5:3u", key(98, true, None, true)),
            (b"\x1b[97:65;2u", key(97, false, Some('A'), false)),
            (b"\x1b[97;;229u", key(97, false, Some('å'), false)),
            (b"\x1b[27;5;113~", key(113, true, None, false)),
            (b"\x1b[3~", None),
            (b"\x1b[?1u", None),
        ];
        for (sequence, wanted) in table {
            assert_eq!(Key::parse(sequence), wanted, "{:?}", String::from_utf8_lossy(sequence));
        }
        assert!(is_key(b"\x1b[1;5A") && is_key(b"\x1b[3~"));
        assert!(!is_key(b"\x1b[I") && !is_key(b"\x1b[<0;1;1M") && !is_key(b"\x1b[?1u") && !is_key(b"\x1b[1;1R"));
    }
}
