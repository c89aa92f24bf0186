//! Text as a JSON string, written for long runs of output: what needs no escape is found eight bytes at a time.

/// Adds `text` as a JSON string with its quotes to `out`, in the spelling of `serde_json`.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    // Colours make about a third more of it.
    out.reserve(bytes.len() + bytes.len() / 2 + 16);
    out.push(b'"');
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let found = escapes(u64::from_le_bytes(*word));
        // All eight at once, and what is too much is taken back: cheaper than a copy of the right length.
        out.extend_from_slice(word);
        if found == 0 {
            rest = after;
            continue;
        }
        let plain = found.trailing_zeros() as usize / 8;
        out.truncate(out.len() - word.len() + plain);
        escape(word.get(plain).copied().unwrap_or_default(), out);
        rest = rest.get(plain + 1..).unwrap_or_default();
    }
    for &byte in rest {
        if matches!(byte, 0..=0x1f | b'"' | b'\\') { escape(byte, out) } else { out.push(byte) }
    }
    out.push(b'"');
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        // By far the most frequent.
        0x1b => return out.extend_from_slice(b"\\u001b"),
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Marks control characters, quotes and backslashes among eight bytes; the lowest mark is exact.
fn escapes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | equal(b'"') | equal(b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_character_is_spelled_as_serde_json_does() {
        let all: String = (0..0x300u32).filter_map(char::from_u32).collect();
        assert_eq!(written(&all), serde_json::to_string(&all).unwrap());
        for character in all.chars() {
            for before in 0..10 {
                let text = format!("{}{character}rest of it", "x".repeat(before));
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_spelled_as_serde_json_does(text in any::<String>()) {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
