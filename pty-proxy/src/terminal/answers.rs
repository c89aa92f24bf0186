//! The answers to terminal queries: what this terminal says that it is and can do.

use alacritty_terminal::vte::ansi::{NamedColor, Rgb};

/// Width and height of a cell in pixels, for programs that ask; no real cell is behind it.
pub const CELL_PIXELS: (u16, u16) = (10, 20);

/// DA1: a VT220 with colour.
pub const PRIMARY_ATTRIBUTES: &str = "\x1b[?62;22c";
/// DA2: as xterm.js says, since programs choose mouse encodings by it.
pub const SECONDARY_ATTRIBUTES: &str = "\x1b[>0;276;0c";
/// DA3: a unit identifier of zeros.
pub const TERTIARY_ATTRIBUTES: &str = "\x1bP!|00000000\x1b\\";
/// XTVERSION.
pub const VERSION: &str = concat!("\x1bP>|orx ", env!("CARGO_PKG_VERSION"), "\x1b\\");
/// The colour scheme: dark, as [`default_color`] is.
pub const COLOR_SCHEME: &str = "\x1b[?997;1n";

/// Capabilities that XTGETTCAP tells, by terminfo or termcap name.
const CAPABILITIES: [(&str, &str); 5] =
    [("TN", "xterm-256color"), ("name", "xterm-256color"), ("Co", "256"), ("colors", "256"), ("RGB", "8")];

/// The answer to XTGETTCAP with these hexadecimal names.
#[must_use]
pub fn capabilities(names: &[u8]) -> String {
    let mut out = String::new();
    for name in names.split(|byte| *byte == b';').take(32) {
        let known = from_hex(name).and_then(|name| CAPABILITIES.iter().find(|(known, _)| known.as_bytes() == name));
        match known {
            Some((name, value)) => out.push_str(&format!("\x1bP1+r{}={}\x1b\\", to_hex(name), to_hex(value))),
            None => {
                let name: String =
                    name.iter().filter(|byte| byte.is_ascii_hexdigit()).map(|byte| char::from(*byte)).collect();
                out.push_str(&format!("\x1bP0+r{name}\x1b\\"));
            }
        }
    }
    out
}

fn to_hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

/// Bytes from base 16.
#[must_use]
pub fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect())?
}

/// The colour that an index has until a program sets it: xterm's palette on a dark ground.
#[must_use]
pub fn default_color(index: usize) -> Rgb {
    const SIXTEEN: [u32; 16] = [
        0x00_0000, 0xcd_0000, 0x00_cd00, 0xcd_cd00, 0x00_00ee, 0xcd_00cd, 0x00_cdcd, 0xe5_e5e5, 0x7f_7f7f, 0xff_0000,
        0x00_ff00, 0xff_ff00, 0x5c_5cff, 0xff_00ff, 0x00_ffff, 0xff_ffff,
    ];
    let packed = |value: u32| {
        let [_, r, g, b] = value.to_be_bytes();
        Rgb { r, g, b }
    };
    if let Some(value) = SIXTEEN.get(index) {
        return packed(*value);
    }
    let level = |step: usize| if step == 0 { 0 } else { u8::try_from(55 + step * 40).unwrap_or(u8::MAX) };
    match index {
        16..=231 => {
            let cube = index - 16;
            Rgb { r: level(cube / 36), g: level(cube / 6 % 6), b: level(cube % 6) }
        }
        232..=255 => {
            let gray = u8::try_from(8 + (index - 232) * 10).unwrap_or(u8::MAX);
            Rgb { r: gray, g: gray, b: gray }
        }
        index if index == NamedColor::Background as usize => packed(0x1e_1e1e),
        _ => packed(0xd4_d4d4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_told_or_said_to_be_unknown() {
        assert_eq!(capabilities(b"544E"), "\x1bP1+r544E=787465726D2D323536636F6C6F72\x1b\\");
        assert_eq!(capabilities(b"4d73"), "\x1bP0+r4d73\x1b\\");
        assert_eq!(capabilities(b"xyz"), "\x1bP0+r\x1b\\");
    }

    #[test]
    fn hexadecimal_text_is_read() {
        assert_eq!(from_hex(b"00fFa5"), Some(vec![0, 255, 165]));
        assert_eq!(from_hex(b"0"), None);
        assert_eq!(from_hex(b"0g"), None);
    }

    #[test]
    fn the_palette_is_that_of_xterm() {
        assert_eq!(default_color(196), Rgb { r: 255, g: 0, b: 0 });
        assert_eq!(default_color(255), Rgb { r: 238, g: 238, b: 238 });
    }
}
