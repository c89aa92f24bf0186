//! Names of keys, and the bytes that a terminal types for them in the modes that the program set.

use alacritty_terminal::term::TermMode;

/// A name that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not the name of a key; {VALID}")]
pub struct UnknownKey {
    /// What was given.
    pub name: String,
}

/// What names there are.
const VALID: &str = "valid are single characters and enter, escape, tab, backtab, backspace, space, up, down, left, \
right, home, end, page-up, page-down, insert, delete, f1 to f20, each with any of ctrl-, alt-, shift- before it";

/// Flag of the kitty protocol: keys that were ambiguous are written as `CSI u`.
const DISAMBIGUATE: u8 = 1;
/// Flag of the kitty protocol: every key is written as `CSI u`.
const ALL_KEYS: u8 = 8;

/// The modes that choose between the bytes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyModes {
    /// Cursor keys are in application mode.
    pub application_cursor: bool,
    /// Flags of the kitty keyboard protocol in force.
    pub kitty: u8,
}

impl KeyModes {
    /// Those of a terminal.
    #[must_use]
    pub fn new(mode: TermMode, kitty: u8) -> Self {
        Self { application_cursor: mode.contains(TermMode::APP_CURSOR), kitty }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Character(char),
    Enter,
    Escape,
    Tab,
    Backspace,
    /// Keys of the form `CSI 1 ; m <letter>`.
    Letter(char),
    /// Keys of the form `CSI <number> ; m ~`.
    Number(u8),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Modifiers {
    shift: bool,
    alt: bool,
    control: bool,
}

impl Modifiers {
    /// The parameter of xterm and kitty.
    fn parameter(self) -> u8 {
        1 + u8::from(self.shift) + 2 * u8::from(self.alt) + 4 * u8::from(self.control)
    }

    fn any(self) -> bool {
        self.parameter() > 1
    }
}

/// The bytes for the keys of these names, in order.
///
/// # Errors
/// [`UnknownKey`] for the first name that is none; then nothing is to be typed.
pub fn type_keys(names: &[String], modes: KeyModes) -> Result<Vec<u8>, UnknownKey> {
    let mut bytes = Vec::new();
    for name in names {
        let (key, modifiers) = parse(name).ok_or_else(|| UnknownKey { name: name.clone() })?;
        bytes.extend_from_slice(encode(key, modifiers, modes).as_bytes());
    }
    Ok(bytes)
}

/// The bytes for Enter.
#[must_use]
pub fn enter(modes: KeyModes) -> Vec<u8> {
    encode(Key::Enter, Modifiers::default(), modes).into_bytes()
}

fn single(name: &str) -> Option<char> {
    let mut characters = name.chars();
    let first = characters.next()?;
    (characters.next().is_none() && !first.is_control()).then_some(first)
}

fn parse(name: &str) -> Option<(Key, Modifiers)> {
    let mut modifiers = Modifiers::default();
    let mut rest = name;
    loop {
        if let Some(character) = single(rest) {
            return Some((Key::Character(character), modifiers));
        }
        let lower = rest.to_ascii_lowercase();
        let prefix = [("ctrl-", 'c'), ("control-", 'c'), ("c-", 'c'), ("alt-", 'a'), ("meta-", 'a'), ("shift-", 's')]
            .into_iter()
            .find(|(prefix, _)| lower.starts_with(prefix) && rest.len() > prefix.len());
        let Some((prefix, kind)) = prefix else { break };
        match kind {
            'c' => modifiers.control = true,
            'a' => modifiers.alt = true,
            _ => modifiers.shift = true,
        }
        rest = rest.get(prefix.len()..)?;
    }
    let lower = rest.to_ascii_lowercase();
    let key = match lower.as_str() {
        "enter" | "return" => Key::Enter,
        "escape" | "esc" => Key::Escape,
        "tab" => Key::Tab,
        "backtab" | "back-tab" => {
            modifiers.shift = true;
            Key::Tab
        }
        "backspace" => Key::Backspace,
        "space" => Key::Character(' '),
        "up" => Key::Letter('A'),
        "down" => Key::Letter('B'),
        "right" => Key::Letter('C'),
        "left" => Key::Letter('D'),
        "home" => Key::Letter('H'),
        "end" => Key::Letter('F'),
        "insert" => Key::Number(2),
        "delete" | "del" => Key::Number(3),
        "page-up" | "pageup" => Key::Number(5),
        "page-down" | "pagedown" => Key::Number(6),
        function => function_key(function.strip_prefix('f')?.parse().ok()?)?,
    };
    Some((key, modifiers))
}

fn function_key(number: u8) -> Option<Key> {
    Some(match number {
        1 => Key::Letter('P'),
        2 => Key::Letter('Q'),
        3 => Key::Letter('R'),
        4 => Key::Letter('S'),
        5 => Key::Number(15),
        6..=10 => Key::Number(number + 11),
        11..=14 => Key::Number(number + 12),
        15..=16 => Key::Number(number + 13),
        17..=20 => Key::Number(number + 14),
        _ => return None,
    })
}

fn encode(key: Key, modifiers: Modifiers, modes: KeyModes) -> String {
    let all = modes.kitty & ALL_KEYS != 0;
    let disambiguate = all || modes.kitty & DISAMBIGUATE != 0;
    let parameter = modifiers.parameter();
    let code = |code: u32| if modifiers.any() { format!("\x1b[{code};{parameter}u") } else { format!("\x1b[{code}u") };
    match key {
        Key::Letter(letter) if modifiers.any() => format!("\x1b[1;{parameter}{letter}"),
        Key::Letter('R') if disambiguate => "\x1b[13~".to_owned(),
        Key::Letter(letter @ 'P'..='S') => format!("\x1bO{letter}"),
        Key::Letter(letter) if modes.application_cursor => format!("\x1bO{letter}"),
        Key::Letter(letter) => format!("\x1b[{letter}"),
        Key::Number(number) if modifiers.any() => format!("\x1b[{number};{parameter}~"),
        Key::Number(number) => format!("\x1b[{number}~"),
        Key::Escape if disambiguate => code(27),
        Key::Escape => if modifiers.alt { "\x1b\x1b" } else { "\x1b" }.to_owned(),
        Key::Enter if all || (disambiguate && modifiers.any()) => code(13),
        Key::Enter => with_alt(modifiers, "\r"),
        Key::Tab if all || (disambiguate && modifiers.any()) => code(9),
        Key::Tab if modifiers.shift => with_alt(modifiers, "\x1b[Z"),
        Key::Tab => with_alt(modifiers, "\t"),
        Key::Backspace if all || (disambiguate && modifiers.any()) => code(127),
        Key::Backspace => with_alt(modifiers, if modifiers.control { "\x08" } else { "\x7f" }),
        Key::Character(character) if all || (disambiguate && (modifiers.control || modifiers.alt)) => {
            code(u32::from(character.to_lowercase().next().unwrap_or(character)))
        }
        Key::Character(character) => plain_character(character, modifiers),
    }
}

fn with_alt(modifiers: Modifiers, bytes: &str) -> String {
    if modifiers.alt { format!("\x1b{bytes}") } else { bytes.to_owned() }
}

fn plain_character(character: char, modifiers: Modifiers) -> String {
    let character = if modifiers.shift { character.to_uppercase().next().unwrap_or(character) } else { character };
    let typed = if modifiers.control {
        match character.to_ascii_lowercase() {
            letter @ 'a'..='z' => char::from_u32(u32::from(letter) - 0x60),
            ' ' | '@' | '2' => Some('\0'),
            '[' | '3' => Some('\x1b'),
            '\\' | '4' => Some('\x1c'),
            ']' | '5' => Some('\x1d'),
            '^' | '6' => Some('\x1e'),
            '_' | '7' | '/' | '-' => Some('\x1f'),
            '?' | '8' => Some('\x7f'),
            other => Some(other),
        }
        .unwrap_or(character)
    } else {
        character
    };
    with_alt(modifiers, typed.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: KeyModes = KeyModes { application_cursor: false, kitty: 0 };

    fn typed(name: &str, modes: KeyModes) -> String {
        String::from_utf8(type_keys(&[name.to_owned()], modes).unwrap()).unwrap()
    }

    #[test]
    fn keys_are_typed_as_xterm_does() {
        for (name, bytes) in [
            ("enter", "\r"),
            ("Escape", "\x1b"),
            ("tab", "\t"),
            ("backtab", "\x1b[Z"),
            ("shift-tab", "\x1b[Z"),
            ("space", " "),
            ("up", "\x1b[A"),
            ("ctrl-up", "\x1b[1;5A"),
            ("ctrl-c", "\x03"),
            ("CTRL-C", "\x03"),
            ("alt-x", "\x1bx"),
            ("f1", "\x1bOP"),
            ("f5", "\x1b[15~"),
            ("f12", "\x1b[24~"),
            ("f13", "\x1b[25~"),
            ("f20", "\x1b[34~"),
            ("shift-f5", "\x1b[15;2~"),
            ("delete", "\x1b[3~"),
            ("page-up", "\x1b[5~"),
            ("a", "a"),
            ("Z", "Z"),
            ("é", "é"),
            ("-", "-"),
            ("ctrl--", "\x1f"),
            ("alt--", "\x1b-"),
            ("ctrl-space", "\0"),
            ("backspace", "\x7f"),
            ("ctrl-alt-a", "\x1b\x01"),
            ("alt-enter", "\x1b\r"),
            ("home", "\x1b[H"),
        ] {
            assert_eq!(typed(name, PLAIN), bytes, "{name}");
        }
    }

    #[test]
    fn modes_choose_the_bytes() {
        let application = KeyModes { application_cursor: true, kitty: 0 };
        assert_eq!(typed("up", application), "\x1bOA");
        assert_eq!(typed("ctrl-up", application), "\x1b[1;5A");
        let kitty = KeyModes { application_cursor: false, kitty: 1 };
        assert_eq!(typed("escape", kitty), "\x1b[27u");
        assert_eq!(typed("enter", kitty), "\r");
        assert_eq!(typed("shift-enter", kitty), "\x1b[13;2u");
        assert_eq!(typed("ctrl-c", kitty), "\x1b[99;5u");
        let all = KeyModes { application_cursor: false, kitty: 9 };
        assert_eq!(typed("enter", all), "\x1b[13u");
        assert_eq!(typed("a", all), "\x1b[97u");
    }

    #[test]
    fn an_unknown_name_types_nothing_and_says_what_is_valid() {
        for name in ["", "entr", "f0", "f21", "ctrl-", "hyper-x", "\x1b"] {
            let error = type_keys(&["a".to_owned(), name.to_owned()], PLAIN).unwrap_err();
            assert!(error.to_string().contains("page-down"), "{error}");
        }
    }
}
