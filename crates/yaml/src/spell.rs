//! What somebody may have meant by a name that is not known.

/// Longest name that is compared and repeated; what is longer is nobody's typing error.
const LONGEST: usize = 96;

/// The names that are close to `given`, closest first, at most `count`.
#[must_use]
pub fn nearest<'n>(given: &str, names: impl Iterator<Item = &'n str>, count: usize) -> Vec<&'n str> {
    if given.len() > LONGEST {
        return Vec::new();
    }
    let given = given.to_ascii_lowercase();
    let mut close: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let lower = name.to_ascii_lowercase();
            let distance = strsim::osa_distance(&given, &lower);
            let begins = given.len() >= 3 && lower.starts_with(&given);
            (begins || distance <= 1 + given.len().min(lower.len()) / 3).then_some((distance, name))
        })
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().take(count).map(|(_, name)| name).collect()
}

/// A name from outside as it may be repeated: without control characters, and not longer than a name may be.
#[must_use]
pub fn shown(given: &str) -> String {
    let mut text: String = given.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if given.chars().count() > LONGEST {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_beginnings_are_near_and_other_names_are_not() {
        let names = ["main", "maintenance", "feature", "fix"];
        let near = |given: &str| nearest(given, names.into_iter(), 2);
        assert_eq!(near("mian"), ["main"]);
        assert_eq!(near("main"), ["main", "maintenance"]);
        assert_eq!(near("FETURE"), ["feature"]);
        assert_eq!(near("zebra"), [] as [&str; 0]);
        assert_eq!(near(&"x".repeat(LONGEST + 1)), [] as [&str; 0]);
    }

    #[test]
    fn a_name_is_repeated_without_control_characters_and_not_longer_than_names_are() {
        assert_eq!(shown("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), LONGEST + 1);
    }
}
