//! Which names callers may give to things that the store keeps.

use crate::StoreError;

/// Longest name, in bytes.
const LONGEST: usize = 256;

/// Checks `name`, which `what` describes.
///
/// # Errors
/// [`StoreError::Invalid`] for an empty name, one longer than 256 bytes, and one with control characters.
pub(crate) fn check(what: &str, name: &str) -> Result<(), StoreError> {
    if name.is_empty() {
        return Err(StoreError::Invalid(format!("{what} is empty: give 1 to {LONGEST} bytes")));
    }
    if name.len() > LONGEST {
        return Err(StoreError::Invalid(format!("{what} is {} bytes long: the limit is {LONGEST}", name.len())));
    }
    if let Some(character) = name.chars().find(|character| character.is_control()) {
        let code = u32::from(character);
        return Err(StoreError::Invalid(format!(
            "{what} {name:?} holds the control character U+{code:04X}: leave it out"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_visible_text() {
        for good in ["a", "ADR", "naïve/path with space", &"x".repeat(256)] {
            assert_eq!(check("key", good), Ok(()), "{good}");
        }
        for bad in ["", "a\nb", "\0", "a\u{7f}", &"x".repeat(257)] {
            assert!(matches!(check("key", bad), Err(StoreError::Invalid(_))), "{bad:?}");
        }
    }
}
