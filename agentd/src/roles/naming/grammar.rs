//! The parts of which names are made: domains, labels, numbers, ULIDs. Domains are wider than the grammar's two to four
//! letters, because names in use are (`CAP-HTTPFALLBACK-1`, `CAP-CLAUDE-CAPTURE-1`).

/// Longest domain, in bytes.
const DOMAIN: usize = 48;

/// Longest label, in bytes.
const LABEL: usize = 64;

/// What a domain must be.
pub(super) const DOMAIN_HINT: &str =
    "a domain has 2 to 48 letters and digits in parts joined by single hyphens, and begins with a letter, such as AUTH";

/// What a label must be.
pub(super) const LABEL_HINT: &str =
    "use 1 to 64 letters, digits, `_` and `-`, beginning with a letter or digit, such as dev";

/// A domain in capitals.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    if is_domain(&upper) { Ok(upper) } else { Err(format!("`domain` is not usable: {}", shown(text))) }
}

/// Whether a text is a domain as it stands in a name.
pub(super) fn is_domain(text: &str) -> bool {
    (2..=DOMAIN).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .split('-')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
}

/// Checks a label, which `what` names. It has no dots and colons, so names made of labels cannot run together.
pub(super) fn label(what: &str, text: &str) -> Result<(), String> {
    if is_label(text) { Ok(()) } else { Err(format!("`{what}` is not usable: {}", shown(text))) }
}

/// Whether a text is a label.
pub(super) fn is_label(text: &str) -> bool {
    (1..=LABEL).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether a text is a number as sequences give them: from 1, without leading zeros.
pub(super) fn is_number(text: &str) -> bool {
    !text.starts_with('0') && text.parse::<u64>().is_ok_and(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_base32(text: &str) -> bool {
    text.bytes().all(|byte| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&byte))
}

/// Whether a text is a ULID.
pub(super) fn is_ulid(text: &str) -> bool {
    text.len() == 26 && is_base32(text) && text.starts_with(|c: char| ('0'..='7').contains(&c))
}

/// Whether a text is the short form of a ULID that names carry.
pub(super) fn is_short_ulid(text: &str) -> bool {
    text.len() == 8 && is_base32(text)
}

/// A text as errors show it.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_put_in_capitals_and_kept_apart_from_other_text() {
        for (given, expected) in [
            ("auth", "AUTH"),
            ("AI", "AI"),
            ("HttpFallback", "HTTPFALLBACK"),
            ("claude-capture", "CLAUDE-CAPTURE"),
            ("V2", "V2"),
        ] {
            assert_eq!(domain(given), Ok(expected.to_owned()));
        }
        let long = "A".repeat(49);
        for bad in ["", "A", "1A", "-AB", "AB-", "A--B", "A_B", "A B", "../AB", "ÄB", "AB\0", "A{n}", long.as_str()] {
            assert!(domain(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn labels_hold_nothing_that_separates() {
        for good in ["dev", "my-app", "my_app", "2nd", "claude_coding"] {
            assert_eq!(label("x", good), Ok(()));
        }
        for bad in ["", "a.b", "a:b", "a b", "-a", "_a", "a/b", "{n}", "é", "a\n"] {
            assert!(label("x", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_and_ulids_are_told_from_look_alikes() {
        assert!(is_number("1") && is_number("120"));
        for bad in ["", "0", "01", "+1", "-1", "1a", "99999999999999999999999"] {
            assert!(!is_number(bad), "{bad}");
        }
        assert!(is_ulid(&orx_protocol::id::ulid_text()));
        for bad in
            ["", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01K4EAF1", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01arz3ndektsv4rrffq69g5fav"]
        {
            assert!(!is_ulid(bad), "{bad}");
        }
    }
}
